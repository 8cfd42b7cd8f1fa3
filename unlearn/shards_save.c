/* unlearn/shards_save.c - models with shards, or without, in the store. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/mem.h"
#include "unlearn/parts.h"
#include "unlearn/shards.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the shards of a model");
}

static void copy_word(char to[STO_NAME_BYTES], const char *from)
{
    (void)snprintf(to, STO_NAME_BYTES, "%s", from);
}

enum err unl_save(struct rec_model *m, const struct unl_plan *plan,
                  const struct rec_data *d, struct sto *st,
                  struct sto_model *info)
{
    const struct unl_parts *p = m->parts;
    char *training = NULL;

    ERR_TRY(rec_options_json(unl_plan_rows, plan, &training));
    free(info->training);
    info->training = training;
    info->shards = (uint64_t)plan->shards;
    rec_data_digest(d, info->rows);
    if (plan->shards == 1)
        return rec_model_save(m, st, info);
    copy_word(info->partition, plan->partition);
    copy_word(info->aggregate, plan->aggregate);
    rec_model_device(p->base, info->device);
    copy_word(info->model, p->base->name);
    free(info->options);
    info->options = mem_text(p->options);
    if (info->options == NULL)
        return no_memory();
    info->seed = m->seed;
    info->epochs = m->epochs;
    rec_model_digest(m, info->digest);
    return sto_model_put(st, info, m->array, m->n_arrays);
}

static enum err open_sharded(struct rec_model **out, struct sto_view *v,
                             const struct sto_model *info)
{
    const struct rec_model_ops *base;
    struct unl_plan plan;
    struct rec_model *m;
    void *texts = NULL;

    ERR_TRY(rec_model_find(info->model, &base));
    enum err e = unl_plan_parse(&plan, info->training, &texts);

    if (e == ERR_OK)
        e = unl_parts_new(&m, base, info->options, &plan);
    json_decref(texts);
    if (e != ERR_OK)
        return e;
    e = rec_model_load(m, v, info);
    if (e != ERR_OK)
        rec_model_free(m);
    else
        *out = m;
    return e;
}

enum err unl_open(struct rec_model **out, struct sto_view *v, const char *name,
                  struct sto_model *info)
{
    struct sto_model found = {0};
    enum err e;

    ERR_TRY(sto_model_get(v, name, &found));
    e = found.shards > 1 ? open_sharded(out, v, &found)
                         : rec_model_open(out, v, name, NULL);
    if (e == ERR_OK && info != NULL)
        *info = found;
    else
        sto_model_free(&found);
    return e;
}
