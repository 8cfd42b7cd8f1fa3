/* tests/failing.h - allocations that are counted, and fail when told to.
 *
 * Of a program that is linked with --wrap=malloc and so on (Makefile.am). */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include <stdbool.h>
#include <stddef.h>

/* That many more allocations succeed, the next one fails; -1: none does. */
static long fail_at = -1;
static long n_allocations;

static inline bool fails_now(void)
{
    n_allocations++;
    return fail_at >= 0 && fail_at-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails_now() ? NULL : __real_aligned_alloc(align, n);
}

#endif /* TESTS_FAILING_H */
