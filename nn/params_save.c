/*
 * nn/params_save.c - weights as bytes, and back.
 *
 * All numbers little-endian; floats as their 32 bits:
 *   "recdnn1\n"  u64 parameters  u64 further floats
 *   per parameter: u32 length of name, name, u32 dimensions, u64 each, floats
 *   further floats
 */
#include <string.h>

#include "nn/params_type.h"

static const char SAVE_MAGIC[8] = {'r', 'e', 'c', 'd', 'n', 'n', '1', '\n'};

static unsigned char *save_uint(unsigned char *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(v >> (8 * i));
    return to + bytes;
}

static unsigned char *save_float(unsigned char *to, float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    return save_uint(to, u, 4);
}

size_t nn_params_save_bytes(const struct nn_params *p, size_t n_more)
{
    size_t bytes = sizeof(SAVE_MAGIC) + 16 + 4 * n_more;

    for (size_t i = 0; i < p->n; i++)
        bytes += 8 + strlen(p->param[i].name) + 8 * p->param[i].n_dims +
                 4 * p->param[i].n;
    return bytes;
}

static unsigned char *save_param(const struct nn_params *p,
                                 const struct nn_param *q, unsigned char *to)
{
    const size_t len = strlen(q->name);

    to = save_uint(to, len, 4);
    memcpy(to, q->name, len);
    to = save_uint(to + len, q->n_dims, 4);
    for (size_t i = 0; i < q->n_dims; i++)
        to = save_uint(to, q->dim[i], 8);
    for (size_t i = 0; i < q->n; i++)
        to = save_float(to, (float)krn_tape_get(p->k, p->values, q->at + i));
    return to;
}

void nn_params_save(const struct nn_params *p, const float *more, size_t n_more,
                    void *out)
{
    unsigned char *to = out;

    (void)nn_params_values(p); /* what a device has is newer */
    memcpy(to, SAVE_MAGIC, sizeof(SAVE_MAGIC));
    to = save_uint(to + sizeof(SAVE_MAGIC), p->n, 8);
    to = save_uint(to, n_more, 8);
    for (size_t i = 0; i < p->n; i++)
        to = save_param(p, &p->param[i], to);
    for (size_t i = 0; i < n_more; i++)
        to = save_float(to, more[i]);
}

/* --- reading: `left` bytes from `at`; wrong once something did not fit -------
 */

struct load {
    const unsigned char *at;
    size_t left;
    bool wrong;
};

static uint64_t load_uint(struct load *l, size_t bytes)
{
    uint64_t v = 0;

    if (l->left < bytes) {
        l->wrong = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)l->at[i] << (8 * i);
    l->at += bytes;
    l->left -= bytes;
    return v;
}

static float load_float(struct load *l)
{
    const uint32_t u = (uint32_t)load_uint(l, 4);
    float x;

    memcpy(&x, &u, sizeof(x));
    return x;
}

/* Name and shape are those of q. */
static bool load_matches(struct load *l, const struct nn_param *q)
{
    const size_t len = strlen(q->name);

    if (load_uint(l, 4) != len || l->left < len ||
        memcmp(l->at, q->name, len) != 0)
        return false;
    l->at += len;
    l->left -= len;
    if (load_uint(l, 4) != q->n_dims)
        return false;
    for (size_t i = 0; i < q->n_dims; i++) {
        if (load_uint(l, 8) != q->dim[i])
            return false;
    }
    return !l->wrong;
}

/* Check the whole image (write == false), or take it over. */
static enum err load_pass(struct nn_params *p, float *more, size_t n_more,
                          struct load l, bool write)
{
    if (l.left < sizeof(SAVE_MAGIC) ||
        memcmp(l.at, SAVE_MAGIC, sizeof(SAVE_MAGIC)) != 0)
        return err_set(ERR_FORMAT, "these bytes are not saved weights");
    (void)load_uint(&l, sizeof(SAVE_MAGIC));
    if (load_uint(&l, 8) != p->n || load_uint(&l, 8) != n_more)
        return err_set(ERR_FORMAT, "the saved weights are of another network "
                                   "(number of parameters)");
    for (size_t i = 0; i < p->n; i++) {
        const struct nn_param *q = &p->param[i];

        if (!load_matches(&l, q))
            return err_set(ERR_FORMAT,
                           "the saved weights are of another network "
                           "(parameter '%s')",
                           q->name);
        for (size_t j = 0; j < q->n && !l.wrong; j++) {
            const float x = load_float(&l);

            if (write)
                krn_tape_set(p->k, p->values, q->at + j, (double)x);
        }
    }
    for (size_t i = 0; i < n_more && !l.wrong; i++) {
        const float x = load_float(&l);

        if (write)
            more[i] = x;
    }
    if (l.wrong || l.left != 0)
        return err_set(ERR_FORMAT, "the saved weights are cut short or have "
                                   "bytes too many");
    return ERR_OK;
}

enum err nn_params_load(struct nn_params *p, float *more, size_t n_more,
                        const void *image, size_t bytes)
{
    const struct load l = {image, bytes, false};

    ERR_TRY(load_pass(p, more, n_more, l, false));
    (void)nn_params_values(p);
    return load_pass(p, more, n_more, l, true);
}
