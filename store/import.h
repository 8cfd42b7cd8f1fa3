/*
 * store/import.h - from files that people have to rows in the store.
 *
 * Reading and writing are apart: sto_import_read() parses into memory (id
 * tables and columns; 4 + 4 [+ 4] [+ 8] bytes a row), sto_import_commit()
 * merges everything read into the store in one transaction.  A killed or
 * failed import therefore leaves the store as it was.
 *
 * Two rows of one person and item are one row: the later time wins, then the
 * greater value, so that the result does not depend on the order of arrival.
 */
#ifndef STO_IMPORT_H
#define STO_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

enum sto_format {
    STO_AUTO,      /* look at the first lines */
    STO_CSV,       /* , or ; separated, quotes, header or not */
    STO_TSV,       /* TAB separated, header or not (HetRec) */
    STO_ML_100K,   /* user TAB item TAB rating TAB time, no header */
    STO_ML_1M,     /* user::item::rating::time */
    STO_ADJACENCY, /* user item item ... separated by blanks (LightGCN) */
    STO_RECBOLE,   /* TAB with a header of name:type cells */
    STO_SEQUENCES, /* as adjacency, items in the order of time: their times are
                      1, 2, 3 ... */
};

/* "csv" -> STO_CSV; ERR_ARG names the nearest. */
ERR_CHECK
enum err sto_format_parse(const char *word, enum sto_format *out);
const char *sto_format_name(enum sto_format f);

struct sto_import_opts {
    enum sto_format format;
    enum sto_split split;
    const char *columns; /* "user,item,rating,timestamp" in file order ("-" =
                            skip this column), or NULL: header or guess */
    bool has_min_rating;
    double min_rating; /* rows below are left out (counted as skipped) */
    bool skip_bad;     /* leave bad rows out instead of failing */
    bool open;         /* the people of these rows are declared public: models
                          may build on their rows what others' requests do
                          not touch */
    bool encrypt;      /* as sto_encrypt() before, in the same transaction */
};

struct sto_import_stats {
    uint64_t read;         /* rows (pairs, for adjacency) parsed; where only
                              lists were read: their entries */
    uint64_t stored;       /* rows new to the store */
    uint64_t duplicates;   /* rows that met an earlier one (file or store) */
    uint64_t skipped;      /* bad rows left out, and rows below min_rating */
    uint64_t users, items; /* distinct ids among the rows read */
    double seconds;
};

struct sto_import; /* what was read so far */

ERR_CHECK
enum err sto_import_new(struct sto_import **out,
                        const struct sto_import_opts *opts);
void sto_import_free(struct sto_import *im);

/*
 * Parse one file ("-" = stdin; gz by magic bytes).  Logs what it guessed.
 * ERR_FORMAT: "FILE:LINE: column N: what is wrong (what to do)", without the
 * column where the whole row is wrong.
 * ERR_NOMEM: the rows would not fit; said before reading, with the estimate,
 * where the file's size is known.
 */
ERR_CHECK
enum err sto_import_read(struct sto_import *im, const char *path);

/*
 * Catalogue of items, or file of users, with attributes: MovieLens u.item
 * (| separated, latin-1), u.user, movies.dat, users.dat (::), RecBole .item
 * and .user, CSV/TSV with a header, or one id a line.  Attributes become a
 * JSON object of strings, or of arrays for :token_seq and genres; latin-1 is
 * turned into UTF-8.
 */
ERR_CHECK
enum err sto_import_entities(struct sto_import *im, enum sto_kind kind,
                             const char *path);

/* One item or user with attributes (JSON object text, or ""), as a catalogue or
 * a file of users would list it. */
ERR_CHECK
enum err sto_import_entity(struct sto_import *im, enum sto_kind kind,
                           const char *id, const char *attributes);

/* Everything that was read into the store: one transaction. */
ERR_CHECK
enum err sto_import_commit(struct sto_import *im, struct sto *st,
                           struct sto_import_stats *out);

/* Rows already in memory (synthetic data, tests): ids are borrowed. */
struct sto_row {
    const char *user, *item;
    float value;
    int64_t time; /* INT64_MIN = unknown */
};
ERR_CHECK
enum err sto_import_rows(struct sto_import *im, const struct sto_row *row,
                         size_t n);

/*
 * Move rows from train to test, per person: a fraction `share` of each
 * history (rounded to nearest), or so many rows where share is 1 or more; at
 * least one row stays in train.  by_last:
 * the latest rows (by time, then item key); else those with the smallest
 * draws keyed by (seed, user, item), so that a choice moves with its row only.
 */
ERR_CHECK
enum err sto_split_rows(struct sto *st, double share, bool by_last,
                        uint64_t seed, uint64_t *moved);

#endif
