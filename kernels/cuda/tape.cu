/* kernels/cuda/tape.cu - jobs of a thread for each element. */
#include "kernels/cuda/tape_each.cuh"

#define THREADS 256

/* A row of the table gets what its sorted positions give, by the thread of the
 * first of them. */
static __device__ inline void embed_grad(const struct krn_cuda_job &j, size_t r,
                                         size_t c)
{
    const uint32_t id = j.ids[r];

    if (id == NOTHING || (r > 0 && j.ids[r - 1] == id))
        return;
    float sum = j.y[id * j.n + c];

    for (size_t q = r; q < j.rows && j.ids[q] == id; q++)
        sum += j.x[j.places[q] / j.other * j.n + c];
    j.y[id * j.n + c] = sum;
}

static __device__ inline float gather_up(const struct krn_cuda_job &j, size_t r,
                                         size_t c)
{
    float sum = 0;

    for (size_t k = 0; k < j.other; k++)
        sum += j.x[(r * j.other + k) * j.n + c];
    return sum * j.a;
}

static __device__ inline void moves(const struct krn_cuda_job &j, size_t i,
                                    size_t r, size_t c)
{
    size_t at;

    switch (j.work) {
    case KRN_JOB_MOVE:
        put(j, j.y + r * j.ldy + c, j.x != NULL ? j.x[r * j.ldx + c] : 0);
        break;
    case KRN_JOB_REPEAT:
        for (size_t k = 0; k < j.other; k++)
            j.y[(r * j.other + k) * j.n + c] = j.x[i];
        break;
    case KRN_JOB_GATHER_UP:
        put(j, j.y + i, gather_up(j, r, c));
        break;
    case KRN_JOB_SPREAD:
        for (size_t k = 0; k < j.other; k++)
            put(j, j.y + (r * j.other + k) * j.n + c, j.a * j.x[i]);
        break;
    case KRN_JOB_FILL:
        put(j, j.y + i, j.x[0] * j.z[0] * (j.u != NULL ? j.u[i] : 1));
        break;
    case KRN_JOB_EMBED:
        j.y[i] = j.ids[r] != NOTHING ? j.x[j.ids[r] * j.n + c] : 0;
        break;
    case KRN_JOB_EMBED_GRAD:
        embed_grad(j, r, c);
        break;
    case KRN_JOB_PICK:
        at = r / j.other * j.ldx + j.ids[r];
        j.y[i] = j.ids[r] != NOTHING ? j.x[at * j.n + c] : 0;
        break;
    case KRN_JOB_PICK_GRAD:
        for (size_t k = r * j.other; k < (r + 1) * j.other; k++) {
            if (j.ids[k] != NOTHING)
                j.y[(r * j.ldx + j.ids[k]) * j.n + c] += j.x[k * j.n + c];
        }
        break;
    default:
        break;
    }
}

static __device__ inline void elements(const struct krn_cuda_job &j, size_t i,
                                       size_t r, size_t c)
{
    uint32_t label;
    float pre;

    switch (j.work) {
    case KRN_JOB_MAP:
        j.y[i] = map(j.f, j.a, j.x[i]);
        break;
    case KRN_JOB_MAP_GRAD:
        put(j, j.y + i,
            j.x[i] * map_slope(j.f, j.a, j.u != NULL ? j.u[i] : 0, j.v[i]));
        break;
    case KRN_JOB_BIAS_MAP:
        pre = j.u != NULL ? j.y[i] + j.u[c] : j.y[i];
        if (j.z != NULL)
            j.z[i] = pre;
        j.y[i] = map(j.f, j.a, pre);
        break;
    case KRN_JOB_ZIP:
        j.y[i] = zip(j.f, j.x[i], j.u[i % j.other]);
        break;
    case KRN_JOB_ZIP_A:
        put(j, j.y + i, zip_a(j.f, j.x[i], j.u[i], j.v[i % j.other]));
        break;
    case KRN_JOB_ZIP_B:
        put(j, j.y + i, zip_b(j.f, j.x[i], j.u[i], j.v[i % j.other]));
        break;
    case KRN_JOB_CLIP:
        j.y[i] = j.x[i] < j.a ? j.a : j.x[i] > j.b ? j.b : j.x[i];
        break;
    case KRN_JOB_CLIP_GRAD:
        put(j, j.y + i, j.u[i] < j.a || j.u[i] > j.b ? 0 : j.x[i]);
        break;
    case KRN_JOB_SCALE:
        put(j, j.y + i, j.a * j.x[i] + j.b);
        break;
    case KRN_JOB_DROP: /* heads: rows go in turn through as many seeds */
        put(j, j.y + i,
            j.x[i] *
                drop_factor(j, j.seed + r % j.heads,
                            j.keys != NULL ? j.keys[r / j.heads] : r / j.heads,
                            c));
        break;
    case KRN_JOB_CE_GRAD:
        label = j.ids != NULL ? j.ids[r] : 0;
        put(j, j.y + i,
            label == NOTHING ? 0 : j.x[r] * j.u[i] - (c == label ? j.x[r] : 0));
        break;
    case KRN_JOB_ROWS:
        put(j, j.y + i, j.x[r] * j.u[i]);
        break;
    default:
        break;
    }
}

static __global__ void __launch_bounds__(THREADS)
    each_kernel(struct krn_cuda_job j)
{
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= j.rows * j.n)
        return;
    const size_t r = i / j.n, c = i % j.n;

    if (j.work == KRN_JOB_GRU)
        gru_one(j, r, c);
    else if (j.work == KRN_JOB_GRU_GRAD)
        gru_grad_one(j, r, c);
    else if (j.work >= KRN_JOB_STEP_SGD)
        step_one(j, j.ids != NULL ? j.ids[r] * j.n + c : i);
    else if ((j.work >= KRN_JOB_MOVE && j.work <= KRN_JOB_PICK_GRAD))
        moves(j, i, r, c);
    else
        elements(j, i, r, c);
}

int krn_cuda_each_run(const struct krn_cuda_job *j, char *why)
{
    if (j->rows * j->n == 0)
        return 0;
    KRN_LAUNCH(each_kernel, krn_cuda_blocks(j->rows * j->n, THREADS), THREADS,
               0, *j);
    return KRN_CUDA_LAUNCHED("elements of a tensor", why);
}
