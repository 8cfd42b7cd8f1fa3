/* base/log.c - one process-wide sink. */
#include "base/log.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct log_sink log_out;
static volatile sig_atomic_t log_stop_flag;
static _Thread_local bool log_quiet;

void log_quiet_thread(bool quiet)
{
    log_quiet = quiet;
}

void log_set_sink(const struct log_sink *sink)
{
    log_out = sink == NULL ? (struct log_sink){0} : *sink;
}

__attribute__((format(printf, 2, 0))) static void say(enum log_level level,
                                                      const char *fmt,
                                                      va_list ap)
{
    char text[512];

    if (log_out.say == NULL || log_quiet)
        return;
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    log_out.say(log_out.arg, level, text);
}

void log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(LOG_WARN, fmt, ap);
    va_end(ap);
}

void log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(LOG_INFO, fmt, ap);
    va_end(ap);
}

void log_debug(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(LOG_DEBUG, fmt, ap);
    va_end(ap);
}

void log_tick(const char *what, uint64_t done, uint64_t total, const char *note)
{
    if (log_out.tick != NULL && !log_quiet)
        log_out.tick(log_out.arg, what, done, total, note);
}

bool log_stopping(void)
{
    return log_stop_flag != 0;
}

void log_stop(void)
{
    log_stop_flag = 1;
}
