/* src/cmd_list.c - the entries of a family. */
#include <stdio.h>
#include <string.h>

#include "src/ui.h"

static const char *const families[] = {"models",    "partitions", "aggregates",
                                       "rerankers", "attacks",    "mechanisms",
                                       NULL};

static enum err check_family(const char *word)
{
    for (size_t i = 0; families[i] != NULL; i++)
        if (strcmp(families[i], word) == 0)
            return ERR_OK;
    const char *near = opt_nearest(word, families);

    return err_set(ERR_ARG,
                   "\"%s\" is not a family%s%s%s (models, partitions, "
                   "aggregates, rerankers, attacks, mechanisms)",
                   word, near != NULL ? ", did you mean \"" : "",
                   near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    json_t *list;

    if (n_words != 1)
        return cmd_ui_exit(err_set(ERR_ARG, "say what to list, for example "
                                            "`recd list models`"));
    if (check_family(word[0]) != ERR_OK)
        return CMD_USAGE;
    list = json_array();
    for (size_t i = 0; strcmp(word[0], "models") == 0 && rec_models[i] != NULL;
         i++) {
        if (!c->json)
            printf("%-10s %s\n", rec_models[i]->name, rec_models[i]->help);
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name",
                                                    rec_models[i]->name, "help",
                                                    rec_models[i]->help));
    }
    if (c->json)
        cmd_ui_json(json_pack("{s:O}", word[0], list));
    json_decref(list);
    return CMD_DONE;
}

extern const struct cmd cmd_list;
const struct cmd cmd_list = {
    .name = "list",
    .words = "models|partitions|aggregates|rerankers|attacks|mechanisms",
    .help = "what can be chosen",
    .run = run,
};
