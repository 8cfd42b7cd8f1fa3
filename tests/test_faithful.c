/* tests/test_faithful.c - the public code's defects, and that they are mended
 * without --faithful. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rec/faithful.h"
#include "rec/slate.h"
#include "tests/rec_cases.h"
#include "tests/slopes.h"

#define BATCH 4
#define LIST 6
#define WIDTH 5

static const char *const passes[] = {"midnn", "gsf", "dlcm", "prm", "setrank"};
#define PASSES (sizeof(passes) / sizeof(*passes))

static struct rec_model *model_of(const char *ranker, bool faithful)
{
    static const char *const set[][2] = {{"candidates", "6"}, {"drop", "0"}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("rerank", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    assert_int_equal(opt_assign(ops->opts, m->opts, "ranker", ranker), ERR_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(opt_assign(ops->opts, m->opts, set[i][0], set[i][1]),
                         ERR_OK);
    if (faithful)
        assert_int_equal(opt_assign(ops->opts, m->opts, "faithful", "true"),
                         ERR_OK);
    m->seed = 3;
    return m;
}

/* Lists of LIST items, the last of them one shorter. */
struct batch {
    float x[BATCH * LIST * WIDTH], mask[BATCH * LIST], label[BATCH * LIST];
    uint64_t key[BATCH];
    struct rec_asked asked;
};

static void fill(struct batch *b, uint64_t seed)
{
    for (size_t e = 0; e < BATCH * LIST * WIDTH; e++)
        b->x[e] = 2 * rng_f32(seed, RNG_SYNTH, e) - 1;
    for (size_t e = 0; e < BATCH * LIST; e++) {
        b->mask[e] = e < BATCH * LIST - 1;
        b->label[e] = e % 4 == 1 && b->mask[e] > 0;
    }
    for (size_t f = 0; f < WIDTH; f++)
        b->x[(BATCH * LIST - 1) * WIDTH + f] = 0;
    for (size_t p = 0; p < BATCH; p++)
        b->key[p] = 100 + p;
    b->asked = (struct rec_asked){.x = b->x, .mask = b->mask, .key = b->key};
}

/* Scores while learning, or as they are served; weights as they were drawn. */
static void scores_of(struct rec_net *k, const struct batch *b, bool learning,
                      float *out)
{
    nn_tape_training(k->tape, learning);
    assert_int_equal(rec_net_set(k, &b->asked), ERR_OK);
    if (k->learning != NULL)
        nn_tape_fill(k->tape, k->learning, learning);
    assert_int_equal(nn_tape_forward(k->tape), ERR_OK);
    nn_tape_get(k->tape, k->scores, out);
}

static void open_net(struct rec_net *k, const char *ranker, bool faithful,
                     struct rec_model **m)
{
    *m = model_of(ranker, faithful);
    assert_int_equal(rec_net_open(k, *m, WIDTH, 0, BATCH, true), ERR_OK);
    nn_tape_fill(k->tape, k->label, 0);
}

/* --- who has it ------------------------------------------------------------
 */

/* It is refused where there is no public code with defects, and widths mean
 * nothing to those who have it. */
static void it_is_refused_elsewhere(void **state)
{
    (void)state;
    for (size_t r = 0; rec_rerankers[r] != NULL; r++) {
        const char *name = rec_rerankers[r]->name;
        struct rec_model *m = model_of("prm", true);
        bool has = strcmp(name, "seq2slate") == 0 || strcmp(name, "egr") == 0;

        rec_model_free(m);
        for (size_t i = 0; i < PASSES; i++)
            has = has || strcmp(name, passes[i]) == 0;
        m = model_of(name, true);
        /* not every re-ranker reads dropout */
        ((struct rec_rerank_opts *)m->opts)->drop = 0.1;
        assert_int_equal(rec_rerank_check(m), has ? ERR_OK : ERR_ARG);
        if (!has && strstr(err_note(), "--faithful means nothing") == NULL)
            fail_msg("%s: %s", name, err_note());
        rec_model_free(m);
    }
    struct rec_model *m = model_of("prm", true);

    assert_int_equal(opt_assign(m->ops->opts, m->opts, "dim", "32"), ERR_OK);
    assert_int_equal(rec_rerank_check(m), ERR_ARG);
    assert_non_null(strstr(err_note(), "--dim means nothing"));
    rec_model_free(m);
}

/* --- networks of one pass --------------------------------------------------
 */

/* Batch norm learns with the batch and serves with mean 0 and variance 1, so
 * that one network says two things of one list; the mended ones say one. */
static void batch_norm_is_never_updated(void **state)
{
    float learnt[BATCH * LIST], served[BATCH * LIST];
    struct batch b;

    (void)state;
    fill(&b, 1);
    for (size_t i = 0; i < 2 * PASSES; i++) {
        const bool faithful = i < PASSES;
        struct rec_model *m;
        struct rec_net k;
        double most = 0;

        open_net(&k, passes[i % PASSES], faithful, &m);
        scores_of(&k, &b, true, learnt);
        scores_of(&k, &b, false, served);
        for (size_t e = 0; e < BATCH * LIST; e++)
            most = fmax(most, fabs((double)learnt[e] - (double)served[e]));
        if (faithful != (most > 1e-3))
            fail_msg("%s: learning and serving differ by %g",
                     passes[i % PASSES], most);
        rec_net_free(&k);
        rec_model_free(m);
    }
}

/* Served, it is x / sqrt(1 + .001). */
static void batch_norm_serves_by_nothing(void **state)
{
    struct rec_lists l = {.batch = BATCH, .n = LIST};
    const float x[8] = {1, -2, 3, 4, 5, -6, 7, 8};
    struct nn_params *p;
    struct nn_tensor *in, *out;
    struct nn_tape *t;
    float y[8];

    (void)state;
    assert_int_equal(nn_params_new(&p, NN_F32, 1), ERR_OK);
    assert_int_equal(nn_tape_new(&t, p), ERR_OK);
    in = nn_tape_input(t, "x", 2, (size_t[]){4, 2});
    l.learning = nn_tape_input(t, "learning", 1, (size_t[]){1});
    out = rec_faithful_norm(t, &l, in, "n");
    nn_tape_keep(t, out);
    assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
    nn_tape_set(t, in, x);
    for (int learning = 0; learning < 2; learning++) {
        nn_tape_fill(t, l.learning, learning);
        assert_int_equal(nn_tape_forward(t), ERR_OK);
        nn_tape_get(t, out, y);
        for (size_t e = 0; e < 8 && learning == 0; e++)
            assert_true(fabs((double)(y[e] - x[e]) / sqrt(1.001)) < 6e-3 &&
                        fabs((double)y[e] - (double)x[e] / sqrt(1.001)) < 1e-5);
    }
    /* learning: column 0 is 1, 3, 5, 7: mean 4, variance 5 */
    assert_true(fabs((double)y[0] + 3 / sqrt(5.001)) < 1e-5);
    nn_tape_free(t);
    nn_params_free(p);
}

/* Share of the difference between items 0 and 1 that hangs on item `other`. */
static double moved_by(struct rec_net *k, size_t other, bool as_logs)
{
    float a[BATCH * LIST], c[BATCH * LIST];
    struct batch b;

    fill(&b, 2);
    scores_of(k, &b, false, a);
    for (size_t f = 0; f < WIDTH; f++)
        b.x[other * WIDTH + f] += 0.7F;
    scores_of(k, &b, false, c);
    return as_logs ? fabs(log((double)a[0] / (double)a[1]) -
                          log((double)c[0] / (double)c[1]))
                   : fabs((double)(a[0] - a[1]) - (double)(c[0] - c[1]));
}

/* Groups of one: an item is scored without the others. */
static void groups_of_one_know_no_others(void **state)
{
    struct rec_model *m;
    struct rec_net k;

    (void)state;
    open_net(&k, "gsf", true, &m);
    assert_true(moved_by(&k, 4, true) < 1e-5);
    rec_net_free(&k);
    rec_model_free(m);
    open_net(&k, "gsf", false, &m);
    assert_true(moved_by(&k, 4, false) > 1e-4);
    rec_net_free(&k);
    rec_model_free(m);
}

/* The faithful dlcm reads from the first item on: with a context that says
 * nothing, what stands below does not matter to the first two. */
static void dlcm_is_read_from_the_top(void **state)
{
    (void)state;
    for (int faithful = 0; faithful < 2; faithful++) {
        struct rec_model *m;
        struct rec_net k;

        open_net(&k, "dlcm", faithful == 1, &m);
        assert_int_equal(nn_params_draw(k.params, "net/context/weight",
                                        (struct nn_init){.kind = NN_INIT_ZERO}),
                         ERR_OK);
        assert_int_equal(nn_params_draw(k.params, "net/context/bias",
                                        (struct nn_init){
                                            .kind = NN_INIT_CONSTANT,
                                            .scale = 1,
                                        }),
                         ERR_OK);
        if ((moved_by(&k, 4, false) > 1e-5) != (faithful == 0))
            fail_msg("faithful %d: what is below counts %g", faithful,
                     moved_by(&k, 4, false));
        rec_net_free(&k);
        rec_model_free(m);
    }
}

/* The first stage's score has no weight of its own in the public code. */
static void the_first_stage_is_not_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < PASSES; i++) {
        struct rec_model *m;
        struct rec_net k;

        open_net(&k, passes[i], true, &m);
        assert_null(nn_params_find(k.params, "net/first"));
        rec_net_free(&k);
        rec_model_free(m);
        open_net(&k, passes[i], false, &m);
        assert_non_null(nn_params_find(k.params, "net/first"));
        rec_net_free(&k);
        rec_model_free(m);
    }
}

/* Losses by hand, of one list of two. */
static void losses_are_those_of_the_public_code(void **state)
{
    struct nn_tensor *(*const loss[])(
        struct nn_tape *, const struct rec_lists *, struct nn_tensor *,
        struct nn_tensor *) = {rec_faithful_log_loss, rec_faithful_softmax_loss,
                               rec_faithful_share_loss};
    const float p[2] = {0.7F, 0.2F}, y[2] = {1, 0};
    const double share = exp(0.7) / (exp(0.7) + exp(0.2));
    const double want[3] = {-(log(0.7) + log(0.8)) / 2, -log(0.7),
                            -(log(share) + log(share)) / 2};
    const struct rec_lists l = {.batch = 1, .n = 2};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct nn_params *params;
        struct nn_tensor *in, *label, *out;
        struct nn_tape *t;
        float got;

        assert_int_equal(nn_params_new(&params, NN_F32, 1), ERR_OK);
        assert_int_equal(nn_tape_new(&t, params), ERR_OK);
        in = nn_tape_input(t, "p", 2, (size_t[]){1, 2});
        label = nn_tape_input(t, "y", 2, (size_t[]){1, 2});
        out = loss[k](t, &l, in, label);
        nn_tape_keep(t, out);
        assert_int_equal(nn_tape_plan(t, NULL), ERR_OK);
        nn_tape_set(t, in, p);
        nn_tape_set(t, label, y);
        assert_int_equal(nn_tape_forward(t), ERR_OK);
        nn_tape_get(t, out, &got);
        if (!(fabs((double)got - want[k]) < 1e-5))
            fail_msg("loss %zu is %g, not %g", k, (double)got, want[k]);
        nn_tape_free(t);
        nn_params_free(params);
    }
}

/* --- slopes ----------------------------------------------------------------
 */

static enum err forward(void *tape)
{
    return nn_tape_forward(tape);
}

static void slopes_of_faithful_networks(void **state)
{
    struct batch b;

    (void)state;
    fill(&b, 5);
    /* whole lists: where all features are 0 stand the kinks of ReLU */
    memcpy(b.x + (BATCH * LIST - 1) * WIDTH, b.x, WIDTH * sizeof(*b.x));
    b.mask[BATCH * LIST - 1] = 1;
    for (size_t i = 0; i < PASSES; i++) {
        const struct rec_reranker *how;
        struct nn_params *p;
        struct nn_tensor *label, *loss;
        struct nn_tape *t;

        assert_int_equal(rec_reranker_find(passes[i], &how), ERR_OK);
        assert_int_equal(nn_params_new(&p, NN_F64, 2), ERR_OK);
        assert_int_equal(nn_tape_new(&t, p), ERR_OK);
        const struct rec_lists l = {
            .x = nn_tape_input(t, "x", 3, (size_t[]){BATCH, LIST, WIDTH}),
            .mask = nn_tape_input(t, "mask", 2, (size_t[]){BATCH, LIST}),
            .keys = nn_tape_keys(t, "keys", BATCH),
            .learning = nn_tape_input(t, "learning", 1, (size_t[]){1}),
            .batch = BATCH,
            .n = LIST,
            .features = WIDTH,
            .dim = 8};

        label = nn_tape_input(t, "label", 2, (size_t[]){BATCH, LIST});
        loss = how->faithful->loss(t, &l, how->faithful->build(t, &l), label);
        assert_int_equal(nn_tape_plan(t, loss), ERR_OK);
        nn_tape_set(t, l.x, b.x);
        nn_tape_set(t, l.mask, b.mask);
        nn_tape_set_keys(t, l.keys, b.key);
        nn_tape_set(t, label, b.label);
        for (int learning = 0; learning < 2; learning++) {
            nn_tape_fill(t, l.learning, learning);
            check_slopes(passes[i], p, t, forward, t);
        }
        nn_tape_free(t);
        nn_params_free(p);
    }
}

/* --- generators ------------------------------------------------------------
 */

struct followed {
    struct rec_slate g;
    struct batch b;
    uint32_t order[BATCH * LIST];
};

static enum err follow(void *arg)
{
    struct followed *f = arg;

    return rec_slate_follow(&f->g, &f->b.asked, f->order,
                            f->g.kind->loss == REC_SLATE_LABELS ? f->b.label
                                                                : NULL);
}

static void open_followed(struct followed *f, struct nn_params **p,
                          const struct rec_slate_kind *kind, bool faithful,
                          enum nn_type type)
{
    struct rec_model *m = model_of("egr", faithful);

    assert_int_equal(opt_assign(m->ops->opts, m->opts, "dim", "8"), ERR_OK);
    assert_int_equal(opt_assign(m->ops->opts, m->opts, "places", "4"), ERR_OK);
    fill(&f->b, 5);
    assert_int_equal(nn_params_new(p, type, 2), ERR_OK);
    assert_int_equal(
        rec_slate_open(&f->g, *p, kind, m->opts, BATCH, LIST, WIDTH, true),
        ERR_OK);
    for (size_t e = 0; e < 4 * BATCH; e++)
        nn_tape_put(f->g.tape, f->g.worth, e, 0.3 * (double)(e % 5) - 0.5);
    if (f->g.old != NULL)
        nn_tape_fill(f->g.tape, f->g.old, -2);
    rec_model_free(m);
}

static void close_followed(struct followed *f, struct nn_params *p)
{
    rec_slate_close(&f->g);
    nn_params_free(p);
}

static const struct rec_slate_kind labels = {.lstm = true,
                                             .loss = REC_SLATE_LABELS};
static const struct rec_slate_kind ppo = {.lstm = true, .loss = REC_SLATE_PPO};

static void slopes_of_faithful_generators(void **state)
{
    const struct rec_slate_kind *const kinds[] = {&labels, &ppo};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct followed f;
        struct nn_params *p;

        open_followed(&f, &p, kinds[k], true, NN_F64);
        assert_int_equal(rec_slate_choose(&f.g, &f.b.asked, 77, f.order),
                         ERR_OK);
        check_slopes(k == 0 ? "hinge" : "ppo", p, f.g.tape, follow, &f);
        close_followed(&f, p);
    }
}

/* Scores of the second place, when the first holds item 0 or item 5. */
static double prefix_counts(const struct rec_slate_kind *kind, bool faithful)
{
    float a[BATCH * LIST], b[BATCH * LIST];
    struct followed f;
    struct nn_params *p;
    double most = 0;

    open_followed(&f, &p, kind, faithful, NN_F32);
    for (size_t e = 0; e < BATCH * LIST; e++)
        f.order[e] = (uint32_t)(e % LIST);
    assert_int_equal(follow(&f), ERR_OK);
    nn_tape_get(f.g.tape, f.g.logit[1], a);
    for (size_t l = 0; l < BATCH; l++) {
        f.order[l * LIST] = 4;
        f.order[l * LIST + 4] = 0;
    }
    assert_int_equal(follow(&f), ERR_OK);
    nn_tape_get(f.g.tape, f.g.logit[1], b);
    for (size_t e = 1; e < 4; e++) /* open both times */
        most = fmax(most, fabs((double)a[e] - (double)b[e]));
    close_followed(&f, p);
    return most;
}

/* While it learns, the public code's decoder is fed the first order, whatever
 * it placed. */
static void the_decoder_is_fed_the_wrong_prefix(void **state)
{
    (void)state;
    assert_true(prefix_counts(&labels, true) == 0);
    assert_true(prefix_counts(&ppo, true) == 0);
    assert_true(prefix_counts(&labels, false) > 1e-4);
    assert_true(prefix_counts(&ppo, false) > 1e-4);
}

/* The same list gets different orders from different people; mended, one. */
static void orders_are_drawn_when_serving(void **state)
{
    static const char *const names[] = {"seq2slate", "egr"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const bool faithful = i < 2;
        struct rec_model *m = model_of(names[i % 2], faithful);
        float value[BATCH * LIST], again[BATCH * LIST];
        struct batch b;
        struct rec_net k;
        bool differ = false;

        assert_int_equal(rec_net_open(&k, m, WIDTH, 0, BATCH, false), ERR_OK);
        fill(&b, 6);
        for (size_t l = 1; l < BATCH; l++)
            memcpy(b.x + l * LIST * WIDTH, b.x, LIST * WIDTH * sizeof(*b.x));
        b.mask[BATCH * LIST - 1] = 1;
        assert_int_equal(rec_net_order(&k, &b.asked, value), ERR_OK);
        assert_int_equal(rec_net_order(&k, &b.asked, again), ERR_OK);
        assert_memory_equal(value, again,
                            sizeof(value)); /* a draw has a name */
        for (size_t l = 1; l < BATCH; l++)
            differ = differ ||
                     memcmp(value, value + l * LIST, LIST * sizeof(*value));
        assert_int_equal(differ, faithful);
        rec_net_free(&k);
        rec_model_free(m);
    }
}

/* A place's reward counts a hundredth of what is below; mended, all of it. */
static void rewards_do_not_look_below(void **state)
{
    const float p[3] = {0.5F, 0.25F, 1};
    struct rec_judge j = {.batch = 1};
    float out[3];

    (void)state;
    rec_judge_rewards(&j, 3, 3, p, out);
    assert_true(fabs((double)out[0] - 1.75) < 1e-6);
    j.faithful = true;
    rec_judge_rewards(&j, 3, 3, p, out);
    assert_true(fabs((double)out[0] - 0.5026) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_refused_elsewhere),
        cmocka_unit_test(batch_norm_is_never_updated),
        cmocka_unit_test(batch_norm_serves_by_nothing),
        cmocka_unit_test(groups_of_one_know_no_others),
        cmocka_unit_test(dlcm_is_read_from_the_top),
        cmocka_unit_test(the_first_stage_is_not_added),
        cmocka_unit_test(losses_are_those_of_the_public_code),
        cmocka_unit_test(slopes_of_faithful_networks),
        cmocka_unit_test(slopes_of_faithful_generators),
        cmocka_unit_test(the_decoder_is_fed_the_wrong_prefix),
        cmocka_unit_test(orders_are_drawn_when_serving),
        cmocka_unit_test(rewards_do_not_look_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
