/*
 * attack/forgotten.h - can people who were forgotten still be told from people
 * who were never there?
 *
 * Four kinds of models are asked about them: the original (trained with them),
 * the repaired one (that the store serves), one retrained without them, and
 * references that saw neither them nor the controls.  A person's score is how
 * much better a model fits their history than the references do.
 *
 * Models that are equal bit by bit need no attack: that is enough.  Where they
 * are not, the audit means something only where the original gives the
 * forgotten away, and with twenty of them at least; else it cannot tell.
 */
#ifndef ATK_FORGOTTEN_H
#define ATK_FORGOTTEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack/stat.h"
#include "base/err.h"
#include "rec/model.h"

/* People's histories by the keys of items: models differ in their universes. */
struct atk_traces {
    size_t n;
    uint64_t *key;  /* [n] ascending */
    size_t *ptr;    /* [n + 1] */
    uint64_t *item; /* [ptr[n]] */
    float *value;   /* [ptr[n]], or NULL */
    int64_t *time;  /* [ptr[n]], or NULL */
};
void atk_traces_free(struct atk_traces *t);

/* The histories of the people with pick, from d; and d without those. */
ERR_CHECK
enum err atk_traces_of(struct atk_traces *out, const struct rec_data *d,
                       const uint8_t *pick);

/* The same from a file of (user, item) rows, of any format that `recd import`
 * reads; *id [n] (each, and the list, to be freed) or NULL: names. */
ERR_CHECK
enum err atk_traces_read(struct atk_traces *out, char ***id, const char *path);

/* d and the people of t together; who is in both is an error (ERR_ARG). */
ERR_CHECK
enum err atk_traces_join(struct rec_data *out, const struct rec_data *d,
                         const struct atk_traces *t);

enum atk_kind { ATK_ORIGINAL, ATK_REPAIRED, ATK_RETRAINED, ATK_KINDS };

enum atk_verdict {
    ATK_FORGOTTEN,      /* as invisible as in the retrained model */
    ATK_STILL_THERE,    /* more visible than there */
    ATK_OVER_FORGOTTEN, /* less than people who were never there: a trace too */
    ATK_CANNOT_TELL,    /* not seen in the original either, or too few */
};

struct atk_forgotten {
    size_t n_forgotten, n_controls, n_refs;
    bool same_bits; /* digests of the repaired and the retrained are equal */
    struct atk_interval area[ATK_KINDS]; /* forgotten against controls */
    struct atk_interval left;   /* area(repaired) - area(retrained), paired */
    struct atk_interval gained; /* area(original) - area(repaired), paired */
    struct atk_interval tpr[ATK_KINDS]; /* at 1 % FPR */
    bool resolvable;                    /* 100 controls and more */
    struct atk_interval shift; /* mean of repaired - retrained scores, 95 % */
    double share[ATK_KINDS];   /* estimated share of them still present */
    size_t above;              /* people whose chance of membership stays more
                                  than .1 above that in the retrained model */
    enum atk_verdict verdict;
};

struct atk_forgotten_in {
    const struct rec_model *model[ATK_KINDS];
    const struct rec_model *never;      /* trained without the controls */
    const struct rec_model *const *ref; /* [n_refs] without either */
    size_t n_refs;
    const struct atk_traces *forgotten, *controls;
    uint64_t seed;
};

/* ERR_ARG: nobody of either kind, no references; ERR_NOMEM. */
ERR_CHECK
enum err atk_forgotten_judge(struct atk_forgotten *out,
                             const struct atk_forgotten_in *in);

/* "forgotten", "still there", "over-forgotten", "cannot tell". */
const char *atk_verdict_name(enum atk_verdict v);
/* NULL without memory. */
json_t *atk_forgotten_json(const struct atk_forgotten *f);

#endif
