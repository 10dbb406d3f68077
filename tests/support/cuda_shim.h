/*
 * tests/support/cuda_shim - run the kernels of lib/compute/cuda/kernels on the CPU.
 *
 * The main idea: the same .cu files are compiled by g++ or clang++, which see this header in place
 * of CUDA's own. A block's threads are fibers on one processor: each runs until it meets a barrier
 * or an operation of its warp (shuffle, ballot, mma, ldmatrix), and goes on when all have come. In
 * which order they run is chosen (forward, reverse, shuffled; blocks likewise), so a missing barrier
 * shows as a result that depends on the order: forward and reverse, one warp runs as far ahead as
 * barriers let it; shuffled, warps go on by turns, in an order that is drawn anew. Also seen:
 *
 *     - threads that leave while others wait, and threads that wait at different places: abort
 *     - shared memory read before it is written: every block finds it full of NaN
 *     - shared memory beyond what the launch asked for: it is a heap block, the sanitizer sees it
 *     - cp.async without its wait: the target is NaN until the wait
 *     - more shared memory or threads than sm_80 has: abort
 *
 * shim_barrier_skip takes one barrier away, so that a test can ask whether it was needed.
 *
 * What it is not: threads do not run at once (no torn writes, no memory model), a warp is always
 * whole (32 lanes, full mask), the sum inside mma is rounded once per 16 products while the GPU's
 * own order is not public, and approximate functions are libm's. One host thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shim_order { SHIM_FORWARD, SHIM_REVERSE, SHIM_SHUFFLED, SHIM_ORDERS };
void shim_set_order(enum shim_order order, uint64_t seed);

/* Barriers, and waits of cp.async, met so far, by "file:line", and how often; i counts from 0. skip: -1 for none. */
int shim_barriers(void);
const char *shim_barrier_name(int i);
uint64_t shim_barrier_hits(int i);
void shim_barrier_skip(int i);

/* Kernels run so far. */
uint64_t shim_launches(void);

/* Where launches go. NULL (the start): they run at once, whatever the stream. Else put is called,
 * as gpu_fake_push of gpu_stream.h: it has run(closure) called at most once and then, in any case,
 * drop(closure). */
struct gpu_stream;
typedef void shim_put_fn(struct gpu_stream *s, const char *kernel, void (*run)(void *closure),
                         void (*drop)(void *closure), void *closure);
void shim_set_queue(shim_put_fn *put);

#ifdef __cplusplus
}

#include <math.h>
#include <string.h>

#include <tuple>

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};

enum { SHIM_WARP = 32, SHIM_DATA = 48, SHIM_MOST_SHARED = 166912 }; /* sm_80's 163 KB */

/* What a lane brings to an operation of its warp and takes from it. */
struct shim_slot {
    alignas(16) unsigned char in[SHIM_DATA], out[SHIM_DATA];
};
typedef void shim_warp_fn(struct shim_slot *const lanes[SHIM_WARP]);

extern dim3 shim_thread_idx, shim_block_idx, shim_block_dim, shim_grid_dim;
void shim_barrier(const char *file, int line);
void shim_warp(shim_warp_fn *fn, const char *file, int line, const void *in, size_t in_bytes,
               void *out, size_t out_bytes);
void *shim_shared(void);
void shim_copy_start(void *shared, const void *global, size_t bytes, size_t valid);
void shim_copy_commit(void);
void shim_copy_wait(int pending, const char *file, int line);
[[noreturn]] void shim_die(const char *what);
void shim_launch_run(dim3 grid, dim3 block, size_t shared, void (*run)(const void *),
                     const void *c);
shim_put_fn *shim_queue(void);

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx       shim_thread_idx
#define blockIdx        shim_block_idx
#define blockDim        shim_block_dim
#define gridDim         shim_grid_dim
#define __syncthreads() shim_barrier(__FILE__, __LINE__)

struct shim_none {
};

static inline void shim_warp_none(shim_slot *const *) {}
#define __syncwarp() shim_warp(shim_warp_none, __FILE__, __LINE__, "", 1, NULL, 0)

/* ---- shuffles: every lane names the lane whose value it takes */
template <class T> struct shim_pick {
    T value;
    int lane;
};

template <class T> void shim_warp_pick(shim_slot *const *lanes)
{
    for (int l = 0; l < SHIM_WARP; l++) {
        shim_pick<T> mine, theirs;
        memcpy(&mine, lanes[l]->in, sizeof mine);
        memcpy(&theirs, lanes[mine.lane & 31]->in, sizeof theirs);
        memcpy(lanes[l]->out, &theirs.value, sizeof theirs.value);
    }
}

template <class T> T shim_shuffle(unsigned mask, T value, int lane, const char *file, int line)
{
    shim_pick<T> in;
    T out;
    if (mask != 0xFFFFFFFFu) shim_die("a shuffle of a part of a warp");
    memset(&in, 0, sizeof in);
    in.value = value;
    in.lane = lane;
    shim_warp(shim_warp_pick<T>, file, line, &in, sizeof in, &out, sizeof out);
    return out;
}
#define SHIM_LANE                  ((int)(shim_thread_idx.x & 31u))
#define __shfl_sync(mask, v, lane) shim_shuffle(mask, v, (int)(lane), __FILE__, __LINE__)
#define __shfl_xor_sync(mask, v, bits)                                                             \
    shim_shuffle(mask, v, SHIM_LANE ^ (int)(bits), __FILE__, __LINE__)

static inline void shim_warp_ballot(shim_slot *const *lanes)
{
    unsigned bits = 0;
    for (int l = 0; l < SHIM_WARP; l++)
        bits |= (unsigned)(lanes[l]->in[0] != 0) << l;
    for (int l = 0; l < SHIM_WARP; l++)
        memcpy(lanes[l]->out, &bits, sizeof bits);
}

static inline unsigned shim_ballot(unsigned mask, bool yes, const char *file, int line)
{
    unsigned char in = yes;
    unsigned out;
    if (mask != 0xFFFFFFFFu) shim_die("a ballot of a part of a warp");
    shim_warp(shim_warp_ballot, file, line, &in, 1, &out, sizeof out);
    return out;
}
#define __ballot_sync(mask, yes) shim_ballot(mask, yes, __FILE__, __LINE__)

/* ---- tensor cores: the same fragments as PTX mma.m16n8k16 and ldmatrix.x4 */
void shim_mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2]);
void shim_ldmatrix(uint32_t r[4], const void *row, bool trans);

/* ---- intrinsics */
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
template <class T> T atomicAdd(T *p, T v)
{
    T old = *p;
    *p = old + v;
    return old;
}

/* ---- launches: arguments are kept by value until the kernel runs */
template <class... P> struct shim_closure {
    void (*kernel)(P...);
    std::tuple<P...> args;
    dim3 grid, block;
    size_t shared;
};

template <class... P> void shim_one_thread(const void *closure)
{
    const auto *c = static_cast<const shim_closure<P...> *>(closure);
    std::apply(c->kernel, c->args);
}

template <class... P> void shim_run(void *closure)
{
    auto *c = static_cast<shim_closure<P...> *>(closure);
    shim_launch_run(c->grid, c->block, c->shared, shim_one_thread<P...>, c);
}
template <class... P> void shim_drop(void *closure)
{
    delete static_cast<shim_closure<P...> *>(closure);
}

template <class... P, class... A>
void shim_launch(struct gpu_stream *s, const char *name, void (*kernel)(P...), dim3 grid,
                 dim3 block, size_t shared, A... a)
{
    auto *c = new shim_closure<P...>{kernel, std::tuple<P...>(a...), grid, block, shared};
    if (shim_queue()) {
        shim_queue()(s, name, shim_run<P...>, shim_drop<P...>, c);
        return;
    }
    shim_run<P...>(c);
    shim_drop<P...>(c);
}
#endif
