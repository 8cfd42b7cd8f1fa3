/* rec/ready_read.c - reading ready-made lists. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rec/ready.h"
#include "store/lines.h"

#define LABEL_MOST 30
#define FEATURE_MOST 100000

/* What grows while a file is read. */
struct reader {
    struct rec_ready *r;
    const char *path;
    uint64_t line;
    size_t room[7]; /* of the arrays that grow */
    size_t n_entries, n_truth;
    char qid[64];
};

static enum err wrong(const struct reader *w, const char *what)
{
    return err_set(ERR_FORMAT, "%s:%llu: %s", w->path,
                   (unsigned long long)w->line, what);
}

static enum err new_row(struct reader *w)
{
    struct rec_ready *r = w->r;
    const size_t n = r->n_rows;

    ERR_TRY(mem_grow(&r->label, &w->room[0], n + 1, sizeof(*r->label)));
    ERR_TRY(mem_grow(&r->at, &w->room[1], n + 2, sizeof(*r->at)));
    ERR_TRY(mem_grow(&r->attract, &w->room[2], n + 1, sizeof(*r->attract)));
    ERR_TRY(mem_grow(&r->stay, &w->room[3], n + 1, sizeof(*r->stay)));
    r->at[0] = 0;
    r->attract[n] = r->stay[n] = 0;
    r->n_rows++;
    r->at[n + 1] = w->n_entries;
    return ERR_OK;
}

static enum err new_entry(struct reader *w, uint32_t feature, float value)
{
    struct rec_ready *r = w->r;
    const size_t n = w->n_entries;

    ERR_TRY(mem_grow(&r->feature, &w->room[4], n + 1, sizeof(*r->feature)));
    ERR_TRY(mem_grow(&r->value, &w->room[5], n + 1, sizeof(*r->value)));
    r->feature[n] = feature;
    r->value[n] = value;
    w->n_entries++;
    r->at[r->n_rows] = w->n_entries;
    return ERR_OK;
}

/* The list that the row just read belongs to. */
static enum err join_list(struct reader *w, const char *qid, size_t len)
{
    struct rec_ready *r = w->r;

    if (len >= sizeof(w->qid))
        return wrong(w, "the qid is too long (63 bytes at most)");
    if (r->n == 0 || strlen(w->qid) != len || memcmp(w->qid, qid, len) != 0) {
        ERR_TRY(mem_grow(&r->ptr, &w->room[6], r->n + 2, sizeof(*r->ptr)));
        r->ptr[0] = 0;
        memcpy(w->qid, qid, len);
        w->qid[len] = '\0';
        r->n++;
    }
    r->ptr[r->n] = r->n_rows;
    const size_t n = r->ptr[r->n] - r->ptr[r->n - 1];

    if (n > REC_LIST_MOST)
        return wrong(w, "a list has more than 512 items");
    r->most = n > r->most ? n : r->most;
    return ERR_OK;
}

static bool number(const char **p, double *x)
{
    char *end;

    *x = strtod(*p, &end);
    if (end == *p || !(*x > -1e30 && *x < 1e30))
        return false;
    *p = end;
    return true;
}

static const char *skip(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

static enum err features(struct reader *w, const char *p)
{
    uint32_t last = 0;

    for (p = skip(p); *p != '\0' && *p != '#'; p = skip(p)) {
        double f, x;

        if (!number(&p, &f) || *p != ':' || f < 1 || f > FEATURE_MOST ||
            f > (double)(uint32_t)f || f < (double)(uint32_t)f)
            return wrong(w, "NUMBER:VALUE is wanted, numbers from 1 to 100000");
        p++;
        if (!number(&p, &x))
            return wrong(w, "a feature's value is no number");
        if ((uint32_t)f <= last)
            return wrong(w, "numbers of features must ascend");
        last = (uint32_t)f;
        if (last > w->r->features)
            w->r->features = last;
        ERR_TRY(new_entry(w, last, (float)x));
    }
    return ERR_OK;
}

/* "# attract=P stay=Q", if that is what follows. */
static void truth(struct reader *w, const char *line)
{
    const char *a = strstr(line, "# attract="), *s;
    double p, q;

    if (a == NULL)
        return;
    a += strlen("# attract=");
    if (!number(&a, &p) || (s = strstr(a, "stay=")) == NULL)
        return;
    s += strlen("stay=");
    if (!number(&s, &q) || p < 0 || p > 1 || q < 0 || q > 1)
        return;
    w->r->attract[w->r->n_rows - 1] = (float)p;
    w->r->stay[w->r->n_rows - 1] = (float)q;
    w->n_truth++;
}

static enum err read_line(struct reader *w, const char *line)
{
    const char *p = skip(line), *qid;
    double label;

    if (*p == '\0' || *p == '#')
        return ERR_OK;
    if (!number(&p, &label) || label < 0 || label > LABEL_MOST)
        return wrong(w, "a label from 0 to 30 is wanted first");
    p = skip(p);
    if (strncmp(p, "qid:", 4) != 0)
        return wrong(w, "qid:N is wanted behind the label (`recd rerank "
                        "import` makes such files)");
    qid = p + 4;
    p = qid + strcspn(qid, " \t#");
    ERR_TRY(new_row(w));
    w->r->label[w->r->n_rows - 1] = (float)label;
    ERR_TRY(join_list(w, qid, (size_t)(p - qid)));
    ERR_TRY(features(w, p));
    truth(w, p);
    return ERR_OK;
}

enum err rec_ready_read(struct rec_ready *r, const char *path)
{
    struct reader w = {.r = r, .path = path};
    struct sto_lines in;
    enum err e = ERR_OK;

    *r = (struct rec_ready){.n = 0};
    ERR_TRY(sto_lines_open(&in, path));
    while (e == ERR_OK) {
        char *line;
        size_t len;

        e = sto_lines_next(&in, &line, &len);
        if (e != ERR_OK || line == NULL)
            break;
        w.line = in.number;
        e = read_line(&w, line);
    }
    sto_lines_close(&in);
    if (e == ERR_OK && (r->n == 0 || r->features == 0))
        e = err_set(ERR_FORMAT, "%s: no lists with features", path);
    if (e == ERR_OK && w.n_truth < r->n_rows) {
        free(r->attract);
        free(r->stay);
        r->attract = r->stay = NULL;
    }
    if (e != ERR_OK)
        rec_ready_free(r);
    return e;
}

void rec_ready_free(struct rec_ready *r)
{
    free(r->ptr);
    free(r->label);
    free(r->at);
    free(r->feature);
    free(r->value);
    free(r->attract);
    free(r->stay);
    *r = (struct rec_ready){.n = 0};
}
