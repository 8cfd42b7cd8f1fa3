/*
 * tests/test_data.c - matrices from histories.
 *
 * The store here is one of the test's own: its functions stand in for those
 * of store/, so that every shape of history can be served.
 */
#include <stdlib.h>
#include <string.h>

#include "rec/data.h"
#include "tests/rec_cases.h"

#define PEOPLE 4
#define ITEMS 6

static const uint64_t catalogue[ITEMS] = {5,    70,         800,
                                          9000, 1ull << 40, 1ull << 63};
static const bool listed[ITEMS] = {false, true, false, false, false, false};
static const char *const attributes[ITEMS] = {
    "{\"year\":\"1995\",\"genres\":[\"Drama\",\"War\"]}",
    "",
    "",
    "{\"genres\":[\"Drama\"]}",
    "",
    "{\"genres\":[\"Out\"]}"};
static const uint64_t row_item[] = {5, 800, 9000, 800, 1ull << 40, 800};
static const float row_value[] = {1, 3, 1, 1, 1, 2};
static const int64_t row_time[] = {10, 20, 30, 40, 50, 60};
static struct sto_history train[PEOPLE], test[PEOPLE];
static bool stranger; /* a row whose item the store does not know */

static void histories(bool values, bool times)
{
    const size_t first[PEOPLE + 1] = {0, 3, 3, 5, 6};

    for (size_t u = 0; u < PEOPLE; u++) {
        train[u] = (struct sto_history){
            .user = 100 + u,
            .n = first[u + 1] - first[u],
            .item = row_item + first[u],
            .value = values && u != 2 ? row_value + first[u] : NULL,
            .time = times && u != 2 ? row_time + first[u] : NULL};
        test[u] = train[u];
        test[u].user = 99 + u; /* one stranger, and the last one missing */
    }
    stranger = false;
}

enum err sto_each_history(struct sto_view *v, enum sto_split split,
                          enum err (*fn)(void *arg,
                                         const struct sto_history *h),
                          void *arg)
{
    static const uint64_t unknown[1] = {6};
    const struct sto_history odd = {.user = 500, .n = 1, .item = unknown};

    (void)v;
    for (size_t u = 0; u < PEOPLE; u++)
        ERR_TRY(fn(arg, split == STO_TRAIN ? &train[u] : &test[u]));
    return stranger ? fn(arg, &odd) : ERR_OK;
}

enum err sto_each_entity(struct sto_view *v, enum sto_kind kind,
                         enum err (*fn)(void *arg, const struct sto_entity *e),
                         void *arg)
{
    (void)v;
    for (size_t i = 0; i < ITEMS; i++) {
        const struct sto_entity e = {.key = kind == STO_ITEMS ? catalogue[i]
                                                              : 100 + i,
                                     .listed = listed[i],
                                     .attributes = attributes[i],
                                     .open = i == 2 || i == 4};

        ERR_TRY(fn(arg, &e));
    }
    return ERR_OK;
}

static void the_universe_is_listed_items_and_those_with_rows(void **state)
{
    static const uint64_t want[] = {5, 70, 800, 9000, 1ull << 40};
    struct rec_data d;

    (void)state;
    histories(false, false);
    assert_int_equal(rec_data_load(&d, NULL), ERR_OK);
    assert_int_equal(d.n_items, 5);
    assert_memory_equal(d.item_key, want, sizeof(want));
    assert_int_equal(d.n_users, 3); /* one had no rows */
    assert_true(d.user_key[0] == 100 && d.user_key[1] == 102 &&
                d.user_key[2] == 103);
    assert_int_equal(d.n_rows, 6);
    assert_true(d.value == NULL && d.time == NULL && d.lost == NULL);
    rec_data_free(&d);
    rec_data_free(&d); /* freeing twice is harmless */
}

static void values_and_times_of_people_without_them_are_filled(void **state)
{
    static const float value[] = {1, 3, 1, 1, 1, 2};
    struct rec_data d;

    (void)state;
    histories(true, true);
    assert_int_equal(rec_data_load(&d, NULL), ERR_OK);
    assert_memory_equal(d.value, value, sizeof(value));
    assert_true(d.time[1] == 20 && d.time[3] == INT64_MIN && d.time[5] == 60);
    rec_data_free(&d);
}

/* Item 2^63 is not in the universe, and person 104 has no rows. */
static void attributes_and_public_people_are_loaded(void **state)
{
    static const size_t ptr[] = {0, 3, 3, 3, 4, 4};
    const uint64_t drama = key_of("genres=Drama", 12);
    const uint8_t keep[] = {0, 0, 1, 1, 1, 1};
    struct rec_data d, part;

    (void)state;
    histories(false, false);
    assert_int_equal(rec_data_load(&d, NULL), ERR_OK);
    assert_memory_equal(d.trait_ptr, ptr, sizeof(ptr));
    assert_true(d.trait[1] == drama && d.trait[3] == drama);
    assert_true(d.trait[0] == key_of("year=1995", 9) && d.trait[2] != drama);
    assert_memory_equal(d.open, ((uint8_t[]){0, 1, 0}), 3);
    assert_int_equal(rec_data_compact(&part, &d, keep), ERR_OK);
    assert_int_equal(part.n_items, 3); /* 800, 9000, 2^40 */
    assert_memory_equal(part.trait_ptr, ((size_t[]){0, 0, 1, 1}),
                        4 * sizeof(size_t));
    assert_true(part.trait[0] == drama);
    assert_memory_equal(part.open, ((uint8_t[]){0, 1, 0}), 3);
    rec_data_free(&part);
    rec_data_free(&d);
}

static void an_unknown_item_is_a_broken_store(void **state)
{
    struct rec_data d = {.n_rows = 77};

    (void)state;
    histories(false, false);
    stranger = true;
    assert_int_equal(rec_data_load(&d, NULL), ERR_FORMAT);
    assert_int_equal(d.n_rows, 77); /* untouched */
}

static void rows_outside_the_universe_are_counted_as_lost(void **state)
{
    static const uint64_t user[] = {98, 99, 101, 102, 103};
    static const uint64_t item[] = {5, 9000};
    static const size_t ptr[] = {0, 0, 2, 2, 2, 2};
    static const uint32_t lost[] = {0, 1, 2, 1, 0};
    struct rec_data d;

    (void)state;
    histories(true, false);
    assert_int_equal(rec_data_load_in(&d, NULL, STO_TEST, user, 5, item, 2),
                     ERR_OK);
    assert_int_equal(d.n_rows, 2);
    assert_memory_equal(d.user_ptr, ptr, sizeof(ptr));
    assert_true(d.item[0] == 0 && d.item[1] == 1);
    assert_memory_equal(d.lost, lost, sizeof(lost));
    rec_data_free(&d);
}

static void keys_are_found_where_a_scan_finds_them(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        uint64_t key[40];
        const size_t n = seed % 40;

        for (size_t i = 0; i < n; i++) /* dense, spread, low and high ones */
            key[i] = seed % 4 == 0   ? i * 2
                     : seed % 4 == 1 ? case_key(i, n)
                     : seed % 4 == 2 ? UINT64_MAX - 2 * (n - i)
                                     : i * i * i * 1000;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(rec_key_find(key, n, key[i]), i);
            if (i == 0 || key[i - 1] + 1 < key[i])
                assert_true(key[i] == 0 ||
                            rec_key_find(key, n, key[i] - 1) == REC_NOBODY);
        }
        assert_true(n == 0 ||
                    rec_key_find(key, n, key[n - 1] + 1) == REC_NOBODY);
        assert_true(n > 0 || rec_key_find(key, 0, 3) == REC_NOBODY);
    }
}

static void columns_are_the_transpose(void **state)
{
    struct rec_data d = case_data(37, 23, 0.3, false, 3);
    struct rec_columns c;
    size_t n = 0;

    (void)state;
    assert_int_equal(rec_columns_build(&c, &d), ERR_OK);
    assert_int_equal(c.ptr[0], 0);
    assert_int_equal(c.ptr[23], d.n_rows);
    for (size_t i = 0; i < 23; i++) {
        for (size_t u = 0; u < 37; u++) {
            for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++) {
                if (d.item[r] != i)
                    continue;
                assert_int_equal(c.user[n], u);
                assert_int_equal(c.row[n], r);
                n++;
            }
        }
        assert_int_equal(c.ptr[i + 1], n);
    }
    rec_columns_free(&c);
    rec_columns_free(&c);
    rec_data_free(&d);
}

static void a_subset_keeps_universe_order_and_values(void **state)
{
    struct rec_data d = case_data(20, 30, 0.4, true, 5), s;
    uint8_t *keep = mem_array(d.n_rows, 1);
    size_t n = 0;

    (void)state;
    for (size_t r = 0; r < d.n_rows; r++)
        keep[r] = r % 3 == 1;
    assert_int_equal(rec_data_subset(&s, &d, keep), ERR_OK);
    assert_true(s.n_users == 20 && s.n_items == 30);
    assert_memory_equal(s.item_key, d.item_key, 30 * sizeof(uint64_t));
    for (size_t u = 0; u < 20; u++) {
        for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++) {
            if (!keep[r])
                continue;
            assert_int_equal(s.item[n], d.item[r]);
            assert_true(s.value[n] == d.value[r]);
            n++;
        }
        assert_int_equal(s.user_ptr[u + 1], n);
    }
    assert_int_equal(s.n_rows, n);
    free(keep);
    rec_data_free(&s);
    rec_data_free(&d);
}

static void holding_out_keeps_a_row_of_everybody(void **state)
{
    static const double share[] = {0, 0.1, 0.5, 0.9};
    struct rec_data d = case_data(200, 100, 0.2, false, 7);
    uint8_t *keep = mem_array(d.n_rows, 1);

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        double held = 0;

        rec_data_holdout(&d, share[c], 9, keep);
        for (size_t u = 0; u < 200; u++) {
            size_t kept = 0;

            for (size_t r = d.user_ptr[u]; r < d.user_ptr[u + 1]; r++)
                kept += keep[r];
            assert_true(kept > 0 || d.user_ptr[u] == d.user_ptr[u + 1]);
        }
        for (size_t r = 0; r < d.n_rows; r++)
            held += !keep[r];
        held /= (double)d.n_rows;
        assert_true(held >= share[c] - 0.05 && held <= share[c] + 0.03);
    }
    free(keep);
    rec_data_free(&d);
}

static void taking_a_row_away_moves_no_other_in_the_holdout(void **state)
{
    struct rec_data d = case_data(60, 80, 0.5, false, 8), s;
    uint8_t *keep = mem_array(d.n_rows, 1), *less = mem_array(d.n_rows, 1);
    const size_t gone = d.n_rows / 2;

    (void)state;
    memset(keep, 1, d.n_rows);
    keep[gone] = 0;
    assert_int_equal(rec_data_subset(&s, &d, keep), ERR_OK);
    rec_data_holdout(&d, 0.2, 1, keep);
    rec_data_holdout(&s, 0.2, 1, less);
    for (size_t r = 0; r < d.n_rows; r++)
        assert_true(r == gone || keep[r] == less[r - (r > gone)]);
    free(keep);
    free(less);
    rec_data_free(&s);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_universe_is_listed_items_and_those_with_rows),
        cmocka_unit_test(values_and_times_of_people_without_them_are_filled),
        cmocka_unit_test(attributes_and_public_people_are_loaded),
        cmocka_unit_test(an_unknown_item_is_a_broken_store),
        cmocka_unit_test(rows_outside_the_universe_are_counted_as_lost),
        cmocka_unit_test(keys_are_found_where_a_scan_finds_them),
        cmocka_unit_test(columns_are_the_transpose),
        cmocka_unit_test(a_subset_keeps_universe_order_and_values),
        cmocka_unit_test(holding_out_keeps_a_row_of_everybody),
        cmocka_unit_test(taking_a_row_away_moves_no_other_in_the_holdout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
