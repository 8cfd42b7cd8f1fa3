/* src/cmd_help.c - the list of commands, or one command's page. */
#include "src/cmd.h"
#include "src/ui.h"

static int run(const struct cmd_common *c, int n_words, char **word)
{
    const struct cmd *which = NULL;

    (void)c;
    if (n_words > 0 && cmd_find(word[0], &which) != ERR_OK)
        return CMD_USAGE;
    cmd_print_help(which, NULL);
    return CMD_DONE;
}

extern const struct cmd cmd_help;
const struct cmd cmd_help = {
    .name = "help",
    .words = "[COMMAND]",
    .help = "this list, or one command and its options",
    .run = run,
};
