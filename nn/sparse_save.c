/* nn/sparse_save.c - images of sparse matrices, and what is checked of them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops.h"
#include "nn/sparse.h"

/* --- files -----------------------------------------------------------------
 */

#define MAGIC 0x31707372u /* "rsp1" */
#define HEAD 13

static enum err damaged(const char *what)
{
    return err_set(ERR_FORMAT, "a sparse matrix is damaged: %s", what);
}

static bool pattern_is_sane(const struct nn_pattern *p)
{
    switch (p->kind) {
    case NN_UNSTRUCTURED:
        return p->v == 1;
    case NN_BLOCK:
    case NN_VECTOR:
    case NN_SHFL:
        return p->v >= 8 && p->v <= 128 && p->v % 8 == 0;
    case NN_NM:
    case NN_NM_BOTH:
        return p->v == 1 && p->n >= 1 && p->n < p->m && p->m <= 64;
    case NN_GS:
        return p->banks >= 2 && p->banks <= 64 && p->each >= 1 &&
               p->v * p->each == p->banks;
    }
    return false;
}

static enum err check_pointers(const struct nn_sparse *s)
{
    if (s->ptr[0] != 0 || s->ptr[s->n_groups] != s->n)
        return damaged("its groups do not cover it");
    for (size_t g = 0; g < s->n_groups; g++) {
        if (s->ptr[g] > s->ptr[g + 1] || s->ptr[g + 1] > s->n)
            return damaged("groups out of order");
        for (size_t l = 0; l < s->n_levels; l++) {
            const uint32_t *to = nn_sparse_ends(s, l);

            if (to[g] < s->ptr[g] || to[g] > s->ptr[g + 1] ||
                (l > 0 && to[g] < nn_sparse_ends(s, l - 1)[g]) ||
                (l + 1 == s->n_levels && to[g] != s->ptr[g + 1]))
                return damaged("levels out of order");
        }
    }
    return ERR_OK;
}

/* Every row stands at one place. */
static enum err check_rows(const struct nn_sparse *s)
{
    uint8_t *seen = mem_array(s->rows, 1);
    enum err e = seen == NULL
                     ? err_set(ERR_NOMEM, "no memory for a sparse matrix")
                     : ERR_OK;
    size_t n = 0;

    for (size_t k = 0; e == ERR_OK && k < s->n_groups * s->pattern.v; k++) {
        const uint32_t r = s->row[k];

        if (r == KRN_NO_ROW && k % s->pattern.v != 0)
            continue;
        if (r >= s->rows || seen[r])
            e = damaged("a row is not there, or there twice");
        else
            n += seen[r] = 1;
    }
    if (e == ERR_OK && n != s->rows)
        e = damaged("a row is missing");
    free(seen);
    return e;
}

enum err nn_sparse_check(const struct nn_sparse *s)
{
    const struct nn_pattern *p = &s->pattern;

    if (!pattern_is_sane(p) || s->rows == 0 || s->cols == 0 ||
        s->rows > UINT32_MAX / 2 || s->cols > UINT32_MAX / 2 ||
        s->n_groups != nn_pattern_groups(p, s->rows) || s->n_levels < 1 ||
        s->n_levels > NN_LEVELS || !nn_pattern_has_levels(p, s->n_levels) ||
        s->width != (p->kind == NN_GS ? p->banks : p->v))
        return damaged("its shape");
    ERR_TRY(check_pointers(s));
    ERR_TRY(check_rows(s));
    for (size_t i = 0; i < nn_sparse_places(s); i++) {
        if (s->idx[i] >= s->cols)
            return damaged("a column is not there");
    }
    for (size_t i = 0; i < s->n * s->width; i++) {
        if (!(s->val[i] - s->val[i] == 0))
            return damaged("a weight is no number");
    }
    return ERR_OK;
}

size_t nn_sparse_save_bytes(const struct nn_sparse *s)
{
    return 4 *
           (HEAD + s->n_groups + 1 + s->n_levels * s->n_groups +
            nn_sparse_places(s) + s->n * s->width + s->n_groups * s->pattern.v);
}

void nn_sparse_save(const struct nn_sparse *s, void *out)
{
    const struct nn_pattern *p = &s->pattern;
    const uint32_t head[HEAD] = {
        MAGIC,
        (uint32_t)p->kind,
        (uint32_t)p->v,
        (uint32_t)p->n,
        (uint32_t)p->m,
        (uint32_t)p->banks,
        (uint32_t)p->each,
        p->scatter,
        (uint32_t)s->rows,
        (uint32_t)s->cols,
        (uint32_t)s->n_levels,
        (uint32_t)s->n,
        (uint32_t)s->width,
    };
    const struct {
        const void *data;
        size_t n;
    } part[] = {{head, HEAD},
                {s->ptr, s->n_groups + 1},
                {s->to, s->n_levels * s->n_groups},
                {s->idx, nn_sparse_places(s)},
                {s->val, s->n * s->width},
                {s->row, s->n_groups * p->v}};
    unsigned char *to = out;

    for (size_t i = 0; i < 6; i++) {
        memcpy(to, part[i].data, 4 * part[i].n);
        to += 4 * part[i].n;
    }
}

enum err nn_sparse_load(struct nn_sparse *out, const void *image, size_t bytes)
{
    const unsigned char *from = image;
    uint32_t head[HEAD];
    struct nn_sparse s;

    *out = (struct nn_sparse){.rows = 0};
    if (bytes < sizeof(head))
        return damaged("it is cut off");
    memcpy(head, from, sizeof(head));
    if (head[0] != MAGIC || head[1] > NN_GS || head[10] < 1 ||
        head[10] > NN_LEVELS || head[2] < 1 || head[2] > 128 || head[12] > 128)
        return damaged("its head");
    s = (struct nn_sparse){
        .pattern = {.kind = (enum nn_pattern_kind)head[1],
                    .v = head[2],
                    .n = head[3],
                    .m = head[4],
                    .banks = head[5],
                    .each = head[6],
                    .scatter = head[7] != 0},
        .rows = head[8],
        .cols = head[9],
        .n_levels = head[10],
        .n = head[11],
        .width = head[12],
    };
    s.n_groups = nn_pattern_groups(&s.pattern, s.rows);
    if (!pattern_is_sane(&s.pattern) || nn_sparse_save_bytes(&s) != bytes)
        return damaged("its length");
    enum err e = nn_sparse_room(&s);

    if (e == ERR_OK) {
        void *const part[] = {s.ptr, s.to, s.idx, s.val, s.row};
        const size_t n[] = {s.n_groups + 1, s.n_levels * s.n_groups,
                            nn_sparse_places(&s), s.n * s.width,
                            s.n_groups * s.pattern.v};

        from += sizeof(head);
        for (size_t i = 0; i < 5; i++) {
            memcpy(part[i], from, 4 * n[i]);
            from += 4 * n[i];
        }
        e = nn_sparse_check(&s);
    }
    if (e != ERR_OK)
        nn_sparse_free(&s);
    else
        *out = s;
    return e;
}
