/*
 * compute/dev - one list of tensor operations; every device implements it.
 *
 *     cpu      own matrix products for AMX, AVX512-BF16, AVX-512, AVX2 and any other processor;
 *              dtype f32 or bf16
 *     strict   runs the cpu ops late (at sync) and locks its memory in between, so that host code
 *              which touches device memory crashes on a laptop, not on the cluster
 *     cuda:N   (plug-in) cuBLASLt and own kernels
 *
 * The main idea: host code never sees a device pointer. Memory is a `struct dev_buf`, one block per
 * lifetime; a `struct dev_mat` is a typed view into it. Ops are queued in order; dev_download and
 * dev_sync wait, and report what failed before. Shapes and dtypes are checked here, once for all
 * devices (a mismatch is our own bug: CHECK), so a device implements arithmetic only.
 *
 * Bits: for one kind of device, build, ISA and thread count every op is a pure function of its
 * inputs; no op depends on what ran before. Reductions have a fixed order that does not depend on
 * the rank count.
 *
 * Shapes below: T tokens of a packed bin, d model width, h query heads, k key-value heads, hd head
 * width, V vocabulary. Matrices are row-major. "f32/bf16" = either, as the view says. Not
 * thread-safe: one thread a device.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum dev_dtype { DEV_F32, DEV_BF16, DEV_I32, DEV_I64, DEV_U8, DEV_DTYPES };
size_t dev_dtype_bytes(enum dev_dtype t);
extern const char *const dev_dtype_names[DEV_DTYPES + 1];

struct dev;
struct dev_buf;

/* rows x cols, ld elements from row to row, starting `offset` elements (of dtype) into buf. */
struct dev_mat {
    struct dev_buf *buf;
    size_t offset;
    enum dev_dtype dtype;
    uint32_t rows, cols, ld;
};
/* A contiguous matrix at an element offset; a part of one (rows r0.., columns c0..). */
struct dev_mat dev_mat_of(struct dev_buf *b, size_t offset, enum dev_dtype t, uint32_t rows,
                          uint32_t cols);
struct dev_mat dev_mat_part(struct dev_mat m, uint32_t r0, uint32_t rows, uint32_t c0,
                            uint32_t cols);

/* name: "cpu", "strict", "cuda", "cuda:1", or "auto" (a visible GPU, else the CPU). threads: of one
 * op, 0 = 1. "cpu:ISA" (generic, avx2, avx512, avx512_bf16, amx; strict:ISA, too) asks for a lower
 * instruction set than the processor has: for tests and comparisons. */
MUST_CHECK bool dev_open(const char *name, int threads, struct dev **out, struct err *e);
void dev_close(struct dev *d);
/* What this process knows about its place, said once before the first dev_open (copied; without it
 * all zeros). "cuda" lives in a plug-in, radmill_cuda.so, which is loaded when "cuda" is asked for,
 * or "auto" where a GPU is visible. auto falls back to the CPU with a warning when the GPU cannot
 * be used, unless the job was given GPUs: then it fails. */
enum dev_gpus { DEV_GPUS_UNKNOWN, DEV_GPUS_GIVEN, DEV_GPUS_HIDDEN };
struct dev_place {
    const char *plugin; /* its path; NULL: beside the program, then ../lib/radmill/ */
    int local_rank;     /* rank k of a node takes GPU k % (visible GPUs) */
    int local_size;     /* ranks of the node */
    enum dev_gpus gpus; /* by the job: given to it, hidden from it */
};
void dev_set_place(const struct dev_place *p);
/* This rank's share of the processors it may run on: for threads that prepare what is uploaded
 * (base/threads), while no op runs. */
uint32_t dev_host_threads(void);
/* Load and call the plug-in, open nothing: visible GPUs, or 0 with the reason. */
int dev_count_gpus(char *why, size_t size);
const char *dev_name(const struct dev *d);
/* "isa=avx512_core_bf16 gemm=onednn-2.6.3 threads=1": goes into the run's provenance. */
const char *dev_describe(const struct dev *d);
/* Is this dtype's matrix product fast here (AMX, AVX512-BF16)? Used for `dtype: auto`. */
bool dev_prefers_bf16(const struct dev *d);
/* Which piece of hardware: equal for two processes that share a GPU; "" for processors. */
const char *dev_unit(const struct dev *d);

/* ---- memory: undefined until written (strict fills it with NaN) */
MUST_CHECK bool dev_buf_open(struct dev *d, size_t bytes, struct dev_buf **out, struct err *e);
void dev_buf_close(struct dev_buf *b);
size_t dev_buf_bytes(const struct dev_buf *b);
size_t dev_bytes_live(const struct dev *d); /* in all buffers of the device */
size_t dev_bytes_peak(const struct dev *d);
/* What the device takes for itself beside buffers; its memory that is free now, 0: not known. */
size_t dev_bytes_own(const struct dev *d);
size_t dev_bytes_free(const struct dev *d);
/* By how much the free memory has shrunk since the device was opened; 0: not known. */
size_t dev_bytes_taken(const struct dev *d);
/* Seconds since the device was opened in which a GPU computed nothing, at most: it never counts as
 * busy while the host looks for what to submit next, nor in a sum over a team, where it may wait
 * for another one. Below 0: not known (processors). */
double dev_idle_s(const struct dev *d);
/* Host to device; `host` may be reused on return. Offsets in bytes. */
MUST_CHECK bool dev_upload(struct dev *d, struct dev_buf *b, size_t offset, const void *host,
                           size_t bytes, struct err *e);
/* Device to host; waits for all ops before it. */
MUST_CHECK bool dev_download(struct dev *d, const struct dev_buf *b, size_t offset, void *host,
                             size_t bytes, struct err *e);
MUST_CHECK bool dev_zero(struct dev *d, struct dev_mat m, struct err *e);
MUST_CHECK bool dev_sync(struct dev *d, struct err *e);

/* ---- lanes: two pieces of work in flight, so that copies and the host's own work lie beside what
 * the device computes instead of between:
 *
 *     begin(0) upload_ahead.. ops.. end(0)
 *     begin(1) upload_ahead.. ops.. end(1)     lane 0 computes meanwhile
 *     wait(0): its results are there           lane 1 has all it needs already
 *     begin(0) ..
 *
 * One lane is open at a time, and a lane that has ended is waited for before it begins again.
 * Memory that is filled by dev_upload_ahead or read by dev_download_later belongs to the lane: only
 * ops between its begin and end use it. A device without streams does all of it in order. */
enum { DEV_LANES = 2 };
void dev_lane_begin(struct dev *d, int lane);
/* As dev_upload into memory of the open lane, beside the ops before it; those after it see it. */
MUST_CHECK bool dev_upload_ahead(struct dev *d, struct dev_buf *b, size_t offset, const void *host,
                                 size_t bytes, struct err *e);
/* As dev_download of memory of the open lane, which changes no more; host is filled by
 * dev_lane_wait. At most DEV_LANE_DOWNLOADS in a lane. */
enum { DEV_LANE_DOWNLOADS = 4 };
MUST_CHECK bool dev_download_later(struct dev *d, const struct dev_buf *b, size_t offset,
                                   void *host, size_t bytes, struct err *e);
MUST_CHECK bool dev_lane_end(struct dev *d, struct err *e);
/* Until the lane's ops are over: its downloads and all that came _later before its end are there.
 * A lane that has not begun is over. */
MUST_CHECK bool dev_lane_wait(struct dev *d, int lane, struct err *e);
/* After a failure: waits for what runs and forgets what was to come to the host. */
void dev_lanes_drop(struct dev *d);

/* ---- choices: a GPU computes a product in one of several ways, with other last bits. Which one is
 * fastest is found by timing; who wants the same bits again (other ranks, a run that goes on) takes
 * the choices over as bytes. Devices without choices: dev_tunes is false, dev_choices_bytes 0.
 *
 * While tuning, every kind of product met for the first time is timed at the shape at hand, and
 * what ops compute is of no use: throw it away. Products not met then are computed in a way that
 * does not depend on timing. */
bool dev_tunes(const struct dev *d);
void dev_tune(struct dev *d, bool on);
size_t dev_choices_bytes(const struct dev *d);
void dev_choices_get(const struct dev *d, void *out);
/* Replaces all choices; *taken false: they were made on other hardware or another library, and
 * nothing changed. Damaged bytes are an error. */
MUST_CHECK bool dev_choices_set(struct dev *d, const void *in, size_t bytes, bool *taken,
                                struct err *e);

/* ---- what time goes to: while on, the device times every op on its own clock (CUDA events), which
 * costs a little and leaves results alone. Devices that cannot: dev_profiles is false. */
enum { DEV_PROFILE_KINDS = 40, DEV_PROFILE_NARROW = DEV_PROFILE_KINDS - 1 };
struct dev_profile {
    double
        ms[DEV_PROFILE_KINDS]; /* by op; DEV_PROFILE_NARROW: products with a factor of low rank */
    uint64_t calls[DEV_PROFILE_KINDS];
};
bool dev_profiles(const struct dev *d);
/* Begins anew, or ends. */
MUST_CHECK bool dev_profile_set(struct dev *d, bool on, struct err *e);
/* Since it began; waits. */
MUST_CHECK bool dev_profile_get(struct dev *d, struct dev_profile *out, struct err *e);
/* "rmsnorm"; NULL: no such kind. */
const char *dev_profile_name(int kind);

/* ---- a team: one device each of several processes, which add up without the host (NCCL). Nothing
 * here waits for another process: what was begun is over when dev_team_poll says so. */
enum { DEV_TEAM_ID = 128 };
/* Could this device be in a team? text: the library's version, or why not. */
bool dev_team_there(const struct dev *d, char *text, size_t size);
/* Of a new team: one process asks, all take it. */
MUST_CHECK bool dev_team_id(struct dev *d, void *id, struct err *e);
/* Begins to join as `rank` of `size`; joined, the team has added up a first number, which was
 * right, and dev_bytes_own counts what it takes. A device is in one team at most. */
MUST_CHECK bool dev_team_open(struct dev *d, const void *id, int rank, int size, struct err *e);
/* Leaves; what is not over is given up, and the team is then broken for all. */
void dev_team_close(struct dev *d);
/* How many; 0: the device is in no team. */
int dev_team_size(const struct dev *d);
/* Begins: count I64 at `offset` bytes of b become their sum over the team (integers wrap: exact in
 * any order). All call it in the same order with the same count. No other op before it is over. */
MUST_CHECK bool dev_team_sum_i64(struct dev *d, struct dev_buf *b, size_t offset, size_t count,
                                 struct err *e);
enum dev_team_state {
    DEV_TEAM_BEHIND, /* own ops before the sum still run: no other process holds this one up */
    DEV_TEAM_WAITS,  /* for other processes, or the sum is on its way */
    DEV_TEAM_OVER
};
MUST_CHECK bool dev_team_poll(struct dev *d, enum dev_team_state *now, struct err *e);

/* ---- copies */
/* dst = src, converting dtype (f32 <-> bf16, round to nearest even). Same shape. */
MUST_CHECK bool dev_cast(struct dev *d, struct dev_mat src, struct dev_mat dst, struct err *e);
/* dst = alpha * src, converting: used to lay s*B into a merged weight's tail. */
MUST_CHECK bool dev_scale_cast(struct dev *d, float alpha, struct dev_mat src, struct dev_mat dst,
                               struct err *e);
/* dst[i,:] = src[idx[i],:] (idx I32 [1, n]); dtype converted. */
MUST_CHECK bool dev_gather_rows(struct dev *d, struct dev_mat src, struct dev_mat idx,
                                struct dev_mat dst, struct err *e);
/* dst[idx[i],:] = src[i,:]; rows not named keep their value; idx distinct. */
MUST_CHECK bool dev_scatter_rows(struct dev *d, struct dev_mat src, struct dev_mat idx,
                                 struct dev_mat dst, struct err *e);
/* table_grad[ids[i],:] += src[i,:] in increasing i (f32): embedding gradient, fixed order. */
MUST_CHECK bool dev_scatter_add_rows(struct dev *d, struct dev_mat src, struct dev_mat ids,
                                     struct dev_mat table_grad, struct err *e);
/* x += y, both f32/bf16; y of x's shape, or one row that is added to every row (a bias). */
MUST_CHECK bool dev_add(struct dev *d, struct dev_mat x, struct dev_mat y, struct err *e);

/* ---- matrix product: C = alpha op(A) op(B) + beta C. A, B of one dtype (f32 or bf16), C f32 or
 * bf16; accumulation in f32. op is transpose when the flag is set. */
struct dev_gemm {
    bool trans_a, trans_b;
    float alpha, beta;
};
MUST_CHECK bool dev_gemm(struct dev *d, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
                         struct dev_mat c, struct err *e);

/* C = alpha (op(A) op(B) + op(A2) op(B2)) + beta C, summed in one chain and rounded once: a frozen
 * weight with its low-rank adapter, forward (x, W, h, B) and backward (dy, W, dh, A). One dtype for
 * A, B, A2, B2; the flags hold for both terms. */
MUST_CHECK bool dev_gemm2(struct dev *d, struct dev_gemm g, struct dev_mat a, struct dev_mat b,
                          struct dev_mat a2, struct dev_mat b2, struct dev_mat c, struct err *e);

/* Both terms are one product, [A A2] [B; B2], where op(A2) stands right of op(A) and op(B2) below
 * op(B) in one matrix each. A device that joins may make it so: C is then written once, instead of
 * written, read and written. Which is faster is one of its choices, timed for each kind of pair;
 * what was never timed is joined. Devices that do not join do not care where operands stand. */
enum dev_join { DEV_JOIN_TIMED, DEV_JOIN_ALWAYS };
bool dev_joins(const struct dev *d);
void dev_set_join(struct dev *d, enum dev_join how);
/* Kinds of pairs that were timed since the device was opened, how many of them are joined; the time
 * of all, one product each and two. */
struct dev_join_times {
    uint32_t pairs, joined;
    double one_ms, two_ms;
};
struct dev_join_times dev_join_get(const struct dev *d);

/* ---- blocks of a transformer */
/* y = x / sqrt(mean(x^2) + eps) * w; x f32 [T,d], w f32 [1,d], y f32/bf16; rstd f32 [1,T] is kept
 * for the backward pass, or left out (buf NULL). (Zhang and Sennrich 2019, arXiv 1910.07467) */
MUST_CHECK bool dev_rmsnorm(struct dev *d, struct dev_mat x, struct dev_mat w, float eps,
                            struct dev_mat y, struct dev_mat rstd, struct err *e);
/* The same without rstd, and keep (f32/bf16 [T,d]) = x, which is read once for both. */
MUST_CHECK bool dev_rmsnorm_keep(struct dev *d, struct dev_mat x, struct dev_mat w, float eps,
                                 struct dev_mat y, struct dev_mat keep, struct err *e);
/* dx += dL/dx (f32 [T,d]); dw, when dw.buf is set, += dL/dw (f32 [1,d]). dy f32/bf16. */
MUST_CHECK bool dev_rmsnorm_bwd(struct dev *d, struct dev_mat dy, struct dev_mat x,
                                struct dev_mat w, struct dev_mat rstd, struct dev_mat dx,
                                struct dev_mat dw, struct err *e);
/* The same bits from an x that was kept (f32/bf16), with rstd made again; on the way the norm's
 * output and the new dx, for who comes next: four ops in one pass over the rows. */
struct dev_rmsnorm_back {
    struct dev_mat dy, x, w;
    float eps;
    struct dev_mat dx; /* f32, += */
    struct dev_mat y;  /* f32/bf16: what dev_rmsnorm makes of x; or left out */
    struct dev_mat to; /* f32/bf16: = dx */
};
MUST_CHECK bool dev_rmsnorm_back(struct dev *d, const struct dev_rmsnorm_back *g, struct err *e);
/* Rotary positions in place on x [T, heads*hd] (f32/bf16), half-split pairs (j, j+hd/2). angle =
 * pos[t] * inv_freq[j]; pos I32 [1,T], inv_freq f32 [1,hd/2]. inverse: rotate back (the backward
 * pass). */
MUST_CHECK bool dev_rope(struct dev *d, struct dev_mat x, uint32_t heads, struct dev_mat pos,
                         struct dev_mat inv_freq, bool inverse, struct err *e);

/* y = (x - mean) / sqrt(var + eps) * w + b over each row; x f32 [T,d], w, b f32 [1,d], y f32/bf16,
 * may be x. Forward only: encoders are not trained. (Ba et al. 2016, arXiv 1607.06450) */
MUST_CHECK bool dev_layernorm(struct dev *d, struct dev_mat x, struct dev_mat w, struct dev_mat b,
                              float eps, struct dev_mat y, struct err *e);

/* Attention inside each sample of a packed bin:
 *
 *     score(i, j) = scale q_i k_j + bias[clamp(j - i, -reach, reach) + reach][head]
 *
 * softmax over the keys j that query i sees: those up to i (of the last `window`), or with
 * bidirectional all of the sample's. With cu_k queries and keys are laid out apart (cross
 * attention: sample s is rows cu[s].. of q and rows cu_k[s].. of k and v; bidirectional). A sample
 * with queries has keys. */
struct dev_attn {
    uint32_t heads, kv_heads, head_dim;
    float scale;        /* > 0; 1/sqrt(head_dim) for Llama, 1 for T5 */
    uint32_t window;    /* sliding window, 0: none; causal only */
    const uint32_t *cu; /* host: sample starts [n+1], cu[n] = T */
    uint32_t nseq;
    bool bidirectional;
    const uint32_t *cu_k; /* host: starts of the samples' keys [n+1]; NULL: cu */
    struct dev_mat bias;  /* f32 [2 reach + 1, heads], or left out (buf NULL) */
    struct dev_mat dbias; /* dev_attn_bwd: += dL/dbias in a fixed order, or left out */
};
/* q [T, h*hd], k, v [Tk, kv*hd] (views into one merged qkv matrix are fine), out [T, h*hd], all
 * f32/bf16 of one dtype; lse f32 [h, T] kept for the backward pass, or left out (buf NULL). */
MUST_CHECK bool dev_attn_fwd(struct dev *d, const struct dev_attn *a, struct dev_mat q,
                             struct dev_mat k, struct dev_mat v, struct dev_mat out,
                             struct dev_mat lse, struct err *e);
/* dq, dk, dv are overwritten. (FlashAttention-2, arXiv 2307.08691: P is recomputed from lse) */
MUST_CHECK bool dev_attn_bwd(struct dev *d, const struct dev_attn *a, struct dev_mat q,
                             struct dev_mat k, struct dev_mat v, struct dev_mat out,
                             struct dev_mat lse, struct dev_mat dout, struct dev_mat dq,
                             struct dev_mat dk, struct dev_mat dv, struct err *e);

/* Decoding with a cache. Row i of q belongs to sequence slot[i], at position pos[i] (both host
 * arrays); its keys are rows 0..pos[i] of that slot, with the window and bias of that position.
 * k_cache, v_cache: [slots*max_len, kv*hd]; the new rows were put there by dev_scatter_rows. For
 * cross attention pos[i] is the last key of the slot. Not bidirectional, no cu. The result of a row
 * does not depend on the other rows. */
MUST_CHECK bool dev_attn_cached(struct dev *d, const struct dev_attn *a, struct dev_mat q,
                                struct dev_mat k_cache, struct dev_mat v_cache, uint32_t max_len,
                                const uint32_t *slot, const uint32_t *pos, struct dev_mat out,
                                struct err *e);

/* ---- keys and values of decoding: of sequences ("slots") that grow token by token, all layers in
 * one block of memory whose layout is the device's own. A device with nothing better keeps rows as
 * dev_attn_cached reads them: for each layer keys, then values, slot by slot. */
enum { DEV_KV_BLOCK = 32 }; /* slots are whole blocks of so many tokens */
struct dev_kv {
    uint32_t layers, slots, len, kv_heads, head_dim; /* len: a multiple of the block */
    struct dev_mat mem; /* f32/bf16 [dev_kv_rows, kv_heads * head_dim], contiguous */
};
static inline uint32_t dev_kv_len(uint32_t tokens)
{
    return (tokens + DEV_KV_BLOCK - 1) / DEV_KV_BLOCK * DEV_KV_BLOCK;
}
static inline uint64_t dev_kv_rows(const struct dev_kv *v)
{
    return (uint64_t)v->layers * 2 * v->slots * v->len;
}
/* Row i of k and v [n, kv*hd] becomes position at[i] % len of slot at[i] / len; at I32 [1, n]. A
 * slot's positions are put in order from 0 on, again for its next sequence, or from behind what
 * dev_kv_copy brought. */
MUST_CHECK bool dev_kv_put(struct dev *d, const struct dev_kv *v, uint32_t layer, struct dev_mat k,
                           struct dev_mat vals, struct dev_mat at, struct err *e);
/* Positions [first, end) of slot `from` to slot `to`, all layers. Those before `first` must be the
 * same in both already; those from `end` on are nobody's. */
MUST_CHECK bool dev_kv_copy(struct dev *d, const struct dev_kv *v, uint32_t from, uint32_t to,
                            uint32_t first, uint32_t end, struct err *e);
/* dev_attn_cached over a layer of it: the same bits. */
MUST_CHECK bool dev_attn_kv(struct dev *d, const struct dev_attn *a, struct dev_mat q,
                            const struct dev_kv *v, uint32_t layer, const uint32_t *slot,
                            const uint32_t *pos, struct dev_mat out, struct err *e);

/* silu(x) = x / (1 + e^-x); gelu(x) = x/2 (1 + erf(x/sqrt 2)), and its form with tanh (Hendrycks
 * and Gimpel 2016, arXiv 1606.08415); relu(x) = max(x, 0) with slope 0 at 0. */
enum dev_act { DEV_SILU, DEV_GELU, DEV_GELU_TANH, DEV_RELU, DEV_ACTS };
/* y [T, f] = act(x) for x [T, f]; gated, for x [T, 2*f] that holds g then u: y = act(g) * u.
 * (Shazeer 2020, arXiv 2002.05202) */
MUST_CHECK bool dev_act(struct dev *d, enum dev_act act, struct dev_mat x, struct dev_mat y,
                        struct err *e);
/* dx from dy and the saved x; dx may be x itself. */
MUST_CHECK bool dev_act_bwd(struct dev *d, enum dev_act act, struct dev_mat dy, struct dev_mat x,
                            struct dev_mat dx, struct err *e);
/* The same, and y as dev_act makes it of x, which is read once for both. */
MUST_CHECK bool dev_act_back(struct dev *d, enum dev_act act, struct dev_mat dy, struct dev_mat x,
                             struct dev_mat dx, struct dev_mat y, struct err *e);
/* SwiGLU, silu gated. */
MUST_CHECK bool dev_swiglu(struct dev *d, struct dev_mat gu, struct dev_mat y, struct err *e);
MUST_CHECK bool dev_swiglu_bwd(struct dev *d, struct dev_mat dy, struct dev_mat gu,
                               struct dev_mat dgu, struct err *e);

/* Inverted dropout from counters, used forward and, with the same key, backward. y may be x.
 * Element i (row-major, of the view) becomes x / (1 - p) when the top 24 bits of splitmix64's
 * finaliser applied to key + (base + i) * 0x9E3779B97F4A7C15 are at least p * 2^24, else 0. */
MUST_CHECK bool dev_dropout(struct dev *d, struct dev_mat x, float p, uint64_t key, uint64_t base,
                            struct dev_mat y, struct err *e);

/* Cross-entropy over rows of logits [n,V] (f32), labels I32 [1,n]: loss f32 [1,n] =
 * logsumexp - logit[label]; when grad, logits become scale * (softmax - onehot) in place (same
 * dtype) . */
MUST_CHECK bool dev_xent(struct dev *d, struct dev_mat logits, struct dev_mat labels,
                         struct dev_mat loss, bool grad, float scale, struct err *e);
/* The same with the gradient in `to` (f32/bf16 [n,V]); logits are then undefined. */
MUST_CHECK bool dev_xent_to(struct dev *d, struct dev_mat logits, struct dev_mat labels,
                            struct dev_mat loss, float scale, struct dev_mat to, struct err *e);
/* out I32 [1,n]: index of the largest logit of each row, the lowest index on a tie. */
MUST_CHECK bool dev_argmax(struct dev *d, struct dev_mat logits, struct dev_mat out, struct err *e);

/* One token a row, drawn: temperature first, then the top_k most probable, then the fewest of those
 * that together have probability top_p; lower ids first on a tie. What is more than e^30 times less
 * probable than the first choice counts as impossible. u, in [0, 1), is the caller's random number,
 * from counters: the same u, the same token. It runs over the kept tokens from the most probable on
 * (over all, where nothing is cut, from the last id on). A device without a kernel for it sends the
 * rows to the host; where sums fall within rounding of each other, devices may differ. */
struct dev_draw {
    double temperature; /* 0: the largest, as dev_argmax; the rest does not matter then */
    double top_p;       /* 0 or 1: all */
    double u;
    uint32_t top_k; /* 0: all */
};
enum { DEV_SAMPLE_VOCAB = 1 << 19 };
/* logits f32 [n,V], V <= DEV_SAMPLE_VOCAB; draws: host [n]; out I32 [1,n]. */
MUST_CHECK bool dev_sample(struct dev *d, struct dev_mat logits, const struct dev_draw *draws,
                           struct dev_mat out, struct err *e);
/* The same on the host, for one row that is there. c: room for n candidates. */
struct dev_candidate {
    float logit;
    uint32_t id;
    double weight; /* e^((logit - largest) / temperature) */
};
uint32_t dev_draw_host(const struct dev_draw *how, const float *logits, uint32_t n,
                       struct dev_candidate *c);

/* ---- frozen weights kept in few bits. A whole matrix comes back at once, for the product behind
 * it:
 *
 *     int8   codes U8 [rows, cols] (int8 in two's complement), scales f32 [1, rows]:
 *            w = code * scales[row]
 *     nf4    codes U8 [1, ceil(rows * cols / 2)]: element i of the row-major matrix is in byte
 *            i / 2, even i in the high nibble; scales U8 [1, blocks], one a block of 64 elements;
 *            outer f32 [1, ceil(blocks / 256)]; table f32 [1, 273]: 16 values, 256 values, offset:
 *            w = table[code] * (table[16 + scales[i / 64]] * outer[i / 64 / 256] + table[272])
 *
 * (QLoRA: Dettmers and others, arXiv 2305.14314; layout as bitsandbytes packs it.) In f32, then
 * rounded to out's dtype. */
enum dev_quant_kind { DEV_QUANT_NONE, DEV_QUANT_INT8, DEV_QUANT_NF4 };
enum { DEV_NF4_BLOCK = 64, DEV_NF4_OUTER = 256, DEV_NF4_BOOK = 16, DEV_NF4_MAP = 256 };
enum { DEV_NF4_TABLE = DEV_NF4_BOOK + DEV_NF4_MAP + 1 };
struct dev_quant {
    enum dev_quant_kind kind;
    struct dev_mat codes, scales, outer, table; /* int8: the last two without buffer */
};
/* out [rows, cols] f32/bf16, any ld. */
MUST_CHECK bool dev_dequant(struct dev *d, const struct dev_quant *q, struct dev_mat out,
                            struct err *e);

/* ---- rows and columns (DoRA: Liu and others, arXiv 2402.09353) */
/* out f32 [1, n]: sqrt of the sum of squares of each row of x [n, cols] (f32/bf16). */
MUST_CHECK bool dev_row_norms(struct dev *d, struct dev_mat x, struct dev_mat out, struct err *e);
/* y[t, j] = x[t, j] * s[j]; s f32 [1, cols]; y may be x. f32/bf16. */
MUST_CHECK bool dev_scale_cols(struct dev *d, struct dev_mat x, struct dev_mat s, struct dev_mat y,
                               struct err *e);
/* out f32 [1, cols]: sum over t, in increasing t, of a[t, j] * b[t, j]; f32/bf16. */
MUST_CHECK bool dev_col_dot(struct dev *d, struct dev_mat a, struct dev_mat b, struct dev_mat out,
                            struct err *e);
/* out = a / b, 0 where b is 0; f32 [1, n]; out may be a or b. */
MUST_CHECK bool dev_ratio(struct dev *d, struct dev_mat a, struct dev_mat b, struct dev_mat out,
                          struct err *e);

/* ---- optimizer */
/* acc (I64 [1,n]) += round(g * 2^shift), round to nearest even: exact and order-free. Any |g *
 * 2^shift| >= 2^62 or NaN sets *overflow (I32 [1,1]) to 1. (DESIGN.md promise 2) */
MUST_CHECK bool dev_accum_fixed(struct dev *d, struct dev_mat g, int shift, struct dev_mat acc,
                                struct dev_mat overflow, struct err *e);
/* g f32 = acc * 2^-shift * scale. */
MUST_CHECK bool dev_from_fixed(struct dev *d, struct dev_mat acc, int shift, double scale,
                               struct dev_mat g, struct err *e);
/* Host result: max |g| over the matrix (NaN counts as infinity), and the sum of squares in f64 in
 * a fixed order (cpu: by index). Both wait. */
MUST_CHECK bool dev_absmax(struct dev *d, struct dev_mat g, float *out, struct err *e);
MUST_CHECK bool dev_sumsq(struct dev *d, struct dev_mat g, double *out, struct err *e);
/* Both without waiting: *out is right after the next dev_sync or dev_download, or the dev_lane_wait
 * of the lane that was open. */
MUST_CHECK bool dev_absmax_later(struct dev *d, struct dev_mat g, float *out, struct err *e);
MUST_CHECK bool dev_sumsq_later(struct dev *d, struct dev_mat g, double *out, struct err *e);

struct dev_adamw {
    float lr, beta1, beta2, eps, weight_decay;
    float grad_scale; /* clipping factor */
    uint64_t step;    /* 1, 2, ... for the bias correction */
};
/* p, m, v, g f32 [1,n]. Decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101). */
MUST_CHECK bool dev_adamw(struct dev *d, const struct dev_adamw *o, struct dev_mat g,
                          struct dev_mat p, struct dev_mat m, struct dev_mat v, struct err *e);
