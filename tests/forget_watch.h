/* tests/forget_watch.h - two folders for stores, and the models that are
 * watched in them. */
#ifndef TESTS_FORGET_WATCH_H
#define TESTS_FORGET_WATCH_H

#include "tests/forget_case.h"

#include "base/mem.h"
#include "unlearn/partition.h"

static char dir[64], other[80];

static inline int new_folders(void **state)
{
    (void)state;
    return case_folders(dir, sizeof(dir), other, sizeof(other), "test-forget");
}

static inline int drop_folders(void **state)
{
    (void)state;
    remove_folder(dir);
    remove_folder(other);
    return 0;
}

static const char *const few[] = {"dim", "8", "epochs", "3", NULL};

static const char *const weighed[] = {"user-exponent", "0.5", NULL};

static const char *const holes[] = {"dim",      "8",   "epochs", "3",
                                    "sparsity", "0.5", NULL};

static const char *const narrow[] = {
    "base",     "ease", "also",     "itemknn", "candidates", "8",     "epochs",
    "3",        "dim",  "16",       "ranker",  "prm",        "share", "0.5",
    "sparsity", "0.3",  "schedule", "chex",    NULL};

static const char *const lists[] = {
    "base", "ease", "also", "itemknn", "candidates", "8", "epochs",
    "2",    "dim",  "8",    "ranker",  "setrank",    NULL};

static const char *const merged[] = {
    "base",   "ease",  "also",   "itemknn,ials", "candidates",
    "8",      "merge", "true",   "dim",          "8",
    "epochs", "2",     "ranker", "setrank",      NULL};

static const char *const on_public[] = {"encoder", "public", "adapters", "6",
                                        "active",  "2",      NULL};
static const char *const learnt_heads[] = {
    "encoder", "public", "heads",  "softmax", "adapters", "6",
    "active",  "2",      "epochs", "3",       NULL};

static const struct watched {
    const char *name, *model;
    const char *const *options;
    int64_t shards;
    const char *partition, *aggregate;
    double validate;
    int64_t slices;
} watched[] = {
    {"pop", "pop", NULL, 1, "hash", "mean", 0, 1},
    {"ease", "ease", NULL, 1, "hash", "mean", 0, 1},
    {"knn", "itemknn", NULL, 1, "hash", "mean", 0, 1},
    {"ials", "ials", few, 1, "hash", "mean", 0, 1},
    {"ials-hash", "ials", few, 4, "hash", "mean", 0, 1},
    {"ials-lsh", "ials", few, 3, "lsh", "static", 0, 1},
    {"ials-stop", "ials", few, 3, "hash", "mean", 0.3, 1},
    {"ease-hash", "ease", NULL, 3, "hash", "mean", 0, 1},
    {"graph-hash", "lightgcn", few, 2, "hash", "attention", 0, 1},
    {"seq-hash", "sasrec", few, 2, "hash", "attention", 0, 1},
    {"lego", "legonet", NULL, 1, "hash", "mean", 0, 1},
    {"lego-public", "legonet", on_public, 1, "hash", "mean", 0, 1},
    {"lego-heads", "legonet", learnt_heads, 1, "hash", "mean", 0, 1},
    {"lists", "rerank", lists, 1, "hash", "mean", 0, 1},
    {"lists-merged", "rerank", merged, 1, "hash", "mean", 0, 1},
    {"ials-slices", "ials", few, 3, "hash", "mean", 0, 3},
    {"wmf-slices", "wmf", few, 2, "lsh", "mean", 0, 4},
    {"bpr-slices", "bpr", few, 2, "hash", "static", 0, 3},
    {"graph-slices", "lightgcn", few, 2, "hash", "attention", 0, 3},
    {"lfm-slices", "lfm", few, 2, "hash", "mean", 0, 5},
    {"pairs-holes", "bpr", holes, 1, "hash", "mean", 0, 1},
    {"graph-holes", "lightgcn", holes, 2, "hash", "mean", 0, 1},
    {"lists-narrow", "rerank", narrow, 1, "hash", "mean", 0, 1},
    {"ease-weighed", "ease", weighed, 1, "hash", "mean", 0, 1},
};
#define N_WATCHED (sizeof(watched) / sizeof(watched[0]))

static inline struct unl_plan plan_of(const struct watched *w)
{
    struct unl_plan p;

    opt_defaults(unl_plan_rows, &p);
    p.shards = w->shards;
    p.slices = w->slices;
    p.partition = w->partition;
    p.aggregate = w->aggregate;
    p.aggregate_epochs = 3;
    p.train.validate = w->validate;
    return p;
}

static inline void train_all(const char *where)
{
    for (size_t i = 0; i < N_WATCHED; i++) {
        const struct unl_plan p = plan_of(&watched[i]);

        case_train(where, watched[i].name, watched[i].model, watched[i].options,
                   &p, NULL);
    }
}

static inline void same_models(void)
{
    for (size_t i = 0; i < N_WATCHED; i++) {
        unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];

        assert_true(case_digest(dir, watched[i].name, a));
        assert_true(case_digest(other, watched[i].name, b));
        if (memcmp(a, b, sizeof(a)) != 0)
            fail_msg("%s differs from training without the rows",
                     watched[i].name);
    }
}

/* What a store that never held the rows gives. */
static inline void compare_with_never(const struct forget_case *c)
{
    remove_folder(other);
    case_import(other, c);
    train_all(other);
    same_models();
}

static inline void forget(const struct unl_request *r, size_t n)
{
    json_t *report = NULL;

    if (unl_forget(dir, r, n, false, false, &report) != ERR_OK)
        fail_msg("%s", err_note());
    assert_true(json_is_true(json_object_get(report, "erased")));
    json_decref(report);
}

#endif /* TESTS_FORGET_WATCH_H */
