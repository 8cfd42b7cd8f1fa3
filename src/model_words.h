/* src/model_words.h - the model that a command line names, and its options. */
#ifndef SRC_MODEL_WORDS_H
#define SRC_MODEL_WORDS_H

#include "base/opt.h"
#include "rec/model.h"

/* For struct cmd's member `more`: *out is an untrained model of the kind that
 * stands after --model (NULL when none does), and set its own options. */
ERR_CHECK
enum err cmd_model_more(struct rec_model **out, int argc, char **argv,
                        struct opt_set *set);

#endif
