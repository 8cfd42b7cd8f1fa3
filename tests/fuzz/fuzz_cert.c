/*
 * tests/fuzz/fuzz_cert.c - files from strangers given to `recd verify`.
 *
 * libFuzzer:  tests/fuzz/run.sh cert [SECONDS]
 *
 * Instrumented: unlearn/cert.c unlearn/cert_check.c
 *
 * `make check` replays the corpus in tests/fuzz/cert/ (tests/fuzz/replay.c).
 *
 * Beyond not crashing: nothing about a file is an error, and what is called
 * good is, byte for byte, what recd would have written.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "unlearn/cert_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct unl_verdict r;
    char *text = mem_array(n + 1, 1);
    json_t *file;

    if (text == NULL)
        return 0;
    memcpy(text, data, n);
    if (unl_cert_verify(text, n, NULL, &r) != ERR_OK)
        abort();
    if (r.good != (r.reason[0] == '\0') || (r.good && r.number == 0))
        abort();
    if (r.good) {
        file = json_loadb(text, n, 0, NULL);
        char *again = unl_cert_file(json_object_get(file, "chain"));

        if (again == NULL || strlen(again) != n || memcmp(again, text, n) != 0)
            abort();
        free(again);
        json_decref(file);
    }
    /* a certificate by itself: past the file's own form */
    file = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(file)) {
        char why[40];

        if (!unl_cert_fields(file, why, sizeof(why)) &&
            strlen(why) >= sizeof(why))
            abort();
    }
    json_decref(file);
    free(text);
    return 0;
}
