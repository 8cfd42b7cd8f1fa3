/*
 * rec/boost.h - gradient-boosted regression trees.
 *
 * Trees grow leaf by leaf, the leaf of the largest gain first, over features
 * that are cut into at most 255 bins of about equal numbers of rows; a leaf's
 * value is a Newton step.
 *
 * Sources: Friedman, Greedy function approximation, Annals of Statistics 2001;
 * histograms: Ke et al., LightGBM, NIPS 2017.
 */
#ifndef REC_BOOST_H
#define REC_BOOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rec_boost_opt {
    size_t trees, leaves; /* leaves at least 2, of each tree at most */
    size_t least;         /* rows of a leaf */
    double rate;          /* share of a tree's answer that counts */
    double l2;            /* added to the second derivatives of a leaf */
};

/* First and second derivatives of the loss by each row's score; g and h [n]. */
struct rec_boost_loss {
    void (*slope)(void *arg, const double *score, float *g, float *h);
    void *arg;
};

/* Trees, as words that can be kept: the numbers of trees and of features, then
 * each tree: its number of nodes, and nodes of four words. */
struct rec_boost {
    uint32_t *words;
    size_t n_words;
};

/*
 * Fit to x[n][w] (no NaN).  Scores begin at 0.  ERR_NOMEM, ERR_STOPPED.
 * Cost: trees * n * w * (depth) additions; n w bytes, and 6 KB for each leaf
 * and feature.  Threads inside; same bits for any number of them.
 */
ERR_CHECK
enum err rec_boost_fit(struct rec_boost *b, const float *x, size_t n, size_t w,
                       const struct rec_boost_opt *opt,
                       const struct rec_boost_loss *loss);
void rec_boost_free(struct rec_boost *b);

/* Whether words from a file are trees over w features: what rec_boost_score()
 * relies upon. */
bool rec_boost_valid(const uint32_t *words, size_t n_words, size_t w);
/* The sum of what the trees say of a row. */
double rec_boost_score(const struct rec_boost *b, const float *row);

#endif
