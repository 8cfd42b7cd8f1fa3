/*
 * attack/epsilon.h - what a successful attack proves about a model's epsilon.
 *
 * A model that is (epsilon, delta) differentially private limits every attack;
 * an attack that does better than an epsilon allows refutes it.  The bounds
 * below hold with probability 1 - alpha for one threshold that was chosen
 * without the people it is judged on.  They speak of this training run and this
 * attacker: a small bound is no guarantee.
 */
#ifndef ATK_EPSILON_H
#define ATK_EPSILON_H

#include <stdint.h>

/* At one threshold: tp of p members and fp of q non-members are called
 * members. */
struct atk_counts {
    uint64_t tp, p, fp, q;
};

/*
 * From TPR <= e^eps FPR + delta and its mirror, each rate at its
 * Clopper-Pearson limit with alpha / 2.  Source: Kairouz, Oh & Viswanath, ICML
 * 2015; Jagielski, Ullman & Oprea, NeurIPS 2020.
 */
double atk_epsilon_rates(const struct atk_counts *c, double delta,
                         double alpha);

/*
 * If the trade-off is that of a Gaussian mechanism: its mu from the two limits,
 * then epsilon at delta (> 0).  Tighter, and assumes more.
 * Source: Dong, Roth & Su, JRSS B 84, 2022; Nasr et al., USENIX Security 2023.
 */
double atk_epsilon_gauss(const struct atk_counts *c, double delta,
                         double alpha);

/*
 * From one training run: of m people, each in the data by a fair coin, r were
 * guessed and v guesses were right.  r is fixed beforehand.
 * Source: Steinke, Nasr & Jagielski, NeurIPS 2023, theorem 5.2.  Cost O(r) a
 * step of a bisection of 50.
 */
double atk_epsilon_one_run(uint64_t m, uint64_t r, uint64_t v, double delta,
                           double alpha);

#endif
