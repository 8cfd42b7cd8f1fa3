/* nn/sparse.c - packing sparse matrices, and taking them apart. */
#include "nn/sparse.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/ops.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a sparse matrix");
}

void nn_sparse_free(struct nn_sparse *s)
{
    free(s->ptr);
    free(s->to);
    free(s->idx);
    free(s->val);
    free(s->row);
    *s = (struct nn_sparse){.rows = 0};
}

enum err nn_sparse_room(struct nn_sparse *s)
{
    s->ptr = mem_array(s->n_groups + 1, sizeof(*s->ptr));
    s->to = mem_array(s->n_levels * s->n_groups, sizeof(*s->to));
    s->idx = mem_array(nn_sparse_places(s), sizeof(*s->idx));
    s->val = mem_array(s->n * s->width, sizeof(*s->val));
    s->row = mem_array(s->n_groups * s->pattern.v, sizeof(*s->row));
    return s->ptr == NULL || s->to == NULL || s->idx == NULL ||
                   s->val == NULL || s->row == NULL
               ? no_memory()
               : ERR_OK;
}

struct packing {
    const struct nn_matrix *w;
    const uint8_t *mask, *level;
    const uint32_t *order;
};

static float weight(const struct packing *k, uint32_t r, size_t c)
{
    return r == KRN_NO_ROW ? 0 : k->w->w[r * k->w->row + c * k->w->col];
}

/* --- groups ----------------------------------------------------------------
 */

static size_t count_vectors(const struct packing *k, const struct nn_sparse *s)
{
    size_t n = 0;

    for (size_t g = 0; g < s->n_groups; g++) {
        const uint8_t *mask = k->mask + k->order[g * s->pattern.v] * s->cols;

        for (size_t c = 0; c < s->cols; c++)
            n += mask[c];
    }
    return n;
}

/* Vectors by level, then column. */
static void pack_groups(struct nn_sparse *s, const struct packing *k)
{
    const size_t v = s->pattern.v;
    size_t at = 0;

    for (size_t g = 0; g < s->n_groups; g++) {
        const uint32_t *row = s->row + g * v;
        const size_t first = row[0] * s->cols;

        s->ptr[g] = (uint32_t)at;
        for (size_t l = 0; l < s->n_levels; l++) {
            for (size_t c = 0; c < s->cols; c++) {
                const size_t own = k->level == NULL ? 0 : k->level[first + c];

                if (!k->mask[first + c] || own != l)
                    continue;
                for (size_t i = 0; i < v; i++)
                    s->val[at * v + i] = weight(k, row[i], c);
                s->idx[at++] = (uint32_t)c;
            }
            s->to[l * s->n_groups + g] = (uint32_t)at;
        }
    }
    s->ptr[s->n_groups] = (uint32_t)at;
}

/* --- N of M ----------------------------------------------------------------
 */

/* Weights of a block up to level l. */
static size_t nm_slots(const struct nn_sparse *s, size_t l)
{
    return s->pattern.n >> (s->n_levels - 1 - l);
}

/* The block's weights of level l, into its slots. */
static void pack_block(struct nn_sparse *s, const struct packing *k, size_t r,
                       size_t first, size_t l, size_t at)
{
    const size_t slots = nm_slots(s, l) - (l > 0 ? nm_slots(s, l - 1) : 0);
    size_t held = 0;

    for (size_t c = first; c < first + s->pattern.m && c < s->cols; c++) {
        const size_t own = k->level == NULL ? 0 : k->level[r * s->cols + c];

        if (!k->mask[r * s->cols + c] || own != l || held == slots)
            continue;
        s->idx[at + held] = (uint32_t)c;
        s->val[at + held++] = weight(k, (uint32_t)r, c);
    }
    for (; held < slots; held++) /* a weight of 0 of any column */
        s->idx[at + held] = (uint32_t)first;
}

static void pack_nm(struct nn_sparse *s, const struct packing *k)
{
    const size_t m = s->pattern.m, blocks = (s->cols + m - 1) / m;
    size_t at = 0;

    for (size_t r = 0; r < s->rows; r++) {
        s->ptr[r] = (uint32_t)at;
        for (size_t l = 0; l < s->n_levels; l++) {
            const size_t slots =
                nm_slots(s, l) - (l > 0 ? nm_slots(s, l - 1) : 0);

            for (size_t b = 0; b < blocks; b++, at += slots)
                pack_block(s, k, r, b * m, l, at);
            s->to[l * s->n_groups + r] = (uint32_t)at;
        }
    }
    s->ptr[s->rows] = (uint32_t)at;
}

/* --- packs -----------------------------------------------------------------
 */

/* What is left of a group's mask: counts of rows and of banks. */
struct left {
    size_t row[64], bank[64], all;
    uint8_t *mask; /* [v][cols] */
};

static void look_at_group(struct left *l, const struct nn_sparse *s,
                          const struct packing *k, const uint32_t *row,
                          size_t level)
{
    *l = (struct left){.mask = l->mask};
    for (size_t i = 0; i < s->pattern.v; i++) {
        for (size_t c = 0; c < s->cols; c++) {
            const size_t at = row[i] * s->cols + c;
            const bool on = row[i] != KRN_NO_ROW && k->mask[at] &&
                            (k->level == NULL || k->level[at] == level);

            l->mask[i * s->cols + c] = on;
            l->row[i] += on;
            l->bank[c % s->pattern.banks] += on;
            l->all += on;
        }
    }
}

/* A column of row i in the free bank that has most left; cols: none. */
static size_t choose_column(const struct left *l, const struct nn_sparse *s,
                            size_t i, const bool *taken)
{
    const size_t banks = s->pattern.banks;
    size_t best = s->cols;

    for (size_t c = 0; c < s->cols; c++) {
        if (l->mask[i * s->cols + c] && !taken[c % banks] &&
            (best == s->cols || l->bank[c % banks] > l->bank[best % banks]))
            best = c;
    }
    return best;
}

/* One pack (val and idx may be NULL: counting): each row's weights stand at
 * lanes i * each.., with zeros of column 0 where a row has no more that fit. */
static void take_pack(struct left *l, const struct nn_sparse *s,
                      const struct packing *k, const uint32_t *row, float *val,
                      uint32_t *idx)
{
    const size_t each = s->pattern.each;
    bool taken[64] = {false}, done[64] = {false};

    for (size_t turn = 0; turn < s->pattern.v; turn++) {
        size_t i = s->pattern.v; /* the row with most left */

        for (size_t j = 0; j < s->pattern.v; j++) {
            if (!done[j] && (i == s->pattern.v || l->row[j] > l->row[i]))
                i = j;
        }
        done[i] = true;
        for (size_t e = 0; e < each; e++) {
            const size_t c = choose_column(l, s, i, taken);

            if (c == s->cols)
                break;
            taken[c % s->pattern.banks] = true;
            l->mask[i * s->cols + c] = 0;
            l->row[i]--;
            l->bank[c % s->pattern.banks]--;
            l->all--;
            if (val != NULL) {
                val[i * each + e] = weight(k, row[i], c);
                idx[i * each + e] = (uint32_t)c;
            }
        }
    }
}

/* Packs of all groups; val NULL in s: only their number. */
static size_t pack_gs(struct nn_sparse *s, const struct packing *k,
                      uint8_t *room)
{
    const size_t width = s->pattern.banks;
    struct left l = {.mask = room};
    size_t n = 0;

    for (size_t g = 0; g < s->n_groups; g++) {
        const uint32_t *row = k->order + g * s->pattern.v;

        if (s->ptr != NULL)
            s->ptr[g] = (uint32_t)n;
        for (size_t level = 0; level < s->n_levels; level++) {
            look_at_group(&l, s, k, row, level);
            for (; l.all > 0; n++)
                take_pack(&l, s, k, row,
                          s->val == NULL ? NULL : s->val + n * width,
                          s->val == NULL ? NULL : s->idx + n * width);
            if (s->to != NULL)
                s->to[level * s->n_groups + g] = (uint32_t)n;
        }
    }
    if (s->ptr != NULL)
        s->ptr[s->n_groups] = (uint32_t)n;
    return n;
}

/* --- all -------------------------------------------------------------------
 */

static enum err pack(struct nn_sparse *s, const struct packing *k)
{
    const struct nn_pattern *p = &s->pattern;
    uint8_t *room = NULL;

    if (nn_pattern_is_nm(p)) {
        s->n = s->rows * ((s->cols + p->m - 1) / p->m) * p->n;
        s->width = 1;
    } else if (p->kind == NN_GS) {
        room = mem_array(p->v * s->cols, 1);
        if (room == NULL)
            return no_memory();
        s->n = pack_gs(s, k, room);
        s->width = p->banks;
    } else {
        s->n = count_vectors(k, s);
        s->width = p->v;
    }
    const enum err e = nn_sparse_room(s);

    if (e == ERR_OK) {
        memcpy(s->row, k->order, s->n_groups * p->v * sizeof(*s->row));
        if (nn_pattern_is_nm(p))
            pack_nm(s, k);
        else if (p->kind == NN_GS)
            (void)pack_gs(s, k, room);
        else
            pack_groups(s, k);
    }
    free(room);
    return e;
}

enum err nn_sparse_pack(struct nn_sparse *out, const struct nn_pattern *p,
                        const struct nn_matrix *w, const uint8_t *mask,
                        const uint32_t *order, const uint8_t *level,
                        size_t n_levels)
{
    const struct packing k = {w, mask, level, order};
    enum err e;

    *out = (struct nn_sparse){.pattern = *p,
                              .rows = w->rows,
                              .cols = w->cols,
                              .n_groups = nn_pattern_groups(p, w->rows),
                              .n_levels = level == NULL ? 1 : n_levels};
    if (out->n_levels < 1 || out->n_levels > NN_LEVELS ||
        !nn_pattern_has_levels(p, out->n_levels))
        return err_set(ERR_ARG, "this pattern has no %zu levels",
                       out->n_levels);
    if (!nn_pattern_allows(p, w->rows, w->cols, mask, order))
        return err_set(ERR_ARG, "this mask is not of the pattern");
    e = pack(out, &k);
    if (e != ERR_OK)
        nn_sparse_free(out);
    return e;
}

void nn_sparse_unpack(const struct nn_sparse *s, size_t level, float *w)
{
    const size_t v = s->pattern.v;

    memset(w, 0, s->rows * s->cols * sizeof(*w));
    for (size_t g = 0; g < s->n_groups; g++) {
        const size_t end = nn_sparse_ends(s, level)[g];

        for (size_t p = s->ptr[g]; p < end; p++) {
            for (size_t i = 0; i < s->width; i++) {
                const size_t at = p * s->width + i;
                const size_t lane =
                    nn_pattern_in_groups(&s->pattern)
                        ? i
                        : i / s->pattern.each; /* row of the group */
                const uint32_t r = s->row[g * v + lane];
                const uint32_t c =
                    nn_pattern_in_groups(&s->pattern) ? s->idx[p] : s->idx[at];

                if (r != KRN_NO_ROW && s->val[at] != 0)
                    w[r * s->cols + c] = s->val[at];
            }
        }
    }
}

size_t nn_sparse_weights(const struct nn_sparse *s, size_t level)
{
    size_t n = 0;

    for (size_t g = 0; g < s->n_groups; g++)
        n += nn_sparse_ends(s, level)[g] - s->ptr[g];
    return n * s->width;
}
