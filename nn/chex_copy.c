/* nn/chex_copy.c - the narrow network that is left. */
#include <math.h>

#include "nn/chex_parts.h"

size_t nn_chex_count(const struct nn_chex *c)
{
    return c->plan.n;
}

const char *nn_chex_name(const struct nn_chex *c, size_t layer)
{
    return nn_params_view(c->params, c->plan.layer[layer].in)->name;
}

size_t nn_chex_outputs(const struct nn_chex *c, size_t layer)
{
    const struct nn_chex_layer *k = &c->plan.layer[layer];

    return k->heads > 0 ? 3 * k->heads * k->keep : k->keep;
}

/* Scores of a narrower head are divided by a smaller root: queries make up for
 * it. */
static float factor_of(const struct nn_chex *c, size_t param, size_t col)
{
    for (size_t l = 0; l < c->plan.n; l++) {
        const struct nn_chex_layer *k = &c->plan.layer[l];

        if (k->heads > 0 && (k->in == param || k->bias == param) &&
            col < k->heads * k->channels)
            return sqrtf((float)k->keep / (float)k->channels);
    }
    return 1;
}

void nn_chex_copy(const struct nn_chex *c, struct nn_params *small)
{
    for (size_t i = 0; i < nn_params_count(c->params); i++) {
        const struct nn_param *to =
            nn_params_find(small, nn_params_view(c->params, i)->name);
        const struct nn_chex_sides *s = &c->side[i];
        const float *from = nn_chex_block(c, i);

        if (to == NULL)
            continue;
        float *at = (float *)nn_params_values(small) + to->at;

        for (size_t e = 0; e < s->rows * s->cols; e++) {
            if ((s->row == NULL || s->row[e / s->cols]) &&
                (s->col == NULL || s->col[e % s->cols]))
                *at++ = from[e] * factor_of(c, i, e % s->cols);
        }
    }
}
