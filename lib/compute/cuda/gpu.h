/*
 * compute/cuda/gpu - the thin layer under device "cuda": memory, streams, events, copies, matrix
 * products, sums over GPUs. Nothing above it names CUDA; kernels see gpu_stream.h only.
 *
 * Two implementations, chosen at link time:
 *
 *     gpu_cuda.c   cudart, cuBLASLt; gpu_nccl.c: NCCL, opened at run time: radmill_cuda.so
 *     gpu_fake.c   the CPU, for tests, gpu_fake_team.c: ranks of one machine, through shared
 *                  memory: radmill_cuda_fake.so. Nothing runs when it is queued: a
 *                  stream runs when somebody waits for it, no further than asked, other streams
 *                  only as far as events order it. So a missing event, a pinned block reused too
 *                  early or a wait left out gives wrong numbers in a test instead of once a week.
 *                  Fresh memory is NaN; views, leading dimensions, alignment and the life of
 *                  blocks are CHECKed.
 *
 * Errors of the device come late, as CUDA's do: whatever is called next reports them. After one,
 * nothing on that GPU is trusted: close it. One thread a GPU.
 */
#pragma once
#include "base/err.h"
#include "compute/cuda/gpu_stream.h"

struct gpu;
struct gpu_event;

struct gpu_info {
    char name[64]; /* "NVIDIA H200" */
    char uuid[48]; /* of this GPU or MIG slice, the same from every process */
    int major, minor;
    int processors;
    size_t bytes_total;
    int driver, runtime; /* CUDA, 12040 = 12.4 */
    uint64_t blas;       /* cublasLt's version */
};

/* GPUs that this process sees; 0 with the reason in why. */
int gpu_count(char *why, size_t size);
MUST_CHECK bool gpu_open(int ordinal, struct gpu **out, struct err *e);
/* All streams, events and memory were given back before. */
void gpu_close(struct gpu *g);
const struct gpu_info *gpu_get_info(const struct gpu *g);
/* Of the memory, what nobody has taken. */
size_t gpu_bytes_free(const struct gpu *g);

/* ---- memory: device blocks are aligned to 256 bytes */
MUST_CHECK bool gpu_malloc(struct gpu *g, size_t bytes, void **out, struct err *e);
/* Waits for everything that may still use it. */
void gpu_free(struct gpu *g, void *p);
/* Host memory that copies run from and to while the host goes on. */
MUST_CHECK bool gpu_pinned_open(struct gpu *g, size_t bytes, void **out, struct err *e);
void gpu_pinned_close(struct gpu *g, void *p);

/* ---- order */
MUST_CHECK bool gpu_stream_open(struct gpu *g, struct gpu_stream **out, struct err *e);
void gpu_stream_close(struct gpu_stream *s);
MUST_CHECK bool gpu_stream_sync(struct gpu_stream *s, struct err *e);
/* Is everything that was queued over? Does not wait. */
bool gpu_stream_idle(struct gpu_stream *s);
/* Has nothing failed so far that is known without waiting? */
MUST_CHECK bool gpu_stream_ok(struct gpu_stream *s, struct err *e);
/* timed: for gpu_event_ms. */
MUST_CHECK bool gpu_event_open(struct gpu *g, bool timed, struct gpu_event **out, struct err *e);
void gpu_event_close(struct gpu_event *v);
MUST_CHECK bool gpu_event_record(struct gpu_event *v, struct gpu_stream *s, struct err *e);
/* What is queued on s from here waits for the event's last record. */
MUST_CHECK bool gpu_stream_wait(struct gpu_stream *s, struct gpu_event *v, struct err *e);
/* The host waits. An event never recorded is over. */
MUST_CHECK bool gpu_event_sync(struct gpu_event *v, struct err *e);
/* Between two records that are over. */
MUST_CHECK bool gpu_event_ms(struct gpu_event *from, struct gpu_event *to, float *ms,
                             struct err *e);

/* ---- copies; `pinned` lies in a pinned block and stays as it is until the stream passed here */
MUST_CHECK bool gpu_copy_up(struct gpu_stream *s, void *device, const void *pinned, size_t bytes,
                            struct err *e);
MUST_CHECK bool gpu_copy_down(struct gpu_stream *s, void *pinned, const void *device, size_t bytes,
                              struct err *e);

/* ---- matrix product, row-major: C[m,n] = alpha op(A) op(B) + beta C, op transposes when the flag
 * is set; ld in elements from row to row; f32 accumulation, f32 products in f32 (no TF32). C has
 * the type of A and B, or is f32. */
enum gpu_type { GPU_F32, GPU_BF16 };
struct gpu_gemm {
    bool trans_a, trans_b;
    enum gpu_type ab, c;
    uint32_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
    uint8_t align_a, align_b, align_c; /* bytes that all rows of A, B, C are aligned to: 2..16 */
};
/* How a product is computed: opaque, plain bytes, valid for one GPU model and cublasLt version. */
struct gpu_algo {
    uint64_t data[8];
};
/* Ways that are deterministic (no sums in order of arrival) and need at most `workspace` bytes,
 * best guess first; *n >= 1. Any serves every product that differs in m, n, k, alpha only. */
MUST_CHECK bool gpu_gemm_algos(struct gpu *g, const struct gpu_gemm *p, size_t workspace,
                               struct gpu_algo *out, size_t cap, size_t *n, struct err *e);
/* Does this one fit this product? */
bool gpu_gemm_fits(struct gpu *g, const struct gpu_gemm *p, const struct gpu_algo *algo,
                   size_t workspace);
MUST_CHECK bool gpu_gemm_run(struct gpu_stream *s, const struct gpu_gemm *p,
                             const struct gpu_algo *algo, const void *a, const void *b, void *c,
                             void *workspace, size_t workspace_bytes, struct err *e);

/* ---- sums over GPUs: a team is one GPU each of several processes (NCCL's communicator). Nothing
 * here waits for another process: what was begun is over when gpu_team_poll says so. */
enum { GPU_TEAM_ID = 128 };
struct gpu_team;
/* The library's version, "2.28.9"; false: why there is none. */
bool gpu_team_version(char *out, size_t size);
/* Of a new team: one process asks, all take it. */
MUST_CHECK bool gpu_team_id(void *id, struct err *e);
/* Begins to join as `rank` of `size`. */
MUST_CHECK bool gpu_team_open(struct gpu *g, const void *id, int rank, int size,
                              struct gpu_team **out, struct err *e);
/* Gives up what is not over: the team is then broken for all. */
void gpu_team_close(struct gpu_team *t);
/* v[n] = the sum of v[n] over the team, in the order of s. All call it in the same order with the
 * same n; nothing else is begun before it is over. */
MUST_CHECK bool gpu_team_sum_i64(struct gpu_team *t, struct gpu_stream *s, int64_t *v, size_t n,
                                 struct err *e);
/* How far is what was begun? Failures of other processes, too, are reported here. */
enum gpu_team_state {
    GPU_TEAM_BEHIND, /* what s had to do before it is not over: nobody else is to blame */
    GPU_TEAM_WAITS,  /* for the others, or on its way */
    GPU_TEAM_OVER    /* and s is idle */
};
MUST_CHECK bool gpu_team_poll(struct gpu_team *t, struct gpu_stream *s, enum gpu_team_state *now,
                              struct err *e);
