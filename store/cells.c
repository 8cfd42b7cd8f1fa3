/* store/cells.c - cutting lines, reading numbers, recognising layouts. */
#include <csv.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/opt.h"
#include "store/parse.h"

static const char *const format_word[] = {
    "auto", "csv", "tsv", "ml-100k", "ml-1m", "adjacency", "recbole", NULL};

enum err sto_format_parse(const char *word, enum sto_format *out)
{
    for (int i = 0; format_word[i] != NULL; i++)
        if (strcmp(word, format_word[i]) == 0) {
            *out = (enum sto_format)i;
            return ERR_OK;
        }
    const char *near = opt_nearest(word, format_word);

    return err_set(ERR_ARG,
                   "unknown format \"%s\"%s%s%s (known: auto, csv, tsv, "
                   "ml-100k, ml-1m, adjacency, recbole)",
                   word, near != NULL ? ", did you mean \"" : "",
                   near != NULL ? near : "", near != NULL ? "\"?" : "");
}

const char *sto_format_name(enum sto_format f)
{
    return format_word[f];
}

bool sto_number(const char *text, double *out)
{
    char *end;

    if (isspace((unsigned char)text[0]) || text[0] == '\0')
        return false;
    *out = strtod(text, &end);
    while (*end == ' ')
        end++;
    return *end == '\0' && isfinite(*out) && strpbrk(text, "xXnN") == NULL;
}

static bool is_utf8(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t more = p[i] < 0x80    ? 0
                            : p[i] < 0xc2  ? 9
                            : p[i] < 0xe0  ? 1
                            : p[i] < 0xf0  ? 2
                            : p[i] <= 0xf4 ? 3
                                           : 9;

        if (more == 9 || i + more >= n + (more == 0))
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

const char *sto_utf8(const char *text, size_t *len, char *out)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;

    if (is_utf8(p, *len))
        return text;
    for (size_t i = 0; i < *len; i++) {
        if (p[i] < 0x80) {
            out[n++] = (char)p[i];
        } else {
            out[n++] = (char)(0xc0 | p[i] >> 6);
            out[n++] = (char)(0x80 | (p[i] & 0x3f));
        }
    }
    out[n] = '\0';
    *len = n;
    return out;
}

/* --- cells ------------------------------------------------------------------
 */

struct quoted {
    struct sto_cell *cell;
    size_t n;
    char *to; /* unquoted text goes back into the line, never further on */
};

static void quoted_cell(void *data, size_t len, void *arg)
{
    struct quoted *q = arg;

    if (q->n < STO_CELLS) {
        memmove(q->to, data, len);
        q->to[len] = '\0';
        q->cell[q->n] = (struct sto_cell){q->to, len};
        q->to += len + 1;
    }
    q->n++;
}

/* A line with quotes: libcsv.  Its buffer is apart from the line, and what
 * comes out is never longer than what went in. */
static size_t cut_quoted(char *line, size_t len, char separator,
                         struct sto_cell *cell)
{
    struct csv_parser p;
    struct quoted q = {.cell = cell, .to = line};
    char *copy = malloc(len + 1);
    bool good = copy != NULL && csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) == 0;

    if (good) {
        memcpy(copy, line, len);
        csv_set_delim(&p, (unsigned char)separator);
        good = csv_parse(&p, copy, len, quoted_cell, NULL, &q) == len &&
               csv_fini(&p, quoted_cell, NULL, &q) == 0;
        csv_free(&p);
    }
    free(copy);
    if (!good)
        return 0;
    return q.n > STO_CELLS ? STO_CELLS + 1 : q.n;
}

size_t sto_cells(char *line, size_t len, char separator,
                 struct sto_cell cell[STO_CELLS])
{
    const size_t step = separator == ':' ? 2 : 1;
    char *p = line, *end = line + len;
    size_t n = 0;

    if ((separator == ',' || separator == ';') && memchr(line, '"', len))
        return cut_quoted(line, len, separator, cell);
    for (;;) {
        char *cut = memchr(p, separator, (size_t)(end - p));

        while (cut != NULL && step == 2 && cut[1] != ':')
            cut = memchr(cut + 1, separator, (size_t)(end - cut - 1));
        if (n == STO_CELLS)
            return STO_CELLS + 1;
        cell[n].text = p;
        cell[n++].len = (size_t)((cut != NULL ? cut : end) - p);
        if (cut == NULL)
            return n;
        *cut = '\0';
        p = cut + step;
    }
}

/* --- layouts
 * ------------------------------------------------------------------ */

static const struct {
    enum sto_role role;
    const char *names; /* blank-separated, lower case */
} known[] = {
    {STO_ROLE_USER, " user userid user_id uid session_id sessionid "
                    "reviewerid visitorid customer_id "},
    {STO_ROLE_ITEM, " item itemid item_id iid movieid movie_id artistid "
                    "artist_id asin productid product_id business_id bookid "
                    "book_id song_id track_id "},
    {STO_ROLE_RATING, " rating ratings score value weight count stars plays "
                      "overall playcount "},
    {STO_ROLE_TIME, " timestamp time unixtime unix_time unixreviewtime ts "},
};

static enum sto_role role_of(const char *name, size_t len)
{
    char word[34];

    if (len == 0 || len > 30)
        return STO_ROLE_NONE;
    word[0] = ' ';
    for (size_t i = 0; i < len; i++)
        word[i + 1] = (char)tolower((unsigned char)name[i]);
    word[len + 1] = ' ';
    word[len + 2] = '\0';
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(known[i].names, word) != NULL)
            return known[i].role;
    return STO_ROLE_NONE;
}

/* Roles from the cells of a header; false when user or item is missing. */
static bool roles_from_header(struct sto_layout *l, const struct sto_cell *cell,
                              size_t n)
{
    bool have[5] = {false};

    l->n_columns = n;
    for (size_t i = 0; i < n; i++) {
        const char *colon = memchr(cell[i].text, ':', cell[i].len);
        const size_t len = l->format == STO_RECBOLE && colon != NULL
                               ? (size_t)(colon - cell[i].text)
                               : cell[i].len;
        enum sto_role role = role_of(cell[i].text, len);

        if (have[role])
            role = STO_ROLE_NONE;
        l->role[i] = role;
        have[role] = true;
    }
    return have[STO_ROLE_USER] && have[STO_ROLE_ITEM];
}

static void roles_by_position(struct sto_layout *l, size_t n)
{
    l->n_columns = n;
    for (size_t i = 0; i < n; i++)
        l->role[i] = i < 4 ? (enum sto_role)(STO_ROLE_USER + i) : STO_ROLE_NONE;
}

/* --columns user,item,-,rating */
static enum err roles_from_option(struct sto_layout *l, const char *columns)
{
    char text[512];
    struct sto_cell cell[STO_CELLS];
    const int len = snprintf(text, sizeof(text), "%s", columns);
    bool have[5] = {false};

    if (len < 0 || (size_t)len >= sizeof(text))
        return err_set(ERR_ARG, "--columns is too long");
    const size_t n = sto_cells(text, (size_t)len, ',', cell);

    for (size_t i = 0; i < n && n <= STO_CELLS; i++) {
        l->role[i] = role_of(cell[i].text, cell[i].len);
        have[l->role[i]] = true;
        if (l->role[i] == STO_ROLE_NONE && strcmp(cell[i].text, "-") != 0)
            return err_set(ERR_ARG,
                           "--columns: \"%s\" is none of user, item, rating, "
                           "timestamp, - (for a column to skip)",
                           cell[i].text);
    }
    if (n == 0 || n > STO_CELLS || !have[STO_ROLE_USER] || !have[STO_ROLE_ITEM])
        return err_set(ERR_ARG, "--columns must name user and item");
    l->n_columns = n;
    return ERR_OK;
}

static bool all_integers(const struct sto_cell *cell, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cell[i].len == 0 ||
            strspn(cell[i].text, "0123456789") != cell[i].len)
            return false;
    return true;
}

static size_t count_of(const char *line, char c)
{
    size_t n = 0;

    for (; *line != '\0'; line++)
        n += *line == c;
    return n;
}

/* The separator that the first line speaks for. */
static void guess_separator(struct sto_layout *l, const char *first)
{
    if (strstr(first, "::") != NULL) {
        l->format = STO_ML_1M;
        l->separator = ':';
    } else if (strchr(first, '\t') != NULL) {
        l->format = STO_TSV;
        l->separator = '\t';
    } else if (count_of(first, ',') > 0) {
        l->format = STO_CSV;
        l->separator = ',';
    } else if (count_of(first, ';') > 0) {
        l->format = STO_CSV;
        l->separator = ';';
    } else {
        l->format = STO_ADJACENCY;
        l->separator = ' ';
    }
}

static void separator_of_format(struct sto_layout *l, enum sto_format f,
                                const char *first)
{
    l->format = f;
    l->separator =
        f == STO_CSV
            ? (count_of(first, ',') == 0 && count_of(first, ';') > 0 ? ';'
                                                                     : ',')
        : f == STO_ML_1M     ? ':'
        : f == STO_ADJACENCY ? ' '
                             : '\t';
}

static enum err need_columns(const char *path)
{
    return err_set(ERR_FORMAT,
                   "%s:1: cannot tell which column is the user and which the "
                   "item (say it with --columns user,item,rating,timestamp; - "
                   "skips a column)",
                   path);
}

/* Roles of a table: from --columns, else its header, else positions. */
static enum err find_roles(struct sto_layout *l, const char *path, char *first,
                           const struct sto_import_opts *o)
{
    struct sto_cell cell[STO_CELLS];
    const size_t n = sto_cells(first, strlen(first), l->separator, cell);
    double x;

    if (n == 0 || n > STO_CELLS)
        return need_columns(path);
    const bool named = roles_from_header(l, cell, n);
    const bool typed =
        l->separator == '\t' && memchr(cell[0].text, ':', cell[0].len) != NULL;

    if (!named && typed && l->format == STO_TSV) {
        l->format = STO_RECBOLE;
        l->header = roles_from_header(l, cell, n);
    } else {
        l->header = named;
    }
    if (o->columns != NULL)
        return roles_from_option(l, o->columns);
    if (l->header)
        return ERR_OK;
    if (n < 2 || l->format == STO_RECBOLE ||
        (n > 2 && !sto_number(cell[2].text, &x)))
        return need_columns(path);
    if (l->format == STO_TSV && n == 4 && all_integers(cell, n))
        l->format = STO_ML_100K;
    roles_by_position(l, n);
    return ERR_OK;
}

enum err sto_layout_guess(struct sto_layout *out, const char *path,
                          const char *head, const struct sto_import_opts *o)
{
    struct sto_layout l = {.format = o->format};
    const size_t len = strcspn(head, "\r\n");
    char *first = malloc(len + 1);

    if (first == NULL)
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    memcpy(first, head, len);
    first[len] = '\0';
    if (o->format == STO_AUTO)
        guess_separator(&l, first);
    else
        separator_of_format(&l, o->format, first);
    enum err e = ERR_OK;

    if (l.format != STO_ADJACENCY)
        e = find_roles(&l, path, first, o);
    free(first);
    if (e != ERR_OK)
        return e;
    if (o->format == STO_AUTO)
        log_info("%s: reading it as %s%s (--format says otherwise)", path,
                 sto_format_name(l.format), l.header ? " with a header" : "");
    *out = l;
    return ERR_OK;
}
