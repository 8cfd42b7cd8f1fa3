/*
 * base/opt.c - options from tables.
 *
 * Everything that sets an option ends in opt_assign(), so that ranges and
 * sentences are the same on the command line, in a file and in a stored
 * model.
 */
#include "base/opt.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 128 /* names gathered for a suggestion */
#define WORD_MAX 63   /* longer words get no suggestion */

static const struct opt *row_named(const struct opt *rows, const char *name,
                                   size_t len)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (strlen(rows->name) == len && memcmp(rows->name, name, len) == 0)
            return rows;
    }
    return NULL;
}

/* --- suggestions ------------------------------------------------------------
 */

/* Edit distance (Wagner and Fischer, JACM 1974), one row at a time. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[WORD_MAX + 1];

    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t swap = corner + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            corner = row[j];
            row[j] = swap < least ? swap : least;
        }
    }
    return row[m];
}

const char *opt_nearest(const char *word, const char *const *list)
{
    const size_t n = strlen(word);
    const char *best = NULL;
    size_t least = n < 3 ? 2 : n / 3 + 2; /* this far is not near */

    for (; n <= WORD_MAX && *list != NULL; list++) {
        const size_t m = strlen(*list);
        const size_t d = m > WORD_MAX ? least : distance(word, n, *list, m);

        if (d < least && d < m) {
            least = d;
            best = *list;
        }
    }
    return best;
}

enum err opt_unknown(const char *kind, const char *word,
                     const char *const *list, const char *see)
{
    const char *near = opt_nearest(word, list);

    return err_set(ERR_ARG, "there is no %s \"%s\"%s%s%s%s%s%s", kind, word,
                   near != NULL ? ", did you mean \"" : "",
                   near != NULL ? near : "", near != NULL ? "\"?" : "",
                   see != NULL ? " (" : "", see != NULL ? see : "",
                   see != NULL ? ")" : "");
}

static enum err unknown_option(const struct opt_set *sets, const char *name)
{
    const char *names[WORDS_MAX + 1] = {NULL};
    const char *near;
    size_t n = 0;

    for (; sets->rows != NULL; sets++) {
        for (const struct opt *r = sets->rows; r->name != NULL; r++) {
            if (n < WORDS_MAX)
                names[n++] = r->name;
        }
    }
    near = opt_nearest(name, names);
    if (near != NULL)
        return err_set(ERR_ARG, "there is no option --%s: did you mean --%s?",
                       name, near);
    return err_set(ERR_ARG, "there is no option --%s: see --help", name);
}

/* --- assigning --------------------------------------------------------------
 */

static enum err bad_value(const struct opt *r, const char *text)
{
    if (r->min == 0 && r->max == 0)
        return err_set(ERR_ARG, "--%s: \"%s\" is not a %s", r->name, text,
                       r->kind == OPT_INT ? "whole number" : "number");
    return err_set(
        ERR_ARG, "--%s: \"%s\" is not a %s from %.17g to %.17g", r->name, text,
        r->kind == OPT_INT ? "whole number" : "number", r->min, r->max);
}

static bool in_range(const struct opt *r, double x)
{
    return (r->min == 0 && r->max == 0) || (x >= r->min && x <= r->max);
}

static bool is_blank(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\n';
}

static enum err assign_int(const struct opt *r, void *at, const char *text)
{
    char *end = NULL;
    long long x;
    int64_t value;

    errno = 0;
    x = strtoll(text, &end, 10);
    if (is_blank(*text) || *end != '\0' || errno != 0 ||
        !in_range(r, (double)x))
        return bad_value(r, text);
    value = x;
    memcpy(at, &value, sizeof(value));
    return ERR_OK;
}

static enum err assign_real(const struct opt *r, void *at, const char *text)
{
    char *end = NULL;
    double x;

    x = strtod(text, &end);
    if (is_blank(*text) || *end != '\0' || !isfinite(x) || !in_range(r, x))
        return bad_value(r, text);
    memcpy(at, &x, sizeof(x));
    return ERR_OK;
}

static enum err assign_bool(const struct opt *r, void *at, const char *text)
{
    static const char *const words[] = {"false", "true", "0",   "1",
                                        "no",    "yes",  "off", "on"};

    for (size_t i = 0; i < 8; i++) {
        const bool value = i % 2;

        if (strcmp(text, words[i]) == 0) {
            memcpy(at, &value, sizeof(value));
            return ERR_OK;
        }
    }
    return err_set(ERR_ARG, "--%s: \"%s\" is neither true nor false", r->name,
                   text);
}

static enum err assign_choice(const struct opt *r, void *at, const char *text)
{
    const size_t n = strlen(text);

    for (const char *word = r->arg; word != NULL;) {
        const char *bar = strchr(word, '|');
        const size_t len = bar == NULL ? strlen(word) : (size_t)(bar - word);

        if (len == n && n > 0 && memcmp(word, text, n) == 0) {
            memcpy(at, &text, sizeof(text));
            return ERR_OK;
        }
        word = bar == NULL ? NULL : bar + 1;
    }
    return err_set(ERR_ARG, "--%s: \"%s\" is none of %s", r->name, text,
                   r->arg);
}

static enum err assign_row(const struct opt *r, void *base, const char *text)
{
    void *at = (char *)base + r->offset;

    switch (r->kind) {
    case OPT_BOOL:
        return assign_bool(r, at, text);
    case OPT_INT:
        return assign_int(r, at, text);
    case OPT_REAL:
        return assign_real(r, at, text);
    case OPT_CHOICE:
        return assign_choice(r, at, text);
    case OPT_TEXT:
        memcpy(at, &text, sizeof(text));
        return ERR_OK;
    }
    return ERR_OK;
}

enum err opt_assign(const struct opt *rows, void *base, const char *name,
                    const char *text)
{
    const struct opt *r = row_named(rows, name, strlen(name));
    const struct opt_set sets[] = {{rows, base, NULL}, {NULL, NULL, NULL}};

    return r == NULL ? unknown_option(sets, name) : assign_row(r, base, text);
}

void opt_defaults(const struct opt *rows, void *base)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        void *at = (char *)base + rows->offset;
        static const char *const no_text;

        if (rows->kind == OPT_TEXT || rows->kind == OPT_CHOICE)
            memcpy(at, rows->fallback == NULL ? &no_text : &rows->fallback,
                   sizeof(no_text));
        else
            memset(at, 0, rows->kind == OPT_BOOL ? sizeof(bool) : 8);
        /* a default outside its own range would be the table's mistake */
        if (rows->fallback != NULL &&
            assign_row(rows, base, rows->fallback) != ERR_OK)
            abort();
    }
}

void opt_value_text(const struct opt *r, const void *base, char *out,
                    size_t room)
{
    const void *at = (const char *)base + r->offset;
    const char *text;
    int64_t whole;
    double real;
    bool flag;

    switch (r->kind) {
    case OPT_BOOL:
        memcpy(&flag, at, sizeof(flag));
        (void)snprintf(out, room, "%s", flag ? "true" : "false");
        break;
    case OPT_INT:
        memcpy(&whole, at, sizeof(whole));
        (void)snprintf(out, room, "%lld", (long long)whole);
        break;
    case OPT_REAL:
        memcpy(&real, at, sizeof(real));
        (void)snprintf(out, room, "%.15g", real);
        if (strtod(out, NULL) != real) /* 15 digits are not enough */
            (void)snprintf(out, room, "%.17g", real);
        break;
    case OPT_TEXT:
    case OPT_CHOICE:
        memcpy(&text, at, sizeof(text));
        (void)snprintf(out, room, "%s", text == NULL ? "" : text);
        break;
    }
}

bool opt_is_given(const struct opt *row, const void *base)
{
    struct opt one[2] = {*row, {.name = NULL}};
    char now[256], usual[256];
    union {
        bool flag;
        int64_t whole;
        double real;
        const char *text;
    } value;

    one[0].offset = 0;
    opt_defaults(one, &value);
    opt_value_text(one, &value, usual, sizeof(usual));
    opt_value_text(row, base, now, sizeof(now));
    return strcmp(now, usual) != 0;
}

enum err opt_check_use(const struct opt *rows, const void *base,
                       const struct opt_use *use, unsigned mode,
                       const char *what)
{
    for (const struct opt *row = rows; row->name != NULL; row++) {
        for (const struct opt_use *u = use; u->name != NULL; u++) {
            if (strcmp(row->name, u->name) == 0 && (u->modes & mode) == 0 &&
                opt_is_given(row, base))
                return err_set(ERR_ARG, "--%s means nothing to %s", row->name,
                               what);
        }
    }
    return ERR_OK;
}

/* --- the command line -------------------------------------------------------
 */

struct parse {
    const struct opt_set *sets;
    int argc, at; /* at: the word being read */
    char **argv;
};

static enum err parse_long(struct parse *p, char *word)
{
    const char *equals = strchr(word, '=');
    const size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    char name[WORD_MAX + 1];

    for (const struct opt_set *s = p->sets; s->rows != NULL; s++) {
        const struct opt *r = row_named(s->rows, word, len);

        if (r == NULL && len > 3 && memcmp(word, "no-", 3) == 0 &&
            equals == NULL) {
            r = row_named(s->rows, word + 3, len - 3);
            if (r != NULL && r->kind == OPT_BOOL)
                return assign_row(r, s->base, "false");
            r = NULL;
        }
        if (r == NULL)
            continue;
        if (equals != NULL)
            return assign_row(r, s->base, equals + 1);
        if (r->kind == OPT_BOOL)
            return assign_row(r, s->base, "true");
        if (p->at + 1 >= p->argc)
            return err_set(ERR_ARG, "--%s needs a value", r->name);
        return assign_row(r, s->base, p->argv[++p->at]);
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(len < 60 ? len : 60),
                   word);
    return unknown_option(p->sets, name);
}

static const struct opt *row_lettered(const struct parse *p, char letter,
                                      void **base)
{
    for (const struct opt_set *s = p->sets; s->rows != NULL; s++) {
        for (const struct opt *r = s->rows; r->name != NULL; r++) {
            if (r->letter != 0 && r->letter == letter) {
                *base = s->base;
                return r;
            }
        }
    }
    return NULL;
}

/* -k value, -kvalue, and flags together, as in -qv. */
static enum err parse_letters(struct parse *p, const char *word)
{
    for (; *word != '\0'; word++) {
        void *base = NULL;
        const struct opt *r = row_lettered(p, *word, &base);

        if (r == NULL)
            return err_set(ERR_ARG, "there is no option -%c: see --help",
                           *word);
        if (r->kind == OPT_BOOL) {
            ERR_TRY(assign_row(r, base, "true"));
            continue;
        }
        if (word[1] != '\0')
            return assign_row(r, base, word + 1);
        if (p->at + 1 >= p->argc)
            return err_set(ERR_ARG, "-%c needs a value", *word);
        return assign_row(r, base, p->argv[++p->at]);
    }
    return ERR_OK;
}

enum err opt_parse(const struct opt_set *sets, int argc, char **argv,
                   int *n_words)
{
    struct parse p = {.sets = sets, .argc = argc, .argv = argv};
    bool words_only = false;
    int words = 0;

    for (; p.at < argc; p.at++) {
        char *word = argv[p.at];

        if (words_only || word[0] != '-' || word[1] == '\0')
            argv[words++] = word;
        else if (strcmp(word, "--") == 0)
            words_only = true;
        else if (word[1] == '-')
            ERR_TRY(parse_long(&p, word + 2));
        else
            ERR_TRY(parse_letters(&p, word + 1));
    }
    *n_words = words;
    return ERR_OK;
}
