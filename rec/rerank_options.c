/* rec/rerank_options.c - what a re-ranker can be told, and which of it means
 * something to whom. */
#include <stddef.h>
#include <string.h>

#include "rec/model.h"
#include "rec/rerank_learn.h"

#define AT(f) offsetof(struct rec_rerank_opts, f)
const struct opt rec_rerank_rows[] = {
    {"base", 0, OPT_TEXT, AT(base), "gfcf", 0, 0, "MODEL",
     "the first stage, which makes the candidates; options of its own "
     "behind colons, as in gfcf:dim=128"},
    {"also", 0, OPT_TEXT, AT(also), "itemknn,ials", 0, 0, "A,B",
     "up to three more models whose scores are features"},
    {"ranker", 0, OPT_TEXT, AT(ranker), "prm", 0, 0, "RANKER",
     "what orders the lists (`recd list rerankers`)"},
    {"candidates", 0, OPT_INT, AT(candidates), "50", 2, 500, "N",
     "items of a list"},
    {"merge", 0, OPT_BOOL, AT(merge), NULL, 0, 0, NULL,
     "candidates are the best of all lists, the base's and those of --also, by "
     "reciprocal rank fusion"},
    {"share", 0, OPT_REAL, AT(share), "0.2", 0.01, 0.9, "X",
     "of each person's rows: what the network learns to find"},
    {"folds", 0, OPT_INT, AT(folds), "1", 1, 20, "N",
     "splits of the rows to learn from; each trains the models once more"},
    {"epochs", 0, OPT_INT, AT(epochs), "10", 1, 1e4, "N",
     "passes over the lists"},
    {"dim", 0, OPT_INT, AT(dim), "64", 8, 1024, "N", "width of the network"},
    {"batch", 0, OPT_INT, AT(batch), "128", 2, 4096, "N", "lists of a step"},
    {"rate", 0, OPT_REAL, AT(rate), "0.001", 1e-6, 1, "X",
     "learning rate, falling like a cosine"},
    {"drop", 0, OPT_REAL, AT(drop), "0.1", 0, 0.9, "P", "dropout"},
    {"decay", 0, OPT_REAL, AT(decay), "0.01", 0, 10, "X", "weight decay"},
    {"members", 0, OPT_INT, AT(members), "1", 1, REC_MEMBERS_MOST, "N",
     "networks that start and learn apart, whose scores are added"},
    REC_THIN_OPTS(struct rec_rerank_opts, thin),
    {"places", 0, OPT_INT, AT(places), "20", 1, REC_PLACES_MOST, "N",
     "places of a list that are chosen one after the other; what is left "
     "follows as it was scored"},
    {"trees", 0, OPT_INT, AT(trees), "200", 1, 1e5, "N",
     "lambdamart: regression trees"},
    {"leaves", 0, OPT_INT, AT(leaves), "31", 2, 1024, "N",
     "lambdamart: leaves of a tree"},
    {"shrinkage", 0, OPT_REAL, AT(shrinkage), "0.05", 1e-4, 1, "X",
     "lambdamart: share of each tree's answer that counts"},
    {"trade", 0, OPT_REAL, AT(trade), "0.9", 0, 1, "W",
     "mmr, dpp, cmr: weight of the score against being unlike what stands "
     "above"},
    {"attributes", 0, OPT_BOOL, AT(attributes), NULL, 0, 0, NULL,
     "attributes of people and items are features, too (recd import --users, "
     "--catalogue)"},
    {"kept", 0, OPT_INT, AT(kept), "120", 1, 120, "N",
     "pier: orders of the first five that its evaluator reads"},
    {"faithful", 0, OPT_BOOL, AT(faithful), NULL, 0, 0, NULL,
     "midnn, gsf, dlcm, prm, setrank, seq2slate, egr: the public code as it is, "
     "with its defects (docs/papers.md)"},
    {.name = NULL},
};

extern const struct rec_model_ops rec_model_rerank;

#define READ_BY_ALL "base also ranker candidates merge share folds attributes"
#define READ_BY_PASS                                                           \
    "epochs dim batch rate drop decay members " REC_READ_BY_THIN
#define READ_BY_FAITHFUL "epochs batch rate drop decay members"

/* Whether `name` is a word of the list. */
static bool is_word(const char *list, const char *name)
{
    const size_t len = strlen(name);

    for (const char *p = list; (p = strstr(p, name)) != NULL; p += len) {
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return true;
    }
    return false;
}

/* What can be known before anything is trained. */
enum err rec_rerank_check(const struct rec_model *m)
{
    const struct rec_rerank_opts *o = m->opts;
    const struct rec_reranker *how;

    ERR_TRY(rec_reranker_find(o->ranker, &how));
    if (o->faithful && how->faithful == NULL &&
        (how->reads == NULL || !is_word(how->reads, "faithful")))
        return err_set(ERR_ARG,
                       "--faithful means nothing to --ranker %s: it has no "
                       "public code whose defects are mended here",
                       o->ranker);
    for (const struct opt *r = rec_rerank_rows; r->name != NULL; r++) {
        const char *reads = how->reads != NULL ? how->reads
                            : o->faithful      ? READ_BY_FAITHFUL
                                               : READ_BY_PASS;

        if (opt_is_given(r, o) && strcmp(r->name, "faithful") != 0 &&
            !is_word(READ_BY_ALL, r->name) &&
            (!is_word(reads, r->name) ||
             (o->faithful && is_word(REC_READ_BY_THIN, r->name))))
            return err_set(ERR_ARG, "--%s means nothing to --ranker %s%s",
                           r->name, o->ranker,
                           o->faithful ? " --faithful" : "");
    }
    if (o->merge && o->also[strspn(o->also, ",")] == '\0')
        return err_set(ERR_ARG, "--merge means nothing without models in "
                                "--also, whose candidates it takes");
    if (o->members > 1 && o->thin.sparsity > 0)
        return err_set(ERR_ARG, "--members is for dense networks: --sparsity "
                                "keeps one");
    ERR_TRY(rec_thin_check(&o->thin, rec_rerank_rows, o));
    if (how->ways != NULL && o->thin.sparsity > 0 && rec_thin_narrows(&o->thin))
        return err_set(ERR_ARG,
                       "--schedule chex narrows networks of one pass: "
                       "--ranker %s takes the others",
                       o->ranker);
    return ERR_OK;
}

enum err rec_rerank_steer(struct rec_model *m, double trade)
{
    struct rec_rerank_opts *o = m->opts;
    const struct rec_reranker *how;

    if (m->ops != &rec_model_rerank)
        return err_set(ERR_ARG, "--trade is for re-rankers");
    ERR_TRY(rec_reranker_find(o->ranker, &how));
    if (how->reads == NULL || !is_word(how->reads, "trade"))
        return err_set(ERR_ARG, "--trade means nothing to --ranker %s",
                       o->ranker);
    o->trade = trade;
    return ERR_OK;
}
