/*
 * tests/fuzz/fuzz_weights.c - files of weights whose sizes lie.
 *
 * libFuzzer:  tests/fuzz/run.sh weights [SECONDS]
 *
 * Instrumented: store/weights.c
 *
 * `make check` replays the corpus in tests/fuzz/weights/
 * (tests/fuzz/replay.c).
 *
 * A store with one model is made; its file is written over by the input.
 * What opens can be read from the first byte of each array to the last.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char folder[64], path[400];
static struct sto *st;
static struct sto_view *view;

static void forget_folder(void)
{
    char command[128];

    sto_view_close(view);
    sto_close(st);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    (void)!system(command);
}

static void find_file(void)
{
    char models[100];

    (void)snprintf(models, sizeof(models), "%s/models", folder);
    DIR *d = opendir(models);

    if (d == NULL)
        abort();
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.')
            (void)snprintf(path, sizeof(path), "%s/%s", models, e->d_name);
    }
    closedir(d);
}

static void make_store(void)
{
    float one[4] = {1, 2, 3, 4};
    struct sto_array a = {"w", STO_F32, 2, 2, one};
    struct sto_model m = {.name = "m", .model = "pop", .shards = 1};

    (void)snprintf(folder, sizeof(folder), "/tmp/recd-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    m.options = mem_text("{}");
    sto_arrays_digest(&a, 1, m.digest);
    if (sto_open(&st, folder, STO_WRITE) != ERR_OK ||
        sto_model_put(st, &m, &a, 1) != ERR_OK ||
        sto_view_open(&view, st) != ERR_OK)
        abort();
    sto_model_free(&m);
    find_file();
    (void)atexit(forget_folder);
}

static unsigned touch(const struct sto_array *a)
{
    const size_t n = (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);
    const volatile unsigned char *p = a->data;

    if ((uintptr_t)a->data % 64 != 0 ||
        memchr(a->name, 0, sizeof(a->name)) == NULL)
        abort();
    return n > 0 ? 0u + p[0] + p[n / 2] + p[n - 1] : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sto_weights w;

    if (view == NULL)
        make_store();
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
    const enum err e = sto_weights_open(view, "m", &w);

    if (e == ERR_OK) {
        unsigned sum = 0;

        for (size_t i = 0; i < w.n; i++)
            sum += touch(&w.array[i]);
        (void)sum;
        sto_weights_close(&w);
    } else if (e != ERR_FORMAT && e != ERR_NOMEM && e != ERR_IO) {
        abort();
    }
    return 0;
}
