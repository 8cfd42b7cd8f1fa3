/* src/recd.c - the program: common options, the word, the command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/device.h"
#include "base/log.h"
#include "base/par.h"
#include "src/cmd.h"
#include "src/ui.h"
#include "unlearn/forget.h"

#define X(name) extern const struct cmd cmd_##name;
#include "src/cmds.def"
#undef X

const struct cmd *const cmd_table[] = {
#define X(name) &cmd_##name,
#include "src/cmds.def"
#undef X
    NULL,
};

#define AT(field) offsetof(struct cmd_common, field)
const struct opt cmd_common_rows[] = {
    {"store", 0, OPT_TEXT, AT(store), NULL, 0, 0, "DIR",
     "where the data lives (else $RECD_STORE, else recd-store)"},
    {"threads", 0, OPT_INT, AT(threads), "0", 0, PAR_MAX, "N",
     "threads; 0 = all processors"},
    {"seed", 0, OPT_INT, AT(seed), "1", 0, 9007199254740992.0, "N",
     "names the random draws"},
    {"device", 0, OPT_CHOICE, AT(device), "cpu", 0, 0, "cpu|cuda",
     "train, forget, repair, evaluate, recommend: what computes"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), NULL, 0, 0, NULL, "errors only"},
    {"verbose", 'v', OPT_BOOL, AT(verbose), NULL, 0, 0, NULL, "say more"},
    {"json", 0, OPT_BOOL, AT(json), NULL, 0, 0, NULL,
     "one JSON object on stdout"},
    {"help", 'h', OPT_BOOL, AT(help), NULL, 0, 0, NULL, "this page"},
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

enum err cmd_find(const char *name, const struct cmd **out)
{
    const char *word[64] = {NULL};

    for (size_t n = 0; cmd_table[n] != NULL && n + 1 < 64; n++) {
        if (strcmp(cmd_table[n]->name, name) == 0) {
            *out = cmd_table[n];
            return ERR_OK;
        }
        word[n] = cmd_table[n]->name;
    }
    return opt_unknown("command", name, word, "`recd help` names them");
}

/* --- help --------------------------------------------------------------------
 */

static void print_options(const char *title, const struct opt *rows,
                          const void *base)
{
    if (rows == NULL || rows[0].name == NULL)
        return;
    printf("\n%s:\n", title);
    for (const struct opt *r = rows; r->name != NULL; r++) {
        char left[80], letter[8] = "    ", value[64] = "";

        if (r->letter != 0)
            (void)snprintf(letter, sizeof(letter), "-%c, ", r->letter);
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, r->name,
                       r->kind == OPT_BOOL ? "" : " ",
                       r->kind == OPT_BOOL || r->arg == NULL ? "" : r->arg);
        printf("  %-30s %s", left, r->help);
        if (base != NULL && r->kind != OPT_BOOL && r->fallback != NULL) {
            opt_value_text(r, base, value, sizeof(value));
            printf(" [%s]", value);
        }
        putchar('\n');
    }
}

static void print_commands(void)
{
    puts("recd - a recommender engine with a store of its own\n\n"
         "usage: recd [--store DIR] [--threads N] [--seed N] [-q|-v] COMMAND "
         "...\n\ncommands:");
    for (size_t i = 0; cmd_table[i] != NULL; i++)
        printf("  %-12s %s\n", cmd_table[i]->name, cmd_table[i]->help);
    puts("\n`recd help COMMAND` shows one command and its options.");
}

void cmd_print_help(const struct cmd *c, const struct opt_set *more)
{
    struct cmd_common common;

    if (c == NULL) {
        print_commands();
        return;
    }
    printf("recd %s - %s\n\nusage: recd %s %s\n", c->name, c->help, c->name,
           c->words);
    if (c->opts != NULL) {
        opt_defaults(c->opts, c->values);
        print_options("options", c->opts, c->values);
    }
    if (more != NULL && more->rows != NULL)
        print_options(more->title, more->rows, more->base);
    opt_defaults(cmd_common_rows, &common);
    print_options("common options", cmd_common_rows, &common);
}

/* --- running
 * ------------------------------------------------------------------ */

static const struct opt *row_of(const char *arg)
{
    for (const struct opt *r = cmd_common_rows; r->name != NULL; r++)
        if ((strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, r->name) == 0) ||
            (arg[0] == '-' && r->letter != 0 && arg[1] == r->letter &&
             arg[2] == '\0'))
            return r;
    return NULL;
}

/* Where the command's word stands: the first argument that is neither an
 * option nor the value of one. */
static int command_at(int argc, char **argv)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
        const struct opt *r = row_of(argv[i]);

        i += r != NULL && r->kind != OPT_BOOL ? 2 : 1;
    }
    return i;
}

static int fail(const char *command, int status)
{
    cmd_ui_quiet_line();
    fprintf(stderr, "recd%s%s: %s\n", command[0] != '\0' ? " " : "", command,
            err_note());
    if (status == CMD_USAGE)
        fprintf(stderr, "Try `recd help%s%s`.\n", command[0] != '\0' ? " " : "",
                command);
    return status;
}

/* A GPU is opened before anything is read, where the command has a use for it.
 */
static enum err check_device(const struct cmd *c, const char *device)
{
    if (strcmp(device, "cpu") != 0 && !c->on_device)
        return err_set(ERR_ARG,
                       "--device %s: %s runs on the CPU alone (train, forget, "
                       "repair, evaluate and recommend can use a GPU)",
                       device, c->name);
    return device_open(device);
}

static int finish(const char *name, int status)
{
    if (status == CMD_DONE && (fflush(stdout) != 0 || ferror(stdout))) {
        (void)err_set(ERR_IO, "the results could not be written to stdout");
        status = CMD_FAILED;
    }
    return status == CMD_FAILED || status == CMD_USAGE ? fail(name, status)
                                                       : status;
}

/* A forget that was killed half way is finished before anything else is
 * written. */
static enum err settle(const struct cmd_common *c)
{
    json_t *report = NULL;
    const enum err e = unl_forget_finish(cmd_ui_store_dir(c), false, &report);

    if (report != NULL)
        log_info("finished a forget request that was interrupted");
    json_decref(report);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* `help COMMAND ...` is `COMMAND --help ...`. */
static void turn_help(int at, int argc, char **argv)
{
    static char help[] = "--help";
    const struct cmd *c;

    if (at + 1 < argc && strcmp(argv[at], "help") == 0 &&
        cmd_find(argv[at + 1], &c) == ERR_OK) {
        argv[at] = argv[at + 1];
        argv[at + 1] = help;
    }
}

static int run(const struct cmd *c, int argc, char **argv)
{
    static const struct opt none[] = {
        {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL}};
    struct cmd_common common;
    struct opt_set more = {NULL, NULL, NULL};
    int n_words = 0;

    opt_defaults(cmd_common_rows, &common);
    if (c->opts != NULL)
        opt_defaults(c->opts, c->values);
    if (c->more != NULL && c->more(argc, argv, &more) != ERR_OK)
        return fail(c->name, CMD_USAGE);
    const struct opt_set sets[] = {
        {cmd_common_rows, &common, NULL},
        {c->opts != NULL ? c->opts : none, c->values, NULL},
        {more.rows != NULL ? more.rows : none, more.base, NULL},
        {NULL, NULL, NULL}};

    if (opt_parse(sets, argc, argv, &n_words) != ERR_OK)
        return fail(c->name, CMD_USAGE);
    if (common.help) {
        cmd_print_help(c, &more);
        return finish(c->name, CMD_DONE);
    }
    const enum err device = check_device(c, common.device);

    if (device != ERR_OK)
        return fail(c->name, device == ERR_ARG ? CMD_USAGE : CMD_FAILED);
    cmd_ui_start(&common);
    par_set_threads((size_t)common.threads);
    if (c->writes && settle(&common) != ERR_OK)
        return fail(c->name, CMD_FAILED);
    return finish(c->name, c->run(&common, n_words, argv));
}

int main(int argc, char **argv)
{
    const struct cmd *c;
    const int at = command_at(argc, argv);

    for (int i = 1; i < argc && i < at; i++)
        if (strcmp(argv[i], "--version") == 0) {
            puts("recd " PACKAGE_VERSION);
            return CMD_DONE;
        }
    if (at >= argc) {
        const bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 ||
                                        strcmp(argv[1], "-h") == 0);

        print_commands();
        return asked ? CMD_DONE : CMD_USAGE;
    }
    turn_help(at, argc, argv);
    if (cmd_find(argv[at], &c) != ERR_OK)
        return fail("", CMD_USAGE);
    memmove(argv + at, argv + at + 1, (size_t)(argc - at) * sizeof(*argv));
    return run(c, argc - 2, argv + 1);
}
