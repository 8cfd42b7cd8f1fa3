/*
 * base/mem.h - overflow-checked memory, and scratch that dies together.
 *
 * mem_array() is for what outlives the function; free() it.  mem_take() is
 * for what does not: take often, check `failed` once, mem_drop() once.
 * All blocks start on a cache line (64 bytes), so that vector kernels may
 * use aligned loads on row 0.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MEM_ALIGN 64

struct mem_scratch {
    struct mem_block *last; /* newest block, linked to older ones */
    bool failed;            /* sticky: some mem_take() returned NULL */
};

/* n elements of `size` bytes, zeroed, 64-byte aligned; NULL on overflow or no
 * memory.  n == 0 gives a valid pointer to nothing. */
void *mem_array(size_t n, size_t size);

/*
 * Make *array (free()-able, [*room] elements of `size` bytes, or NULL with
 * *room == 0) hold at least `need` elements, growing by half.  New elements
 * are not zeroed.  ERR_NOMEM leaves both untouched.
 */
ERR_CHECK
enum err mem_grow(void *array, size_t *room, size_t need, size_t size);

/* rows * cols elements of `size` bytes, zeroed; NULL also sets s->failed. */
void *mem_take(struct mem_scratch *s, size_t rows, size_t cols, size_t size);

/* The same, not zeroed: for what is large and touched only in part. */
void *mem_take_raw(struct mem_scratch *s, size_t rows, size_t cols,
                   size_t size);

/* Free everything ever taken from s and zero it. */
void mem_drop(struct mem_scratch *s);

/* a copy of text, or NULL when there is no memory; free() it. */
char *mem_text(const char *text);

/* Bytes that this process could still take before the system suffers: the
 * least of MemAvailable and what the control group allows; UINT64_MAX when
 * neither can be read. */
uint64_t mem_available_bytes(void);

/*
 * Refuse work that cannot fit: ERR_NOMEM with a sentence that names `what`,
 * the estimate and what is available; ERR_OK otherwise.
 */
ERR_CHECK
enum err mem_budget(double bytes, const char *what);

#endif
