/* privacy_sim/mechanism.c - what may be chosen, and how much privacy weighs. */
#include "privacy_sim/mechanism.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/power.h"

#define MOST_BLOCKS 64

const struct sim_word sim_mechanism_words[] = {
    {"whole+RULE", "everything is one segment"},
    {"type+RULE", "attributes, and behaviours"},
    {"blocks:K+RULE", "attributes, and K blocks of time"},
    {"category+RULE", "attributes, and a segment for each category"},
    {"item+RULE", "every attribute and every item"},
    {"SPLIT+binary", "nothing, or everything"},
    {"SPLIT+prefix", "nothing, or the most recent segments"},
    {"SPLIT+free", "any segments"},
    {"SPLIT+atleast:M", "nothing, or M segments and more"},
    {"SPLIT+fixed:Q", "no choice: a share Q of the people discloses all"},
    {NULL, NULL},
};

/* "name" or "name:A,B,C" with least..most numbers; false when it is another
 * word or the numbers do not fit. */
static bool word(const char *text, size_t len, const char *name, size_t least,
                 size_t most, double *x, size_t *n)
{
    const size_t l = strlen(name);
    char buffer[128], *p = buffer;

    *n = 0;
    if (len >= sizeof(buffer) || len < l || memcmp(text, name, l) != 0)
        return false;
    memcpy(buffer, text, len);
    buffer[len] = '\0';
    if (len == l)
        return least == 0;
    p += l;
    for (char before = ':'; *p != '\0'; before = ',') {
        char *end;

        if (*p != before || *n == most)
            return false;
        x[*n] = strtod(p + 1, &end);
        if (end == p + 1 || !(x[*n] >= 0 && x[*n] < 1e9))
            return false;
        (*n)++;
        p = end;
    }
    return *n >= least;
}

static bool parse_split(struct sim_mechanism *m, const char *text, size_t len)
{
    static const char *const plain[] = {[SIM_WHOLE] = "whole",
                                        [SIM_TYPE] = "type",
                                        [SIM_CATEGORY] = "category",
                                        [SIM_ITEM] = "item"};
    double x[1];
    size_t n;

    for (int s = SIM_WHOLE; s <= SIM_ITEM; s++) {
        m->split = (enum sim_split)s;
        if (s == SIM_BLOCKS) {
            if (!word(text, len, "blocks", 1, 1, x, &n))
                continue;
            m->blocks = (size_t)x[0];
            return x[0] >= 1 && x[0] <= MOST_BLOCKS &&
                   (double)m->blocks == x[0];
        }
        if (word(text, len, plain[s], 0, 0, x, &n))
            return true;
    }
    return false;
}

static bool parse_rule(struct sim_mechanism *m, const char *text)
{
    const size_t len = strlen(text);
    double x[1];
    size_t n;

    m->rule = SIM_BINARY;
    if (word(text, len, "binary", 0, 0, x, &n))
        return true;
    m->rule = SIM_PREFIX;
    if (word(text, len, "prefix", 0, 0, x, &n))
        return true;
    m->rule = SIM_FREE;
    if (word(text, len, "free", 0, 0, x, &n))
        return true;
    m->rule = SIM_ATLEAST;
    if (word(text, len, "atleast", 1, 1, x, &n)) {
        m->least = (size_t)x[0];
        return x[0] >= 1 && (double)m->least == x[0];
    }
    m->rule = SIM_FIXED;
    m->share = 0;
    if (!word(text, len, "fixed", 1, 1, x, &n))
        return false;
    m->share = x[0];
    return x[0] <= 1;
}

enum err sim_mechanism_parse(struct sim_mechanism *out, const char *text)
{
    const char *plus = strchr(text, '+');

    *out = (struct sim_mechanism){.blocks = 1};
    if (plus == NULL || !parse_split(out, text, (size_t)(plus - text)) ||
        !parse_rule(out, plus + 1))
        return err_set(ERR_ARG,
                       "\"%s\" is not a mechanism: SPLIT+RULE, with whole, "
                       "type, blocks:K (K up to %d), category or item, and "
                       "binary, prefix, free, atleast:M or fixed:Q",
                       text, MOST_BLOCKS);
    return ERR_OK;
}

bool sim_is_legal(const struct sim_mechanism *m, const uint8_t *on, size_t n)
{
    size_t count = 0;

    for (size_t k = 0; k < n; k++)
        count += on[k];
    if (count == 0)
        return true;
    switch (m->rule) {
    case SIM_BINARY:
    case SIM_FIXED:
        return count == n;
    case SIM_PREFIX:
        for (size_t k = n - count; k < n; k++) {
            if (!on[k])
                return false;
        }
        return true;
    case SIM_FREE:
        return true;
    case SIM_ATLEAST:
        return count >= m->least;
    }
    return false;
}

/* --- tastes ----------------------------------------------------------------
 */

double sim_exp(double x)
{
    return krn_power_f64(2.718281828459045, x);
}

enum err sim_tastes_parse(struct sim_tastes *out, const char *text)
{
    static const struct {
        const char *name;
        size_t least, most;
    } kind[] = {[SIM_CONST] = {"const", 1, 1},
                [SIM_UNIFORM] = {"uniform", 2, 2},
                [SIM_LOGNORMAL] = {"lognormal", 1, 2},
                [SIM_WESTIN] = {"westin", 3, 3},
                [SIM_BIMODAL] = {"bimodal", 3, 3}};
    size_t n = 0;

    for (int k = SIM_CONST; k <= SIM_BIMODAL; k++) {
        *out = (struct sim_tastes){.kind = (enum sim_taste)k};
        if (!word(text, strlen(text), kind[k].name, kind[k].least, kind[k].most,
                  out->x, &n))
            continue;
        if (k == SIM_LOGNORMAL && n == 1)
            out->x[1] = 1;
        if ((k == SIM_UNIFORM && out->x[1] < out->x[0]) ||
            (k == SIM_BIMODAL && out->x[2] > 1))
            break;
        return ERR_OK;
    }
    return err_set(ERR_ARG,
                   "\"%s\" is not a distribution of sensitivities: const:L, "
                   "uniform:A,B, lognormal:L[,SIGMA], westin:U,P,F or "
                   "bimodal:L1,L2,PI",
                   text);
}

static double lognormal(double mean, double sigma, uint64_t bits)
{
    return mean * sim_exp(sigma * rng_normal_of(bits) - sigma * sigma / 2);
}

double sim_taste_of(const struct sim_tastes *t, uint64_t seed, uint64_t key)
{
    const uint64_t stream = rng_derive(seed, RNG_DISCLOSE, key);
    const double coin = rng_f64(stream, RNG_DISCLOSE, 0);
    const uint64_t bits = rng_u64(stream, RNG_DISCLOSE, 1);

    switch (t->kind) {
    case SIM_CONST:
        return t->x[0];
    case SIM_UNIFORM:
        return t->x[0] + (t->x[1] - t->x[0]) * coin;
    case SIM_LOGNORMAL:
        return lognormal(t->x[0], t->x[1], bits);
    case SIM_WESTIN:
        return t->x[coin < 0.10 ? 0 : coin < 0.74 ? 1 : 2];
    case SIM_BIMODAL:
        return lognormal(coin < t->x[2] ? t->x[0] : t->x[1], 1, bits);
    }
    return 0;
}
