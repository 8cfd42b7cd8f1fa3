/*
 * unlearn/cert_check.c - is this file a chain of certificates, untouched?
 *
 * Everything that is not signed is compared with what recd would have written:
 * the file as a whole, each certificate's text, the case of hexadecimal
 * digits.  So there is no byte that could be another one.
 */
#include "unlearn/cert_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/mem.h"

#define FILE_MOST (64u << 20) /* longest file that is looked at */
#define HASH_HEX 64
#define SIGNATURE_HEX 128

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to check a certificate");
}

/* --- the fields ----------------------------------------------------------- */

enum type {
    END,
    TEXT,
    WHOLE,    /* an integer */
    COUNT,    /* an integer, not negative */
    SECONDS,  /* a number, not negative */
    TRUTH,    /* true or false */
    HASH,     /* 64 hexadecimal digits */
    HASH_OR,  /* the same, or "": none yet */
    NAME,     /* 32 hexadecimal digits: a keyed hash */
    KIND,     /* user, interaction, item */
    EXACT,    /* what is promised of a model */
    COUNTS,   /* a list of integers */
    OBJECT,   /* of fields `sub` */
    OBJECTS,  /* a list of them */
    SIGNATURE /* 128 hexadecimal digits */
};

struct field {
    const char *name;
    enum type type;
    bool optional;
    const struct field *sub;
};

static const struct field request_fields[] = {
    {"item", NAME, true, NULL},
    {"kind", KIND, false, NULL},
    {"person", NAME, true, NULL},
    {NULL, END, false, NULL},
};

static const struct field removed_fields[] = {
    {"items", COUNT, false, NULL}, {"test", COUNT, false, NULL},
    {"train", COUNT, false, NULL}, {"users", COUNT, false, NULL},
    {NULL, END, false, NULL},
};

static const struct field model_fields[] = {
    {"adapters", COUNTS, true, NULL},  {"aggregate", TEXT, false, NULL},
    {"digest", HASH_OR, false, NULL},  {"digest_before", HASH, false, NULL},
    {"exactness", EXACT, false, NULL}, {"model", TEXT, false, NULL},
    {"name", TEXT, false, NULL},       {"of_adapters", COUNT, true, NULL},
    {"of_shards", COUNT, false, NULL}, {"of_slices", COUNT, true, NULL},
    {"options", TEXT, false, NULL},    {"partition", TEXT, false, NULL},
    {"pending", TRUTH, false, NULL},   {"retrained", COUNT, false, NULL},
    {"seconds", SECONDS, false, NULL}, {"seed", WHOLE, false, NULL},
    {"shards", COUNTS, false, NULL},   {"slices", COUNTS, true, NULL},
    {NULL, END, false, NULL},
};

static const struct field erasure_fields[] = {
    {"free_pages", COUNT, false, NULL},
    {"gaps", COUNT, false, NULL},
    {"hits", COUNT, false, NULL},
    {"keys_destroyed", COUNT, true, NULL},
    {"keys_renewed", COUNT, true, NULL},
    {"old_files", COUNT, false, NULL},
    {"rewritten", TRUTH, true, NULL},
    {"searched_bytes", COUNT, false, NULL},
    {"searched_files", COUNT, false, NULL},
    {"searched_for", COUNT, false, NULL},
    {"tail_bytes", COUNT, false, NULL},
    {NULL, END, false, NULL},
};

static const struct field cert_fields[] = {
    {"erasure", OBJECT, false, erasure_fields},
    {"finished_at", WHOLE, false, NULL},
    {"format", TEXT, false, NULL},
    {"key", HASH, false, NULL},
    {"models", OBJECTS, false, model_fields},
    {"note", TEXT, true, NULL},
    {"number", COUNT, false, NULL},
    {"pending", TRUTH, false, NULL},
    {"previous", HASH, false, NULL},
    {"program", TEXT, false, NULL},
    {"removed", OBJECT, false, removed_fields},
    {"requested_at", WHOLE, false, NULL},
    {"requests", OBJECTS, false, request_fields},
    {"signature", SIGNATURE, false, NULL},
    {NULL, END, false, NULL},
};

static bool is_hex(const json_t *j, size_t n)
{
    const char *text = json_string_value(j);

    return text != NULL && json_string_length(j) == n &&
           strspn(text, "0123456789abcdef") == n;
}

static bool is_one_of(const json_t *j, const char *const *word)
{
    const char *text = json_string_value(j);

    while (text != NULL && *word != NULL && strcmp(*word, text) != 0)
        word++;
    return text != NULL && *word != NULL;
}

static bool is_count(const json_t *j)
{
    return json_is_integer(j) && json_integer_value(j) >= 0;
}

static bool are_counts(const json_t *j)
{
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (!is_count(json_array_get(j, i)))
            return false;
    }
    return json_is_array(j);
}

/* Types without fields of their own. */
static bool is_plain(const json_t *j, enum type type)
{
    static const char *const kind[] = {"user", "interaction", "item", NULL};
    static const char *const exact[] = {"exact", "exact-given-partition",
                                        "approximate", NULL};

    switch (type) {
    case TEXT:
        return json_is_string(j);
    case WHOLE:
        return json_is_integer(j);
    case COUNT:
        return is_count(j);
    case SECONDS:
        return json_is_number(j) && json_number_value(j) >= 0;
    case TRUTH:
        return json_is_boolean(j);
    case HASH:
        return is_hex(j, HASH_HEX);
    case HASH_OR:
        return is_hex(j, HASH_HEX) || is_hex(j, 0);
    case NAME:
        return is_hex(j, UNL_PSEUDONYM_HEX - 1);
    case KIND:
        return is_one_of(j, kind);
    case EXACT:
        return is_one_of(j, exact);
    case COUNTS:
        return are_counts(j);
    case SIGNATURE:
        return is_hex(j, SIGNATURE_HEX);
    case END:
    case OBJECT:
    case OBJECTS:
        break;
    }
    return false;
}

/* A name from a file may hold anything; what reaches a terminal may not. */
static bool wrong(char *why, size_t room, const char *where, const char *name,
                  const char *what)
{
    char shown[41];

    (void)snprintf(shown, sizeof(shown), "%s", name);
    for (char *c = shown; *c != '\0'; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    (void)snprintf(why, room, "field \"%s%s%s\" %s", where,
                   where[0] != '\0' ? "." : "", shown, what);
    return false;
}

static bool known(const struct field *f, const char *name)
{
    while (f->name != NULL && strcmp(f->name, name) != 0)
        f++;
    return f->name != NULL;
}

/* An object without fields below its own: the format is two levels deep. */
static bool flat_object(const json_t *j, const struct field *f,
                        const char *where, char *why, size_t room)
{
    const char *name;
    json_t *value;

    if (!json_is_object(j))
        return wrong(why, room, "", where, "is not an object");
    json_object_foreach((json_t *)(uintptr_t)j, name, value)
    {
        if (!known(f, name))
            return wrong(why, room, where, name,
                         "is not one that this recd knows");
    }
    for (; f->name != NULL; f++) {
        const json_t *got = json_object_get(j, f->name);

        if (got == NULL && f->optional)
            continue;
        if (got == NULL)
            return wrong(why, room, where, f->name, "is missing");
        if (f->sub == NULL && !is_plain(got, f->type))
            return wrong(why, room, where, f->name,
                         "does not hold what it should");
    }
    return true;
}

static bool sub_objects(const json_t *j, const struct field *f, char *why,
                        size_t room)
{
    if (f->type == OBJECT)
        return flat_object(j, f->sub, f->name, why, room);
    if (!json_is_array(j))
        return wrong(why, room, "", f->name, "is not a list");
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (!flat_object(json_array_get(j, i), f->sub, f->name, why, room))
            return false;
    }
    return true;
}

bool unl_cert_fields(const json_t *c, char *why, size_t room)
{
    if (!flat_object(c, cert_fields, "", why, room))
        return false;
    for (const struct field *f = cert_fields; f->name != NULL; f++) {
        if (f->sub != NULL &&
            !sub_objects(json_object_get(c, f->name), f, why, room))
            return false;
    }
    return true;
}

/* --- one certificate ------------------------------------------------------ */

/* A verdict is not an error: *good says it. */
static enum err say(struct unl_verdict *v, const char *reason, uint64_t number)
{
    (void)snprintf(v->reason, sizeof(v->reason), "certificate %llu: %s",
                   (unsigned long long)number, reason);
    return ERR_OK;
}

/*
 * *out is NULL when the text is not JSON.  jansson (2.14) loses bytes of a
 * string for which it finds no room, so room is looked for before.  A failure
 * without a code is one of its allocations.
 */
static enum err load(const char *text, size_t n, json_t **out)
{
    json_error_t why = {0};

    ERR_TRY(mem_budget(32.0 * (double)n, "checking a certificate"));
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    return *out == NULL && (json_error_code(&why) == json_error_unknown ||
                            json_error_code(&why) == json_error_out_of_memory)
               ? no_memory()
               : ERR_OK;
}

static bool signed_by(const char *plain, const char *signature, const char *key)
{
    unsigned char sig[crypto_sign_BYTES], pk[crypto_sign_PUBLICKEYBYTES];

    return sodium_hex2bin(sig, sizeof(sig), signature, SIGNATURE_HEX, NULL,
                          NULL, NULL) == 0 &&
           sodium_hex2bin(pk, sizeof(pk), key, HASH_HEX, NULL, NULL, NULL) ==
               0 &&
           crypto_sign_verify_detached(sig, (const unsigned char *)plain,
                                       strlen(plain), pk) == 0;
}

/* Canonical form, then the signature over the text without it. */
static enum err check_signature(json_t *c, const char *text, uint64_t n,
                                struct unl_verdict *v, bool *good)
{
    char signature[SIGNATURE_HEX + 1];
    char *plain = unl_cert_text(c, UNL_CERT_CANONICAL);
    const bool same = plain != NULL && strcmp(plain, text) == 0;

    if (plain == NULL)
        return no_memory();
    free(plain);
    if (!same)
        return say(v, "its text is not in canonical form", n);
    (void)snprintf(signature, sizeof(signature), "%s",
                   json_string_value(json_object_get(c, "signature")));
    (void)json_object_del(c, "signature");
    plain = unl_cert_text(c, UNL_CERT_CANONICAL);
    if (plain == NULL)
        return no_memory();
    *good = signed_by(plain, signature, v->key);
    free(plain);
    return *good ? ERR_OK
                 : say(v,
                       "the signature does not match: it was changed, or "
                       "signed with another key",
                       n);
}

static const char *text_of(const json_t *c, const char *field)
{
    const char *text = json_string_value(json_object_get(c, field));

    return text != NULL ? text : "";
}

static enum err check_fields(json_t *c, const char *text, uint64_t n,
                             const char *before, struct unl_verdict *v,
                             bool *good)
{
    char why[160];

    if (!json_is_object(c))
        return say(v, "it is not a certificate", n);
    if (strcmp(text_of(c, "format"), UNL_CERT_FORMAT) != 0)
        return say(v,
                   "its format is not " UNL_CERT_FORMAT
                   ", the one that this recd knows",
                   n);
    if (!unl_cert_fields(c, why, sizeof(why)))
        return say(v, why, n);
    if (v->key[0] != '\0' && strcmp(v->key, text_of(c, "key")) != 0)
        return say(v, "it was signed with another key", n);
    if (json_integer_value(json_object_get(c, "number")) != (json_int_t)n)
        return say(v, "its number is not its place: one is missing or moved",
                   n);
    if (strcmp(text_of(c, "previous"), before) != 0)
        return say(v, "it does not follow from the one before it", n);
    (void)snprintf(v->key, sizeof(v->key), "%s", text_of(c, "key"));
    return check_signature(c, text, n, v, good);
}

static enum err check_one(const char *text, uint64_t n, const char *before,
                          struct unl_verdict *v, bool *good)
{
    json_t *c;

    *good = false;
    ERR_TRY(load(text, strlen(text), &c));
    const enum err e = check_fields(c, text, n, before, v, good);

    json_decref(c);
    return e;
}

/* --- the file ------------------------------------------------------------- */

static enum err check_chain(json_t *chain, struct unl_verdict *v)
{
    char before[UNL_KEY_HEX];
    bool good = json_array_size(chain) > 0;

    if (!good)
        return say(v, "the file holds none", 0);
    memset(before, '0', HASH_HEX);
    before[HASH_HEX] = '\0';
    for (size_t i = 0; i < json_array_size(chain) && good; i++) {
        const json_t *one = json_array_get(chain, i);
        const char *text = json_string_value(one);

        if (text == NULL || strlen(text) != json_string_length(one))
            return say(v, "it is not a certificate", i + 1);
        ERR_TRY(check_one(text, i + 1, before, v, &good));
        unl_cert_hash(text, before);
        v->number = good ? i + 1 : v->number;
    }
    v->good = good;
    return ERR_OK;
}

static enum err not_ours(struct unl_verdict *v, const char *reason)
{
    (void)snprintf(v->reason, sizeof(v->reason), "%s", reason);
    return ERR_OK;
}

/* The file as it would be written again: nothing else may stand in it. */
static enum err check_file(const json_t *file, const char *text, size_t bytes,
                           struct unl_verdict *v)
{
    const json_t *format = json_object_get(file, "format");
    json_t *chain = json_object_get(file, "chain");

    if (!json_is_string(format) || !json_is_array(chain) ||
        json_object_size(file) != 2 ||
        strcmp(json_string_value(format), UNL_CERT_FORMAT "-chain") != 0)
        return not_ours(v, "the file is not a chain of recd certificates of "
                           "a format that this recd knows");
    char *again = unl_cert_file(chain);

    if (again == NULL)
        return no_memory();
    const bool same = strlen(again) == bytes && memcmp(again, text, bytes) == 0;

    free(again);
    return same ? check_chain(chain, v)
                : not_ours(v, "the file holds bytes that recd did not write");
}

/* Lower case; "" stands for any key. */
static enum err read_key(const char *key, char out[UNL_KEY_HEX])
{
    out[0] = '\0';
    if (key == NULL)
        return ERR_OK;
    if (strlen(key) != HASH_HEX ||
        strspn(key, "0123456789abcdefABCDEF") != HASH_HEX)
        return err_set(ERR_ARG, "a public key is 64 hexadecimal digits (`recd "
                                "certificate key` prints it)");
    for (size_t i = 0; i <= HASH_HEX; i++)
        out[i] = (char)(key[i] >= 'A' && key[i] <= 'F' ? key[i] - 'A' + 'a'
                                                       : key[i]);
    return ERR_OK;
}

enum err unl_cert_verify(const char *text, size_t bytes, const char *key,
                         struct unl_verdict *out)
{
    struct unl_verdict v = {.good = false};
    json_t *file = NULL;
    enum err e = ERR_OK;

    ERR_TRY(read_key(key, v.key));
    if (sodium_init() < 0)
        return err_set(ERR_IO, "libsodium does not start");
    if (bytes > FILE_MOST)
        e = not_ours(&v, "the file is longer than any that recd writes");
    else
        e = load(text, bytes, &file);
    if (e == ERR_OK && file == NULL && v.reason[0] == '\0')
        e = not_ours(&v, "the file is not JSON: it is damaged or cut off");
    if (e == ERR_OK && file != NULL)
        e = check_file(file, text, bytes, &v);
    json_decref(file);
    if (e == ERR_OK)
        *out = v;
    return e;
}
