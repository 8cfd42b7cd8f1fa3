/*
 * rec/holes.h - tables of vectors with holes, as a model stores them.
 *
 * Two arrays: "NAME.mask" (STO_U8 [rows][ceil(dim / 8)], bit k % 8 of byte k /
 * 8 is coordinate k) says which numbers are not zero, "NAME.kept" (STO_F32
 * [n][1]) has these, row after row.  dim / 8 + 4 dim (1 - sparsity) bytes a row
 * instead of 4 dim.
 *
 * Served from a whole table in memory, which is filled when the model is opened
 * (m->parts): products over rows with holes are no faster at the sparsities
 * that quality allows.
 */
#ifndef REC_HOLES_H
#define REC_HOLES_H

#include <stdbool.h>
#include <stddef.h>

#include "rec/model.h"

/* Names of the two arrays of a table. */
struct rec_holes {
    const char *mask, *kept;
};

/* Their shapes for x[rows][dim]. */
void rec_holes_spec(const struct rec_holes *h, const float *x, size_t rows,
                    size_t dim, struct rec_array_spec spec[2]);
/* Their content, into m, which has them. */
void rec_holes_store(const struct rec_holes *h, struct rec_model *m,
                     const float *x, size_t rows, size_t dim);
/* Whether m has the table, of that shape: for what comes from a file. */
bool rec_holes_valid(const struct rec_holes *h, const struct rec_model *m,
                     size_t rows, size_t dim);
/* x[rows][dim] from m, which is valid. */
void rec_holes_open(const struct rec_holes *h, const struct rec_model *m,
                    size_t rows, size_t dim, float *x);

#endif
