/*
 * kernels/tape.h - the arithmetic of neural networks, forward and backward.
 *
 * Every function exists for float, in three instruction sets that give the
 * same bits, and for double, which is there to check gradients by central
 * differences.  One inner file (tape_*.inc) is compiled for each of the four,
 * so that what is checked in double is what runs in float.  The pointers are
 * to the table's real type; `real` below stands for it.
 *
 * Rules of kernels/ops.h: nothing fails, nothing is allocated, no threads;
 * reductions run in 16 lanes or as chains in ascending order.  `add` says
 * whether an output is added to what is there or replaces it.
 */
#ifndef KRN_TAPE_H
#define KRN_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ops.h"

/* y = f(x).  `a` is the slope of LEAKY below zero. */
enum krn_map {
    KRN_MAP_NONE,
    KRN_MAP_RELU,
    KRN_MAP_LEAKY,
    KRN_MAP_GELU, /* x/2 (1 + tanh(sqrt(2/pi) (x + .044715 x^3))) */
    KRN_MAP_TANH,
    KRN_MAP_SIGMOID,
    KRN_MAP_SOFTPLUS, /* ln(1 + e^x) */
    KRN_MAP_SWISH,    /* x sigmoid(x) */
    KRN_MAP_EXP,
    KRN_MAP_LOG,
    KRN_MAP_SQRT,
    KRN_MAP_SQUARE,
};

/* y = f(a, b).  MIN takes a where a <= b, and so does its gradient. */
enum krn_zip {
    KRN_ZIP_ADD,
    KRN_ZIP_SUB,
    KRN_ZIP_MUL,
    KRN_ZIP_DIV,
    KRN_ZIP_MIN,
};

/* C (+)= op(A) op(B), as in struct krn_gemm. */
struct krn_mm {
    bool ta, tb, add;
    size_t m, n, k;
    const void *a;
    size_t lda;
    const void *b;
    size_t ldb;
    void *c;
    size_t ldc;
    float *scratch; /* KRN_GEMM_SCRATCH floats, for float alone */
};

/* One time step of one row of a gated recurrent unit or an LSTM; h wide. */
struct krn_gru {
    size_t h;
    void *gi;       /* [3h] r z n from the input; becomes r z n after gates */
    const void *gh; /* [3h] r z n from the state, bias included */
    void *un;       /* [h] out: the n part of gh, kept for backward */
    const void *prev;
    void *next;
};

struct krn_gru_grad {
    size_t h;
    const void *act; /* [3h] r z n */
    const void *un;
    const void *prev;
    const void *dnext; /* [h] */
    void *dgi;         /* [3h] out */
    void *dgh;         /* [3h] out */
    void *dprev;       /* [h] out, without the part through dgh; may be dnext */
};

struct krn_lstm {
    size_t h;
    void *gate; /* [4h] i f g o before; after activation on return */
    const void *cprev;
    void *c, *next; /* [h] */
};

struct krn_lstm_grad {
    size_t h;
    const void *gate, *cprev, *c;
    const void *dnext; /* [h] */
    const void *dc;    /* [h] from the next step */
    void *dgate;       /* [4h] out */
    void *dcprev;      /* [h] out; may be dc */
};

/* What an optimiser does to n parameters; see nn/optim.h. */
struct krn_step {
    double lr;           /* bias correction of Adam included */
    double beta1, beta2; /* momentum of SGD is beta1 */
    double eps;
    double decay; /* p -= decay p for adam, lr decay p for the others */
    double l2;    /* g += l2 p (before everything but clipping) */
};

struct krn_tape {
    const char *name;
    size_t size; /* sizeof(real) */

    /* --- products: chain over k --- */
    void (*mm)(const struct krn_mm *g);

    /* --- element by element; y may be x --- */
    void (*map)(enum krn_map f, double a, void *y, const void *x, size_t n);
    /* dx (+)= dy f'; y is f(x).  Which of the two f needs: krn_map_needs_x() */
    void (*map_grad)(enum krn_map f, double a, bool add, void *dx,
                     const void *dy, const void *x, const void *y, size_t n);
    /* rows of n: pre = y + bias (pre NULL: not kept), y = f(pre) */
    void (*bias_map)(enum krn_map f, double a, void *y, void *pre,
                     const void *bias, size_t rows, size_t n, size_t ld);
    void (*zip)(enum krn_zip f, void *y, const void *a, const void *b,
                size_t n);
    /* da or db (+)= dy df/da or df/db; either may be NULL */
    void (*zip_grad)(enum krn_zip f, void *da, bool adda, void *db, bool addb,
                     const void *dy, const void *a, const void *b, size_t n);
    void (*scale)(void *y, bool add, double a, const void *x, double shift,
                  size_t n); /* y (+)= a x + shift */
    void (*product)(void *y, bool add, const void *a, const void *b, size_t n);
    /* y (+)= x limited to lo..hi; its gradient is 1 inside */
    void (*clip)(void *y, const void *x, double lo, double hi, size_t n);
    void (*clip_grad)(void *dx, bool add, const void *dy, const void *x,
                      double lo, double hi, size_t n);
    /* y (+)= x scale where draw (key, i) >= rate, 0 elsewhere; one row of n */
    void (*drop)(void *y, bool add, const void *x, uint64_t seed, uint64_t key,
                 uint64_t step, double rate, size_t n);
    /* standard normal draws of row `key` */
    void (*gauss)(void *y, uint64_t seed, uint64_t key, uint64_t step,
                  size_t n);

    /* --- sums --- */
    double (*sum)(const void *x, size_t n);                /* lanes */
    double (*dot)(const void *a, const void *b, size_t n); /* lanes */
    /* y[n] (+)= sum over rows of x[rows][ld], ascending */
    void (*columns)(void *y, bool add, const void *x, size_t rows, size_t n,
                    size_t ld);

    /* --- rows of n --- */
    /* mask (or NULL): entries with mask[i] == 0 get probability 0; a row all
     * masked is all 0 */
    void (*softmax)(void *y, const void *x, const void *mask, size_t n);
    void (*softmax_grad)(void *dx, bool add, const void *dy, const void *y,
                         size_t n);
    void (*log_softmax)(void *y, const void *x, size_t n);
    void (*log_softmax_grad)(void *dx, bool add, const void *dy, const void *y,
                             size_t n);
    /* keep[2] = mean, 1 / sqrt(variance + eps) */
    void (*norm)(void *y, void *keep, const void *x, const void *gain,
                 const void *bias, size_t n, double eps);
    /* dgain += , dbias += (NULL: not wanted), dx (+)= (NULL: not wanted) */
    void (*norm_grad)(void *dx, bool add, void *dgain, void *dbias,
                      const void *dy, const void *x, const void *gain,
                      const void *keep, size_t n);
    /* y = x / sqrt(sum x^2 + eps); keep[1] = the factor */
    void (*unit)(void *y, void *keep, const void *x, size_t n, double eps);
    void (*unit_grad)(void *dx, bool add, const void *dy, const void *y,
                      const void *keep, size_t n);
    /* -ln softmax(x)[label]; keep[n] = softmax(x) */
    double (*ce)(void *keep, const void *x, size_t label, size_t n);
    /* sum_j (y_j / sum y) -ln softmax(x)_j over mask; a row without a positive
     * label is 0; keep[n] = gradient */
    double (*list_ce)(void *keep, const void *x, const void *y,
                      const void *mask, size_t n);

    /* --- steps of recurrent networks --- */
    void (*gru)(const struct krn_gru *g);
    void (*gru_grad)(const struct krn_gru_grad *g);
    void (*lstm)(const struct krn_lstm *g);
    void (*lstm_grad)(const struct krn_lstm_grad *g);

    /* --- optimisers --- */
    void (*sgd)(void *p, void *velocity, const void *g, size_t n, double clip,
                const struct krn_step *o); /* velocity NULL: none */
    void (*adam)(void *p, void *m, void *v, const void *g, size_t n,
                 double clip, const struct krn_step *o);
    void (*adagrad)(void *p, void *s, const void *g, size_t n, double clip,
                    const struct krn_step *o);
};

/* Whether map_grad looks at x; otherwise it looks at y alone. */
bool krn_map_needs_x(enum krn_map f);

/* One number at a time, for tensors of either type. */
double krn_tape_get(const struct krn_tape *k, const void *x, size_t i);
void krn_tape_set(const struct krn_tape *k, void *x, size_t i, double value);

extern const struct krn_tape krn_tape_f64;
extern const struct krn_tape krn_tape_f32;
#ifdef RECD_X86_ISA
extern const struct krn_tape krn_tape_f32__avx2;
extern const struct krn_tape krn_tape_f32__avx512;
#endif

/* The float table of one instruction set (NULL: not compiled in). */
const struct krn_tape *krn_tape_of(enum krn_isa isa);

#endif
