/* tests/test_conformance_memory.c - models where memory is short. */
#include <stdlib.h>
#include <string.h>

#include "base/par.h"
#include "rec/rank.h"
#include "tests/failing.h"
#include "tests/model_cases.h"

/* --- memory -----------------------------------------------------------------
 */

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    struct rec_data d = case_data(40, 30, 0.3, false, 6);

    (void)state;
    par_set_threads(1);
    EACH_MODEL(o)
    {
        enum err e = ERR_NOMEM;
        long n = 0;

        /* layers and channels are rec/thin.c's in all networks: tried in one */
        if (takes(o, "pattern", NULL) &&
            (variant == WHOLE) == (strcmp(o->name, "rerank") == 0))
            continue;
        for (; e != ERR_OK && n < 10000; n++) {
            struct rec_model *m = model_new(o);

            fail_at = n;
            e = rec_model_fit(m, &d, NULL);
            if (e != ERR_OK && (fail_at != -1 || e != ERR_NOMEM))
                fail_msg("%s: error %d when allocation %ld fails", o->name,
                         (int)e, n);
            if (e == ERR_OK && fail_at < 0)
                fail_msg("%s overlooks that allocation %ld fails", o->name, n);
            fail_at = -1;
            rec_model_free(m);
        }
        assert_true(n > 1 && n < 10000);
    }
    par_set_threads(0);
    rec_data_free(&d);
}

static void ranking_reports_every_failing_allocation(void **state)
{
    struct rec_data d = case_data(40, 30, 0.3, false, 6);

    (void)state;
    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d);
        static uint32_t list[40 * 5];
        enum err e = ERR_NOMEM;
        long n = 0;

        for (; e != ERR_OK && n < 1000; n++) {
            fail_at = n;
            e = rec_rank_users(m, &d, 0, 40, 5, true, list, NULL);
            if (e != ERR_OK && e != ERR_NOMEM)
                fail_msg("%s: error %d when allocation %ld fails", o->name,
                         (int)e, n);
            assert_true(e != ERR_OK || fail_at >= 0);
            fail_at = -1;
        }
        assert_true(n > 1 && n < 1000);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(ranking_reports_every_failing_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
