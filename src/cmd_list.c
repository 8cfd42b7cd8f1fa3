/* src/cmd_list.c - the entries of a family. */
#include <stdio.h>
#include <string.h>

#include "attack/attack.h"
#include "nn/pattern.h"
#include "privacy_sim/solver.h"
#include "rec/rerank.h"
#include "src/ui.h"
#include "unlearn/aggregate.h"
#include "unlearn/partition.h"

static const char *const families[] = {"models",    "partitions", "aggregates",
                                       "rerankers", "attacks",    "mechanisms",
                                       "solvers",   "patterns",   NULL};

static enum err check_family(const char *word)
{
    for (size_t i = 0; families[i] != NULL; i++)
        if (strcmp(families[i], word) == 0)
            return ERR_OK;
    return opt_unknown(
        "family", word, families,
        "models, partitions, aggregates, rerankers, attacks, mechanisms, "
        "solvers, patterns");
}

static void add(json_t *list, bool as_json, const char *name, const char *help)
{
    if (!as_json)
        printf("%-16s %s\n", name, help);
    (void)json_array_append_new(
        list, json_pack("{s:s, s:s}", "name", name, "help", help));
}

static json_t *entries(const char *family, bool as_json)
{
    json_t *list = json_array();

    if (strcmp(family, "models") == 0)
        for (size_t i = 0; rec_models[i] != NULL; i++)
            add(list, as_json, rec_models[i]->name, rec_models[i]->help);
    if (strcmp(family, "partitions") == 0)
        for (size_t i = 0; unl_partitions[i].name != NULL; i++)
            add(list, as_json, unl_partitions[i].name, unl_partitions[i].help);
    if (strcmp(family, "aggregates") == 0)
        for (size_t i = 0; unl_aggregates[i].name != NULL; i++)
            add(list, as_json, unl_aggregates[i].name, unl_aggregates[i].help);
    if (strcmp(family, "attacks") == 0)
        for (size_t i = 0; atk_attacks[i] != NULL; i++)
            add(list, as_json, atk_attacks[i]->name, atk_attacks[i]->help);
    if (strcmp(family, "rerankers") == 0)
        for (size_t i = 0; rec_rerankers[i] != NULL; i++)
            add(list, as_json, rec_rerankers[i]->name, rec_rerankers[i]->help);
    if (strcmp(family, "mechanisms") == 0)
        for (size_t i = 0; sim_mechanism_words[i].name != NULL; i++)
            add(list, as_json, sim_mechanism_words[i].name,
                sim_mechanism_words[i].help);
    if (strcmp(family, "solvers") == 0)
        for (size_t i = 0; sim_solvers[i] != NULL; i++)
            add(list, as_json, sim_solvers[i]->name, sim_solvers[i]->help);
    if (strcmp(family, "patterns") == 0)
        for (size_t i = 0; nn_pattern_names[i].name != NULL; i++)
            add(list, as_json, nn_pattern_names[i].name,
                nn_pattern_names[i].help);
    return list;
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    if (n_words != 1)
        return cmd_ui_exit(err_set(ERR_ARG, "say what to list, for example "
                                            "`recd list models`"));
    if (check_family(word[0]) != ERR_OK)
        return CMD_USAGE;
    json_t *list = entries(word[0], c->json);

    if (c->json)
        cmd_ui_json(json_pack("{s:O}", word[0], list));
    json_decref(list);
    return CMD_DONE;
}

extern const struct cmd cmd_list;
const struct cmd cmd_list = {
    .name = "list",
    .words =
        "models|partitions|aggregates|rerankers|attacks|mechanisms|solvers|"
        "patterns",
    .help = "what can be chosen",
    .run = run,
};
