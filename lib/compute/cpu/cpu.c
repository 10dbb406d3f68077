#include "compute/cpu/cpu.h"

#include "base/mem.h"
#include "compute/cpu/gemm.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

const char *const cpu_isa_names[CPU_ISAS + 1] = {"generic",     "avx2", "avx512",
                                                 "avx512_bf16", "amx",  NULL};

#if defined(__x86_64__)
/* Linux gives AMX tiles to a process that asks; threads started later inherit the permission. */
static bool have_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    enum { BF16_BIT = 22, TILE_BIT = 24 }; /* edx of leaf 7 */
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (!(d >> BF16_BIT & 1) || !(d >> TILE_BIT & 1)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

enum cpu_isa cpu_isa_detect(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CPU_GENERIC;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return CPU_AVX2;
    if (have_amx()) return CPU_AMX;
    /* Intel's AVX512-BF16 runs at half the rate of f32 */
    if (__builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16")) return CPU_AVX512_BF16;
    return CPU_AVX512;
}
#else
enum cpu_isa cpu_isa_detect(void)
{
    return CPU_GENERIC;
}
#endif

static const struct cpu_kern *kern_of(enum cpu_isa isa)
{
#if defined(__x86_64__)
    if (isa >= CPU_AVX512) return &cpu_kern_avx512;
    if (isa == CPU_AVX2) return &cpu_kern_avx2;
#endif
    (void)isa;
    return &cpu_kern_generic;
}

static bool choose_isa(const char *want, enum cpu_isa *out, struct err *e)
{
    enum cpu_isa best = cpu_isa_detect();
    *out = best;
    if (!want) return true;
    for (int i = 0; i < CPU_ISAS; i++) {
        if (strcmp(want, cpu_isa_names[i]) != 0) continue;
        *out = (enum cpu_isa)i;
        return (int)best >= i ||
               err_set(e, ERR_CONFIG, "this processor has %s, not %s", cpu_isa_names[best], want);
    }
    return err_set(e, ERR_CONFIG,
                   "instruction set %s is not known: use generic, avx2, avx512, avx512_bf16 or amx",
                   want);
}

bool cpu_open(const char *isa, int threads, struct cpu **out, struct err *e)
{
    enum cpu_isa which;
    struct cpu *c;

    if (!choose_isa(isa, &which, e)) return false;
    c = mem_calloc(1, sizeof *c, e);
    if (!c) return false;
    c->isa = which;
    c->k = kern_of(which);
    c->threads = threads;
    if (!gemm_open(c, &c->gemm, e)) {
        cpu_close(c);
        return false;
    }
    *out = c;
    return true;
}

void cpu_close(struct cpu *c)
{
    if (!c) return;
    gemm_close(c->gemm);
    mem_free(c->runs);
    mem_free(c->scratch);
    mem_free(c);
}

void cpu_describe(const struct cpu *c, char *out, size_t size)
{
    snprintf(out, size, "isa=%s gemm=%s threads=%d", cpu_isa_names[c->isa], gemm_describe(c->gemm),
             c->threads);
}

bool cpu_grow(void **p, size_t *bytes, size_t need, struct err *e)
{
    if (need <= *bytes) return true;
    mem_free(*p);
    *bytes = 0;
    *p = mem_aligned(64, need, e);
    if (*p) *bytes = need;
    return *p != NULL;
}

bool cpu_scratch(struct cpu *c, size_t bytes, struct err *e)
{
    size_t need = (bytes + 63) / 64 * 64;
    if (need <= c->scratch_bytes) return true;
    c->scratch_bytes = 0;
    if (!cpu_grow(&c->scratch, &c->scratch_all, need * (size_t)c->threads, e)) return false;
    c->scratch_bytes = need;
    return true;
}

void cpu_tasks(struct cpu *c, size_t n, cpu_task_fn *fn, const void *context)
{
#ifdef _OPENMP
    if (c->threads > 1 && n > 1) {
#pragma omp parallel for num_threads(c->threads) schedule(dynamic)
        for (size_t i = 0; i < n; i++)
            fn(context, i, cpu_scratch_of(c, omp_get_thread_num()));
        return;
    }
#endif
    for (size_t i = 0; i < n; i++)
        fn(context, i, c->scratch);
}

struct row_work {
    const struct cpu *c;
    cpu_rows_fn *fn;
    const struct dev_call *call;
    uint64_t rows, parts;
};

static void rows_part(const void *context, size_t i, void *scratch)
{
    const struct row_work *w = context;
    w->fn(w->c, w->call, (uint32_t)(w->rows * i / w->parts),
          (uint32_t)(w->rows * (i + 1) / w->parts), scratch);
}

bool cpu_rows(struct cpu *c, cpu_rows_fn *fn, const struct dev_call *call, uint32_t rows,
              size_t tmp_floats, struct err *e)
{
    struct row_work w = {c, fn, call, rows, (uint64_t)c->threads};
    if (!cpu_scratch(c, tmp_floats * sizeof(float), e)) return false;
    cpu_tasks(c, w.parts, rows_part, &w);
    return true;
}

static cpu_op_fn *const ops[DEV_OPS_COUNT] = {
    [DEV_ZERO] = cpu_zero,
    [DEV_SCALE_CAST] = cpu_scale_cast,
    [DEV_GATHER_ROWS] = cpu_gather_rows,
    [DEV_SCATTER_ROWS] = cpu_scatter_rows,
    [DEV_SCATTER_ADD_ROWS] = cpu_scatter_add_rows,
    [DEV_ADD] = cpu_add,
    [DEV_GEMM] = cpu_gemm,
    [DEV_RMSNORM] = cpu_rmsnorm,
    [DEV_RMSNORM_BWD] = cpu_rmsnorm_bwd,
    [DEV_RMSNORM_BACK] = cpu_rmsnorm_back,
    [DEV_LAYERNORM] = cpu_layernorm,
    [DEV_ROPE] = cpu_rope,
    [DEV_ATTN_FWD] = cpu_attn_fwd,
    [DEV_ATTN_BWD] = cpu_attn_bwd,
    [DEV_ATTN_CACHED] = cpu_attn_cached,
    [DEV_KV_PUT] = cpu_kv_put,
    [DEV_KV_COPY] = cpu_kv_copy,
    [DEV_ATTN_KV] = cpu_attn_cached,
    [DEV_ACT] = cpu_act,
    [DEV_ACT_BWD] = cpu_act_bwd,
    [DEV_DROPOUT] = cpu_dropout,
    [DEV_XENT] = cpu_xent,
    [DEV_ARGMAX] = cpu_argmax,
    [DEV_DEQUANT] = cpu_dequant,
    [DEV_ROW_NORMS] = cpu_row_norms,
    [DEV_SCALE_COLS] = cpu_scale_cols,
    [DEV_COL_DOT] = cpu_col_dot,
    [DEV_RATIO] = cpu_ratio,
    [DEV_ACCUM_FIXED] = cpu_accum_fixed,
    [DEV_FROM_FIXED] = cpu_from_fixed,
    [DEV_ABSMAX] = cpu_absmax,
    [DEV_SUMSQ] = cpu_sumsq,
    [DEV_ADAMW] = cpu_adamw,
};

bool cpu_run(struct cpu *c, const struct dev_call *call, struct err *e)
{
    return ops[call->op](c, call, e);
}

/* ---- the device: ops run at once, host and device memory are the same */
static bool dev_cpu_open(struct dev *d, const char *arg, struct err *e)
{
    struct cpu *c;
    if (!cpu_open(arg, d->threads, &c, e)) return false;
    d->impl = c;
    d->prefers_bf16 = c->isa >= CPU_AVX512_BF16;
    cpu_describe(c, d->describe, sizeof d->describe);
    return true;
}

static void dev_cpu_close(struct dev *d)
{
    cpu_close(d->impl);
}

static void *dev_cpu_alloc(struct dev *d, size_t bytes, struct err *e)
{
    const size_t huge = 2 << 20; /* a page of this size for big blocks spares address look-ups */
    (void)d;
    if (bytes < 2 * huge) return mem_aligned(64, bytes ? bytes : 1, e);
    void *p = mem_aligned(huge, bytes, e);
    if (p) (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static void dev_cpu_release(struct dev *d, void *mem, size_t bytes)
{
    (void)d;
    (void)bytes;
    mem_free(mem);
}

static bool dev_cpu_upload(struct dev *d, void *p, const void *host, size_t bytes, struct err *e)
{
    (void)d;
    (void)e;
    memcpy(p, host, bytes);
    return true;
}

static bool dev_cpu_download(struct dev *d, const void *p, void *host, size_t bytes, struct err *e)
{
    (void)d;
    (void)e;
    memcpy(host, p, bytes);
    return true;
}

static bool dev_cpu_submit(struct dev *d, const struct dev_call *call, struct err *e)
{
    return cpu_run(d->impl, call, e);
}

static bool dev_cpu_sync(struct dev *d, struct err *e)
{
    (void)d;
    (void)e;
    return true;
}

static bool dev_cpu_packs_kv(const struct dev *d, const struct dev_kv *v)
{
    return cpu_packs_kv(d->impl, v);
}

const struct dev_ops cpu_dev_ops = {
    .open = dev_cpu_open,
    .close = dev_cpu_close,
    .alloc = dev_cpu_alloc,
    .release = dev_cpu_release,
    .upload = dev_cpu_upload,
    .download = dev_cpu_download,
    .submit = dev_cpu_submit,
    .sync = dev_cpu_sync,
    .packs_kv = dev_cpu_packs_kv,
};
