/* store/cells.c - cutting lines, reading numbers, recognising layouts. */
#include <csv.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/opt.h"
#include "store/parse.h"

static const char *const format_word[] = {"auto",    "csv",       "tsv",
                                          "ml-100k", "ml-1m",     "adjacency",
                                          "recbole", "sequences", NULL};

enum err sto_format_parse(const char *word, enum sto_format *out)
{
    for (int i = 0; format_word[i] != NULL; i++)
        if (strcmp(word, format_word[i]) == 0) {
            *out = (enum sto_format)i;
            return ERR_OK;
        }
    return opt_unknown("format", word, format_word,
                       "auto, csv, tsv, ml-100k, ml-1m, adjacency, recbole, "
                       "sequences");
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

/* A line with quotes: libcsv.  A cell comes out, from libcsv's own buffer,
 * when the line was read beyond its end, and is no longer than it was: that is
 * why it may go back into the line. */
static enum err cut_quoted(char *line, size_t len, char separator,
                           struct sto_cell *cell, size_t *n)
{
    struct csv_parser p;
    struct quoted q = {.cell = cell, .to = line};

    *n = 0;
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI) != 0)
        return err_set(ERR_NOMEM, "no memory to read a row");
    csv_set_delim(&p, (unsigned char)separator);
    if (csv_parse(&p, line, len, quoted_cell, NULL, &q) == len &&
        csv_fini(&p, quoted_cell, NULL, &q) == 0)
        *n = q.n > STO_CELLS ? STO_CELLS + 1 : q.n;
    const bool no_memory = *n == 0 && csv_error(&p) == CSV_ENOMEM;

    csv_free(&p);
    return no_memory ? err_set(ERR_NOMEM, "no memory to read a row") : ERR_OK;
}

static size_t cut_plain(char *line, size_t len, char separator,
                        struct sto_cell *cell)
{
    const size_t step = separator == ':' ? 2 : 1;
    char *p = line, *end = line + len;
    size_t n = 0;

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

enum err sto_cells(char *line, size_t len, char separator,
                   struct sto_cell cell[STO_CELLS], size_t *n)
{
    if ((separator == ',' || separator == ';') && memchr(line, '"', len))
        return cut_quoted(line, len, separator, cell, n);
    *n = cut_plain(line, len, separator, cell);
    return ERR_OK;
}

size_t sto_count_char(const char *text, char c)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == c;
    return n;
}
