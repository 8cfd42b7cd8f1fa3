/* rec/encoder.c - encodings that no request touches, and their keys. */
#include "rec/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rec/svd.h"

#define D ((size_t)REC_ENCODING)
#define ROUNDS 20 /* of k-means */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for an encoder");
}

/* --- signs ----------------------------------------------------------------
 */

void rec_encoder_signs(uint64_t *sign, const uint64_t *item_key, size_t n_items,
                       uint64_t seed)
{
    for (size_t i = 0; i < n_items; i++)
        sign[i] = rng_derive(seed, RNG_PROJECT, item_key[i]);
}

/* To length 1; a vector of nothing stays. */
static void normalise(float *x)
{
    double square = 0;

    for (size_t d = 0; d < D; d++)
        square += (double)x[d] * (double)x[d];
    for (size_t d = 0; d < D && square > 0; d++)
        x[d] /= (float)sqrt(square);
}

static void direction(float *key, size_t a, uint64_t seed)
{
    const uint64_t stream = rng_derive(seed, RNG_PROJECT, a);

    for (size_t d = 0; d < D; d++)
        key[d] = (float)rng_normal(stream, RNG_INIT, d);
    normalise(key);
}

void rec_encoder_directions(float *key, size_t n_keys, uint64_t seed)
{
    for (size_t a = 0; a < n_keys; a++)
        direction(key + a * D, a, seed);
}

/* --- keys: centres of samples ----------------------------------------------
 */

struct samples {
    size_t n;
    float *x;       /* [n][D] of length 1 */
    uint64_t *name; /* [n] */
};

static size_t nearest_key(const float *x, const float *key, size_t n_keys)
{
    size_t best = 0;
    float most = -INFINITY;

    for (size_t a = 0; a < n_keys; a++) {
        float dot = 0;

        for (size_t d = 0; d < D; d++)
            dot += x[d] * key[a * D + d];
        if (dot > most) {
            most = dot;
            best = a;
        }
    }
    return best;
}

/* One round of spherical k-means; an empty key stays where it is. */
static void move_keys(const struct samples *s, float *key, size_t n_keys,
                      double *sum)
{
    memset(sum, 0, n_keys * D * sizeof(*sum));
    for (size_t i = 0; i < s->n; i++) {
        double *to = sum + nearest_key(s->x + i * D, key, n_keys) * D;

        for (size_t d = 0; d < D; d++)
            to[d] += (double)s->x[i * D + d];
    }
    for (size_t a = 0; a < n_keys; a++) {
        float moved[REC_ENCODING];
        bool any = false;

        for (size_t d = 0; d < D; d++) {
            moved[d] = (float)sum[a * D + d];
            any = any || moved[d] < 0 || moved[d] > 0;
        }
        if (!any)
            continue;
        normalise(moved);
        memcpy(key + a * D, moved, sizeof(moved));
    }
}

struct draw {
    uint64_t draw;
    size_t sample;
};

static int by_draw(const void *a, const void *b)
{
    const struct draw *x = a, *y = b;

    return x->draw != y->draw
               ? (x->draw < y->draw ? -1 : 1)
               : (x->sample > y->sample) - (x->sample < y->sample);
}

/* Keys begin at samples that are drawn by their names; more keys than samples
 * are random directions. */
static enum err find_keys(const struct samples *s, uint64_t seed, float *key,
                          size_t n_keys)
{
    struct mem_scratch room = {0};
    struct draw *draw = mem_take(&room, s->n, 1, sizeof(*draw));
    double *sum = mem_take(&room, n_keys, D, sizeof(*sum));

    if (room.failed) {
        mem_drop(&room);
        return no_memory();
    }
    for (size_t i = 0; i < s->n; i++)
        draw[i] = (struct draw){rng_derive(seed, RNG_PARTITION, s->name[i]), i};
    qsort(draw, s->n, sizeof(*draw), by_draw);
    for (size_t a = 0; a < n_keys; a++) {
        if (a < s->n)
            memcpy(key + a * D, s->x + draw[a].sample * D, D * sizeof(*key));
        else
            direction(key + a * D, a, seed);
    }
    for (size_t r = 0; r < ROUNDS; r++)
        move_keys(s, key, n_keys, sum);
    mem_drop(&room);
    return ERR_OK;
}

/* The mean of the samples becomes the centre; then they are of length 1. */
static void centre_samples(struct samples *s, float *centre)
{
    for (size_t d = 0; d < D; d++) {
        double sum = 0;

        for (size_t i = 0; i < s->n; i++)
            sum += (double)s->x[i * D + d];
        centre[d] = (float)(sum / (double)(s->n > 0 ? s->n : 1));
    }
    for (size_t i = 0; i < s->n; i++) {
        for (size_t d = 0; d < D; d++)
            s->x[i * D + d] -= centre[d];
        normalise(s->x + i * D);
    }
}

/* --- attributes -------------------------------------------------------------
 */

static size_t traits_of(const struct rec_data *d, size_t i)
{
    return d->trait_ptr != NULL ? d->trait_ptr[i + 1] - d->trait_ptr[i] : 0;
}

static void add_signs(float *x, uint64_t signs, float weight)
{
    for (size_t d = 0; d < D; d++)
        x[d] += signs >> d & 1 ? weight : -weight;
}

static void own_signs(const struct rec_data *d, uint64_t seed, size_t i,
                      float *code)
{
    add_signs(code + i * D, rng_derive(seed, RNG_PROJECT, d->item_key[i]), 1);
}

void rec_encoder_blank(const struct rec_data *d, uint64_t seed, size_t n_keys,
                       float *code, float *key)
{
    for (size_t i = 0; i < d->n_items; i++)
        own_signs(d, seed, i, code);
    rec_encoder_directions(key, n_keys, seed);
}

/* Of length 8, as many attributes as there may be; an item that the catalogue
 * says nothing about has signs of its own. */
static void attribute_code(const struct rec_data *d, uint64_t seed, float *code)
{
    for (size_t i = 0; i < d->n_items; i++) {
        const size_t n = traits_of(d, i);

        if (n == 0)
            own_signs(d, seed, i, code);
        for (size_t t = 0; t < n; t++)
            add_signs(
                code + i * D,
                rng_derive(seed, RNG_PROJECT, d->trait[d->trait_ptr[i] + t]),
                1 / sqrtf((float)n));
    }
}

static enum err attribute_samples(const struct rec_data *d, const float *code,
                                  struct samples *s)
{
    for (size_t i = 0; i < d->n_items; i++)
        s->n += traits_of(d, i) > 0;
    if (s->n == 0)
        return err_set(ERR_ARG, "--encoder attributes needs a catalogue with "
                                "attributes: recd import --catalogue FILE");
    s->x = mem_array(s->n * D, sizeof(*s->x));
    s->name = mem_array(s->n, sizeof(*s->name));
    if (s->x == NULL || s->name == NULL)
        return no_memory();
    for (size_t i = 0, n = 0; i < d->n_items; i++) {
        if (traits_of(d, i) == 0)
            continue;
        memcpy(s->x + n * D, code + i * D, D * sizeof(*code));
        s->name[n++] = d->item_key[i];
    }
    return ERR_OK;
}

/* --- public people ----------------------------------------------------------
 */

/* The rows of public people, with a universe of their own. */
static enum err public_rows(const struct rec_data *d, struct rec_data *out)
{
    uint8_t *keep = mem_array(d->n_rows, 1);
    size_t n = 0;

    if (keep == NULL)
        return no_memory();
    for (size_t u = 0; u < d->n_users && d->open != NULL; u++) {
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            n += keep[r] = d->open[u];
    }
    const enum err e =
        n > 0 ? rec_data_compact(out, d, keep)
              : err_set(ERR_ARG, "--encoder public needs people who are "
                                 "public: recd import --public FILE");

    free(keep);
    return e;
}

/* Singular vectors of the rows, each entry over the roots of its row's and its
 * column's number; in columns by falling singular value, times it, and over
 * the root of the item's number again: means over a history are what GF-CF
 * (rec/model_gfcf.c) calls a person's spectrum. */
static enum err public_vectors(const struct rec_data *p, uint64_t seed,
                               float *v)
{
    struct mem_scratch room = {0};
    struct rec_columns c = {0};
    float *row_val = mem_take(&room, p->n_rows, 1, sizeof(*row_val));
    float *col_val = mem_take(&room, p->n_rows, 1, sizeof(*col_val));
    double *w = mem_take(&room, D, 1, sizeof(*w));
    enum err e = room.failed ? no_memory() : rec_columns_build(&c, p);

    for (size_t i = 0; i < p->n_items && e == ERR_OK; i++) {
        for (size_t x = c.ptr[i]; x < c.ptr[i + 1]; x++) {
            const uint32_t u = c.user[x];
            const double n = (double)(p->user_ptr[u + 1] - p->user_ptr[u]);

            col_val[x] =
                (float)(1 / sqrt(n * (double)(c.ptr[i + 1] - c.ptr[i])));
            row_val[c.row[x]] = col_val[x];
        }
    }
    if (e == ERR_OK)
        e = rec_svd_top(&(struct rec_svd){p->n_users, p->n_items, p->user_ptr,
                                          p->item, row_val, c.ptr, c.user,
                                          col_val, p->item_key, seed},
                        D, v, w);
    for (size_t i = 0; i < p->n_items && e == ERR_OK; i++) {
        for (size_t d = 0; d < D; d++)
            v[i * D + d] *=
                (float)sqrt(w[d] / (double)(c.ptr[i + 1] - c.ptr[i]));
    }
    rec_columns_free(&c);
    mem_drop(&room);
    return e;
}

static enum err public_samples(const struct rec_data *p, const float *v,
                               struct samples *s)
{
    s->n = p->n_users;
    s->x = mem_array(s->n * D, sizeof(*s->x));
    s->name = mem_array(s->n, sizeof(*s->name));
    if (s->x == NULL || s->name == NULL)
        return no_memory();
    for (size_t u = 0; u < p->n_users; u++) {
        const size_t first = p->user_ptr[u], n = p->user_ptr[u + 1] - first;

        s->name[u] = p->user_key[u];
        for (size_t r = 0; r < n; r++) {
            for (size_t d = 0; d < D; d++)
                s->x[u * D + d] += v[p->item[first + r] * D + d] / (float)n;
        }
    }
    return ERR_OK;
}

static enum err public_code(const struct rec_data *d, uint64_t seed,
                            float *code, struct samples *s)
{
    struct rec_data p = {0};
    float *v;

    ERR_TRY(public_rows(d, &p));
    v = mem_array(p.n_items * D, sizeof(*v));
    enum err e = v == NULL ? no_memory() : public_vectors(&p, seed, v);

    if (e == ERR_OK)
        e = public_samples(&p, v, s);
    for (size_t i = 0; i < p.n_items && e == ERR_OK; i++)
        memcpy(code + D * rec_key_find(d->item_key, d->n_items, p.item_key[i]),
               v + i * D, D * sizeof(*v));
    free(v);
    rec_data_free(&p);
    return e;
}

/* --- both --------------------------------------------------------------------
 */

enum err rec_encoder_learn(enum rec_encoder_kind kind, const struct rec_data *d,
                           uint64_t seed, size_t n_keys, float *code,
                           float *centre, float *key)
{
    struct samples s = {0};
    enum err e;

    if (kind == REC_PUBLIC) {
        e = public_code(d, seed, code, &s);
    } else {
        attribute_code(d, seed, code);
        e = attribute_samples(d, code, &s);
    }
    if (e == ERR_OK) {
        centre_samples(&s, centre);
        e = find_keys(&s, seed, key, n_keys);
    }
    free(s.x);
    free(s.name);
    return e;
}

bool rec_encoder_possible(enum rec_encoder_kind kind, const struct rec_data *d)
{
    bool any = kind == REC_SIGNS;

    for (size_t i = 0; i < d->n_items && kind == REC_ATTRIBUTES; i++)
        any = any || traits_of(d, i) > 0;
    for (size_t u = 0; u < d->n_users && kind == REC_PUBLIC; u++)
        any = any || (d->open != NULL && d->open[u] &&
                      d->user_ptr[u] < d->user_ptr[u + 1]);
    return any;
}

static void add_item(struct key_digest *k, const struct rec_data *d, size_t i)
{
    const uint64_t n = traits_of(d, i);

    if (n == 0)
        return;
    key_digest_add(k, &d->item_key[i], sizeof(d->item_key[i]));
    key_digest_add(k, &n, sizeof(n));
    key_digest_add(k, d->trait + d->trait_ptr[i], n * sizeof(*d->trait));
}

static void add_person(struct key_digest *k, const struct rec_data *d, size_t u)
{
    const uint64_t n = d->user_ptr[u + 1] - d->user_ptr[u];

    if (d->open == NULL || !d->open[u])
        return;
    key_digest_add(k, &d->user_key[u], sizeof(d->user_key[u]));
    key_digest_add(k, &n, sizeof(n));
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
        key_digest_add(k, &d->item_key[d->item[r]], sizeof(*d->item_key));
}

void rec_encoder_source(enum rec_encoder_kind kind, const struct rec_data *d,
                        unsigned char digest[KEY_DIGEST_BYTES])
{
    struct key_digest k;

    key_digest_init(&k);
    for (size_t i = 0; i < d->n_items && kind == REC_ATTRIBUTES; i++)
        add_item(&k, d, i);
    for (size_t u = 0; u < d->n_users && kind == REC_PUBLIC; u++)
        add_person(&k, d, u);
    key_digest_end(&k, digest);
}

/* --- encoding ----------------------------------------------------------------
 */

/* sum[d]: how often sign d of the items is plus, less how often it is minus.
 * Counted in binary, all signs at once: plane b holds bit b of 64 counters. */
static void encode_signs(const struct rec_encoder *e, const uint32_t *item,
                         size_t n, float sum[REC_ENCODING])
{
    uint64_t plane[40] = {0};

    for (size_t r = 0; r < n; r++) {
        uint64_t carry = e->sign[item[r]];

        for (size_t b = 0; b < 40 && carry != 0; b++) {
            const uint64_t both = plane[b] & carry;

            plane[b] ^= carry;
            carry = both;
        }
    }
    for (size_t d = 0; d < D; d++) {
        uint64_t plus = 0;

        for (size_t b = 0; b < 40; b++)
            plus |= (plane[b] >> d & 1) << b;
        sum[d] = (float)plus - (float)(n - plus);
    }
}

void rec_encoder_encode(const struct rec_encoder *e, const uint32_t *item,
                        size_t n, float sum[REC_ENCODING])
{
    if (e->sign != NULL) {
        encode_signs(e, item, n, sum);
        return;
    }
    for (size_t d = 0; d < D; d++)
        sum[d] = -(float)n * e->centre[d];
    for (size_t r = 0; r < n; r++) {
        const float *code = e->code + item[r] * D;

        for (size_t d = 0; d < D; d++)
            sum[d] += code[d];
    }
}

void rec_encoder_nearest(const struct rec_encoder *e,
                         const float sum[REC_ENCODING], size_t n_active,
                         uint32_t *active)
{
    float near[64];
    size_t held = 0;

    for (size_t a = 0; a < e->n_keys; a++) {
        float x = 0;

        for (size_t d = 0; d < D; d++)
            x += sum[d] * e->key[a * D + d];
        if (held == n_active && x <= near[held - 1])
            continue;
        size_t at = held < n_active ? held++ : held - 1;

        for (; at > 0 && x > near[at - 1]; at--) {
            near[at] = near[at - 1];
            active[at] = active[at - 1];
        }
        near[at] = x;
        active[at] = (uint32_t)a;
    }
}
