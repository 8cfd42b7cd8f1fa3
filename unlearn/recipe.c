/* unlearn/recipe.c - training as a stored model was trained. */
#include <jansson.h>
#include <stdio.h>

#include "unlearn/shards.h"

/* A recipe as it was recorded: an untrained model and a plan. */
struct recipe {
    struct rec_model *like;
    struct unl_plan plan;
    void *texts;
};

static void recipe_free(struct recipe *r)
{
    rec_model_free(r->like);
    json_decref(r->texts);
}

static enum err recipe_open(struct recipe *r, const struct sto_model *info,
                            const char *dir)
{
    const struct rec_model_ops *base;

    *r = (struct recipe){0};
    ERR_TRY(rec_model_find(info->model, &base));
    ERR_TRY(rec_model_new(&r->like, base));
    ERR_TRY(rec_model_options_parse(r->like, info->options));
    ERR_TRY(unl_plan_parse(&r->plan, info->training, &r->texts));
    ERR_TRY(unl_plan_secret(r->like, dir));
    return unl_plan_open(&r->plan, dir);
}

enum err unl_train_like(struct rec_model **out, const struct sto_model *info,
                        const char *dir, const struct rec_data *d,
                        uint64_t seed)
{
    struct rec_train_result result;
    struct rec_model *made = NULL;
    struct recipe r;
    enum err e = recipe_open(&r, info, dir);

    if (e == ERR_OK) {
        r.like->seed = seed;
        e = unl_train(&made, r.like, &r.plan, d, NULL, &result);
    }
    if (made == r.like && e == ERR_OK)
        r.like = NULL; /* it is the one that was trained */
    recipe_free(&r);
    if (e == ERR_OK)
        *out = made;
    return e;
}

enum err unl_train_into(const char *dir, const struct sto_model *info)
{
    struct sto_model fresh = {.seconds = 0};
    struct rec_model *made = NULL;
    struct rec_data d = {0};
    struct recipe r = {0};
    struct sto_view *v;
    struct sto *st;

    ERR_TRY(sto_open(&st, dir, STO_WRITE));
    enum err e = sto_view_open(&v, st);

    if (e == ERR_OK) {
        e = rec_data_load(&d, v);
        sto_view_close(v);
    }
    if (e == ERR_OK)
        e = unl_train_like(&made, info, dir, &d, info->seed);
    if (e == ERR_OK)
        e = recipe_open(&r, info, dir);
    (void)snprintf(fresh.name, sizeof(fresh.name), "%s", info->name);
    if (e == ERR_OK)
        e = unl_save(made, &r.plan, &d, st, &fresh);
    recipe_free(&r);
    rec_model_free(made);
    rec_data_free(&d);
    sto_model_free(&fresh);
    sto_close(st);
    return e;
}
