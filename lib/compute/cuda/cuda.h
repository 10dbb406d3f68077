/*
 * compute/cuda/cuda - the inside of device "cuda": one GPU, one stream, the memory around them.
 *
 *     cuda_dev.c    the table of dev_ops.h: memory, copies, results that come at the next wait
 *     cuda_stage.c  pinned memory that uploads and downloads pass through; small host arrays
 *     cuda_lane.c   copies beside the ops; numbers on their way to the host
 *     cuda_gemm.c   products: which algorithm, found once, kept
 *     cuda_attn.c   attention: tables of tiles
 *     cuda_team.c   sums over GPUs
 *     cuda_profile.c  what time goes to
 *     cuda_ops.c    every other op: one launcher of kernels.h each
 *
 * The main idea: one stream of ops, so what is submitted in order runs in order and no op needs an
 * event; the host runs ahead and waits only in download, sync, dev_lane_wait and when the pinned
 * ring is full. Two more streams copy for the lanes (dev.h):
 *
 *     up     ids, rows, tables of the next bin    --arrived--> s, before the ops that read them
 *     s      ops of the bin at hand               --ended----> down
 *     down   losses and maxima of the bin before  --home-----> the host, in dev_lane_wait
 *
 * Nothing waits the other way round: before a lane begins again the host has waited for its home,
 * behind which all of the lane is over.
 *
 * Sums over k are split at most in a fixed way and added in a fixed order: an op's bits are a
 * function of its inputs and of the algorithm chosen, which depends on neither the number of rows
 * of A (the tokens of a bin) nor on timing, once chosen (dev_choices).
 *
 * What it keeps for itself beside the buffers: CUDA_WORKSPACE bytes for cublasLt, scratch of
 * kernels (dev_own_bytes says how much), small arrays.
 */
#pragma once
#include "compute/cuda/gpu.h"
#include "compute/dev_ops.h"

enum {
    CUDA_SLOTS = 4,             /* of the ring for uploads */
    CUDA_SLOT_BYTES = 16 << 20, /* of each, and of the two for downloads */
    CUDA_RESULTS = 1024,        /* numbers on their way to the host */
    CUDA_ARRAYS = 16,           /* small host arrays kept on the GPU: a bin's tables, twice */
    CUDA_WORKSPACE = 32 << 20,  /* what cublasLt's authors recommend for Hopper */
};

/* Uploads are copied into the ring, downloads out of the two slots behind it. */
struct cuda_stage {
    unsigned char *up[CUDA_SLOTS], *down[2];
    struct gpu_event *up_done[CUDA_SLOTS], *down_done[2];
    int slot;
    size_t used; /* of up[slot] */
};

/* Host arrays of a call (sample starts, cache positions), which layer after layer are the same. */
struct cuda_array {
    void *host, *device;
    size_t n, cap; /* bytes */
    uint64_t last; /* when used */
    uint64_t turn; /* in which turn of a lane, likewise */
};

struct cuda_result {
    float *f32;
    double *f64;
};

/* A download of a lane: through `at` of its pinned block. */
struct cuda_later {
    const void *device;
    void *host;
    size_t bytes, at;
};
struct cuda_lane {
    struct gpu_event *ended, *home;
    bool flies;    /* ended, and not waited for */
    uint64_t turn; /* whose end that was */
    uint64_t upto; /* results that came before it */
    struct cuda_later later[DEV_LANE_DOWNLOADS];
    int nlater;
    unsigned char *pinned;
    size_t cap, used;
};

/* Joining, adding up a first number on trial, ready. */
enum cuda_team_state { CUDA_TEAM_JOINS, CUDA_TEAM_TRIES, CUDA_TEAM_READY };
struct cuda_team {
    struct gpu_team *t;
    enum cuda_team_state state;
    int rank, size;
    int64_t *trial;               /* device */
    size_t bytes_free, bytes_own; /* before it; what it took */
    double since_s;               /* a sum was begun */
};

struct cuda_gemms;
struct cuda_profile;
struct kernel_tile;

/* When the GPU computed nothing: from the end of a wait to what is submitted next; where a submit
 * finds the stream run dry, since the submit before; and from the begin of a sum over GPUs to where
 * it is seen to be over, in which it sends, or waits for a slower one. An upper bound, without a
 * cost to the GPU. */
struct cuda_idle {
    double total_s;
    double since_s;  /* of the last wait that found all done; 0: work is queued */
    double queued_s; /* when something was submitted last */
};

struct cuda {
    struct gpu *gpu;
    struct gpu_stream *s, *up, *down;
    struct gpu_event *arrived; /* on up */
    struct cuda_lane lanes[DEV_LANES];
    uint64_t turn, turns_over; /* of lanes: the one under way, the last known to be over */
    struct cuda_stage stage;
    struct cuda_idle idle;
    size_t free_at_open; /* bytes of the GPU, before anything was taken here */
    struct cuda_array arrays[CUDA_ARRAYS];
    uint64_t tick;
    struct cuda_gemms *gemms;
    struct cuda_team team;
    struct cuda_profile *profile; /* NULL: off */
    struct kernel_tile *tiles;    /* host: a table in the making */
    size_t cap_tiles;
    void *workspace, *scratch;
    size_t scratch_bytes;
    double *results, *results_host; /* device, pinned: [CUDA_RESULTS], number i at i % that */
    struct cuda_result pending[CUDA_RESULTS];
    uint64_t made, copied, given; /* results asked for, whose copy is queued, that the host has */
};

/* ---- cuda_stage.c */
MUST_CHECK bool cuda_stage_open(struct cuda *c, struct err *e);
void cuda_stage_close(struct cuda *c);
/* host may be reused on return. */
MUST_CHECK bool cuda_upload(struct cuda *c, void *device, const void *host, size_t bytes,
                            struct err *e);
/* The same on stream up, beside the ops so far; the next ones wait for it. At most
 * CUDA_SLOT_BYTES. */
MUST_CHECK bool cuda_upload_beside(struct cuda *c, void *device, const void *host, size_t bytes,
                                   struct err *e);
/* Waits. */
MUST_CHECK bool cuda_download(struct cuda *c, const void *device, void *host, size_t bytes,
                              struct err *e);
/* The array on the GPU; stays as it is for calls submitted before the CUDA_ARRAYS-th other one. */
MUST_CHECK bool cuda_array(struct cuda *c, const void *host, size_t bytes, const void **out,
                           struct err *e);

/* ---- cuda_dev.c */
/* Before something is queued, and behind a wait (see struct cuda_idle). */
void cuda_busy(struct cuda *c);
void cuda_waited(struct cuda *c);
/* At least `bytes` of device memory for the kernels of one call. */
MUST_CHECK bool cuda_scratch(struct cuda *c, size_t bytes, void **out, struct err *e);

/* ---- cuda_lane.c */
MUST_CHECK bool cuda_lanes_open(struct cuda *c, struct err *e);
void cuda_lanes_close(struct cuda *c);
/* Where a kernel puts a number (f32 or f64) for the host, which gets it at the next wait. */
MUST_CHECK bool cuda_result(struct cuda *c, struct cuda_result to, void **out, struct err *e);
/* Waits for everything; the host gets all that is on its way. */
MUST_CHECK bool cuda_deliver(struct cuda *c, struct err *e);
extern const struct dev_lane_ops cuda_lane_ops;

/* ---- cuda_gemm.c */
MUST_CHECK bool cuda_gemms_open(struct cuda *c, struct err *e);
void cuda_gemms_close(struct cuda *c);
MUST_CHECK bool cuda_gemm(struct cuda *c, const struct dev_call *call, struct err *e);
/* dev_tune, dev_choices_get and dev_choices_set of dev.h. */
void cuda_gemms_tune(struct cuda *c, bool on);
struct dev_join_times cuda_gemms_join(const struct cuda *c);
size_t cuda_gemms_bytes(const struct cuda *c);
void cuda_gemms_get(const struct cuda *c, void *out);
MUST_CHECK bool cuda_gemms_set(struct cuda *c, const void *in, size_t bytes, bool *taken,
                               struct err *e);

/* ---- cuda_profile.c: dev_profile_set and _get of dev.h; around each op */
MUST_CHECK bool cuda_profile_set(struct cuda *c, bool on, struct err *e);
MUST_CHECK bool cuda_profile_get(struct cuda *c, struct dev_profile *out, struct err *e);
MUST_CHECK bool cuda_profile_begin(struct cuda *c, const struct dev_call *call, struct err *e);
MUST_CHECK bool cuda_profile_end(struct cuda *c, struct err *e);
void cuda_profile_free(struct cuda *c);

/* ---- cuda_team.c */
extern const struct dev_team_ops cuda_team_ops;

/* ---- cuda_attn.c */
MUST_CHECK bool cuda_attn_fwd(struct cuda *c, const struct dev_call *call, struct err *e);
MUST_CHECK bool cuda_attn_bwd(struct cuda *c, const struct dev_call *call, struct err *e);
MUST_CHECK bool cuda_attn_cached(struct cuda *c, const struct dev_call *call, struct err *e);

/* ---- cuda_ops.c */
MUST_CHECK bool cuda_run(struct cuda *c, const struct dev_call *call, struct err *e);
/* A view as launchers take it (kernels.h); left out: p NULL. */
struct kernel_mat cuda_mat(struct dev_mat m);
/* For products: dst = alpha * src, views of one shape; m = 0. */
MUST_CHECK bool cuda_scale_cast(struct cuda *c, float alpha, struct dev_mat src, struct dev_mat dst,
                                struct err *e);
MUST_CHECK bool cuda_zero(struct cuda *c, struct dev_mat m, struct err *e);
