/* attack/moving.c - Adam on few rows, as if on all. */
#include "attack/moving.h"

#include <math.h>

#include "kernels/power.h"

#define LR 1e-3
#define BETA1 0.9
#define BETA2 0.999
#define EPS 1e-8
#define LOG_BETA1 (-0.15200309344504997) /* to the base 2 */
#define LOG_BETA2 (-0.0014434168696687186)
#define LONGEST 150 /* .9^150 is 1e-7 */
#define LATE 16000  /* .999^16000 is 1e-7: no correction any more */

void atk_moving_take(struct mem_scratch *s, struct atk_moving *t, size_t rows,
                     size_t d)
{
    *t = (struct atk_moving){
        .rows = rows,
        .d = d,
        .value = mem_take(s, rows, d, sizeof(float)),
        .m = mem_take(s, rows, d, sizeof(float)),
        .v = mem_take(s, rows, d, sizeof(float)),
        .step = mem_take(s, rows, 1, sizeof(uint32_t)),
    };
}

/* beta^n, or 0 once it does not matter. */
static double power1(uint32_t n)
{
    return n > LONGEST ? 0 : krn_exp2_f64(n * LOG_BETA1);
}

static double power2(uint32_t n)
{
    return n > LATE ? 0 : krn_exp2_f64(n * LOG_BETA2);
}

struct krn_step atk_moving_rates(uint32_t step)
{
    const double one = 1 - power1(step), two = sqrt(1 - power2(step));

    return (struct krn_step){
        .lr = LR * two / one, .beta1 = BETA1, .beta2 = BETA2, .eps = EPS * two};
}

/* Sum over missed steps j = 1..k of what multiplies m / (sqrt(v) + eps): m has
 * shrunk to beta1^j m by then, sqrt(v) to beta2^(j/2) sqrt(v), and the
 * corrections are those of step t + j. */
static double drift(uint32_t t, uint32_t k)
{
    const double ratio = BETA1 / sqrt(BETA2);
    double b1 = power1(t), b2 = power2(t), left = 1, sum = 0;

    for (uint32_t j = 0; j < k && j < LONGEST; j++) {
        left *= ratio;
        b1 *= BETA1;
        b2 *= BETA2;
        sum += b2 == 0 ? left : left * sqrt(1 - b2) / (1 - b1);
    }
    return LR * sum;
}

float *atk_moving_bring(const struct atk_moving *t, const struct krn_tape *k,
                        size_t row, uint32_t step)
{
    float *p = t->value + row * t->d, *m = t->m + row * t->d,
          *v = t->v + row * t->d;
    const uint32_t from = t->step[row], missed = step - from;

    if (missed > 0 && from > 0) {
        const struct krn_step rest = {/* all missed moves; m, v stay */
                                      .lr = drift(from, missed),
                                      .beta1 = 1,
                                      .beta2 = 1,
                                      .eps = EPS * sqrt(1 - power2(from + 1))};

        k->adam(p, m, v, m, t->d, 0, &rest);
        k->scale(m, false, power1(missed), m, 0, t->d);
        k->scale(v, false, power2(missed), v, 0, t->d);
    }
    if (from > 0)
        t->step[row] = step;
    return p;
}

void atk_moving_step(const struct atk_moving *t, const struct krn_tape *k,
                     size_t row, const float *grad, uint32_t step,
                     const struct krn_step *rates)
{
    const size_t at = row * t->d;

    (void)atk_moving_bring(t, k, row, step - 1);
    k->adam(t->value + at, t->m + at, t->v + at, grad, t->d, 1, rates);
    t->step[row] = step;
}
