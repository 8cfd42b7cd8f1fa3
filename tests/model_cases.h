/*
 * tests/model_cases.h - what the conformance tests share: every model of the
 * table, small and short, as it is and trained sparse.
 */
#ifndef TESTS_MODEL_CASES_H
#define TESTS_MODEL_CASES_H

#include <string.h>

#include "base/opt.h"
#include "rec/model.h"
#include "tests/rec_cases.h"

#define USERS 150
#define ITEMS 90

/* Models that can be trained sparse are tried again so: with their own
 * schedule, and where they have it, narrower (networks without
 * channels, or with few, refuse that). */
static enum { WHOLE, SPARSE, NARROW, VARIANTS } variant;

static inline bool takes(const struct rec_model_ops *ops, const char *name,
                         const char *word)
{
    for (const struct opt *r = ops->opts; r && r->name; r++) {
        if (strcmp(r->name, name) == 0)
            return word == NULL || strstr(r->arg, word) != NULL;
    }
    return false;
}

static inline bool has_variant(const struct rec_model_ops *ops)
{
    return variant == WHOLE ||
           (takes(ops, "sparsity", NULL) &&
            (variant == SPARSE || (takes(ops, "schedule", "chex") &&
                                   strcmp(ops->name, "gru4rec") != 0 &&
                                   strcmp(ops->name, "caser") != 0)));
}

static inline void set_variant(const struct rec_model_ops *ops,
                               struct rec_model *m)
{
    if (variant == WHOLE)
        return;
    assert_int_equal(opt_assign(ops->opts, m->opts, "sparsity",
                                variant == NARROW ? "0.3" : "0.5"),
                     ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "dim", "16"), ERR_OK);
    if (variant == NARROW)
        assert_int_equal(opt_assign(ops->opts, m->opts, "schedule", "chex"),
                         ERR_OK);
}

/* Small and short, whatever the defaults are. */
static inline struct rec_model *model_new(const struct rec_model_ops *ops)
{
    /* the last two are rerank's */
    static const char *const quick[][2] = {{"dim", "8"},
                                           {"epochs", "3"},
                                           {"also", "itemknn"},
                                           {"candidates", "10"}};
    struct rec_model *m = NULL;

    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(quick) / sizeof(quick[0]); i++) {
        for (const struct opt *r = ops->opts; r && r->name; r++) {
            /* legonet's are of learnt heads, which are not its default */
            if (strcmp(r->name, "epochs") == 0 &&
                strcmp(ops->name, "legonet") == 0)
                continue;
            if (strcmp(r->name, quick[i][0]) == 0)
                assert_int_equal(
                    opt_assign(ops->opts, m->opts, quick[i][0], quick[i][1]),
                    ERR_OK);
        }
    }
    set_variant(ops, m);
    m->seed = 5;
    return m;
}

static inline struct rec_model *model_fit(const struct rec_model_ops *ops,
                                          const struct rec_data *d)
{
    struct rec_model *m = model_new(ops);

    if (rec_model_fit(m, d, NULL) != ERR_OK)
        fail_msg("%s: %s", ops->name, err_note());
    return m;
}

struct digest {
    unsigned char byte[KEY_DIGEST_BYTES];
};

static inline struct digest digest_of(const struct rec_model *m)
{
    struct digest d;

    rec_model_digest(m, d.byte);
    return d;
}

static inline void assert_digest(const struct rec_model_ops *ops,
                                 const struct digest *a, const struct digest *b,
                                 const char *why)
{
    if (memcmp(a, b, sizeof(*a)) != 0)
        fail_msg("%s (variant %d) has another digest %s", ops->name,
                 (int)variant, why);
}

#define EACH_MODEL(o)                                                          \
    for (variant = WHOLE; variant < VARIANTS; variant++)                       \
        EACH_OF_VARIANT(o)                                                     \
    if (has_variant(o))

/* Of the variant that is set. */
#define EACH_OF_VARIANT(o)                                                     \
    for (const struct rec_model_ops *const *at_ = rec_models, *o = *at_;       \
         (o = *at_) != NULL; at_++)

#endif /* TESTS_MODEL_CASES_H */
