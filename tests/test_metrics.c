/* tests/test_metrics.c - metrics against a slow second opinion. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "rec/metrics.h"
#include "rec/rank.h"
#include "tests/rec_cases.h"

#define N 60

/* Straight from the definitions, by scanning a flag per item. */
static void slow_metrics(const uint32_t *list, size_t k, const bool *relevant,
                         size_t n, double out[REC_METRICS])
{
    double hits = 0, dcg = 0, ideal = 0, ap = 0, rr = 0;

    for (size_t r = 0; r < k; r++) {
        if (r < n)
            ideal += 1 / log2((double)r + 2);
        if (list[r] == REC_NOBODY || !relevant[list[r]])
            continue;
        double before = 1;

        for (size_t s = 0; s < r; s++)
            before += list[s] != REC_NOBODY && relevant[list[s]];
        hits++;
        dcg += 1 / log2((double)r + 2);
        ap += before / ((double)r + 1);
        rr = rr > 0 ? rr : 1 / ((double)r + 1);
    }
    out[REC_RECALL] = n ? hits / (double)n : 0;
    out[REC_NDCG] = n ? dcg / ideal : 0;
    out[REC_HIT] = hits > 0 ? 1 : 0;
    out[REC_PRECISION] = hits / (double)k;
    out[REC_MAP] = n ? ap / (double)(n < k ? n : k) : 0;
    out[REC_MRR] = rr;
}

static void metrics_equal_the_definitions(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        bool relevant[N] = {false};
        uint32_t list[N], rel[N];
        size_t n = 0, lost = seed % 3, len = 1 + seed % N;
        double got[REC_METRICS], want[REC_METRICS] = {0};

        for (uint32_t i = 0; i < N; i++)
            list[i] = i;
        rng_shuffle(seed, RNG_SYNTH, N, list);
        for (size_t r = len; r < N; r++)
            list[r] = REC_NOBODY;
        for (uint32_t i = 0; i < N; i++) {
            relevant[i] = rng_f32(seed, RNG_BOOT, i) < (float)(seed % 5) * 0.1f;
            if (relevant[i])
                rel[n++] = i;
        }
        for (size_t k = 1; k <= N; k += 7) {
            rec_metrics_one(list, N, rel, n, lost, k, got);
            slow_metrics(list, k, relevant, n + lost, want);
            for (size_t x = 0; x < REC_COVERAGE; x++) {
                if (fabs(got[x] - want[x]) > 1e-12)
                    fail_msg("seed %d k %zu: %s is %.15f, not %.15f", (int)seed,
                             k, rec_metric_name[x], got[x], want[x]);
            }
        }
    }
}

static void a_person_with_only_lost_rows_scores_zero(void **state)
{
    const uint32_t list[3] = {0, 1, 2};
    double out[REC_METRICS];

    (void)state;
    rec_metrics_one(list, 3, NULL, 0, 2, 3, out);
    for (size_t x = 0; x < REC_METRICS; x++)
        assert_true(out[x] == 0);
}

static void a_short_list_is_divided_by_the_whole_cut(void **state)
{
    const uint32_t list[2] = {4, REC_NOBODY}, rel[1] = {4};
    double out[REC_METRICS];

    (void)state;
    rec_metrics_one(list, 2, rel, 1, 0, 10, out);
    assert_true(out[REC_PRECISION] == 0.1);
    assert_true(out[REC_NDCG] == 1 && out[REC_RECALL] == 1);
}

static void names_and_cuts_are_read(void **state)
{
    enum rec_metric m = REC_METRICS;
    size_t k = 0;

    (void)state;
    assert_int_equal(rec_metric_parse("recall@50", &m, &k), ERR_OK);
    assert_true(m == REC_RECALL && k == 50);
    assert_int_equal(rec_metric_parse("ndcg", &m, &k), ERR_OK);
    assert_true(m == REC_NDCG && k == 20);
}

static void wrong_names_and_cuts_are_refused(void **state)
{
    static const char *const bad[] = {
        "",        "@",      "recal@20", "ndcg@",       "ndcg@0",
        "ndcg@-1", "ndcg@x", "ndcg@20x", "ndcg@100001", "ndcg@ 5"};
    enum rec_metric m = REC_METRICS;
    size_t k = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (rec_metric_parse(bad[i], &m, &k) != ERR_ARG)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
    assert_true(m == REC_METRICS && k == 7);
}

/* --- evaluation: a model whose scores are full of ties ----------------------
 */

static float tied_score(size_t u, size_t i)
{
    return (float)((u * 31 + i * 17) % 6);
}

static enum err tied(const struct rec_model *m, const struct rec_query *q,
                     float *scores)
{
    for (size_t p = 0; p < q->n; p++) {
        for (size_t i = 0; i < m->n_items; i++)
            scores[p * m->n_items + i] = tied_score(q->user[p], i);
    }
    return ERR_OK;
}

static const struct rec_model_ops tied_ops = {.name = "tied", .score = tied};

/* Whether u met i in d. */
static bool met(const struct rec_data *d, size_t u, size_t i)
{
    for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++) {
        if (d->item[r] == i)
            return true;
    }
    return false;
}

/* The whole order of unseen items by selection: O(n^2). */
static void slow_list(const struct rec_data *train, const uint32_t *popularity,
                      size_t u, uint32_t *list)
{
    bool taken[N] = {false};
    const bool empty = train->user_ptr[u] == train->user_ptr[u + 1];

    for (size_t r = 0; r < N; r++) {
        float best = -1;

        list[r] = REC_NOBODY;
        for (size_t i = 0; i < N; i++) {
            const float s = empty ? (float)popularity[i] : tied_score(u, i);

            if (!taken[i] && !met(train, u, i) && s > best) {
                best = s;
                list[r] = (uint32_t)i;
            }
        }
        if (list[r] != REC_NOBODY)
            taken[list[r]] = true;
    }
}

static void evaluation_equals_a_slow_one_with_ties_and_empty_people(
    void **state)
{
    struct rec_data train = case_data(50, N, 0.3, false, 1);
    struct rec_data test = case_data(50, N, 0.1, false, 2);
    uint32_t popularity[N] = {0}, lost[50] = {0};
    const struct rec_model m = {.ops = &tied_ops,
                                .n_users = 50,
                                .n_items = N,
                                .popularity = popularity};
    const size_t cuts[2] = {5, 20};
    struct rec_report got;
    double want[2][REC_METRICS] = {{0}};
    bool shown[2][N] = {{false}};
    size_t people = 0;

    (void)state;
    lost[4] = 3; /* nobody else's rows: a person with lost rows alone */
    lost[0] = 1;
    test.lost = mem_array(50, sizeof(uint32_t));
    memcpy(test.lost, lost, sizeof(lost));
    for (size_t r = 0; r < train.n_rows; r++)
        popularity[train.item[r]]++;
    assert_int_equal(rec_evaluate(&m, &train, &test, cuts, 2, &got), ERR_OK);
    for (size_t u = 0; u < 50; u++) {
        uint32_t list[N];
        bool relevant[N];
        size_t n = lost[u];

        for (size_t i = 0; i < N; i++)
            n += relevant[i] = met(&test, u, i);
        if (n == 0)
            continue;
        people++;
        slow_list(&train, popularity, u, list);
        for (size_t c = 0; c < 2; c++) {
            double one[REC_METRICS] = {0};

            slow_metrics(list, cuts[c], relevant, n, one);
            for (size_t x = 0; x < REC_COVERAGE; x++)
                want[c][x] += one[x];
            for (size_t r = 0; r < cuts[c]; r++)
                shown[c][list[r]] = true;
        }
    }
    assert_true(got.n_users == people && people > 10);
    for (size_t c = 0; c < 2; c++) {
        double items = 0;

        for (size_t i = 0; i < N; i++)
            items += shown[c][i];
        want[c][REC_COVERAGE] = items / N * (double)people;
        for (size_t x = 0; x < REC_METRICS; x++) {
            if (fabs(got.value[c][x] - want[c][x] / (double)people) > 1e-12)
                fail_msg("%s@%zu is %.15f, not %.15f", rec_metric_name[x],
                         cuts[c], got.value[c][x], want[c][x] / (double)people);
        }
    }
    rec_data_free(&train);
    rec_data_free(&test);
}

static void cuts_must_ascend(void **state)
{
    const size_t bad[2] = {20, 10};
    struct rec_report out = {.n_users = 99};

    (void)state;
    assert_int_equal(rec_evaluate(NULL, NULL, NULL, bad, 2, &out), ERR_ARG);
    assert_int_equal(rec_evaluate(NULL, NULL, NULL, bad, 0, &out), ERR_ARG);
    assert_true(out.n_users == 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_equal_the_definitions),
        cmocka_unit_test(a_person_with_only_lost_rows_scores_zero),
        cmocka_unit_test(a_short_list_is_divided_by_the_whole_cut),
        cmocka_unit_test(names_and_cuts_are_read),
        cmocka_unit_test(wrong_names_and_cuts_are_refused),
        cmocka_unit_test(
            evaluation_equals_a_slow_one_with_ties_and_empty_people),
        cmocka_unit_test(cuts_must_ascend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
