/* unlearn/cert.c - keys, signing, the chain (cert_check.c looks at it). */
#include "unlearn/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sodium.h>

#include "base/key.h"
#include "base/mem.h"
#include "store/forget.h"
#include "unlearn/cert_check.h"

#define KEY_BYTES 32
#define PATH_ROOM 4160

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a certificate");
}

/* --- keys ----------------------------------------------------------------- */

static enum err key_error(const char *doing, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

static bool write_whole(const char *path, const unsigned char *data, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    const bool good = write(fd, data, n) == (ssize_t)n && fsync(fd) == 0;

    return close(fd) == 0 && good;
}

/* Make the file with n random bytes: whole, synced, or not at all.  The
 * caller holds the lock on the folder, so one temporary name is enough and
 * what a kill left under it is written over. */
static enum err key_make(int folder, const char *path, size_t n)
{
    unsigned char fresh[KEY_BYTES];
    char tmp[PATH_ROOM + 8];

    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    randombytes_buf(fresh, n);
    const bool good = write_whole(tmp, fresh, n) && rename(tmp, path) == 0 &&
                      fsync(folder) == 0;

    sodium_memzero(fresh, sizeof(fresh));
    if (good)
        return ERR_OK;
    const enum err e = key_error("make", path);

    (void)unlink(tmp);
    return e;
}

static enum err key_read(const char *path, unsigned char out[KEY_BYTES])
{
    unsigned char got[KEY_BYTES + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return key_error("read", path);
    const ssize_t n = read(fd, got, sizeof(got));

    close(fd);
    if (n == KEY_BYTES)
        memcpy(out, got, KEY_BYTES);
    sodium_memzero(got, sizeof(got));
    return n == KEY_BYTES
               ? ERR_OK
               : err_set(ERR_FORMAT,
                         "%s is damaged: certificates cannot be signed with "
                         "it (put the right file back)",
                         path);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* signing.key is made first: where pseudonym.key stands alone, the other was
 * lost, and a new one would break the chain. */
static enum err keys_make(const char *dir, const char *sign, const char *name)
{
    const int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = ERR_OK;

    if (folder < 0)
        return key_error("open", dir);
    while (flock(folder, LOCK_EX) != 0 && errno == EINTR)
        continue;
    if (!exists(sign) && exists(name))
        e = err_set(ERR_NOTFOUND,
                    "%s is missing: put it back from your copy (with another "
                    "key the chain of certificates would break)",
                    sign);
    if (e == ERR_OK && !exists(sign))
        e = key_make(folder, sign, KEY_BYTES);
    if (e == ERR_OK && !exists(name))
        e = key_make(folder, name, KEY_BYTES);
    close(folder); /* and with it the lock */
    return e;
}

enum err unl_keys_open(struct unl_keys *k, const char *dir)
{
    unsigned char seed[KEY_BYTES], secret[KEY_BYTES];
    char sign[PATH_ROOM], name[PATH_ROOM];

    if (sodium_init() < 0)
        return err_set(ERR_IO, "libsodium does not start");
    if (snprintf(sign, sizeof(sign), "%s/signing.key", dir) >= PATH_ROOM ||
        snprintf(name, sizeof(name), "%s/pseudonym.key", dir) >= PATH_ROOM)
        return err_set(ERR_ARG, "the store's path is too long");
    if (!exists(sign) || !exists(name))
        ERR_TRY(keys_make(dir, sign, name));
    enum err e = key_read(sign, seed);

    if (e == ERR_OK)
        e = key_read(name, secret);
    if (e == ERR_OK) {
        (void)crypto_sign_seed_keypair(k->public_key, k->secret_key, seed);
        memcpy(k->pseudonym, secret, sizeof(secret));
    }
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret, sizeof(secret));
    return e;
}

void unl_keys_close(struct unl_keys *k)
{
    sodium_memzero(k, sizeof(*k));
}

uint64_t unl_keys_partition(const struct unl_keys *k)
{
    static const unsigned char what[] = "partition";
    uint64_t out[2]; /* the least that the function gives */

    (void)crypto_generichash((unsigned char *)out, sizeof(out), what,
                             sizeof(what), k->pseudonym, sizeof(k->pseudonym));
    return out[0];
}

void unl_keys_noise(const struct unl_keys *k, unsigned char out[32])
{
    static const unsigned char what[] = "noise";

    (void)crypto_generichash(out, 32, what, sizeof(what), k->pseudonym,
                             sizeof(k->pseudonym));
}

void unl_keys_pseudonym(const struct unl_keys *k, const char *kind,
                        const char *id, char out[UNL_PSEUDONYM_HEX])
{
    crypto_generichash_state s;
    unsigned char hash[16];

    (void)crypto_generichash_init(&s, k->pseudonym, sizeof(k->pseudonym),
                                  sizeof(hash));
    (void)crypto_generichash_update(&s, (const unsigned char *)kind,
                                    strlen(kind) + 1);
    (void)crypto_generichash_update(&s, (const unsigned char *)id, strlen(id));
    (void)crypto_generichash_final(&s, hash, sizeof(hash));
    key_hex(hash, sizeof(hash), out);
}

/* --- issuing -------------------------------------------------------------- */

void unl_cert_hash(const char *text, char hex[UNL_KEY_HEX])
{
    unsigned char h[32];

    (void)crypto_generichash(h, sizeof(h), (const unsigned char *)text,
                             strlen(text), NULL, 0);
    key_hex(h, sizeof(h), hex);
}

/* Whether the certificate names `key` as its signer's: one chain, one key.
 * Inside a text a quote would be \\", so what is found is the field. */
static enum err same_signer(const char *text, const char *key, uint64_t number)
{
    char field[UNL_KEY_HEX + 16];

    (void)snprintf(field, sizeof(field), "\"key\":\"%s\"", key);
    return strstr(text, field) != NULL
               ? ERR_OK
               : err_set(ERR_FORMAT,
                         "signing.key is not the one that signed certificate "
                         "%llu: put that one back (the chain of certificates "
                         "would break)",
                         (unsigned long long)number);
}

/* Hash of certificate `number`; of number 0: zeros. */
static enum err hash_of(struct sto_view *v, uint64_t number, const char *key,
                        char hex[UNL_KEY_HEX])
{
    char *text = NULL;

    memset(hex, '0', UNL_KEY_HEX - 1);
    hex[UNL_KEY_HEX - 1] = '\0';
    if (number == 0)
        return ERR_OK;
    ERR_TRY(sto_cert_get(v, number, &text));
    const enum err e = same_signer(text, key, number);

    if (e == ERR_OK)
        unl_cert_hash(text, hex);
    free(text);
    return e;
}

enum err unl_keys_match(const struct unl_keys *k, struct sto_view *v)
{
    char key[UNL_KEY_HEX], hash[UNL_KEY_HEX];
    uint64_t n;

    key_hex(k->public_key, sizeof(k->public_key), key);
    ERR_TRY(sto_cert_count(v, &n));
    return hash_of(v, n, key, hash);
}

static enum err sign(const struct unl_keys *k, json_t *body, char **text)
{
    unsigned char sig[crypto_sign_BYTES];
    char hex[2 * crypto_sign_BYTES + 1];
    char *plain = unl_cert_text(body, UNL_CERT_CANONICAL);

    if (plain == NULL)
        return no_memory();
    (void)crypto_sign_detached(sig, NULL, (const unsigned char *)plain,
                               strlen(plain), k->secret_key);
    free(plain);
    key_hex(sig, sizeof(sig), hex);
    if (json_object_set_new(body, "signature", json_string(hex)) != 0 ||
        (*text = unl_cert_text(body, UNL_CERT_CANONICAL)) == NULL)
        return no_memory();
    return ERR_OK;
}

enum err unl_cert_issue(struct sto_txn *t, struct sto_view *v,
                        const struct unl_keys *k, json_t *body,
                        uint64_t *number)
{
    char before[UNL_KEY_HEX], key[UNL_KEY_HEX], why[160];
    char *text = NULL;
    uint64_t n;

    key_hex(k->public_key, sizeof(k->public_key), key);
    ERR_TRY(sto_cert_count(v, &n));
    ERR_TRY(hash_of(v, n, key, before));
    (void)json_object_del(body, "signature");
    if (json_object_set_new(body, "format", json_string(UNL_CERT_FORMAT)) ||
        json_object_set_new(body, "number", json_integer((json_int_t)n + 1)) ||
        json_object_set_new(body, "previous", json_string(before)) ||
        json_object_set_new(body, "key", json_string(key)))
        return no_memory();
    enum err e = sign(k, body, &text);

    if (e == ERR_OK && !unl_cert_fields(body, why, sizeof(why)))
        e = err_set(ERR_FORMAT, "the new certificate is not one: %s", why);
    if (e == ERR_OK)
        e = sto_cert_put(t, n + 1, text);
    free(text);
    if (e == ERR_OK)
        *number = n + 1;
    return e;
}

/* json_dumps() forgets the bytes for which it finds no room (jansson 2.14);
 * this asks for the length first. */
char *unl_cert_text(const json_t *j, size_t flags)
{
    const size_t n = json_dumpb(j, NULL, 0, flags);
    char *text = n > 0 ? mem_array(n + 2, 1) : NULL;

    if (text != NULL && json_dumpb(j, text, n, flags) == n)
        return text;
    free(text);
    return NULL;
}

char *unl_cert_file(json_t *chain)
{
    json_t *file = json_pack("{s:s, s:O}", "format", UNL_CERT_FORMAT "-chain",
                             "chain", chain);
    char *text = file != NULL ? unl_cert_text(file, UNL_CERT_LINES) : NULL;

    if (text != NULL)
        text[strlen(text)] = '\n'; /* there is room, and a zero after it */
    json_decref(file);
    return text;
}

enum err unl_cert_export(struct sto_view *v, uint64_t number, char **text)
{
    json_t *chain = json_array();
    enum err e = chain == NULL ? no_memory() : ERR_OK;

    for (uint64_t n = 1; n <= number && e == ERR_OK; n++) {
        char *one = NULL;

        e = sto_cert_get(v, n, &one);
        if (e == ERR_OK && json_array_append_new(chain, json_string(one)) != 0)
            e = no_memory();
        free(one);
    }
    if (e == ERR_OK) {
        char *made = unl_cert_file(chain);

        e = made == NULL ? no_memory() : ERR_OK;
        *text = e == ERR_OK ? made : *text;
    }
    json_decref(chain);
    return e;
}
