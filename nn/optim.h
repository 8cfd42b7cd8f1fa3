/*
 * nn/optim.h - optimisers, clipping and schedules.
 *
 * One step goes over the block of weights, parameter by parameter; parameters
 * that are used by look-ups alone (nn/embed.h) are stepped on the rows that
 * have gradients.  The state of other rows rests, as if they had not been
 * there (lazy Adam).  A step leaves the gradients at zero.
 *
 * Sources: Adam: Kingma & Ba, ICLR 2015; AdamW: Loshchilov & Hutter, ICLR 2019;
 * Adagrad: Duchi et al., JMLR 2011; clipping: Pascanu et al., ICML 2013.
 */
#ifndef NN_OPTIM_H
#define NN_OPTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/params.h"

enum nn_optim_kind { NN_SGD, NN_ADAM, NN_ADAGRAD };

enum nn_optim_rate { NN_RATE_CONSTANT, NN_RATE_STEP, NN_RATE_COSINE };

/* Zero means the default in brackets, where there is one. */
struct nn_optim_opt {
    enum nn_optim_kind kind;
    double lr;
    double beta1; /* Adam [.9]; SGD: momentum, 0 = none */
    double beta2; /* Adam [.999] */
    double eps;   /* [1e-8; Adagrad 1e-10] */
    double decay; /* AdamW: p -= lr decay p.  Matrices alone: not vectors */
    double l2;    /* gradient += l2 p.  Matrices alone */
    bool spare_tables; /* neither decay nor l2 for looked-up tables */
    double clip;       /* largest norm of the whole gradient; 0 = no limit */
    enum nn_optim_rate rate;
    uint64_t warm_up; /* steps over which lr grows linearly from 0 */
    uint64_t period;  /* STEP: steps between factors; COSINE: length of all */
    double factor;    /* STEP: [.1]; COSINE: share of lr left at the end [0] */
};

struct nn_optim;

/* After nn_tape_plan().  ERR_ARG: a number out of range.  ERR_NOMEM. */
ERR_CHECK
enum err nn_optim_new(struct nn_optim **o, struct nn_params *p,
                      const struct nn_optim_opt *opt);
void nn_optim_free(struct nn_optim *o);

/* Move all parameters that are not frozen.  ERR_NUM: the gradient is not
 * finite (seen when clipping; the weights are as before). */
ERR_CHECK
enum err nn_optim_step(struct nn_optim *o);

/*
 * One training step: forward, backward, nn_optim_step().  The caller has set
 * the inputs, and the number of the step is set to that of the optimiser.
 * *loss (or NULL) is that of the batch before the step.
 * ERR_NUM: the loss is not finite; the weights are as before.
 */
ERR_CHECK
enum err nn_optim_train(struct nn_optim *o, struct nn_tape *t, double *loss);

/* Steps made; the learning rate of step number `step` (from 0). */
uint64_t nn_optim_steps(const struct nn_optim *o);
double nn_optim_lr(const struct nn_optim_opt *opt, uint64_t step);
/* Euclidean norm of the gradients as they are. */
double nn_optim_norm(const struct nn_params *p);

/* The state as floats, for nn_params_save(): a run that is saved, loaded and
 * continued gives the same bits as one that was not. */
size_t nn_optim_state_size(const struct nn_optim *o);
void nn_optim_state(const struct nn_optim *o, float *state);
void nn_optim_restore(struct nn_optim *o, const float *state);

#endif
