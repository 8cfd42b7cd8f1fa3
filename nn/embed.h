/*
 * nn/embed.h - rows of tables, looked up by ids.
 *
 * A table that is used by these alone has gradients, and optimiser steps, only
 * for the rows looked up.  Rows of equal id are added in order of position
 * after a stable sort: no atomics, same bits for any number of threads.
 */
#ifndef NN_EMBED_H
#define NN_EMBED_H

#include "nn/params.h"
#include "nn/tape.h"

/* ids [...] -> [...][d]: rows of parameter `name` [rows][d]; NN_PAD gives a row
 * of zeros.  First values: normal, deviation `dev`; name rows by keys with
 * nn_params_init_rows().  The table as a tensor (for scores of all items) is
 * nn_embed_table() of the same name. */
struct nn_tensor *nn_embed(struct nn_tape *t, struct nn_tensor *ids,
                           const char *name, size_t rows, size_t d, double dev);
struct nn_tensor *nn_embed_table(struct nn_tape *t, const char *name,
                                 size_t rows, size_t d, double dev);

/*
 * Bags: ids [n][most], weight [n][most] or NULL (1), NN_PAD fills up ->
 * [n][d]: the sum over a bag of weight times row; the mean (divided by the sum
 * of weights of what is there) when `mean`.
 */
struct nn_tensor *nn_embed_bag(struct nn_tape *t, struct nn_tensor *ids,
                               struct nn_tensor *weight, const char *name,
                               size_t rows, size_t d, double dev, bool mean);

#endif
