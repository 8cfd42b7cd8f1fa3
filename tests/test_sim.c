/* tests/test_sim.c - invariants of simulated disclosure: the world, lists,
 * choices. */
#include "tests/sim_case.h"

/* --- the world -------------------------------------------------------------
 */

static void segments_cover_the_profile_once(void **state)
{
    static const char *const mechanism[] = {"whole+free", "type+free",
                                            "blocks:8+free", "category+free",
                                            "item+free"};
    static const size_t most[] = {1, 2, 9, 6, ROWS};

    (void)state;
    make_store(0);
    for (size_t s = 0; s < 5; s++) {
        struct sim_world w;

        assert_int_equal(load(&w, mechanism[s], "side,age", "side"), ERR_OK);
        assert_int_equal(w.all.n_users, USERS);
        assert_int_equal(w.n_groups, 2);
        for (size_t u = 0; u < w.all.n_users; u++) {
            const size_t rows = w.all.user_ptr[u + 1] - w.all.user_ptr[u];
            const size_t n = sim_segments(&w, u);
            int64_t weight = 0;
            size_t attributes = 0;

            assert_int_equal(rows, 15 + 2); /* 60 % of 25, two attributes */
            assert_int_equal(w.decide_ptr[u + 1] - w.decide_ptr[u], 5);
            assert_int_equal(w.report_ptr[u + 1] - w.report_ptr[u], 5);
            assert_in_range(n, 1, most[s]);
            for (size_t r = w.all.user_ptr[u]; r < w.all.user_ptr[u + 1]; r++) {
                assert_in_range(w.segment[r], 0, n - 1);
                if (r > w.all.user_ptr[u])
                    assert_true(w.all.item[r] > w.all.item[r - 1]);
                attributes += w.is_attribute[w.all.item[r]];
                for (size_t k = w.decide_ptr[u]; k < w.decide_ptr[u + 1]; k++)
                    assert_int_not_equal(w.decide_item[k], w.all.item[r]);
                for (size_t k = w.report_ptr[u]; k < w.report_ptr[u + 1]; k++)
                    assert_int_not_equal(w.report_item[k], w.all.item[r]);
            }
            assert_int_equal(attributes, 2);
            for (size_t k = 0; k < n; k++)
                weight += w.weight[w.seg_ptr[u] + k];
            assert_int_equal(weight, 15 * 20 + 2 * 15);
        }
        sim_world_free(&w);
    }
    sto_wipe_folder(store);
}

/* Blocks are consecutive in time and differ by one item at most. */
static void blocks_follow_time(void **state)
{
    struct sim_world w;

    (void)state;
    make_store(0);
    assert_int_equal(load(&w, "blocks:4+free", "", "activity"), ERR_OK);
    assert_int_equal(w.n_groups, 5);
    for (size_t u = 0; u < w.all.n_users; u++) {
        size_t count[4] = {0};

        for (size_t r = w.all.user_ptr[u]; r < w.all.user_ptr[u + 1]; r++)
            count[w.segment[r]]++;
        for (size_t k = 0; k < 4; k++)
            assert_in_range(count[k], 3, 4);
    }
    sim_world_free(&w);
    assert_int_equal(load(&w, "whole+free", "hair", "activity"), ERR_ARG);
    assert_non_null(strstr(err_note(), "hair"));
    sto_wipe_folder(store);
}

/* --- rows and lists --------------------------------------------------------
 */

/* The list for everything is what rec_rank() gives. */
static void lists_are_the_models(void **state)
{
    static const char *const name[] = {"itemknn", "ease", "bpr", "lightgcn"};
    struct sim_world w;

    (void)state;
    make_store(0);
    assert_int_equal(load(&w, "blocks:8+free", "", "activity"), ERR_OK);
    for (size_t k = 0; k < 4; k++) {
        struct rec_model *m = like(name[k]);
        struct mem_scratch s = {0};
        struct sim_rows rows;
        struct sim_eval e;
        uint8_t all[8];
        size_t same = 0;

        learn(&rows, m, &w);
        sim_eval_open(&e, &s, &w, &rows, &usual_wants);
        memset(all, 1, sizeof(all));
        for (size_t u = 0; u < w.all.n_users; u++) {
            const uint32_t nobody = REC_NOBODY;
            const struct rec_query q = {1,          &nobody, w.all.user_ptr + u,
                                        w.all.item, NULL,    NULL};
            uint32_t list[10];

            assert_int_equal(rec_rank(m, &q, 10, true, list, NULL), ERR_OK);
            sim_eval_user(&e, u, 0.1);
            sim_eval_choose(&e, all);
            assert_int_equal(e.shown, 15);
            same += memcmp(list, e.top.id, sizeof(list)) == 0;
            sim_eval_leave(&e);
        }
        assert_in_range(same, USERS - 4, USERS); /* ties that were rounded */
        mem_drop(&s);
        sim_rows_free(&rows);
        rec_model_free(m);
    }
    struct rec_model *m = like("ials"); /* solves: does not add up */
    struct sim_rows rows;

    assert_int_equal(rec_model_fit(m, &w.all, NULL), ERR_OK);
    assert_int_equal(sim_rows_of(&rows, m, &w.all), ERR_ARG);
    rec_model_free(m);
    sim_world_free(&w);
    sto_wipe_folder(store);
}

/* Toggling there and back leaves the sums of a fresh start. */
static void toggling_leaves_no_trace(void **state)
{
    static const char *const mechanism[] = {"blocks:8+free", "item+free"};

    (void)state;
    make_store(0);
    for (size_t s = 0; s < 4; s++) {
        struct rec_model *m = like("ease");
        struct mem_scratch room = {0};
        struct sim_wants wants = usual_wants;
        struct sim_eval a, b;
        struct sim_rows rows;
        struct sim_world w;

        wants.exclude_all = s >= 2;
        assert_int_equal(load(&w, mechanism[s % 2], "side", "activity"),
                         ERR_OK);
        learn(&rows, m, &w);
        sim_eval_open(&a, &room, &w, &rows, &wants);
        sim_eval_open(&b, &room, &w, &rows, &wants);
        for (size_t u = 0; u < 20; u++) {
            sim_eval_user(&a, u, 0.1);
            for (uint64_t k = 0; k < 200; k++) {
                sim_eval_toggle(&a, (size_t)rng_below(u, RNG_DISCLOSE, k, a.n));
                if (k % 50 != 49)
                    continue;
                sim_eval_user(&b, u, 0.1);
                sim_eval_choose(&b, a.on);
                assert_memory_equal(a.sum, b.sum,
                                    w.all.n_items * sizeof(*a.sum));
                assert_memory_equal(a.top.id, b.top.id,
                                    a.top.n * sizeof(*a.top.id));
                assert_int_equal(a.price, b.price);
                for (size_t i = 0; i < a.top.n; i++)
                    assert_false(w.is_attribute[a.top.id[i]]);
                sim_eval_leave(&b);
            }
            sim_eval_leave(&a);
        }
        mem_drop(&room);
        sim_rows_free(&rows);
        sim_world_free(&w);
        rec_model_free(m);
    }
    sto_wipe_folder(store);
}

/* --- choices ---------------------------------------------------------------
 */

static void best_of(const char *mechanism, const char *solver, double lambda,
                    size_t samples, double *utility, double *all_on)
{
    const struct sim_solver *how;
    struct rec_model *m = like("itemknn");
    struct mem_scratch s = {0};
    struct sim_mechanism mech;
    struct sim_rows rows;
    struct sim_world w;
    struct sim_eval e;

    assert_int_equal(load(&w, mechanism, "side", "activity"), ERR_OK);
    assert_int_equal(sim_mechanism_parse(&mech, mechanism), ERR_OK);
    assert_int_equal(sim_solver_find(solver, &how), ERR_OK);
    learn(&rows, m, &w);
    sim_eval_open(&e, &s, &w, &rows, &usual_wants);
    for (size_t u = 0; u < w.all.n_users; u++) {
        const struct sim_task t = {
            .m = &mech, .stream = w.all.user_key[u], .samples = samples};
        uint8_t on[128];

        sim_eval_user(&e, u, lambda);
        assert_null(how->lacks(&mech, e.n));
        memset(on, 1, e.n);
        sim_eval_choose(&e, on);
        if (all_on != NULL)
            all_on[u] = sim_eval_anticipated(&e);
        utility[u] = how->best(&e, &t);
        assert_true(sim_is_legal(&mech, e.on, e.n));
        assert_true(fabs(utility[u] - sim_eval_anticipated(&e)) < 1e-12);
        sim_eval_leave(&e);
    }
    mem_drop(&s);
    sim_rows_free(&rows);
    sim_world_free(&w);
    rec_model_free(m);
}

static void freer_is_never_worse_for_a_frozen_model(void **state)
{
    double binary[USERS], prefix[USERS], least[USERS], all[USERS];
    size_t better = 0;

    (void)state;
    make_store(0);
    best_of("whole+binary", "exact", 0.1, 1, binary, NULL);
    best_of("blocks:8+prefix", "exact", 0.1, 1, prefix, NULL);
    best_of("blocks:8+atleast:3", "exact", 0.1, 1, least, NULL);
    best_of("blocks:8+free", "exact", 0.1, 1, all, NULL);
    for (size_t u = 0; u < USERS; u++) {
        assert_true(prefix[u] >= binary[u]);
        assert_true(least[u] >= binary[u]);
        assert_true(all[u] >= prefix[u] && all[u] >= least[u]);
        better += all[u] > binary[u];
    }
    assert_true(better > USERS / 4);
    sto_wipe_folder(store);
}

/* Free of cost, all is shown where that gives the better list, else nothing. */
static void without_cost_the_better_list_decides(void **state)
{
    double none[USERS], best[USERS], all[USERS];
    size_t shown = 0;

    (void)state;
    make_store(0);
    best_of("whole+binary", "exact", 1e9, 1, none, NULL);
    best_of("whole+binary", "exact", 0, 1, best, all);
    for (size_t u = 0; u < USERS; u++) {
        assert_true(best[u] == (all[u] > none[u] ? all[u] : none[u]));
        shown += all[u] > none[u];
    }
    assert_true(shown > 0 && shown < USERS);
    sto_wipe_folder(store);
}

/* Nothing is shown when it costs too much; everything that helps when it is
 * free; and the learning and the greedy solver are not far from exact. */
static void solvers_climb(void **state)
{
    double exact[USERS], learnt[USERS], greedy[USERS], hedge[USERS], all[USERS],
        none[USERS];
    double most = 0, got = 0, near = 0, weighed = 0;

    (void)state;
    make_store(0);
    best_of("blocks:8+free", "exact", 1e9, 1, none, NULL);
    best_of("blocks:8+free", "exact", 0.1, 1, exact, all);
    best_of("blocks:8+free", "reinforce", 0.1, 200, learnt, NULL);
    best_of("blocks:8+free", "greedy", 0.1, 1, greedy, NULL);
    best_of("blocks:8+free", "hedge", 0.1, 10, hedge, NULL);
    for (size_t u = 0; u < USERS; u++) {
        assert_true(none[u] >= 0 && none[u] <= 1); /* no cost was paid */
        assert_true(exact[u] >= learnt[u] && exact[u] >= greedy[u] &&
                    exact[u] >= hedge[u]);
        most += exact[u] - all[u];
        got += learnt[u] - all[u];
        near += greedy[u] - all[u];
        weighed += hedge[u] - all[u];
    }
    assert_true(got > 0.6 * most);
    assert_true(near > 0.8 * most);
    assert_true(weighed > 0.8 * most);
    best_of("blocks:8+atleast:3", "hedge", 0.1, 10, hedge, NULL);
    best_of("item+free", "hedge", 0.1, 3, hedge, NULL);
    best_of("item+free", "greedy", 0.1, 1, greedy, NULL);
    best_of("blocks:8+prefix", "reinforce", 0.1, 100, learnt, NULL);
    best_of("whole+binary", "reinforce", 0.1, 100, learnt, NULL);
    sto_wipe_folder(store);
}

/* V = a x^q, C = x^p, p > q: the best share is (a q / (lambda p))^(1/(p-q)). */
static void the_best_share_is_that_of_the_formula(void **state)
{
    static const double cases[][4] = {/* a, q, p, lambda */
                                      {0.3, 0.5, 1, 0.2},
                                      {0.3, 0.5, 2, 0.4},
                                      {0.2, 0.3, 1, 0.1},
                                      {0.5, 0.5, 1, 0.1}};
    enum { K = 15 }; /* rows of a profile: blocks of one item */
    struct sim_mechanism m;
    struct sim_world w;

    (void)state;
    make_store(0);
    assert_int_equal(load(&w, "blocks:15+prefix", "", "activity"), ERR_OK);
    assert_int_equal(sim_mechanism_parse(&m, "blocks:15+prefix"), ERR_OK);
    for (size_t c = 0; c < 4; c++) {
        const double a = cases[c][0], q = cases[c][1], p = cases[c][2],
                     lambda = cases[c][3];
        struct sim_wants wants = usual_wants;
        struct mem_scratch s = {0};
        struct sim_rows rows = {.n_items = w.all.n_items};
        struct sim_eval e;
        float quality[K + 1];
        double utility;

        wants.power = p;
        sim_eval_open(&e, &s, &w, &rows, &wants);
        sim_eval_stand(&e, 5, lambda);
        for (size_t i = 0; i <= K; i++)
            quality[i] =
                (float)(i == 0 ? 0 : a * krn_power_f64((double)i / K, q));
        const struct sim_task t = {.m = &m};
        const struct sim_belief b = {.quality = quality};
        const size_t best = sim_exact_best(&e, &t, &b, &utility);
        const double x = pow(a * q / (lambda * p), 1 / (p - q));

        assert_true(fabs((double)best / K - (x < 1 ? x : 1)) <= 0.5 / K + 1e-9);
        mem_drop(&s);
    }
    sim_world_free(&w);
    sto_wipe_folder(store);
}

static void the_score_function_is_the_gradient(void **state)
{
    static const double theta[4] = {0.3, -0.8, 1.1, 0};
    double exact[4] = {0}, sampled[4] = {0}, reward[16], p[4];
    const size_t samples = 1000000;

    (void)state;
    for (size_t m = 0; m < 16; m++)
        reward[m] = (double)rng_f32(5, RNG_SYNTH, m) * 2 - 0.4;
    for (size_t k = 0; k < 4; k++)
        p[k] = 1 / (1 + exp(-theta[k]));
    for (size_t m = 0; m < 16; m++) {
        double chance = 1;

        for (size_t k = 0; k < 4; k++)
            chance *= (m >> k & 1) != 0 ? p[k] : 1 - p[k];
        for (size_t k = 0; k < 4; k++)
            exact[k] += chance * reward[m] * ((double)(m >> k & 1) - p[k]);
    }
    for (size_t s = 0; s < samples; s++) {
        uint8_t on[4];
        double g[4];
        size_t m = 0;

        for (size_t k = 0; k < 4; k++) {
            on[k] = rng_f64(6, RNG_DISCLOSE, 4 * s + k) < p[k];
            m |= (size_t)on[k] << k;
        }
        sim_coin_gradient(on, theta, 4, reward[m], g);
        for (size_t k = 0; k < 4; k++)
            sampled[k] += g[k] / (double)samples;
    }
    double error = 0, size = 0;

    for (size_t k = 0; k < 4; k++) {
        error += (sampled[k] - exact[k]) * (sampled[k] - exact[k]);
        size += exact[k] * exact[k];
    }
    assert_true(sqrt(error / size) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_cover_the_profile_once),
        cmocka_unit_test(blocks_follow_time),
        cmocka_unit_test(lists_are_the_models),
        cmocka_unit_test(toggling_leaves_no_trace),
        cmocka_unit_test(freer_is_never_worse_for_a_frozen_model),
        cmocka_unit_test(without_cost_the_better_list_decides),
        cmocka_unit_test(solvers_climb),
        cmocka_unit_test(the_best_share_is_that_of_the_formula),
        cmocka_unit_test(the_score_function_is_the_gradient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
