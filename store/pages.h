/*
 * store/pages.h - what store/ knows of the bytes of LMDB 0.9's data file, for
 * erasing and rewriting it.  Everything is checked before it is believed.
 */
#ifndef STO_PAGES_H
#define STO_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STO_PAGE_MAGIC 0xBEEFC0DEu
#define STO_PAGE_LAYOUT 1
#define STO_PAGE_HEADER 16
#define STO_PAGE_BRANCH 1
#define STO_PAGE_LEAF 2
#define STO_PAGE_OVERFLOW 4
#define STO_PAGE_KNOWN_FLAGS                                                   \
    (STO_PAGE_BRANCH | STO_PAGE_LEAF | STO_PAGE_OVERFLOW)
#define STO_PAGE_BIG_DATA 1
#define STO_PAGE_NONE UINT64_MAX /* the root of an empty tree */

struct sto_page {
    uint64_t number;
    uint16_t pad, flags;
    union {
        struct {
            uint16_t lower, upper;
        } gap;
        uint32_t pages;
    } u;
};

struct sto_page_tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch, leaf, overflow, entries, root;
};

struct sto_page_meta {
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct sto_page_tree tree[2];
    uint64_t last_page, txn;
};

/*
 * Count keys that branch pages alone still hold (store/branches.c).  The file
 * has last + 1 pages; free_page [last + 1] says which are free, and free_root
 * is the root of LMDB's tree of those, whose pages are marked as well.  Under
 * the writer's lock.  false: the layout is not known, or no memory to map it.
 */
bool sto_branches_left(int fd, size_t page, uint64_t last, uint64_t free_root,
                       uint8_t *free_page, uint64_t *left);

#endif
