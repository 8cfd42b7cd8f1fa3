/* store/read.c - one file of interactions into rows in memory. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/lines.h"
#include "store/parse.h"
#include "store/rows.h"

struct reader {
    struct sto_import *im;
    struct sto_lines in;
    struct sto_layout layout;
    char utf8[2][2 * STO_ID_BYTES + 2];
};

/* "FILE:LINE: column N: what is wrong (...)"; column 0: the whole row. */
__attribute__((format(printf, 3, 4))) static enum err bad(
    const struct reader *r, size_t column, const char *format, ...)
{
    char what[256], where[48] = "";
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (column > 0)
        (void)snprintf(where, sizeof(where), "column %zu: ", column);
    return err_set(ERR_FORMAT,
                   "%s:%llu: %s%s (use --skip-bad to leave such rows out)",
                   r->in.path, (unsigned long long)r->in.number, where, what);
}

/* An id as stored: 1..STO_ID_BYTES bytes of UTF-8 without blanks around. */
static enum err read_id(struct reader *r, size_t column, int which,
                        const struct sto_cell *c, const char **id, size_t *len)
{
    static const char *const name[2] = {"user", "item"};

    *len = c->len;
    if (c->len == 0)
        return bad(r, column, "the %s is empty", name[which]);
    if (c->len <= STO_ID_BYTES)
        *id = sto_utf8(c->text, len, r->utf8[which]);
    if (c->len > STO_ID_BYTES || *len > STO_ID_BYTES)
        return bad(r, column, "the %s id is longer than %d bytes", name[which],
                   STO_ID_BYTES);
    return ERR_OK;
}

static enum err read_rating(struct reader *r, size_t column, const char *text,
                            float *out)
{
    double x;

    if (text[0] == '\0')
        return ERR_OK;
    if (text[1] == '\0' && text[0] >= '0' && text[0] <= '9') {
        *out = (float)(text[0] - '0');
        return ERR_OK;
    }
    if (!sto_number(text, &x))
        return bad(r, column, "rating \"%.60s\" is not a number", text);
    if (fabs(x) > 1e30)
        return bad(r, column, "rating \"%.60s\" is out of range", text);
    *out = (float)x;
    return ERR_OK;
}

/* Up to 15 digits and nothing else: exact, and much faster than strtoll(). */
static bool whole_number(const struct sto_cell *c, int64_t *out)
{
    int64_t x = 0;

    if (c->len > 15)
        return false;
    for (size_t i = 0; i < c->len; i++) {
        if (c->text[i] < '0' || c->text[i] > '9')
            return false;
        x = 10 * x + (c->text[i] - '0');
    }
    *out = x;
    return true;
}

static enum err read_time(struct reader *r, size_t column,
                          const struct sto_cell *c, int64_t *out)
{
    double x;

    if (c->len == 0 || whole_number(c, out))
        return ERR_OK;
    if (!sto_number(c->text, &x))
        return bad(r, column,
                   "timestamp \"%.60s\" is not a number of seconds "
                   "(--columns can skip the column)",
                   c->text);
    if (fabs(x) > 1e15)
        return bad(r, column, "timestamp \"%.60s\" is out of range", c->text);
    *out = (int64_t)x;
    return ERR_OK;
}

static enum err read_table_row(struct reader *r, char *line, size_t len)
{
    const struct sto_layout *l = &r->layout;
    struct sto_cell cell[STO_CELLS];
    const char *id[2] = {"", ""};
    size_t id_len[2] = {0, 0}, n;
    float value = 1.0f;
    int64_t time = STO_NO_TIME;

    ERR_TRY(sto_cells(line, len, l->separator, cell, &n));
    if (n == 0)
        return bad(r, 0,
                   "the quotes do not match, or a quoted cell holds a "
                   "line break");
    if (n != l->n_columns)
        return bad(r, 0, "%zu columns where %zu are expected", n, l->n_columns);
    for (size_t i = 0; i < n; i++) {
        switch (l->role[i]) {
        case STO_ROLE_USER:
            ERR_TRY(read_id(r, i + 1, 0, &cell[i], &id[0], &id_len[0]));
            break;
        case STO_ROLE_ITEM:
            ERR_TRY(read_id(r, i + 1, 1, &cell[i], &id[1], &id_len[1]));
            break;
        case STO_ROLE_RATING:
            ERR_TRY(read_rating(r, i + 1, cell[i].text, &value));
            break;
        case STO_ROLE_TIME:
            ERR_TRY(read_time(r, i + 1, &cell[i], &time));
            break;
        case STO_ROLE_NONE:
            break;
        }
    }
    return sto_rows_add(r->im, id[0], id_len[0], id[1], id_len[1], value, time);
}

static char *next_word(char **p)
{
    char *word = *p + strspn(*p, " \t");
    char *end = word + strcspn(word, " \t");

    if (word == end)
        return NULL;
    *p = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static enum err read_adjacency_row(struct reader *r, char *line)
{
    char *p = line, *word;
    char *user = next_word(&p);
    const char *id[2] = {"", ""};
    size_t len[2], column = 1;

    if (user == NULL)
        return ERR_OK;
    const struct sto_cell u = {user, strlen(user)};

    ERR_TRY(read_id(r, column, 0, &u, &id[0], &len[0]));
    while ((word = next_word(&p)) != NULL) {
        const struct sto_cell c = {word, strlen(word)};

        ERR_TRY(read_id(r, ++column, 1, &c, &id[1], &len[1]));
        ERR_TRY(sto_rows_add(r->im, id[0], len[0], id[1], len[1], 1.0f,
                             r->layout.format == STO_SEQUENCES
                                 ? (int64_t)column - 1
                                 : STO_NO_TIME));
    }
    return ERR_OK;
}

static enum err read_line(struct reader *r, char *line, size_t len)
{
    if (len == 0 || (r->layout.header && r->in.number == 1))
        return ERR_OK;
    enum err e = sto_is_lists(r->layout.format) ? read_adjacency_row(r, line)
                                                : read_table_row(r, line, len);

    if (e == ERR_FORMAT && r->im->opts.skip_bad) {
        r->im->skipped++;
        return ERR_OK;
    }
    return e;
}

/* Bytes of rows (uncompressed) that the file will give: known for regular
 * files, where what was read so far tells how well it is packed. */
static double expected_bytes(const struct reader *r)
{
    const double packed = sto_lines_packed(&r->in);

    return packed > 0.0 ? (double)r->in.total * (double)r->in.bytes / packed
                        : 0.0;
}

/* Refuse a file whose rows cannot fit, from what its beginning looks like. */
static enum err check_budget(struct reader *r)
{
    const char mark = sto_is_lists(r->layout.format) ? ' ' : '\n';
    size_t n, marks = 0;
    const char *ahead = sto_lines_ahead(&r->in, &n);
    char what[600];

    for (const char *p = ahead; (p = memchr(p, mark, n - (size_t)(p - ahead)));
         p++)
        marks++;
    if (marks == 0)
        return ERR_OK;
    const double rows = expected_bytes(r) * (double)marks / (double)n;

    (void)snprintf(what, sizeof(what), "importing %s (about %.0f rows)",
                   r->in.path, rows);
    return mem_budget(rows * STO_ROW_BYTES, what);
}

static enum err read_rows(struct reader *r)
{
    char *line;
    size_t len, ahead;

    ERR_TRY(sto_lines_next(&r->in, &line, &len));
    if (line == NULL)
        return err_set(ERR_FORMAT, "%s: the file is empty", r->in.path);
    ERR_TRY(sto_layout_guess(&r->layout, r->in.path, line,
                             sto_lines_ahead(&r->in, &ahead), &r->im->opts));
    ERR_TRY(check_budget(r));
    while (line != NULL) {
        ERR_TRY(read_line(r, line, len));
        if (r->in.number % 65536 == 0) {
            log_tick("reading", r->in.bytes, r->in.total, NULL);
            if (log_stopping())
                return err_set(ERR_STOPPED, "stopped: nothing was imported");
        }
        ERR_TRY(sto_lines_next(&r->in, &line, &len));
    }
    log_tick("reading", r->in.bytes, r->in.bytes, NULL);
    return ERR_OK;
}

enum err sto_import_read(struct sto_import *im, const char *path)
{
    struct reader *r = mem_array(1, sizeof(*r));

    if (r == NULL)
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    r->im = im;
    enum err e = sto_lines_open(&r->in, path);

    if (e == ERR_OK) {
        const size_t before = im->n;

        e = read_rows(r);
        if (e == ERR_OK)
            e = sto_rows_flush(im);
        if (e != ERR_OK) {
            im->n = before;
            im->batch.n = im->batch.text_n = 0;
        }
    }
    sto_lines_close(&r->in);
    free(r);
    return e;
}
