/* tests/sim_case.h - a store of made-up people, for tests of simulated
 * disclosure. */
#ifndef TESTS_SIM_CASE_H
#define TESTS_SIM_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "kernels/power.h"
#include "privacy_sim/game.h"
#include "rec/rank.h"
#include "store/import.h"
#include "store/wipe.h"

#define USERS 160
#define ITEMS 90
#define ROWS 25

static char store[64];

/* Person number p of the made-up people, who is called by `name`. */
static inline void write_rows(FILE *f, size_t p, size_t name)
{
    const uint64_t own = rng_derive(77, RNG_SYNTH, p);
    bool met[ITEMS] = {false};
    size_t n = 0;

    for (uint64_t i = 0; n < ROWS; i++) {
        const size_t half = rng_f32(own, RNG_SYNTH, 2 * i) < 0.8f
                                ? p % 2
                                : 1 - p % 2; /* taste */
        const float x = rng_f32(own, RNG_SYNTH, 2 * i + 1);
        const size_t item = half * ITEMS / 2 + (size_t)(x * x * (ITEMS / 2));

        if (met[item])
            continue;
        met[item] = true;
        fprintf(f, "u%zu,i%zu,1,%zu\n", name, item, 1000 + n++);
    }
}

/* shift: person p is called p + shift. */
static inline void make_store(size_t shift)
{
    const struct sto_import_opts opts = {.format = STO_AUTO};
    char rows[100], people[100], items[100];
    struct sto_import_stats stats;
    struct sto_import *im;
    struct sto *st;

    (void)snprintf(store, sizeof(store), "/tmp/recd-sim-XXXXXX");
    assert_non_null(mkdtemp(store));
    (void)snprintf(rows, sizeof(rows), "%s/rows.csv", store);
    (void)snprintf(people, sizeof(people), "%s/people.csv", store);
    (void)snprintf(items, sizeof(items), "%s/items.csv", store);
    FILE *f = fopen(rows, "w"), *g = fopen(people, "w"), *h = fopen(items, "w");

    assert_true(f != NULL && g != NULL && h != NULL);
    fprintf(f, "user,item,rating,timestamp\n");
    fprintf(g, "user_id,side,age\n");
    fprintf(h, "item_id,kind\n");
    for (size_t p = 0; p < USERS; p++) {
        const size_t name = (p + shift) % USERS;

        write_rows(f, p, name);
        fprintf(g, "u%zu,%s,%zu\n", name, p % 2 == 0 ? "left" : "right",
                p % 3 * 10);
    }
    for (size_t i = 0; i < ITEMS; i++)
        fprintf(h, "i%zu,kind-%zu\n", i, i % 4);
    assert_int_equal(fclose(f) + fclose(g) + fclose(h), 0);
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_read(im, rows), ERR_OK);
    assert_int_equal(sto_import_entities(im, STO_USERS, people), ERR_OK);
    assert_int_equal(sto_import_entities(im, STO_ITEMS, items), ERR_OK);
    assert_int_equal(sto_open(&st, store, STO_WRITE), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_OK);
    sto_import_free(im);
    sto_close(st);
}

static inline enum err load(struct sim_world *w, const char *mechanism,
                            const char *attributes, const char *group)
{
    struct sim_mechanism m;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sim_mechanism_parse(&m, mechanism), ERR_OK);
    const struct sim_world_opts o = {.split = m.split,
                                     .blocks = m.blocks,
                                     .attributes = attributes,
                                     .category = "kind",
                                     .min_rows = 10,
                                     .min_people = 1,
                                     .attribute_cost = 0.05,
                                     .seed = 3};

    assert_int_equal(sto_open(&st, store, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    const enum err e = sim_world_load(w, v, &o, group);

    sto_view_close(v);
    sto_close(st);
    return e;
}

static inline struct rec_model *like(const char *name)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(rec_model_find(name, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    if (strcmp(name, "itemknn") == 0) /* sums of whole numbers */
        assert_int_equal(opt_assign(ops->opts, m->opts, "user-exponent", "0"),
                         ERR_OK);
    return m;
}

static inline void learn(struct sim_rows *rows, struct rec_model *m,
                         const struct sim_world *w)
{
    assert_int_equal(rec_model_fit(m, &w->all, NULL), ERR_OK);
    assert_int_equal(sim_rows_of(rows, m, &w->all), ERR_OK);
}

static const struct sim_wants usual_wants = {.quality = SIM_NDCG,
                                             .cut = 10,
                                             .power = 1,
                                             .present = 1,
                                             .default_on = true};

#endif /* TESTS_SIM_CASE_H */
