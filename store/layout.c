/* store/layout.c - recognising how a table of rows is laid out. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/parse.h"

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

/* Roles from the cells of a header; *some: one of user and item is named. */
static bool roles_from_header(struct sto_layout *l, const struct sto_cell *cell,
                              size_t n, bool *some)
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
    *some = have[STO_ROLE_USER] || have[STO_ROLE_ITEM];
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
    size_t n;

    ERR_TRY(sto_cells(text, (size_t)len, ',', cell, &n));
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

/* The separator that the first line speaks for. */
static void guess_separator(struct sto_layout *l, const char *first)
{
    if (strstr(first, "::") != NULL) {
        l->format = STO_ML_1M;
        l->separator = ':';
    } else if (strchr(first, '\t') != NULL) {
        l->format = STO_TSV;
        l->separator = '\t';
    } else if (sto_count_char(first, ',') > 0) {
        l->format = STO_CSV;
        l->separator = ',';
    } else if (sto_count_char(first, ';') > 0) {
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
    l->separator = f == STO_CSV      ? (sto_count_char(first, ',') == 0 &&
                                           sto_count_char(first, ';') > 0
                                            ? ';'
                                            : ',')
                   : f == STO_ML_1M  ? ':'
                   : sto_is_lists(f) ? ' '
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

static bool has_digit(const struct sto_cell *c)
{
    return strcspn(c->text, "0123456789") < c->len;
}

/* A line of words over a line that has numbers in the same places. */
static bool over_numbers(const struct sto_cell *cell, size_t n,
                         const char *second, char separator, bool *out)
{
    struct sto_cell below[STO_CELLS];
    const size_t len = strcspn(second, "\r\n");
    char *copy = malloc(len + 1);
    size_t m = 0;

    *out = false;
    if (copy == NULL)
        return false;
    memcpy(copy, second, len);
    copy[len] = '\0';
    const enum err e = sto_cells(copy, len, separator, below, &m);

    for (size_t i = 0; i < n && m == n && n <= STO_CELLS; i++)
        *out |= !has_digit(&cell[i]) && sto_number(below[i].text, &(double){0});
    free(copy);
    return e == ERR_OK;
}

/* Roles of a table: from --columns, else its header, else positions. */
static enum err find_roles(struct sto_layout *l, const char *path, char *first,
                           const char *second, const struct sto_import_opts *o)
{
    struct sto_cell cell[STO_CELLS];
    size_t n;
    bool some, words;
    double x;

    ERR_TRY(sto_cells(first, strlen(first), l->separator, cell, &n));
    if (n == 0 || n > STO_CELLS)
        return need_columns(path);
    const bool named = roles_from_header(l, cell, n, &some);
    const bool typed =
        l->separator == '\t' && memchr(cell[0].text, ':', cell[0].len) != NULL;

    if (!over_numbers(cell, n, second, l->separator, &words))
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    l->header = named;
    if (!named && typed && l->format == STO_TSV) {
        l->format = STO_RECBOLE;
        l->header = roles_from_header(l, cell, n, &some);
    }
    if (o->columns != NULL) {
        l->header |= some || words;
        if (l->header)
            log_info("%s: the first line names columns: it is no row", path);
        return roles_from_option(l, o->columns);
    }
    if (l->header)
        return ERR_OK;
    if (n < 2 || some || words || l->format == STO_RECBOLE ||
        (n > 2 && !sto_number(cell[2].text, &x)))
        return need_columns(path);
    if (l->format == STO_TSV && n == 4 && all_integers(cell, n))
        l->format = STO_ML_100K;
    roles_by_position(l, n);
    return ERR_OK;
}

enum err sto_layout_guess(struct sto_layout *out, const char *path,
                          const char *line, const char *second,
                          const struct sto_import_opts *o)
{
    struct sto_layout l = {.format = o->format};
    char *first = mem_text(line);

    if (first == NULL)
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    first[strcspn(first, "\r\n")] = '\0';
    if (o->format == STO_AUTO)
        guess_separator(&l, first);
    else
        separator_of_format(&l, o->format, first);
    enum err e = ERR_OK;

    if (!sto_is_lists(l.format))
        e = find_roles(&l, path, first, second, o);
    free(first);
    if (e != ERR_OK)
        return e;
    if (o->format == STO_AUTO)
        log_info("%s: reading it as %s%s (--format says otherwise)", path,
                 sto_format_name(l.format), l.header ? " with a header" : "");
    *out = l;
    return ERR_OK;
}
