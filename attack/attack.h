/*
 * attack/attack.h - what a membership-inference attack is: one function that
 * scores people.
 *
 * An attack is a file attack/attack_NAME.c that defines atk_attack_NAME (a dash
 * of the name is an underscore there), and that file under ATK_ATTACKS in
 * Makefile.am.  Nothing else.  Judging, controls and reports are loops over the
 * table (attack/audit.h).
 *
 * Invariant: scores depend on the case and its seed alone.  An attack never
 * looks at target.member; but for the published forms of some, which says so
 * (sees_labels), and then nothing that it finds counts.
 */
#ifndef ATK_ATTACK_H
#define ATK_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack/people.h"
#include "base/err.h"

/* What a model's scores say of people, and what reference models say of the
 * same: phi is the mean log-odds of a person's own items (attack/serve.h). */
struct atk_signals {
    size_t n_refs;
    double *phi; /* [people] under the target */
    double *ref; /* [n_refs][people] under reference models */
    uint8_t *in; /* [n_refs][people] who was in whose training data */
};

struct atk_case {
    struct atk_items items;
    struct atk_people target; /* who is attacked */
    struct atk_people shadow; /* people whom the attacker knows, disjoint from
                                 those; n == 0: nobody */
    /* phi NULL: lists alone.  The shadow's model is reference 0 of the target;
     * the same people under the target itself are the population. */
    struct atk_signals of_target, of_shadow, of_population;
    uint8_t *population_in; /* [shadow.n] whom of them the target was trained
                               on */
    bool no_lists;          /* single rows are in question: only scores tell */
    bool faithful;          /* the attacks' published forms are wanted */
    size_t epochs;          /* of those: for how long the longest learns */
    uint64_t seed;
};
void atk_case_free(struct atk_case *c);

struct atk_scores {
    double *target;  /* [target.n] higher: a member; taken by the caller */
    double *shadow;  /* [shadow.n] the same of the attacker's own people */
    bool has_shadow; /* the attack filled it: a threshold can be learnt */
    bool has_threshold;
    double threshold; /* of the attack's own */
    bool sees_labels; /* it used target.member, as its publication does */
    char note[240];   /* a sentence for the report, or "" */
};

enum atk_needs {
    ATK_NEEDS_SHADOW = 1,  /* people of known membership, and their lists */
    ATK_NEEDS_VECTORS = 2, /* of items */
    ATK_NEEDS_MODELS = 4,  /* scores of the target and of references */
};

struct atk_attack {
    const char *name;   /* as typed after --attack */
    const char *help;   /* one line, no full stop */
    const char *sees;   /* what the attacker must see, for the report */
    const char *source; /* paper */
    unsigned needs;     /* of enum atk_needs */
    enum err (*run)(const struct atk_case *c, struct atk_scores *out);
    /* As its program does it, where that is another thing; else NULL. */
    enum err (*faithful)(const struct atk_case *c, struct atk_scores *out);
};

/* The attacks in Makefile.am order, ending with NULL. */
extern const struct atk_attack *const atk_attacks[];

/* ERR_ARG suggests the nearest. */
ERR_CHECK
enum err atk_attack_find(const char *name, const struct atk_attack **out);

/* run, or faithful (which there has to be), as the case wants it. */
ERR_CHECK
enum err atk_attack_run(const struct atk_attack *a, const struct atk_case *c,
                        struct atk_scores *out);

/* What the case lacks for an attack, as words, or NULL when it lacks nothing.
 */
const char *atk_attack_lacks(const struct atk_attack *a,
                             const struct atk_case *c);

#endif
