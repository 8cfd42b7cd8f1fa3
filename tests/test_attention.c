/*
 * tests/test_attention.c - the aggregation of shards by attention: maps against
 * a decomposition in double, gradients against central differences of the loss
 * written out over every person and item, bits against threads.
 */
#include "unlearn/attention.c"

#include "tests/rec_cases.h"

#include "kernels/eig.h"

#define SHARDS 3
#define DIM 4
#define WIDTH (SHARDS * DIM)
#define USERS 45
#define THINGS 30

static struct unl_attention shape = {
    .n = SHARDS, .d = DIM, .hidden = 5, .epochs = 12, .lr = .02, .reg = 0};

struct world {
    struct rec_data d;
    float *x[2];
};

/* The last shard knows every other item only. */
static struct world world_new(void)
{
    struct world w = {.d = case_data(USERS, THINGS, .3, false, 5)};
    const size_t rows[2] = {USERS, THINGS};

    for (size_t side = 0; side < 2; side++) {
        w.x[side] = mem_array(rows[side] * WIDTH, sizeof(float));
        assert_non_null(w.x[side]);
        for (size_t i = 0; i < rows[side] * WIDTH; i++) {
            const bool empty =
                side == 1 && i % WIDTH >= 2 * DIM && i / WIDTH % 2 == 1;

            w.x[side][i] = empty
                               ? 0
                               : (float)rng_normal(
                                     3, side == 0 ? RNG_SYNTH : RNG_DROPOUT, i);
        }
    }
    return w;
}

static void world_free(struct world *w)
{
    rec_data_free(&w->d);
    free(w->x[0]);
    free(w->x[1]);
}

/* 1 / the root of how many rows a person, an item has, or 0. */
static void roots(const struct rec_data *d, double *user, double *item)
{
    memset(item, 0, THINGS * sizeof(*item));
    for (size_t u = 0; u < USERS; u++) {
        const size_t n = d->user_ptr[u + 1] - d->user_ptr[u];

        user[u] = n > 0 ? 1 / sqrt((double)n) : 0;
        for (size_t r = d->user_ptr[u]; r < d->user_ptr[u + 1]; r++)
            item[d->item[r]] += 1;
    }
    for (size_t i = 0; i < THINGS; i++)
        item[i] = item[i] > 0 ? 1 / sqrt(item[i]) : 0;
}

/* |N - D^-1/2 scores D^-1/2|^2 - |N|^2 for the scores p_u . q_i. */
static double loss_of(const struct rec_data *d, const double *p,
                      const double *q)
{
    double user[USERS], item[THINGS], sum = 0;

    roots(d, user, item);
    for (size_t u = 0; u < USERS; u++) {
        for (size_t i = 0; i < THINGS; i++) {
            double s = 0;

            for (size_t k = 0; k < DIM; k++)
                s += p[u * DIM + k] * q[i * DIM + k];
            s *= user[u] * item[i];
            sum += s * s;
            if (rec_data_has(d, u, (uint32_t)i))
                sum -= 2 * user[u] * item[i] * s;
        }
    }
    return sum;
}

/* --- the maps
 * --------------------------------------------------------------------
 */

static void mapped(const float *x, const float *map, size_t rows, double by,
                   double *out)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < DIM; k++) {
            double s = 0;

            for (size_t c = 0; c < WIDTH; c++)
                s += (double)x[i * WIDTH + c] * (double)map[c * DIM + k];
            out[i * DIM + k] = s * by;
        }
    }
}

/* f[rows][WIDTH] becomes an orthonormal base of what the scaled x span. */
static void base_of(const float *x, const double *root, size_t rows, double *f)
{
    double g[WIDTH * WIDTH] = {0}, w[WIDTH], work[2 * WIDTH];

    for (size_t i = 0; i < rows; i++) {
        for (size_t a = 0; a < WIDTH; a++) {
            for (size_t b = 0; b < WIDTH; b++)
                g[a * WIDTH + b] += root[i] * root[i] *
                                    (double)x[i * WIDTH + a] *
                                    (double)x[i * WIDTH + b];
        }
    }
    assert_true(krn_eig_sym_f64(g, w, work, WIDTH));
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < WIDTH; k++) {
            f[i * WIDTH + k] = 0;
            for (size_t c = 0; c < WIDTH; c++)
                f[i * WIDTH + k] +=
                    root[i] * (double)x[i * WIDTH + c] * g[k * WIDTH + c];
            f[i * WIDTH + k] /= sqrt(w[k]);
        }
    }
}

/* The least loss of rank DIM: less the largest squares of the singular values
 * of the matrix between the bases. */
static double least_loss(const struct world *w)
{
    double user[USERS], item[THINGS], m[WIDTH * WIDTH] = {0};
    double mm[WIDTH * WIDTH] = {0}, value[WIDTH], work[2 * WIDTH], sum = 0;
    static double f[USERS * WIDTH], g[THINGS * WIDTH];

    roots(&w->d, user, item);
    base_of(w->x[0], user, USERS, f);
    base_of(w->x[1], item, THINGS, g);
    for (size_t u = 0; u < USERS; u++) {
        for (size_t r = w->d.user_ptr[u]; r < w->d.user_ptr[u + 1]; r++) {
            const size_t i = w->d.item[r];

            for (size_t a = 0; a < WIDTH; a++) {
                for (size_t b = 0; b < WIDTH; b++)
                    m[a * WIDTH + b] +=
                        f[u * WIDTH + a] * user[u] * item[i] * g[i * WIDTH + b];
            }
        }
    }
    for (size_t a = 0; a < WIDTH; a++) {
        for (size_t b = 0; b < WIDTH; b++) {
            for (size_t c = 0; c < WIDTH; c++)
                mm[a * WIDTH + b] += m[a * WIDTH + c] * m[b * WIDTH + c];
        }
    }
    assert_true(krn_eig_sym_f64(mm, value, work, WIDTH));
    for (size_t k = 0; k < DIM; k++)
        sum -= value[k];
    return sum;
}

static void the_maps_are_the_best_of_their_rank(void **state)
{
    struct world w = world_new();
    struct unl_transfer t;
    float map[2][WIDTH * DIM];
    static double p[USERS * DIM], q[THINGS * DIM];

    (void)state;
    assert_int_equal(unl_transfer_init(&t, &w.d, w.x, WIDTH), ERR_OK);
    assert_int_equal(unl_transfer_solve(&t, DIM, (float *[]){map[0], map[1]}),
                     ERR_OK);
    mapped(w.x[0], map[0], USERS, 1, p);
    mapped(w.x[1], map[1], THINGS, 1, q);
    const double got = loss_of(&w.d, p, q), least = least_loss(&w);

    /* the ridge and few rounds cost a little */
    assert_true(got >= least * (1 + 1e-6) && least < -.2);
    if (got > least * (1 - 2e-3))
        fail_msg("the loss is %.6f, the least one %.6f", got, least);
    unl_transfer_free(&t);
    world_free(&w);
}

static void a_shard_without_rows_has_no_say(void **state)
{
    struct world w = world_new();
    float *weights = mem_array(unl_attention_size(&shape), sizeof(*weights));

    (void)state;
    for (size_t i = 0; i < USERS; i++)
        memset(w.x[0] + i * WIDTH, 0, DIM * sizeof(float));
    for (size_t i = 0; i < THINGS; i++)
        memset(w.x[1] + i * WIDTH, 0, DIM * sizeof(float));
    assert_int_equal(unl_attention_learn(&shape, &w.d, w.x, weights), ERR_OK);
    for (size_t i = 0; i < unl_attention_size(&shape); i++)
        assert_true(isfinite(weights[i]));
    for (size_t i = 0; i < DIM * DIM; i++)
        assert_true(fabsf(weights[i]) < 1e-6f);
    free(weights);
    world_free(&w);
}

/* --- the networks
 * --------------------------------------------------------------------
 */

/* As the header says, in double: t [rows][WIDTH], the network's weights in the
 * order of its names. */
static void attended(struct net *n, size_t side, const float *block,
                     const float *t, size_t rows, double *joined)
{
    const char *const parts[] = {"hidden/weight", "hidden/bias",
                                 "score/weight"};
    const float *v[3];

    for (size_t i = 0; i < 3; i++) {
        size_t size;

        v[i] = block + (values_of(n, side_name[side], parts[i], &size) -
                        (float *)nn_params_values(n->params));
    }
    for (size_t r = 0; r < rows; r++) {
        double a[SHARDS], sum = 0;

        for (size_t s = 0; s < SHARDS; s++) {
            a[s] = 0;
            for (size_t h = 0; h < shape.hidden; h++) {
                double z = (double)v[1][h];

                for (size_t k = 0; k < DIM; k++)
                    z += (double)t[r * WIDTH + s * DIM + k] *
                         (double)v[0][k * shape.hidden + h];
                a[s] += z > 0 ? z * (double)v[2][h] / (double)shape.hidden : 0;
            }
            a[s] = exp(a[s]);
            sum += a[s];
        }
        for (size_t k = 0; k < DIM; k++) {
            joined[r * DIM + k] = 0;
            for (size_t s = 0; s < SHARDS; s++)
                joined[r * DIM + k] +=
                    a[s] / sum * (double)t[r * WIDTH + s * DIM + k];
        }
    }
}

static double loss_at(struct learn *l, const struct rec_data *d,
                      const float *block)
{
    static double p[USERS * DIM], q[THINGS * DIM];

    attended(&l->net, 0, block, l->t[0], USERS, p);
    attended(&l->net, 1, block, l->t[1], THINGS, q);
    return loss_of(d, p, q);
}

/* Weights that are not even, and no unit at its kink. */
static void shake(struct learn *l, float *block)
{
    for (size_t i = 0; i < nn_params_size(l->net.params); i++)
        block[i] += .3f * (float)rng_normal(9, RNG_SYNTH, i);
    memcpy(nn_params_values(l->net.params), block,
           nn_params_size(l->net.params) * sizeof(*block));
}

static void gradients_are_those_of_the_loss(void **state)
{
    struct world w = world_new();
    struct learn l;
    float *weights = mem_array(unl_attention_size(&shape), sizeof(*weights));

    (void)state;
    assert_int_equal(learn_init(&l, &shape, &w.d, w.x), ERR_OK);
    assert_int_equal(solve(&l, weights), ERR_OK);
    assert_int_equal(bring_over(&l, weights), ERR_OK);
    start(&l, 0);
    start(&l, 1);
    const size_t n = nn_params_size(l.net.params);
    float *block = mem_array(n, sizeof(*block));

    memcpy(block, nn_params_values(l.net.params), n * sizeof(*block));
    shake(&l, block);
    assert_int_equal(gradient(&l), ERR_OK);
    const float *slope = nn_params_grads(l.net.params);
    double largest = 0;

    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)slope[i]));
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < n; i++) {
        const float kept = block[i], h = 1e-3f;

        block[i] = kept + h;
        const double up = loss_at(&l, &w.d, block), to = (double)block[i];

        block[i] = kept - h;
        const double down = loss_at(&l, &w.d, block);
        const double differ = (up - down) / (to - (double)block[i]);

        block[i] = kept;
        if (fabs(differ - (double)slope[i]) > 2e-3 * largest)
            fail_msg("weight %zu: %g, by differences %g", i, (double)slope[i],
                     differ);
    }
    free(block);
    free(weights);
    learn_free(&l);
    world_free(&w);
}

static void attention_lowers_the_loss(void **state)
{
    struct world w = world_new();
    float *weights = mem_array(unl_attention_size(&shape), sizeof(*weights));
    double loss[2];

    (void)state;
    for (size_t learnt = 0; learnt < 2; learnt++) {
        struct unl_attention a = shape;
        static float joined[2][USERS * DIM];
        static double p[2][USERS * DIM];

        a.epochs = learnt ? 40 : 0;
        assert_int_equal(unl_attention_learn(&a, &w.d, w.x, weights), ERR_OK);
        for (size_t side = 0; side < 2; side++) {
            const size_t rows = side == 0 ? USERS : THINGS;

            assert_int_equal(unl_attention_join(&a, weights, side, w.x[side],
                                                rows, joined[side]),
                             ERR_OK);
            for (size_t i = 0; i < rows * DIM; i++)
                p[side][i] = (double)joined[side][i];
        }
        loss[learnt] = loss_of(&w.d, p[0], p[1]);
    }
    if (!(loss[1] < loss[0] - 1e-3))
        fail_msg("%.6f before, %.6f after", loss[0], loss[1]);
    free(weights);
    world_free(&w);
}

static void one_row_alone_is_joined_as_among_others(void **state)
{
    struct world w = world_new();
    float *weights = mem_array(unl_attention_size(&shape), sizeof(*weights));
    static float all[USERS * DIM], one[DIM];

    (void)state;
    assert_int_equal(unl_attention_learn(&shape, &w.d, w.x, weights), ERR_OK);
    assert_int_equal(unl_attention_join(&shape, weights, 0, w.x[0], USERS, all),
                     ERR_OK);
    for (size_t u = 0; u < USERS; u++) {
        assert_int_equal(
            unl_attention_join(&shape, weights, 0, w.x[0] + u * WIDTH, 1, one),
            ERR_OK);
        assert_memory_equal(one, all + u * DIM, sizeof(one));
    }
    free(weights);
    world_free(&w);
}

static void threads_do_not_matter(void **state)
{
    struct world w = world_new();
    const size_t n = unl_attention_size(&shape);
    float *weights[2] = {mem_array(n, sizeof(float)),
                         mem_array(n, sizeof(float))};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        par_set_threads(i == 0 ? 1 : 3);
        assert_int_equal(unl_attention_learn(&shape, &w.d, w.x, weights[i]),
                         ERR_OK);
    }
    par_set_threads(0);
    assert_memory_equal(weights[0], weights[1], n * sizeof(float));
    free(weights[0]);
    free(weights[1]);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maps_are_the_best_of_their_rank),
        cmocka_unit_test(a_shard_without_rows_has_no_say),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(attention_lowers_the_loss),
        cmocka_unit_test(one_row_alone_is_joined_as_among_others),
        cmocka_unit_test(threads_do_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
