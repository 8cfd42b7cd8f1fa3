/* base/par.c - par_for() on OpenMP, or one after the other without. */
#include "base/par.h"

#include <sched.h>

#ifdef _OPENMP
#include <omp.h>
#endif

static size_t par_n;

static size_t processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (size_t)CPU_COUNT(&set);
}

void par_set_threads(size_t n)
{
    if (n == 0)
        n = processors();
    par_n = n < 1 ? 1 : n > PAR_MAX ? PAR_MAX : n;
#ifndef _OPENMP
    par_n = 1;
#endif
}

size_t par_threads(void)
{
    if (par_n == 0)
        par_set_threads(0);
    return par_n;
}

bool par_inside(void)
{
#ifdef _OPENMP
    return omp_in_parallel();
#else
    return false;
#endif
}

void par_for(size_t n, void (*fn)(void *arg, size_t task, size_t thread),
             void *arg)
{
#ifdef _OPENMP
    const size_t threads = par_threads();

    if (n > 1 && threads > 1 && !par_inside()) {
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)threads)
        for (size_t task = 0; task < n; task++)
            fn(arg, task, (size_t)omp_get_thread_num());
        return;
    }
#endif
    for (size_t task = 0; task < n; task++)
        fn(arg, task, 0);
}
