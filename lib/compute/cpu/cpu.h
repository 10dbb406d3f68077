/*
 * compute/cpu/cpu - the inside of the cpu device: what its files share.
 *
 * An op on rows is written as a function of a row range (cpu_rows_fn); cpu_rows deals the rows to
 * the threads. No result depends on how they were dealt.
 */
#pragma once
#include "compute/cpu/kern.h"
#include "compute/dev_ops.h"

struct gemm;

/* Instruction sets in the order of preference; a name after "cpu:" asks for a lower one. */
enum cpu_isa { CPU_GENERIC, CPU_AVX2, CPU_AVX512, CPU_AVX512_BF16, CPU_AMX, CPU_ISAS };
extern const char *const cpu_isa_names[CPU_ISAS + 1];
/* The best of this machine; asks the kernel for the use of AMX tiles. */
enum cpu_isa cpu_isa_detect(void);

struct cpu {
    enum cpu_isa isa;
    const struct cpu_kern *k;
    int threads;
    struct gemm *gemm;
    /* Scratch of the op that runs now: `threads` pieces of scratch_bytes each. */
    void *scratch;
    size_t scratch_bytes, scratch_all;
    void *runs; /* attn.c: where runs of rows begin */
    size_t runs_bytes;
};

/* Make *p hold at least `need` bytes, aligned to 64; the contents are lost. */
MUST_CHECK bool cpu_grow(void **p, size_t *bytes, size_t need, struct err *e);

/* Piece of scratch for a thread, at least `bytes` long, aligned to 64; contents undefined. */
MUST_CHECK bool cpu_scratch(struct cpu *c, size_t bytes, struct err *e);
static inline void *cpu_scratch_of(const struct cpu *c, int thread)
{
    return (unsigned char *)c->scratch + (size_t)thread * c->scratch_bytes;
}

/* Pieces of one scratch allocation. With base NULL only the sizes are added up. */
struct cpu_carve {
    void *base;
    size_t used;
};
static inline void *cpu_carve(struct cpu_carve *v, size_t bytes)
{
    void *p = v->base ? (unsigned char *)v->base + v->used : NULL;
    v->used += (bytes + 63) / 64 * 64;
    return p;
}

/* Independent pieces of work: fn(context, i, thread's scratch) for i in [0, n), in any order. */
typedef void cpu_task_fn(const void *context, size_t i, void *scratch);
void cpu_tasks(struct cpu *c, size_t n, cpu_task_fn *fn, const void *context);

/* Rows [r0, r1) of a call; tmp holds the floats asked for in cpu_rows. */
typedef void cpu_rows_fn(const struct cpu *c, const struct dev_call *call, uint32_t r0, uint32_t r1,
                         float *tmp);
MUST_CHECK bool cpu_rows(struct cpu *c, cpu_rows_fn *fn, const struct dev_call *call, uint32_t rows,
                         size_t tmp_floats, struct err *e);

/* n values from column c0 of row r as f32: a pointer into m, or tmp filled. */
static inline const float *cpu_load(const struct cpu *c, struct dev_mat m, uint32_t r, size_t c0,
                                    size_t n, float *tmp)
{
    if (m.dtype == DEV_F32) return (const float *)dev_mat_row(m, r) + c0;
    c->k->widen((const uint16_t *)dev_mat_row(m, r) + c0, tmp, n);
    return tmp;
}
/* Where f32 results for the same place go: into m, or tmp; then cpu_store ends it. */
static inline float *cpu_dest(struct dev_mat m, uint32_t r, size_t c0, float *tmp)
{
    return m.dtype == DEV_F32 ? (float *)dev_mat_row(m, r) + c0 : tmp;
}
static inline void cpu_store(const struct cpu *c, const float *y, struct dev_mat m, uint32_t r,
                             size_t c0, size_t n)
{
    if (m.dtype == DEV_BF16) c->k->narrow(y, (uint16_t *)dev_mat_row(m, r) + c0, n);
}

/* ops_*.c, attn*.c: one function an op, all of this shape. */
typedef bool cpu_op_fn(struct cpu *c, const struct dev_call *call, struct err *e);
cpu_op_fn cpu_zero, cpu_scale_cast, cpu_gather_rows, cpu_scatter_rows, cpu_scatter_add_rows,
    cpu_add;
cpu_op_fn cpu_rmsnorm, cpu_rmsnorm_bwd, cpu_rmsnorm_back, cpu_layernorm, cpu_rope, cpu_act,
    cpu_act_bwd, cpu_dropout;
cpu_op_fn cpu_xent, cpu_argmax, cpu_accum_fixed, cpu_from_fixed, cpu_absmax, cpu_sumsq, cpu_adamw;
cpu_op_fn cpu_dequant, cpu_row_norms, cpu_scale_cols, cpu_col_dot, cpu_ratio;
cpu_op_fn cpu_gemm, cpu_attn_fwd, cpu_attn_bwd, cpu_attn_cached, cpu_kv_put, cpu_kv_copy;

/* Are these keys and values kept in the order the register tile reads (attn_kv.c)? */
bool cpu_packs_kv(const struct cpu *c, const struct dev_kv *v);

/* Run one call now (strict runs its queue with it). d->impl is a struct cpu. */
MUST_CHECK bool cpu_run(struct cpu *c, const struct dev_call *call, struct err *e);
/* The cpu device without a device around it. */
MUST_CHECK bool cpu_open(const char *isa, int threads, struct cpu **out, struct err *e);
void cpu_close(struct cpu *c);
/* "isa=... gemm=... threads=..." */
void cpu_describe(const struct cpu *c, char *out, size_t size);
