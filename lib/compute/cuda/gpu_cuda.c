/* gpu.h over cudart and cuBLASLt. Plain C: nvcc sees kernels only. */
#include "compute/cuda/gpu.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct gpu {
    struct gpu_info info;
    int ordinal;
    cublasLtHandle_t blas;
};

struct gpu_stream {
    struct gpu *g;
    cudaStream_t s;
    char failed[128]; /* "kernel: why"; empty: nothing yet */
};

struct gpu_event {
    cudaEvent_t v;
};

/* ---- errors */
static bool failed(const char *what, cudaError_t r, struct err *e)
{
    enum err_code code = r == cudaErrorMemoryAllocation ? ERR_NOMEM : ERR_LIB;
    return err_set(e, code, "%s: %s", what, cudaGetErrorString(r));
}

static bool ok(const char *what, cudaError_t r, struct err *e)
{
    return r == cudaSuccess || failed(what, r, e);
}

static bool blas_ok(const char *what, cublasStatus_t r, struct err *e)
{
    return r == CUBLAS_STATUS_SUCCESS ||
           err_set(e, r == CUBLAS_STATUS_ALLOC_FAILED ? ERR_NOMEM : ERR_LIB, "%s: %s", what,
                   cublasLtGetStatusString(r));
}

/* ---- the GPU */
int gpu_count(char *why, size_t size)
{
    int n = 0;
    cudaError_t r = cudaGetDeviceCount(&n);
    if (r == cudaSuccess && n > 0) return n;
    snprintf(why, size, "%s", r == cudaSuccess ? "no GPU is visible" : cudaGetErrorString(r));
    (void)cudaGetLastError(); /* it would be reported again by the next launch */
    return 0;
}

static void write_uuid(const struct cudaDeviceProp *p, char *out, size_t size)
{
    const unsigned char *u = (const unsigned char *)p->uuid.bytes;
    snprintf(out, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
             u[14], u[15]);
}

static bool read_info(struct gpu *g, struct err *e)
{
    struct cudaDeviceProp p;
    struct gpu_info *i = &g->info;
    size_t left;

    if (!ok("properties of the GPU", cudaGetDeviceProperties(&p, g->ordinal), e) ||
        !ok("memory of the GPU", cudaMemGetInfo(&left, &i->bytes_total), e) ||
        !ok("version of the driver", cudaDriverGetVersion(&i->driver), e) ||
        !ok("version of the runtime", cudaRuntimeGetVersion(&i->runtime), e))
        return false;
    snprintf(i->name, sizeof i->name, "%.63s", p.name);
    write_uuid(&p, i->uuid, sizeof i->uuid);
    i->major = p.major;
    i->minor = p.minor;
    i->processors = p.multiProcessorCount;
    i->blas = cublasLtGetVersion();
    if (p.major >= 8) return true;
    return err_set(e, ERR_CONFIG, "%s has compute capability %d.%d; 8.0 and later work", i->name,
                   p.major, p.minor);
}

bool gpu_open(int ordinal, struct gpu **out, struct err *e)
{
    struct gpu *g;
    char why[128] = "";
    int n = gpu_count(why, sizeof why);

    if (n == 0) return err_set(e, ERR_CONFIG, "%s", why);
    if (ordinal < 0 || ordinal >= n)
        return err_set(e, ERR_CONFIG, "GPU %d: this process sees %d, counted from 0", ordinal, n);
    g = mem_calloc(1, sizeof *g, e);
    if (!g) return false;
    g->ordinal = ordinal;
    /* Waiting threads give the processor to the loader and to other ranks. */
    if (!ok("GPU", cudaSetDevice(ordinal), e) ||
        !ok("GPU", cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync), e) || !read_info(g, e) ||
        !blas_ok("cublasLt", cublasLtCreate(&g->blas), e)) {
        gpu_close(g);
        return false;
    }
    *out = g;
    return true;
}

void gpu_close(struct gpu *g)
{
    if (!g) return;
    if (g->blas) (void)cublasLtDestroy(g->blas);
    mem_free(g);
}

const struct gpu_info *gpu_get_info(const struct gpu *g)
{
    return &g->info;
}

/* ---- memory */
size_t gpu_bytes_free(const struct gpu *g)
{
    size_t left = 0, all = 0;
    (void)g;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? left : 0;
}

bool gpu_malloc(struct gpu *g, size_t bytes, void **out, struct err *e)
{
    size_t left = 0, all = 0;
    cudaError_t r = cudaMalloc(out, bytes ? bytes : 1);
    (void)g;
    if (r == cudaSuccess) return true;
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&left, &all);
    failed("memory of the GPU", r, e);
    return err_wrap(e, "%zu of %zu bytes are free", left, all);
}

void gpu_free(struct gpu *g, void *p)
{
    (void)g;
    if (!p) return;
    (void)cudaDeviceSynchronize();
    (void)cudaFree(p);
}

bool gpu_pinned_open(struct gpu *g, size_t bytes, void **out, struct err *e)
{
    (void)g;
    return ok("pinned host memory", cudaMallocHost(out, bytes ? bytes : 1), e);
}

void gpu_pinned_close(struct gpu *g, void *p)
{
    (void)g;
    if (p) (void)cudaFreeHost(p);
}

/* ---- order */
bool gpu_stream_open(struct gpu *g, struct gpu_stream **out, struct err *e)
{
    struct gpu_stream *s = mem_calloc(1, sizeof *s, e);
    if (!s) return false;
    s->g = g;
    if (!ok("stream", cudaStreamCreateWithFlags(&s->s, cudaStreamNonBlocking), e)) {
        mem_free(s);
        return false;
    }
    *out = s;
    return true;
}

void gpu_stream_close(struct gpu_stream *s)
{
    if (!s) return;
    (void)cudaStreamSynchronize(s->s);
    (void)cudaStreamDestroy(s->s);
    mem_free(s);
}

bool gpu_stream_ok(struct gpu_stream *s, struct err *e)
{
    return !s->failed[0] || err_set(e, ERR_LIB, "%s", s->failed);
}

bool gpu_stream_sync(struct gpu_stream *s, struct err *e)
{
    return gpu_stream_ok(s, e) && ok("work on the GPU", cudaStreamSynchronize(s->s), e);
}

bool gpu_stream_idle(struct gpu_stream *s)
{
    return cudaStreamQuery(s->s) != cudaErrorNotReady;
}

void *gpu_stream_native(struct gpu_stream *s)
{
    return s->s;
}

void gpu_stream_fail(struct gpu_stream *s, const char *kernel, const char *why)
{
    if (!s->failed[0]) snprintf(s->failed, sizeof s->failed, "%s: %s", kernel, why);
}

void gpu_launched(struct gpu_stream *s, const char *kernel)
{
    cudaError_t r = cudaGetLastError();
    if (r != cudaSuccess) gpu_stream_fail(s, kernel, cudaGetErrorString(r));
}

bool gpu_event_open(struct gpu *g, bool timed, struct gpu_event **out, struct err *e)
{
    unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
    struct gpu_event *v = mem_calloc(1, sizeof *v, e);
    (void)g;
    if (!v) return false;
    if (!ok("event", cudaEventCreateWithFlags(&v->v, flags | cudaEventBlockingSync), e)) {
        mem_free(v);
        return false;
    }
    *out = v;
    return true;
}

void gpu_event_close(struct gpu_event *v)
{
    if (!v) return;
    (void)cudaEventDestroy(v->v);
    mem_free(v);
}

bool gpu_event_record(struct gpu_event *v, struct gpu_stream *s, struct err *e)
{
    return ok("event", cudaEventRecord(v->v, s->s), e);
}

bool gpu_stream_wait(struct gpu_stream *s, struct gpu_event *v, struct err *e)
{
    return ok("event", cudaStreamWaitEvent(s->s, v->v, 0), e);
}

bool gpu_event_sync(struct gpu_event *v, struct err *e)
{
    return ok("work on the GPU", cudaEventSynchronize(v->v), e);
}

bool gpu_event_ms(struct gpu_event *from, struct gpu_event *to, float *ms, struct err *e)
{
    return ok("time on the GPU", cudaEventElapsedTime(ms, from->v, to->v), e);
}

bool gpu_copy_up(struct gpu_stream *s, void *device, const void *pinned, size_t bytes,
                 struct err *e)
{
    return ok("copy to the GPU",
              cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, s->s), e);
}

bool gpu_copy_down(struct gpu_stream *s, void *pinned, const void *device, size_t bytes,
                   struct err *e)
{
    return ok("copy from the GPU",
              cudaMemcpyAsync(pinned, device, bytes, cudaMemcpyDeviceToHost, s->s), e);
}

/* ---- products. cublasLt counts columns first, which is our matrix transposed: it is asked for
 * C^T = op(B)^T op(A)^T, with B in the place of its A. */
struct plan {
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t a, b, c; /* cublasLt's a and b */
};

static cudaDataType_t type_of(enum gpu_type t)
{
    return t == GPU_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void plan_close(struct plan *p)
{
    if (p->c) (void)cublasLtMatrixLayoutDestroy(p->c);
    if (p->b) (void)cublasLtMatrixLayoutDestroy(p->b);
    if (p->a) (void)cublasLtMatrixLayoutDestroy(p->a);
    if (p->op) (void)cublasLtMatmulDescDestroy(p->op);
}

static cublasStatus_t plan_layouts(struct plan *out, const struct gpu_gemm *p)
{
    cudaDataType_t ab = type_of(p->ab);
    cublasStatus_t r;
    r = cublasLtMatrixLayoutCreate(&out->a, ab, p->trans_b ? p->k : p->n, p->trans_b ? p->n : p->k,
                                   p->ldb);
    if (r != CUBLAS_STATUS_SUCCESS) return r;
    r = cublasLtMatrixLayoutCreate(&out->b, ab, p->trans_a ? p->m : p->k, p->trans_a ? p->k : p->m,
                                   p->lda);
    if (r != CUBLAS_STATUS_SUCCESS) return r;
    return cublasLtMatrixLayoutCreate(&out->c, type_of(p->c), p->n, p->m, p->ldc);
}

static bool plan_open(struct plan *out, const struct gpu_gemm *p, struct err *e)
{
    cublasOperation_t ta = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t tb = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;

    *out = (struct plan){0};
    cublasStatus_t r = cublasLtMatmulDescCreate(&out->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = cublasLtMatmulDescSetAttribute(out->op, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = cublasLtMatmulDescSetAttribute(out->op, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (r == CUBLAS_STATUS_SUCCESS) r = plan_layouts(out, p);
    if (r == CUBLAS_STATUS_SUCCESS) return true;
    plan_close(out);
    return blas_ok("description of a product", r, e);
}

static cublasStatus_t set_u32(cublasLtMatmulPreference_t pref,
                              cublasLtMatmulPreferenceAttributes_t what, uint32_t v)
{
    return cublasLtMatmulPreferenceSetAttribute(pref, what, &v, sizeof v);
}

/* Sums split over k are added up in a fixed order (through the workspace), never in place. */
static cublasStatus_t prefer(cublasLtMatmulPreference_t pref, const struct gpu_gemm *p,
                             size_t workspace)
{
    uint64_t bytes = workspace;
    cublasStatus_t r = cublasLtMatmulPreferenceSetAttribute(
        pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = set_u32(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                    CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = set_u32(pref, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p->align_b);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = set_u32(pref, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p->align_a);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = set_u32(pref, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p->align_c);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = set_u32(pref, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p->align_c);
    return r;
}

enum { ALGOS_MOST = 32 };

bool gpu_gemm_algos(struct gpu *g, const struct gpu_gemm *p, size_t workspace, struct gpu_algo *out,
                    size_t cap, size_t *n, struct err *e)
{
    cublasLtMatmulHeuristicResult_t found[ALGOS_MOST];
    cublasLtMatmulPreference_t pref = NULL;
    struct plan plan;
    int count = 0;

    *n = 0;
    if (!plan_open(&plan, p, e)) return false;
    cublasStatus_t r = cublasLtMatmulPreferenceCreate(&pref);
    if (r == CUBLAS_STATUS_SUCCESS) r = prefer(pref, p, workspace);
    if (r == CUBLAS_STATUS_SUCCESS)
        r = cublasLtMatmulAlgoGetHeuristic(g->blas, plan.op, plan.a, plan.b, plan.c, plan.c, pref,
                                           (int)(cap < ALGOS_MOST ? cap : ALGOS_MOST), found,
                                           &count);
    for (int i = 0; r == CUBLAS_STATUS_SUCCESS && i < count; i++) {
        if (found[i].state != CUBLAS_STATUS_SUCCESS) continue;
        _Static_assert(sizeof found[i].algo == sizeof out[0].data, "an algorithm is 64 bytes");
        memcpy(out[(*n)++].data, &found[i].algo, sizeof found[i].algo);
    }
    if (pref) (void)cublasLtMatmulPreferenceDestroy(pref);
    plan_close(&plan);
    if (!blas_ok("ways to compute a product", r, e)) return false;
    return *n > 0 ||
           err_set(e, ERR_LIB, "cublasLt knows no way to compute a product of %u x %u x %u", p->m,
                   p->n, p->k);
}

bool gpu_gemm_fits(struct gpu *g, const struct gpu_gemm *p, const struct gpu_algo *algo,
                   size_t workspace)
{
    cublasLtMatmulHeuristicResult_t found = {0};
    cublasLtMatmulAlgo_t a;
    struct plan plan;
    struct err e = {0};

    if (!plan_open(&plan, p, &e)) return false;
    memcpy(&a, algo->data, sizeof a);
    cublasStatus_t r =
        cublasLtMatmulAlgoCheck(g->blas, plan.op, plan.a, plan.b, plan.c, plan.c, &a, &found);
    plan_close(&plan);
    return r == CUBLAS_STATUS_SUCCESS && found.workspaceSize <= workspace;
}

bool gpu_gemm_run(struct gpu_stream *s, const struct gpu_gemm *p, const struct gpu_algo *algo,
                  const void *a, const void *b, void *c, void *workspace, size_t workspace_bytes,
                  struct err *e)
{
    cublasLtMatmulAlgo_t way;
    struct plan plan;

    if (!plan_open(&plan, p, e)) return false;
    memcpy(&way, algo->data, sizeof way);
    cublasStatus_t r =
        cublasLtMatmul(s->g->blas, plan.op, &p->alpha, b, plan.a, a, plan.b, &p->beta, c, plan.c, c,
                       plan.c, &way, workspace, workspace_bytes, s->s);
    plan_close(&plan);
    return blas_ok("product", r, e);
}
