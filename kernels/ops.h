/*
 * kernels/ops.h - every kernel that exists in more than one instruction set.
 *
 * Kernel rules: no allocation, no failure, no I/O, no globals, no threads.
 * Pointers do not alias unless a comment says so; sizes are in elements;
 * matrices are row-major.  The caller checks, allocates and splits the work.
 *
 * For each operation krn_X_f32() is the reference in plain C, written to be
 * read, and krn_X_f32__avx2(), krn_X_f32__avx512() are its twins.  All three
 * give the same bits for every input: that is why results do not depend on
 * the machine (where a result is NaN, only that it is NaN is promised, not
 * its payload).  Two rules make it possible:
 *
 *  chain   an output element is one chain of fmaf() in ascending index order
 *          (GEMM, SpMM, axpy): vectors run over *outputs*, never inside one;
 *  lanes   a reduction runs in 16 virtual lanes, element i in lane i % 16,
 *          fmaf() in ascending order, and the lanes are added by the fixed
 *          tree krn_tree16(): l[i] += l[i + 8], then + 4, + 2, + 1.
 *
 * exp, log, tanh and friends are our own polynomials, built from the same
 * operations in the same order everywhere; libm is not used.
 */
#ifndef KRN_OPS_H
#define KRN_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum krn_isa { KRN_REFERENCE, KRN_AVX2, KRN_AVX512 };

/*
 * The k best of a stream of scores: (score desc, id asc); NaN counts as
 * -infinity.  What may be among them is put into `room` places as it comes;
 * when they are full all but the k best are dropped, and the worst of these is
 * the floor of what comes next.
 */
struct krn_topk {
    size_t k, n, room; /* n: places taken */
    float *score;      /* [room] */
    uint32_t *id;      /* [room] */
    float floor;       /* less than this is not among the k best */
    /* Ids that are left out, ascending, or NULL; then the ids of all pushes
     * have to ascend too. */
    const uint32_t *skip, *skip_end;
};
#define KRN_TOPK_ROOM(k) ((((k) + (k) / 2 + 143) / 16 + 1) * 16)

/* Scores of m people for n items, a row of A times a column of B, offered to a
 * list of each person as ids first_id, first_id + 1, ...; B in panels as in
 * struct krn_gemm.  Each score is a chain over k. */
struct krn_score {
    size_t m, n, k;
    const float *a; /* [m][lda] */
    size_t lda;
    const float *b; /* [panels][ldb] */
    size_t ldb;
    uint32_t first_id;
    struct krn_topk *list; /* [m] */
};

/* The k best of whole-number scores, best first: (score desc, id asc).  While n
 * < k there is no floor. */
#define KRN_PICK_MOST 128
struct krn_pick {
    size_t k, n;   /* k <= KRN_PICK_MOST; n: held */
    int32_t floor; /* what is not above this is not among the k best: lower it
                      to INT32_MIN, or to what k known scores are above */
    int32_t score[KRN_PICK_MOST];
    uint32_t id[KRN_PICK_MOST];
};

/* C[m][n] = op(A) op(B), or C + op(A) op(B) when add, or C - op(A) op(B) when
 * sub.  op(A) is [m][k]: A itself with row stride lda, or the transpose of
 * A [k][m] when ta.  Likewise B.
 * panels (without tb and sub): B lies in panels of KRN_PANEL columns that are
 * ldb floats apart, element (l, j) at b[j / KRN_PANEL * ldb + l * KRN_PANEL +
 * j % KRN_PANEL]; the last panel is whole.  What is used again and again is
 * then read in order and not copied. */
#define KRN_PANEL ((size_t)32)
struct krn_gemm {
    bool ta, tb, add, sub, panels;
    size_t m, n, k;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float *c;
    size_t ldc;
    float *scratch; /* KRN_GEMM_SCRATCH floats, 64-byte aligned */
};
/* Rows of A that are a multiple of so many floats apart (4 KiB) fall into one
 * set of the first cache: the twins copy them where the copies are used again.
 */
#define KRN_GEMM_BAD 1024
#define KRN_GEMM_SCRATCH (((size_t)1 << 21) + ((size_t)1 << 17))

/* Rows first..last-1 of Y = S X [+ Y when add]: S is CSR, X is [*][d]. */
struct krn_spmm {
    bool add;
    size_t first, last, d;
    const size_t *ptr;
    const uint32_t *idx;
    const float *val; /* or NULL: all 1 */
    const float *x;   /* [*][ldx] */
    size_t ldx;
    float *y; /* [last][ldy]: row r of Y is y + r * ldy */
    size_t ldy;
};

/*
 * Weights [rows][k] in groups of v rows that have their columns in common
 * (Shfl-BW: Huang et al., DAC 2022; v a multiple of 8, or 1).  Group g has the
 * vectors from[g]..to[g]-1: vector p is column idx[p] (ascending in each level
 * of a group), val[p * v + i] for its row i, which is output row[g * v + i]
 * (KRN_NO_ROW: none, a group that is not full); every output is in one group.
 *
 *   y[b][row] = sum over p of val[p * v + i] * x[b][idx[p]]     for b < m.
 *
 * Each output is a chain over p: where columns ascend (no levels), the bits are
 * those of the dense product with the same weights.
 */
#define KRN_NO_ROW UINT32_MAX
#define KRN_GROUPS_SLAB ((size_t)48)
struct krn_groups {
    size_t v, n, m, k, rows;   /* n: groups */
    const uint32_t *from, *to; /* [n] */
    const uint32_t *idx;
    const float *val;
    const uint32_t *row; /* [n][v] */
    const float *x;
    size_t ldx;
    float *y;
    size_t ldy;
    float *scratch; /* [KRN_GROUPS_SLAB][k + rows] */
};

/*
 * Gather-scatter: groups of v rows; group g has the packs ptr[g]..ptr[g + 1]-1
 * of B = v * each <= 64 weights and columns, lane l for its row l / each.  Each
 * lane is a chain over packs; a row is the sum of its lanes, in order.
 */
struct krn_packs {
    size_t n, v, each, m;
    const uint32_t *from, *to; /* [n] packs of a group: from[g]..to[g]-1 */
    const uint32_t *idx;       /* [packs][B] */
    const float *val;          /* [packs][B] */
    const uint32_t *row;       /* [n][v], KRN_NO_ROW: none */
    const float *x;            /* [m][ldx] */
    size_t ldx;
    float *y; /* [m][ldy] */
    size_t ldy;
};

/* Rows first..last-1 of a sampled product: out[e] = <a[r], b[idx[e]]> for the
 * entries e = ptr[r]..ptr[r + 1]-1 of row r; a is [last][lda], b [*][ldb]. */
struct krn_sddmm {
    size_t first, last, d;
    const size_t *ptr;
    const uint32_t *idx;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float *out; /* [ptr[last]] */
};

/*
 * One row of weighted least squares whose fixed side has a diagonal Gram:
 *
 *   (diag + sum_j c[j] x_j x_j^T) w = sum_j (1 + c[j]) x_j,  x_j = x[idx[j]],
 *
 * by `steps` steps of conjugate gradients from the w that is there, scaled by
 * the diagonal of the matrix (Golub & Van Loan, Matrix Computations, 11.5).
 */
/* A residual below this ends the steps: the quotients would underflow. */
#define KRN_CG_LEAST 1e-30f
struct krn_cg {
    size_t n, d, steps;
    const float *x; /* [*][ldx] */
    size_t ldx;
    const uint32_t *idx; /* [n] */
    const float *c;      /* [n] > 0 */
    const float *diag;   /* [d] > 0 */
    float *y;            /* [n] scratch */
    float *v;            /* [5][d] scratch */
};

/* One step of Adam (Kingma & Ba, ICLR 2015) or AdamW on n parameters. */
struct krn_adam {
    float lr;           /* already times sqrt(1-b2^t)/(1-b1^t) */
    float beta1, beta2; /* .9, .999 */
    float eps;          /* 1e-8, scaled like lr by the caller if wanted */
    float decay;        /* decoupled: p -= decay * p first; 0 = none */
};

#define KRN_SPIN_ROWS 24
#define KRN_SPIN ((size_t)16 * KRN_SPIN_ROWS)

struct krn_ops {
    const char *name; /* "reference", "avx2", "avx512" */

    float (*dot_f32)(const float *a, const float *b, size_t n);    /* lanes */
    float (*sum_f32)(const float *a, size_t n);                    /* lanes */
    void (*axpy_f32)(float *y, float a, const float *x, size_t n); /* chain */
    void (*scale_f32)(float *y, float a, size_t n);
    /* KRN_SPIN * rounds fused multiply-adds on registers alone: the most that
     * the machine can do, for measuring; lanes of rows of 16. */
    float (*spin_f32)(size_t rounds);
    void (*gemm_f32)(const struct krn_gemm *g); /* chain over k */
    /* y[m] = A[m][n] x[n], one dot_f32 per row */
    void (*gemv_f32)(float *y, const float *a, size_t lda, const float *x,
                     size_t m, size_t n);
    void (*spmm_f32)(const struct krn_spmm *s);   /* chain over row entries */
    void (*sddmm_f32)(const struct krn_sddmm *s); /* lanes */
    /* x[m][ldx], y[m][ldy]; and turned: x[k][ldx], y[rows][ldy] with the m
     * side by side.  Chain over p. */
    void (*groups_f32)(const struct krn_groups *s);
    void (*groups_turned_f32)(const struct krn_groups *s);
    void (*packs_f32)(const struct krn_packs *s);

    /* A[d][d] += sum_j w[j] x[idx[j]] x[idx[j]]^T, lower triangle only;
     * w NULL: all 1.  Chain over j with a first product w[j] * x. */
    void (*syrk_rows_f32)(float *a, size_t lda, const float *x, size_t ldx,
                          const uint32_t *idx, const float *w, size_t n,
                          size_t d);
    /* Solve A x = b in place (b becomes x), A [d][d] SPD, lower triangle; all
     * of A is destroyed.  False, and NaN in b, when a pivot is not positive
     * and finite. */
    bool (*chol_solve_f32)(float *a, size_t lda, float *b, size_t d);
    /* to[j][k][lane] = a[lane][j][k] for k <= j, where matrix `lane` of 16
     * starts at a + lane * stride and has rows of lda; to is [d][d][16]; what
     * stands above the diagonal of `to` afterwards is not stated. */
    void (*interleave16_f32)(float *to, const float *a, size_t stride,
                             size_t lda, size_t d);
    /* 16 systems of one size side by side: a[d][d][16] (lower), b[d][16], 64-
     * byte aligned.  Each lane gets the bits of chol_solve_f32() alone,
     * whatever the others hold; one that is not positive definite gets NaN. */
    void (*chol_solve16_f32)(float *a, float *b, size_t d);

    /* to[k][j] = (x[idx[j]][k] * by[k]) * c[j] for j < n, k < d; 0 for n <= j
     * < m; rows of m. */
    void (*gather_t_f32)(float *to, size_t m, const float *x, size_t ldx,
                         const uint32_t *idx, const float *by, const float *c,
                         size_t n, size_t d);
    /* see struct krn_cg; products with x are lanes, sums over j chains */
    void (*cg_row_f32)(float *w, const struct krn_cg *s);

    /* Offer n scores; their ids follow one another. */
    void (*topk_push_f32)(struct krn_topk *t, const float *score,
                          uint32_t first_id, size_t n);
    void (*score_f32)(const struct krn_score *s); /* see there */
    /* Drop all but the k best. */
    void (*topk_prune_f32)(struct krn_topk *t);
    /* Drop all but the k best and order them, best first. */
    void (*topk_sort_f32)(struct krn_topk *t);

    /* sum[n] += sign * step[n] (sign 1 or -1; step NULL: sum stays), and offer
     * the new sums to t, whose n is 0, as ids 0..n-1 (floor INT32_MAX: none).
     * Sums must not overflow. */
    void (*pick_i32)(int32_t *sum, const int32_t *step, int32_t sign, size_t n,
                     struct krn_pick *t);

    void (*adam_f32)(float *p, float *m, float *v, const float *g, size_t n,
                     const struct krn_adam *o);
    /* Adagrad: s += g*g; p -= lr * g / (sqrt(s) + eps) */
    void (*adagrad_f32)(float *p, float *s, const float *g, size_t n, float lr,
                        float eps);

    /* y may be x in the functions below. */
    void (*exp_f32)(float *y, const float *x, size_t n);
    void (*log_f32)(float *y, const float *x, size_t n);
    void (*tanh_f32)(float *y, const float *x, size_t n);
    void (*sigmoid_f32)(float *y, const float *x, size_t n);
    /* log(sum exp(x)) and exp(x) / sum exp(x) without overflow: both subtract
     * the largest first; lanes.  n >= 1 and a finite x, or NaN. */
    float (*logsumexp_f32)(const float *x, size_t n);
    void (*softmax_f32)(float *y, const float *x, size_t n);
    /* y = (x - mean) / sqrt(variance + eps) * gain + bias; gain NULL: 1, bias
     * NULL: 0; 64 lanes (kernels/lanes.h) */
    void (*layernorm_f32)(float *y, const float *x, const float *gain,
                          const float *bias, size_t n, float eps);
};

extern const struct krn_ops krn_ops_reference;
#ifdef RECD_X86_ISA
extern const struct krn_ops krn_ops_avx2;
extern const struct krn_ops krn_ops_avx512;
#endif

/* Nothing held yet; score and id have KRN_TOPK_ROOM(k) places, k >= 1. */
static inline struct krn_topk krn_topk_start(size_t k, float *score,
                                             uint32_t *id)
{
    return (struct krn_topk){
        k, 0, KRN_TOPK_ROOM(k), score, id, -__builtin_inff(), NULL, NULL};
}

#endif
