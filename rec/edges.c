/* rec/edges.c - rows as steps. */
#include "rec/edges.h"

#include "base/mem.h"

/* x at out[at] (out NULL: counting); returns the place behind it. */
static size_t put(uint8_t *out, size_t at, size_t x)
{
    for (; x > 127; x >>= 7, at++) {
        if (out != NULL)
            out[at] = (uint8_t)(x | 128);
    }
    if (out != NULL)
        out[at] = (uint8_t)x;
    return at + 1;
}

static size_t put_all(const struct rec_data *d, uint8_t *out)
{
    size_t at = 0;

    for (size_t u = 0; u < d->n_users; u++) {
        size_t last = 0;

        at = put(out, at, d->user_ptr[u + 1] - d->user_ptr[u]);
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
            at = put(out, at, d->item[r] - last);
            last = d->item[r];
        }
    }
    return at;
}

size_t rec_edges_bytes(const struct rec_data *d)
{
    return put_all(d, NULL);
}

void rec_edges_store(const struct rec_data *d, uint8_t *out)
{
    (void)put_all(d, out);
}

/* --- back ----------------------------------------------------------------
 */

struct reading {
    const uint8_t *in;
    size_t at, bytes;
};

/* The next number, or SIZE_MAX: there is none below 2^35. */
static size_t next(struct reading *r)
{
    size_t x = 0;

    for (unsigned shift = 0; r->at < r->bytes && shift < 35; shift += 7) {
        const uint8_t b = r->in[r->at++];

        x |= (size_t)(b & 127) << shift;
        if (b < 128)
            return x;
    }
    return SIZE_MAX;
}

/* One person's rows; false: they are damaged. */
static bool read_person(struct rec_data *d, struct reading *r, size_t u)
{
    const size_t n = next(r);
    size_t item = 0;

    if (n > d->n_items || n > r->bytes - r->at)
        return false;
    for (size_t i = 0; i < n; i++) {
        const size_t step = next(r);

        if (step >= d->n_items || (i > 0 && step == 0))
            return false;
        item += step;
        if (item >= d->n_items)
            return false;
        d->item[d->n_rows++] = (uint32_t)item;
    }
    d->user_ptr[u + 1] = d->n_rows;
    return true;
}

enum err rec_edges_open(struct rec_data *out, const uint8_t *in, size_t bytes,
                        size_t n_users, size_t n_items)
{
    struct rec_data d = {.n_users = n_users, .n_items = n_items};
    struct reading r = {in, 0, bytes};
    size_t u = 0;

    d.user_ptr = mem_array(n_users + 1, sizeof(*d.user_ptr));
    d.item = mem_array(bytes, sizeof(*d.item)); /* a row has a byte at least */
    if (d.user_ptr == NULL || d.item == NULL) {
        rec_data_free(&d);
        return err_set(ERR_NOMEM, "no memory for the rows of a model");
    }
    while (u < n_users && read_person(&d, &r, u))
        u++;
    if (u < n_users || r.at < bytes) {
        rec_data_free(&d);
        return err_set(ERR_FORMAT, "the rows of a model are damaged");
    }
    *out = d;
    return ERR_OK;
}
