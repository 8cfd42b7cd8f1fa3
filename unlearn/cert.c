/* unlearn/cert.c - keys, signing, the chain, checking. */
#include "unlearn/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/key.h"
#include "base/mem.h"
#include "store/forget.h"

#define CANONICAL (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(12))
#define DEPTH_BYTES (64u << 20) /* longest file that is looked at */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a certificate");
}

/* --- keys
 * ---------------------------------------------------------------------
 */

static enum err key_error(const char *doing, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* Make the file with n random bytes: whole or not at all. */
static enum err key_make(const char *path, size_t n)
{
    unsigned char fresh[64];
    char tmp[4200];
    int fd;

    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return key_error("make", tmp);
    randombytes_buf(fresh, n);
    const bool good = write(fd, fresh, n) == (ssize_t)n && fsync(fd) == 0;

    sodium_memzero(fresh, sizeof(fresh));
    close(fd);
    /* link: whoever comes first wins */
    if (!good || (link(tmp, path) != 0 && errno != EEXIST)) {
        const enum err e = key_error("write", path);

        (void)unlink(tmp);
        return e;
    }
    (void)unlink(tmp);
    return ERR_OK;
}

static enum err key_read(const char *dir, const char *name, unsigned char *out,
                         size_t n)
{
    char path[4160];
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return err_set(ERR_ARG, "the store's path is too long");
    fd = open(path, O_RDONLY);
    if (fd < 0 && errno == ENOENT) {
        ERR_TRY(key_make(path, n));
        fd = open(path, O_RDONLY);
    }
    if (fd < 0)
        return key_error("read", path);
    const bool good = read(fd, out, n) == (ssize_t)n;

    close(fd);
    return good ? ERR_OK
                : err_set(ERR_FORMAT,
                          "%s is damaged: certificates cannot be signed with "
                          "it (put the right file back)",
                          path);
}

enum err unl_keys_open(struct unl_keys *k, const char *dir)
{
    unsigned char seed[crypto_sign_SEEDBYTES];

    if (sodium_init() < 0)
        return err_set(ERR_IO, "libsodium does not start");
    ERR_TRY(key_read(dir, "signing.key", seed, sizeof(seed)));
    ERR_TRY(key_read(dir, "pseudonym.key", k->pseudonym, sizeof(k->pseudonym)));
    (void)crypto_sign_seed_keypair(k->public_key, k->secret_key, seed);
    sodium_memzero(seed, sizeof(seed));
    return ERR_OK;
}

void unl_keys_close(struct unl_keys *k)
{
    sodium_memzero(k, sizeof(*k));
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

/* --- issuing
 * ------------------------------------------------------------------
 */

static void hash_text(const char *text, size_t n, char hex[65])
{
    unsigned char h[32];

    (void)crypto_generichash(h, sizeof(h), (const unsigned char *)text, n, NULL,
                             0);
    key_hex(h, sizeof(h), hex);
}

/* Hash of certificate `number`; of number 0: zeros. */
static enum err hash_of(struct sto_view *v, uint64_t number, char hex[65])
{
    char *text = NULL;

    memset(hex, '0', 64);
    hex[64] = '\0';
    if (number == 0)
        return ERR_OK;
    ERR_TRY(sto_cert_get(v, number, &text));
    hash_text(text, strlen(text), hex);
    free(text);
    return ERR_OK;
}

static enum err sign(const struct unl_keys *k, json_t *body, char **text)
{
    unsigned char sig[crypto_sign_BYTES];
    char hex[2 * crypto_sign_BYTES + 1];
    char *plain = json_dumps(body, CANONICAL);

    if (plain == NULL)
        return no_memory();
    (void)crypto_sign_detached(sig, NULL, (const unsigned char *)plain,
                               strlen(plain), k->secret_key);
    free(plain);
    key_hex(sig, sizeof(sig), hex);
    if (json_object_set_new(body, "signature", json_string(hex)) != 0 ||
        (*text = json_dumps(body, CANONICAL)) == NULL)
        return no_memory();
    return ERR_OK;
}

enum err unl_cert_issue(struct sto_txn *t, struct sto_view *v,
                        const struct unl_keys *k, json_t *body,
                        uint64_t *number)
{
    char before[65], key[UNL_KEY_HEX];
    char *text = NULL;
    uint64_t n;

    ERR_TRY(sto_cert_count(v, &n));
    ERR_TRY(hash_of(v, n, before));
    key_hex(k->public_key, sizeof(k->public_key), key);
    (void)json_object_del(body, "signature");
    if (json_object_set_new(body, "format", json_string(UNL_CERT_FORMAT)) ||
        json_object_set_new(body, "number", json_integer((json_int_t)n + 1)) ||
        json_object_set_new(body, "previous", json_string(before)) ||
        json_object_set_new(body, "key", json_string(key)))
        return no_memory();
    enum err e = sign(k, body, &text);

    if (e == ERR_OK)
        e = sto_cert_put(t, n + 1, text);
    free(text);
    if (e == ERR_OK)
        *number = n + 1;
    return e;
}

enum err unl_cert_export(struct sto_view *v, uint64_t number, char **text)
{
    json_t *chain = json_array(), *file;
    enum err e = ERR_OK;

    for (uint64_t n = 1; n <= number && e == ERR_OK; n++) {
        char *one = NULL;

        e = sto_cert_get(v, n, &one);
        if (e == ERR_OK && json_array_append_new(chain, json_string(one)) != 0)
            e = no_memory();
        free(one);
    }
    file = json_pack("{s:s, s:O}", "format", UNL_CERT_FORMAT "-chain", "chain",
                     chain);
    if (e == ERR_OK) {
        *text = json_dumps(file, JSON_INDENT(1) | JSON_SORT_KEYS);
        e = *text == NULL ? no_memory() : ERR_OK;
    }
    json_decref(file);
    json_decref(chain);
    return e;
}

/* --- checking
 * -----------------------------------------------------------------
 */

static bool say(struct unl_verdict *v, const char *reason, uint64_t number)
{
    (void)snprintf(v->reason, sizeof(v->reason), "certificate %llu: %s",
                   (unsigned long long)number, reason);
    return false;
}

static bool unhex(const char *hex, unsigned char *out, size_t n)
{
    size_t got;
    const char *end;

    return hex != NULL && strlen(hex) == 2 * n &&
           sodium_hex2bin(out, n, hex, 2 * n, NULL, &got, &end) == 0 &&
           got == n && *end == '\0';
}

/* Signature and canonical form of one text. */
static bool check_signature(json_t *c, const char *text, uint64_t n,
                            struct unl_verdict *v)
{
    unsigned char sig[crypto_sign_BYTES], key[32];
    char *plain = json_dumps(c, CANONICAL);
    bool good = plain != NULL && strcmp(plain, text) == 0;

    free(plain);
    if (!good)
        return say(v, "its text is not in canonical form", n);
    if (!unhex(json_string_value(json_object_get(c, "signature")), sig,
               sizeof(sig)) ||
        !unhex(v->key, key, sizeof(key)))
        return say(v, "its signature or key is damaged", n);
    (void)json_object_del(c, "signature");
    plain = json_dumps(c, CANONICAL);
    good = plain != NULL &&
           crypto_sign_verify_detached(sig, (const unsigned char *)plain,
                                       strlen(plain), key) == 0;
    free(plain);
    return good || say(v,
                       "the signature does not match: it was changed, or "
                       "signed with another key",
                       n);
}

static bool check_one(const char *text, uint64_t n, const char before[65],
                      struct unl_verdict *v)
{
    json_t *c = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *format, *previous, *key;
    bool good = false;

    format = json_string_value(json_object_get(c, "format"));
    previous = json_string_value(json_object_get(c, "previous"));
    key = json_string_value(json_object_get(c, "key"));
    if (format == NULL || previous == NULL || key == NULL ||
        strlen(key) != UNL_KEY_HEX - 1)
        (void)say(v, "it is not a certificate", n);
    else if (strcmp(format, UNL_CERT_FORMAT) != 0)
        (void)say(v, "its format is not one that this recd knows", n);
    else if (v->key[0] != '\0' && strcmp(v->key, key) != 0)
        (void)say(v, "it was signed with another key", n);
    else if (json_integer_value(json_object_get(c, "number")) != (json_int_t)n)
        (void)say(v, "its number is not its place: one is missing or moved", n);
    else if (strcmp(previous, before) != 0)
        (void)say(v, "it does not follow from the one before it", n);
    else {
        (void)snprintf(v->key, sizeof(v->key), "%s", key);
        good = check_signature(c, text, n, v);
    }
    json_decref(c);
    return good;
}

static bool check_chain(const json_t *chain, struct unl_verdict *v)
{
    char before[65];

    memset(before, '0', 64);
    before[64] = '\0';
    for (size_t i = 0; i < json_array_size(chain); i++) {
        const json_t *one = json_array_get(chain, i);
        const char *text = json_string_value(one);

        if (text == NULL || strlen(text) != json_string_length(one))
            return say(v, "it is not a certificate", i + 1);
        if (!check_one(text, i + 1, before, v))
            return false;
        hash_text(text, strlen(text), before);
        v->number = i + 1;
    }
    return v->number > 0 || say(v, "the file holds none", 0);
}

/* The file as it would be written again: nothing else may stand in it. */
static bool same_file(const json_t *file, const char *text, size_t bytes)
{
    char *again = json_dumps(file, JSON_INDENT(1) | JSON_SORT_KEYS);
    const bool same = again != NULL &&
                      (strlen(again) == bytes || (strlen(again) + 1 == bytes &&
                                                  text[bytes - 1] == '\n')) &&
                      memcmp(again, text, strlen(again)) == 0;

    free(again);
    return same;
}

enum err unl_cert_verify(const char *text, size_t bytes, const char *key,
                         struct unl_verdict *out)
{
    struct unl_verdict v = {.good = false};
    json_t *file;

    if (sodium_init() < 0)
        return err_set(ERR_IO, "libsodium does not start");
    if (key != NULL)
        (void)snprintf(v.key, sizeof(v.key), "%s", key);
    file = bytes > DEPTH_BYTES
               ? NULL
               : json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    const char *format = json_string_value(json_object_get(file, "format"));

    if (format == NULL || json_object_size(file) != 2 ||
        strcmp(format, UNL_CERT_FORMAT "-chain") != 0 ||
        !json_is_array(json_object_get(file, "chain")))
        (void)snprintf(v.reason, sizeof(v.reason),
                       "the file is not a chain of recd certificates of a "
                       "format that this recd knows");
    else if (!same_file(file, text, bytes))
        (void)snprintf(v.reason, sizeof(v.reason),
                       "the file holds bytes that recd did not write");
    else
        v.good = check_chain(json_object_get(file, "chain"), &v);
    json_decref(file);
    *out = v;
    return ERR_OK;
}
