/* tests/cert_case.h - a store with certificates, for tests of them. */
#ifndef TESTS_CERT_CASE_H
#define TESTS_CERT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/key.h"
#include "base/mem.h"
#include "store/forget.h"
#include "unlearn/cert.h"
#include "unlearn/cert_check.h"

#define ID "anna.karenina@example.org"

static char dir[64];

static inline int new_folder(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/recd-cert-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static inline int drop_folder(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static inline json_t *body_of(const struct unl_keys *k, unsigned i)
{
    char name[UNL_PSEUDONYM_HEX], hash[UNL_KEY_HEX];

    unl_keys_pseudonym(k, "user", ID, name);
    unl_cert_hash(name, hash);
    json_t *body = json_pack(
        "{s:[{s:s, s:s}], s:{s:i, s:i, s:i, s:i}, s:[{s:s, s:s, s:s, s:i, "
        "s:i, s:s, s:s, s:[i, i], s:i, s:s, s:s, s:s, s:f, s:b}]}",
        "requests", "kind", "user", "person", name, "removed", "users", 1,
        "items", 0, "train", (int)(12 + i), "test", 3, "models", "name", "m",
        "model", "ials", "options", "{\"dim\":8}", "seed", 7, "of_shards", 4,
        "partition", "hash", "aggregate", "mean", "shards", 1, 3, "retrained",
        2, "exactness", "exact", "digest_before", hash, "digest", hash,
        "seconds", 0.1 + i / 3.0, "pending", 0);

    assert_non_null(body);
    (void)json_object_set_new(
        body, "erasure",
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "free_pages", 4,
                  "gaps", 9, "tail_bytes", 0, "old_files", 2, "searched_files",
                  5, "searched_bytes", 73728, "searched_for", 2, "hits", 0));
    (void)json_object_set_new(body, "finished_at", json_integer(1800000001));
    (void)json_object_set_new(body, "requested_at", json_integer(1800000000));
    (void)json_object_set_new(body, "pending", json_false());
    (void)json_object_set_new(body, "program", json_string("recd 0.1.0"));
    return body;
}

struct issue {
    struct sto_view *v;
    const struct unl_keys *k;
    json_t *body;
    uint64_t number;
    bool give_up; /* after all was written, before the end */
};

static inline enum err issue_one(void *arg, struct sto_txn *t)
{
    struct issue *i = arg;

    ERR_TRY(unl_cert_issue(t, i->v, i->k, i->body, &i->number));
    return i->give_up ? err_set(ERR_IO, "given up") : ERR_OK;
}

static inline enum err issue(struct sto *st, const struct unl_keys *k,
                             json_t *body, bool give_up, uint64_t *number)
{
    struct issue i = {.k = k, .body = body, .give_up = give_up};

    ERR_TRY(sto_view_open(&i.v, st));
    const enum err e = sto_write(st, issue_one, &i);

    sto_view_close(i.v);
    *number = i.number;
    return e;
}

/* A store with certificates 1..n at `dir`, open. */
static inline struct sto *store_with(unsigned n)
{
    struct unl_keys k;
    struct sto *st;

    assert_int_equal(sto_open(&st, dir, STO_WRITE), ERR_OK);
    assert_int_equal(unl_keys_open(&k, dir), ERR_OK);
    for (unsigned i = 1; i <= n; i++) {
        json_t *body = body_of(&k, i);
        uint64_t number;

        assert_int_equal(issue(st, &k, body, false, &number), ERR_OK);
        assert_int_equal(number, i);
        json_decref(body);
    }
    unl_keys_close(&k);
    return st;
}

static char *exported(struct sto *st, uint64_t n)
{
    struct sto_view *v;
    char *text = NULL;

    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(unl_cert_export(v, n, &text), ERR_OK);
    sto_view_close(v);
    return text;
}

static char *chain_of(unsigned n)
{
    struct sto *st = store_with(n);
    char *text = exported(st, n);

    sto_close(st);
    return text;
}

static inline struct unl_verdict verdict(const char *text, size_t n,
                                         const char *key)
{
    struct unl_verdict r;

    assert_int_equal(unl_cert_verify(text, n, key, &r), ERR_OK);
    assert_true(r.good == (r.reason[0] == '\0'));
    return r;
}

static inline uint64_t certificates(struct sto *st)
{
    struct sto_counts c;
    struct sto_view *v;

    assert_int_equal(sto_view_open(&v, st), ERR_OK);
    assert_int_equal(sto_count(v, &c), ERR_OK);
    sto_view_close(v);
    return c.certificates;
}

#endif /* TESTS_CERT_CASE_H */
