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
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

#define UNL_CERT_FORMAT "recd-certificate-1"
#define UNL_KEY_HEX 65       /* public key in hexadecimal, with its NUL */
#define UNL_PSEUDONYM_HEX 33 /* 128 bits */

/* Keys of a store; made and synced when they are not there. */
struct unl_keys {
    unsigned char public_key[32], secret_key[64], pseudonym[32];
};
ERR_CHECK
enum err unl_keys_open(struct unl_keys *k, const char *dir);
/* Overwrite them in memory. */
void unl_keys_close(struct unl_keys *k);

/* The keyed hash of an external id. */
void unl_keys_pseudonym(const struct unl_keys *k, const char *kind,
                        const char *id, char out[UNL_PSEUDONYM_HEX]);

/*
 * Complete `body` (number, hash of the one before, key), sign it and store it
 * inside t.  body: an object with whatever the certificate says; borrowed and
 * extended.  *number is that of the new certificate.
 */
ERR_CHECK
enum err unl_cert_issue(struct sto_txn *t, struct sto_view *v,
                        const struct unl_keys *k, json_t *body,
                        uint64_t *number);

/* Certificates 1..number as one file: an object with the key and the chain. */
ERR_CHECK
enum err unl_cert_export(struct sto_view *v, uint64_t number, char **text);

/* What a check found. */
struct unl_verdict {
    bool good;
    char reason[200]; /* in words; "" when good */
    uint64_t number;  /* of the last certificate */
    char key[UNL_KEY_HEX];
};

/*
 * Check an exported file by itself: canonical text, signatures, numbers, hashes
 * of the chain.  key: hexadecimal public key that it must carry, or NULL: the
 * one in the file is taken.  Never trusts a size.  ERR_NOMEM alone is an
 * error: a damaged file is a verdict.
 */
ERR_CHECK
enum err unl_cert_verify(const char *text, size_t bytes, const char *key,
                         struct unl_verdict *out);

#endif
