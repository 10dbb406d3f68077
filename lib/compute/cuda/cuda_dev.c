/* Device "cuda": the table of dev_ops.h, and the one symbol that the plug-in shows. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/cuda/cuda.h"
#include "compute/dev_plugin.h"

/* ---- opening */
static bool choose(const char *arg, int local_rank, int *ordinal, struct err *e)
{
    char why[160] = "";
    int n = gpu_count(why, sizeof why);

    if (n == 0) return err_set(e, ERR_CONFIG, "%s", why);
    *ordinal = local_rank % n;
    if (!arg) return true;
    *ordinal = 0;
    for (const char *p = arg; *p; p++) {
        if (*p < '0' || *p > '9' || p - arg > 3)
            return err_set(e, ERR_CONFIG, "%s is no number of a GPU: cuda:0, cuda:1", arg);
        *ordinal = *ordinal * 10 + (*p - '0');
    }
    return *arg || err_set(e, ERR_CONFIG, "the number of the GPU is missing: cuda:0");
}

/* One word: logs put it into quotes. */
static void describe(struct dev *d, const struct gpu_info *i)
{
    int n = snprintf(d->describe, sizeof d->describe,
                     "gpu=%s sm=%d%d cublaslt=%llu cuda=%d.%d driver=%d.%d", i->name, i->major,
                     i->minor, (unsigned long long)i->blas, i->runtime / 1000,
                     i->runtime % 1000 / 10, i->driver / 1000, i->driver % 1000 / 10);
    for (int k = 4; k < n && k < 4 + (int)strlen(i->name); k++)
        if (d->describe[k] == ' ') d->describe[k] = '-';
    snprintf(d->unit, sizeof d->unit, "%s", i->uuid);
}

static bool open_parts(struct cuda *c, int ordinal, struct err *e)
{
    if (!gpu_open(ordinal, &c->gpu, e)) return false;
    c->free_at_open = gpu_bytes_free(c->gpu);
    c->idle.since_s = clock_mono_s();
    return gpu_stream_open(c->gpu, &c->s, e) && cuda_stage_open(c, e) &&
           gpu_malloc(c->gpu, CUDA_WORKSPACE, &c->workspace, e) && cuda_lanes_open(c, e) &&
           cuda_gemms_open(c, e);
}

static void cuda_close(struct dev *d)
{
    struct cuda *c = d->impl;
    if (!c) return;
    cuda_profile_free(c);
    cuda_gemms_close(c);
    mem_free(c->tiles);
    if (c->gpu) {
        cuda_lanes_close(c);
        gpu_free(c->gpu, c->scratch);
        gpu_free(c->gpu, c->workspace);
        cuda_stage_close(c);
    }
    gpu_stream_close(c->s);
    gpu_close(c->gpu);
    mem_free(c);
}

static bool cuda_open(struct dev *d, const char *arg, struct err *e)
{
    struct cuda *c;
    int ordinal = 0;

    if (!choose(arg, d->local_rank, &ordinal, e)) return false;
    c = mem_calloc(1, sizeof *c, e);
    if (!c) return false;
    d->impl = c;
    if (!open_parts(c, ordinal, e)) {
        cuda_close(d);
        return false;
    }
    describe(d, gpu_get_info(c->gpu));
    d->prefers_bf16 = true;
    d->bytes_own = CUDA_WORKSPACE;
    return true;
}

/* ---- memory */
static void *cuda_alloc(struct dev *d, size_t bytes, struct err *e)
{
    struct cuda *c = d->impl;
    void *p = NULL;
    return gpu_malloc(c->gpu, bytes, &p, e) ? p : NULL;
}

static void cuda_release(struct dev *d, void *mem, size_t bytes)
{
    struct cuda *c = d->impl;
    (void)bytes;
    gpu_free(c->gpu, mem);
}

bool cuda_scratch(struct cuda *c, size_t bytes, void **out, struct err *e)
{
    if (bytes > c->scratch_bytes) {
        gpu_free(c->gpu, c->scratch);
        c->scratch = NULL;
        c->scratch_bytes = 0;
        if (!gpu_malloc(c->gpu, bytes, &c->scratch, e))
            return err_wrap(e, "scratch of %zu bytes", bytes);
        c->scratch_bytes = bytes;
    }
    *out = c->scratch;
    return true;
}

/* ---- what it does with its time */
void cuda_busy(struct cuda *c)
{
    struct cuda_idle *i = &c->idle;
    double now = clock_mono_s();

    if (i->since_s > 0)
        i->total_s += now - i->since_s;
    else if (gpu_stream_idle(c->s))
        i->total_s += now - i->queued_s;
    i->since_s = 0;
    i->queued_s = now;
}

void cuda_waited(struct cuda *c)
{
    if (c->idle.since_s == 0 && gpu_stream_idle(c->s)) c->idle.since_s = clock_mono_s();
}

/* ---- what dev.c calls */
static bool cuda_dev_upload(struct dev *d, void *p, const void *host, size_t bytes, struct err *e)
{
    cuda_busy(d->impl);
    return cuda_upload(d->impl, p, host, bytes, e);
}

static bool cuda_dev_download(struct dev *d, const void *p, void *host, size_t bytes, struct err *e)
{
    struct cuda *c = d->impl;
    bool ok = cuda_download(c, p, host, bytes, e) && (c->made == c->given || cuda_deliver(c, e));
    cuda_waited(c);
    return ok;
}

static bool cuda_submit(struct dev *d, const struct dev_call *call, struct err *e)
{
    cuda_busy(d->impl);
    return cuda_run(d->impl, call, e);
}

static bool cuda_sync(struct dev *d, struct err *e)
{
    bool ok = cuda_deliver(d->impl, e);
    cuda_waited(d->impl);
    return ok;
}

static void cuda_tune(struct dev *d, bool on)
{
    cuda_gemms_tune(d->impl, on);
}

static size_t cuda_choices_bytes(const struct dev *d)
{
    return cuda_gemms_bytes(d->impl);
}

static void cuda_choices_get(const struct dev *d, void *out)
{
    cuda_gemms_get(d->impl, out);
}

static bool cuda_choices_set(struct dev *d, const void *in, size_t bytes, bool *taken,
                             struct err *e)
{
    return cuda_gemms_set(d->impl, in, bytes, taken, e);
}

static struct dev_join_times cuda_join_get(const struct dev *d)
{
    return cuda_gemms_join(d->impl);
}

static size_t cuda_bytes_free(const struct dev *d)
{
    const struct cuda *c = d->impl;
    return gpu_bytes_free(c->gpu);
}

static double cuda_idle_s(const struct dev *d)
{
    const struct cuda_idle *i = &((const struct cuda *)d->impl)->idle;
    return i->total_s + (i->since_s > 0 ? clock_mono_s() - i->since_s : 0);
}

static size_t cuda_bytes_taken(const struct dev *d)
{
    const struct cuda *c = d->impl;
    size_t left = gpu_bytes_free(c->gpu);
    return left < c->free_at_open ? c->free_at_open - left : 0;
}

static bool cuda_dev_profile_set(struct dev *d, bool on, struct err *e)
{
    return cuda_profile_set(d->impl, on, e);
}

static bool cuda_dev_profile_get(struct dev *d, struct dev_profile *out, struct err *e)
{
    return cuda_profile_get(d->impl, out, e);
}

static const struct dev_ops cuda_dev_ops = {
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_dev_upload,
    .download = cuda_dev_download,
    .submit = cuda_submit,
    .sync = cuda_sync,
    .tune = cuda_tune,
    .choices_bytes = cuda_choices_bytes,
    .choices_get = cuda_choices_get,
    .choices_set = cuda_choices_set,
    .bytes_free = cuda_bytes_free,
    .profile_set = cuda_dev_profile_set,
    .profile_get = cuda_dev_profile_get,
    .team = &cuda_team_ops,
    .lanes = &cuda_lane_ops,
    .samples = true,
    .join_get = cuda_join_get,
    .idle_s = cuda_idle_s,
    .bytes_taken = cuda_bytes_taken,
};

static const struct dev_plugin plugin = {
    DEV_PLUGIN_HEAD,
    .ops = &cuda_dev_ops,
    .count = gpu_count,
};

const struct dev_plugin *radmill_dev_plugin(void);
__attribute__((visibility("default"))) const struct dev_plugin *radmill_dev_plugin(void)
{
    return &plugin;
}
