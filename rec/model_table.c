/* rec/model_table.c - the table of models, generated from REC_MODELS. */
#include <stddef.h>

#include "rec/model.h"

#define X(name) extern const struct rec_model_ops rec_model_##name;
#include "rec/models.def"
#undef X

const struct rec_model_ops *const rec_models[] = {
#define X(name) &rec_model_##name,
#include "rec/models.def"
#undef X
    NULL,
};
