/* base/mem.c - scratch as a linked list of zeroed blocks. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mem_block {
    struct mem_block *older;
    _Alignas(MEM_ALIGN) unsigned char data[];
};

/* Aligned. */
static void *raw_bytes(size_t bytes, size_t *room_out)
{
    const size_t room = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;

    *room_out = room;
    return room < bytes
               ? NULL
               : aligned_alloc(MEM_ALIGN, room == 0 ? MEM_ALIGN : room);
}

/* Zeroed and aligned. */
static void *take_bytes(size_t bytes)
{
    size_t room;
    void *p = raw_bytes(bytes, &room);

    if (p != NULL)
        memset(p, 0, room);
    return p;
}

void *mem_array(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / 2 / size)
        return NULL;
    return take_bytes(n * size);
}

enum err mem_grow(void *array, size_t *room, size_t need, size_t size)
{
    void **slot = array;
    size_t want = *room + *room / 2 + 16;
    void *p;

    if (need <= *room)
        return ERR_OK;
    if (want < need)
        want = need;
    if (want > SIZE_MAX / 2 / size || (p = realloc(*slot, want * size)) == NULL)
        return err_set(ERR_NOMEM, "no memory for %zu more rows", need);
    *slot = p;
    *room = want;
    return ERR_OK;
}

static void *take(struct mem_scratch *s, size_t rows, size_t cols, size_t size,
                  bool zeroed)
{
    const size_t room = SIZE_MAX / 2 - sizeof(struct mem_block);
    struct mem_block *block = NULL;

    if ((cols == 0 || rows <= room / cols) &&
        (size == 0 || rows * cols <= room / size)) {
        const size_t bytes = sizeof(*block) + rows * cols * size;
        size_t all;

        block = zeroed ? take_bytes(bytes) : raw_bytes(bytes, &all);
    }
    if (block == NULL) {
        s->failed = true;
        return NULL;
    }
    block->older = s->last;
    s->last = block;
    return block->data;
}

void *mem_take(struct mem_scratch *s, size_t rows, size_t cols, size_t size)
{
    return take(s, rows, cols, size, true);
}

void *mem_take_raw(struct mem_scratch *s, size_t rows, size_t cols, size_t size)
{
    return take(s, rows, cols, size, false);
}

void mem_drop(struct mem_scratch *s)
{
    while (s->last != NULL) {
        struct mem_block *block = s->last;

        s->last = block->older;
        free(block);
    }
    s->failed = false;
}

char *mem_text(const char *text)
{
    const size_t n = strlen(text) + 1;
    char *copy = mem_array(n, 1);

    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

/* The first number in the file that follows `label`, times `unit`. */
static uint64_t read_number(const char *path, const char *label, uint64_t unit)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *f = fopen(path, "r");

    if (f == NULL)
        return UINT64_MAX;
    while (fgets(line, sizeof(line), f) != NULL) {
        const size_t n = strlen(label);
        char *end;

        if (strncmp(line, label, n) != 0)
            continue;
        const unsigned long long v = strtoull(line + n, &end, 10);

        if (end != line + n)
            value = v > UINT64_MAX / unit ? UINT64_MAX : v * unit;
        break;
    }
    fclose(f);
    return value;
}

uint64_t mem_available_bytes(void)
{
    uint64_t avail = read_number("/proc/meminfo", "MemAvailable:", 1024);
    const uint64_t most = read_number("/sys/fs/cgroup/memory.max", "", 1);
    const uint64_t used = read_number("/sys/fs/cgroup/memory.current", "", 1);

    if (most != UINT64_MAX && used != UINT64_MAX) {
        const uint64_t left = most > used ? most - used : 0;

        if (left < avail)
            avail = left;
    }
    return avail;
}

enum err mem_budget(double bytes, const char *what)
{
    const uint64_t avail = mem_available_bytes();

    if (bytes <= (double)avail)
        return ERR_OK;
    return err_set(ERR_NOMEM,
                   "%s needs about %.1f GiB of memory and %.1f GiB are "
                   "available",
                   what, bytes / 0x1p30, (double)avail / 0x1p30);
}
