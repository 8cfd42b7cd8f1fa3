/*
 * tests/test_people.c - what an attacker sees of people: read from files, and
 * how well their lists serve them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attack/alike.h"
#include "attack/people.h"
#include "base/key.h"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void people_come_from_files(void **state)
{
    char name[4][64];
    static const char *const text[4] = {
        "user,item\na,x\na,y\nb,y\nlost,x\n", "c\tz\t1\nc\tx\t1\n",
        "a,z\na,x\nb,x\nb,z\n", "c,y\nstray,x\n"};
    struct atk_people p;
    struct atk_items items = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name[i], sizeof(name[i]), "test-audit-%d-%zu.csv",
                       (int)getpid(), i);
        write_file(name[i], text[i]);
    }
    const struct atk_files files = {name[0], name[1], name[2], name[3]};

    if (atk_people_read(&p, &items, &files, 1) != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(p.n, 3);
    assert_int_equal(p.n_members, 2);
    assert_int_equal(p.dropped, 2);
    assert_int_equal(items.n, 3);
    for (size_t u = 0; u < 3; u++) {
        if (strcmp(p.id[u], "a") != 0)
            continue;
        assert_int_equal(p.hist_ptr[u + 1] - p.hist_ptr[u], 2);
        /* the list's order is the file's */
        assert_true(items.key[p.list[p.list_ptr[u]]] == key_of("z", 1));
        assert_true(items.key[p.list[p.list_ptr[u] + 1]] == key_of("x", 1));
    }
    atk_people_free(&p);
    atk_items_free(&items);
    write_file(name[1], "a,z\n"); /* a member, too */
    write_file(name[3], "a,x\n");
    assert_int_equal(atk_people_read(&p, &items, &files, 1), ERR_ARG);
    assert_non_null(strstr(err_note(), "\"a\" is among the members"));
    atk_people_free(&p);
    atk_items_free(&items);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(unlink(name[i]), 0);
}

/* A person's list against rows that no model learnt from: by hand.  People
 * without such rows do not count. */
static void use_of_lists_is_measured(void **state)
{
    uint64_t key[] = {10, 20, 30}, held_key[] = {20, 30};
    uint8_t member[] = {1, 1, 0};
    size_t list_ptr[] = {0, 2, 5, 8}, held_ptr[] = {0, 2, 4};
    uint32_t list[] = {0, 1, 4, 2, 3, 5, 1, 0};
    uint32_t held_item[] = {2, 4, 0, 3}, lost[] = {0, 0};
    const struct atk_people p = {.n = 3,
                                 .n_members = 2,
                                 .key = key,
                                 .member = member,
                                 .list_ptr = list_ptr,
                                 .list = list};
    const struct rec_data held = {.n_users = 2,
                                  .n_rows = 4,
                                  .user_key = held_key,
                                  .user_ptr = held_ptr,
                                  .item = held_item,
                                  .lost = lost};
    const double ideal = 1 + 1 / log2(3);
    struct atk_useful use;

    (void)state;
    atk_useful(&use, &p, &held, 20);
    assert_true(use.people[1] == 1 && use.people[0] == 1);
    /* 4 and 2 stand first and second; of 0 and 3, 0 stands third */
    assert_true(use.recall[1] == 1 && fabs(use.ndcg[1] - 1) < 1e-12);
    assert_true(use.recall[0] == 0.5);
    assert_true(fabs(use.ndcg[0] - 0.5 / ideal) < 1e-12);
    atk_useful(&use, &p, &held, 1);
    assert_true(use.recall[1] == 0.5 && use.ndcg[1] == 1);
    assert_true(use.recall[0] == 0 && use.ndcg[0] == 0);
    lost[0] = 2; /* two more that no list could hold */
    atk_useful(&use, &p, &held, 20);
    assert_true(use.recall[1] == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_come_from_files),
        cmocka_unit_test(use_of_lists_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
