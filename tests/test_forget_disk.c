/* tests/test_forget_disk.c - what `recd forget` promises of files
 * (docs/erasure.md): gone, finished after a kill, certified. */
#include "tests/forget_watch.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/par.h"
#include "store/forget.h"
#include "unlearn/cert.h"
#include "unlearn/cert_check.h"

/* --- erasure
 * -----------------------------------------------------------------------
 */

/* Files of the store that hold `word`. */
static size_t files_with(const char *path, const char *word)
{
    char command[300];
    unsigned n = 0;
    FILE *p;

    (void)snprintf(command, sizeof(command), "grep -rlaF -- '%s' %s | wc -l",
                   word, path);
    p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}

static void no_byte_of_the_forgotten_is_left_in_any_file(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct forget_case c;

        remove_folder(dir);
        case_fill(&c, 20 + seed);
        case_import(dir, &c);
        train_all(dir);
        for (size_t u = seed; u < CASE_USERS; u += 7) {
            const struct unl_request r = {UNL_USER, case_user(u), NULL, 0};

            assert_true(files_with(dir, case_user(u)) > 0);
            forget(&r, 1);
            assert_int_equal(files_with(dir, case_user(u)), 0);
            assert_true(files_with(dir, case_user((u + 1) % CASE_USERS)) > 0);
        }
    }
}

static void deferred_erases_at_once_and_repairs_later(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(2), NULL, 0};
    struct forget_case c;
    json_t *report = NULL;

    (void)state;
    case_fill(&c, 30);
    case_import(dir, &c);
    train_all(dir);
    assert_int_equal(unl_forget(dir, &r, 1, false, true, &report), ERR_OK);
    assert_true(json_is_true(json_object_get(report, "pending")));
    json_decref(report);
    assert_int_equal(files_with(dir, case_user(2)), 0);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_non_null(report);
    assert_null(json_object_get(report, "pending"));
    json_decref(report);
    assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
    assert_null(report); /* nothing waits any more */
    memset(c.row[2], 0, sizeof(c.row[2]));
    compare_with_never(&c);
}

static void a_model_trained_meanwhile_is_not_stored(void **state)
{
    const struct unl_request r = {UNL_USER, case_user(2), NULL, 0};
    struct sto_model info = {.name = "late", .model = "pop"};
    struct forget_case c;
    uint64_t removals = 0;
    struct sto_view *v;
    struct sto *st;

    (void)state;
    case_fill(&c, 31);
    case_import(dir, &c);
    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_removals(v, &removals), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    forget(&r, 1);
    info.removals = removals + 1;
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_model_put(st, &info, NULL, 0), ERR_STALE);
    sto_close(st);
}

/* --- kills
 * -------------------------------------------------------------------------
 */

static void forget_until_killed(long microseconds)
{
    const struct unl_request r = {UNL_USER, case_user(6), NULL, 0};
    const pid_t child = fork();
    json_t *report = NULL;
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        par_set_threads(1);
        _exit(unl_forget(dir, &r, 1, false, false, &report) != ERR_OK);
    }
    (void)nanosleep(&(struct timespec){microseconds / 1000000,
                                       microseconds % 1000000 * 1000},
                    NULL);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static bool knows(const char *user)
{
    struct sto_entity e;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    const bool known = sto_find_entity(v, STO_USERS, user, &e) == ERR_OK;

    sto_view_close(v);
    sto_close(st);
    return known;
}

static void killed_at_any_time_the_next_command_finishes_it(void **state)
{
    struct forget_case c, left;
    size_t begun = 0;

    (void)state;
    par_set_threads(1); /* a forked child has no other threads */
    case_fill(&c, 40);
    left = c;
    memset(left.row[6], 0, sizeof(left.row[6]));
    case_import(other, &left);
    train_all(other);
    /* on a busy machine it may take longer until one has begun */
    for (long k = 0; k < 12 || (begun == 0 && k < 60); k++) {
        json_t *report = NULL;

        remove_folder(dir);
        case_import(dir, &c);
        train_all(dir);
        forget_until_killed(200 + k * k * 240);
        assert_int_equal(unl_forget_finish(dir, true, &report), ERR_OK);
        json_decref(report);
        if (knows(case_user(6))) /* killed before it had begun */
            continue;
        begun++;
        assert_int_equal(files_with(dir, case_user(6)), 0);
        same_models();
    }
    par_set_threads(0);
    assert_true(begun > 0);
}

/* --- certificates
 * ---------------------------------------------------------------------
 */

static char *exported(uint64_t number)
{
    struct sto_view *v;
    struct sto *st;
    char *text = NULL;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(unl_cert_export(v, number, &text), ERR_OK);
    sto_view_close(v);
    sto_close(st);
    return text;
}

static bool verifies(const char *text, size_t n, const char *key)
{
    struct unl_verdict r;

    assert_int_equal(unl_cert_verify(text, n, key, &r), ERR_OK);
    assert_true(r.good == (r.reason[0] == '\0'));
    return r.good;
}

static void three_certificates(void)
{
    const struct unl_plan p = plan_of(&watched[4]);
    struct forget_case c;

    case_fill(&c, 50);
    case_import(dir, &c);
    case_train(dir, "m", "ials", few, &p, NULL);
    for (size_t u = 0; u < 3; u++)
        forget(&(struct unl_request){UNL_USER, case_user(u), NULL, 0}, 1);
}

static void any_changed_byte_of_a_certificate_is_found(void **state)
{
    (void)state;
    three_certificates();
    char *text = exported(3);
    const size_t n = strlen(text);

    assert_true(verifies(text, n, NULL));
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(text[i] ^ 1);
        if (verifies(text, n, NULL))
            fail_msg("byte %zu changed and nobody saw", i);
        text[i] = (char)(text[i] ^ 1);
        if (i % 7 == 0)
            assert_false(verifies(text, i, NULL)); /* cut short */
    }
    free(text);
}

static void a_missing_or_swapped_link_is_found(void **state)
{
    struct unl_verdict r;

    (void)state;
    three_certificates();
    char *text = exported(3);
    json_t *file = json_loads(text, 0, NULL);
    json_t *chain = json_object_get(file, "chain");

    for (int how = 0; how < 3; how++) {
        json_t *bad = json_deep_copy(file);
        json_t *list = json_object_get(bad, "chain");
        char *changed;

        if (how < 2) { /* without the first, or the second */
            (void)json_array_remove(list, (size_t)how);
        } else {
            (void)json_array_set(list, 0, json_array_get(chain, 1));
            (void)json_array_set(list, 1, json_array_get(chain, 0));
        }
        changed = unl_cert_file(list);
        assert_non_null(changed);
        assert_int_equal(unl_cert_verify(changed, strlen(changed), NULL, &r),
                         ERR_OK);
        assert_false(r.good);
        assert_non_null(strstr(r.reason, "missing or moved"));
        free(changed);
        json_decref(bad);
    }
    json_decref(file);
    free(text);
}

static void another_stores_key_does_not_verify(void **state)
{
    char key[UNL_KEY_HEX];
    struct unl_keys k;

    (void)state;
    three_certificates();
    char *text = exported(2);

    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    key_hex(k.public_key, sizeof(k.public_key), key);
    assert_true(verifies(text, strlen(text), key));
    key[0] = key[0] == '0' ? '1' : '0';
    assert_false(verifies(text, strlen(text), key));
    unl_keys_close(&k);
    free(text);
}

static void certificates_name_nobody(void **state)
{
    (void)state;
    three_certificates();
    char *text = exported(3);

    assert_null(strstr(text, "canary"));
    assert_non_null(strstr(text, "\\\"exactness\\\":\\\"exact\\\""));
    free(text);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, new_folders, drop_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(no_byte_of_the_forgotten_is_left_in_any_file),
        CASE(deferred_erases_at_once_and_repairs_later),
        CASE(a_model_trained_meanwhile_is_not_stored),
        CASE(killed_at_any_time_the_next_command_finishes_it),
        CASE(any_changed_byte_of_a_certificate_is_found),
        CASE(a_missing_or_swapped_link_is_found),
        CASE(another_stores_key_does_not_verify),
        CASE(certificates_name_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
