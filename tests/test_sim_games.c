/* tests/test_sim_games.c - invariants of simulated disclosure: games. */
#include "tests/sim_case.h"

/* --- games -----------------------------------------------------------------
 */

static void play(struct sim_result *r, struct sim_world *w,
                 const char *mechanism, struct sim_game_opts o)
{
    struct rec_model *m = like("itemknn");

    assert_int_equal(load(w, mechanism, "side", "activity"), ERR_OK);
    assert_int_equal(sim_mechanism_parse(&o.m, mechanism), ERR_OK);
    o.like = m;
    o.wants = usual_wants;
    if (o.solver == NULL)
        o.solver = &sim_solver_exact;
    if (o.rounds == 0)
        o.rounds = 6;
    o.seed = 9;
    assert_int_equal(sim_play(r, w, &o), ERR_OK);
    rec_model_free(m);
}

static const struct sim_tastes some = {SIM_LOGNORMAL, {0.1, 1}};

static void one_segment_makes_rules_equal(void **state)
{
    static const char *const mechanism[] = {"whole+binary", "whole+prefix",
                                            "whole+free"};
    struct sim_result r[3];

    (void)state;
    make_store(0);
    for (size_t k = 0; k < 3; k++) {
        struct sim_world w;

        play(&r[k], &w, mechanism[k],
             (struct sim_game_opts){.tastes = some, .inertia = 0.5});
        sim_world_free(&w);
        assert_int_equal(r[k].n_rounds, r[0].n_rounds);
        assert_memory_equal(r[k].person, r[0].person,
                            USERS * sizeof(*r[k].person));
        assert_memory_equal(r[k].round, r[0].round,
                            r[0].n_rounds * sizeof(*r[k].round));
    }
    for (size_t k = 0; k < 3; k++)
        sim_result_free(&r[k]);
    sto_wipe_folder(store);
}

static void threads_do_not_matter(void **state)
{
    static const size_t threads[] = {1, 2, 8};
    static const char *const mechanism[] = {"blocks:8+free", "blocks:8+prefix",
                                            "blocks:8+free", "blocks:8+free",
                                            "blocks:8+prefix"};

    (void)state;
    make_store(0);
    for (size_t c = 0; c < 5; c++) {
        struct sim_result r[3];

        for (size_t k = 0; k < 3; k++) {
            const struct sim_solver *learns;
            struct sim_world w;

            assert_int_equal(
                sim_solver_find(c == 1 ? "reinforce" : "policy", &learns),
                ERR_OK);
            par_set_threads(threads[k]);
            play(&r[k], &w, mechanism[c],
                 (struct sim_game_opts){.tastes = some,
                                        .inertia = 0.5,
                                        .rounds = 4,
                                        .solver =
                                            c == 1 || c >= 3 ? learns : NULL,
                                        .learners = 0.5,
                                        .samples = 40,
                                        .shrink = c == 2 ? 100 : 0,
                                        .folds = c == 0 ? 3 : 0});
            assert_memory_equal(r[k].person, r[0].person,
                                USERS * sizeof(*r[k].person));
            assert_memory_equal(r[k].choice, r[0].choice,
                                w.seg_ptr[w.all.n_users]);
            assert_memory_equal(r[k].digest, r[0].digest, KEY_DIGEST_BYTES);
            sim_world_free(&w);
        }
        for (size_t k = 0; k < 3; k++)
            sim_result_free(&r[k]);
    }
    par_set_threads(0);
    sto_wipe_folder(store);
}

/* Who is called what does not matter: with one lambda for all, everybody
 * reconsidering at once and times in the data, no draw is left. */
/* A game that does not come to rest ends where it came nearest to it. */
static void the_last_round_is_the_one_nearest_to_rest(void **state)
{
    struct sim_result r;
    struct sim_world w;
    double least = INFINITY, share = 0;

    (void)state;
    make_store(0);
    play(&r, &w, "blocks:8+free",
         (struct sim_game_opts){.tastes = some, .inertia = 0.5, .rounds = 7});
    assert_int_equal(r.n_rounds, 7);
    assert_false(r.settled);
    for (size_t k = 0; k < 7; k++) {
        share = r.round[k].residual / fabs(r.round[k].utility_anticipated);
        if (k < 6)
            least = fmin(least, share);
    }
    assert_true(share == least); /* to the bit: the same round again */
    sim_result_free(&r);
    sim_world_free(&w);
    sto_wipe_folder(store);
}

static void names_do_not_matter(void **state)
{
    struct sim_person before[USERS];

    (void)state;
    for (size_t shift = 0; shift < 2; shift++) {
        struct sim_result r;
        struct sim_world w;

        make_store(shift * 31);
        play(&r, &w, "blocks:8+free",
             (struct sim_game_opts){
                 .tastes = {SIM_CONST, {0.05}}, .inertia = 1, .rounds = 2});
        for (size_t p = 0; p < USERS; p++) {
            char name[20];
            const int len =
                snprintf(name, sizeof(name), "u%zu", (p + shift * 31) % USERS);
            const uint32_t u =
                rec_key_find(w.all.user_key, USERS, key_of(name, (size_t)len));

            assert_int_not_equal(u, REC_NOBODY);
            if (shift == 0)
                before[p] = r.person[u];
            else
                assert_memory_equal(&before[p], &r.person[u],
                                    sizeof(before[p]));
        }
        sim_result_free(&r);
        sim_world_free(&w);
        sto_wipe_folder(store);
    }
}

static void tastes_decide(void **state)
{
    struct sim_result r;
    struct sim_world w;
    size_t shown = 0;

    (void)state;
    make_store(0);
    play(&r, &w, "blocks:8+free",
         (struct sim_game_opts){.tastes = {SIM_CONST, {1e9}}, .inertia = 5});
    for (size_t u = 0; u < USERS; u++)
        assert_int_equal(r.person[u].shown, 0);
    assert_true(r.settled && r.round[r.n_rounds - 1].disclosed == 0);
    sim_result_free(&r);
    sim_world_free(&w);
    /* the platform decides: about a share of the people, and all of them */
    play(&r, &w, "whole+fixed:0.25",
         (struct sim_game_opts){.tastes = some, .inertia = 1});
    for (size_t u = 0; u < USERS; u++)
        shown += r.person[u].shown;
    assert_in_range(shown, USERS / 4 - 16, USERS / 4 + 16);
    assert_int_equal(r.n_rounds, 1);
    sim_result_free(&r);
    sim_world_free(&w);
    /* beliefs that shrink all the way settle */
    play(&r, &w, "blocks:8+free",
         (struct sim_game_opts){.tastes = some,
                                .inertia = 1,
                                .rounds = 60,
                                .shrink = 1e6,
                                .settled = 0.01});
    assert_true(r.settled);
    sim_result_free(&r);
    sim_world_free(&w);
    sto_wipe_folder(store);
}

static void tastes_have_their_means(void **state)
{
    static const struct {
        const char *text;
        double mean;
    } c[] = {{"const:0.2", 0.2},
             {"uniform:0.1,0.5", 0.3},
             {"lognormal:0.1", 0.1},
             {"lognormal:0.1,0.5", 0.1},
             {"westin:0,0.1,1", 0.64 * 0.1 + 0.26},
             {"bimodal:0.01,0.5,0.5", 0.255}};
    static const char *const bad[] = {
        "const",   "const:-1",   "uniform:2,1",   "lognormal:x",
        "gauss:1", "westin:1,2", "bimodal:1,2,3", "const:1,"};
    struct sim_mechanism m;

    (void)state;
    for (size_t k = 0; k < sizeof(c) / sizeof(c[0]); k++) {
        struct sim_tastes t;
        double sum = 0;

        assert_int_equal(sim_tastes_parse(&t, c[k].text), ERR_OK);
        for (uint64_t u = 0; u < 100000; u++)
            sum += sim_taste_of(&t, 4, u * 0x9e3779b97f4a7c15u);
        assert_true(fabs(sum / 1e5 / c[k].mean - 1) < 0.03);
    }
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        struct sim_tastes t;

        assert_int_equal(sim_tastes_parse(&t, bad[k]), ERR_ARG);
    }
    assert_int_equal(sim_mechanism_parse(&m, "blocks:8"), ERR_ARG);
    assert_int_equal(sim_mechanism_parse(&m, "blocks:0+free"), ERR_ARG);
    assert_int_equal(sim_mechanism_parse(&m, "blocks:65+free"), ERR_ARG);
    assert_int_equal(sim_mechanism_parse(&m, "whole+fixed:2"), ERR_ARG);
    assert_int_equal(sim_mechanism_parse(&m, "item+some"), ERR_ARG);
    assert_int_equal(sim_mechanism_parse(&m, "item+atleast:3"), ERR_OK);
    assert_int_equal(m.least, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_segment_makes_rules_equal),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(the_last_round_is_the_one_nearest_to_rest),
        cmocka_unit_test(names_do_not_matter),
        cmocka_unit_test(tastes_decide),
        cmocka_unit_test(tastes_have_their_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
