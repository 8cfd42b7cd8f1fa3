/*
 * tests/fuzz/fuzz_keyring.c - keystores that are not what they say.
 *
 * libFuzzer:  tests/fuzz/run.sh keyring [SECONDS]
 *
 * Instrumented: store/keyring.c
 *
 * `make check` replays the corpus in tests/fuzz/keyring/
 * (tests/fuzz/replay.c).
 *
 * Each input is tried as it is, and once more with the digest put right, so
 * that what comes after that check is reached.  What opens is in order, and
 * can be searched, changed, and written to a file that opens as the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/key.h"
#include "store/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool good)
{
    if (!good)
        abort();
}

static void same(const struct sto_ring *a, const struct sto_ring *b)
{
    must(a->n == b->n && a->generation == b->generation);
    must(memcmp(a->store, b->store, sizeof(a->store)) == 0);
    must(memcmp(a->digest, b->digest, sizeof(a->digest)) == 0);
    must(memcmp(a->key, b->key, a->n * sizeof(*a->key)) == 0);
}

static void write_and_read(struct sto_ring *r)
{
    static char path[64];
    struct sto_ring *again;

    if (path[0] == '\0')
        (void)snprintf(path, sizeof(path), "/tmp/recd-fuzz-ring-%ld",
                       (long)getpid());
    (void)unlink(path);
    if (sto_ring_write(r, path) != ERR_OK) /* a full disk proves nothing */
        return;
    must(sto_ring_read(&again, path) == ERR_OK);
    same(r, again);
    sto_ring_free(again);
    (void)unlink(path);
}

static void use(struct sto_ring *r)
{
    const uint64_t more[3] = {1, 7, UINT64_MAX};
    uint64_t destroyed, renewed;
    struct sto_ring *grown;

    for (size_t i = 0; i < r->n; i++) {
        must(i == 0 || r->key[i - 1].user < r->key[i].user);
        must(sto_ring_find(r, r->key[i].user) == &r->key[i]);
    }
    must(sto_ring_add(&grown, r, more, 3) == ERR_OK);
    must(grown->n >= r->n && grown->n <= r->n + 3);
    sto_ring_destroy(grown, 7);
    sto_ring_renew(grown, 1);
    sto_ring_compare(r, grown, &destroyed, &renewed);
    must(destroyed == (sto_ring_find(r, 7) != NULL));
    must(renewed == (sto_ring_find(r, 1) != NULL));
    write_and_read(grown);
    must(sto_ring_find(grown, 7) == NULL);
    sto_ring_free(grown);
}

static void try_one(const uint8_t *data, size_t n)
{
    struct sto_ring *r;
    const enum err e = sto_ring_parse(&r, "a keystore", data, n);

    must(e == ERR_OK || e == ERR_FORMAT || e == ERR_NOMEM);
    if (e != ERR_OK)
        return;
    use(r);
    sto_ring_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct key_digest d;
    uint8_t *copy;

    try_one(data, n);
    if (n < KEY_DIGEST_BYTES || (copy = malloc(n)) == NULL)
        return 0;
    memcpy(copy, data, n);
    key_digest_init(&d);
    key_digest_add(&d, copy, n - KEY_DIGEST_BYTES);
    key_digest_end(&d, copy + n - KEY_DIGEST_BYTES);
    try_one(copy, n);
    free(copy);
    return 0;
}
