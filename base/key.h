/*
 * base/key.h - 64-bit names and 256-bit fingerprints.
 *
 * A user or item is known inside recd by the key of its external id.  The
 * key depends on the id's bytes alone, never on the order of arrival, and
 * canonical order is the order of keys.  Two ids with one key are found at
 * import and refused (expected once in 10^6 stores of ten million ids).
 */
#ifndef BASE_KEY_H
#define BASE_KEY_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4 of id[0..len) under a fixed public key (libsodium). */
uint64_t key_of(const void *id, size_t len);

#define KEY_DIGEST_BYTES 32

/* BLAKE2b-256, streamed; libsodium. */
struct key_digest {
    _Alignas(64) unsigned char state[384];
};

void key_digest_init(struct key_digest *d);
void key_digest_add(struct key_digest *d, const void *data, size_t bytes);
void key_digest_end(struct key_digest *d, unsigned char out[KEY_DIGEST_BYTES]);

/* Lower-case hexadecimal, ended by NUL; out holds 2 * n + 1 bytes. */
void key_hex(const unsigned char *data, size_t n, char *out);

#endif
