/* store/read.c - one file of interactions into rows in memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/lines.h"
#include "store/parse.h"
#include "store/rows.h"

#define ROW_BYTES 28.0 /* columns, grouping, and a share of the tables */

struct reader {
    struct sto_import *im;
    struct sto_lines in;
    struct sto_layout layout;
    char utf8[2][2 * STO_ID_BYTES + 2];
};

static enum err bad(const struct reader *r, const char *what, const char *text)
{
    return err_set(ERR_FORMAT, "%s:%llu: %s \"%.60s\" %s", r->in.path,
                   (unsigned long long)r->in.number, what, text,
                   "(use --skip-bad to leave such rows out)");
}

/* An id as stored: 1..STO_ID_BYTES bytes of UTF-8 without blanks around. */
static enum err read_id(struct reader *r, const char *what, int which,
                        const struct sto_cell *c, const char **id, size_t *len)
{
    *len = c->len;
    if (c->len == 0)
        return err_set(ERR_FORMAT,
                       "%s:%llu: the %s is empty (use --skip-bad to leave "
                       "such rows out)",
                       r->in.path, (unsigned long long)r->in.number, what);
    if (c->len <= STO_ID_BYTES)
        *id = sto_utf8(c->text, len, r->utf8[which]);
    if (c->len > STO_ID_BYTES || *len > STO_ID_BYTES)
        return err_set(ERR_FORMAT,
                       "%s:%llu: the %s id is longer than %d bytes (use "
                       "--skip-bad to leave such rows out)",
                       r->in.path, (unsigned long long)r->in.number, what,
                       STO_ID_BYTES);
    return ERR_OK;
}

static enum err read_rating(struct reader *r, const char *text, float *out)
{
    double x;

    if (text[0] == '\0')
        return ERR_OK;
    if (text[1] == '\0' && text[0] >= '0' && text[0] <= '9') {
        *out = (float)(text[0] - '0');
        return ERR_OK;
    }
    if (!sto_number(text, &x))
        return err_set(ERR_FORMAT,
                       "%s:%llu: rating \"%.60s\" is not a number (use "
                       "--skip-bad to leave such rows out)",
                       r->in.path, (unsigned long long)r->in.number, text);
    if (fabs(x) > 1e30)
        return bad(r, "rating out of range:", text);
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

static enum err read_time(struct reader *r, const struct sto_cell *c,
                          int64_t *out)
{
    double x;

    if (c->len == 0)
        return ERR_OK;
    if (whole_number(c, out))
        return ERR_OK;
    if (!sto_number(c->text, &x))
        return err_set(ERR_FORMAT,
                       "%s:%llu: timestamp \"%.60s\" is not a number of "
                       "seconds (use --columns to skip the column, or "
                       "--skip-bad to leave such rows out)",
                       r->in.path, (unsigned long long)r->in.number, c->text);
    if (fabs(x) > 1e15)
        return bad(r, "timestamp out of range:", c->text);
    *out = (int64_t)x;
    return ERR_OK;
}

static enum err read_table_row(struct reader *r, char *line, size_t len)
{
    const struct sto_layout *l = &r->layout;
    struct sto_cell cell[STO_CELLS];
    const size_t n = sto_cells(line, len, l->separator, cell);
    const char *id[2] = {"", ""};
    size_t id_len[2] = {0, 0};
    float value = 1.0f;
    int64_t time = STO_NO_TIME;

    if (n == 0)
        return err_set(ERR_FORMAT,
                       "%s:%llu: the quotes do not match (use --skip-bad to "
                       "leave such rows out)",
                       r->in.path, (unsigned long long)r->in.number);
    if (n != l->n_columns)
        return err_set(ERR_FORMAT,
                       "%s:%llu: %zu columns where %zu are expected (use "
                       "--skip-bad to leave such rows out)",
                       r->in.path, (unsigned long long)r->in.number, n,
                       l->n_columns);
    for (size_t i = 0; i < n; i++) {
        switch (l->role[i]) {
        case STO_ROLE_USER:
            ERR_TRY(read_id(r, "user", 0, &cell[i], &id[0], &id_len[0]));
            break;
        case STO_ROLE_ITEM:
            ERR_TRY(read_id(r, "item", 1, &cell[i], &id[1], &id_len[1]));
            break;
        case STO_ROLE_RATING:
            ERR_TRY(read_rating(r, cell[i].text, &value));
            break;
        case STO_ROLE_TIME:
            ERR_TRY(read_time(r, &cell[i], &time));
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
    size_t len[2];

    if (user == NULL)
        return ERR_OK;
    const struct sto_cell u = {user, strlen(user)};

    ERR_TRY(read_id(r, "user", 0, &u, &id[0], &len[0]));
    while ((word = next_word(&p)) != NULL) {
        const struct sto_cell c = {word, strlen(word)};

        ERR_TRY(read_id(r, "item", 1, &c, &id[1], &len[1]));
        ERR_TRY(sto_rows_add(r->im, id[0], len[0], id[1], len[1], 1.0f,
                             STO_NO_TIME));
    }
    return ERR_OK;
}

static enum err read_line(struct reader *r, char *line, size_t len)
{
    if (len == 0 || (r->layout.header && r->in.number == 1))
        return ERR_OK;
    enum err e = r->layout.format == STO_ADJACENCY
                     ? read_adjacency_row(r, line)
                     : read_table_row(r, line, len);

    if (e == ERR_FORMAT && r->im->opts.skip_bad) {
        r->im->skipped++;
        return ERR_OK;
    }
    return e;
}

/* Rows that a file of known size will hold, from its first line. */
static enum err check_budget(const struct reader *r, size_t first_len)
{
    const double per_row =
        r->layout.format == STO_ADJACENCY ? 4.0 : (double)first_len + 1;
    const double rows = (double)r->in.total / (per_row < 4.0 ? 4.0 : per_row);
    char what[600];

    (void)snprintf(what, sizeof(what), "importing %s (about %.0f rows)",
                   r->in.path, rows);
    return mem_budget(rows * ROW_BYTES, what);
}

static enum err read_rows(struct reader *r)
{
    char *line;
    size_t len;

    ERR_TRY(sto_lines_next(&r->in, &line, &len));
    if (line == NULL)
        return err_set(ERR_FORMAT, "%s: the file is empty", r->in.path);
    ERR_TRY(sto_layout_guess(&r->layout, r->in.path, line, &r->im->opts));
    ERR_TRY(check_budget(r, len));
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
