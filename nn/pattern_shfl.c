/*
 * nn/pattern_shfl.c - rows that want the same columns come together.
 *
 * Balanced clustering (k-means on which weights are large): the first centres
 * are rows far from each other, every cluster gets exactly V rows, and ties go
 * to the lower row and cluster, so that the order is a function of W alone.
 *
 * Source: Huang et al., Shfl-BW, DAC 2022; differs: there the assignment is a
 * flow problem; here the closest pairs are taken first, which is
 * deterministic and keeps as much (tests/test_pattern.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "kernels/ops.h"
#include "nn/pattern.h"

#define ROUNDS 8

struct pair {
    double far;
    uint32_t row, cluster;
};

struct clusters {
    size_t rows, cols, n, v; /* n clusters of v rows */
    uint8_t *big;            /* [rows][cols] */
    size_t *ptr;             /* [rows + 1] */
    uint32_t *col;           /* columns where a row is big */
    double *centre;          /* [n][cols] mean of big */
    double *size;            /* [n] |centre|^2 */
    uint32_t *of, *held;     /* [rows] cluster; [n] rows that it has */
    struct pair *pair;       /* [rows][n] */
};

static int nearer(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    if (x->far < y->far || x->far > y->far)
        return x->far < y->far ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

static enum err find_big(struct clusters *k, const struct nn_matrix *w,
                         double density)
{
    const size_t n = k->rows * k->cols;
    const double twice = 2 * density < 0.75 ? 2 * density : 0.75;
    double *score = mem_array(n, sizeof(*score));
    enum err e =
        score == NULL ? err_set(ERR_NOMEM, "no memory to prune") : ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < n; i++)
        score[i] = (double)nn_matrix_size(w, i / k->cols, i % k->cols);
    if (e == ERR_OK)
        e = nn_pattern_best(score, n, (size_t)(twice * (double)n), k->big);
    for (size_t r = 0, at = 0; e == ERR_OK && r < k->rows; r++) {
        for (size_t c = 0; c < k->cols; c++) {
            if (k->big[r * k->cols + c])
                k->col[at++] = (uint32_t)c;
        }
        k->ptr[r + 1] = at;
    }
    free(score);
    return e;
}

static size_t hamming(const struct clusters *k, size_t a, size_t b)
{
    const uint8_t *x = k->big + a * k->cols, *y = k->big + b * k->cols;
    size_t n = 0;

    for (size_t c = 0; c < k->cols; c++)
        n += x[c] != y[c];
    return n;
}

static void centre_on(struct clusters *k, size_t cluster, size_t row)
{
    for (size_t c = 0; c < k->cols; c++)
        k->centre[cluster * k->cols + c] = k->big[row * k->cols + c];
}

/* The first centre is row 0, the next ones farthest from all before. */
static void first_centres(struct clusters *k, size_t *least)
{
    size_t row = 0;

    for (size_t r = 0; r < k->rows; r++)
        least[r] = SIZE_MAX;
    for (size_t j = 0; j < k->n; j++) {
        size_t next = 0;

        centre_on(k, j, row);
        for (size_t r = 0; r < k->rows; r++) {
            const size_t d = hamming(k, r, row);

            least[r] = d < least[r] ? d : least[r];
            next = least[r] > least[next] ? r : next;
        }
        row = next;
    }
}

static void far_task(void *arg, size_t r, size_t thread)
{
    struct clusters *k = arg;

    (void)thread;
    for (size_t j = 0; j < k->n; j++) {
        const double *centre = k->centre + j * k->cols;
        double far = k->size[j];

        for (size_t a = k->ptr[r]; a < k->ptr[r + 1]; a++)
            far += 1 - 2 * centre[k->col[a]];
        k->pair[r * k->n + j] = (struct pair){far, (uint32_t)r, (uint32_t)j};
    }
}

/* The nearest pairs first, until every row has a place. */
static void assign(struct clusters *k)
{
    for (size_t j = 0; j < k->n; j++) {
        const double *centre = k->centre + j * k->cols;

        k->size[j] = 0;
        for (size_t c = 0; c < k->cols; c++)
            k->size[j] += centre[c] * centre[c];
        k->held[j] = 0;
    }
    par_for(k->rows, far_task, k);
    qsort(k->pair, k->rows * k->n, sizeof(*k->pair), nearer);
    for (size_t r = 0; r < k->rows; r++)
        k->of[r] = KRN_NO_ROW;
    for (size_t i = 0; i < k->rows * k->n; i++) {
        const struct pair *p = &k->pair[i];

        if (k->of[p->row] == KRN_NO_ROW && k->held[p->cluster] < k->v) {
            k->of[p->row] = p->cluster;
            k->held[p->cluster]++;
        }
    }
}

static void move_centres(struct clusters *k)
{
    memset(k->centre, 0, k->n * k->cols * sizeof(*k->centre));
    for (size_t r = 0; r < k->rows; r++) {
        double *centre = k->centre + k->of[r] * k->cols;

        for (size_t a = k->ptr[r]; a < k->ptr[r + 1]; a++)
            centre[k->col[a]] += 1 / (double)k->held[k->of[r]];
    }
}

static void write_order(const struct clusters *k, uint32_t *order)
{
    size_t at = 0;

    /* clusters that are not full come last, where the padding is */
    for (int full = 1; full >= 0; full--) {
        for (size_t j = 0; j < k->n; j++) {
            if ((k->held[j] == k->v) != full)
                continue;
            for (size_t r = 0; r < k->rows; r++) {
                if (k->of[r] == j)
                    order[at++] = (uint32_t)r;
            }
        }
    }
    while (at < k->n * k->v)
        order[at++] = KRN_NO_ROW;
}

enum err nn_pattern_cluster(const struct nn_pattern *p,
                            const struct nn_matrix *w, double density,
                            uint32_t *order)
{
    struct mem_scratch s = {0};
    struct clusters k = {.rows = w->rows,
                         .cols = w->cols,
                         .n = nn_pattern_groups(p, w->rows),
                         .v = p->v};
    size_t *least = mem_take(&s, k.rows, 1, sizeof(*least));

    k.big = mem_take(&s, k.rows, k.cols, 1);
    k.ptr = mem_take(&s, k.rows + 1, 1, sizeof(*k.ptr));
    k.col = mem_take_raw(&s, k.rows, k.cols, sizeof(*k.col));
    k.centre = mem_take(&s, k.n, k.cols, sizeof(*k.centre));
    k.size = mem_take(&s, k.n, 1, sizeof(*k.size));
    k.of = mem_take(&s, k.rows, 1, sizeof(*k.of));
    k.held = mem_take(&s, k.n, 1, sizeof(*k.held));
    k.pair = mem_take_raw(&s, k.rows, k.n, sizeof(*k.pair));
    enum err e = s.failed ? err_set(ERR_NOMEM, "no memory to prune")
                          : find_big(&k, w, density);

    if (e == ERR_OK) {
        first_centres(&k, least);
        for (int round = 0; round < ROUNDS; round++) {
            assign(&k);
            move_centres(&k);
        }
        write_order(&k, order);
    }
    mem_drop(&s);
    return e;
}
