/* base/key.c - keys and digests through libsodium. */
#include "base/key.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(sizeof(crypto_generichash_state) <=
                  sizeof(((struct key_digest *)0)->state),
              "struct key_digest must hold libsodium's state");

uint64_t key_of(const void *id, size_t len)
{
    static const unsigned char public_key[crypto_shorthash_KEYBYTES] =
        "recd id key v1.";
    unsigned char h[crypto_shorthash_BYTES];
    uint64_t key = 0;

    (void)crypto_shorthash(h, id, len, public_key);
    for (size_t i = 0; i < sizeof(h); i++)
        key |= (uint64_t)h[i] << (8 * i);
    return key;
}

void key_digest_init(struct key_digest *d)
{
    (void)crypto_generichash_init((void *)d->state, NULL, 0, KEY_DIGEST_BYTES);
}

void key_digest_add(struct key_digest *d, const void *data, size_t bytes)
{
    (void)crypto_generichash_update((void *)d->state, data, bytes);
}

void key_digest_end(struct key_digest *d, unsigned char out[KEY_DIGEST_BYTES])
{
    (void)crypto_generichash_final((void *)d->state, out, KEY_DIGEST_BYTES);
}

void key_hex(const unsigned char *data, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * n] = '\0';
}
