/* tests/test_cert.c - certificates: what a check finds. */
#include "tests/cert_case.h"

/* --- a chain ----------------------------------------------------------------
 */

static void a_chain_of_a_hundred_verifies_and_is_counted(void **state)
{
    struct sto *st = store_with(100);
    char *text = exported(st, 100), *some = exported(st, 41);
    struct unl_verdict r = verdict(text, strlen(text), NULL);

    (void)state;
    assert_true(r.good);
    assert_int_equal(r.number, 100);
    assert_int_equal(certificates(st), 100);
    r = verdict(some, strlen(some), r.key);
    assert_true(r.good);
    assert_int_equal(r.number, 41);
    free(text);
    free(some);
    sto_close(st);
}

static void a_change_that_is_given_up_leaves_no_certificate(void **state)
{
    struct sto *st = store_with(2);
    struct unl_keys k;
    uint64_t number;

    (void)state;
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    json_t *body = body_of(&k, 3);

    assert_int_equal(issue(st, &k, body, true, &number), ERR_IO);
    assert_int_equal(certificates(st), 2);
    assert_int_equal(issue(st, &k, body, false, &number), ERR_OK);
    assert_int_equal(number, 3);
    char *text = exported(st, 3);

    assert_true(verdict(text, strlen(text), NULL).good);
    free(text);
    json_decref(body);
    unl_keys_close(&k);
    sto_close(st);
}

static void any_changed_bit_is_found(void **state)
{
    char *text = chain_of(2);
    const size_t n = strlen(text);

    (void)state;
    assert_true(verdict(text, n, NULL).good);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            if (verdict(text, n, NULL).good)
                fail_msg("bit %d of byte %zu changed, unseen", bit, i);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
    free(text);
}

static void any_missing_or_added_byte_is_found(void **state)
{
    char *text = chain_of(2);
    const size_t n = strlen(text);
    char *other = mem_array(n + 2, 1);

    (void)state;
    assert_non_null(other);
    for (size_t i = 0; i < n; i++) {
        assert_false(verdict(text, i, NULL).good);
        memcpy(other, text, i);
        memcpy(other + i, text + i + 1, n - i - 1);
        if (verdict(other, n - 1, NULL).good)
            fail_msg("byte %zu taken out, unseen", i);
        memcpy(other + i + 1, text + i, n - i);
        for (const char *c = " \n0a\"\0"; c < &" \n0a\"\0"[6]; c++) {
            other[i] = *c;
            if (verdict(other, n + 1, NULL).good)
                fail_msg("byte %d added at %zu, unseen", *c, i);
        }
    }
    memcpy(other, text, n);
    other[n] = '\n';
    assert_false(verdict(other, n + 1, NULL).good);
    free(other);
    free(text);
}

/* --- links ------------------------------------------------------------------
 */

static json_t *texts_of(const char *file_text)
{
    json_t *file = json_loads(file_text, 0, NULL);
    json_t *chain = json_incref(json_object_get(file, "chain"));

    json_decref(file);
    return chain;
}

/* Takes the reference to chain. */
static void refused(json_t *chain, const char *reason)
{
    char *text = unl_cert_file(chain);
    const struct unl_verdict r = verdict(text, strlen(text), NULL);

    if (r.good || strstr(r.reason, reason) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", reason, r.reason);
    free(text);
    json_decref(chain);
}

static void a_missing_swapped_doubled_or_foreign_link_is_found(void **state)
{
    char *text = chain_of(4), *theirs;
    json_t *c = texts_of(text);

    for (size_t i = 0; i < 3; i++) {
        json_t *one = json_incref(json_array_get(c, i));

        (void)json_array_remove(c, i);
        refused(json_incref(c), "missing or moved");
        (void)json_array_insert(c, i + 1, one);
        refused(json_incref(c), "missing or moved"); /* i and i + 1 swapped */
        (void)json_array_insert(c, i, one);
        refused(json_incref(c), "missing or moved");
        (void)json_array_remove(c, i + 2);
        json_decref(one);
    }
    assert_int_equal(drop_folder(state), 0);
    assert_int_equal(new_folder(state), 0);
    theirs = chain_of(4); /* of another store, with another key */
    json_t *d = texts_of(theirs);

    (void)json_array_set(c, 2, json_array_get(d, 2));
    refused(c, "certificate 3: it was signed with another key");
    (void)json_array_clear(d);
    refused(d, "holds none");
    free(text);
    free(theirs);
}

static void a_chain_forged_with_the_same_key_does_not_link(void **state)
{
    struct sto *st = store_with(1);
    char *text = exported(st, 1), *longer;
    json_t *c = texts_of(text), *d;

    sto_close(st);
    /* the same keys, another first certificate */
    char path[100];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/data.mdb", dir);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/lock.mdb", dir);
    assert_int_equal(unlink(path), 0);
    struct unl_keys k;
    uint64_t number;

    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    for (unsigned i = 5; i < 7; i++) {
        json_t *body = body_of(&k, i);

        assert_int_equal(issue(st, &k, body, false, &number), ERR_OK);
        json_decref(body);
    }
    longer = exported(st, 2);
    d = texts_of(longer);
    (void)json_array_set(d, 0, json_array_get(c, 0));
    refused(d, "certificate 2: it does not follow");
    json_decref(c);
    unl_keys_close(&k);
    sto_close(st);
    free(text);
    free(longer);
}

static void only_the_named_key_will_do(void **state)
{
    char *text = chain_of(2);
    struct unl_verdict r = verdict(text, strlen(text), NULL);
    char key[UNL_KEY_HEX], upper[UNL_KEY_HEX];

    (void)state;
    memcpy(key, r.key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i++)
        upper[i] = (char)(key[i] >= 'a' ? key[i] - 32 : key[i]);
    assert_true(verdict(text, strlen(text), upper).good);
    key[63] = key[63] == '0' ? '1' : '0';
    r = verdict(text, strlen(text), key);
    assert_false(r.good);
    assert_non_null(strstr(r.reason, "another key"));
    assert_int_equal(unl_cert_verify(text, strlen(text), "abc", &r), ERR_ARG);
    key[5] = 'g';
    assert_int_equal(unl_cert_verify(text, strlen(text), key, &r), ERR_ARG);
    free(text);
}

/* --- forms that are refused by name -----------------------------------------
 */

/* A file of one certificate, signed well, whatever it says. */
static json_t *signed_chain(json_t *c)
{
    unsigned char seed[32] = {1}, pk[32], sk[64], sig[64];
    char hex[129];

    assert_int_equal(crypto_sign_seed_keypair(pk, sk, seed), 0);
    key_hex(pk, 32, hex);
    (void)json_object_set_new(c, "key", json_string(hex));
    (void)json_object_del(c, "signature");
    char *plain = json_dumps(c, UNL_CERT_CANONICAL);

    (void)crypto_sign_detached(sig, NULL, (const unsigned char *)plain,
                               strlen(plain), sk);
    free(plain);
    key_hex(sig, 64, hex);
    (void)json_object_set_new(c, "signature", json_string(hex));
    plain = json_dumps(c, UNL_CERT_CANONICAL);
    json_t *chain = json_pack("[s]", plain);

    free(plain);
    return chain;
}

/* NULL as value: take the field out. */
static const struct form {
    const char *where, *field, *value, *reason;
} forms[] = {
    {"", "colour", "\"red\"", "\"colour\" is not one that this recd knows"},
    {"", "\x1b[2J", "1", "\"?[2J\" is not one"},
    {"", "format", "\"recd-certificate-2\"", "format is not recd-certificate-"},
    {"", "format", "7", "format is not recd-certificate-1"},
    {"", "requests", NULL, "\"requests\" is missing"},
    {"", "requests", "{}", "\"requests\" is not a list"},
    {"", "requests", "[7]", "\"requests\" is not an object"},
    {"", "removed", "[]", "\"removed\" is not an object"},
    {"", "pending", "0", "\"pending\" does not hold"},
    {"", "number", "-1", "\"number\" does not hold"},
    {"", "number", "1.0", "\"number\" does not hold"},
    {"", "number", "2", "missing or moved"},
    {"", "previous", "\"00\"", "\"previous\" does not hold"},
    {"", "finished_at", "1e3", "\"finished_at\" does not hold"},
    {"removed", "train", "-5", "\"removed.train\" does not hold"},
    {"removed", "extra", "1", "\"removed.extra\" is not one"},
    {"erasure", "hits", NULL, "\"erasure.hits\" is missing"},
    {"models", "exactness", "\"perfect\"", "\"models.exactness\" does not"},
    {"models", "shards", "[1,-2]", "\"models.shards\" does not hold"},
    {"models", "shards", "3", "\"models.shards\" does not hold"},
    {"models", "digest", "\"AB\"", "\"models.digest\" does not hold"},
    {"models", "seconds", "-0.5", "\"models.seconds\" does not hold"},
    {"requests", "kind", "\"whim\"", "\"requests.kind\" does not hold"},
    {"requests", "person", "\"" ID "\"", "\"requests.person\" does not hold"},
};

static json_t *certificate(void)
{
    char *text = chain_of(1);
    json_t *chain = texts_of(text);
    json_t *c = json_loads(json_string_value(json_array_get(chain, 0)), 0, 0);

    json_decref(chain);
    free(text);
    return c;
}

static void unknown_or_wrong_fields_are_refused_by_name(void **state)
{
    json_t *whole = certificate();

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        json_t *c = json_deep_copy(whole), *at = c;

        if (forms[i].where[0] != '\0')
            at = json_object_get(c, forms[i].where);
        if (json_is_array(at))
            at = json_array_get(at, 0);
        if (forms[i].value != NULL)
            (void)json_object_set_new(
                at, forms[i].field,
                json_loads(forms[i].value, JSON_DECODE_ANY, NULL));
        else
            assert_int_equal(json_object_del(at, forms[i].field), 0);
        refused(signed_chain(c), forms[i].reason);
        json_decref(c);
    }
    json_t *chain = signed_chain(whole); /* by itself it is good */
    char *text = unl_cert_file(chain);

    assert_true(verdict(text, strlen(text), NULL).good);
    free(text);
    json_decref(chain);
    json_decref(whole);
}

static void only_what_can_be_verified_is_issued(void **state)
{
    struct sto *st = store_with(1);
    struct unl_keys k;
    uint64_t number;

    (void)state;
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    json_t *body = body_of(&k, 2);

    (void)json_object_set_new(body, "extra", json_true());
    assert_int_equal(issue(st, &k, body, false, &number), ERR_FORMAT);
    assert_non_null(strstr(err_note(), "\"extra\""));
    (void)json_object_del(body, "extra");
    (void)json_object_del(body, "erasure");
    assert_int_equal(issue(st, &k, body, false, &number), ERR_FORMAT);
    assert_non_null(strstr(err_note(), "\"erasure\" is missing"));
    assert_int_equal(certificates(st), 1);
    json_decref(body);
    unl_keys_close(&k);
    sto_close(st);
}

static const char *const not_files[] = {
    "",
    "\n",
    "null\n",
    "[]\n",
    "{}\n",
    "{\"chain\":[],\"format\":\"recd-certificate-1-chain\"}\n",
    "{\n \"chain\": [],\n \"format\": \"recd-certificate-2-chain\"\n}\n",
    "{\n \"chain\": {},\n \"format\": \"recd-certificate-1-chain\"\n}\n",
    "{\n \"chain\": [\n  7\n ],\n \"format\": "
    "\"recd-certificate-1-chain\"\n}\n",
    "{\n \"chain\": [\n  \"7\"\n ],\n \"format\": "
    "\"recd-certificate-1-chain\"\n}\n",
    "{\n \"chain\": [\n  \"a\\u0000b\"\n ],\n \"format\": "
    "\"recd-certificate-1-chain\"\n}\n",
    "{\"a\":1,\"a\":2}\n",
    "{\"number\":123456789012345678901234567890}\n",
    "{\"number\":1e999}\n",
    "{\"chain\":\"\xff\xfe\"}\n",
};

static void what_is_no_file_of_recd_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(not_files) / sizeof(not_files[0]); i++)
        assert_false(verdict(not_files[i], strlen(not_files[i]), NULL).good);
}

static void deep_nesting_is_refused(void **state)
{
    const size_t n = 1000000;
    char *text = malloc(n);

    (void)state;
    assert_non_null(text);
    memset(text, '[', n);
    assert_false(verdict(text, n, NULL).good);
    for (size_t i = 0; i + 5 <= n; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_false(verdict(text, n, NULL).good);
    free(text);
}

/* Inside one certificate, where the file's own form does not help. */
static void duplicates_and_huge_numbers_inside_are_refused(void **state)
{
    json_t *c = certificate(), *chain = signed_chain(c);
    const char *text = json_string_value(json_array_get(chain, 0));
    static const char *const put[] = {
        "{\"erasure\":{},", "{\"aaa\":99999999999999999999,", "{\"aaa\":1e400,",
        "{\"aaa\":[[[[[[[[[[[[[[]]]]]]]]]]]]]],", "{ "};
    static const char *const why[] = {"not a certificate", "not a certificate",
                                      "not a certificate", "\"aaa\" is not one",
                                      "not in canonical form"};

    (void)state;
    for (size_t i = 0; i < sizeof(put) / sizeof(put[0]); i++) {
        const size_t room = strlen(text) + 80;
        char *other = malloc(room);

        assert_non_null(other);
        (void)snprintf(other, room, "%s%s", put[i], text + 1);
        refused(json_pack("[s]", other), why[i]);
        free(other);
    }
    json_decref(chain);
    json_decref(c);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_chain_of_a_hundred_verifies_and_is_counted),
        CASE(a_change_that_is_given_up_leaves_no_certificate),
        CASE(any_changed_bit_is_found),
        CASE(any_missing_or_added_byte_is_found),
        CASE(a_missing_swapped_doubled_or_foreign_link_is_found),
        CASE(a_chain_forged_with_the_same_key_does_not_link),
        CASE(only_the_named_key_will_do),
        CASE(unknown_or_wrong_fields_are_refused_by_name),
        CASE(only_what_can_be_verified_is_issued),
        cmocka_unit_test(what_is_no_file_of_recd_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        CASE(duplicates_and_huge_numbers_inside_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
