/* src/ui.h - how the program talks: results on stdout, the rest on stderr. */
#ifndef SRC_UI_H
#define SRC_UI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "rec/model.h"
#include "src/cmd.h"
#include "store/store.h"

/* Send logs and progress to stderr as the options ask; catch SIGINT. */
void cmd_ui_start(const struct cmd_common *c);
/* Clear the progress line, if one is on the screen. */
void cmd_ui_quiet_line(void);

/* ERR_OK -> CMD_DONE, ERR_ARG -> CMD_USAGE, the others CMD_FAILED. */
int cmd_ui_exit(enum err e);

/* One JSON object on stdout; takes j. */
void cmd_ui_json(json_t *j);

/* Seconds of a clock that only goes forward. */
double cmd_ui_now(void);

/* --store, else $RECD_STORE, else recd-store. */
const char *cmd_ui_store_dir(const struct cmd_common *c);

/* 12345 -> "12,345"; one of four rotating buffers. */
const char *cmd_ui_count(uint64_t n);

/* A store with one view, and the model that `name` means ("" = the only one).
 * cmd_ui_close() is harmless on what was not opened. */
struct cmd_opened {
    struct sto *st;
    struct sto_view *v;
    struct rec_model *m;
    struct sto_model info;
};
ERR_CHECK
enum err cmd_ui_open(struct cmd_opened *o, const struct cmd_common *c);
ERR_CHECK
enum err cmd_ui_open_model(struct cmd_opened *o, const struct cmd_common *c,
                           const char *name);
void cmd_ui_close(struct cmd_opened *o);

/* What a forget did, for people (src/cmd_forget.c). */
void cmd_forget_print(const json_t *report);

/* --- files that are written ------------------------------------------------
 */

/* A file in the making; path NULL is stdout.  A regular file appears under its
 * name only when it is whole. */
struct cmd_output {
    FILE *file;
    const char *path;
    char *tmp; /* or NULL: written in place (stdout, pipes, devices) */
};
ERR_CHECK
enum err cmd_ui_create(struct cmd_output *out, const char *path);
/* e: how the writing went; a failure leaves what was under the name. */
ERR_CHECK
enum err cmd_ui_finish(struct cmd_output *out, enum err e);

#endif
