/*
 * store/branches.c - keys that only a branch page still holds.
 *
 * A branch page of LMDB's tree separates its children by keys, each the least
 * one below the child when the page was split.  Deleting that least key leaves
 * it in the branch page: not as a record, yet as bytes.  So a separator that is
 * not the least key below it is of somebody who is gone.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store/pages.h"

#define DEPTH 32 /* LMDB's own limit */

struct tree {
    const unsigned char *file;
    size_t page; /* bytes */
    uint64_t last;
};

/* A node of a branch or leaf page. */
struct node {
    uint64_t child; /* of a branch page's */
    const unsigned char *key;
    size_t len;
};

static bool read_head(const struct tree *t, uint64_t page, struct sto_page *h,
                      size_t *nodes)
{
    if (page < 2 || page > t->last)
        return false;
    memcpy(h, t->file + page * t->page, sizeof(*h));
    if (h->number != page ||
        (h->flags != STO_PAGE_BRANCH && h->flags != STO_PAGE_LEAF) ||
        h->u.gap.lower < STO_PAGE_HEADER || h->u.gap.lower > t->page)
        return false;
    *nodes = (h->u.gap.lower - STO_PAGE_HEADER) / 2u;
    return true;
}

static bool read_node(const struct tree *t, uint64_t page, size_t i,
                      struct node *out)
{
    const unsigned char *p = t->file + page * t->page;
    uint16_t at, word[4]; /* three of the child's number, the key's length */

    memcpy(&at, p + STO_PAGE_HEADER + 2 * i, sizeof(at));
    if (at < STO_PAGE_HEADER || (size_t)at + sizeof(word) > t->page)
        return false;
    memcpy(word, p + at, sizeof(word));
    if ((size_t)at + sizeof(word) + word[3] > t->page)
        return false;
    *out = (struct node){
        .child = word[0] | (uint64_t)word[1] << 16 | (uint64_t)word[2] << 32,
        .key = p + at + sizeof(word),
        .len = word[3],
    };
    return true;
}

/* The least key below a page. */
static bool least_below(const struct tree *t, uint64_t page, struct node *out)
{
    for (int depth = 0; depth < DEPTH; depth++) {
        struct sto_page h;
        size_t n;

        if (!read_head(t, page, &h, &n) || n == 0 ||
            !read_node(t, page, 0, out))
            return false;
        if (h.flags == STO_PAGE_LEAF)
            return true;
        page = out->child;
    }
    return false;
}

static bool count_of_page(const struct tree *t, uint64_t page, size_t n,
                          uint64_t *left)
{
    for (size_t i = 0; i < n; i++) {
        struct node sep, least;

        if (!read_node(t, page, i, &sep))
            return false;
        if (sep.len == 0) /* before the first child nothing need be said */
            continue;
        if (!least_below(t, sep.child, &least))
            return false;
        *left +=
            sep.len != least.len || memcmp(sep.key, least.key, sep.len) != 0;
    }
    return true;
}

/* The tree of free pages is LMDB's own, its keys numbers of transactions. */
static bool skip_tree(const struct tree *t, uint64_t page, uint8_t *skip,
                      int depth)
{
    struct sto_page h;
    size_t n;

    if (page == STO_PAGE_NONE)
        return true;
    if (depth == DEPTH || !read_head(t, page, &h, &n))
        return false;
    skip[page] = 1;
    for (size_t i = 0; i < n && h.flags == STO_PAGE_BRANCH; i++) {
        struct node child;

        if (!read_node(t, page, i, &child) ||
            !skip_tree(t, child.child, skip, depth + 1))
            return false;
    }
    return true;
}

static bool count_all(const struct tree *t, const uint8_t *skip, uint64_t *left)
{
    for (uint64_t page = 2; page <= t->last; page++) {
        struct sto_page h;
        size_t n;

        if (skip[page])
            continue;
        memcpy(&h, t->file + page * t->page, sizeof(h));
        if (h.flags == STO_PAGE_OVERFLOW) {
            page += h.u.pages > 0 ? h.u.pages - 1 : 0;
            continue;
        }
        if (!read_head(t, page, &h, &n) ||
            (h.flags == STO_PAGE_BRANCH && !count_of_page(t, page, n, left)))
            return false;
    }
    return true;
}

bool sto_branches_left(int fd, size_t page, uint64_t last, uint64_t free_root,
                       uint8_t *free_page, uint64_t *left)
{
    struct stat s;

    *left = 0;
    if (fstat(fd, &s) != 0 || (size_t)s.st_size < page)
        return false;
    /* pages behind the end were never written: nothing in use is there */
    const uint64_t there = (uint64_t)s.st_size / page - 1;
    const struct tree t = {
        .file = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0),
        .page = page,
        .last = there < last ? there : last};

    if (t.file == MAP_FAILED)
        return false;
    const bool good = skip_tree(&t, free_root, free_page, 0) &&
                      count_all(&t, free_page, left);

    (void)munmap((void *)(uintptr_t)t.file, (size_t)s.st_size);
    return good;
}
