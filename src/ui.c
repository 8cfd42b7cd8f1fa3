/* src/ui.c - sinks, numbers, opening. */
#include "src/ui.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "unlearn/shards.h"

static struct {
    bool quiet, verbose, bar; /* bar: stderr is a terminal */
    bool drawn;
    double started, last;
    const char *what;
} ui;

double cmd_ui_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void cmd_ui_quiet_line(void)
{
    if (ui.drawn)
        fputs("\r\033[K", stderr);
    ui.drawn = false;
}

static void say(void *arg, enum log_level level, const char *sentence)
{
    (void)arg;
    if ((level == LOG_INFO && ui.quiet) || (level == LOG_DEBUG && !ui.verbose))
        return;
    cmd_ui_quiet_line();
    fprintf(stderr, "recd: %s%s\n", level == LOG_WARN ? "warning: " : "",
            sentence);
}

/* A bar once the work has taken half a second, ten times a second. */
static void tick(void *arg, const char *what, uint64_t done, uint64_t total,
                 const char *note)
{
    const double now = cmd_ui_now();

    (void)arg;
    if (ui.what == NULL || strcmp(ui.what, what) != 0) {
        ui.what = what;
        ui.started = now;
    }
    if (done >= total && total > 0) {
        cmd_ui_quiet_line();
        ui.what = NULL;
        return;
    }
    if (!ui.bar || now - ui.started < .5 || now - ui.last < .1)
        return;
    ui.last = now;
    ui.drawn = true;
    const double share = total > 0 ? (double)done / (double)total : 0;
    const double rate = (double)done / (now - ui.started);

    fprintf(stderr, "\r\033[K%s %3.0f%%  %.3g/s", what, 100 * share, rate);
    if (total > 0 && rate > 0)
        fprintf(stderr, "  %.0f s left", (double)(total - done) / rate);
    if (note != NULL)
        fprintf(stderr, "  %s", note);
}

static void on_signal(int number)
{
    (void)number;
    log_stop();
}

void cmd_ui_start(const struct cmd_common *c)
{
    const struct log_sink sink = {say, tick, NULL};
    struct sigaction stop = {.sa_handler = on_signal,
                             .sa_flags = (int)SA_RESETHAND};

    ui.quiet = c->quiet || c->json;
    ui.verbose = c->verbose;
    ui.bar = !c->quiet && isatty(STDERR_FILENO) == 1;
    log_set_sink(&sink);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
}

int cmd_ui_exit(enum err e)
{
    return e == ERR_OK ? CMD_DONE : e == ERR_ARG ? CMD_USAGE : CMD_FAILED;
}

void cmd_ui_json(json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(j);
}

const char *cmd_ui_store_dir(const struct cmd_common *c)
{
    const char *env = getenv("RECD_STORE");

    if (c->store != NULL)
        return c->store;
    return env != NULL && env[0] != '\0' ? env : "recd-store";
}

const char *cmd_ui_count(uint64_t n)
{
    static char ring[4][32];
    static unsigned turn;
    char digits[24], *out = ring[turn++ % 4];
    const int len =
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    size_t used = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

enum err cmd_ui_open(struct cmd_opened *o, const struct cmd_common *c)
{
    ERR_TRY(sto_open(&o->st, cmd_ui_store_dir(c), STO_READ));
    return sto_view_open(&o->v, o->st);
}

struct only {
    char name[STO_NAME_BYTES];
    size_t n;
};

static enum err count_model(void *arg, const struct sto_model *m)
{
    struct only *only = arg;

    (void)snprintf(only->name, sizeof(only->name), "%s", m->name);
    only->n++;
    return ERR_OK;
}

enum err cmd_ui_open_model(struct cmd_opened *o, const struct cmd_common *c,
                           const char *name)
{
    struct only only = {.n = 0};

    ERR_TRY(cmd_ui_open(o, c));
    if (name == NULL) {
        ERR_TRY(sto_each_model(o->v, count_model, &only));
        if (only.n == 0)
            return err_set(ERR_NOTFOUND, "the store holds no model (make one "
                                         "with `recd train --model ials`)");
        if (only.n > 1)
            return err_set(ERR_ARG,
                           "the store holds %zu models: say which "
                           "with --name (`recd info` lists them)",
                           only.n);
        name = only.name;
    }
    return unl_open(&o->m, o->v, name, &o->info);
}

void cmd_ui_close(struct cmd_opened *o)
{
    rec_model_free(o->m);
    sto_model_free(&o->info);
    sto_view_close(o->v);
    sto_close(o->st);
    *o = (struct cmd_opened){0};
}
