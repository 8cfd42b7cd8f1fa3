/*
 * store/scrub.c - overwriting what no live record needs.
 *
 * What is relied upon of LMDB 0.9 (lmdb.h, mdb.c; docs/erasure.md has the
 * argument): a page of the free list that was freed by transaction N is read
 * by snapshots older than N alone; both meta pages name the last two
 * transactions; in a branch or leaf page nothing is read between `lower` and
 * `upper`, in an overflow page nothing after the value.  So, holding the
 * writer's lock, with no reader on an older snapshot and with both meta pages
 * past the change, these places can be overwritten in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/env.h"
#include "store/forget.h"
#include "store/keystore.h"
#include "store/pages.h"
#include "store/vacuum.h"

#define WAIT_STEPS 200 /* of 50 ms */

struct scrub {
    struct sto *st;
    MDB_txn *txn; /* holds the writer's lock */
    int fd;
    size_t page;         /* bytes of a page */
    uint64_t last;       /* page in use */
    uint64_t at;         /* last committed transaction */
    uint64_t free_root;  /* page of the tree of free pages */
    uint8_t *free;       /* [last + 1] */
    unsigned char *buf;  /* a page */
    unsigned char *zero; /* a page of nothing */
    struct sto_scrubbed done;
};

static enum err io_error(const struct scrub *s, const char *doing)
{
    return err_set(ERR_IO, "store %s: cannot %s: %s", s->st->dir, doing,
                   strerror(errno));
}

static enum err unknown_layout(const struct scrub *s, uint64_t page)
{
    return err_set(ERR_FORMAT,
                   "store %s: page %llu has a layout that this recd does not "
                   "know, and it does not guess what may be overwritten",
                   s->st->dir, (unsigned long long)page);
}

static enum err read_at(const struct scrub *s, void *to, size_t n, uint64_t at)
{
    const ssize_t got = pread(s->fd, to, n, (off_t)at);

    if (got < 0)
        return io_error(s, "read the data file");
    memset((unsigned char *)to + got, 0, n - (size_t)got);
    return ERR_OK;
}

static enum err zero_at(const struct scrub *s, uint64_t at, size_t n)
{
    while (n > 0) {
        const ssize_t put =
            pwrite(s->fd, s->zero, n < s->page ? n : s->page, (off_t)at);

        if (put <= 0)
            return io_error(s, "overwrite the data file");
        at += (uint64_t)put;
        n -= (size_t)put;
    }
    return ERR_OK;
}

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

/* --- what may be touched
 * ------------------------------------------------------------
 */

static enum err read_meta(struct scrub *s)
{
    MDB_stat stat;
    struct sto_page_meta m[2];

    (void)mdb_env_stat(s->st->env, &stat);
    s->page = stat.ms_psize;
    for (size_t i = 0; i < 2; i++) {
        ERR_TRY(read_at(s, &m[i], sizeof(m[i]), i * s->page + STO_PAGE_HEADER));
        if (m[i].magic != STO_PAGE_MAGIC || m[i].version != STO_PAGE_LAYOUT ||
            m[i].tree[0].pad != s->page)
            return unknown_layout(s, i);
    }
    const struct sto_page_meta *new = m[1].txn > m[0].txn ? &m[1] : &m[0];

    s->last = new->last_page;
    s->at = new->txn;
    s->free_root = new->tree[0].root;
    return ERR_OK;
}

static void mark_free(struct scrub *s, const MDB_val *key, const MDB_val *val)
{
    uint64_t freed_by, n, page;

    memcpy(&freed_by, key->mv_data, sizeof(freed_by));
    if (freed_by >= s->at)
        return;
    memcpy(&n, val->mv_data, sizeof(n));
    for (uint64_t i = 1; i <= n && (i + 1) * 8 <= val->mv_size; i++) {
        memcpy(&page, (const char *)val->mv_data + 8 * i, sizeof(page));
        if (page >= 2 && page <= s->last)
            s->free[page] = 1;
    }
}

/* Pages that were freed before the last transaction.  LMDB lets a reading
 * transaction look at the free list, a writing one not; the writer's lock is
 * held, so both see the same. */
static enum err read_free_list(struct scrub *s)
{
    MDB_cursor *cur = NULL;
    MDB_val key, val;
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->st->env, NULL, MDB_RDONLY, &txn);

    ERR_TRY(sto_lmdb(rc, s->st, "reading free pages"));
    rc = mdb_cursor_open(txn, 0, &cur);
    if (rc == 0)
        rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT))
        mark_free(s, &key, &val);
    if (cur != NULL)
        mdb_cursor_close(cur);
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? ERR_OK
                              : sto_lmdb(rc, s->st, "reading free pages");
}

/* A line of mdb_reader_list(): pid, thread, snapshot ("-" when idle). */
static int oldest_reader(const char *line, void *arg)
{
    uint64_t *oldest = arg;
    unsigned long long pid, thread, txn;

    if (sscanf(line, "%llu %llx %llu", &pid, &thread, &txn) == 3 &&
        txn < *oldest)
        *oldest = txn;
    return 0;
}

/* --- overwriting
 * --------------------------------------------------------------------
 */

static enum err scrub_free(struct scrub *s, uint64_t page)
{
    ERR_TRY(read_at(s, s->buf, s->page, page * s->page));
    if (all_zero(s->buf, s->page))
        return ERR_OK;
    s->done.free_pages++;
    return zero_at(s, page * s->page, s->page);
}

static enum err scrub_range(struct scrub *s, uint64_t from, uint64_t to)
{
    unsigned char part[512];

    for (uint64_t at = from; at < to; at += sizeof(part)) {
        const size_t n =
            to - at < sizeof(part) ? (size_t)(to - at) : sizeof(part);

        ERR_TRY(read_at(s, part, n, at));
        if (all_zero(part, n))
            continue;
        s->done.gaps++;
        return zero_at(s, at, (size_t)(to - at));
    }
    return ERR_OK;
}

/* Tails of the overflow pages that the nodes of a leaf (in s->buf) name. */
static enum err scrub_tails(struct scrub *s, uint64_t page, size_t nodes)
{
    for (size_t i = 0; i < nodes; i++) {
        uint16_t at, node[4]; /* low and high half of the size, flags, key */
        uint64_t first;

        memcpy(&at, s->buf + STO_PAGE_HEADER + 2 * i, sizeof(at));
        if (at < STO_PAGE_HEADER || (size_t)at + sizeof(node) > s->page)
            return unknown_layout(s, page);
        memcpy(node, s->buf + at, sizeof(node));
        if ((node[2] & STO_PAGE_BIG_DATA) == 0)
            continue;
        if ((size_t)at + 8 + node[3] + 8 > s->page)
            return unknown_layout(s, page);
        memcpy(&first, s->buf + at + 8 + node[3], sizeof(first));
        const uint64_t bytes = node[0] | (uint64_t)node[1] << 16;
        const uint64_t pages = (STO_PAGE_HEADER - 1 + bytes) / s->page + 1;

        if (first < 2 || first + pages > s->last + 1)
            return unknown_layout(s, page);
        ERR_TRY(scrub_range(s, first * s->page + STO_PAGE_HEADER + bytes,
                            (first + pages) * s->page));
    }
    return ERR_OK;
}

/* One page in use; *next is the page to go on with. */
static enum err scrub_live(struct scrub *s, uint64_t page, uint64_t *next)
{
    struct sto_page h;

    ERR_TRY(read_at(s, s->buf, s->page, page * s->page));
    memcpy(&h, s->buf, sizeof(h));
    *next = page + 1;
    if (h.number != page || (h.flags & ~STO_PAGE_KNOWN_FLAGS) != 0)
        return unknown_layout(s, page);
    if (h.flags == STO_PAGE_OVERFLOW) {
        if (h.u.pages < 1 || page + h.u.pages > s->last + 1)
            return unknown_layout(s, page);
        *next = page + h.u.pages;
        return ERR_OK;
    }
    if ((h.flags != STO_PAGE_BRANCH && h.flags != STO_PAGE_LEAF) ||
        h.u.gap.lower < STO_PAGE_HEADER || h.u.gap.lower > h.u.gap.upper ||
        h.u.gap.upper > s->page)
        return unknown_layout(s, page);
    if (!all_zero(s->buf + h.u.gap.lower, h.u.gap.upper - h.u.gap.lower)) {
        s->done.gaps++;
        ERR_TRY(zero_at(s, page * s->page + h.u.gap.lower,
                        h.u.gap.upper - h.u.gap.lower));
    }
    return h.flags == STO_PAGE_LEAF
               ? scrub_tails(s, page, (h.u.gap.lower - STO_PAGE_HEADER) / 2u)
               : ERR_OK;
}

static enum err scrub_pages(struct scrub *s)
{
    for (uint64_t page = 2; page <= s->last;) {
        uint64_t next = page + 1;

        ERR_TRY(s->free[page] ? scrub_free(s, page)
                              : scrub_live(s, page, &next));
        page = next;
    }
    return ERR_OK;
}

static enum err cut_tail(struct scrub *s)
{
    const off_t end = (off_t)((s->last + 1) * s->page);
    struct stat st;

    if (fstat(s->fd, &st) != 0)
        return io_error(s, "look at the data file");
    if (st.st_size > end) {
        s->done.tail_bytes = (uint64_t)(st.st_size - end);
        /* overwritten first: cutting alone leaves the bytes to the disk */
        for (off_t at = end; at < st.st_size; at += (off_t)s->page)
            ERR_TRY(zero_at(s, (uint64_t)at, s->page));
        if (fsync(s->fd) != 0 || ftruncate(s->fd, end) != 0)
            return io_error(s, "cut the data file");
    }
    return fsync(s->fd) == 0 ? ERR_OK : io_error(s, "sync the data file");
}

/* --- the whole
 * ------------------------------------------------------------------------
 */

static enum err mark_due(void *arg, struct sto_txn *t)
{
    MDB_val key = {5, (void *)(uintptr_t) "scrub"};
    const bool *due = arg;
    int rc;

    if (*due) {
        rc = mdb_put(t->txn, t->st->dbi[STO_DB_META], &key,
                     &(MDB_val){3, (void *)(uintptr_t) "due"}, 0);
        return sto_lmdb(rc, t->st, "noting that erasing is due");
    }
    rc = mdb_del(t->txn, t->st->dbi[STO_DB_META], &key, NULL);
    return rc == MDB_NOTFOUND ? ERR_OK
                              : sto_lmdb(rc, t->st, "noting an erasure");
}

static enum err with_lock(struct scrub *s)
{
    struct mem_scratch m = {0};
    enum err e = read_meta(s);

    if (e != ERR_OK)
        return e;
    s->free = mem_take(&m, s->last + 1, 1, 1);
    s->buf = mem_take(&m, 1, s->page, 1);
    s->zero = mem_take(&m, 1, s->page, 1);
    if (m.failed)
        e = err_set(ERR_NOMEM, "no memory to erase");
    if (e == ERR_OK)
        e = read_free_list(s);
    if (e == ERR_OK)
        e = scrub_pages(s);
    if (e == ERR_OK)
        e = cut_tail(s);
    if (e == ERR_OK && !sto_branches_left(s->fd, s->page, s->last, s->free_root,
                                          s->free, &s->done.keys))
        e = err_set(ERR_FORMAT,
                    "store %s: its branch pages cannot be looked through",
                    s->st->dir);
    mem_drop(&m);
    return e;
}

/* Keystores before the one that is named hold the keys of the forgotten.  Who
 * read an older state, and had its keys, was waited for. */
static enum err erase_keys(struct scrub *s)
{
    struct sto_keys_named named;

    ERR_TRY(sto_keys_named(s->st, s->txn, &named));
    return sto_keys_settle(s->st, &named);
}

/* One attempt: ERR_STALE when a reader is on a snapshot before the last two. */
static enum err attempt(struct scrub *s)
{
    uint64_t oldest = UINT64_MAX;
    int dead = 0;
    enum err e = sto_lmdb(mdb_txn_begin(s->st->env, NULL, 0, &s->txn), s->st,
                          "cannot erase");

    if (e != ERR_OK)
        return e;
    (void)mdb_reader_check(s->st->env, &dead);
    (void)mdb_reader_list(s->st->env, oldest_reader, &oldest);
    e = read_meta(s);
    if (e == ERR_OK && oldest < s->at - 1)
        e = err_set(ERR_STALE,
                    "store %s: somebody still reads an old state of it; what "
                    "was removed is gone from the records, and its bytes go "
                    "from the file when you call `recd repair` after that",
                    s->st->dir);
    if (e == ERR_OK)
        e = with_lock(s);
    if (e == ERR_OK)
        e = erase_keys(s);
    mdb_txn_abort(s->txn);
    return e;
}

static enum err scrub(struct sto *st, struct sto_scrubbed *out)
{
    struct scrub s = {.st = st};
    bool due = true;
    enum err e = ERR_STALE;

    /* Two commits: then both meta pages are past what was removed. */
    ERR_TRY(sto_write(st, mark_due, &due));
    due = false;
    ERR_TRY(sto_write(st, mark_due, &due));
    ERR_TRY(sto_lmdb(mdb_env_get_fd(st->env, &s.fd), st, "cannot erase"));
    for (int i = 0; i < WAIT_STEPS && e == ERR_STALE; i++) {
        if (i > 0)
            (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
        e = attempt(&s);
    }
    if (e == ERR_OK)
        e = sto_weights_erase(st, &s.done.files);
    if (e == ERR_OK)
        *out = s.done;
    return e;
}

enum err sto_erase(const char *dir, struct sto_scrubbed *out)
{
    struct sto_vacuumed anew;
    struct sto *st;

    ERR_TRY(sto_open(&st, dir, STO_WRITE));
    enum err e = scrub(st, out);

    if (e == ERR_OK && out->keys > 0)
        e = sto_vacuum(st, &anew);
    sto_close(st);
    return e;
}
