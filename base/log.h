/*
 * base/log.h - what happened, and how far along we are.
 *
 * Nothing below src/ prints.  It says what it has to say here, and the
 * program decides where that goes; with no sink set, nowhere (a library does
 * not write to its host's stderr).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_sink {
    void (*say)(void *arg, enum log_level level, const char *sentence);
    /* Progress: `what` is being done, `done` of `total` units (total 0 = not
     * known); `note` may be NULL or hold a loss or a metric. */
    void (*tick)(void *arg, const char *what, uint64_t done, uint64_t total,
                 const char *note);
    void *arg;
};

/* Set for the whole process; NULL silences.  Not thread-safe: call at start. */
void log_set_sink(const struct log_sink *sink);

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Report progress; cheap enough to call 1000 times a second.  Call with
 * done == total at the end.  From one thread at a time. */
void log_tick(const char *what, uint64_t done, uint64_t total,
              const char *note);

/* Swallow what this thread says and reports, until false: for work of which
 * several pieces run side by side. */
void log_quiet_thread(bool quiet);

/* True once the person asked for an end (SIGINT/SIGTERM); long work checks
 * this between steps and returns ERR_STOPPED. */
bool log_stopping(void);
void log_stop(void); /* async-signal-safe */

#endif
