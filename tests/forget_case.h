/* tests/forget_case.h - small stores to forget from. */
#ifndef TESTS_FORGET_CASE_H
#define TESTS_FORGET_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "store/import.h"
#include "store/store.h"
#include "unlearn/forget.h"
#include "unlearn/shards.h"

#define CASE_USERS 30
#define CASE_ITEMS 20

/* Which rows a store holds: who met what. */
struct forget_case {
    bool row[CASE_USERS][CASE_ITEMS];
};

static inline void case_fill(struct forget_case *c, uint64_t seed)
{
    for (size_t u = 0; u < CASE_USERS; u++) {
        for (size_t i = 0; i < CASE_ITEMS; i++)
            c->row[u][i] = rng_f32(seed, RNG_SYNTH, u * 100 + i) <
                           ((u + i) % 2 == 0 ? 0.5f : 0.15f);
        c->row[u][u % CASE_ITEMS] = true;
    }
}

/* Ids that stand out among raw bytes. */
static inline const char *case_user(size_t u)
{
    static char id[CASE_USERS][40];
    char *out = id[u];

    (void)snprintf(out, 40, "canary-person-%03zu-of-the-store", u);
    return out;
}

static inline const char *case_item(size_t i)
{
    static char id[CASE_ITEMS][40];
    char *out = id[i];

    (void)snprintf(out, 40, "thing-%02zu", i);
    return out;
}

/* A value that depends on the row: rows are more than their ids. */
static inline int case_value(size_t u, size_t i)
{
    return (int)(1 + (u * 7 + i * 3) % 5);
}

/* Every seventh person is declared public. */
static inline bool case_public(size_t u)
{
    return u % 7 == 0;
}

/* Whether case_import() makes encrypted stores. */
static bool case_encrypt;

/* Import the rows of everybody, or of public people, into dir. */
static inline void case_import_some(const char *dir,
                                    const struct forget_case *c, bool open)
{
    const struct sto_import_opts opts = {
        .format = STO_CSV, .open = open, .encrypt = case_encrypt};
    struct sto_import_stats stats;
    struct sto_import *im;
    struct sto *st;
    char path[200];
    FILE *f;

    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    (void)snprintf(path, sizeof(path), "%s.csv", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("user,item,rating\n", f);
    for (size_t u = 0; u < CASE_USERS; u++) {
        for (size_t i = 0; i < CASE_ITEMS; i++) {
            if (c->row[u][i] && (!open || case_public(u)))
                fprintf(f, "%s,%s,%d\n", case_user(u), case_item(i),
                        case_value(u, i));
        }
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(sto_import_new(&im, &opts), ERR_OK);
    assert_int_equal(sto_import_read(im, path), ERR_OK);
    assert_int_equal(sto_import_commit(im, st, &stats), ERR_OK);
    sto_import_free(im);
    sto_close(st);
    assert_int_equal(unlink(path), 0);
}

static inline void case_import(const char *dir, const struct forget_case *c)
{
    case_import_some(dir, c, false);
    case_import_some(dir, c, true);
}

/* Train `model` under its own name and save it; assign: recorded partition of
 * the rows, or NULL. */
static inline void case_train(const char *dir, const char *name,
                              const char *model, const char *const *options,
                              const struct unl_plan *plan,
                              const uint8_t *assign)
{
    const struct rec_model_ops *ops;
    struct rec_model *like, *made = NULL;
    struct rec_train_result result;
    struct sto_model info = {.seconds = 1};
    struct rec_data d;
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(rec_model_find(model, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&like, ops), ERR_OK);
    for (; options != NULL && *options != NULL; options += 2)
        assert_int_equal(
            opt_assign(ops->opts, like->opts, options[0], options[1]), ERR_OK);
    like->seed = 11;
    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(rec_data_load(&d, v), ERR_OK);
    sto_view_close(v);
    assert_int_equal(unl_train(&made, like, plan, &d, assign, &result), ERR_OK);
    (void)snprintf(info.name, sizeof(info.name), "%s", name);
    assert_int_equal(unl_save(made, plan, &d, st, &info), ERR_OK);
    sto_model_free(&info);
    if (made != like)
        rec_model_free(made);
    rec_model_free(like);
    rec_data_free(&d);
    sto_close(st);
}

/* Digest of a stored model; false when there is none. */
static inline bool case_digest(const char *dir, const char *name,
                               unsigned char digest[KEY_DIGEST_BYTES])
{
    struct sto_model info = {0};
    struct sto_view *v;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_READ), ERR_OK);
    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    const enum err e = sto_model_get(v, name, &info);

    if (e == ERR_OK)
        memcpy(digest, info.digest, KEY_DIGEST_BYTES);
    sto_model_free(&info);
    sto_view_close(v);
    sto_close(st);
    return e == ERR_OK;
}

static inline void remove_folder(const char *path)
{
    char command[160];

    (void)snprintf(command, sizeof(command), "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

/* A new folder NAME-..., and the name of one beside it; 0 or -1. */
static inline int case_folders(char *dir, size_t room, char *other,
                               size_t other_room, const char *name)
{
    (void)snprintf(dir, room, "%s-XXXXXX", name);
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(other, other_room, "%s-other", dir);
    return 0;
}

#endif
