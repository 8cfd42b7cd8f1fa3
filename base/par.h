/*
 * base/par.h - loops over independent tasks, by OpenMP where it is present.
 *
 * A task owns what it writes, so the answer cannot depend on how tasks meet
 * threads.  A reduction is therefore written as: fixed tasks, one partial
 * result each, combined in task order afterwards by the caller.
 * Nothing may fail inside a task: check and allocate before.
 */
#ifndef BASE_PAR_H
#define BASE_PAR_H

#include <stdbool.h>
#include <stddef.h>

#define PAR_MAX 256 /* most threads; per-thread scratch is sized by this */

/* Threads that par_for() uses from now on; 0 = all processors that this
 * process may run on.  Clamped to 1..PAR_MAX; 1 where OpenMP is missing. */
void par_set_threads(size_t n);
size_t par_threads(void);

/* Whether the caller is inside a task: there par_for() does not share. */
bool par_inside(void);

/* Run fn(arg, task, thread) for task = 0..n-1, handed out in order, each
 * once; thread < par_threads() names the scratch that the call may use.
 * Nested calls run on the calling thread, with thread == 0 inside. */
void par_for(size_t n, void (*fn)(void *arg, size_t task, size_t thread),
             void *arg);

#endif
