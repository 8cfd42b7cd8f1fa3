/*
 * rec/als_cuda.h - epochs of implicit ALS on the GPU: rows and factors stay
 * there.  The systems, and the basis that makes the Gram matrix diagonal, are
 * those of rec/als.h; exact solutions are by the d x d system alone.
 */
#ifndef REC_ALS_CUDA_H
#define REC_ALS_CUDA_H

#include "rec/als.h"
#include "rec/data.h"

struct rec_als_cuda;

/*
 * Rows of d (values: of d->value, or NULL), by people and by item; users and
 * items [*][dim] as they begin.  *out is given back by rec_als_cuda_free()
 * either way.  ERR_ARG: more factors than the kernels take; ERR_NOMEM, ERR_IO.
 */
ERR_CHECK
enum err rec_als_cuda_new(struct rec_als_cuda **out, const struct rec_data *d,
                          const struct rec_columns *cols, const float *value,
                          size_t dim, bool exact, const float *users,
                          const float *items);
void rec_als_cuda_free(struct rec_als_cuda *c);

/* Solve the people (or the items) with a's numbers: alpha, reg, exponent,
 * steps. */
ERR_CHECK
enum err rec_als_cuda_solve(struct rec_als_cuda *c, bool people,
                            const struct rec_als *a);

/* As rec_turn_axes() with the people's (or the items') factors as x. */
ERR_CHECK
enum err rec_als_cuda_turn(struct rec_als_cuda *c, bool people);

/* Factors, and the diagonal that the last turn left. */
ERR_CHECK
enum err rec_als_cuda_get(const struct rec_als_cuda *c, float *users,
                          float *items, float *gram);

#endif
