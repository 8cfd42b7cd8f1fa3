/*
 * bench/nn_step.c - milliseconds of a forward and backward pass of the three
 * networks that bench/nn.py runs in PyTorch.  Prints "name median".
 *
 * usage: nn_step THREADS REPEATS
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/par.h"
#include "nn/nn.h"

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static struct nn_tensor *mlp(struct nn_tape *t, struct nn_tensor **in)
{
    struct nn_tensor *x = nn_tape_input(t, "x", 2, (size_t[]){1024, 256});

    *in = x;
    x = nn_linear(t, x, "a", 512, NN_RELU);
    x = nn_linear(t, x, "b", 512, NN_RELU);
    return nn_linear(t, x, "c", 64, NN_NONE);
}

/* Post-norm, d 64, 2 heads, inner width 256, as nn.TransformerEncoderLayer. */
static struct nn_tensor *block(struct nn_tape *t, struct nn_tensor *x,
                               const char *const name[6])
{
    struct nn_tensor *y =
        nn_attend_self(t, x, name[0], 64, &(struct nn_attend){.heads = 2});

    y = nn_linear(t, y, name[1], 64, NN_NONE);
    x = nn_norm(t, nn_map_add(t, x, y), name[2]);
    y = nn_linear(t, x, name[3], 256, NN_RELU);
    y = nn_linear(t, y, name[4], 64, NN_NONE);
    return nn_norm(t, nn_map_add(t, x, y), name[5]);
}

static struct nn_tensor *transformer(struct nn_tape *t, struct nn_tensor **in)
{
    static const char *const first[6] = {"a1", "b1", "c1", "d1", "e1", "f1"};
    static const char *const second[6] = {"a2", "b2", "c2", "d2", "e2", "f2"};

    *in = nn_tape_leaf(t, "x", 3, (size_t[]){128, 50, 64});
    return block(t, block(t, *in, first), second);
}

static struct nn_tensor *gru(struct nn_tape *t, struct nn_tensor **in)
{
    *in = nn_tape_leaf(t, "x", 3, (size_t[]){128, 50, 64});
    return nn_gru(t, *in, "g", 64, NULL);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static enum err measure(const char *name,
                        struct nn_tensor *(*build)(struct nn_tape *t,
                                                   struct nn_tensor **in),
                        size_t repeats, double *ms)
{
    struct nn_params *p;
    struct nn_tape *t;
    struct nn_tensor *in, *loss;

    ERR_TRY(nn_params_new(&p, NN_F32, 1));
    ERR_TRY(nn_tape_new(&t, p));
    loss = nn_reduce_mean(t, nn_map(t, build(t, &in), NN_SQUARE), NULL);
    ERR_TRY(nn_tape_plan(t, loss));
    for (size_t i = 0; i < in->n; i++)
        nn_tape_put(t, in, i, (double)(i % 17) / 17 - 0.5);
    for (size_t r = 0; r < repeats + 5; r++) {
        const double start = now_ms();

        nn_params_clear(p);
        ERR_TRY(nn_tape_forward(t));
        ERR_TRY(nn_tape_backward(t));
        if (r >= 5)
            ms[r - 5] = now_ms() - start;
    }
    qsort(ms, repeats, sizeof(*ms), by_value);
    printf("%s %.3f\n", name, ms[repeats / 2]);
    nn_tape_free(t);
    nn_params_free(p);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    const size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
    size_t repeats = argc > 2 ? strtoul(argv[2], NULL, 10) : 40;
    static double ms[1000];

    repeats = repeats < 1 ? 1 : repeats > 1000 ? 1000 : repeats;
    par_set_threads(threads);
    if (measure("mlp", mlp, repeats, ms) != ERR_OK ||
        measure("transformer", transformer, repeats, ms) != ERR_OK ||
        measure("gru", gru, repeats, ms) != ERR_OK) {
        fprintf(stderr, "nn_step: %s\n", err_note());
        return 1;
    }
    return 0;
}
