/*
 * base/err.h - one error type for the whole tree.
 *
 * A function that can fail returns `enum err` and nothing else; results go
 * through pointers that are written only on ERR_OK.  Where the failure is
 * detected, err_set() also leaves one human sentence in a thread-local note,
 * which the command at the top prints.  Nobody in between prints or exits.
 *
 * A broken promise by the *program* (not its input) is not an error: assert().
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_OK = 0,   /* everything promised was done */
    ERR_ARG,      /* a value chosen by the user is outside its stated range */
    ERR_NOMEM,    /* an allocation failed, or the work would not fit */
    ERR_IO,       /* the operating system refused; the note carries strerror */
    ERR_FORMAT,   /* a file is not what its header or its grammar says */
    ERR_NUM,      /* NaN, infinity, or divergence where a number was needed */
    ERR_NOTFOUND, /* a named user, item, model or store does not exist */
    ERR_AGAIN,    /* the store's map is too small: the caller grows, retries */
    ERR_STALE,    /* rows were removed while work was done on them: again */
    ERR_STOPPED,  /* the person asked for an end (SIGINT): nothing was done */
};

/* Prefix a declaration whose result must not be dropped. */
#define ERR_CHECK __attribute__((warn_unused_result))

/* Pass a failure up unchanged.  Only where there is nothing to clean up. */
#define ERR_TRY(call)                                                          \
    do {                                                                       \
        const enum err err_try_ = (call);                                      \
        if (err_try_ != ERR_OK)                                                \
            return err_try_;                                                   \
    } while (0)

/* Record why `code` happened and return `code`.  Truncates at 511 bytes. */
enum err err_set(enum err code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The last note left on this thread; never NULL, valid until the next one. */
const char *err_note(void);

#endif
