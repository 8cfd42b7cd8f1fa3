/* kernels/cuda/emulated.cc - fibers, barriers, memory and matrix units. */
#include "kernels/cuda/emulated.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <ucontext.h>
#include <vector>

#include "kernels/cuda/lane.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

/* --- fibers ----------------------------------------------------------------
 */

#define STACK ((size_t)64 << 10)

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
};

enum state { READY, AT_BLOCK, AT_WARP, DONE };

struct fiber {
    void *sp; /* x86-64 */
    ucontext_t context;
    std::vector<unsigned char> stack;
    enum state state;
    std::vector<std::vector<copy>> groups; /* committed, oldest first */
    std::vector<copy> open;
};

static std::vector<fiber> fibers; /* of a block's threads */
static fiber scheduler;
static size_t running;
static const std::function<void()> *body;
static std::vector<unsigned char> shared;
static std::vector<uint32_t> swapped; /* [warps][32] */
static std::vector<const void *> pointed;
static std::recursive_mutex one_at_a_time;
static cudaError_t last_error;

static void entry()
{
    (*body)();
    fibers[running].state = DONE;
    for (;;) {
        /* a fiber that is done is not resumed */
        extern void krn_emulated_leave();
        krn_emulated_leave();
    }
}

#if defined(__x86_64__)
/* Save what a call must keep, change stacks, return there. */
extern "C" void krn_emulated_switch(void **from, void *to);
asm(".text\n.hidden krn_emulated_switch\n.globl krn_emulated_switch\n"
    "krn_emulated_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\n"
    "ret\n");

static void start_fiber(fiber *f)
{
    uintptr_t top = ((uintptr_t)f->stack.data() + STACK) & ~(uintptr_t)15;
    void **sp = (void **)top;

    *--sp = NULL; /* entry() does not return; keeps the stack aligned */
    *--sp = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    f->sp = sp;
}

static void change(fiber *from, fiber *to)
{
    krn_emulated_switch(&from->sp, to->sp);
}
#else
static void start_fiber(fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, entry, 0);
}

static void change(fiber *from, fiber *to)
{
    swapcontext(&from->context, &to->context);
}
#endif

void krn_emulated_leave()
{
    change(&fibers[running], &scheduler);
}

static void stop_at(enum state s)
{
    fibers[running].state = s;
    krn_emulated_leave();
}

static void set_thread(size_t t)
{
    threadIdx.x = (unsigned)t % blockDim.x;
    threadIdx.y = (unsigned)t / blockDim.x;
}

static void resume(size_t t)
{
    running = t;
    set_thread(t);
    change(&scheduler, &fibers[t]);
}

/* 0: ascending, 1: descending, else shuffled. */
static unsigned order_asked()
{
    static const char *word = getenv("RECD_EMULATED_ORDER");

    return word != NULL ? (unsigned)atoi(word) : 0;
}

/* Number i of n in the order that is asked for; draw: of the shuffle. */
static size_t in_order(size_t i, size_t n, size_t draw)
{
    return order_asked() == 0   ? i
           : order_asked() == 1 ? n - 1 - i
                                : (i + draw) % n;
}

static void die(const char *what)
{
    fprintf(stderr, "emulated kernel: %s\n", what);
    abort();
}

static bool any_in(size_t first, size_t end, enum state s)
{
    for (size_t t = first; t < end; t++)
        if (fibers[t].state == s)
            return true;
    return false;
}

static void set_all(size_t first, size_t end, enum state from, enum state to)
{
    for (size_t t = first; t < end; t++)
        if (fibers[t].state == from)
            fibers[t].state = to;
}

/* Run a warp's threads to their next barriers. */
static void run_warp(size_t first, size_t end, size_t draw)
{
    for (size_t i = 0; i < end - first; i++) {
        const size_t t = first + in_order(i, end - first, draw);

        if (fibers[t].state == READY)
            resume(t);
    }
    if (!any_in(first, end, AT_WARP))
        return;
    if (any_in(first, end, AT_BLOCK) || any_in(first, end, DONE))
        die("a warp's threads wait at different barriers, or left");
    set_all(first, end, AT_WARP, READY);
}

/* A warp that can run, or n: all wait for the block or are done. */
static size_t next_warp(size_t n, size_t draw)
{
    const size_t warps = (n + 31) / 32;

    for (size_t i = 0; i < warps; i++) {
        const size_t first = 32 * in_order(i, warps, draw);

        if (any_in(first, first + 32 < n ? first + 32 : n, READY))
            return first;
    }
    return n;
}

/* One warp runs as far as it can before the next does (or, shuffled, any of
 * them goes a step). */
static void run_block(size_t n)
{
    static size_t draw;

    for (size_t t = 0; t < n; t++) {
        fibers[t].state = READY;
        fibers[t].groups.clear();
        fibers[t].open.clear();
        start_fiber(&fibers[t]);
    }
    for (;;) {
        draw = draw * 6364136223846793005u + order_asked();

        const size_t first = next_warp(n, draw >> 33);

        if (first < n) {
            run_warp(first, first + 32 < n ? first + 32 : n, draw >> 40);
            continue;
        }
        if (!any_in(0, n, AT_BLOCK))
            return;
        set_all(0, n, AT_BLOCK, READY);
    }
}

void krn_emulated_launch(dim3 grid, dim3 block, size_t dynamic,
                         const std::function<void()> &kernel)
{
    const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
    const size_t n = (size_t)block.x * block.y * block.z;

    if (n == 0 || n > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.y > 65535 || grid.z > 65535 || dynamic > 227 * 1024) {
        last_error = cudaErrorInvalidConfiguration;
        return;
    }
    while (fibers.size() < n) {
        fibers.emplace_back();
        fibers.back().stack.resize(STACK);
    }
    gridDim = grid;
    blockDim = block;
    body = &kernel;
    swapped.assign(2 * 1024, 0);
    pointed.assign(2 * 1024, NULL);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = dim3(x, y, z);
                shared.assign(dynamic + 16, 0xff);
                run_block(n);
            }
}

/* --- inside kernels --------------------------------------------------------
 */

void __syncthreads()
{
    stop_at(AT_BLOCK);
}

void __syncwarp(unsigned)
{
    stop_at(AT_WARP);
}

const uint32_t *krn_emulated_swap(uint32_t mine)
{
    /* two places, so that one barrier between swaps is enough */
    static thread_local unsigned char turn[1024];
    const size_t t = running, warp = t / 32 * 32;
    uint32_t *place = &swapped[turn[t] * 1024];

    turn[t] ^= 1;
    place[t] = mine;
    stop_at(AT_WARP);
    return place + warp;
}

unsigned char *krn_emulated_shared()
{
    return (unsigned char *)(((uintptr_t)shared.data() + 15) & ~(uintptr_t)15);
}

void krn_emulated_copy16(void *to, const void *from, bool there)
{
    if (((uintptr_t)to & 15) != 0 || (there && ((uintptr_t)from & 15) != 0))
        die("a copy of 16 bytes that is not aligned");
    fibers[running].open.push_back({to, there ? from : NULL});
}

void krn_emulated_commit()
{
    fiber &f = fibers[running];

    f.groups.push_back(f.open);
    f.open.clear();
}

void krn_emulated_wait(int newest)
{
    fiber &f = fibers[running];

    while (f.groups.size() > (size_t)newest) {
        for (const copy &c : f.groups.front()) {
            if (c.from != NULL)
                memcpy(c.to, c.from, 16);
            else
                memset(c.to, 0, 16);
        }
        f.groups.erase(f.groups.begin());
    }
}

static float bf16_of(uint32_t pair, int half)
{
    const uint32_t bits = half ? pair & 0xffff0000u : pair << 16;
    float x;

    memcpy(&x, &bits, 4);
    return x;
}

/* What each lane has of a fragment, as values: reg[r] of all lanes. */
static void gather_lanes(uint32_t all[][32], const uint32_t *mine, int n)
{
    for (int r = 0; r < n; r++)
        memcpy(all[r], krn_emulated_swap(mine[r]), sizeof(all[r]));
}

void krn_emulated_mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    uint32_t la[4][32], lb[2][32];
    float fa[16][16], fb[16][8];
    const int lane = (int)running % 32;

    gather_lanes(la, a, 4);
    gather_lanes(lb, b, 2);
    for (int l = 0; l < 32; l++) {
        for (int i = 0; i < 8; i++)
            fa[krn_lane_a_row(l, i)][krn_lane_a_col(l, i)] =
                bf16_of(la[i / 2][l], i % 2);
        for (int i = 0; i < 4; i++)
            fb[krn_lane_b_row(l, i)][krn_lane_b_col(l)] =
                bf16_of(lb[i / 2][l], i % 2);
    }
    for (int i = 0; i < 4; i++) {
        const int row = krn_lane_c_row(lane, i), col = krn_lane_c_col(lane, i);

        for (int q = 0; q < 16; q++)
            c[i] += fa[row][q] * fb[q][col];
    }
}

void krn_emulated_mma_sp(float c[4], const uint32_t a[4], const uint32_t b[4],
                         uint32_t where)
{
    uint32_t la[4][32], lb[4][32], places[32];
    static thread_local float fa[16][32], fb[32][8];
    const int lane = (int)running % 32;

    gather_lanes(la, a, 4);
    gather_lanes(lb, b, 4);
    gather_lanes(&places, &where, 1);
    memset(fa, 0, sizeof(fa));
    for (int l = 0; l < 32; l++) {
        for (int i = 0; i < 8; i++) {
            const int row = krn_lane_a_row(l, i), at = krn_lane_a_col(l, i);
            const uint32_t word = places[krn_lane_sp_lane(row, at)];

            fa[row][krn_lane_sp_col(at, word, row)] =
                bf16_of(la[i / 2][l], i % 2);
        }
        for (int i = 0; i < 8; i++)
            fb[krn_lane_sp_b_row(l, i)][krn_lane_b_col(l)] =
                bf16_of(lb[i / 2][l], i % 2);
    }
    for (int i = 0; i < 4; i++) {
        const int row = krn_lane_c_row(lane, i), col = krn_lane_c_col(lane, i);

        for (int q = 0; q < 32; q++)
            c[i] += fa[row][q] * fb[q][col];
    }
}

void krn_emulated_ldmatrix(uint32_t *out, int n, const void *at, bool turned)
{
    const size_t t = running, warp = t / 32 * 32, lane = t % 32;

    if (((uintptr_t)at & 15) != 0)
        die("ldmatrix of rows that are not aligned");
    pointed[t] = at;
    (void)krn_emulated_swap(0);
    for (int q = 0; q < n; q++) {
        uint32_t word = 0;

        for (size_t half = 0; half < 2; half++) {
            const size_t a = lane / 4, b = lane % 4 * 2 + half;
            const size_t row = turned ? b : a, col = turned ? a : b;
            const uint16_t *from =
                (const uint16_t *)pointed[warp + (size_t)q * 8 + row];

            word |= (uint32_t)from[col] << 16 * half;
        }
        out[q] = word;
    }
    (void)krn_emulated_swap(0); /* the places may be written again */
}

/* --- outside ---------------------------------------------------------------
 */

static std::map<void *, size_t> taken;
static size_t in_use;

static size_t memory_of_device()
{
    const char *asked = getenv("RECD_EMULATED_MEMORY");

    return asked != NULL ? strtoull(asked, NULL, 10) : (size_t)4 << 30;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory"
           : e == cudaSuccess             ? "no error"
                                          : "invalid configuration argument";
}

cudaError_t cudaGetLastError()
{
    const cudaError_t e = last_error;

    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = {};
    snprintf(p->name, sizeof(p->name), "emulated");
    p->major = 9;
    p->multiProcessorCount = 1;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *all)
{
    *all = memory_of_device();
    *unused = *all - in_use;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **dev, size_t bytes)
{
    const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);

    if (in_use + bytes > memory_of_device() ||
        posix_memalign(dev, 256, bytes) != 0)
        return last_error = cudaErrorMemoryAllocation;
    memset(*dev, 0xff, bytes);
    taken[*dev] = bytes;
    in_use += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *dev)
{
    const std::lock_guard<std::recursive_mutex> lock(one_at_a_time);

    if (dev == NULL)
        return cudaSuccess;
    if (taken.count(dev) == 0)
        die("device memory given back that was not taken");
    in_use -= taken[dev];
    taken.erase(dev);
    free(dev);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            cudaMemcpyKind, cudaStream_t)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *dev, int byte, size_t bytes, cudaStream_t)
{
    memset(dev, byte, bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    *e = new double;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    *e = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)(*to - *from);
    return cudaSuccess;
}
