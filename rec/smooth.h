/*
 * rec/smooth.h - vectors smoothed over a graph, and models that keep them
 * before they are (rec/model_lightgcn.c says what they are for).
 *
 * With holes: arrays "user.mask", "user.kept", "item.mask", "item.kept" are the
 * vectors e that were trained (rec/holes.h), "rows" who met what (rec/edges.h).
 * Final vectors have no holes; they are made when the model is opened, and
 * stand in m->parts.
 */
#ifndef REC_SMOOTH_H
#define REC_SMOOTH_H

#include <stdbool.h>
#include <stddef.h>

#include "rec/data.h"
#include "rec/graph.h"
#include "rec/model.h"

/* From e [nodes][dim] over a graph: final vectors of people and items, and the
 * items' shares in those of strangers. */
struct rec_smooth {
    const struct rec_graph *graph;
    size_t layers, dim, n_users, n_items;
    const float *e;
    float *f, *g, *tmp;        /* [nodes][dim] room */
    float *user, *item, *fold; /* [n_users][dim], [n_items][dim] twice */
};
void rec_smooth_finish(struct rec_smooth *r);

/* m's arrays, with holes, from e.  ERR_NOMEM. */
ERR_CHECK
enum err rec_smooth_pack(struct rec_model *m, const struct rec_data *d,
                         const float *e, size_t dim);
/* m->parts from them.  ERR_FORMAT: the rows are damaged; ERR_NOMEM. */
ERR_CHECK
enum err rec_smooth_ready(struct rec_model *m, size_t layers, size_t dim);
bool rec_smooth_valid(const struct rec_model *m, size_t dim);
void rec_smooth_drop(struct rec_model *m); /* m->parts */

/* "user", "item" or "fold", of m->parts or (there are none) of the arrays. */
const float *rec_smooth_table(const struct rec_model *m, const char *name);

#endif
