/*
 * base/opt.h - options declared once.
 *
 * A row says the name, where the value lives in the caller's struct, its
 * default, range and meaning; parsing, --help, man pages, shell completion
 * and the record of a model's options all come from the same rows.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum opt_kind {
    OPT_BOOL,   /* bool;        --name, or --no-name                       */
    OPT_INT,    /* int64_t;     --name N, in [min, max]                    */
    OPT_REAL,   /* double;      --name X, in [min, max], finite            */
    OPT_TEXT,   /* const char*; --name TEXT, borrowed from argv or default */
    OPT_CHOICE, /* const char*; one of `arg`, words separated by '|'       */
};

struct opt {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* one-letter form, or 0 */
    enum opt_kind kind;
    size_t offset;        /* offsetof(struct, field) */
    const char *fallback; /* default as typed; NULL = false / 0 / NULL */
    double min, max;      /* both 0 = no bound */
    const char *arg;      /* placeholder in --help, or the choices */
    const char *help;     /* one line, no full stop */
};

/* A table bound to the struct that its rows fill. */
struct opt_set {
    const struct opt *rows;
    void *base;
    const char *title; /* heading in --help, or NULL */
};

/* Fill base with the defaults of the table. */
void opt_defaults(const struct opt *rows, void *base);

/*
 * Parse argv[0..argc) against several tables (ended by rows == NULL), GNU
 * style: --name value, --name=value, -k value, -kvalue, flags, `--` ends
 * options, options and words may mix.  What is left over (words) moves to
 * the front of argv and *n_words says how many there are.
 *
 * ERR_ARG: unknown option (with the nearest known one), missing or bad value,
 * out of range (the sentence states the range).
 */
ERR_CHECK
enum err opt_parse(const struct opt_set *sets, int argc, char **argv,
                   int *n_words);

/* Set one option by name from text; same errors as opt_parse(). */
ERR_CHECK
enum err opt_assign(const struct opt *rows, void *base, const char *name,
                    const char *text);

/* Write row r's current value as text that opt_assign() would accept. */
void opt_value_text(const struct opt *r, const void *base, char *out,
                    size_t room);

/* What an option is for, where it is not for everything: a mask of modes,
 * whose meaning is the caller's.  A table ends with name NULL. */
struct opt_use {
    const char *name;
    unsigned modes;
};

/* Whether the option's value differs from its default. */
bool opt_is_given(const struct opt *row, const void *base);

/* An option that would be passed over is a mistake: ERR_ARG "--NAME means
 * nothing to WHAT" for a given one that is not for `mode`. */
ERR_CHECK
enum err opt_check_use(const struct opt *rows, const void *base,
                       const struct opt_use *use, unsigned mode,
                       const char *what);

/* The word of list (ended by NULL) nearest to `word` by edit distance, or
 * NULL when none is near enough to suggest. */
const char *opt_nearest(const char *word, const char *const *list);

/* The sentence for a word that is not in the list: "there is no KIND "WORD"",
 * with the nearest one if any, and where to find them all (`see`, may be NULL).
 * Returns ERR_ARG. */
enum err opt_unknown(const char *kind, const char *word,
                     const char *const *list, const char *see);

#endif
