/* src/bench.c - timing, threads, and rows of the table. */
#include "src/bench.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "src/ui.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* --- threads ---------------------------------------------------------------
 */

#ifdef _OPENMP
static cpu_set_t processors; /* of the process, before anything was pinned */

void cmd_bench_unpin(void)
{
    if (CPU_COUNT(&processors) > 0)
        (void)sched_setaffinity(0, sizeof(processors), &processors);
}

/* recd's threads and those of oneDNN are the same, OpenMP's. */
static void pin(size_t n)
{
#pragma omp parallel num_threads((int)n)
    {
        size_t left = (size_t)omp_get_thread_num(), cpu = 0;
        cpu_set_t one;

        while (!CPU_ISSET(cpu, &processors) || left-- > 0)
            cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof(one), &one);
    }
}

void cmd_bench_threads(size_t n)
{
    if (CPU_COUNT(&processors) == 0)
        (void)sched_getaffinity(0, sizeof(processors), &processors);
    par_set_threads(n);
    cmd_bench_blas_threads(n);
    omp_set_num_threads((int)n);
    if ((size_t)CPU_COUNT(&processors) >= n)
        pin(n);
}
#else
void cmd_bench_unpin(void)
{
}

void cmd_bench_threads(size_t n)
{
    par_set_threads(n);
    cmd_bench_blas_threads(n);
}
#endif

/* --- timing ----------------------------------------------------------------
 */

#define ROUNDS 5          /* turns of own and other */
#define SAMPLES 64        /* most of a turn */
#define SAMPLE_S 100e-6   /* calls of less are timed in groups */
#define TURN_S 60e-3      /* a turn lasts about so long, but */
#define LEAST_CALLS 2     /* so many samples at least */
#define REST_NS 50000000L /* threads of OpenBLAS spin for 16 ms */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct samples {
    double s[ROUNDS * SAMPLES];
    size_t n;
};

/* One turn: a call that warms, then samples. */
static void turn(struct samples *to, void (*fn)(void *), void *arg)
{
    const struct timespec rest = {0, REST_NS};
    double start, first;
    size_t group;

    (void)nanosleep(&rest, NULL);
    fn(arg);
    start = cmd_ui_now();
    fn(arg);
    first = cmd_ui_now() - start;
    group = first < SAMPLE_S ? (size_t)(SAMPLE_S / (first + 1e-8)) + 1 : 1;
    start = cmd_ui_now();
    for (size_t i = 0; i < SAMPLES; i++) {
        const double from = cmd_ui_now();

        if (i >= LEAST_CALLS && from - start > TURN_S)
            break;
        for (size_t k = 0; k < group; k++)
            fn(arg);
        to->s[to->n++] = (cmd_ui_now() - from) / (double)group;
    }
}

static double median(struct samples *s)
{
    if (s->n == 0)
        return NAN;
    qsort(s->s, s->n, sizeof(*s->s), by_value);
    return s->s[s->n / 2];
}

void cmd_bench_time(double *own_s, double *other_s, void (*own)(void *),
                    void (*other)(void *), void *arg)
{
    struct samples a = {.n = 0}, b = {.n = 0};

    for (size_t i = 0; i < ROUNDS; i++) {
        turn(&a, own, arg);
        if (other != NULL)
            turn(&b, other, arg);
    }
    *own_s = median(&a);
    *other_s = median(&b);
}

#define SPIN_ROUNDS 20000

static void spin_task(void *arg, size_t task, size_t thread)
{
    float *sink = arg;

    (void)thread;
    sink[task * 16] = cpu_ops()->spin_f32(SPIN_ROUNDS);
}

static void spin(void *arg)
{
    par_for(par_threads(), spin_task, arg);
}

double cmd_bench_peak(size_t threads)
{
    static float sink[16 * PAR_MAX];
    struct samples all = {.n = 0};

    cmd_bench_threads(threads);
    for (size_t i = 0; i < ROUNDS; i++)
        turn(&all, spin, sink);
    (void)median(&all); /* in order: a bound is the fastest of all */
    const double s = all.s[0];

    return 2.0 * (double)(KRN_SPIN * SPIN_ROUNDS * threads) / s;
}

float *cmd_bench_random(size_t n, uint64_t seed)
{
    float *x = mem_array(n, sizeof(*x));

    for (size_t i = 0; x != NULL && i < n; i++)
        x[i] = rng_f32(seed, RNG_SYNTH, i) - 0.5f;
    return x;
}

/* --- rows ------------------------------------------------------------------
 */

bool cmd_bench_wants(const struct bench *b, const char *kernel)
{
    return b->only == NULL || strcmp(b->only, kernel) == 0;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Above 1: recd is faster.  Units are rates ("GFLOP/s") or times ("us"). */
static double ratio_of(const struct bench_row *r)
{
    const bool is_rate = strchr(r->unit, '/') != NULL;

    return is_rate ? r->value / r->anchor_value : r->anchor_value / r->value;
}

static void cell(const char *form, double x)
{
    if (isfinite(x))
        printf(form, x);
    else
        printf("%9s", "-");
}

void cmd_bench_add(struct bench *b, const struct bench_row *r)
{
    const double ratio = ratio_of(r);

    if (b->json) {
        (void)json_array_append_new(
            b->rows,
            json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:o, s:o, s:o}", "kernel",
                      r->kernel, "shape", r->shape, "threads",
                      (json_int_t)r->threads, "unit", r->unit, "value",
                      number(r->value), "anchor", r->anchor, "anchor_value",
                      number(r->anchor_value), "ratio", number(ratio),
                      "of_bound", number(r->of_bound)));
        return;
    }
    printf("%-15s %-22s %7zu %9.2f %-9s %-9s", r->kernel, r->shape, r->threads,
           r->value, r->unit, r->anchor);
    cell("%9.2f", r->anchor_value);
    cell("%8.2fx", ratio);
    cell("%8.0f%%", 100 * r->of_bound);
    puts(isfinite(r->anchor_value) ? "" : "  (not found)");
    (void)fflush(stdout);
}
