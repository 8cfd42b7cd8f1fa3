/*
 * kernels/cuda/module.h - what the CUDA module offers to a program that is not
 * linked to CUDA.
 *
 * The module (recd-cuda.so) is opened at run time (base/device.h) and gives one
 * table of functions.  Pointers called dev_* are on the device.  A function
 * returns 0, or another number and a sentence in why[KRN_CUDA_WHY].  Work is
 * queued in the order of the calls, in a stream of the calling thread; get()
 * and wait() wait for it.
 *
 * Results: sparse products, lists, gather, scatter, sort, draws and optimisers
 * have the bits of the CPU's; dense products, Cholesky, conjugate gradients and
 * losses are equal from run to run, and to the CPU within a tolerance
 * (docs/gpu.md).  No atomics on floating point anywhere.
 */
#ifndef KRN_CUDA_MODULE_H
#define KRN_CUDA_MODULE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/tape.h"

#define KRN_CUDA_VERSION 2
#define KRN_CUDA_WHY 300
#define KRN_CUDA_TOPK 1024 /* longest list */
#define KRN_CUDA_EXACT                                                         \
    128                 /* factors of systems that are solved by Cholesky      \
                         */
#define KRN_CUDA_CG 512 /* and by conjugate gradients */

struct krn_cuda_info {
    char name[128];
    int major, minor; /* compute capability */
    size_t memory, free_memory;
    int processors; /* SMs */
};

/* y[rows][d] = scale (add + A x): CSR with u64 ptr and u32 idx; val NULL: all
 * 1; add NULL: 0, else [rows][d], which may be y. */
struct krn_cuda_spmm {
    size_t rows, d;
    const uint64_t *dev_ptr;
    const uint32_t *dev_idx;
    const float *dev_val, *dev_x, *dev_add;
    float scale;
    float *dev_y;
};

/* out[e] = <a[row[e]], b[idx[e]]> by less + more. */
struct krn_cuda_sddmm {
    size_t n, d;
    const uint32_t *dev_row, *dev_idx;
    const float *dev_a, *dev_b;
    float by, more;
    float *dev_out;
};

/* c[m][n] = op(a) op(b), or c + that when add; a_turned: a is [k][m]; turned: b
 * is [n][k].  batch > 1: as many products, their matrices one behind the
 * other.  0 is 1. */
struct krn_cuda_gemm {
    size_t m, n, k;
    int a_turned, turned, add;
    size_t batch;
    const float *dev_a, *dev_b;
    float *dev_c;
};

/* gram[d][d] = scale x^T x for x[n][d], in chunks whose sums are added in
 * order; room: krn_cuda.gram_bytes(). */
struct krn_cuda_gram {
    size_t n, d;
    float scale;
    const float *dev_x;
    void *dev_room;
    float *dev_gram;
};

/* The k best of scores vec[people][d] item[items][d]^T, best first, ties to the
 * lower number; items in seen_idx[seen_ptr[p]..] are left out (seen_ptr NULL:
 * none).  id is UINT32_MAX where there are fewer. */
struct krn_cuda_topk {
    size_t people, items, d, k;
    const float *dev_vec, *dev_item;
    const uint64_t *dev_seen_ptr;
    const uint32_t *dev_seen_idx;
    uint32_t *dev_id; /* [people][k] */
    float *dev_score; /* [people][k] */
};

/*
 * Rows of implicit ALS: (diag(gram) + sum_e c_e w_e w_e^T + reg_r I) x = sum_e
 * (1 + c_e) w_e over the entries e of a row, w = fixed[idx[e]], c_e = alpha, or
 * alpha value[e]; reg_r = reg * (entries + base)^exponent.  x: start and
 * solution.  steps 0: by Cholesky, d <= KRN_CUDA_EXACT; else steps of conjugate
 * gradients as in kernels/als.c, d <= KRN_CUDA_CG.  A row without entries is 0.
 */
struct krn_cuda_als {
    size_t rows, d, steps;
    const uint64_t *dev_ptr;
    const uint32_t *dev_idx;
    const float *dev_value;            /* or NULL */
    const float *dev_fixed, *dev_gram; /* [*][d], [d] */
    float alpha, reg, base, exponent;
    float *dev_x; /* [rows][d] */
};

/* n systems a[n][d][d] x = b[n][d], symmetric positive definite (the lower
 * triangle is read): x replaces b.  d <= KRN_CUDA_EXACT. */
struct krn_cuda_chol {
    size_t n, d;
    const float *dev_a;
    float *dev_b;
};

/* Shfl-BW: y[row_id][n] = sum over the vectors of a group (docs/sparse.md);
 * bf16 weights and inputs, float sums.  v is 64 or 128, n a multiple of 8. */
struct krn_cuda_shfl {
    size_t groups, v, n;
    const uint32_t *dev_ptr, *dev_col, *dev_row; /* [groups + 1], [vectors],
                                                    [groups v] */
    const uint16_t *dev_val, *dev_x; /* [vectors][v], [columns][n] bf16 */
    float *dev_y;                    /* [rows][n] */
};

/* 2:4: y[m][n] = W x, of each four weights of a row two are kept; bf16, float
 * sums.  m a multiple of 64, k of 64, n of 8.  Packed by kernels/cuda/pack.h.
 */
struct krn_cuda_two_four {
    size_t m, n, k;
    const uint16_t *dev_val;   /* [m][k / 2] */
    const uint32_t *dev_where; /* [m / 16][k / 32][16] */
    const uint16_t *dev_x;     /* [k][n] */
    float *dev_y;
};

/* As krn_adam_f32(): lr holds both corrections. */
struct krn_cuda_adam {
    size_t n;
    float *dev_p, *dev_m, *dev_v;
    const float *dev_g;
    float lr, beta1, beta2, eps, decay;
};

/*
 * Adagrad as krn_adagrad_f32() on rows of p[*][d]: row i of g belongs to row
 * row[i] (NULL: i).  g is 2 (scale g + reg p) before; thin not NULL: 0 where
 * thin[rows][d] is 0.
 */
struct krn_cuda_adagrad {
    size_t rows, d;
    const uint32_t *dev_row;
    const float *dev_g, *dev_thin;
    float scale, reg, lr, eps;
    float *dev_p, *dev_s;
};

/* out[rows][d] = x[idx[row]] */
struct krn_cuda_gather {
    size_t rows, d;
    const uint32_t *dev_idx;
    const float *dev_x;
    float *dev_out;
};

/* Vectors of x[*][d] of which a share is dropped, what is left scaled by 1 / (1
 * - drop): row i is row[i], draw k of krn_draw_derive(seed, what, name). */
struct krn_cuda_thin {
    size_t rows, d;
    const uint32_t *dev_row;
    const uint64_t *dev_name; /* [*] of row[i] */
    uint64_t seed;
    uint32_t what;
    float drop;
    const float *dev_x;
    float *dev_out; /* [rows][d] */
};

/* An order of n samples by draws; a: names, b NULL: krn_draw_order(seed, epoch,
 * a); else krn_draw_pair(seed, what, a[of_a[i]], b[of_b[i]]).  room:
 * krn_cuda.order_bytes(n). */
struct krn_cuda_order {
    size_t n;
    uint64_t seed, epoch;
    uint32_t what;
    const uint64_t *dev_a, *dev_b;
    const uint32_t *dev_of_a, *dev_of_b;
    void *dev_room;
    uint32_t *dev_order;
};

/* Keys and what belongs to them, sorted in place, stably; keys are below
 * 2^bits.  room: krn_cuda.sort_bytes(n).  ptr[i] = keys below i, for i <=
 * n_ptr - 1 (NULL: not wanted). */
struct krn_cuda_sort {
    size_t n;
    int bits;
    uint32_t *dev_key, *dev_val;
    void *dev_room;
    size_t n_ptr;
    uint64_t *dev_ptr;
};

/*
 * A batch of rows against random items (rec/pairs.h, rec/contrast.h): a chunk
 * of rows shares its negatives, draws j of krn_draw_derive(seed, what, first +
 * chunk); what a person has met does not count.  grad: of the mean loss by
 * vec, summed by node in the order rows' people, rows' items, negatives.
 */
enum krn_cuda_loss {
    KRN_CUDA_SOFTMAX,
    KRN_CUDA_BPR,         /* mean over all negatives */
    KRN_CUDA_BPR_COUNTED, /* over those that count */
    KRN_CUDA_HARD         /* weighted by softmax */
};
struct krn_cuda_compare {
    size_t rows, chunk, negatives, d, n_users, n_items;
    enum krn_cuda_loss loss;
    float temperature;
    uint64_t seed, first;
    uint32_t what;
    const uint32_t *dev_order;           /* [rows] */
    const uint32_t *dev_user, *dev_item; /* of all rows */
    const uint64_t *dev_user_ptr;        /* into dev_item, ascending */
    const float *dev_vec;                /* [n_users + n_items][d] */
    void *dev_room;                      /* compare_bytes() */
    float *dev_loss;                     /* [1] mean; or NULL */
    float *dev_grad;                     /* [n_users + n_items][d] */
};

/* y[i] += by[i] x[i], rows of d. */
struct krn_cuda_axpy {
    size_t rows, d;
    const float *dev_by, *dev_x;
    float *dev_y;
};

struct krn_cuda {
    int version;
    int (*info)(struct krn_cuda_info *out, char *why);
    int (*alloc)(void **dev, size_t bytes, char *why);
    void (*free)(void *dev);
    int (*put)(void *dev, const void *from, size_t bytes, char *why);
    int (*get)(void *to, const void *dev, size_t bytes, char *why);
    int (*copy)(void *dev_to, const void *dev_from, size_t bytes, char *why);
    int (*zero)(void *dev, size_t bytes, char *why);
    int (*wait)(char *why);
    /* Milliseconds of fn(arg), repeated, by events: the median. */
    int (*time)(int (*fn)(void *arg, char *why), void *arg, int repeats,
                float *ms, char *why);
    int (*spmm)(const struct krn_cuda_spmm *s, char *why);
    int (*sddmm)(const struct krn_cuda_sddmm *s, char *why);
    int (*gemm)(const struct krn_cuda_gemm *g, char *why);
    size_t (*gram_bytes)(size_t n, size_t d);
    int (*gram)(const struct krn_cuda_gram *g, char *why);
    int (*topk)(const struct krn_cuda_topk *t, char *why);
    int (*als)(const struct krn_cuda_als *a, char *why);
    int (*chol)(const struct krn_cuda_chol *c, char *why);
    int (*shfl)(const struct krn_cuda_shfl *s, char *why);
    int (*two_four)(const struct krn_cuda_two_four *s, char *why);
    int (*adam)(const struct krn_cuda_adam *a, char *why);
    int (*adagrad)(const struct krn_cuda_adagrad *a, char *why);
    int (*gather)(const struct krn_cuda_gather *g, char *why);
    /* Sums of the rows of g by equal idx, which ascend: out[i] += ... in
     * order; starts[n_out + 1] and rows[n_out] name the runs. */
    int (*scatter)(size_t n_out, size_t d, const uint32_t *dev_start,
                   const uint32_t *dev_row, const float *dev_g, float *dev_out,
                   char *why);
    int (*axpy)(const struct krn_cuda_axpy *a, char *why);
    int (*thin)(const struct krn_cuda_thin *t, char *why);
    /* 4 n words: Philox of counters first.. under key. */
    int (*philox)(uint32_t *dev_out, size_t n, uint64_t key, uint64_t first,
                  char *why);
    size_t (*order_bytes)(size_t n);
    int (*order)(const struct krn_cuda_order *o, char *why);
    size_t (*sort_bytes)(size_t n);
    int (*sort)(const struct krn_cuda_sort *s, char *why);
    size_t (*compare_bytes)(const struct krn_cuda_compare *c);
    int (*compare)(const struct krn_cuda_compare *c, char *why);
    struct krn_cuda_tape tape;
};

/* The one symbol of the module. */
#define KRN_CUDA_SYMBOL "krn_cuda_module"
typedef const struct krn_cuda *(*krn_cuda_open_fn)(void);

#endif
