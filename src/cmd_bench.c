/* src/cmd_bench.c - figures of this machine, beside other libraries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "src/bench.h"
#include "src/ui.h"

static struct values {
    const char *kernel, *shape, *python;
} v;

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"kernel", 0, OPT_TEXT, AT(kernel), NULL, 0, 0, "NAME",
     "this kernel alone: sgemm, csr-spmm, sparse, rerank-list, cholesky-solve, topk, exp, softmax, "
     "layernorm"},
    {"shape", 0, OPT_TEXT, AT(shape), NULL, 0, 0, "MxNxK",
     "with --kernel sgemm: the product of these sizes alone"},
    {"python", 0, OPT_TEXT, AT(python), "python3", 0, 0, "PROGRAM",
     "the Python whose scipy, PyTorch and FAISS are compared with"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static const char *const kernels[] = {
    "sgemm", "csr-spmm", "sparse",  "rerank-list", "cholesky-solve",
    "topk",  "exp",      "softmax", "layernorm",   NULL};

/* --- interactions whose graph is propagated over ---------------------------
 */

/* The size and, roughly, the skew of Gowalla's official split. */
#define USERS 29858
#define ITEMS 40981
#define ROWS_OF_USER 27

static enum err made_up(struct rec_data *d)
{
    *d = (struct rec_data){.n_users = USERS, .n_items = ITEMS};
    d->user_ptr = mem_array(USERS + 1, sizeof(*d->user_ptr));
    d->item = mem_array((size_t)USERS * ROWS_OF_USER, sizeof(*d->item));
    d->user_key = mem_array(USERS, sizeof(*d->user_key));
    d->item_key = mem_array(ITEMS, sizeof(*d->item_key));
    if (d->user_ptr == NULL || d->item == NULL || d->user_key == NULL ||
        d->item_key == NULL)
        return err_set(ERR_NOMEM, "no memory for interactions");
    for (size_t u = 0; u < USERS; u++) {
        /* one item of each of 27 stripes, the first ones of a stripe often */
        const size_t wide = ITEMS / ROWS_OF_USER;

        for (size_t j = 0; j < ROWS_OF_USER; j++) {
            const float x = rng_f32(1, RNG_SYNTH, d->n_rows);

            d->item[d->n_rows++] =
                (uint32_t)(j * wide + (size_t)((float)wide * x * x * x));
        }
        d->user_ptr[u + 1] = d->n_rows;
    }
    return ERR_OK;
}

/* The store's training rows, or made-up ones where there is no store. */
static enum err load(struct rec_data *d, const struct cmd_common *c,
                     bool *invented)
{
    struct cmd_opened o = {0};
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = rec_data_load(d, o.v);
    cmd_ui_close(&o);
    *invented = e == ERR_NOTFOUND || (e == ERR_OK && d->n_rows == 0);
    if (!*invented)
        return e;
    rec_data_free(d);
    return c->store != NULL && e != ERR_OK ? e : made_up(d);
}

/* --- the run ---------------------------------------------------------------
 */

static void machine(char *out, size_t n)
{
    FILE *in = fopen("/proc/cpuinfo", "r");
    char line[256];

    (void)snprintf(out, n, "an unknown processor");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        char *name = strstr(line, "model name");

        if (name != NULL && (name = strchr(line, ':')) != NULL) {
            name[strcspn(name, "\n")] = '\0';
            (void)snprintf(out, n, "%s", name + 2);
            break;
        }
    }
    if (in != NULL)
        (void)fclose(in);
}

static void head(const struct bench *b, const char *name)
{
    printf("%s, %s, %.0f GFLOP/s by one thread, %.0f by %zu\n\n", name,
           cpu_ops()->name, b->peak[0] * 1e-9, b->peak[1] * 1e-9, b->most);
    printf("%-15s %-22s %7s %9s %-9s %-9s%9s%9s%9s\n", "kernel", "shape",
           "threads", "recd", "unit", "anchor", "anchor", "ratio", "of bound");
}

static enum err graph(struct bench *b, const struct cmd_common *c)
{
    struct rec_data d = {0};
    bool invented;
    enum err e = load(&d, c, &invented);
    char shape[48];

    (void)snprintf(shape, sizeof(shape), "%zu nodes%s", d.n_users + d.n_items,
                   invented ? ", made" : "");
    if (e == ERR_OK)
        e = cmd_bench_graph(b, &d, shape);
    rec_data_free(&d);
    return e;
}

static enum err measure(struct bench *b, const struct cmd_common *c)
{
    (void)cmd_bench_blas_open(); /* its threads must not inherit a pinned one */
    b->peak[0] = cmd_bench_peak(1);
    b->peak[1] = cmd_bench_peak(b->most);
    char name[256];

    machine(name, sizeof(name));
    if (!b->json)
        head(b, name);
    if (cmd_bench_wants(b, "sgemm"))
        ERR_TRY(cmd_bench_dense(b));
    if (cmd_bench_wants(b, "csr-spmm"))
        ERR_TRY(graph(b, c));
    if (cmd_bench_wants(b, "sparse"))
        ERR_TRY(cmd_bench_sparse(b));
    if (cmd_bench_wants(b, "rerank-list"))
        ERR_TRY(cmd_bench_rerank(b));
    ERR_TRY(cmd_bench_small(b));
    if (cmd_bench_wants(b, "topk"))
        ERR_TRY(cmd_bench_topk(b));
    if (b->json)
        cmd_ui_json(json_pack("{s:s, s:s, s:[f, f], s:O}", "machine", name,
                              "isa", cpu_ops()->name, "peak_gflops",
                              b->peak[0] * 1e-9, b->peak[1] * 1e-9, "rows",
                              b->rows));
    return ERR_OK;
}

#define LARGEST (1 << 20)

/* "MxNxK"; matrices of at most 2^28 floats. */
static enum err sizes_of(size_t *sizes, const char *text)
{
    const char *at = text;

    if (v.kernel == NULL || strcmp(v.kernel, "sgemm") != 0)
        return err_set(ERR_ARG, "--shape is that of a product: give --kernel "
                                "sgemm with it");
    for (size_t i = 0; i < 3; i++) {
        char *end;
        const unsigned long n = strtoul(at, &end, 10);

        if (*at < '0' || *at > '9' || n == 0 || n > LARGEST ||
            *end != (i < 2 ? 'x' : '\0'))
            return err_set(ERR_ARG,
                           "--shape %s: give three numbers of 1 to %d, "
                           "such as 256x512x64",
                           text, LARGEST);
        sizes[i] = n;
        at = end + 1;
    }
    for (size_t i = 0; i < 3; i++)
        if (sizes[i] * sizes[(i + 1) % 3] > (size_t)1 << 28)
            return err_set(ERR_ARG, "--shape %s: a matrix of more than 1 GiB",
                           text);
    return ERR_OK;
}

static enum err check(struct bench *b, int n_words, char **word)
{
    size_t i = 0;

    if (n_words != 1 || strcmp(word[0], "kernels") != 0)
        return err_set(ERR_ARG, "%s%s%ssay what to measure: recd bench kernels",
                       n_words > 0 ? "\"" : "", n_words > 0 ? word[0] : "",
                       n_words > 0 ? "\" cannot be measured: " : "");
    if (v.shape != NULL)
        return sizes_of(b->sizes, v.shape);
    if (v.kernel == NULL)
        return ERR_OK;
    while (kernels[i] != NULL && strcmp(kernels[i], v.kernel) != 0)
        i++;
    if (kernels[i] != NULL)
        return ERR_OK;
    return opt_unknown("kernel", v.kernel, kernels, NULL);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    struct bench b = {.json = c->json,
                      .rows = json_array(),
                      .most = par_threads(),
                      .only = v.kernel,
                      .python = v.python};
    enum err e = check(&b, n_words, word);

    if (e == ERR_OK)
        e = measure(&b, c);
    json_decref(b.rows);
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_bench;
const struct cmd cmd_bench = {
    .name = "bench",
    .words = "kernels [options]",
    .help = "measure this machine's kernels beside other libraries",
    .opts = rows,
    .values = &v,
    .run = run,
};
