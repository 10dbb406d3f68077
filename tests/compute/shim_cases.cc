/* Small kernels, most of them wrong, for test_shim.c. */
#include "support/cuda_shim.h"

static void right(int *out)
{
    int *s = (int *)shim_shared();
    s[threadIdx.x] = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    __syncthreads();
    int v = s[blockDim.x - 1 - threadIdx.x];
    v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
    if (threadIdx.x % 32 == 0 && !__ballot_sync(0xFFFFFFFFu, threadIdx.x % 2))
        v = -1;
    else if (threadIdx.x % 32)
        (void)__ballot_sync(0xFFFFFFFFu, threadIdx.x % 2);
    out[blockIdx.x * blockDim.x + threadIdx.x] = v;
}

/* The same without a branch around the ballot. */
static void reversed(int *out)
{
    int *s = (int *)shim_shared();
    s[threadIdx.x] = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    __syncthreads();
    int v = s[blockDim.x - 1 - threadIdx.x];
    v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
    unsigned odd = __ballot_sync(0xFFFFFFFFu, threadIdx.x % 2);
    out[blockIdx.x * blockDim.x + threadIdx.x] = odd == 0xAAAAAAAAu ? v : -1;
}

static void leaves_early(int *out)
{
    if (threadIdx.x == 5) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

static void two_barriers(int *out)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

static void half_a_warp(int *out)
{
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
}

static void beyond_shared(int *out)
{
    int *s = (int *)shim_shared();
    s[threadIdx.x + 1] = 1;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x];
}

static void unwritten_shared(int *out)
{
    out[threadIdx.x] = ((int *)shim_shared())[threadIdx.x];
}

static void no_wait(int *out)
{
    static const int from[4] = {1, 2, 3, 4};
    int *s = (int *)shim_shared();
    if (threadIdx.x == 0) {
        shim_copy_start(s, from, 16, 8);
        shim_copy_commit();
        out[0] = s[0];
        shim_copy_wait(0, __FILE__, __LINE__);
        out[1] = s[1];
        out[2] = s[2];
    }
}

extern "C" void shim_case(int which, int *out);
extern "C" void shim_case(int which, int *out)
{
    static void (*const cases[])(int *) = {reversed, leaves_early,  two_barriers,     half_a_warp,
                                           right,    beyond_shared, unwritten_shared, no_wait};
    shim_launch(NULL, "case", cases[which], 2, 64, 64 * sizeof(int), out);
}
