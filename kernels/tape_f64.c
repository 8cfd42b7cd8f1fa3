/* kernels/tape_f64.c - the double table: gradients are checked in it. */
#define KRN_TAPE_DOUBLE
#define KRN_TAPE_TABLE krn_tape_f64
#define KRN_TAPE_NAME "double"
#include "kernels/tape_math.inc"

static void k_mm(const struct krn_mm *g)
{
    const double *a = g->a, *b = g->b;

    for (size_t i = 0; i < g->m; i++) {
        double *c = (double *)g->c + i * g->ldc;

        for (size_t j = 0; j < g->n; j++) {
            double s = g->add ? c[j] : 0;

            for (size_t l = 0; l < g->k; l++)
                s += a[g->ta ? l * g->lda + i : i * g->lda + l] *
                     b[g->tb ? j * g->ldb + l : l * g->ldb + j];
            c[j] = s;
        }
    }
}

/* in this order */
#include "kernels/tape_map.inc"

#include "kernels/tape_row.inc"

#include "kernels/tape_cell.inc"
