/* rec/model_options.c - a model's options as JSON and back. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rec/model.h"

static json_t *option_value(const struct opt *r, const void *base)
{
    const void *at = (const char *)base + r->offset;
    const char *text;

    switch (r->kind) {
    case OPT_BOOL:
        return json_boolean(*(const bool *)at);
    case OPT_INT:
        return json_integer(*(const int64_t *)at);
    case OPT_REAL:
        return json_real(*(const double *)at);
    case OPT_TEXT:
    case OPT_CHOICE:
        memcpy(&text, at, sizeof(text));
        return text == NULL ? json_null() : json_string(text);
    }
    return NULL;
}

enum err rec_options_json(const struct opt *rows, const void *base, char **out)
{
    json_t *root = json_object();
    bool good = root != NULL;
    char *text = NULL;

    for (const struct opt *r = rows; r != NULL && r->name != NULL; r++)
        good = good &&
               json_object_set_new(root, r->name, option_value(r, base)) == 0;
    if (good)
        text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (text == NULL)
        return err_set(ERR_NOMEM, "no memory for options");
    *out = text;
    return ERR_OK;
}

enum err rec_model_options_json(const struct rec_model *m, char **out)
{
    return rec_options_json(m->ops->opts, m->opts, out);
}

/* Assign one member through the same door as the command line. */
static enum err option_assign(const struct opt *rows, void *base,
                              const char *name, const json_t *v)
{
    char text[64] = "";

    if (json_is_null(v))
        return ERR_OK;
    if (json_is_string(v))
        return opt_assign(rows, base, name, json_string_value(v));
    if (json_is_boolean(v))
        (void)snprintf(text, sizeof(text), "%s",
                       json_is_true(v) ? "true" : "false");
    else if (json_is_integer(v))
        (void)snprintf(text, sizeof(text), "%lld",
                       (long long)json_integer_value(v));
    else if (json_is_real(v))
        (void)snprintf(text, sizeof(text), "%.17g", json_real_value(v));
    else
        return err_set(ERR_FORMAT, "the stored option %s is no plain value",
                       name);
    return opt_assign(rows, base, name, text);
}

enum err rec_options_parse(const struct opt *rows, void *base, const char *json,
                           void **texts)
{
    static const struct opt none[] = {{.name = NULL}};
    json_t *root = json_loads(json, 0, NULL);

    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(ERR_FORMAT, "the stored options are not a JSON object");
    }
    json_decref(*texts);
    *texts = root; /* text options point into it */
    for (rows = rows != NULL ? rows : none; rows->name != NULL; rows++) {
        const json_t *v = json_object_get(root, rows->name);

        if (v != NULL)
            ERR_TRY(option_assign(rows, base, rows->name, v));
    }
    return ERR_OK;
}

enum err rec_model_options_parse(struct rec_model *m, const char *json)
{
    return rec_options_parse(m->ops->opts, m->opts, json, &m->texts);
}
