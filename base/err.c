/* base/err.c - the thread-local note behind enum err. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char note[512];

enum err err_set(enum err code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
    return code;
}

const char *err_note(void)
{
    return note;
}
