/* rec/thin.c - networks that end sparse or narrow. */
#include "rec/thin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LINE 96 /* bytes of a layer in the text */

static enum err damaged(void)
{
    return err_set(ERR_FORMAT, "the weights of the network are damaged");
}

/* --- options -----------------------------------------------------------------
 */

static bool is_given(const struct opt *rows, const void *opts, const char *name)
{
    for (const struct opt *r = rows; r->name != NULL; r++) {
        if (strcmp(r->name, name) == 0)
            return opt_is_given(r, opts);
    }
    return false;
}

bool rec_thin_narrows(const struct rec_thin_opts *o)
{
    return strcmp(o->schedule, "chex") == 0 ||
           strcmp(o->pattern, "channels") == 0;
}

static enum err check_narrow(const struct rec_thin_opts *o,
                             const struct opt *rows, const void *opts)
{
    if (is_given(rows, opts, "schedule") && strcmp(o->schedule, "chex") != 0)
        return err_set(ERR_ARG, "--pattern channels goes with --schedule chex");
    if (is_given(rows, opts, "pattern") && strcmp(o->pattern, "channels") != 0)
        return err_set(ERR_ARG, "--schedule chex takes whole channels away: "
                                "--pattern channels");
    return o->levels > 1 ? err_set(ERR_ARG, "--levels means nothing to "
                                            "--schedule chex")
                         : ERR_OK;
}

enum err rec_thin_check(const struct rec_thin_opts *o, const struct opt *rows,
                        const void *opts)
{
    static const char *const names[] = {"pattern", "schedule", "levels"};
    struct nn_pattern pattern;
    enum nn_schedule schedule = NN_PRUNE_GAP;

    if (!rec_thin_narrows(o)) {
        ERR_TRY(nn_pattern_parse(&pattern, o->pattern));
        ERR_TRY(nn_prune_parse(&schedule, o->schedule));
    }
    for (size_t i = 0; i < 3 && o->sparsity <= 0; i++) {
        if (is_given(rows, opts, names[i]))
            return err_set(ERR_ARG, "--%s means nothing without --sparsity",
                           names[i]);
    }
    if (rec_thin_narrows(o))
        return check_narrow(o, rows, opts);
    return o->levels > 1 && schedule == NN_PRUNE_PARALLEL
               ? err_set(ERR_ARG, "--levels are for schedules of one worker")
               : ERR_OK;
}

/* --- training ----------------------------------------------------------------
 */

enum err rec_thin_open(struct rec_thin *k, const struct rec_thin_opts *o,
                       size_t epochs, uint64_t seed, struct nn_params *params,
                       struct nn_tape *tape)
{
    struct nn_prune_opt how = {.sparsity = o->sparsity,
                               .epochs = epochs,
                               .levels = (size_t)o->levels,
                               .seed = seed};

    if (o->sparsity <= 0)
        return ERR_OK;
    if (rec_thin_narrows(o))
        return nn_chex_new(&k->chex, tape,
                           &(struct nn_chex_opt){o->sparsity, epochs, seed});
    ERR_TRY(nn_pattern_parse(&how.pattern, o->pattern));
    ERR_TRY(nn_prune_parse(&how.schedule, o->schedule));
    return nn_prune_new(&k->prune, params, &how);
}

void rec_thin_close(struct rec_thin *k)
{
    for (size_t i = 0; i < k->n_packed; i++)
        nn_sparse_free(&k->packed[i]);
    free(k->packed);
    nn_prune_free(k->prune);
    nn_chex_free(k->chex);
    *k = (struct rec_thin){.prune = NULL};
}

size_t rec_thin_passes(const struct rec_thin *k, size_t epochs)
{
    return k->prune != NULL ? nn_prune_passes(k->prune) : epochs;
}

enum err rec_thin_epoch(struct rec_thin *k, size_t pass, struct nn_optim *optim)
{
    if (k->chex != NULL)
        return nn_chex_epoch(k->chex, pass);
    return k->prune != NULL ? nn_prune_epoch(k->prune, pass, optim) : ERR_OK;
}

void rec_thin_step(const struct rec_thin *k)
{
    if (k->prune != NULL)
        nn_prune_step(k->prune);
    if (k->chex != NULL)
        nn_chex_step(k->chex);
}

enum err rec_thin_end(struct rec_thin *k)
{
    if (k->chex != NULL)
        return nn_chex_end(k->chex);
    return k->prune != NULL ? nn_prune_end(k->prune) : ERR_OK;
}

enum err rec_thin_pack(struct rec_thin *k)
{
    const size_t n = k->prune != NULL ? nn_prune_count(k->prune) : 0;

    if (n == 0)
        return ERR_OK;
    k->packed = mem_array(n, sizeof(*k->packed));
    if (k->packed == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    for (; k->n_packed < n; k->n_packed++)
        ERR_TRY(nn_prune_pack(k->prune, k->n_packed, &k->packed[k->n_packed]));
    return ERR_OK;
}

/* --- what a model keeps ------------------------------------------------------
 */

const struct sto_array *rec_thin_array(const struct rec_model *m,
                                       const char *name)
{
    for (size_t i = 0; i < m->n_arrays; i++) {
        if (strcmp(m->array[i].name, name) == 0)
            return &m->array[i];
    }
    return NULL;
}

enum err rec_thin_load(struct nn_sparse *s, const struct sto_array *a,
                       struct nn_params *params, size_t number, size_t level)
{
    const struct nn_param *x = nn_params_view(params, number);
    float *own = (float *)nn_params_values(params) + x->at, *turned;

    if (a == NULL || a->type != STO_U32 || a->cols != 1)
        return damaged();
    ERR_TRY(nn_sparse_load(s, a->data, a->rows * 4));
    if (x->n_dims != 2 || s->rows != x->dim[1] || s->cols != x->dim[0] ||
        level > s->n_levels)
        return damaged();
    turned = mem_array(x->n, sizeof(*turned));
    if (turned == NULL)
        return err_set(ERR_NOMEM, "no memory for a sparse network");
    level = level > 0 ? level - 1 : s->n_levels - 1;
    nn_sparse_unpack(s, level, turned);
    for (size_t e = 0; e < x->n; e++)
        own[e % s->cols * s->rows + e / s->cols] = turned[e];
    free(turned);
    nn_params_serve(params, number, s, level);
    return ERR_OK;
}

enum err rec_thin_layers(const struct rec_thin *k, char **text)
{
    const size_t n = nn_chex_count(k->chex);
    char *out = mem_array(n * LINE + 1, 1), *at = out;

    if (out == NULL)
        return err_set(ERR_NOMEM, "no memory for a narrow network");
    for (size_t l = 0; l < n; l++)
        at += snprintf(at, LINE, "%.63s %zu\n", nn_chex_name(k->chex, l),
                       nn_chex_outputs(k->chex, l));
    *text = out;
    return ERR_OK;
}

/* One line; *end behind its number, or NULL. */
static enum err narrow_line(struct nn_params *params, char *line)
{
    char *space = strchr(line, ' '), *end;

    if (space == NULL || space == line || space[1] < '1' || space[1] > '9')
        return damaged();
    *space = '\0';
    const unsigned long outputs = strtoul(space + 1, &end, 10);

    if (*end != '\0' || outputs > UINT32_MAX)
        return damaged();
    return nn_params_narrow(params, line, outputs);
}

enum err rec_thin_narrow(struct nn_params *params, const char *text, size_t n)
{
    char *copy = mem_array(n + 1, 1), *rest = copy, *line;
    enum err e = ERR_OK;

    if (copy == NULL)
        return err_set(ERR_NOMEM, "no memory for a narrow network");
    memcpy(copy, text, n);
    while (e == ERR_OK && (line = strsep(&rest, "\n")) != NULL) {
        if (*line != '\0')
            e = narrow_line(params, line);
    }
    free(copy);
    return e;
}
