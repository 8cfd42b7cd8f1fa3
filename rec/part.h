/*
 * rec/part.h - models that are made of models.
 *
 * The whole keeps the arrays of its parts under "PREFIX.NAME"; a part is seen
 * again as a model whose arrays are borrowed from the whole.
 */
#ifndef REC_PART_H
#define REC_PART_H

#include <stddef.h>

#include "base/err.h"
#include "rec/model.h"

#define REC_PARTS_MOST 8

/* One trained part, and the prefix that its arrays get (at most 10 bytes). */
struct rec_part {
    const char *prefix;
    struct rec_model *model;
};

/* Allocate whole's arrays: those of the parts, copied, then `more` (zeroed).
 * ERR_NOMEM. */
ERR_CHECK
enum err rec_part_gather(struct rec_model *whole, const struct rec_data *d,
                         const struct rec_part *part, size_t n,
                         const struct rec_array_spec *more, size_t n_more);

/* Give the untrained model `part` the arrays of the whole with that prefix.
 * The whole must outlive it.  ERR_FORMAT when they are not what it needs;
 * ERR_NOMEM. */
ERR_CHECK
enum err rec_part_view(const struct rec_model *whole, const char *prefix,
                       struct rec_model *part);

#endif
