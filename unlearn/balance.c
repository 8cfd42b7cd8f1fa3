/* unlearn/balance.c - balanced k-means, RecEraser's algorithms 1 and 2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/sort.h"
#include "unlearn/partition.h"

#define CHUNK 1024 /* points of a task */
#define NO_PART 255

struct balance {
    const struct unl_points *p;
    size_t k;
    float *ax, *ay;   /* [k][d], [k][e] anchors */
    uint32_t *dist;   /* [n][k] bits of the distances */
    uint32_t *order;  /* [n][k] pairs, nearest first */
    uint32_t *tmp[2]; /* [n][k] */
    uint8_t *part;    /* [n] */
    size_t *size;     /* [k] */
};

static const float *row_of(const float *x, const uint32_t *of, size_t p,
                           size_t d)
{
    return x + (of != NULL ? of[p] : p) * d;
}

static float square_distance(const float *a, const float *b, size_t d)
{
    float sum[8] = {0};

    for (size_t i = 0; i < d; i++) {
        const float diff = a[i] - b[i];

        sum[i % 8] += diff * diff;
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) +
           ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* The square of the product of norms has the order of the product. */
static void distance_task(void *arg, size_t task, size_t thread)
{
    struct balance *b = arg;
    const struct unl_points *p = b->p;
    const size_t first = task * CHUNK;
    const size_t end = first + CHUNK < p->n ? first + CHUNK : p->n;

    (void)thread;
    for (size_t i = first; i < end; i++) {
        for (size_t j = 0; j < b->k; j++) {
            float s = square_distance(b->ax + j * p->d,
                                      row_of(p->x, p->x_of, i, p->d), p->d);

            if (p->y != NULL)
                s *= square_distance(b->ay + j * p->e,
                                     row_of(p->y, p->y_of, i, p->e), p->e);
            memcpy(b->dist + i * b->k + j, &s, sizeof(s));
            b->order[i * b->k + j] = (uint32_t)(i * b->k + j);
        }
    }
}

/* Hand points out, nearest pairs first; false when nothing moved. */
static bool hand_out(struct balance *b)
{
    const size_t n = b->p->n, pairs = n * b->k;
    const size_t most = (size_t)(1.2 * (double)n / (double)b->k) + 1;
    uint8_t *old = (uint8_t *)b->tmp[1];
    size_t left = n;

    krn_sort_u32(b->dist, b->order, b->tmp[0], b->tmp[1], pairs);
    memcpy(old, b->part, n);
    memset(b->part, NO_PART, n);
    memset(b->size, 0, b->k * sizeof(*b->size));
    for (size_t e = 0; e < pairs && left > 0; e++) {
        const size_t point = b->order[e] / b->k, to = b->order[e] % b->k;

        if (b->part[point] != NO_PART || b->size[to] >= most)
            continue;
        b->part[point] = (uint8_t)to;
        b->size[to]++;
        left--;
    }
    return memcmp(old, b->part, n) != 0;
}

static void mean_of(const float *x, const uint32_t *of, size_t d,
                    const struct balance *b, float *anchor, double *sum)
{
    memset(sum, 0, b->k * d * sizeof(*sum));
    for (size_t i = 0; i < b->p->n; i++) {
        const float *row = row_of(x, of, i, d);
        double *s = sum + b->part[i] * d;

        for (size_t c = 0; c < d; c++)
            s[c] += (double)row[c];
    }
    for (size_t j = 0; j < b->k; j++) {
        if (b->size[j] == 0)
            continue; /* an empty part keeps its anchor */
        for (size_t c = 0; c < d; c++)
            anchor[j * d + c] = (float)(sum[j * d + c] / (double)b->size[j]);
    }
}

static enum err run(struct balance *b, size_t rounds, uint64_t seed,
                    struct mem_scratch *s)
{
    const struct unl_points *p = b->p;
    size_t *pick = mem_take(s, b->k, 1, sizeof(*pick));
    double *sum = mem_take(s, b->k, p->d > p->e ? p->d : p->e, sizeof(*sum));

    if (s->failed)
        return err_set(ERR_NOMEM, "no memory to part %zu points", p->n);
    rng_sample(seed, RNG_PARTITION, p->n, b->k, pick);
    for (size_t j = 0; j < b->k; j++) {
        memcpy(b->ax + j * p->d, row_of(p->x, p->x_of, pick[j], p->d),
               p->d * sizeof(float));
        if (p->y != NULL)
            memcpy(b->ay + j * p->e, row_of(p->y, p->y_of, pick[j], p->e),
                   p->e * sizeof(float));
    }
    for (size_t round = 0; round < rounds; round++) {
        par_for((p->n + CHUNK - 1) / CHUNK, distance_task, b);
        if (!hand_out(b))
            break;
        mean_of(p->x, p->x_of, p->d, b, b->ax, sum);
        if (p->y != NULL)
            mean_of(p->y, p->y_of, p->e, b, b->ay, sum);
    }
    return ERR_OK;
}

enum err unl_balance(const struct unl_points *p, size_t k, size_t rounds,
                     uint64_t seed, uint8_t *part)
{
    struct mem_scratch s = {0};
    struct balance b = {.p = p, .k = k, .part = part};
    enum err e;

    if (p->n < k || p->n > UINT32_MAX / k)
        return err_set(ERR_ARG, "%zu points cannot be cut into %zu parts", p->n,
                       k);
    b.ax = mem_take(&s, k, p->d, sizeof(float));
    b.ay = mem_take(&s, k, p->e, sizeof(float));
    b.dist = mem_take(&s, p->n, k, sizeof(*b.dist));
    b.order = mem_take(&s, p->n, k, sizeof(*b.order));
    b.tmp[0] = mem_take(&s, p->n, k, sizeof(**b.tmp));
    b.tmp[1] = mem_take(&s, p->n, k, sizeof(**b.tmp));
    b.size = mem_take(&s, k, 1, sizeof(*b.size));
    memset(part, NO_PART, p->n);
    e = s.failed ? err_set(ERR_NOMEM, "no memory to part %zu points", p->n)
                 : run(&b, rounds, seed, &s);
    mem_drop(&s);
    return e;
}
