/*
 * store/keyring.h - the keys of an encrypted store's people: in memory, and
 * the bytes of their file.
 *
 * Caveats first.
 *  - A ring is the only copy of its secrets beside its file.  It lives in
 *    memory that is locked where the system allows, kept out of core dumps,
 *    and overwritten when it is freed.
 *  - It is changed only between sto_ring_copy() and the commit that names its
 *    file (store/keystore.h): who reads shares one by sto_ring_hold().
 *
 * A person has a name, 16 random bytes, under which the person's records lie in
 * the tables, and a secret, 32 more, with which they are encrypted.  Neither
 * has to do with the id, so that without the ring nobody can tell whose they
 * are.
 *
 * File: "recdkeys", u32 version (1), u32 0, store[16], u64 generation, u64 n;
 * per person u64 key_of(id), name[16], secret[32], ascending by key;
 * BLAKE2b-256 of all that.  Little-endian.
 */
#ifndef STO_KEYRING_H
#define STO_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/key.h"

#define STO_RING_VERSION 1
#define STO_RING_ID 16
#define STO_SECRET 32
#define STO_NAME 16      /* bytes under which a person's records lie */
#define STO_SEAL_HEAD 24 /* nonce before a sealed record */
#define STO_SEAL_TAIL 16 /* authenticator after it */
#define STO_SEAL (STO_SEAL_HEAD + STO_SEAL_TAIL)

struct sto_ring_key {
    uint64_t user;
    unsigned char name[STO_NAME];
    unsigned char secret[STO_SECRET]; /* all zero: destroyed */
};

struct sto_ring {
    unsigned char store[STO_RING_ID]; /* random, of the store */
    uint64_t generation;              /* of the file; counts its changes */
    unsigned char digest[KEY_DIGEST_BYTES]; /* the file's last bytes */
    size_t n;
    struct sto_ring_key *key; /* [n] strictly ascending by user */
    unsigned char *block;     /* the file's bytes; key points into it */
    unsigned holders;
};

/* --- rings ----------------------------------------------------------------
 */

/* Nobody's: a fresh store's, with a random id.  ERR_NOMEM. */
ERR_CHECK
enum err sto_ring_new(struct sto_ring **out);
ERR_CHECK
enum err sto_ring_copy(struct sto_ring **out, const struct sto_ring *from);
/* *out has also a fresh key for each of user[n] (ascending, may repeat) who
 * has none in `from`. */
ERR_CHECK
enum err sto_ring_add(struct sto_ring **out, const struct sto_ring *from,
                      const uint64_t *user, size_t n);
struct sto_ring *sto_ring_hold(struct sto_ring *r);
void sto_ring_free(struct sto_ring *r); /* by each holder; NULL is harmless */

/* A person's key, or NULL.  Logarithmic. */
const struct sto_ring_key *sto_ring_find(const struct sto_ring *r,
                                         uint64_t user);
/* Place of the first key >= user. */
size_t sto_ring_place(const struct sto_ring *r, uint64_t user);
bool sto_ring_is_dead(const struct sto_ring_key *k);
/* Overwrite a person's name and secret: with nothing, or with fresh ones. */
void sto_ring_destroy(struct sto_ring *r, uint64_t user);
void sto_ring_renew(struct sto_ring *r, uint64_t user);

/* How many people of `was` have no key in `now`, or another.  was may be NULL.
 */
void sto_ring_compare(const struct sto_ring *was, const struct sto_ring *now,
                      uint64_t *destroyed, uint64_t *renewed);

/* --- their file -----------------------------------------------------------
 */

/* A ring from n bytes; path is for the sentence.  ERR_FORMAT when they are not
 * a keystore, of another version, or damaged; ERR_NOMEM. */
ERR_CHECK
enum err sto_ring_parse(struct sto_ring **out, const char *path,
                        const void *data, size_t n);
/* ERR_NOTFOUND when there is no such file; ERR_IO; as above. */
ERR_CHECK
enum err sto_ring_read(struct sto_ring **out, const char *path);
/* Into a file that is not there yet, readable by the owner alone, synced; dead
 * keys are left out, of r too.  ERR_IO: what was written is overwritten. */
ERR_CHECK
enum err sto_ring_write(struct sto_ring *r, const char *path);
/* Whether a file begins as the keystore of this store; its generation. */
bool sto_ring_peek(const char *path, unsigned char store[STO_RING_ID],
                   uint64_t *generation);

/* --- records ----------------------------------------------------------------
 */

/* Encrypt buf[STO_SEAL_HEAD..+n] in place: the nonce goes before it, the
 * authenticator after it.  table: which table the record is for, so that it
 * cannot pass for one of another. */
void sto_seal(const struct sto_ring_key *k, unsigned char table,
              unsigned char *buf, size_t n);
/* The reverse: bytes of the record into out[n - STO_SEAL]; false when they are
 * not what was sealed for that table with that key. */
bool sto_unseal(const struct sto_ring_key *k, unsigned char table,
                const unsigned char *sealed, size_t n, unsigned char *out);

#endif
