/*
 * tests/test_dl_net.c - attacks as published: their parts do what the
 * published program does, and what that is worth is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/dl_net.h"
#include "attack/judge.h"
#include "base/par.h"
#include "base/rng.h"

/* --- a table that moves ------------------------------------------------------
 */

#define T_ROWS 7
#define T_DIM 3
#define T_STEPS 700

/* Of seven rows a step touches none, or one or two; some wait for hundreds. */
static bool touches(uint32_t step, size_t row)
{
    const uint32_t every[T_ROWS] = {1, 3, 10, 50, 170, 333, 1000};

    return step % every[row] == 0;
}

static double gradient(uint32_t step, size_t i)
{
    return rng_normal(4, RNG_NOISE, (uint64_t)step * T_ROWS * T_DIM + i);
}

/* Oracle: Adam on the whole table in double, gradients of zero and all. */
static void adam(double p[T_ROWS * T_DIM])
{
    double m[T_ROWS * T_DIM] = {0}, v[T_ROWS * T_DIM] = {0};

    for (uint32_t step = 1; step <= T_STEPS; step++) {
        for (size_t i = 0; i < (size_t)(T_ROWS * T_DIM); i++) {
            const double g = touches(step, i / T_DIM) ? gradient(step, i) : 0;

            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            p[i] -= 1e-3 * m[i] / (1 - pow(0.9, step)) /
                    (sqrt(v[i] / (1 - pow(0.999, step))) + 1e-8);
        }
    }
}

static void a_table_moves_as_adam_moves_the_whole(void **state)
{
    struct mem_scratch scratch = {0};
    double want[T_ROWS * T_DIM] = {0};
    struct atk_moving t;

    (void)state;
    atk_moving_take(&scratch, &t, T_ROWS, T_DIM);
    assert_false(scratch.failed);
    for (uint32_t step = 1; step <= T_STEPS; step++) {
        const struct krn_step now = atk_moving_rates(step);

        for (size_t r = 0; r < T_ROWS; r++) {
            float grad[T_DIM];

            for (size_t d = 0; d < T_DIM; d++)
                grad[d] = (float)gradient(step, r * T_DIM + d);
            if (touches(step, r))
                atk_moving_step(&t, &krn_tape_f32, r, grad, step, &now);
        }
    }
    adam(want);
    for (size_t r = 0; r < T_ROWS; r++) {
        const float *got = atk_moving_bring(&t, &krn_tape_f32, r, T_STEPS);

        for (size_t d = 0; d < T_DIM; d++) {
            const double w = want[r * T_DIM + d];

            if (fabs((double)got[d] - w) > 1e-6 + 1e-4 * fabs(w))
                fail_msg("row %zu: %.7f, not %.7f", r, (double)got[d], w);
        }
    }
    mem_drop(&scratch);
}

/* --- the networks ------------------------------------------------------------
 */

#define DIM ((size_t)6)
#define PEOPLE ((size_t)120) /* a side */

struct world {
    struct mem_scratch m;
    struct atk_dl_net n;
    float x[2 * PEOPLE * DIM], *value;
    uint32_t word[2 * PEOPLE * DIM];
};

/* Numbers of which no two are equal; half of the people are members. */
static struct world *make_world(size_t people)
{
    struct world *w = calloc(1, sizeof(*w));
    const size_t all = 2 * people * DIM;

    assert_non_null(w);
    w->n = (struct atk_dl_net){
        .dim = DIM, .seed = 3, .n_words = ATK_DL_WORDS + all};
    w->value = mem_take(&w->m, w->n.n_words, 1, sizeof(float));
    assert_non_null(w->value);
    for (size_t i = 0; i < all; i++) {
        w->x[i] = (float)(rng_normal(5, RNG_SYNTH, i) / 4);
        w->word[i] = (uint32_t)(ATK_DL_WORDS + i);
        w->value[ATK_DL_WORDS + i] = w->x[i];
    }
    assert_int_equal(atk_dl_net_build(&w->n, &w->m, w->value, people), ERR_OK);
    return w;
}

static void free_world(struct world *w)
{
    atk_dl_net_free(&w->n);
    mem_drop(&w->m);
    free(w);
}

static struct atk_dl_row person(const struct world *w, size_t u)
{
    return (struct atk_dl_row){w->x + u * DIM, w->word + u * DIM, u % 2 == 0};
}

static struct atk_dl_batch batch(const struct world *w, size_t at)
{
    struct atk_dl_batch b = {.n = ATK_DL_PAIRS};

    for (size_t r = 0; r < ATK_DL_ROWS; r++)
        b.row[r] = person(w, ATK_DL_ROWS * at + r);
    return b;
}

/* Columns in use, and for how many words they stand. */
static size_t columns_of(const struct world *w, double *words)
{
    size_t n = 0;

    *words = 0;
    for (size_t c = 0; c < w->n.learn.columns; c++) {
        const double weight =
            nn_tape_at(w->n.learn.t, w->n.learn.log_weight, c);

        *words += exp(weight);
        n += weight > -1e9;
    }
    return n;
}

/* Where there are few words, every one of them has a column of weight one: the
 * softmax is the published one.  Where there are many, the sampled ones stand
 * for all others. */
static void sampled_words_stand_for_all(void **state)
{
    static const size_t people[2] = {20, PEOPLE};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct world *w = make_world(people[k]);
        const struct atk_dl_batch b = batch(w, 0);
        const size_t batch_words = ATK_DL_ROWS * DIM + 1;
        double words, loss = 0;

        assert_int_equal(atk_dl_net_learn(&w->n, &b, 1, false, &loss), ERR_OK);
        const size_t n = columns_of(w, &words);

        if (k == 0)
            assert_int_equal(n, w->n.n_words);
        else
            assert_int_equal(n, batch_words + ATK_DL_SAMPLED);
        assert_true(fabs(words / (double)w->n.n_words - 1) < 1e-5);
        /* every word is as likely as any other, to begin with; two sides */
        assert_true(fabs(loss / 2 / log((double)w->n.n_words) - 1) < 0.02);
        free_world(w);
    }
}

/* As published, where the prediction is overwritten by whether it is right. */
static void a_targets_label_is_whether_the_judges_are_right(void **state)
{
    struct world *w = make_world(PEOPLE);
    bool differs = false;

    (void)state;
    for (size_t at = 0; at < 40; at++) {
        const struct atk_dl_batch b = batch(w, at);
        const uint32_t *label = w->n.learn.label->data;

        assert_int_equal(atk_dl_net_learn(&w->n, &b, 0.5, true, NULL), ERR_OK);
        for (size_t r = 0; r < ATK_DL_ROWS; r++) {
            const bool says =
                nn_tape_at(w->n.learn.t, w->n.learn.y.both, 2 * r + 1) >
                nn_tape_at(w->n.learn.t, w->n.learn.y.both, 2 * r);

            assert_int_equal(label[r], r < ATK_DL_PAIRS
                                           ? b.row[r].member
                                           : says == (b.row[r].member != 0));
            differs = differs || label[r] != b.row[r].member;
        }
    }
    assert_true(differs);
    free_world(w);
}

/* Both phases bring what they are for: sentences get likelier, and the truth
 * score comes nearer to c0 / c1, where the objective is least. */
static void steps_go_downhill(void **state)
{
    struct world *w = make_world(20);
    float specific[ATK_DL_ROWS * ATK_DL_PART];
    double first = 0, last = 0, score[ATK_DL_ROWS];
    const double lambda[2] = {1, 1};
    const struct atk_dl_batch b = batch(w, 0);
    struct atk_dl_before o = {.b = b};

    (void)state;
    for (size_t i = 0; i < 150; i++) {
        double loss = 0;

        assert_int_equal(atk_dl_net_learn(&w->n, &b, 1, false, &loss), ERR_OK);
        first = i == 0 ? loss : first;
        last = loss;
    }
    if (!(last < 0.8 * first))
        fail_msg("loss %.3f, then %.3f", first, last);
    assert_int_equal(
        atk_dl_net_serve(&w->n, b.row, ATK_DL_ROWS, 1, score, specific),
        ERR_OK);
    for (size_t r = 0; r < ATK_DL_ROWS; r++)
        o.specific[r] = specific + r * ATK_DL_PART;
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(atk_dl_net_weigh(&w->n, &b, &o, 0, lambda), ERR_OK);
        last = nn_tape_loss(w->n.weigh.t);
        first = i == 0 ? last : first;
    }
    if (!(last < 0.5 * first))
        fail_msg("objective %.4f, then %.4f", first, last);
    free_world(w);
}

/* --- the attacks -------------------------------------------------------------
 */

#define USERS ((size_t)60) /* a side */
#define ITEMS ((size_t)40)
#define LENGTH ((size_t)8)

/* Members' lists are near their histories, strangers' are the first items. */
static void make_people(struct atk_people *p, uint64_t seed)
{
    assert_int_equal(atk_people_take(p, USERS, USERS * LENGTH, USERS * LENGTH),
                     ERR_OK);
    for (size_t u = 0; u < USERS; u++) {
        p->key[u] = (seed << 32) + u;
        p->member[u] = u % 2 == 0;
        p->n_members += p->member[u];
        for (size_t i = 0; i < LENGTH; i++) {
            const size_t r = u * LENGTH + i;

            p->hist[r] = (uint32_t)rng_below(seed, RNG_SYNTH, r, ITEMS);
            p->list[r] = p->member[u] ? (p->hist[r] + 1) % ITEMS : (uint32_t)i;
        }
        p->hist_ptr[u + 1] = p->list_ptr[u + 1] = (u + 1) * LENGTH;
    }
}

static void make_case(struct atk_case *c)
{
    *c = (struct atk_case){.seed = 2, .faithful = true, .epochs = 1};
    c->items = (struct atk_items){.n = ITEMS,
                                  .dim = DIM,
                                  .key = mem_array(ITEMS, sizeof(uint64_t)),
                                  .vec = mem_array(ITEMS * DIM, sizeof(float)),
                                  .known = mem_array(ITEMS, 1)};
    for (size_t i = 0; i < ITEMS * DIM; i++)
        c->items.vec[i] = (float)rng_normal(6, RNG_SYNTH, i);
    for (size_t i = 0; i < ITEMS; i++) {
        c->items.key[i] = i;
        c->items.known[i] = 1;
    }
    make_people(&c->target, 1);
    make_people(&c->shadow, 2);
}

static void turn_labels(struct atk_people *p)
{
    for (size_t u = 0; u < p->n; u++)
        p->member[u] = !p->member[u];
    p->n_members = p->n - p->n_members;
}

/* A published form that reads the target's labels says so, and then its
 * figures are no evidence; the others do not read them. */
static void who_reads_the_labels_says_so(void **state)
{
    struct atk_case c;
    size_t n = 0;

    (void)state;
    make_case(&c);
    for (size_t i = 0; atk_attacks[i] != NULL; i++) {
        const struct atk_attack *a = atk_attacks[i];
        struct atk_judged j[2];

        if (a->faithful == NULL)
            continue;
        for (size_t turn = 0; turn < 2; turn++) {
            assert_int_equal(atk_judge(a, &c, NULL, false, &j[turn]), ERR_OK);
            if (!j[turn].ran)
                fail_msg("%s: %s", a->name, j[turn].why);
            turn_labels(&c.target);
        }
        const bool alike = memcmp(j[0].scores.target, j[1].scores.target,
                                  c.target.n * sizeof(double)) == 0;

        if (alike == j[0].scores.sees_labels)
            fail_msg("%s: sees_labels is %d", a->name, j[0].scores.sees_labels);
        assert_true(!j[0].scores.sees_labels ||
                    (!j[0].trusted && strstr(j[0].doubt, "no evidence")));
        assert_true(j[0].scores.note[0] != '\0');
        n++;
        atk_judged_free(&j[0]);
        atk_judged_free(&j[1]);
    }
    assert_int_equal(n, 3);
    atk_case_free(&c);
}

/* The published form is another procedure, and gives the same bits for any
 * number of threads. */
static void the_published_form_is_another(void **state)
{
    static const size_t threads[3] = {1, 3, 1};

    (void)state;
    for (size_t i = 0; atk_attacks[i] != NULL; i++) {
        struct atk_scores s[3];
        struct atk_case c;

        if (atk_attacks[i]->faithful == NULL)
            continue;
        make_case(&c);
        for (size_t k = 0; k < 3; k++) {
            s[k] = (struct atk_scores){
                .target = mem_array(c.target.n, sizeof(double)),
                .shadow = mem_array(c.shadow.n, sizeof(double))};
            c.faithful = k < 2;
            par_set_threads(threads[k]);
            assert_int_equal(atk_attack_run(atk_attacks[i], &c, &s[k]), ERR_OK);
        }
        assert_memory_equal(s[0].target, s[1].target,
                            c.target.n * sizeof(double));
        assert_memory_not_equal(s[0].target, s[2].target,
                                c.target.n * sizeof(double));
        for (size_t k = 0; k < 3; k++) {
            free(s[k].target);
            free(s[k].shadow);
        }
        atk_case_free(&c);
    }
    par_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_moves_as_adam_moves_the_whole),
        cmocka_unit_test(sampled_words_stand_for_all),
        cmocka_unit_test(a_targets_label_is_whether_the_judges_are_right),
        cmocka_unit_test(steps_go_downhill),
        cmocka_unit_test(who_reads_the_labels_says_so),
        cmocka_unit_test(the_published_form_is_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
