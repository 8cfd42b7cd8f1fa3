/*
 * privacy_sim/mechanism.h - what a platform lets people choose from, and what
 * people are like.
 *
 * A mechanism is a split rule and a disclosure rule.  Segments are numbered
 * from the oldest (attributes first) to the most recent.
 */
#ifndef SIM_MECHANISM_H
#define SIM_MECHANISM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "privacy_sim/world.h"

enum sim_rule {
    SIM_BINARY,  /* nothing, or everything */
    SIM_PREFIX,  /* nothing, or the k most recent segments */
    SIM_FREE,    /* any subset */
    SIM_ATLEAST, /* nothing, or any subset of at least m segments */
    SIM_FIXED,   /* no choice: a share q of the people discloses all */
};

struct sim_mechanism {
    enum sim_split split;
    size_t blocks;
    enum sim_rule rule;
    size_t least; /* of SIM_ATLEAST */
    double share; /* of SIM_FIXED */
};

/* "SPLIT+RULE": whole, type, blocks:K, category or item; binary, prefix, free,
 * atleast:M or fixed:Q.  ERR_ARG says what is known. */
ERR_CHECK
enum err sim_mechanism_parse(struct sim_mechanism *out, const char *text);

/* The words of both sides, for lists of what can be chosen; end with NULL. */
struct sim_word {
    const char *name, *help;
};
extern const struct sim_word sim_mechanism_words[];

/* Whether a choice among n segments, on[n], is legal. */
bool sim_is_legal(const struct sim_mechanism *m, const uint8_t *on, size_t n);

/* How much privacy weighs for a person: lambda. */
enum sim_taste {
    SIM_CONST,
    SIM_UNIFORM,
    SIM_LOGNORMAL,
    SIM_WESTIN,
    SIM_BIMODAL
};
struct sim_tastes {
    enum sim_taste kind;
    double x[4];
};

/* "const:L", "uniform:A,B", "lognormal:L[,SIGMA]" (mean L; sigma 1),
 * "westin:U,P,F" (10 % unconcerned, 64 % pragmatists, 26 % fundamentalists),
 * "bimodal:L1,L2,PI" (a share PI has a lognormal of mean L1, the others of
 * L2).  ERR_ARG. */
ERR_CHECK
enum err sim_tastes_parse(struct sim_tastes *out, const char *text);

/* The lambda of the person with this key: a draw of their own. */
double sim_taste_of(const struct sim_tastes *t, uint64_t seed, uint64_t key);

/* exp(x), the same bits everywhere. */
double sim_exp(double x);

#endif
