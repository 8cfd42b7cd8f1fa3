/* rec/model_pop.c - to be written. */
#include "rec/model.h"

extern const struct rec_model_ops rec_model_pop;
const struct rec_model_ops rec_model_pop = {.name = "pop", .help = "popularity"};
