/*
 * rec/graph_cuda.h - lightgcn's epochs on the GPU: the graph, the vectors and
 * their moments stay there.
 */
#ifndef REC_GRAPH_CUDA_H
#define REC_GRAPH_CUDA_H

#include "kernels/ops.h"
#include "rec/contrast.h"
#include "rec/graph.h"

struct rec_graph_cuda;

/* Vectors begin as e [n_nodes][dim].  reg: weight of the penalty.  ERR_NOMEM,
 * ERR_IO; *out is given back by rec_graph_cuda_free() either way. */
ERR_CHECK
enum err rec_graph_cuda_new(struct rec_graph_cuda **out,
                            const struct rec_graph *g, const struct rec_data *d,
                            const struct rec_contrast_opts *o, size_t layers,
                            float reg, const float *e);
void rec_graph_cuda_free(struct rec_graph_cuda *c);

/* The order of an epoch, by draws named by the rows' keys. */
ERR_CHECK
enum err rec_graph_cuda_order(struct rec_graph_cuda *c, uint64_t seed);

/* A step on the rows first.. of the order, negatives by `seed`; *loss is that
 * of the step before (so that nothing waits for this one). */
ERR_CHECK
enum err rec_graph_cuda_step(struct rec_graph_cuda *c, size_t first, size_t n,
                             uint64_t seed, const struct krn_adam *how,
                             double *loss);

/* The vectors as they are now, [n_nodes][dim]. */
ERR_CHECK
enum err rec_graph_cuda_get(struct rec_graph_cuda *c, float *e);

#endif
