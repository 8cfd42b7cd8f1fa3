/*
 * tests/store_fake.h - a store in memory, for tests of rec/ alone.
 *
 * It keeps one model, by the contract of store/store.h, and no rows.  A test
 * program that includes it has these functions instead of those of store/.
 */
#ifndef TESTS_STORE_FAKE_H
#define TESTS_STORE_FAKE_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

static struct {
    struct sto_model info;
    struct sto_array array[32];
    size_t n;
    bool full;
} fake;

size_t sto_type_bytes(enum sto_type type)
{
    static const size_t bytes[] = {4, 4, 8, 8, 8, 1};

    return bytes[type];
}

static size_t fake_bytes(const struct sto_array *a)
{
    return (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);
}

void sto_arrays_digest(const struct sto_array *a, size_t n,
                       unsigned char digest[KEY_DIGEST_BYTES])
{
    struct key_digest d;

    key_digest_init(&d);
    for (size_t i = 0; i < n; i++) {
        const uint64_t shape[3] = {(uint64_t)a[i].type, a[i].rows, a[i].cols};

        key_digest_add(&d, a[i].name, strlen(a[i].name) + 1);
        key_digest_add(&d, shape, sizeof(shape));
        key_digest_add(&d, a[i].data, fake_bytes(&a[i]));
    }
    key_digest_end(&d, digest);
}

void sto_model_free(struct sto_model *m)
{
    free(m->options);
    m->options = NULL;
}

static void fake_forget(void)
{
    for (size_t i = 0; i < fake.n; i++)
        free(fake.array[i].data);
    sto_model_free(&fake.info);
    memset(&fake, 0, sizeof(fake));
}

enum err sto_model_put(struct sto *st, const struct sto_model *m,
                       const struct sto_array *a, size_t n)
{
    (void)st;
    fake_forget();
    fake.info = *m;
    fake.info.options = strdup(m->options);
    for (fake.n = 0; fake.n < n; fake.n++) {
        struct sto_array *to = &fake.array[fake.n];

        *to = a[fake.n];
        to->data = mem_array(fake_bytes(to), 1);
        memcpy(to->data, a[fake.n].data, fake_bytes(to));
    }
    fake.full = true;
    return ERR_OK;
}

enum err sto_model_get(struct sto_view *v, const char *name,
                       struct sto_model *out)
{
    (void)v;
    if (!fake.full || strcmp(fake.info.name, name) != 0)
        return err_set(ERR_NOTFOUND, "no model is called %s", name);
    *out = fake.info;
    out->options = strdup(fake.info.options);
    return ERR_OK;
}

enum err sto_weights_open(struct sto_view *v, const char *name,
                          struct sto_weights *out)
{
    (void)v;
    (void)name;
    *out = (struct sto_weights){.array = fake.array, .n = fake.n};
    return ERR_OK;
}

void sto_weights_close(struct sto_weights *w)
{
    memset(w, 0, sizeof(*w));
}

/* Nothing is corrected where there are no files. */
enum err sto_weights_edit(struct sto_view *v, const char *name,
                          struct sto_weights *out)
{
    (void)v;
    (void)name;
    (void)out;
    return ERR_STALE;
}

enum err sto_weights_begin(struct sto_weights *w)
{
    (void)w;
    return ERR_OK;
}

enum err sto_weights_end(struct sto_weights *w, const struct sto_array *array,
                         enum sto_state state)
{
    (void)w;
    (void)array;
    (void)state;
    return ERR_OK;
}

#endif
