/*
 * attack/judge.h - one attack on one case, judged: how well it did, how sure
 * that is, and whether the way of judging can be trusted.
 */
#ifndef ATK_JUDGE_H
#define ATK_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "attack/attack.h"
#include "attack/epsilon.h"
#include "attack/stat.h"

#define ATK_DELTA 1e-5 /* of the bounds of epsilon */
#define ATK_ALPHA 0.05
#define ATK_SHUFFLES 100   /* of the negative control */
#define ATK_SLICE_LEAST 30 /* members, and non-members, of a slice */
#define ATK_SLICES 6

struct atk_at {
    double fpr;      /* asked for */
    bool resolvable; /* there are at least 1 / fpr non-members */
    uint64_t tp, fp;
    struct atk_interval tpr;
};

struct atk_slice {
    const char *name;
    size_t n_member, n_other;
    bool judged; /* both are ATK_SLICE_LEAST or more */
    struct atk_interval area;
};

struct atk_judged {
    const struct atk_attack *attack;
    bool ran;
    char why[256]; /* why it did not */
    struct atk_scores scores;
    struct atk_roc roc;
    struct atk_interval area;
    double advantage;     /* largest TPR - FPR: chosen on the labels */
    double best_accuracy; /* (1 + advantage) / 2 */
    /* At a threshold that was fixed without the target's labels: */
    bool has_threshold;
    double threshold, accuracy; /* balanced */
    struct atk_counts counts;
    double eps_rates, eps_gauss;
    /* Of the surest tenth of guesses; only where membership was a fair coin. */
    bool has_one_run;
    uint64_t guesses, right;
    double eps_one_run;
    struct atk_at at[3]; /* FPR .1, .01, .001 */
    struct atk_slice slice[ATK_SLICES];
    double *risk; /* [target.n] chance of membership at a prior of one half,
                     from the shadow's scores; or NULL */
    /* Controls. */
    unsigned shuffles_cover, shuffles_eps; /* of ATK_SHUFFLES: the interval
                     covers one half; epsilon is above 0 */
    bool has_positive;
    struct atk_interval positive; /* area on a planted case */
    bool trusted;                 /* both controls came out as they must */
    char doubt[160];              /* why not, else empty */
    double seconds;
};

/* coins: membership of the target was drawn by fair, independent coins.
 * planted: a case in which the attack must succeed, or NULL.  ERR_NOMEM and
 * what makes all attacks pointless; an attack that cannot run says why. */
ERR_CHECK
enum err atk_judge(const struct atk_attack *a, const struct atk_case *c,
                   const struct atk_case *planted, bool coins,
                   struct atk_judged *out);
void atk_judged_free(struct atk_judged *j);

/*
 * The same people with lists that give membership away: members' lists repeat
 * their histories, the others' are the most popular items.  Signals are left
 * out.  ERR_NOMEM.
 */
ERR_CHECK
enum err atk_plant_lists(struct atk_case *out, const struct atk_case *c);

#endif
