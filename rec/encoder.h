/*
 * rec/encoder.h - what LegoNet builds on: encodings of histories that are not
 * learnt from rows which somebody may ask to be forgotten, and keys that say
 * which adapters an encoding activates.
 *
 *   signs       64 random signs an item, named by its key.  Learnt from
 *               nothing: no request can touch it.
 *   attributes  random signs of the catalogue's attributes ("genres=Drama"),
 *               summed; keys are the centres of the catalogue's items.  No
 *               person's request can touch it; forgetting an item of the
 *               catalogue does.
 *   public      singular vectors of the rows of people who were declared
 *               public; keys are the centres of those people.  No other
 *               person's request can touch it; that of a public person does.
 *
 * A person's encoding is the mean over their own items, less a centre; nobody
 * else's rows move it.  Source of keys in the encoding's space: Yu et al.,
 * LegoNet, 2022.
 */
#ifndef REC_ENCODER_H
#define REC_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rec/data.h"

#define REC_ENCODING 64 /* numbers of an encoding */

enum rec_encoder_kind { REC_SIGNS, REC_ATTRIBUTES, REC_PUBLIC };

struct rec_encoder {
    size_t n_keys;
    const uint64_t *sign; /* [n_items], signs alone */
    const float *code;    /* [n_items][REC_ENCODING], the others */
    const float *centre;  /* [REC_ENCODING], the others */
    const float *key;     /* [n_keys][REC_ENCODING], of length 1 */
};

/* Signs of items and random directions as keys. */
void rec_encoder_signs(uint64_t *sign, const uint64_t *item_key, size_t n_items,
                       uint64_t seed);
void rec_encoder_directions(float *key, size_t n_keys, uint64_t seed);

/* What an encoder of attributes or of public rows is made from: two data sets
 * with one digest make the same encoder. */
void rec_encoder_source(enum rec_encoder_kind kind, const struct rec_data *d,
                        unsigned char digest[KEY_DIGEST_BYTES]);

/*
 * Make an encoder of attributes or of public rows.  code [n_items] and centre:
 * zeroed, REC_ENCODING numbers each; key [n_keys].
 * Errors: ERR_ARG: there are no attributes, or no public people (says what to
 * import); ERR_NOMEM.  Same bits for any number of threads.
 */
ERR_CHECK
enum err rec_encoder_learn(enum rec_encoder_kind kind, const struct rec_data *d,
                           uint64_t seed, size_t n_keys, float *code,
                           float *centre, float *key);

/* Whether there is anything to make such an encoder from. */
bool rec_encoder_possible(enum rec_encoder_kind kind, const struct rec_data *d);

/* The encoder that is left when nothing is any more to make one from: signs of
 * items and random directions.  code: zeroed. */
void rec_encoder_blank(const struct rec_data *d, uint64_t seed, size_t n_keys,
                       float *code, float *key);

/* A history's encoding, not scaled: a sum over its n items. */
void rec_encoder_encode(const struct rec_encoder *e, const uint32_t *item,
                        size_t n, float sum[REC_ENCODING]);

/* The n_active keys nearest to an encoding, best first; ties go to the lower
 * number.  n_active <= 64. */
void rec_encoder_nearest(const struct rec_encoder *e,
                         const float sum[REC_ENCODING], size_t n_active,
                         uint32_t *active);

#endif
