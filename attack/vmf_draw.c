/* attack/vmf_draw.c - von Mises-Fisher draws that gradients pass through. */
#include "attack/vmf.h"
#include "base/rng.h"
#include "nn/nn.h"

void atk_vmf_draw_inputs(struct nn_tape *t, struct atk_vmf_draw *d)
{
    d->tangent = nn_tape_input(t, "tangent", 2, (size_t[]){d->rows, d->dim});
    d->along = nn_tape_input(t, "along", 2, (size_t[]){d->rows, 1});
    d->slope = nn_tape_input(t, "slope", 2, (size_t[]){d->rows, 1});
}

/* [rows] or [rows][1] -> [rows][dim] */
static struct nn_tensor *widen(struct nn_tape *t, struct nn_tensor *x,
                               const struct atk_vmf_draw *d)
{
    return nn_shape_repeat(t, nn_shape_as(t, x, 1, (size_t[]){d->rows}), 1,
                           d->dim);
}

/* w mu + sqrt(1 - w^2) t with t of length one, at right angles to mu: a draw
 * from vMF(mu, kappa).  w follows kappa with the slope found while drawing. */
struct nn_tensor *atk_vmf_draw_from(struct nn_tape *t, struct nn_tensor *mu,
                                    const struct atk_vmf_draw *d)
{
    struct nn_tensor *step = nn_map_sub(t, d->kappa, nn_map_stop(t, d->kappa));
    struct nn_tensor *w =
        widen(t, nn_map_add(t, d->along, nn_map_mul(t, d->slope, step)), d);
    struct nn_tensor *dot =
        widen(t, nn_reduce_axis_sum(t, nn_map_mul(t, d->tangent, mu), 1), d);
    struct nn_tensor *aside =
        nn_norm_unit(t, nn_map_sub(t, d->tangent, nn_map_mul(t, dot, mu)));
    struct nn_tensor *rest =
        nn_map(t,
               nn_map_clip(t, nn_map_scale(t, nn_map(t, w, NN_SQUARE), -1, 1),
                           1e-6, 1),
               NN_SQRT);

    return nn_map_add(t, nn_map_mul(t, w, mu), nn_map_mul(t, rest, aside));
}

void atk_vmf_draw_put(struct nn_tape *t, const struct atk_vmf_draw *d,
                      uint64_t seed, uint64_t name)
{
    const uint64_t stream = rng_derive(seed, RNG_BOOT, name);

    for (size_t i = 0; i < d->rows; i++) {
        double slope;
        const double kappa = nn_tape_at(t, d->kappa, i);
        const double w =
            atk_vmf_along(kappa, d->dim, seed, name * d->rows + i, &slope);

        nn_tape_put(t, d->along, i, w);
        nn_tape_put(t, d->slope, i, slope);
    }
    for (size_t i = 0; i < d->rows * d->dim; i++)
        nn_tape_put(t, d->tangent, i, rng_normal(stream, RNG_NOISE, i));
}
