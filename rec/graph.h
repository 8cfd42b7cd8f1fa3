/*
 * rec/graph.h - people and items as the nodes of one graph, and smoothing
 * over it.
 *
 * Nodes are people first (0..n_users-1), then items (n_users + i); an edge is
 * a row of the data.  A is the adjacency matrix with entry 1 / sqrt(d_u d_i)
 * for degrees d: symmetric, so that a function is its own transpose and one
 * procedure serves for values and for gradients.
 *
 * Source: He et al., LightGCN, SIGIR 2020, eq. 3, 4 and 8.
 */
#ifndef REC_GRAPH_H
#define REC_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"

struct rec_graph {
    size_t n_users, n_nodes;
    size_t *ptr;   /* [n_nodes + 1] */
    uint32_t *idx; /* [2 n_rows] neighbours, ascending inside a node */
    float *val;    /* [2 n_rows] of A */
};

/* ERR_ARG: more than 2^32 - 2 nodes; ERR_NOMEM.  Free by rec_graph_free(). */
ERR_CHECK
enum err rec_graph_build(struct rec_graph *out, const struct rec_data *d);
void rec_graph_free(struct rec_graph *g);

/*
 * out = scale (x + A x + A^2 x + ... + A^layers x); x, out and tmp are
 * [n_nodes][dim] and do not overlap; tmp is destroyed.  `layers` passes over
 * the edges; threads inside.
 */
void rec_graph_sum(const struct rec_graph *g, size_t layers, float scale,
                   size_t dim, const float *x, float *out, float *tmp);

#endif
