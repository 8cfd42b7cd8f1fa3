/*
 * kernels/cuda/tape.h - the arithmetic of kernels/tape.h on the device, for
 * whole tensors at once: one job is one launch.
 *
 * Products are chains over k and elements are formed as on the CPU: the CPU's
 * bits.  Sums over rows and columns run in other orders, fixed ones.
 */
#ifndef KRN_CUDA_TAPE_H
#define KRN_CUDA_TAPE_H

#include <stddef.h>
#include <stdint.h>

/* C (+)= op(A) op(B) as in struct krn_mm, `batch` times: matrix z lies `out`
 * floats times z / inner, plus `in` times z % inner, behind the first. */
struct krn_cuda_step {
    size_t out, in;
};
struct krn_cuda_mm {
    int ta, tb, add;
    size_t m, n, k;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float *c;
    size_t ldc;
    size_t batch, inner; /* 0 is 1 */
    struct krn_cuda_step a_step, b_step, c_step;
};

/* What a job does; `+=` where j.add says so, else `=`.  i counts elements of
 * rows x n; r and c are its row and column. */
enum krn_cuda_work {
    KRN_JOB_MAP,        /* y = f(x) */
    KRN_JOB_MAP_GRAD,   /* y += x f'; u, v: f's argument and value */
    KRN_JOB_BIAS_MAP,   /* y = f(y + u[c]); the argument to z, unless NULL */
    KRN_JOB_ZIP,        /* y = f(x, u[i % other]) */
    KRN_JOB_ZIP_A,      /* y += x df/da at (u, v[i % other]) */
    KRN_JOB_ZIP_B,      /* y += x df/db at (u, v[i % other]) */
    KRN_JOB_SCALE,      /* y += a x + b */
    KRN_JOB_CLIP,       /* y = x limited to a..b */
    KRN_JOB_CLIP_GRAD,  /* y += x where u is inside a..b */
    KRN_JOB_DROP,       /* y += x, dropped; keys or the row name it */
    KRN_JOB_MOVE,       /* y[r ldy + c] += x[r ldx + c]; x NULL: 0 */
    KRN_JOB_REPEAT,     /* y[r][k][c] = x[r][c], k < other */
    KRN_JOB_GATHER_UP,  /* y[r][c] += a sum over k < other of x[r][k][c] */
    KRN_JOB_SPREAD,     /* y[r][k][c] += a x[r][c], k < other */
    KRN_JOB_FILL,       /* y += x[0] z[0], times u[i] unless NULL */
    KRN_JOB_EMBED,      /* y[r] = x[ids[r]], 0 where ids[r] is nothing */
    KRN_JOB_EMBED_GRAD, /* ids ascend: y[ids[r]] += x[places[r] / other] */
    KRN_JOB_PICK,       /* y[r] = x[r / other][ids[r]] of ldx, 0 for nothing */
    KRN_JOB_PICK_GRAD,  /* y[r][ids[r, k]] += x[r, k] of ldx, k < other */
    KRN_JOB_CE_GRAD,    /* y += x[r] (u - 1 at ids[r]); ids NULL: column 0 */
    KRN_JOB_ROWS,       /* y += x[r] u */
    KRN_JOB_GRU,        /* one step; see kernels/cuda/tape.cu */
    KRN_JOB_GRU_GRAD,
    KRN_JOB_STEP_SGD,  /* p y, velocity z (or NULL), gradient x, which is 0
                           after; rows: ids, or NULL */
    KRN_JOB_STEP_ADAM, /* and v w */
    KRN_JOB_STEP_ADAGRAD,
    /* a warp for each row: */
    KRN_JOB_SOFTMAX,      /* y = softmax(x) where u (or NULL) is not 0 */
    KRN_JOB_SOFTMAX_GRAD, /* y += , x = dy, u = softmax */
    KRN_JOB_LOG_SOFTMAX,
    KRN_JOB_LOG_SOFTMAX_GRAD,
    KRN_JOB_NORM,   /* y = layer norm of x, gain u, bias v; z[r][2] */
    KRN_JOB_NORM_X, /* y += dx; x = dy, u = x, v = gain, w = z */
    KRN_JOB_CE,     /* y[r] = -ln softmax(x)[ids[r]], z = softmax */
    KRN_JOB_LIST,   /* y[r] = list_ce(x, labels u, mask v), z = gradient */
    KRN_JOB_ATTEND, /* y = softmax of a x over what a row may see */
    /* a block for 32 columns: */
    KRN_JOB_COLUMNS,   /* y[c] += sum over r of x[r ldx + c] */
    KRN_JOB_NORM_GAIN, /* y[c] += sum of x (u - mean) / dev; w: z of NORM */
    /* one block: */
    KRN_JOB_SUM,    /* y[0] = sum x u / sum u (add: not divided); z[0] =
                        the factor of x u */
    KRN_JOB_SQUARE, /* y[0] = sum x^2 */
};

struct krn_cuda_job {
    enum krn_cuda_work work;
    int f, add;
    size_t rows, n, ldx, ldy, other;
    float a, b;
    float *y, *z, *v_out;
    const float *x, *u, *v, *w;
    const uint32_t *ids, *places;
    const uint64_t *keys;
    uint64_t seed, step;
    double rate;
    /* ATTEND: rows are lists x heads x queries */
    size_t heads, queries, window;
    int causal;
    /* steps of optimisers, as struct krn_step */
    float lr, beta1, beta2, eps, keep, l2, clip;
};

struct krn_cuda_tape {
    int (*mm)(const struct krn_cuda_mm *g, char *why);
    int (*job)(const struct krn_cuda_job *j, char *why);
};

#endif
