/* tests/test_cert_keys.c - certificates: keys, names, and what they take. */
#include "tests/cert_case.h"
#include "tests/failing.h"

/* The same for what jansson takes when it writes: its calls are not in this
 * program. */
static void *json_takes(size_t n)
{
    return malloc(n);
}

/* --- keys and names ---------------------------------------------------------
 */

static void key_path(const char *name, char path[100])
{
    (void)snprintf(path, 100, "%s/%s", dir, name);
}

static void keys_are_made_once_and_for_the_owner_alone(void **state)
{
    static const char *const name[] = {"signing.key", "pseudonym.key"};
    struct unl_keys a, b;
    char path[100];
    struct stat s;

    (void)state;
    (void)umask(0);
    assert_int_equal(unl_keys_open(&a, dir), ERR_OK);
    assert_int_equal(unl_keys_open(&b, dir), ERR_OK);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(a.pseudonym, a.public_key, 32);
    for (size_t i = 0; i < 2; i++) {
        key_path(name[i], path);
        assert_int_equal(stat(path, &s), 0);
        assert_int_equal(s.st_mode & 07777, 0600);
        assert_int_equal(s.st_size, 32);
    }
    unl_keys_close(&a);
    for (size_t i = 0; i < sizeof(a); i++)
        assert_int_equal(((unsigned char *)&a)[i], 0);
}

static void processes_at_once_get_the_same_keys(void **state)
{
    int status, to[2];

    (void)state;
    for (int round = 0; round < 20; round++) {
        unsigned char first[32], next[32];

        assert_int_equal(pipe(to), 0);
        for (int p = 0; p < 4; p++) {
            if (fork() == 0) {
                struct unl_keys k;
                const bool good = unl_keys_open(&k, dir) == ERR_OK &&
                                  write(to[1], k.public_key, 32) == 32;

                _exit(!good);
            }
        }
        for (int p = 0; p < 4; p++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
            assert_int_equal(read(to[0], p == 0 ? first : next, 32), 32);
            if (p > 0)
                assert_memory_equal(first, next, 32);
        }
        close(to[0]);
        close(to[1]);
        assert_int_equal(drop_folder(NULL), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
}

static void a_lost_or_damaged_key_is_named_and_nothing_is_signed(void **state)
{
    struct sto *st = store_with(1);
    struct unl_keys k;
    char path[100], other[100];
    uint64_t number;

    (void)state;
    key_path("signing.key", path);
    key_path("pseudonym.key", other);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(unl_keys_open(&k, dir), ERR_FORMAT);
    assert_non_null(strstr(err_note(), "signing.key is damaged"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unl_keys_open(&k, dir), ERR_NOTFOUND);
    assert_non_null(strstr(err_note(), "put it back"));
    assert_int_equal(unlink(other), 0);
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK); /* both are new */
    json_t *body = body_of(&k, 2);

    assert_int_equal(issue(st, &k, body, false, &number), ERR_FORMAT);
    assert_non_null(strstr(err_note(), "not the one that signed certificate "));
    assert_int_equal(certificates(st), 1);
    json_decref(body);
    unl_keys_close(&k);
    sto_close(st);
}

static void a_name_says_nothing_without_the_key(void **state)
{
    char a[UNL_PSEUDONYM_HEX], b[UNL_PSEUDONYM_HEX];
    struct unl_keys k;

    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    unl_keys_pseudonym(&k, "user", ID, a);
    unl_keys_pseudonym(&k, "user", ID, b);
    assert_string_equal(a, b);
    unl_keys_pseudonym(&k, "item", ID, b);
    assert_string_not_equal(a, b);
    assert_int_equal(drop_folder(state), 0);
    assert_int_equal(new_folder(state), 0);
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    unl_keys_pseudonym(&k, "user", ID, b);
    assert_string_not_equal(a, b);
    char *text = chain_of(3);

    assert_null(strstr(text, ID));
    assert_null(strstr(text, "karenina"));
    free(text);
}

/* --- memory -----------------------------------------------------------------
 */

/* Our own allocations: jansson's reader does not survive the loss of one. */
static void without_memory_a_check_says_so_and_never_lies(void **state)
{
    char *text = chain_of(2);
    const size_t n = strlen(text);
    bool done = false;
    int refusals = 0;

    (void)state;
    for (long at = 0; !done; at++) {
        struct unl_verdict r = {.number = 77};

        fail_at = at;
        const enum err e = unl_cert_verify(text, n, NULL, &r);

        done = fail_at >= 0;
        fail_at = -1;
        assert_true(e == (done ? ERR_OK : ERR_NOMEM));
        assert_int_equal(r.number, done ? 2 : 77);
        refusals += !done;
    }
    assert_true(refusals > 0);
    free(text);
}

static void without_memory_nothing_is_issued_or_exported(void **state)
{
    struct sto *st = store_with(2);
    struct unl_keys k;
    uint64_t n_before = 2;
    bool done = false;

    (void)state;
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    json_set_alloc_funcs(json_takes, free);
    for (long at = 0; !done; at++) {
        json_t *body = body_of(&k, 3);
        struct sto_view *v;
        uint64_t number = 0;
        char *text = NULL;

        assert_int_equal(sto_view_open(&v, st), ERR_OK);
        fail_at = at;
        enum err e = unl_cert_export(v, 2, &text);

        done = fail_at >= 0;
        fail_at = -1;
        sto_view_close(v);
        assert_int_equal(e == ERR_OK, text != NULL);
        assert_true(e == ERR_OK || e == ERR_NOMEM);
        free(text);
        fail_at = at;
        e = issue(st, &k, body, false, &number);
        done = fail_at >= 0 && done;
        fail_at = -1;
        n_before += e == ERR_OK;
        assert_int_equal(certificates(st), n_before);
        json_decref(body);
    }
    json_set_alloc_funcs(malloc, free);
    char *text = exported(st, n_before);

    const struct unl_verdict r = verdict(text, strlen(text), NULL);

    if (!r.good)
        fail_msg("%s", r.reason);
    free(text);
    unl_keys_close(&k);
    sto_close(st);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(keys_are_made_once_and_for_the_owner_alone),
        CASE(processes_at_once_get_the_same_keys),
        CASE(a_lost_or_damaged_key_is_named_and_nothing_is_signed),
        CASE(a_name_says_nothing_without_the_key),
        CASE(without_memory_a_check_says_so_and_never_lies),
        CASE(without_memory_nothing_is_issued_or_exported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
