/*
 * tests/test_legonet.c - adapters against plain EASE on their members, and the
 * proof of forgetting: what an adapter never saw does not move it.
 */
#include <math.h>
#include <string.h>

#include "rec/model.h"
#include "tests/rec_cases.h"

#define USERS 60
#define ITEMS 25
#define ADAPTERS 7
#define ACTIVE 2
#define REG 3.0

/* What an adapter stands on, and what it is. */
static const struct variant {
    const char *encoder, *heads;
} variants[] = {{"signs", "ease"},         {"attributes", "ease"},
                {"public", "ease"},        {"signs", "softmax"},
                {"attributes", "softmax"}, {"public", "softmax"}};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* Untrained. */
static struct rec_model *new_model(const struct variant *v)
{
    const bool learnt = strcmp(v->heads, "softmax") == 0;
    const char *const option[][2] = {
        {"adapters", "7"},
        {"active", "2"},
        {"encoder", v->encoder},
        {"heads", v->heads},
        {learnt ? "epochs" : "reg", learnt ? "4" : "3"}};
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find("legonet", &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++)
        assert_int_equal(
            opt_assign(ops->opts, m->opts, option[i][0], option[i][1]), ERR_OK);
    m->seed = 5;
    return m;
}

static struct rec_model *train(const struct rec_data *d,
                               const struct variant *v)
{
    struct rec_model *m = new_model(v);

    assert_int_equal(rec_model_fit(m, d, NULL), ERR_OK);
    return m;
}

/* Invented rows; every sixth person is public, two of three items have
 * attributes. */
static struct rec_data lego_data(uint64_t seed)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, seed);
    size_t n = 0;

    d.open = mem_array(USERS, 1);
    d.trait_ptr = mem_array(ITEMS + 1, sizeof(*d.trait_ptr));
    d.trait = mem_array(ITEMS * 2, sizeof(*d.trait));
    assert_true(d.open && d.trait_ptr && d.trait);
    for (size_t u = 0; u < USERS; u += 6)
        d.open[u] = 1;
    for (size_t i = 0; i < ITEMS; i++) {
        if (i % 3 != 0) {
            d.trait[n++] = 1000 + i % 4;
            d.trait[n++] = 2000 + i % 7;
        }
        d.trait_ptr[i + 1] = n;
    }
    return d;
}

static void scores_of(const struct rec_model *m, const struct rec_data *d,
                      size_t user, float *out)
{
    const uint32_t nobody = REC_NOBODY;
    const size_t ptr[2] = {0, d->user_ptr[user + 1] - d->user_ptr[user]};
    const struct rec_query q = {1,    &nobody, ptr, d->item + d->user_ptr[user],
                                NULL, NULL};

    assert_int_equal(m->ops->score(m, &q, out), ERR_OK);
}

/* --- plain EASE in double ---------------------------------------------------
 */

/* Gauss and Jordan; a becomes its inverse. */
static void invert(double a[ITEMS][ITEMS])
{
    static double b[ITEMS][ITEMS];

    memset(b, 0, sizeof(b));
    for (size_t i = 0; i < ITEMS; i++)
        b[i][i] = 1;
    for (size_t i = 0; i < ITEMS; i++) {
        const double pivot = a[i][i];

        for (size_t k = 0; k < ITEMS; k++) {
            a[i][k] /= pivot;
            b[i][k] /= pivot;
        }
        for (size_t r = 0; r < ITEMS; r++) {
            const double f = a[r][i];

            for (size_t k = 0; k < ITEMS && r != i; k++) {
                a[r][k] -= f * a[i][k];
                b[r][k] -= f * b[i][k];
            }
        }
    }
    memcpy(a, b, sizeof(b));
}

static bool met(const struct rec_data *d, size_t u, size_t i)
{
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (d->item[r] == i)
            return true;
    }
    return false;
}

static bool activates(const struct rec_model *m, size_t u, uint32_t adapter)
{
    const uint32_t *active = rec_model_array(m, "active");

    return active[u * ACTIVE] == adapter || active[u * ACTIVE + 1] == adapter;
}

static void add_adapter(const struct rec_model *m, const struct rec_data *d,
                        uint32_t adapter, size_t asker, double *out)
{
    static double g[ITEMS][ITEMS];
    double s[ITEMS], mean = 0, square = 0;

    memset(g, 0, sizeof(g));
    for (size_t u = 0; u < d->n_users; u++) {
        for (size_t i = 0; i < ITEMS && activates(m, u, adapter); i++) {
            for (size_t k = 0; k < ITEMS; k++)
                g[i][k] += met(d, u, i) && met(d, u, k);
        }
    }
    for (size_t i = 0; i < ITEMS; i++)
        g[i][i] += REG;
    invert(g);
    for (size_t i = 0; i < ITEMS; i++) {
        s[i] = 0;
        for (size_t k = 0; k < ITEMS; k++)
            s[i] += k != i && met(d, asker, k) ? -g[k][i] / g[i][i] : 0;
        mean += s[i] / ITEMS;
    }
    for (size_t i = 0; i < ITEMS; i++)
        square += (s[i] - mean) * (s[i] - mean) / ITEMS;
    for (size_t i = 0; i < ITEMS && square > 0; i++)
        out[i] += s[i] / sqrt(square) / ACTIVE;
}

static void compare_with_ease(const struct rec_data *d, const struct variant *v)
{
    struct rec_model *m = train(d, v);
    const uint32_t *active = rec_model_array(m, "active");

    for (size_t u = 0; u < USERS; u += 3) {
        double want[ITEMS] = {0};
        float got[ITEMS];

        if (d->user_ptr[u] == d->user_ptr[u + 1])
            continue;
        scores_of(m, d, u, got);
        for (size_t k = 0; k < ACTIVE; k++)
            add_adapter(m, d, active[u * ACTIVE + k], u, want);
        for (size_t i = 0; i < ITEMS; i++) {
            if (fabs((double)got[i] - want[i]) > 2e-4 * (1 + fabs(want[i])))
                fail_msg("person %zu, item %zu: %.6f, not %.6f", u, i,
                         (double)got[i], want[i]);
        }
    }
    rec_model_free(m);
}

static void adapters_are_ease_on_their_members(void **state)
{
    struct rec_data d = lego_data(3);

    (void)state;
    for (size_t v = 0; v < VARIANTS; v++) {
        if (strcmp(variants[v].heads, "ease") == 0)
            compare_with_ease(&d, &variants[v]);
    }
    rec_data_free(&d);
}

/* --- the proof ---------------------------------------------------------------
 */

struct moved {
    size_t untouched, touched;
};

/* Everybody's answers before and after person `gone` left. */
static void compare_answers(const struct rec_model *before,
                            const struct rec_data *d,
                            const struct rec_model *after,
                            const struct rec_data *left, size_t gone,
                            struct moved *n)
{
    const uint32_t *active = rec_model_array(before, "active");
    const uint32_t *now = rec_model_array(after, "active");

    for (size_t u = 0; u < USERS; u++) {
        float a[ITEMS], b[ITEMS];
        bool shared = false;

        if (u == gone || d->user_ptr[u] == d->user_ptr[u + 1])
            continue;
        assert_memory_equal(active + u * ACTIVE, now + u * ACTIVE,
                            ACTIVE * sizeof(*now));
        for (size_t k = 0; k < ACTIVE; k++)
            shared |= activates(before, gone, active[u * ACTIVE + k]);
        scores_of(before, d, u, a);
        scores_of(after, left, u, b);
        if (!shared) {
            assert_memory_equal(a, b, sizeof(a));
            n->untouched++;
        } else {
            n->touched += memcmp(a, b, sizeof(a)) != 0;
        }
    }
}

/* All rows but those of person `gone`. */
static struct rec_data without(const struct rec_data *d, size_t gone)
{
    uint8_t keep[USERS * ITEMS];
    struct rec_data left;

    for (size_t r = 0; r < d->n_rows; r++)
        keep[r] = r < d->user_ptr[gone] || r >= d->user_ptr[gone + 1];
    assert_int_equal(rec_data_subset(&left, d, keep), ERR_OK);
    return left;
}

/* Taking one person out leaves everybody's adapters as they were, and leaves
 * the answers of those who share none with them, bit by bit. */
static void what_an_adapter_never_saw_does_not_move_it(void **state)
{
    struct rec_data d = lego_data(4);

    (void)state;
    for (size_t v = 0; v < VARIANTS; v++) {
        struct rec_model *before = train(&d, &variants[v]);
        struct moved n = {0, 0};

        for (size_t gone = 1; gone < USERS; gone += 7) {
            if (d.user_ptr[gone] == d.user_ptr[gone + 1] || d.open[gone])
                continue;
            struct rec_data left = without(&d, gone);
            struct rec_model *after = train(&left, &variants[v]);

            compare_answers(before, &d, after, &left, gone, &n);
            rec_model_free(after);
            rec_data_free(&left);
        }
        if (n.untouched < 50 || n.touched < 50)
            fail_msg("%s, %s: %zu untouched, %zu touched", variants[v].encoder,
                     variants[v].heads, n.untouched, n.touched);
        rec_model_free(before);
    }
    rec_data_free(&d);
}

/* Keeping what nobody touched gives the bits of training everything again; of
 * private people, of public ones, and of items that leave the catalogue. */
static void repairing_equals_training_again(void **state)
{
    struct rec_data d = lego_data(6);

    (void)state;
    for (size_t v = 0; v < VARIANTS; v++) {
        struct rec_model *before = train(&d, &variants[v]);

        for (size_t gone = 0; gone < USERS; gone += 3) {
            struct rec_data left = without(&d, gone);
            struct rec_model *fresh, *repaired = new_model(&variants[v]);
            unsigned char a[KEY_DIGEST_BYTES], b[KEY_DIGEST_BYTES];
            uint32_t part[ADAPTERS];
            size_t of, n;

            if (gone % 9 == 0) /* an item says something else */
                left.trait[1] = 77;
            fresh = train(&left, &variants[v]);
            assert_int_equal(rec_model_refit(repaired, &left, before), ERR_OK);
            rec_model_digest(fresh, a);
            rec_model_digest(repaired, b);
            assert_memory_equal(a, b, sizeof(a));
            n = fresh->ops->touched(before, repaired, part, &of);
            if (strcmp(variants[v].encoder, "public") == 0 && d.open[gone] &&
                d.user_ptr[gone] < d.user_ptr[gone + 1])
                assert_int_equal(n, ADAPTERS);
            rec_model_free(fresh);
            rec_model_free(repaired);
            rec_data_free(&left);
        }
        rec_model_free(before);
    }
    rec_data_free(&d);
}

/* --- encoders and heads ------------------------------------------------------
 */

static void an_encoder_needs_something_to_stand_on(void **state)
{
    struct rec_data d = case_data(USERS, ITEMS, 0.3, false, 3);
    struct rec_model *m = new_model(&variants[1]);

    (void)state;
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
    assert_non_null(strstr(err_note(), "recd import --catalogue"));
    rec_model_free(m);
    m = new_model(&variants[2]);
    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
    assert_non_null(strstr(err_note(), "recd import --public"));
    rec_model_free(m);
    rec_data_free(&d);
}

static void an_option_of_the_other_heads_is_refused(void **state)
{
    static const char *const wrong[2] = {"epochs", "reg"}; /* ease, softmax */
    struct rec_data d = lego_data(3);

    (void)state;
    for (size_t h = 0; h < 2; h++) {
        struct rec_model *m = new_model(&variants[3 * h]);

        assert_int_equal(opt_assign(m->ops->opts, m->opts, wrong[h], "17"),
                         ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        assert_non_null(strstr(err_note(), wrong[h]));
        rec_model_free(m);
    }
    rec_data_free(&d);
}

/* The last public person may leave: the model is repaired all the same. */
static void the_last_public_person_may_leave(void **state)
{
    struct rec_data d = lego_data(8), left;
    struct rec_model *before, *after = new_model(&variants[2]);
    float scores[ITEMS];

    (void)state;
    memset(d.open, 0, USERS);
    d.open[6] = 1;
    before = train(&d, &variants[2]);
    left = without(&d, 6);
    assert_int_equal(rec_model_refit(after, &left, before), ERR_OK);
    scores_of(after, &left, 1, scores);
    rec_model_free(before);
    rec_model_free(after);
    rec_data_free(&left);
    rec_data_free(&d);
}

static void equal_attributes_are_equal_codes(void **state)
{
    struct rec_data d = lego_data(3);
    struct rec_model *m = train(&d, &variants[1]);
    const float *code = rec_model_array(m, "code");

    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        for (size_t k = 0; k < ITEMS; k++) {
            const bool alike = i == k || (i % 3 != 0 && k % 3 != 0 &&
                                          i % 4 == k % 4 && i % 7 == k % 7);

            assert_int_equal(
                memcmp(code + i * 64, code + k * 64, 64 * sizeof(*code)) == 0,
                alike);
        }
    }
    rec_model_free(m);
    rec_data_free(&d);
}

/* List-wise cross entropy of everybody's rows, averaged over their adapters. */
static double loss_of(const struct rec_model *m, const struct rec_data *d)
{
    double loss = 0;

    for (size_t u = 0; u < USERS; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];
        float p[ITEMS];

        if (n == 0)
            continue;
        scores_of(m, d, u, p);
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            loss -= log((double)p[d->item[r]]) / (double)n;
    }
    return loss;
}

/* Heads are probabilities, and fit their people better than counts do. */
static void heads_learn(void **state)
{
    struct rec_data d = lego_data(3);

    (void)state;
    for (size_t v = 3; v < VARIANTS; v++) {
        struct rec_model *m = train(&d, &variants[v]);
        struct rec_model *plain = new_model(&variants[v]);
        float p[ITEMS], sum = 0;

        assert_int_equal(
            opt_assign(plain->ops->opts, plain->opts, "lr", "1e-6"), ERR_OK);
        assert_int_equal(rec_model_fit(plain, &d, NULL), ERR_OK);
        scores_of(m, &d, 1, p);
        for (size_t i = 0; i < ITEMS; i++)
            sum += p[i];
        assert_true(sum > 0.9999f && sum < 1.0001f);
        assert_true(loss_of(m, &d) < 0.97 * loss_of(plain, &d));
        rec_model_free(plain);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_are_ease_on_their_members),
        cmocka_unit_test(what_an_adapter_never_saw_does_not_move_it),
        cmocka_unit_test(repairing_equals_training_again),
        cmocka_unit_test(an_encoder_needs_something_to_stand_on),
        cmocka_unit_test(an_option_of_the_other_heads_is_refused),
        cmocka_unit_test(the_last_public_person_may_leave),
        cmocka_unit_test(equal_attributes_are_equal_codes),
        cmocka_unit_test(heads_learn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
