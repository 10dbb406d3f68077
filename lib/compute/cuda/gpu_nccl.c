/*
 * The team of gpu.h over NCCL 2.14 or later, which is opened at run time: it is no part of the CUDA
 * toolkit, and a machine without it adds up through the host.
 *
 * So nccl.h is not asked for either: what is used of its binary interface is written down here, as
 * every 2.x keeps it (tests/compute/nccl_abi.c compares it with a header that is there). The
 * communicator is of the kind that does not block: a process that died while others join, or add
 * up, must not take them with it.
 */
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "compute/cuda/gpu.h"
#include "compute/cuda/nccl_abi.h"

struct gpu_team {
    struct nccl_comm *comm;
    cudaEvent_t before; /* the sum; NULL until the first one */
    bool busy, broken;
};

/* Filled once by load(); why: what was missing. */
static struct {
    bool tried, there;
    int version;
    char why[160];
    nccl_get_version_fn *get_version;
    nccl_get_unique_id_fn *get_unique_id;
    nccl_comm_init_fn *comm_init;
    nccl_comm_fn *comm_finalize, *comm_destroy, *comm_abort;
    nccl_async_error_fn *async_error;
    nccl_all_reduce_fn *all_reduce;
    nccl_error_string_fn *error_string;
    nccl_last_error_fn *last_error;
} lib;

static bool find(void *so, const char *name, void *out, size_t size)
{
    void *symbol = dlsym(so, name);
    if (!symbol && !lib.why[0]) snprintf(lib.why, sizeof lib.why, "libnccl.so.2 has no %s", name);
    memcpy(out, &symbol, size); /* ISO C knows no cast from data to function */
    return symbol != NULL;
}
#define FIND(name, to) find(so, name, &lib.to, sizeof lib.to)

static void load(void)
{
    if (lib.tried) return;
    lib.tried = true;
    void *so = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        snprintf(lib.why, sizeof lib.why, "%.150s", dlerror());
        return;
    }
    if (!FIND("ncclGetVersion", get_version) || lib.get_version(&lib.version) != NCCL_SUCCESS) {
        if (!lib.why[0]) snprintf(lib.why, sizeof lib.why, "libnccl.so.2 does not say its version");
        return;
    }
    if (lib.version < NCCL_OLDEST) {
        snprintf(lib.why, sizeof lib.why, "libnccl.so.2 is %d, 2.14 (%d) or later is needed",
                 lib.version, NCCL_OLDEST);
        return;
    }
    lib.there = FIND("ncclGetUniqueId", get_unique_id) &&
                FIND("ncclCommInitRankConfig", comm_init) &&
                FIND("ncclCommFinalize", comm_finalize) && FIND("ncclCommDestroy", comm_destroy) &&
                FIND("ncclCommAbort", comm_abort) && FIND("ncclCommGetAsyncError", async_error) &&
                FIND("ncclAllReduce", all_reduce) && FIND("ncclGetErrorString", error_string) &&
                FIND("ncclGetLastError", last_error);
}

bool gpu_team_version(char *out, size_t size)
{
    load();
    if (lib.there)
        snprintf(out, size, "%d.%d.%d", lib.version / 10000, lib.version / 100 % 100,
                 lib.version % 100);
    else
        snprintf(out, size, "%s", lib.why);
    return lib.there;
}

/* Its own account of the last error names the socket, the rank or the driver. */
static bool nccl_failed(const char *what, int r, struct err *e)
{
    const char *more = lib.last_error(NULL);
    return err_set(e, ERR_LIB, "%s: NCCL: %s%s%.200s", what, lib.error_string(r),
                   more && more[0] ? ": " : "", more ? more : "");
}

bool gpu_team_id(void *id, struct err *e)
{
    struct nccl_unique_id u;
    load();
    CHECK(lib.there);
    int r = lib.get_unique_id(&u);
    if (r != NCCL_SUCCESS) return nccl_failed("id of a team of GPUs", r, e);
    _Static_assert(sizeof u == GPU_TEAM_ID, "NCCL's id");
    memcpy(id, &u, sizeof u);
    return true;
}

bool gpu_team_open(struct gpu *g, const void *id, int rank, int size, struct gpu_team **out,
                   struct err *e)
{
    struct nccl_config config = {
        .size = sizeof config, .magic = NCCL_MAGIC, .version = NCCL_OLDEST, .blocking = 0};
    struct nccl_unique_id u;
    struct gpu_team *t;

    (void)g; /* the thread's current device */
    load();
    CHECK(lib.there);
    t = mem_calloc(1, sizeof *t, e);
    if (!t) return false;
    memcpy(&u, id, sizeof u);
    int r = lib.comm_init(&t->comm, size, u, rank, &config);
    if (r != NCCL_SUCCESS && r != NCCL_IN_PROGRESS) {
        nccl_failed("team of GPUs", r, e);
        if (t->comm) (void)lib.comm_abort(t->comm);
        mem_free(t);
        return false;
    }
    t->busy = true;
    *out = t;
    return true;
}

/* Until NCCL has finished, at most a second; then it is made to. */
static bool finalized(struct gpu_team *t)
{
    int r = lib.comm_finalize(t->comm);
    for (int i = 0; i < 1000 && r == NCCL_IN_PROGRESS; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (lib.async_error(t->comm, &r) != NCCL_SUCCESS) return false;
    }
    return r == NCCL_SUCCESS;
}

void gpu_team_close(struct gpu_team *t)
{
    if (!t) return;
    if (!t->busy && !t->broken && finalized(t))
        (void)lib.comm_destroy(t->comm);
    else
        (void)lib.comm_abort(t->comm);
    if (t->before) (void)cudaEventDestroy(t->before);
    mem_free(t);
}

/* Behind what s has to do before the sum. */
static bool mark_before(struct gpu_team *t, struct gpu_stream *s, struct err *e)
{
    cudaError_t r = cudaSuccess;
    if (!t->before) r = cudaEventCreateWithFlags(&t->before, cudaEventDisableTiming);
    if (r == cudaSuccess) r = cudaEventRecord(t->before, gpu_stream_native(s));
    return r == cudaSuccess ||
           err_set(e, ERR_LIB, "sum over GPUs: event: %s", cudaGetErrorString(r));
}

bool gpu_team_sum_i64(struct gpu_team *t, struct gpu_stream *s, int64_t *v, size_t n, struct err *e)
{
    CHECK(!t->busy && !t->broken);
    if (!mark_before(t, s, e)) return false;
    t->busy = true;
    int r = lib.all_reduce(v, v, n, NCCL_INT64, NCCL_SUM, t->comm, gpu_stream_native(s));
    if (r == NCCL_SUCCESS || r == NCCL_IN_PROGRESS) return true;
    t->broken = true;
    return nccl_failed("sum over GPUs", r, e);
}

/* Has the GPU come past here? A failure of its work is one of the sum. */
static bool passed(struct gpu_team *t, cudaError_t q, bool *yes, struct err *e)
{
    *yes = q == cudaSuccess;
    if (q == cudaErrorNotReady) (void)cudaGetLastError(); /* the next launch would report it */
    if (*yes || q == cudaErrorNotReady) return true;
    t->broken = true;
    return err_set(e, ERR_LIB, "sum over GPUs: %s", cudaGetErrorString(q));
}

bool gpu_team_poll(struct gpu_team *t, struct gpu_stream *s, enum gpu_team_state *state,
                   struct err *e)
{
    int now = NCCL_SUCCESS;
    int r = lib.async_error(t->comm, &now);
    bool yes = true;

    *state = GPU_TEAM_WAITS;
    if (r == NCCL_SUCCESS) r = now;
    if (r != NCCL_SUCCESS && r != NCCL_IN_PROGRESS) {
        t->broken = true;
        return nccl_failed("sum over GPUs", r, e);
    }
    if (t->before && !passed(t, cudaEventQuery(t->before), &yes, e)) return false;
    if (!yes) *state = GPU_TEAM_BEHIND;
    if (!yes || r == NCCL_IN_PROGRESS) return true;
    if (!passed(t, cudaStreamQuery(gpu_stream_native(s)), &yes, e)) return false;
    if (!yes) return true;
    t->busy = false;
    *state = GPU_TEAM_OVER;
    return gpu_stream_ok(s, e);
}
