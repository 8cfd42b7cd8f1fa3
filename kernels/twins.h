/*
 * kernels/twins.h - names of all kernels of all instruction sets, and the
 * tables made of them.  Only kernels/ and the tests of kernels include this.
 *
 * krn_X_f32 is the reference; krn_X_f32__avx2 and krn_X_f32__avx512 are its
 * twins.  Contracts: kernels/ops.h, at the member of the same name.
 */
#ifndef KRN_TWINS_H
#define KRN_TWINS_H

#include "kernels/ops.h"

#define KRN_DECLARE(S)                                                         \
    float krn_dot_f32##S(const float *a, const float *b, size_t n);            \
    float krn_sum_f32##S(const float *a, size_t n);                            \
    void krn_axpy_f32##S(float *y, float a, const float *x, size_t n);         \
    void krn_scale_f32##S(float *y, float a, size_t n);                        \
    float krn_spin_f32##S(size_t rounds);                                      \
    void krn_gemm_f32##S(const struct krn_gemm *g);                            \
    void krn_gemv_f32##S(float *y, const float *a, size_t lda, const float *x, \
                         size_t m, size_t n);                                  \
    void krn_spmm_f32##S(const struct krn_spmm *s);                            \
    void krn_sddmm_f32##S(const struct krn_sddmm *s);                          \
    void krn_groups_f32##S(const struct krn_groups *s);                        \
    void krn_groups_turned_f32##S(const struct krn_groups *s);                 \
    void krn_packs_f32##S(const struct krn_packs *s);                          \
    void krn_syrk_rows_f32##S(float *a, size_t lda, const float *x,            \
                              size_t ldx, const uint32_t *idx, const float *w, \
                              size_t n, size_t d);                             \
    bool krn_chol_solve_f32##S(float *a, size_t lda, float *b, size_t d);      \
    void krn_interleave16_f32##S(float *to, const float *a, size_t stride,     \
                                 size_t lda, size_t d);                        \
    void krn_chol_solve16_f32##S(float *a, float *b, size_t d);                \
    void krn_gather_t_f32##S(float *to, size_t m, const float *x, size_t ldx,  \
                             const uint32_t *idx, const float *by,             \
                             const float *c, size_t n, size_t d);              \
    void krn_cg_row_f32##S(float *w, const struct krn_cg *s);                  \
    void krn_topk_push_f32##S(struct krn_topk *t, const float *score,          \
                              uint32_t first_id, size_t n);                    \
    void krn_score_f32##S(const struct krn_score *s);                          \
    void krn_topk_prune_f32##S(struct krn_topk *t);                            \
    void krn_topk_sort_f32##S(struct krn_topk *t);                             \
    void krn_pick_i32##S(int32_t *sum, const int32_t *step, int32_t sign,      \
                         size_t n, struct krn_pick *t);                        \
    void krn_adam_f32##S(float *p, float *m, float *v, const float *g,         \
                         size_t n, const struct krn_adam *o);                  \
    void krn_adagrad_f32##S(float *p, float *s, const float *g, size_t n,      \
                            float lr, float eps);                              \
    void krn_exp_f32##S(float *y, const float *x, size_t n);                   \
    void krn_log_f32##S(float *y, const float *x, size_t n);                   \
    void krn_tanh_f32##S(float *y, const float *x, size_t n);                  \
    void krn_sigmoid_f32##S(float *y, const float *x, size_t n);               \
    float krn_logsumexp_f32##S(const float *x, size_t n);                      \
    void krn_softmax_f32##S(float *y, const float *x, size_t n);               \
    void krn_layernorm_f32##S(float *y, const float *x, const float *gain,     \
                              const float *bias, size_t n, float eps);

#define KRN_TABLE(S, NAME)                                                     \
    {                                                                          \
        .name = NAME, .dot_f32 = krn_dot_f32##S, .sum_f32 = krn_sum_f32##S,    \
        .axpy_f32 = krn_axpy_f32##S, .scale_f32 = krn_scale_f32##S,            \
        .spin_f32 = krn_spin_f32##S, .gemm_f32 = krn_gemm_f32##S,              \
        .gemv_f32 = krn_gemv_f32##S, .spmm_f32 = krn_spmm_f32##S,              \
        .sddmm_f32 = krn_sddmm_f32##S, .syrk_rows_f32 = krn_syrk_rows_f32##S,  \
        .chol_solve_f32 = krn_chol_solve_f32##S,                               \
        .groups_f32 = krn_groups_f32##S,                                       \
        .groups_turned_f32 = krn_groups_turned_f32##S,                         \
        .packs_f32 = krn_packs_f32##S,                                         \
        .interleave16_f32 = krn_interleave16_f32##S,                           \
        .chol_solve16_f32 = krn_chol_solve16_f32##S,                           \
        .gather_t_f32 = krn_gather_t_f32##S, .cg_row_f32 = krn_cg_row_f32##S,  \
        .pick_i32 = krn_pick_i32##S, .topk_push_f32 = krn_topk_push_f32##S,    \
        .score_f32 = krn_score_f32##S,                                         \
        .topk_prune_f32 = krn_topk_prune_f32##S,                               \
        .topk_sort_f32 = krn_topk_sort_f32##S, .adam_f32 = krn_adam_f32##S,    \
        .adagrad_f32 = krn_adagrad_f32##S, .exp_f32 = krn_exp_f32##S,          \
        .log_f32 = krn_log_f32##S, .tanh_f32 = krn_tanh_f32##S,                \
        .sigmoid_f32 = krn_sigmoid_f32##S,                                     \
        .logsumexp_f32 = krn_logsumexp_f32##S,                                 \
        .softmax_f32 = krn_softmax_f32##S,                                     \
        .layernorm_f32 = krn_layernorm_f32##S,                                 \
    }

KRN_DECLARE()
#ifdef RECD_X86_ISA
KRN_DECLARE(__avx2)
KRN_DECLARE(__avx512)
#endif

#endif
