/*
 * compute/dev_ops - what a device implements; the inside of dev.h, included by devices only.
 *
 * The main idea: an op is data. dev.c checks shapes, fills a `struct dev_call` and submits it; a
 * device runs calls in the order of submission, now (cpu) or later (strict, cuda). A new device
 * needs memory, two copies and one switch over enum dev_op.
 *
 * Does not own the checks: a device may rely on every rule that dev.h states about shapes and
 * dtypes.
 */
#pragma once
#include "compute/dev.h"

enum dev_op {
    DEV_ZERO,
    DEV_SCALE_CAST, /* dev_cast, too: alpha 1 */
    DEV_GATHER_ROWS,
    DEV_SCATTER_ROWS,
    DEV_SCATTER_ADD_ROWS,
    DEV_ADD,
    DEV_GEMM,    /* a, b, c; dev_gemm2: a2, b2, too */
    DEV_RMSNORM, /* x, w, y, rstd, keep */
    DEV_RMSNORM_BWD,
    DEV_RMSNORM_BACK, /* dy, x, w, dx, y, to */
    DEV_LAYERNORM,
    DEV_ROPE,
    DEV_ATTN_FWD,
    DEV_ATTN_BWD,
    DEV_ATTN_CACHED,
    DEV_KV_PUT, /* k, v, at, mem; these three where packs_kv says so */
    DEV_KV_COPY,
    DEV_ATTN_KV, /* q, mem, without buffer, out */
    DEV_ACT,
    DEV_ACT_BWD, /* dy, x, dx, y */
    DEV_DROPOUT,
    DEV_XENT, /* logits, labels, loss, to: without buffer, in place */
    DEV_ARGMAX,
    DEV_SAMPLE,  /* logits, out; where samples says so */
    DEV_DEQUANT, /* codes, scales, outer, table, out; int8: outer and table without buffer */
    DEV_ROW_NORMS,
    DEV_SCALE_COLS,
    DEV_COL_DOT,
    DEV_RATIO,
    DEV_ACCUM_FIXED,
    DEV_FROM_FIXED,
    DEV_ABSMAX,
    DEV_SUMSQ,
    DEV_ADAMW,
    DEV_OPS_COUNT
};

enum { DEV_CALL_MATS = 9 };

/* Host pointers inside (attn.a.cu, attn.a.cu_k, attn.slot, attn.pos) are borrowed for the submit
 * call: a device that runs later copies them. attn.a.cu_k is never NULL for a packed call. host_out
 * stays valid until the next sync. */
struct dev_call {
    enum dev_op op;
    struct dev_mat m[DEV_CALL_MATS]; /* operands in the order of dev.h; buf NULL: left out */
    union {
        float alpha; /* scale_cast */
        float eps;   /* rmsnorm, rmsnorm_back, layernorm */
        enum dev_act act;
        struct dev_gemm gemm;
        struct {
            uint32_t heads;
            bool inverse;
        } rope;
        struct {
            struct dev_attn a;
            uint32_t max_len;
            const uint32_t *slot, *pos;
            struct dev_kv kv; /* attn_kv */
            uint32_t layer;
        } attn;
        struct {
            struct dev_kv v;
            uint32_t layer;                /* put */
            uint32_t from, to, first, end; /* copy */
        } kv;
        struct {
            float p;
            uint64_t key, base;
        } dropout;
        struct {
            bool grad;
            float scale;
        } xent;
        struct {
            int shift;
            double scale;
        } fixed;
        const struct dev_draw *draws; /* sample: [rows], borrowed for the submit call */
        enum dev_quant_kind quant;
        struct dev_adamw adamw;
        float *host_f32;  /* absmax */
        double *host_f64; /* sumsq */
    };
};

/* The team of dev.h. */
struct dev_team_ops {
    bool (*there)(const struct dev *d, char *text, size_t size);
    bool (*id)(struct dev *d, void *id, struct err *e);
    bool (*open)(struct dev *d, const void *id, int rank, int size, struct err *e);
    void (*close)(struct dev *d);
    bool (*sum_i64)(struct dev *d, void *p, size_t count, struct err *e);
    bool (*poll)(struct dev *d, enum dev_team_state *now, struct err *e);
};

/* The lanes of dev.h. */
struct dev_lane_ops {
    bool (*upload)(struct dev *d, void *p, const void *host, size_t bytes, struct err *e);
    bool (*download)(struct dev *d, int lane, const void *p, void *host, size_t bytes,
                     struct err *e);
    bool (*end)(struct dev *d, int lane, struct err *e);
    bool (*wait)(struct dev *d, int lane, struct err *e);
    void (*drop)(struct dev *d);
};

struct dev_ops {
    /* arg: what follows ':' in the device's name, or NULL. Fills d->impl, describe, prefers_bf16.
     */
    bool (*open)(struct dev *d, const char *arg, struct err *e);
    void (*close)(struct dev *d);
    /* At least `bytes`, aligned to 64 or more. */
    void *(*alloc)(struct dev *d, size_t bytes, struct err *e);
    void (*release)(struct dev *d, void *mem, size_t bytes);
    /* p points into memory of alloc; ordered after the calls submitted before. */
    bool (*upload)(struct dev *d, void *p, const void *host, size_t bytes, struct err *e);
    bool (*download)(struct dev *d, const void *p, void *host, size_t bytes, struct err *e);
    bool (*submit)(struct dev *d, const struct dev_call *c, struct err *e);
    bool (*sync)(struct dev *d, struct err *e);
    /* dev_tune and the choices of dev.h; NULL where nothing is chosen by measuring. */
    void (*tune)(struct dev *d, bool on);
    size_t (*choices_bytes)(const struct dev *d);
    void (*choices_get)(const struct dev *d, void *out);
    bool (*choices_set)(struct dev *d, const void *in, size_t bytes, bool *taken, struct err *e);
    /* Memory of the device that nobody has taken; NULL: not known. */
    size_t (*bytes_free)(const struct dev *d);
    bool (*profile_set)(struct dev *d, bool on, struct err *e); /* NULL: it cannot */
    bool (*profile_get)(struct dev *d, struct dev_profile *out, struct err *e);
    const struct dev_team_ops *team;  /* NULL: sums over ranks go through the host */
    const struct dev_lane_ops *lanes; /* NULL: everything in order */
    /* Has the device a layout of its own for these keys and values? NULL: never. */
    bool (*packs_kv)(const struct dev *d, const struct dev_kv *v);
    /* dev_idle_s, dev_bytes_taken; NULL: not known. */
    double (*idle_s)(const struct dev *d);
    size_t (*bytes_taken)(const struct dev *d);
    bool samples; /* has a kernel for dev_sample */
    /* dev_join_get; NULL: it does not join. struct dev says whether it times pairs. */
    struct dev_join_times (*join_get)(const struct dev *d);
};

/* dev_sample of a download, the host's choice and an upload. */
MUST_CHECK bool dev_sample_composed(struct dev *d, struct dev_mat logits,
                                    const struct dev_draw *draws, struct dev_mat out,
                                    struct err *e);

struct dev {
    const struct dev_ops *ops;
    void *impl;
    int threads;
    int local_rank; /* dev_set_place */
    bool prefers_bf16;
    char name[32];
    char describe[160];
    char unit[48]; /* of a GPU: the same string from every process that uses it; else empty */
    size_t bytes_live, bytes_peak;
    size_t bytes_own;           /* taken beside the buffers */
    int team_size;              /* 0: in no team */
    int open_lane;              /* 1 + the lane that is open */
    bool lane_ended[DEV_LANES]; /* and not waited for */
    enum dev_join join;
    struct dev_candidate *draw_room; /* dev_sample on the host: candidates and one row */
    uint32_t draw_vocab;
};

struct dev_buf {
    struct dev *d;
    unsigned char *mem; /* device address */
    size_t bytes;
};

/* Address of the first element of a view; of row r. */
static inline void *dev_mat_ptr(struct dev_mat m)
{
    return m.buf->mem + m.offset * dev_dtype_bytes(m.dtype);
}
static inline void *dev_mat_row(struct dev_mat m, size_t r)
{
    return m.buf->mem + (m.offset + r * m.ld) * dev_dtype_bytes(m.dtype);
}

/* b stands right of a (its rows go on there), or below it, in one matrix. */
static inline bool dev_mat_right_of(struct dev_mat b, struct dev_mat a)
{
    return b.buf == a.buf && b.dtype == a.dtype && b.ld == a.ld && b.rows == a.rows &&
           b.offset == a.offset + a.cols;
}
static inline bool dev_mat_below(struct dev_mat b, struct dev_mat a)
{
    return b.buf == a.buf && b.dtype == a.dtype && b.ld == a.ld && b.cols == a.cols &&
           b.offset == a.offset + (size_t)a.rows * a.ld;
}

extern const struct dev_ops cpu_dev_ops, strict_dev_ops;
