/*
 * src/cmd.h - what a command is, and what all commands share.
 *
 * A command is a file src/cmd_NAME.c that defines cmd_NAME, and that file
 * under CMDS in Makefile.am.  Nothing else.
 */
#ifndef SRC_CMD_H
#define SRC_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"

/* Exit statuses: scripts gate on them. */
enum cmd_exit { CMD_DONE = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_NO = 3 };

/* Options that every command takes, before or after its word. */
struct cmd_common {
    const char *store; /* --store, else $RECD_STORE, else recd-store */
    int64_t threads;   /* 0 = all processors */
    int64_t seed;
    const char *device;
    bool quiet, verbose, json, help;
};
extern const struct opt cmd_common_rows[];

struct cmd {
    const char *name;
    const char *words;      /* what follows the name in its usage line */
    const char *help;       /* one line, no full stop */
    bool writes;            /* first finish what a killed forget left */
    bool on_device;         /* has a use for --device cuda */
    const struct opt *opts; /* the command's own options, or NULL */
    void *values;           /* what opts fill, or NULL */
    /* More options that depend on what was typed (a model's own), or NULL:
     * fills `set`, or says why not. */
    enum err (*more)(int argc, char **argv, struct opt_set *set);
    /* Returns an enum cmd_exit; on CMD_FAILED and CMD_USAGE, err_note() holds
     * the sentence to print. */
    int (*run)(const struct cmd_common *common, int n_words, char **word);
};

/* The commands in Makefile.am order, ending with NULL. */
extern const struct cmd *const cmd_table[];

/* The command called `name`; ERR_ARG suggests the nearest. */
ERR_CHECK
enum err cmd_find(const char *name, const struct cmd **out);

/* Print the page of one command (more: its further options, may be NULL), or
 * with c == NULL the list of commands. */
void cmd_print_help(const struct cmd *c, const struct opt_set *more);

#endif
