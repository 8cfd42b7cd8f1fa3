/* src/model_words.c - the model that a command line names, and its options. */
#include "src/model_words.h"

#include <string.h>

/* The word after --model, before anything is parsed. */
static const char *model_word(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--model=", 8) == 0)
            return argv[i] + 8;
        if (strcmp(argv[i], "--model") == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    return NULL;
}

enum err cmd_model_more(struct rec_model **out, int argc, char **argv,
                        struct opt_set *set)
{
    const struct rec_model_ops *ops;
    const char *word = model_word(argc, argv);

    if (word == NULL)
        return ERR_OK;
    ERR_TRY(rec_model_find(word, &ops));
    ERR_TRY(rec_model_new(out, ops));
    *set = (struct opt_set){ops->opts, (*out)->opts, "options of this model"};
    return ERR_OK;
}
