/*
 * tests/test_pairs.c - the gradients of learning from comparisons, against
 * central differences of the losses of rec/pairs.h written out in double.
 */
#include "rec/pairs.c"

#include "tests/rec_cases.h"

#define USERS 40
#define ITEMS 30
#define DIM 6
#define NEGATIVES 9
#define BATCH 300 /* more than a chunk */
#define ROOM ((USERS + ITEMS) * DIM)

struct net {
    struct rec_data d;
    struct rec_model m;
    struct rec_pairs o;
    struct pairs p;
    struct mem_scratch s;
    double weight[BATCH][NEGATIVES]; /* of `hard`, held still */
};

static bool has_met(const struct rec_data *d, size_t u, uint32_t item)
{
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (d->item[r] == item)
            return true;
    }
    return false;
}

/* Scores of batch row b over t: its own, then the negatives'; -inf: met. */
static double scores(const struct net *n, const double *e, size_t b, double *s)
{
    const struct pairs *p = &n->p;
    const uint32_t row = p->order[p->first + b];
    const size_t u = p->user_of[row];
    const uint32_t *drawn = p->drawn + b / CHUNK * NEGATIVES;
    double own = 0;

    for (size_t k = 0; k < DIM; k++)
        own += e[u * DIM + k] * e[(USERS + p->d->item[row]) * DIM + k];
    for (size_t j = 0; j < NEGATIVES; j++) {
        s[j] = 0;
        for (size_t k = 0; k < DIM; k++)
            s[j] += e[u * DIM + k] * e[(USERS + drawn[j]) * DIM + k];
        s[j] = has_met(p->d, u, drawn[j]) ? -INFINITY : s[j] / n->o.temperature;
    }
    return own / n->o.temperature;
}

static double loss(const struct net *n, const double *e)
{
    double sum = 0, s[NEGATIVES];

    for (size_t b = 0; b < n->p.rows; b++) {
        const double own = scores(n, e, b, s);
        double all = exp(own), one = 0;

        for (size_t j = 0; j < NEGATIVES; j++) {
            all += exp(s[j]);
            one += n->weight[b][j] * log1p(exp(s[j] - own));
        }
        sum += n->o.loss == REC_PAIRS_SOFTMAX ? log(all) - own : one;
    }
    return sum / (double)n->p.rows;
}

static void hold_weights(struct net *n, const double *e)
{
    double s[NEGATIVES];

    for (size_t b = 0; b < n->p.rows; b++) {
        double sum = 0;

        scores(n, e, b, s);
        for (size_t j = 0; j < NEGATIVES; j++)
            sum += exp(s[j]);
        for (size_t j = 0; j < NEGATIVES; j++)
            n->weight[b][j] = n->o.loss != REC_PAIRS_HARD ? 1.0 / NEGATIVES
                              : sum > 0                   ? exp(s[j]) / sum
                                                          : 0;
    }
}

/* The first batch's gradient in n->p.grad. */
static void make(struct net *n, enum rec_pairs_loss which)
{
    *n = (struct net){.d = case_data(USERS, ITEMS, .6, false, 11),
                      .m = {.seed = 5},
                      .o = {.dim = DIM,
                            .batch = BATCH,
                            .negatives = NEGATIVES,
                            .epochs = 1,
                            .start = .7,
                            .temperature = .6,
                            .loss = which}};
    n->p = (struct pairs){
        .m = &n->m, .d = &n->d, .o = &n->o, .n = USERS + ITEMS, .epoch = 1};
    assert_true(n->d.n_rows > BATCH && BATCH > CHUNK);
    take_all(&n->p, &n->s);
    assert_false(n->s.failed);
    name_rows(&n->p);
    par_for(n->p.n, start_task, &n->p);
    assert_int_equal(nn_order(n->p.order, n->p.name, n->d.n_rows, n->m.seed, 1),
                     ERR_OK);
    n->p.rows = BATCH;
    n->p.chunks = chunks_of(BATCH);
    par_for(n->p.chunks, chunk_task, &n->p);
    scatter(&n->p);
}

static void check_gradient(enum rec_pairs_loss which)
{
    static struct net n;
    double e[ROOM], largest = 0;

    make(&n, which);
    for (size_t i = 0; i < ROOM; i++)
        e[i] = (double)n.p.e[i];
    hold_weights(&n, e);
    for (size_t i = 0; i < ROOM; i++) {
        const double kept = e[i], h = 1e-5;

        e[i] = kept + h;
        const double up = loss(&n, e);
        e[i] = kept - h;
        const double slope = (up - loss(&n, e)) / (2 * h);
        e[i] = kept;
        largest = fmax(largest, fabs(slope));
        assert_true(fabs((double)n.p.grad[i] - slope) <
                    2e-6 + 1e-4 * fabs(slope));
    }
    assert_true(largest > 1e-3);
    mem_drop(&n.s);
    rec_data_free(&n.d);
}

static void test_bpr(void **state)
{
    (void)state;
    check_gradient(REC_PAIRS_BPR);
}

static void test_hard(void **state)
{
    (void)state;
    check_gradient(REC_PAIRS_HARD);
}

static void test_softmax(void **state)
{
    (void)state;
    check_gradient(REC_PAIRS_SOFTMAX);
}

/* The rate's curve: ends exact, the rest within what its comment says. */
static void test_cosine(void **state)
{
    (void)state;
    assert_true(cosine(0) == 1 && fabs(cosine(1)) < 1e-12);
    for (size_t i = 0; i <= 100; i++) {
        const double x = (double)i / 100;

        assert_true(fabs(cosine(x) - .5 - .5 * cos(3.14159265358979 * x)) <
                    1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bpr),
        cmocka_unit_test(test_hard),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_cosine),
    };

    return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
