/*
 * tests/fuzz/fuzz_sparse.c - images of sparse matrices whose sizes lie.
 *
 * libFuzzer:  tests/fuzz/run.sh sparse [SECONDS]
 *
 * Instrumented: nn/sparse_save.c nn/sparse.c nn/sparse_product.c
 * kernels/groups.c
 *
 * `make check` replays the corpus in tests/fuzz/sparse/
 * (tests/fuzz/replay.c).
 *
 * What loads can be taken apart and multiplied with, at every level.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/sparse.h"

#define LARGEST ((size_t)1 << 16) /* elements of what is multiplied with */
#define PEOPLE ((size_t)17)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(const struct nn_sparse *s)
{
    struct mem_scratch m = {0};
    float *w = mem_take(&m, s->rows, s->cols, sizeof(*w));
    float *x = mem_take(&m, PEOPLE, s->cols, sizeof(*x));
    float *y = mem_take(&m, PEOPLE, s->rows, sizeof(*y));
    float *scratch = mem_take(&m, nn_sparse_scratch(s), 1, sizeof(*scratch));

    for (size_t l = 0; l < s->n_levels && !m.failed; l++) {
        nn_sparse_unpack(s, l, w);
        nn_sparse_product(s, l, PEOPLE, x, s->cols, y, s->rows, scratch);
        nn_sparse_product_back(s, l, PEOPLE, y, s->rows, x, s->cols);
        if (nn_sparse_weights(s, l) > s->n * s->width)
            abort();
    }
    mem_drop(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct nn_sparse s;
    const enum err e = nn_sparse_load(&s, data, n);

    if (e != ERR_OK && e != ERR_FORMAT && e != ERR_NOMEM)
        abort();
    if (e == ERR_OK && s.rows <= LARGEST && s.cols <= LARGEST &&
        s.rows * s.cols <= LARGEST)
        use(&s);
    nn_sparse_free(&s);
    return 0;
}
