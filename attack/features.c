/* attack/features.c - numbers about a history and a list. */
#include "attack/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the features of people");
}

void atk_popularity(const struct atk_people *p, size_t n_items,
                    double *log_count)
{
    for (size_t i = 0; i < n_items; i++)
        log_count[i] = 0;
    for (size_t r = 0; r < p->hist_ptr[p->n]; r++)
        log_count[p->hist[r]]++;
    for (size_t i = 0; i < n_items; i++)
        log_count[i] = log1p(log_count[i]);
}

void atk_list_mean(const struct atk_people *p, const double *value, double *out)
{
    for (size_t u = 0; u < p->n; u++) {
        const size_t n = p->list_ptr[u + 1] - p->list_ptr[u];
        double sum = 0;

        for (size_t r = p->list_ptr[u]; r < p->list_ptr[u + 1]; r++)
            sum += value[p->list[r]];
        out[u] = n > 0 ? sum / (double)n : 0;
    }
}

enum err atk_overlap(const struct atk_people *p, size_t n_items, double *out)
{
    size_t *seen = mem_array(n_items, sizeof(*seen)); /* by whom last, + 1 */

    if (seen == NULL)
        return no_memory();
    for (size_t u = 0; u < p->n; u++) {
        const size_t n = p->list_ptr[u + 1] - p->list_ptr[u];
        size_t both = 0;

        for (size_t r = p->hist_ptr[u]; r < p->hist_ptr[u + 1]; r++)
            seen[p->hist[r]] = u + 1;
        for (size_t r = p->list_ptr[u]; r < p->list_ptr[u + 1]; r++)
            both += seen[p->list[r]] == u + 1;
        out[u] = n > 0 ? (double)both / (double)n : 0;
    }
    free(seen);
    return ERR_OK;
}

enum err atk_consensus(const struct atk_people *p, size_t n_items, double *out)
{
    double *share = mem_array(n_items, sizeof(*share));

    if (share == NULL)
        return no_memory();
    for (size_t r = 0; r < p->list_ptr[p->n]; r++)
        share[p->list[r]] += 1 / (double)p->n;
    atk_list_mean(p, share, out);
    free(share);
    return ERR_OK;
}

static void mean_vectors(const size_t *ptr, const uint32_t *item, size_t n,
                         const struct atk_items *t, float *out)
{
    memset(out, 0, n * t->dim * sizeof(*out));
    for (size_t u = 0; u < n; u++) {
        float *to = out + u * t->dim;
        size_t used = 0;

        for (size_t r = ptr[u]; r < ptr[u + 1]; r++) {
            const float *v = t->vec + item[r] * t->dim;

            if (!t->known[item[r]])
                continue;
            used++;
            for (size_t d = 0; d < t->dim; d++)
                to[d] += v[d];
        }
        for (size_t d = 0; d < t->dim && used > 0; d++)
            to[d] /= (float)used;
    }
}

void atk_history_vectors(const struct atk_people *p, const struct atk_items *t,
                         float *out)
{
    mean_vectors(p->hist_ptr, p->hist, p->n, t, out);
}

void atk_list_vectors(const struct atk_people *p, const struct atk_items *t,
                      float *out)
{
    mean_vectors(p->list_ptr, p->list, p->n, t, out);
}

enum err atk_difference(const struct atk_people *p, const struct atk_items *t,
                        float *out)
{
    float *list = mem_array(p->n * t->dim, sizeof(*list));

    if (list == NULL)
        return no_memory();
    atk_history_vectors(p, t, out);
    atk_list_vectors(p, t, list);
    for (size_t k = 0; k < p->n * t->dim; k++)
        out[k] -= list[k];
    free(list);
    return ERR_OK;
}

enum err atk_difference_ranked(const struct atk_people *p,
                               const struct atk_items *t, float *out)
{
    atk_history_vectors(p, t, out);
    for (size_t u = 0; u < p->n; u++) {
        const size_t k = p->list_ptr[u + 1] - p->list_ptr[u];
        const double all = (double)k * (double)(k + 1) / 2;
        float *to = out + u * t->dim;

        for (size_t r = 0; r < k; r++) { /* k, k - 1, ... 1 of their sum */
            const uint32_t item = p->list[p->list_ptr[u] + r];
            const float weight = (float)((double)(k - r) / all);

            for (size_t d = 0; d < t->dim && t->known[item]; d++)
                to[d] -= weight * t->vec[item * t->dim + d];
        }
    }
    return ERR_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* n times the logarithm of the deviation over the share, of n of all numbers
 * with that sum and sum of squares; a deviation has a floor. */
static double cost_of_kind(size_t n, size_t all, double sum, double square,
                           double floor)
{
    const double mean = sum / (double)n;
    const double spread = fmax(square / (double)n - mean * mean, floor * floor);

    return (double)n * (log(spread) / 2 - log((double)n / (double)all));
}

enum err atk_cut(const double *x, size_t n, double *cut)
{
    double *sorted = mem_array(n, sizeof(*sorted));
    const size_t least = n / 20 > 2 ? n / 20 : 2;
    double sum[2] = {0, 0}, square[2] = {0, 0}, best = INFINITY;

    if (sorted == NULL)
        return no_memory();
    memcpy(sorted, x, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), ascending);
    const double middle = n > 0 ? sorted[n / 2] : 0;
    const double floor = n > 0 ? 1e-3 * (sorted[n - 1] - sorted[0]) : 0;

    *cut = middle;
    for (size_t i = 0; i < n; i++) {
        sum[1] += sorted[i] - middle;
        square[1] += (sorted[i] - middle) * (sorted[i] - middle);
    }
    for (size_t i = 0; i + least < n && floor > 0; i++) {
        const double y = sorted[i] - middle;

        sum[0] += y;
        square[0] += y * y;
        sum[1] -= y;
        square[1] -= y * y;
        if (i + 1 < least || sorted[i] == sorted[i + 1])
            continue;
        const double cost =
            cost_of_kind(i + 1, n, sum[0], square[0], floor) +
            cost_of_kind(n - i - 1, n, sum[1], square[1], floor);

        if (cost < best) {
            best = cost;
            *cut = (sorted[i] + sorted[i + 1]) / 2;
        }
    }
    free(sorted);
    return ERR_OK;
}

void atk_standardise(double *x, size_t n)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] = square > 0 ? (x[i] - mean) / sqrt(square) : 0;
}
