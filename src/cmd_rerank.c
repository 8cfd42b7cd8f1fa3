/* src/cmd_rerank.c - re-rankers: over a first stage, or over ready-made lists.
 */
#include <stdio.h>
#include <string.h>

#include "rec/clicks.h"
#include "rec/ready.h"
#include "src/model_words.h"
#include "src/rerank.h"

static struct cmd_rerank_values v;
static struct rec_model *model; /* made by more() */

#define AT(field) offsetof(struct cmd_rerank_values, field)
enum { TRAIN = 1, READY = 2, IMPORT = 4, WORLD = 8, COMPARE = 16 };
static const struct opt rows[] = {
    {"model", 0, OPT_TEXT, AT(model), NULL, 0, 0, "RERANKER",
     "train: what orders the lists (`recd list rerankers`)"},
    {"models", 0, OPT_TEXT, AT(models), NULL, 0, 0, "R,S",
     "compare: re-rankers, options of their own behind colons, as in "
     "logistic:rate=0.01"},
    {"seeds", 0, OPT_INT, AT(seeds), "1", 1, 20, "N",
     "compare: how many, from --seed on"},
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "train --base: what to call it (else rerank)"},
    {"lists", 0, OPT_TEXT, AT(lists), NULL, 0, 0, "FILE",
     "train: ready-made lists to learn from, instead of --base"},
    {"test", 0, OPT_TEXT, AT(test), NULL, 0, 0, "FILE",
     "train --lists: lists to measure on"},
    {"score", 0, OPT_INT, AT(score), "0", 0, 100000, "N",
     "train --lists: the feature that is the first stage's score; 0 = none, "
     "and lists are shuffled"},
    {"category", 0, OPT_INT, AT(category), "0", 0, 100000, "N",
     "train --lists: the feature that is the number of a category; 0 = none"},
    {"k", 'k', OPT_TEXT, AT(k), "5,10,20", 0, 0, "LIST",
     "train, compare: lengths of the lists that are measured, ascending"},
    {"output", 'o', OPT_TEXT, AT(output), NULL, 0, 0, "FILE",
     "import, world: where to; train --lists: scores of the test lists"},
    {"format", 0, OPT_CHOICE, AT(format), "libsvm", 0, 0,
     "libsvm|librerank|rechorus", "import: what the file is"},
    {"query", 0, OPT_TEXT, AT(query), NULL, 0, 0, "FILE",
     "import --format libsvm: the length of each list, one a line"},
    {"count", 0, OPT_INT, AT(count), "20000", 1, 1e8, "N", "world: lists"},
    {"length", 0, OPT_INT, AT(length), "10", 2, REC_LIST_MOST, "N",
     "world: items of a list"},
    {"part", 0, OPT_INT, AT(part), "1", 1, 1e9, "N",
     "world: other people of the same world (1 to learn from, 2 to test...)"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

static const struct opt_use use[] = {
    {"models", COMPARE},
    {"seeds", COMPARE},
    {"model", TRAIN | READY},
    {"name", TRAIN},
    {"lists", READY},
    {"test", READY},
    {"score", READY},
    {"category", READY},
    {"k", TRAIN | READY | COMPARE},
    {"output", READY | IMPORT | WORLD},
    {"format", IMPORT},
    {"query", IMPORT},
    {"count", WORLD},
    {"length", WORLD},
    {"part", WORLD},
    {NULL, 0},
};

static enum err more(int argc, char **argv, struct opt_set *set)
{
    const struct rec_model_ops *ops;
    bool train = false;

    for (int i = 0; i < argc; i++)
        train = train || strcmp(argv[i], "train") == 0 ||
                strcmp(argv[i], "compare") == 0;
    if (!train)
        return ERR_OK;
    ERR_TRY(rec_model_find("rerank", &ops));
    ERR_TRY(rec_model_new(&model, ops));
    *set = (struct opt_set){ops->opts, model->opts,
                            "options of train and compare"};
    return ERR_OK;
}

/* --- over a first stage ----------------------------------------------------
 */

static void say(const struct cmd_common *c, const struct sto_model *info,
                const struct cmd_rerank_reports *r, const size_t *cut,
                size_t lists)
{
    const struct rec_rerank_opts *o = model->opts;
    char hex[2 * KEY_DIGEST_BYTES + 1];

    key_hex(info->digest, KEY_DIGEST_BYTES, hex);
    if (c->json) {
        cmd_ui_json(
            json_pack("{s:s, s:s, s:s, s:I, s:{s:o, s:o, s:o}, s:f, s:s}",
                      "name", info->name, "model", o->ranker, "base", o->base,
                      "lists", (json_int_t)lists, "metrics", "before",
                      cmd_rerank_json(&r->before, &r->list[0], cut), "after",
                      cmd_rerank_json(&r->after, &r->list[1], cut), "ceiling",
                      cmd_rerank_json(&r->ceiling, &r->list[2], cut), "seconds",
                      info->seconds, "digest", hex));
        return;
    }
    printf("%s: %s over %s, trained in %.2f s\n", info->name, o->ranker,
           o->base, info->seconds);
    if (r->after.n_cuts > 0)
        cmd_rerank_print(r, cut);
    else
        printf("no test rows to measure on\n");
    printf("digest %s\n", hex);
}

static enum err measure(const struct cmd_common *c,
                        struct cmd_rerank_reports *r, const size_t *cut,
                        size_t n)
{
    struct cmd_opened o = {0};
    bool both;
    enum err e = cmd_ui_open(&o, c);

    if (e == ERR_OK)
        e = cmd_rerank_evaluate(model, o.v, NULL, cut, n, r, &both);
    cmd_ui_close(&o);
    if (e == ERR_NOTFOUND) { /* trained all the same */
        r->after.n_cuts = 0;
        return ERR_OK;
    }
    return e;
}

/* Append ":NAME=VALUE" for what differs from the default. */
static void add_option(char *text, size_t room, const struct opt *r,
                       const void *opts)
{
    const size_t at = strlen(text);
    char value[64];

    if (r->kind == OPT_TEXT || !opt_is_given(r, opts))
        return;
    opt_value_text(r, opts, value, sizeof(value));
    (void)snprintf(text + at, room - at, ":%s=%s", r->name, value);
}

/* A base that is the name of a stored model stands for a model of its kind and
 * options. */
static enum err name_base(const struct cmd_common *c)
{
    static char
        text[1024]; /* the options of `model` keep what they are given */
    struct rec_rerank_opts *o = model->opts;
    const struct rec_model_ops *ops;
    struct rec_model *like = NULL;
    struct cmd_opened open = {0};
    enum err e = rec_model_find(o->base, &ops);

    if (e == ERR_OK || strchr(o->base, ':') != NULL)
        return ERR_OK; /* the name of a kind; or checked when it is trained */
    e = cmd_ui_open_model(&open, c, o->base);
    if (e == ERR_OK)
        e = rec_model_find(open.info.model, &ops);
    if (e == ERR_OK)
        e = rec_model_new(&like, ops);
    if (e == ERR_OK)
        e = rec_model_options_parse(like, open.info.options);
    if (e == ERR_OK) {
        (void)snprintf(text, sizeof(text), "%s", ops->name);
        for (const struct opt *r = ops->opts; r->name != NULL; r++)
            add_option(text, sizeof(text), r, like->opts);
        o->base = text;
    }
    rec_model_free(like);
    cmd_ui_close(&open);
    return e;
}

static enum err train_on_store(const struct cmd_common *c)
{
    struct sto_model info = {0};
    struct cmd_rerank_reports r = {.after = {.n_cuts = 0}};
    struct rec_data d = {0};
    struct unl_plan plan;
    size_t cut[8], n = 0;
    enum err e = cmd_cuts(v.k, cut, &n);

    opt_defaults(unl_plan_rows, &plan);
    (void)snprintf(info.name, sizeof(info.name), "%s",
                   v.name != NULL ? v.name : "rerank");
    if (e == ERR_OK)
        e = name_base(c);
    if (e == ERR_OK)
        e = cmd_model_rows(c, &d, &info);
    const double start = cmd_ui_now();

    if (e == ERR_OK)
        e = rec_model_fit(model, &d, NULL);
    info.seconds = cmd_ui_now() - start;
    if (e == ERR_OK)
        e = cmd_model_keep(c, model, &plan, &d, &info);
    if (e == ERR_OK)
        e = measure(c, &r, cut, n);
    if (e == ERR_OK)
        say(c, &info, &r, cut, d.n_users);
    sto_model_free(&info);
    rec_data_free(&d);
    return e;
}

/* --- what was asked for ----------------------------------------------------
 */

bool cmd_rerank_makes_lists(const char *option)
{
    static const char *const made[] = {"base",  "also",  "candidates", "merge",
                                       "share", "folds", "attributes"};

    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
        if (strcmp(option, made[i]) == 0)
            return true;
    }
    return false;
}

/* How lists come about means nothing where they are ready. */
static enum err check_ready(void)
{
    for (const struct opt *r = model->ops->opts; r->name != NULL; r++) {
        if (cmd_rerank_makes_lists(r->name) && opt_is_given(r, model->opts))
            return err_set(ERR_ARG, "--%s means nothing to train --lists",
                           r->name);
    }
    return ERR_OK;
}

/* --model RERANKER is --ranker. */
static enum err name_ranker(void)
{
    for (const struct opt *r = model->ops->opts;
         v.model != NULL && r->name != NULL; r++) {
        if (strcmp(r->name, "ranker") == 0 && opt_is_given(r, model->opts))
            return err_set(ERR_ARG, "--model and --ranker say the same: give "
                                    "one of them");
    }
    return v.model != NULL
               ? opt_assign(model->ops->opts, model->opts, "ranker", v.model)
               : ERR_OK;
}

static enum err train(const struct cmd_common *c)
{
    const bool ready = v.lists != NULL;

    ERR_TRY(opt_check_use(rows, &v, use, ready ? READY : TRAIN,
                          ready ? "train --lists" : "train --base"));
    ERR_TRY(name_ranker());
    if (ready)
        ERR_TRY(check_ready());
    model->seed = (uint64_t)c->seed;
    return ready ? cmd_rerank_ready(&v, model, c) : train_on_store(c);
}

static enum err compare(const struct cmd_common *c)
{
    ERR_TRY(opt_check_use(rows, &v, use, COMPARE, "compare"));
    for (const struct opt *r = model->ops->opts; r->name != NULL; r++) {
        if (strcmp(r->name, "ranker") == 0 && opt_is_given(r, model->opts))
            return err_set(ERR_ARG, "--ranker means nothing to compare: "
                                    "--models names them");
    }
    return cmd_rerank_compare(&v, model, c);
}

static enum err world(const struct cmd_common *c)
{
    struct cmd_output out;

    ERR_TRY(opt_check_use(rows, &v, use, WORLD, "world"));
    ERR_TRY(cmd_ui_create(&out, v.output));
    return cmd_ui_finish(
        &out, rec_clicks_write(out.file, (size_t)v.count, (size_t)v.length,
                               (uint64_t)c->seed, (uint64_t)v.part));
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    const char *what = n_words > 0 ? word[0] : "";
    enum err e;

    if (strcmp(what, "train") == 0 && n_words == 1)
        e = train(c);
    else if (strcmp(what, "compare") == 0 && n_words == 1)
        e = compare(c);
    else if (strcmp(what, "world") == 0 && n_words == 1)
        e = world(c);
    else if (strcmp(what, "import") == 0 && n_words == 2) {
        e = opt_check_use(rows, &v, use, IMPORT, "import");
        if (e == ERR_OK)
            e = cmd_rerank_import(&v, word[1], c);
    } else
        e = err_set(ERR_ARG, "say what: rerank train, rerank compare, rerank "
                             "import FILE or rerank world");
    rec_model_free(model);
    model = NULL;
    return cmd_ui_exit(e);
}

extern const struct cmd cmd_rerank;
const struct cmd cmd_rerank = {
    .name = "rerank",
    .words = "train --base MODEL --model RERANKER | compare --models R,S | "
             "train --lists FILE --test FILE --model RERANKER | import FILE | "
             "world",
    .help = "order lists anew: over a first stage, or ready-made lists",
    .opts = rows,
    .values = &v,
    .more = more,
    .writes = true,
    .run = run,
};
