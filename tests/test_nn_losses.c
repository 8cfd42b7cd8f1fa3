/* tests/test_nn_losses.c - losses are their formulas. */
#include "tests/nn_lab.h"

/* --- losses ------------------------------------------------------------------
 */

static void pointwise_and_pairwise_losses_are_their_formulas(void **state)
{
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 1, (size_t[]){9});
    struct nn_tensor *y = nn_tape_input(l.t, "y", 1, (size_t[]){9});
    struct nn_tensor *z = nn_tape_input(l.t, "z", 1, (size_t[]){9});
    struct nn_tensor *bce = nn_loss_bce(l.t, x, y);
    struct nn_tensor *bpr = nn_loss_bpr(l.t, x, y);
    struct nn_tensor *hinge = nn_loss_hinge(l.t, x, y, 0.5);
    struct nn_tensor *policy = nn_loss_policy(l.t, x, y, z);
    struct nn_tensor *ppo = nn_loss_ppo(l.t, x, y, z, 0.2);
    struct nn_tensor *elbo = nn_loss_elbo(l.t, x, y, 0.3);

    lab_plan(&l);
    lab_fill(&l, x);
    lab_fill(&l, y);
    lab_fill(&l, z);
    lab_run(&l);
    for (size_t i = 0; i < 9; i++) {
        const double a = at(x, i), b = at(y, i), c = at(z, i), p = sigmoid(a);
        const double r = exp(a - b), k = fmin(fmax(r, 0.8), 1.2);

        same(at(bce, i), -b * log(p) - (1 - b) * log(1 - p));
        same(at(bpr, i), -log(sigmoid(a - b)));
        same(at(hinge, i), fmax(0, 0.5 - a + b));
        same(at(policy, i), -a * (b - c));
        same(at(ppo, i), -fmin(r * c, k * c));
        same(at(elbo, i), a + 0.3 * b);
    }
    lab_close(&l);
}

static double log_sum(const struct nn_tensor *x, size_t row, size_t n,
                      const struct nn_tensor *mask)
{
    double s = 0;

    for (size_t j = 0; j < n; j++)
        s += mask != NULL && at(mask, row * n + j) == 0
                 ? 0
                 : exp(at(x, row * n + j));
    return log(s);
}

static void listwise_losses_are_their_formulas(void **state)
{
    static const uint32_t labels[3] = {4, NN_PAD, 0};
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *x = nn_tape_input(l.t, "x", 2, (size_t[]){3, 5});
    struct nn_tensor *y = nn_tape_input(l.t, "y", 2, (size_t[]){3, 5});
    struct nn_tensor *m = nn_tape_input(l.t, "m", 2, (size_t[]){3, 5});
    struct nn_tensor *pos = nn_tape_input(l.t, "p", 1, (size_t[]){3});
    struct nn_tensor *lp = nn_tape_input(l.t, "lp", 1, (size_t[]){3});
    struct nn_tensor *c = nn_tape_ids(l.t, "c", 1, (size_t[]){3});
    struct nn_tensor *ce = nn_loss_ce(l.t, x, c);
    struct nn_tensor *list = nn_loss_list(l.t, x, y, m);
    struct nn_tensor *entropy = nn_loss_entropy(l.t, x);
    struct nn_tensor *kl = nn_loss_kl_gauss(l.t, x, y);
    struct nn_tensor *sampled = nn_loss_sampled(l.t, pos, x, lp, y);
    struct nn_tensor *soft = nn_reduce_softmax(l.t, x, m);

    lab_plan(&l);
    lab_fill(&l, x);
    lab_fill(&l, pos);
    lab_fill(&l, lp);
    for (size_t i = 0; i < 15; i++) {
        nn_tape_put(l.t, y, i, i % 4 == 1 && i < 10 ? 2 : 0);
        nn_tape_put(l.t, m, i, i % 5 != 2);
    }
    nn_tape_put(l.t, y, 0, 1);
    assert_int_equal(nn_tape_set_ids(l.t, c, labels), ERR_OK);
    lab_run(&l);
    for (size_t r = 0; r < 3; r++) {
        const double all = log_sum(x, r, 5, NULL), some = log_sum(x, r, 5, m);
        const double p = at(pos, r) - at(lp, r);
        double h = 0, k = 0, e = exp(p), sum = 0, want = 0;

        for (size_t j = 0; j < 5; j++) {
            const double v = at(x, r * 5 + j), w = at(y, r * 5 + j);

            h -= exp(v - all) * (v - all);
            k += (v * v + exp(w) - 1 - w) / 2;
            e += exp(v - w);
            sum += j == 2 ? 0 : w;
            want += j == 2 ? 0 : w * (some - v);
            same(at(soft, r * 5 + j), j == 2 ? 0 : exp(v - some));
        }
        same(at(ce, r),
             labels[r] == NN_PAD ? 0 : all - at(x, r * 5 + labels[r]));
        same(at(entropy, r), h);
        same(at(kl, r), k);
        same(at(sampled, r), log(e) - p);
        same(at(list, r), sum == 0 ? 0 : want / sum);
    }
    lab_close(&l);
}

static void samples_are_normal_and_means_out_of_training(void **state)
{
    enum { N = 40000 };
    double sum = 0, square = 0, fourth = 0;
    struct lab l;

    (void)state;
    lab_open(&l);
    struct nn_tensor *m = nn_tape_input(l.t, "m", 2, (size_t[]){N / 100, 100});
    struct nn_tensor *v = nn_tape_input(l.t, "v", 2, (size_t[]){N / 100, 100});
    struct nn_tensor *z = nn_map_sample(l.t, m, v, "z", NULL);

    lab_plan(&l);
    nn_tape_fill(l.t, m, 5);
    nn_tape_fill(l.t, v, 2 * log(3));
    lab_run(&l);
    same(at(z, 7), 5);
    nn_tape_training(l.t, true);
    lab_run(&l);
    for (size_t i = 0; i < N; i++) {
        const double e = (at(z, i) - 5) / 3;

        sum += e / N;
        square += e * e / N;
        fourth += e * e * e * e / N;
    }
    /* five standard errors of each moment */
    assert_true(fabs(sum) < 5 / sqrt(N));
    assert_true(fabs(square - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(fourth - 3) < 5 * sqrt(96.0 / N));
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise_and_pairwise_losses_are_their_formulas),
        cmocka_unit_test(listwise_losses_are_their_formulas),
        cmocka_unit_test(samples_are_normal_and_means_out_of_training),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
