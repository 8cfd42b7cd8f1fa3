/*
 * rec/contrast.c - scores of a piece as one matrix product.
 *
 * Pieces are independent tasks: each writes what its rows and negatives give
 * to their nodes ("parts").  Then the parts are sorted by node, stably, and
 * added in that order as a sparse product, so that no two tasks ever write
 * to one node and the order of additions is a function of the batch alone.
 */
#include "rec/contrast.h"

#include <string.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/elem.h"
#include "kernels/sort.h"

#define ROWS ((size_t)REC_CONTRAST_ROWS)
#define NEVER (-1e30f) /* the score of an item that does not count */

struct rec_contrast_room {
    float *gemm;     /* KRN_GEMM_SCRATCH */
    float *people;   /* [ROWS][dim] */
    float *items;    /* [negatives][dim] */
    float *score;    /* [ROWS][ld]: negatives, then the row's own item */
    uint32_t *first; /* [n_items] 1 + a piece's negative that is this item */
    uint32_t *next;  /* [negatives] 1 + another that is the same */
};

static size_t pieces_of(size_t rows)
{
    return (rows + ROWS - 1) / ROWS;
}

static size_t parts_of(const struct rec_contrast_opts *o)
{
    return 2 * o->batch + pieces_of(o->batch) * o->negatives;
}

double rec_contrast_bytes(const struct rec_data *d,
                          const struct rec_contrast_opts *o)
{
    const double dim = (double)o->dim, m = (double)o->negatives;
    const double room = 4.0 * KRN_GEMM_SCRATCH + 4 * (ROWS + m) * dim +
                        4 * ROWS * (m + 32) + 4 * (double)d->n_items + 4 * m;

    return 4 * (double)d->n_rows + (double)parts_of(o) * (4 * dim + 16) +
           8 * (double)(d->n_users + d->n_items) + room * (double)par_threads();
}

static void take_room(struct rec_contrast *c, struct rec_contrast_room *r)
{
    const size_t dim = c->o.dim, m = c->o.negatives;

    r->gemm = mem_take(&c->s, KRN_GEMM_SCRATCH, 1, sizeof(float));
    r->people = mem_take(&c->s, ROWS, dim, sizeof(float));
    r->items = mem_take(&c->s, m, dim, sizeof(float));
    r->score = mem_take(&c->s, ROWS, c->ld, sizeof(float));
    r->first = mem_take(&c->s, c->d->n_items, 1, sizeof(*r->first));
    r->next = mem_take(&c->s, m, 1, sizeof(*r->next));
}

enum err rec_contrast_init(struct rec_contrast *c, const struct rec_data *d,
                           const struct rec_contrast_opts *o)
{
    const size_t parts = parts_of(o);

    *c = (struct rec_contrast){
        .d = d, .o = *o, .ld = (o->negatives + 1 + 15) / 16 * 16};
    c->row_user = mem_take(&c->s, d->n_rows, 1, sizeof(uint32_t));
    c->part = mem_take(&c->s, parts, o->dim, sizeof(float));
    c->node = mem_take(&c->s, parts, 1, sizeof(uint32_t));
    c->node_tmp = mem_take(&c->s, parts, 1, sizeof(uint32_t));
    c->from = mem_take(&c->s, parts, 1, sizeof(uint32_t));
    c->from_tmp = mem_take(&c->s, parts, 1, sizeof(uint32_t));
    c->ptr = mem_take(&c->s, d->n_users + d->n_items + 1, 1, sizeof(size_t));
    c->loss = mem_take(&c->s, pieces_of(o->batch), 1, sizeof(double));
    c->room = mem_take(&c->s, par_threads(), 1, sizeof(*c->room));
    for (size_t t = 0; t < par_threads() && !c->s.failed; t++)
        take_room(c, &c->room[t]);
    if (c->s.failed)
        return err_set(ERR_NOMEM,
                       "no memory for a batch of %zu rows: lower "
                       "--batch or --negatives",
                       o->batch);
    for (size_t u = 0; u < d->n_users; u++)
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            c->row_user[r] = (uint32_t)u;
    return ERR_OK;
}

void rec_contrast_free(struct rec_contrast *c)
{
    mem_drop(&c->s);
}

/* --- one piece --------------------------------------------------------------
 */

struct step {
    struct rec_contrast *c;
    const uint32_t *row;
    size_t n, pieces;
    uint64_t seed;
    const float *vec;
};

/* A piece: its rows, and where its parts go. */
struct piece {
    const struct step *s;
    struct rec_contrast_room *r;
    const uint32_t *row;        /* [n] */
    size_t n;                   /* rows */
    float *user, *item, *other; /* parts */
    uint32_t *user_node, *item_node, *other_node;
};

static struct piece piece_of(const struct step *s, size_t at, size_t thread)
{
    const struct rec_contrast *c = s->c;
    const size_t first = at * ROWS, m = c->o.negatives;
    const size_t other = 2 * s->n + at * m;

    return (struct piece){.s = s,
                          .r = &c->room[thread],
                          .row = s->row + first,
                          .n = s->n - first < ROWS ? s->n - first : ROWS,
                          .user = c->part + first * c->o.dim,
                          .item = c->part + (s->n + first) * c->o.dim,
                          .other = c->part + other * c->o.dim,
                          .user_node = c->node + first,
                          .item_node = c->node + s->n + first,
                          .other_node = c->node + other};
}

/* Name the nodes of the piece and gather the vectors that are multiplied. */
static void gather(const struct piece *p, uint64_t seed)
{
    const struct rec_contrast *c = p->s->c;
    const struct rec_data *d = c->d;
    const size_t dim = c->o.dim, bytes = dim * sizeof(float);

    for (size_t b = 0; b < p->n; b++) {
        p->user_node[b] = c->row_user[p->row[b]];
        p->item_node[b] = (uint32_t)(d->n_users + d->item[p->row[b]]);
        memcpy(p->r->people + b * dim, p->s->vec + p->user_node[b] * dim,
               bytes);
    }
    for (size_t m = 0; m < c->o.negatives; m++) {
        const size_t j = rng_below(seed, RNG_NEGATIVE, m, d->n_items);

        p->other_node[m] = (uint32_t)(d->n_users + j);
        memcpy(p->r->items + m * dim, p->s->vec + p->other_node[m] * dim,
               bytes);
        p->r->next[m] = p->r->first[j];
        p->r->first[j] = (uint32_t)m + 1;
    }
}

/* Scores of the negatives that the person of row b has met: NEVER. */
static void strike_met(const struct piece *p, size_t b)
{
    const struct rec_data *d = p->s->c->d;
    const size_t u = p->user_node[b];
    float *score = p->r->score + b * p->s->c->ld;

    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
        for (uint32_t m = p->r->first[d->item[r]]; m > 0; m = p->r->next[m - 1])
            score[m - 1] = NEVER;
}

/* Scores of a row to the derivatives of its loss by them; the loss. */
static double row_softmax(const struct rec_contrast *c, float *score,
                          float weight)
{
    const size_t n = c->o.negatives + 1;
    const float t = 1 / c->o.temperature;

    cpu_ops()->scale_f32(score, t, n);
    cpu_ops()->softmax_f32(score, score, n);
    const float own = score[n - 1];

    score[n - 1] = own - 1;
    cpu_ops()->scale_f32(score, t * weight, n);
    return -(double)krn_log1(own > 1e-37f ? own : 1e-37f);
}

static double row_bpr(const struct rec_contrast *c, float *score, float weight)
{
    const size_t n = c->o.negatives;
    const float own = score[n];
    double loss = 0;
    size_t counted = 0;

    for (size_t m = 0; m < n; m++) {
        counted += score[m] > NEVER;
        score[m] -= own;
    }
    cpu_ops()->sigmoid_f32(score, score, n);
    if (counted == 0)
        counted = 1;               /* all are 0 */
    for (size_t m = 0; m < n; m++) /* -log sigmoid(-x) */
        loss -= (double)krn_log1(1 - score[m] > 1e-37f ? 1 - score[m] : 1e-37f);
    cpu_ops()->scale_f32(score, weight / (float)counted, n);
    score[n] = -cpu_ops()->sum_f32(score, n);
    return loss / (double)counted;
}

/* The rows' losses; afterwards score holds derivatives. */
static double differentiate(const struct piece *p)
{
    const struct rec_contrast *c = p->s->c;
    const size_t dim = c->o.dim;
    const float weight = 1 / (float)p->s->n;
    double loss = 0;

    for (size_t b = 0; b < p->n; b++) {
        float *score = p->r->score + b * c->ld;

        strike_met(p, b);
        score[c->o.negatives] = cpu_ops()->dot_f32(
            p->r->people + b * dim, p->s->vec + p->item_node[b] * dim, dim);
        loss += c->o.bpr ? row_bpr(c, score, weight)
                         : row_softmax(c, score, weight);
    }
    return loss;
}

/* From derivatives by scores to derivatives by vectors. */
static void hand_back(const struct piece *p)
{
    const struct rec_contrast *c = p->s->c;
    const size_t dim = c->o.dim, m = c->o.negatives;
    struct krn_gemm g = {.m = p->n,
                         .n = dim,
                         .k = m,
                         .a = p->r->score,
                         .lda = c->ld,
                         .b = p->r->items,
                         .ldb = dim,
                         .c = p->user,
                         .ldc = dim,
                         .scratch = p->r->gemm};

    cpu_ops()->gemm_f32(&g);
    g.ta = true;
    g.m = m;
    g.k = p->n;
    g.b = p->r->people;
    g.c = p->other;
    cpu_ops()->gemm_f32(&g);
    memset(p->item, 0, p->n * dim * sizeof(float));
    for (size_t b = 0; b < p->n; b++) {
        const float own = p->r->score[b * c->ld + m];

        cpu_ops()->axpy_f32(p->user + b * dim, own,
                            p->s->vec + p->item_node[b] * dim, dim);
        cpu_ops()->axpy_f32(p->item + b * dim, own, p->r->people + b * dim,
                            dim);
    }
}

static void piece_task(void *arg, size_t at, size_t thread)
{
    const struct step *s = arg;
    const struct rec_contrast *c = s->c;
    const struct piece p = piece_of(s, at, thread);

    gather(&p, rng_derive(s->seed, RNG_NEGATIVE, at));
    cpu_ops()->gemm_f32(&(struct krn_gemm){.tb = true,
                                           .m = p.n,
                                           .n = c->o.negatives,
                                           .k = c->o.dim,
                                           .a = p.r->people,
                                           .lda = c->o.dim,
                                           .b = p.r->items,
                                           .ldb = c->o.dim,
                                           .c = p.r->score,
                                           .ldc = c->ld,
                                           .scratch = p.r->gemm});
    c->loss[at] = differentiate(&p);
    hand_back(&p);
    for (size_t m = 0; m < c->o.negatives; m++)
        p.r->first[p.other_node[m] - c->d->n_users] = 0;
}

/* --- all pieces -------------------------------------------------------------
 */

/* grad = the sum of the parts of each node. */
static void collect(const struct step *s, float *grad)
{
    struct rec_contrast *c = s->c;
    const size_t n_nodes = c->d->n_users + c->d->n_items;
    const size_t parts = 2 * s->n + s->pieces * c->o.negatives;

    memset(c->ptr, 0, (n_nodes + 1) * sizeof(*c->ptr));
    for (size_t a = 0; a < parts; a++) {
        c->from[a] = (uint32_t)a;
        c->ptr[c->node[a] + (size_t)1]++;
    }
    for (size_t a = 0; a < n_nodes; a++)
        c->ptr[a + 1] += c->ptr[a];
    krn_sort_u32(c->node, c->from, c->node_tmp, c->from_tmp, parts);
    la_spmm(&(struct krn_spmm){.last = n_nodes,
                               .d = c->o.dim,
                               .ptr = c->ptr,
                               .idx = c->from,
                               .x = c->part,
                               .ldx = c->o.dim,
                               .y = grad,
                               .ldy = c->o.dim});
}

double rec_contrast_step(struct rec_contrast *c, const uint32_t *row, size_t n,
                         uint64_t seed, const float *vec, float *grad)
{
    struct step s = {c, row, n, pieces_of(n), seed, vec};
    double loss = 0;

    par_for(s.pieces, piece_task, &s);
    for (size_t p = 0; p < s.pieces; p++)
        loss += c->loss[p];
    collect(&s, grad);
    return loss / (double)n;
}
