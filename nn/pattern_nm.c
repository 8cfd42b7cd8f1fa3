/*
 * nn/pattern_nm.c - N of M neighbours, and 2 of 4 both ways.
 *
 * Both ways, each 4 x 4 tile takes the best of the 90 masks that have two ones
 * in every row and column (Hubara et al., NeurIPS 2021): then W and its
 * transpose are both 2:4.
 */
#include <string.h>

#include "nn/pattern.h"

static void project_row(const struct nn_pattern *p, const struct nn_matrix *w,
                        size_t r, uint8_t *mask)
{
    for (size_t first = 0; first < w->cols; first += p->m) {
        const size_t n = w->cols - first < p->m ? w->cols - first : p->m;

        for (size_t k = 0; k < p->n && k < n; k++) {
            size_t best = n;

            for (size_t c = 0; c < n; c++) {
                if (mask[first + c] == 0 &&
                    (best == n || nn_matrix_size(w, r, first + c) >
                                      nn_matrix_size(w, r, first + best)))
                    best = c;
            }
            mask[first + best] = 1;
        }
    }
}

/* Bit 4 * r + c; returns how many there are. */
static size_t tile_masks(uint16_t *out)
{
    static const uint8_t pairs[6] = {3, 5, 6, 9, 10, 12};
    size_t n = 0;

    for (unsigned i = 0; i < 6 * 6 * 6 * 6; i++) {
        const uint8_t row[4] = {pairs[i % 6], pairs[i / 6 % 6],
                                pairs[i / 36 % 6], pairs[i / 216]};
        int ones[4] = {0};

        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 4; c++)
                ones[c] += row[r] >> c & 1;
        if (ones[0] == 2 && ones[1] == 2 && ones[2] == 2 && ones[3] == 2)
            out[n++] =
                (uint16_t)(row[0] | row[1] << 4 | row[2] << 8 | row[3] << 12);
    }
    return n;
}

static void project_tile(const struct nn_matrix *w, size_t r0, size_t c0,
                         const uint16_t *masks, size_t n, uint8_t *mask)
{
    double size[16] = {0}, most = -1;
    size_t best = 0;

    for (size_t k = 0; k < 16; k++) {
        if (r0 + k / 4 < w->rows && c0 + k % 4 < w->cols)
            size[k] = (double)nn_matrix_size(w, r0 + k / 4, c0 + k % 4);
    }
    for (size_t i = 0; i < n; i++) {
        double sum = 0;

        for (size_t k = 0; k < 16; k++)
            sum += masks[i] >> k & 1 ? size[k] : 0;
        if (sum > most) {
            most = sum;
            best = i;
        }
    }
    for (size_t k = 0; k < 16; k++) {
        if (r0 + k / 4 < w->rows && c0 + k % 4 < w->cols)
            mask[(r0 + k / 4) * w->cols + c0 + k % 4] = masks[best] >> k & 1;
    }
}

enum err nn_pattern_project_nm(const struct nn_pattern *p,
                               const struct nn_matrix *w, uint8_t *mask)
{
    uint16_t masks[6 * 6 * 6 * 6];

    memset(mask, 0, w->rows * w->cols);
    if (p->kind == NN_NM) {
        for (size_t r = 0; r < w->rows; r++)
            project_row(p, w, r, mask + r * w->cols);
        return ERR_OK;
    }
    const size_t n = tile_masks(masks);

    for (size_t r = 0; r < w->rows; r += 4)
        for (size_t c = 0; c < w->cols; c += 4)
            project_tile(w, r, c, masks, n, mask);
    return ERR_OK;
}
