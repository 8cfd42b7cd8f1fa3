/* src/bench_dnnl.c - oneDNN 2, opened at run time, as an anchor. */
#include <stdlib.h>

#include "base/mem.h"
#include "src/bench.h"

#ifdef HAVE_ONEAPI_DNNL_DNNL_H
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#endif

#if defined(HAVE_ONEAPI_DNNL_DNNL_H) && DNNL_VERSION_MAJOR == 2

#define FUNCTIONS(X)                                                           \
    X(sgemm)                                                                   \
    X(engine_create)                                                           \
    X(stream_create)                                                           \
    X(stream_wait)                                                             \
    X(memory_desc_init_by_tag)                                                 \
    X(eltwise_forward_desc_init)                                               \
    X(softmax_forward_desc_init)                                               \
    X(layer_normalization_forward_desc_init)                                   \
    X(primitive_desc_create)                                                   \
    X(primitive_desc_destroy)                                                  \
    X(primitive_create)                                                        \
    X(primitive_destroy)                                                       \
    X(primitive_execute)                                                       \
    X(memory_create)                                                           \
    X(memory_destroy)

static struct {
#define X(name) __typeof__(dnnl_##name) *name;
    FUNCTIONS(X)
#undef X
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    bool open;
} dnnl;

bool cmd_bench_dnnl_open(void)
{
    void *l;
    bool all = true;

    if (dnnl.open)
        return true;
    l = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (l == NULL)
        return false;
#define X(name)                                                                \
    *(void **)&dnnl.name = dlsym(l, "dnnl_" #name);                            \
    all = all && dnnl.name != NULL;
    FUNCTIONS(X)
#undef X
    dnnl.open = all &&
                dnnl.engine_create(&dnnl.engine, dnnl_cpu, 0) == dnnl_success &&
                dnnl.stream_create(&dnnl.stream, dnnl.engine,
                                   dnnl_stream_default_flags) == dnnl_success;
    return dnnl.open;
}

void cmd_bench_dnnl_gemm(const struct krn_gemm *g)
{
    (void)dnnl.sgemm(g->ta ? 'T' : 'N', g->tb ? 'T' : 'N', (dnnl_dim_t)g->m,
                     (dnnl_dim_t)g->n, (dnnl_dim_t)g->k, 1.0f, g->a,
                     (dnnl_dim_t)g->lda, g->b, (dnnl_dim_t)g->ldb, 0.0f, g->c,
                     (dnnl_dim_t)g->ldc);
}

struct bench_dnnl_map {
    dnnl_primitive_t run;
    dnnl_memory_t x, y;
};

/* The description of one of the functions, whatever its type. */
union description {
    dnnl_eltwise_desc_t eltwise;
    dnnl_softmax_desc_t softmax;
    dnnl_layer_normalization_desc_t norm;
};

static bool describe(union description *d, enum bench_map which,
                     const dnnl_memory_desc_t *m)
{
    const dnnl_prop_kind_t forward = dnnl_forward_inference;

    if (which == BENCH_EXP)
        return dnnl.eltwise_forward_desc_init(&d->eltwise, forward,
                                              dnnl_eltwise_exp, m, 0,
                                              0) == dnnl_success;
    if (which == BENCH_SOFTMAX)
        return dnnl.softmax_forward_desc_init(&d->softmax, forward, m, 1) ==
               dnnl_success;
    return dnnl.layer_normalization_forward_desc_init(
               &d->norm, forward, m, NULL, 1e-5f, 0) == dnnl_success;
}

struct bench_dnnl_map *cmd_bench_dnnl_map(enum bench_map which, size_t n,
                                          size_t d, float *x, float *y)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)n, (dnnl_dim_t)d};
    struct bench_dnnl_map *m = mem_array(1, sizeof(*m));
    dnnl_primitive_desc_t made = NULL;
    dnnl_memory_desc_t shape;
    union description what;
    bool ok =
        m != NULL && dnnl.open &&
        dnnl.memory_desc_init_by_tag(&shape, 2, dims, dnnl_f32, dnnl_ab) ==
            dnnl_success &&
        describe(&what, which, &shape) &&
        dnnl.primitive_desc_create(&made, &what, NULL, dnnl.engine, NULL) ==
            dnnl_success &&
        dnnl.primitive_create(&m->run, made) == dnnl_success &&
        dnnl.memory_create(&m->x, &shape, dnnl.engine, x) == dnnl_success &&
        dnnl.memory_create(&m->y, &shape, dnnl.engine, y) == dnnl_success;

    if (made != NULL)
        (void)dnnl.primitive_desc_destroy(made);
    if (!ok) {
        cmd_bench_dnnl_free(m);
        m = NULL;
    }
    return m;
}

void cmd_bench_dnnl_run(const struct bench_dnnl_map *m)
{
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_SRC, m->x},
                                     {DNNL_ARG_DST, m->y}};

    (void)dnnl.primitive_execute(m->run, dnnl.stream, 2, args);
    (void)dnnl.stream_wait(dnnl.stream);
}

void cmd_bench_dnnl_free(struct bench_dnnl_map *m)
{
    if (m == NULL)
        return;
    if (m->run != NULL)
        (void)dnnl.primitive_destroy(m->run);
    if (m->x != NULL)
        (void)dnnl.memory_destroy(m->x);
    if (m->y != NULL)
        (void)dnnl.memory_destroy(m->y);
    free(m);
}

#else /* built without libdnnl-dev 2 */

bool cmd_bench_dnnl_open(void)
{
    return false;
}

void cmd_bench_dnnl_gemm(const struct krn_gemm *g)
{
    (void)g;
}

struct bench_dnnl_map *cmd_bench_dnnl_map(enum bench_map which, size_t n,
                                          size_t d, float *x, float *y)
{
    (void)which, (void)n, (void)d, (void)x, (void)y;
    return NULL;
}

void cmd_bench_dnnl_run(const struct bench_dnnl_map *m)
{
    (void)m;
}

void cmd_bench_dnnl_free(struct bench_dnnl_map *m)
{
    (void)m;
}

#endif
