/*
 * unlearn/cert.h - signed certificates of what was forgotten.
 *
 * A certificate is a JSON text in canonical form (sorted names, no spaces),
 * signed with Ed25519 over that text without its "signature"; each holds the
 * BLAKE2b-256 of the whole text of the one before.  docs/certificate.md has the
 * fields.  Keys live in the store's folder, readable by the owner alone:
 * "signing.key" (seed of the key pair) and "pseudonym.key" (names of persons in
 * certificates are keyed hashes; without this file nobody can tell whose).
 */
#ifndef UNL_CERT_H
#define UNL_CERT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

#define UNL_CERT_FORMAT "recd-certificate-1"
#define UNL_KEY_HEX 65       /* public key in hexadecimal, with its NUL */
#define UNL_PSEUDONYM_HEX 33 /* 128 bits */

/*
 * Keys of a store; made (mode 0600) and synced when neither is there.
 * Errors: ERR_IO; ERR_FORMAT when a file has not its length; ERR_NOTFOUND when
 * pseudonym.key is there and signing.key is not (a new one would break the
 * chain).  Two processes at once get the same keys.
 */
struct unl_keys {
    unsigned char public_key[32], secret_key[64], pseudonym[32];
};
ERR_CHECK
enum err unl_keys_open(struct unl_keys *k, const char *dir);
/* Overwrite them in memory. */
void unl_keys_close(struct unl_keys *k);

/* Ask before anything is removed: ERR_FORMAT when the store's last certificate
 * was signed with another key, so that the next could not follow it. */
ERR_CHECK
enum err unl_keys_match(const struct unl_keys *k, struct sto_view *v);

/* 64 bits that only who holds pseudonym.key can tell. */
uint64_t unl_keys_partition(const struct unl_keys *k);
/* What a private model's noise is drawn from. */
void unl_keys_noise(const struct unl_keys *k, unsigned char out[32]);

/* The keyed hash of an external id. */
void unl_keys_pseudonym(const struct unl_keys *k, const char *kind,
                        const char *id, char out[UNL_PSEUDONYM_HEX]);

/*
 * Complete `body` (number, hash of the one before, key), sign it and store it
 * inside t.  body: an object with what the certificate says, in the fields of
 * docs/certificate.md; borrowed and extended.  *number is that of the new
 * certificate.  v: opened under the lock that lets one forget request work at
 * a time, so that it shows the last certificate.  May run again (ERR_AGAIN).
 * Errors: ERR_FORMAT when a field is missing, unknown or of another type, or
 * when the last certificate was signed with another key; those of the store.
 */
ERR_CHECK
enum err unl_cert_issue(struct sto_txn *t, struct sto_view *v,
                        const struct unl_keys *k, json_t *body,
                        uint64_t *number);

/* Certificates 1..number as one file: what unl_cert_verify() takes, with the
 * newline at its end; free(*text).  ERR_NOTFOUND. */
ERR_CHECK
enum err unl_cert_export(struct sto_view *v, uint64_t number, char **text);

/* What a check found. */
struct unl_verdict {
    bool good;
    char reason[200];      /* in words; "" when good */
    uint64_t number;       /* of the last certificate that is good */
    char key[UNL_KEY_HEX]; /* that signed; "" when none was reached */
};

/*
 * Check an exported file by itself, with no store: the bytes are those that
 * recd writes, every field is one that this recd knows, signatures, numbers
 * from 1, and that each holds the hash of the one before.
 * key: 64 hexadecimal digits of the public key that must have signed, or
 * NULL: the one in the file is taken (which proves that the file is whole, not
 * who wrote it).  Never trusts a size; nothing about the file is an error: a
 * damaged one is a verdict.
 * Errors: ERR_NOMEM; ERR_ARG when key is not 64 hexadecimal digits.
 */
ERR_CHECK
enum err unl_cert_verify(const char *text, size_t bytes, const char *key,
                         struct unl_verdict *out);

#endif
