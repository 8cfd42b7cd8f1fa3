/* src/bench_graph.c - the graph's product and top-k lists beside Python's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/la.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "rec/graph.h"
#include "rec/rank.h"
#include "src/bench.h"

#define D 64

/* A folder for the arrays that Python reads; "" when there is none. */
static void make_dir(char *dir, size_t n)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(dir, n, "%s/recd-bench.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        dir[0] = '\0';
}

static void drop_dir(const char *dir, const char *const *names)
{
    char path[4200];

    for (; *names != NULL; names++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, *names);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static double seconds_of(const json_t *all, const char *name)
{
    const json_t *s = json_object_get(all, name);

    return s != NULL ? json_number_value(s) : NAN;
}

/* --- graph -----------------------------------------------------------------
 */

struct spmm {
    struct rec_graph g;
    float *x, *y;
    float sink[PAR_MAX * 16];
};

static void spmm_own(void *arg)
{
    const struct spmm *s = arg;

    la_spmm(&(struct krn_spmm){.last = s->g.n_nodes,
                               .d = D,
                               .ptr = s->g.ptr,
                               .idx = s->g.idx,
                               .val = s->g.val,
                               .x = s->x,
                               .ldx = D,
                               .y = s->y,
                               .ldy = D});
}

#define READ_ROWS 512

static void read_task(void *arg, size_t task, size_t thread)
{
    struct spmm *s = arg;
    const size_t first = task * READ_ROWS;
    const size_t n =
        s->g.n_nodes - first < READ_ROWS ? s->g.n_nodes - first : READ_ROWS;

    s->sink[thread * 16] += cpu_ops()->sum_f32(s->x + first * D, n * D);
}

/* The bound: reading the vectors in order. */
static void read_all(void *arg)
{
    const struct spmm *s = arg;

    par_for((s->g.n_nodes + READ_ROWS - 1) / READ_ROWS, read_task, arg);
}

static enum err spmm_save(const struct spmm *s, const char *dir)
{
    const size_t n = s->g.n_nodes, nnz = s->g.ptr[n];

    ERR_TRY(cmd_bench_save(dir, "ptr", s->g.ptr, (n + 1) * sizeof(*s->g.ptr)));
    ERR_TRY(cmd_bench_save(dir, "idx", s->g.idx, nnz * sizeof(*s->g.idx)));
    ERR_TRY(cmd_bench_save(dir, "val", s->g.val, nnz * sizeof(*s->g.val)));
    return cmd_bench_save(dir, "x", s->x, n * D * sizeof(float));
}

static void spmm_rows(struct bench *b, struct spmm *s, const json_t *others,
                      const char *shape)
{
    static const char *const anchors[] = {"scipy", "pytorch"};
    const double nnz = (double)s->g.ptr[s->g.n_nodes];
    const double nodes = (double)s->g.n_nodes, work = 2 * nnz * D * 1e-9;
    double mine, bound, none;

    cmd_bench_threads(b->most);
    cmd_bench_time(&mine, &none, spmm_own, NULL, s);
    cmd_bench_time(&bound, &none, read_all, NULL, s);
    for (size_t i = 0; i < 2; i++)
        cmd_bench_add(b, &(struct bench_row){
                             "csr-spmm", shape, "GFLOP/s", anchors[i], b->most,
                             work / mine, work / seconds_of(others, anchors[i]),
                             bound / nodes * nnz / mine});
}

enum err cmd_bench_graph(struct bench *b, const struct rec_data *d,
                         const char *shape)
{
    static const char *const names[] = {"ptr", "idx", "val", "x", NULL};
    struct spmm s = {.x = NULL};
    char dir[4096];
    json_t *others = NULL;

    ERR_TRY(rec_graph_build(&s.g, d));
    s.x = cmd_bench_random(s.g.n_nodes * D, 1);
    s.y = cmd_bench_random(s.g.n_nodes * D, 2);
    enum err e = s.x == NULL || s.y == NULL
                     ? err_set(ERR_NOMEM, "no memory for vectors")
                     : ERR_OK;

    make_dir(dir, sizeof(dir));
    if (e == ERR_OK && dir[0] != '\0' && spmm_save(&s, dir) == ERR_OK)
        others = cmd_bench_python(b, "spmm", dir);
    if (e == ERR_OK)
        spmm_rows(b, &s, others, shape);
    if (dir[0] != '\0')
        drop_dir(dir, names);
    json_decref(others);
    rec_graph_free(&s.g);
    free(s.x);
    free(s.y);
    return e;
}

/* --- top-k -----------------------------------------------------------------
 */

#define USERS 8192
#define ITEMS 100000
#define K 100

static float *user_vec, *item_vec; /* of the model below */

static enum err embed(const struct rec_model *m, const struct rec_query *q,
                      float *vec)
{
    (void)m;
    for (size_t p = 0; p < q->n; p++)
        memcpy(vec + p * D, user_vec + (size_t)q->user[p] * D,
               D * sizeof(float));
    return ERR_OK;
}

static const float *item_vectors(const struct rec_model *m, size_t *d)
{
    (void)m;
    *d = D;
    return item_vec;
}

static const struct rec_model_ops products = {
    .name = "products", .embed = embed, .item_vectors = item_vectors};

struct lists {
    struct rec_model m;
    struct rec_data d;
    uint32_t *list;
    enum err e;
};

static void topk_own(void *arg)
{
    struct lists *l = arg;

    l->e = rec_rank_users(&l->m, &l->d, 0, USERS, K, false, l->list, NULL);
}

static enum err topk_rows(struct bench *b, struct lists *l,
                          const json_t *others)
{
    const double work = 2.0 * USERS * (double)ITEMS * D;
    double mine, none;

    cmd_bench_threads(b->most);
    cmd_bench_time(&mine, &none, topk_own, NULL, l);
    cmd_bench_add(b,
                  &(struct bench_row){"topk", "100 of 100000", "us", "faiss",
                                      b->most, mine / USERS * 1e6,
                                      seconds_of(others, "faiss") / USERS * 1e6,
                                      work / mine / b->peak[b->most > 1]});
    return l->e;
}

enum err cmd_bench_topk(struct bench *b)
{
    static const char *const names[] = {"users", "items", NULL};
    struct mem_scratch s = {0};
    struct lists l = {
        .m = {.ops = &products, .n_users = USERS, .n_items = ITEMS},
        .d = {.n_users = USERS, .n_items = ITEMS}};
    char dir[4096];
    json_t *others = NULL;
    enum err e = ERR_OK;

    user_vec = cmd_bench_random(USERS * D, 1);
    item_vec = cmd_bench_random((size_t)ITEMS * D, 2);
    l.list = mem_take(&s, USERS, K, sizeof(*l.list));
    l.d.user_ptr = mem_take(&s, USERS + 1, 1, sizeof(*l.d.user_ptr));
    l.d.item = mem_take(&s, USERS, 1, sizeof(*l.d.item));
    make_dir(dir, sizeof(dir));
    if (s.failed || user_vec == NULL || item_vec == NULL)
        e = err_set(ERR_NOMEM, "no memory for vectors");
    for (size_t u = 0; e == ERR_OK && u < USERS; u++)
        l.d.user_ptr[u + 1] = u + 1; /* a history, so that they have a taste */
    if (e == ERR_OK && dir[0] != '\0' &&
        cmd_bench_save(dir, "users", user_vec, USERS * D * sizeof(float)) ==
            ERR_OK &&
        cmd_bench_save(dir, "items", item_vec,
                       (size_t)ITEMS * D * sizeof(float)) == ERR_OK)
        others = cmd_bench_python(b, "topk", dir);
    if (e == ERR_OK)
        e = topk_rows(b, &l, others);
    if (dir[0] != '\0')
        drop_dir(dir, names);
    json_decref(others);
    free(user_vec);
    free(item_vec);
    mem_drop(&s);
    return e;
}
