/* src/model_words.h - the model that a command line names, and its options. */
#ifndef SRC_MODEL_WORDS_H
#define SRC_MODEL_WORDS_H

#include "base/opt.h"
#include "rec/model.h"
#include "src/ui.h"
#include "unlearn/shards.h"

/* For struct cmd's member `more`: *out is an untrained model of the kind that
 * stands after --model (NULL when none does), and set its own options. */
ERR_CHECK
enum err cmd_model_more(struct rec_model **out, int argc, char **argv,
                        struct opt_set *set);

/* The training rows of this moment, and how often rows were removed before. */
ERR_CHECK
enum err cmd_model_rows(const struct cmd_common *c, struct rec_data *d,
                        struct sto_model *info);
/* Keep m, trained on d, under info->name. */
ERR_CHECK
enum err cmd_model_keep(const struct cmd_common *c, struct rec_model *m,
                        const struct unl_plan *plan, const struct rec_data *d,
                        struct sto_model *info);

#endif
