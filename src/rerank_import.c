/*
 * src/rerank_import.c - `recd rerank import`: lists of other programs.
 *
 * libsvm     `LABEL 1:V 2:V ...` a line; a second file has the length of each
 *            list a line (LightGBM's .query).
 * librerank  a list a line: uid TAB profile TAB sparse[n][s] TAB dense[n][d]
 *            TAB label[n], brackets as JSON has them.  Numbers of categories
 *            become logarithms of how often they are in the file; the second
 *            of them is kept as the category.
 * rechorus   columns with a header: impression_id and label, and user_id,
 *            item_id; all further columns of numbers are features.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernels/power.h"
#include "src/rerank.h"
#include "store/lines.h"

#define LN2 0.69314718055994531

static enum err bad_line(const char *path, uint64_t line, const char *what)
{
    return err_set(ERR_FORMAT, "%s:%llu: %s", path, (unsigned long long)line,
                   what);
}

struct counts;

/* Two passes over a file: what is counted, then what is written. */
struct pass {
    const char *path;
    FILE *out; /* NULL: the first pass */
    struct counts *seen;
    size_t list, items; /* written so far */
};

/* --- libsvm ----------------------------------------------------------------
 */

/* The next number of the file of lengths; 0 at the end. */
static enum err next_length(struct sto_lines *in, const char *path, long *n)
{
    char *line, *end;
    size_t len;

    *n = 0;
    ERR_TRY(sto_lines_next(in, &line, &len));
    if (line == NULL || len == 0)
        return ERR_OK;
    *n = strtol(line, &end, 10);
    return end != line && *end == '\0' && *n > 0
               ? ERR_OK
               : bad_line(path, in->number, "the length of a list is wanted");
}

static enum err copy_rows(struct sto_lines *rows, struct sto_lines *lengths,
                          struct pass *w, const char *query)
{
    long left = 0;
    char *line;
    size_t len;

    for (;;) {
        ERR_TRY(sto_lines_next(rows, &line, &len));
        if (line == NULL || len == 0)
            break;
        if (left == 0) {
            ERR_TRY(next_length(lengths, query, &left));
            w->list++;
            if (left == 0)
                return bad_line(w->path, rows->number,
                                "more rows than the lengths of lists add up "
                                "to");
        }
        left--;
        char *rest = line + strcspn(line, " \t");

        if (*rest != '\0')
            *rest++ = '\0';
        fprintf(w->out, "%s qid:%zu %s\n", line, w->list, rest);
        w->items++;
    }
    return left == 0 ? ERR_OK
                     : bad_line(w->path, rows->number,
                                "fewer rows than the lengths of lists add up "
                                "to");
}

static enum err import_libsvm(struct pass *w, const char *query)
{
    struct sto_lines rows, lengths;

    if (query == NULL)
        return err_set(ERR_ARG, "--format libsvm wants --query FILE: the "
                                "length of each list, one a line");
    ERR_TRY(sto_lines_open(&rows, w->path));
    enum err e = sto_lines_open(&lengths, query);

    if (e == ERR_OK) {
        e = copy_rows(&rows, &lengths, w, query);
        sto_lines_close(&lengths);
    }
    sto_lines_close(&rows);
    return e;
}

/* --- how often numbers occur -----------------------------------------------
 */

/* Counts by (field, number), open addressing. */
struct counts {
    uint64_t *key; /* 0 = free */
    uint32_t *n;
    size_t used, room; /* room a power of two */
};

static uint64_t cell_key(size_t field, const char *text)
{
    uint64_t h = 1469598103934665603u ^ (field + 1);

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h | 1;
}

static size_t slot_of(const struct counts *c, uint64_t key)
{
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (c->room - 1);

    while (c->key[at] != 0 && c->key[at] != key)
        at = (at + 1) & (c->room - 1);
    return at;
}

static enum err counts_room(struct counts *c, size_t room)
{
    struct counts old = *c;

    c->key = mem_array(room, sizeof(*c->key));
    c->n = mem_array(room, sizeof(*c->n));
    c->room = room;
    if (c->key == NULL || c->n == NULL) {
        free(c->key);
        free(c->n);
        *c = old;
        return err_set(ERR_NOMEM, "no memory for counts");
    }
    for (size_t k = 0; k < old.room; k++) {
        if (old.key[k] == 0)
            continue;
        const size_t at = slot_of(c, old.key[k]);

        c->key[at] = old.key[k];
        c->n[at] = old.n[k];
    }
    free(old.key);
    free(old.n);
    return ERR_OK;
}

static enum err count(struct counts *c, size_t field, const char *text)
{
    if (2 * (c->used + 1) > c->room)
        ERR_TRY(counts_room(c, c->room > 0 ? 2 * c->room : 4096));
    const uint64_t key = cell_key(field, text);
    const size_t at = slot_of(c, key);

    c->used += c->key[at] == 0;
    c->key[at] = key;
    c->n[at]++;
    return ERR_OK;
}

/* ln of one more than how often it occurs. */
static double often(const struct counts *c, size_t field, const char *text)
{
    return LN2 *
           krn_log2_f64(1 + (double)c->n[slot_of(c, cell_key(field, text))]);
}

static void counts_free(struct counts *c)
{
    free(c->key);
    free(c->n);
}

/* --- librerank -------------------------------------------------------------
 */

/* A number of JSON as text of its own. */
static const char *word_of(const json_t *x, char text[32])
{
    (void)snprintf(text, 32, "%.17g", json_number_value(x));
    return text;
}

static enum err librerank_item(struct pass *w, uint64_t line,
                               const json_t *sparse, const json_t *dense,
                               const json_t *label)
{
    const size_t s = json_array_size(sparse), d = json_array_size(dense);
    char text[32];

    if (!json_is_array(sparse) || !json_is_array(dense) ||
        !json_is_number(label))
        return bad_line(w->path, line,
                        "sparse, dense and label of every item are wanted");
    if (w->out != NULL)
        fprintf(w->out, "%d qid:%zu", json_number_value(label) > 0, w->list);
    for (size_t f = 0; f < s; f++) {
        const char *word = word_of(json_array_get(sparse, f), text);

        if (w->out == NULL)
            ERR_TRY(count(w->seen, f, word));
        else
            fprintf(w->out, " %zu:%.4f", f + 1, often(w->seen, f, word));
    }
    if (w->out == NULL)
        return ERR_OK;
    if (s > 1) /* the category of the item */
        fprintf(w->out, " %zu:%.0f", s + 1,
                json_number_value(json_array_get(sparse, 1)));
    for (size_t f = 0; f < d; f++)
        fprintf(w->out, " %zu:%.6g", s + 2 + f,
                json_number_value(json_array_get(dense, f)));
    fputc('\n', w->out);
    w->items++;
    return ERR_OK;
}

static enum err librerank_line(struct pass *w, uint64_t line, char *text)
{
    json_t *part[3] = {NULL};
    char *rest, *field = strtok_r(text, "\t", &rest);
    enum err e = ERR_OK;

    for (size_t k = 0; k < 5 && e == ERR_OK; k++) {
        if (field == NULL)
            e = bad_line(w->path, line,
                         "five fields are wanted: uid, profile, sparse, "
                         "dense, label");
        else if (k >= 2 && (part[k - 2] = json_loads(field, 0, NULL)) == NULL)
            e = bad_line(w->path, line,
                         "sparse, dense and label are lists in brackets");
        field = strtok_r(NULL, "\t", &rest);
    }
    const size_t n = e == ERR_OK ? json_array_size(part[2]) : 0;

    if (e == ERR_OK && (n == 0 || json_array_size(part[0]) < n ||
                        json_array_size(part[1]) < n))
        e = bad_line(w->path, line, "labels and items differ in number");
    w->list++;
    for (size_t k = 0; k < n && e == ERR_OK; k++)
        e = librerank_item(w, line, json_array_get(part[0], k),
                           json_array_get(part[1], k),
                           json_array_get(part[2], k));
    for (size_t k = 0; k < 3; k++)
        json_decref(part[k]);
    return e;
}

/* --- rechorus --------------------------------------------------------------
 */

#define COLUMNS 256

struct table {
    struct pass *w;
    char *cell[COLUMNS];
    size_t n, user, item, label, impression; /* SIZE_MAX: not there */
    bool feature[COLUMNS];
    char last[64]; /* impression */
};

static size_t cut_line(char *text, char *cell[COLUMNS])
{
    size_t n = 0;

    for (char *p = text; n < COLUMNS; p++) {
        cell[n++] = p;
        p += strcspn(p, "\t,");
        if (*p == '\0')
            break;
        *p = '\0';
    }
    return n;
}

static enum err rechorus_header(struct table *t, char *text)
{
    t->n = cut_line(text, t->cell);
    t->user = t->item = t->label = t->impression = SIZE_MAX;
    for (size_t c = 0; c < t->n; c++) {
        const char *name = t->cell[c];

        t->feature[c] = strcmp(name, "time") != 0;
        if (strcmp(name, "user_id") == 0)
            t->user = c;
        else if (strcmp(name, "item_id") == 0)
            t->item = c;
        else if (strcmp(name, "label") == 0)
            t->label = c;
        else if (strcmp(name, "impression_id") == 0)
            t->impression = c;
        else
            continue;
        t->feature[c] = false;
    }
    return t->label != SIZE_MAX && t->impression != SIZE_MAX &&
                   t->user != SIZE_MAX && t->item != SIZE_MAX
               ? ERR_OK
               : bad_line(t->w->path, 1,
                          "columns user_id, item_id, label and impression_id "
                          "are wanted");
}

static enum err rechorus_line(struct table *t, uint64_t line, char *text)
{
    struct pass *w = t->w;
    size_t f = 3;

    if (cut_line(text, t->cell) != t->n)
        return bad_line(w->path, line,
                        "another number of columns than the "
                        "header has");
    if (w->out == NULL) {
        ERR_TRY(count(w->seen, 0, t->cell[t->user]));
        return count(w->seen, 1, t->cell[t->item]);
    }
    if (strncmp(t->last, t->cell[t->impression], sizeof(t->last) - 1) != 0)
        w->list++;
    (void)snprintf(t->last, sizeof(t->last), "%s", t->cell[t->impression]);
    fprintf(w->out, "%s qid:%zu 1:%.4f 2:%.4f", t->cell[t->label], w->list,
            often(w->seen, 0, t->cell[t->user]),
            often(w->seen, 1, t->cell[t->item]));
    for (size_t c = 0; c < t->n; c++) {
        char *end;

        if (!t->feature[c])
            continue;
        const double x = strtod(t->cell[c], &end);

        if (end != t->cell[c] && *end == '\0')
            fprintf(w->out, " %zu:%.6g", f, x);
        f++;
    }
    fputc('\n', w->out);
    w->items++;
    return ERR_OK;
}

/* --- both ------------------------------------------------------------------
 */

static enum err one_pass(struct pass *w, bool rechorus)
{
    struct table t = {.w = w};
    struct sto_lines in;
    enum err e;

    w->list = 0;
    ERR_TRY(sto_lines_open(&in, w->path));
    for (;;) {
        char *line;
        size_t len;

        e = sto_lines_next(&in, &line, &len);
        if (e != ERR_OK || line == NULL)
            break;
        if (rechorus)
            e = in.number == 1 ? rechorus_header(&t, line)
                               : rechorus_line(&t, in.number, line);
        else
            e = librerank_line(w, in.number, line);
        if (e != ERR_OK)
            break;
    }
    sto_lines_close(&in);
    return e;
}

enum err cmd_rerank_import(const struct cmd_rerank_values *v, const char *path,
                           const struct cmd_common *c)
{
    const bool libsvm = strcmp(v->format, "libsvm") == 0;
    struct counts seen = {.room = 0};
    struct pass w = {.path = path, .seen = &seen};
    struct cmd_output out;
    enum err e = ERR_OK;

    if (v->output == NULL)
        return err_set(ERR_ARG, "say where to with --output FILE");
    if (!libsvm && v->query != NULL)
        return err_set(ERR_ARG, "--query is for --format libsvm");
    if (!libsvm)
        e = one_pass(&w, strcmp(v->format, "rechorus") == 0);
    if (e == ERR_OK)
        e = cmd_ui_create(&out, v->output);
    if (e == ERR_OK) {
        w.out = out.file;
        e = libsvm ? import_libsvm(&w, v->query)
                   : one_pass(&w, strcmp(v->format, "rechorus") == 0);
        e = cmd_ui_finish(&out, e);
    }
    counts_free(&seen);
    if (e == ERR_OK)
        cmd_rerank_made(c, v->output, w.list, w.items);
    return e;
}
