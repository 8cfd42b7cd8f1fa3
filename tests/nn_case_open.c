/* tests/nn_case_open.c - the networks of tests/nn_cases.c built and filled. */
#include "tests/kern.h"

#include "base/rng.h"
#include "tests/nn_cases.h"

static float draw(uint64_t seed, size_t i)
{
    return rng_f32(seed, RNG_SYNTH, i);
}

static void fill_leaves(struct nn_case_net *g, uint64_t seed)
{
    for (size_t k = 0; k < g->n_leaves; k++) {
        for (size_t i = 0; i < g->leaf[k]->n; i++) {
            const double u = (double)draw(seed + k, i);
            const double v = g->low[k] + (g->high[k] - g->low[k]) * u;

            nn_tape_put(g->t, g->leaf[k], i,
                        g->step[k] ? (double)(u < 0.6) : (double)(float)v);
        }
    }
}

static void fill_ids(struct nn_case_net *g, uint64_t seed)
{
    uint32_t ids[64];

    for (size_t k = 0; k < g->n_ids; k++) {
        assert_true(g->ids[k]->n <= 64);
        for (size_t i = 0; i < g->ids[k]->n; i++) {
            const float u = draw(seed + 100 + k, i);

            ids[i] = u < 0.15f ? NN_PAD : (uint32_t)(7 * draw(seed + 200, i));
        }
        assert_int_equal(nn_tape_set_ids(g->t, g->ids[k], ids), ERR_OK);
    }
}

enum err nn_case_build(struct nn_case_net *g, const struct nn_case *c,
                       enum nn_type type, uint64_t seed)
{
    *g = (struct nn_case_net){0};
    assert_int_equal(nn_params_new(&g->p, type, seed), ERR_OK);
    assert_int_equal(nn_tape_new(&g->t, g->p), ERR_OK);
    g->out = c->build(g);
    g->weight = nn_tape_input(g->t, "w", g->out->n_dims, g->out->dim);
    g->loss = nn_reduce_sum(g->t, g->out, g->weight);
    nn_tape_on_device(g->t);
    return nn_tape_plan(g->t, g->loss);
}

void nn_case_open(struct nn_case_net *g, const struct nn_case *c,
                  enum nn_type type, uint64_t seed)
{
    if (nn_case_build(g, c, type, seed) != ERR_OK)
        fail_msg("%s: %s", c->name, err_note());
    /* biases too, so that nothing is checked at zero alone */
    for (size_t i = 0; i < nn_params_size(g->p); i++) {
        const struct krn_tape *k = nn_params_kernels(g->p);
        void *x = nn_params_values(g->p);

        krn_tape_set(k, x, i,
                     krn_tape_get(k, x, i) +
                         0.1 * (double)(draw(seed + 300, i) - 0.5f));
    }
    fill_leaves(g, seed);
    fill_ids(g, seed);
    for (size_t i = 0; i < g->weight->n; i++)
        nn_tape_put(g->t, g->weight, i, (double)(draw(seed + 400, i) - 0.3f));
    nn_tape_step(g->t, 3);
}

void nn_case_close(struct nn_case_net *g)
{
    nn_tape_free(g->t);
    nn_params_free(g->p);
}
