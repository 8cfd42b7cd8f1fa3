/* store/parse.h - cells of a line, and how a table of rows is laid out. */
#ifndef STO_PARSE_H
#define STO_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/import.h"

#define STO_CELLS 64 /* most columns of a table */

enum sto_role {
    STO_ROLE_NONE,
    STO_ROLE_USER,
    STO_ROLE_ITEM,
    STO_ROLE_RATING,
    STO_ROLE_TIME
};

struct sto_cell {
    char *text; /* NUL-ended */
    size_t len;
};

struct sto_layout {
    enum sto_format format; /* never STO_AUTO */
    char separator;         /* ',', ';', TAB, '|', ':' for "::", ' ' */
    bool header;            /* the first line names the columns */
    size_t n_columns;
    enum sto_role role[STO_CELLS];
};

/*
 * Cut a line in place; quotes (CSV only) are taken off by libcsv.  *n is the
 * number of cells, or STO_CELLS + 1 when there are more than fit; 0 with a
 * badly quoted line.  ERR_NOMEM.
 */
ERR_CHECK
enum err sto_cells(char *line, size_t len, char separator,
                   struct sto_cell cell[STO_CELLS], size_t *n);

/* Whether a line is a person and all their items. */
static inline bool sto_is_lists(enum sto_format f)
{
    return f == STO_ADJACENCY || f == STO_SEQUENCES;
}

/* How often c is in text. */
size_t sto_count_char(const char *text, char c);

/* Work out the layout from the first line and, to tell a header, the second
 * ("" where there is none), both ended by NUL, CR or LF.  `path` is for
 * sentences. */
ERR_CHECK
enum err sto_layout_guess(struct sto_layout *out, const char *path,
                          const char *line, const char *second,
                          const struct sto_import_opts *o);

/* Numbers as people write them; false when text is not one. */
bool sto_number(const char *text, double *out);

/* Text as UTF-8: itself, or latin-1 converted into out[2 * len + 1]. */
const char *sto_utf8(const char *text, size_t *len, char *out);

#endif
