/*
 * attack/dl_net.h - the networks of DL-MIA as published, and their steps.
 *
 * Each number of a difference vector is a word.  Two encoders of their own
 * tables of words (a word is one trainable number, at first itself) read the
 * vector as a sentence, by recurrent networks both ways; a recurrent decoder
 * says the sentence again, by a softmax over all words; two networks judge the
 * vector and its specific part.  Source: Wang et al., KDD 2022; its program's
 * sizes.
 *
 * Differs: the softmax has all words of the batch, and ATK_DL_SAMPLED of the
 * others, which stand for all others; where those are no more than that, it is
 * the published one.  Words that a step does not touch are moved by Adam all
 * the same (attack/moving.h).  The third network has weight 0 in the published
 * scripts for sequences and is left out.  A gate has one bias, where PyTorch's
 * have two.
 */
#ifndef ATK_DL_NET_H
#define ATK_DL_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack/moving.h"
#include "attack/vmf.h"
#include "nn/nn.h"

#define ATK_DL_PAIRS ((size_t)2)       /* of a batch */
#define ATK_DL_ROWS (2 * ATK_DL_PAIRS) /* the pairs' shadows, then targets */
#define ATK_DL_PART ((size_t)50)       /* numbers of a part */
#define ATK_DL_HIDDEN ((size_t)100)    /* of the decoder */
#define ATK_DL_LONGEST ((size_t)256)   /* vector that is read */
#define ATK_DL_SPECIFIC 0.3 /* weight of the network that judges that part */
#define ATK_DL_SERVE ((size_t)32) /* people of a pass without learning */
#ifndef ATK_DL_SAMPLED
#define ATK_DL_SAMPLED ((size_t)256) /* words beside those of the batch */
#endif

enum { ATK_DL_UNKNOWN, ATK_DL_BEGIN, ATK_DL_END, ATK_DL_WORDS };

/* A person as the networks take them. */
struct atk_dl_row {
    const float *x;       /* [dim] the numbers */
    const uint32_t *word; /* [dim] and the words they are */
    uint8_t member;
};

/* Up to ATK_DL_PAIRS pairs: row i of the shadow, i + ATK_DL_PAIRS of the
 * target. */
struct atk_dl_batch {
    size_t n;
    struct atk_dl_row row[ATK_DL_ROWS];
};

/* One encoder and what it is fed. */
struct atk_dl_reader {
    struct nn_tensor *x;    /* [rows][dim] numbers, for the judges */
    struct nn_tensor *word; /* [rows][dim][1] what words have become */
    struct atk_vmf_draw draw;
    struct nn_tensor *specific;    /* [rows][part] */
    struct nn_tensor *whole, *spe; /* [rows][2] the networks' opinions */
    struct nn_tensor *both;        /* [rows][2] weighed */
};

struct atk_dl_net {
    size_t dim, n_words;
    uint64_t seed;
    struct nn_params *p;
    float *m, *v;            /* moments of p */
    uint32_t steps;          /* of encoders, decoder, tables */
    uint32_t judge_steps;    /* of the judges: Adam's */
    uint32_t truth_steps;    /* of the truth scores */
    struct atk_moving y, z;  /* [n_words][1] of the two encoders */
    struct atk_moving out;   /* [n_words][HIDDEN + 1]: weights, bias */
    struct atk_moving truth; /* [2 n_pairs][1] shadows', then targets' */
    uint32_t *mark, *column; /* [n_words] of which step, where */
    struct {
        struct nn_tape *t;
        struct atk_dl_reader y;
        struct nn_tensor *z;                 /* as y.word */
        struct nn_tensor *word, *log_weight; /* [columns][..], [columns] */
        struct nn_tensor *said; /* ids [rows * (dim + 1)] of columns */
        struct nn_tensor *label, *weight, *judge_weight; /* [rows] */
        struct nn_tensor *loss;
        size_t columns;
        uint32_t *used; /* [columns] which word */
        float *row;     /* [columns][HIDDEN + 1] room for rows, gradients */
        double *grad;   /* [columns] */
    } learn;
    struct {
        struct nn_tape *t;
        struct atk_dl_reader y;
        struct nn_tensor *x0, *specific0, *both0; /* from before */
        struct nn_tensor *label, *label0, *share; /* share: [2][rows] */
        struct nn_tensor *truth, *lambda;         /* [rows] */
        struct nn_tensor *loss;
    } weigh;
    struct {
        struct nn_tape *t;
        struct atk_dl_reader y;
    } serve;
    struct {
        struct nn_tape *t;
        struct nn_tensor *x, *specific, *label, *loss;
    } classify;
};

/* value[n_words]: the numbers.  Everything is taken from m.  ERR_NOMEM. */
ERR_CHECK
enum err atk_dl_net_build(struct atk_dl_net *n, struct mem_scratch *m,
                          const float *value, size_t n_pairs);
void atk_dl_net_free(struct atk_dl_net *n);

/*
 * A step of encoders and decoder; and of the judges, with weight omega of all,
 * when judge is set.  A target's label is whether the judges are right about
 * them (as published, where the prediction is overwritten by that).
 * *loss (or NULL): reconstruction and divergences, a mean of pairs.
 * ERR_NUM: not finite.
 */
ERR_CHECK
enum err atk_dl_net_learn(struct atk_dl_net *n, const struct atk_dl_batch *b,
                          double omega, bool judge, double *loss);

/* A step of the judges alone on one person: descent with momentum. */
ERR_CHECK
enum err atk_dl_net_classify(struct atk_dl_net *n, const struct atk_dl_row *r,
                             const float *specific);

/* What was known of a batch before the joint training. */
struct atk_dl_before {
    struct atk_dl_batch b;
    const float *specific[ATK_DL_ROWS]; /* [part] */
};
/* A step of truth scores number at.. and of everything that the difference of
 * surprise before and now depends on.  lambda: weights of shadow, target. */
ERR_CHECK
enum err atk_dl_net_weigh(struct atk_dl_net *n, const struct atk_dl_batch *b,
                          const struct atk_dl_before *before, size_t at,
                          const double lambda[2]);

/* count <= ATK_DL_SERVE people: log-odds of membership, and (unless NULL) the
 * draws of their specific parts [count][part].  name: of the draws. */
ERR_CHECK
enum err atk_dl_net_serve(struct atk_dl_net *n, const struct atk_dl_row *r,
                          size_t count, uint64_t name, double *score,
                          float *specific);

#endif
