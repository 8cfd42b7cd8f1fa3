/* rec/rerank_table.c - the table of re-rankers, and what several use. */
#include <stdio.h>
#include <string.h>

#include "base/opt.h"
#include "rec/rerank.h"

#define X(name) extern const struct rec_reranker rec_reranker_##name;
#include "rec/rerankers.def"
#undef X

const struct rec_reranker *const rec_rerankers[] = {
#define X(name) &rec_reranker_##name,
#include "rec/rerankers.def"
#undef X
    NULL,
};

enum err rec_reranker_find(const char *name, const struct rec_reranker **out)
{
    const char *names[32] = {NULL};

    for (size_t i = 0; rec_rerankers[i] != NULL; i++) {
        if (strcmp(rec_rerankers[i]->name, name) == 0) {
            *out = rec_rerankers[i];
            return ERR_OK;
        }
        if (i + 1 < 32)
            names[i] = rec_rerankers[i]->name;
    }
    return opt_unknown("re-ranker", name, names,
                       "`recd list rerankers` names them");
}

struct nn_tensor *rec_lists_flat(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *scores)
{
    return nn_shape_as(t, scores, 2, (size_t[]){l->batch, l->n});
}

struct nn_tensor *rec_lists_mean(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *x)
{
    const size_t d = x->dim[2];
    struct nn_tensor *weight =
        nn_shape_as(t, l->mask, 3, (size_t[]){l->batch, 1, l->n});

    x = nn_linear_product(t, weight, x, false); /* [batch][1][d] */
    return nn_map_scale(t, nn_shape_as(t, x, 2, (size_t[]){l->batch, d}),
                        1 / (double)l->n, 0);
}

/* Names are kept by the tape, so that they may be made here. */
static const char *part_of(char out[64], const char *name, const char *part)
{
    (void)snprintf(out, 64, "%s/%s", name, part);
    return out;
}

struct nn_tensor *rec_lists_block(struct nn_tape *t, const struct rec_lists *l,
                                  struct nn_tensor *x, const char *name,
                                  size_t heads)
{
    const struct nn_attend how = {.heads = heads, .mask = l->mask};
    char at[64];
    struct nn_tensor *y =
        nn_attend_self(t, x, part_of(at, name, "attend"), l->dim, &how);

    y = nn_linear(t, y, part_of(at, name, "mix"), l->dim, NN_NONE);
    y = nn_map_drop(t, y, part_of(at, name, "drop1"), l->drop, l->keys);
    x = nn_norm(t, nn_map_add(t, x, y), part_of(at, name, "norm1"));
    y = nn_linear(t, x, part_of(at, name, "wide"), 2 * l->dim, NN_RELU);
    y = nn_linear(t, y, part_of(at, name, "narrow"), l->dim, NN_NONE);
    y = nn_map_drop(t, y, part_of(at, name, "drop2"), l->drop, l->keys);
    return nn_norm(t, nn_map_add(t, x, y), part_of(at, name, "norm2"));
}
