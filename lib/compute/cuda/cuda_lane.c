/* Copies beside the ops, and all that is on its way to the host. */
#include <string.h>

#include "base/mem.h"
#include "compute/cuda/cuda.h"

bool cuda_lanes_open(struct cuda *c, struct err *e)
{
    size_t bytes = CUDA_RESULTS * sizeof(double);

    c->turn = 1; /* none is over */
    if (!gpu_stream_open(c->gpu, &c->up, e) || !gpu_stream_open(c->gpu, &c->down, e) ||
        !gpu_event_open(c->gpu, false, &c->arrived, e))
        return false;
    for (int i = 0; i < DEV_LANES; i++)
        if (!gpu_event_open(c->gpu, false, &c->lanes[i].ended, e) ||
            !gpu_event_open(c->gpu, false, &c->lanes[i].home, e))
            return false;
    return gpu_malloc(c->gpu, bytes, (void **)&c->results, e) &&
           gpu_pinned_open(c->gpu, bytes, (void **)&c->results_host, e);
}

void cuda_lanes_close(struct cuda *c)
{
    gpu_pinned_close(c->gpu, c->results_host);
    gpu_free(c->gpu, c->results);
    for (int i = 0; i < DEV_LANES; i++) {
        gpu_pinned_close(c->gpu, c->lanes[i].pinned);
        gpu_event_close(c->lanes[i].home);
        gpu_event_close(c->lanes[i].ended);
    }
    gpu_event_close(c->arrived);
    gpu_stream_close(c->down);
    gpu_stream_close(c->up);
}

/* ---- results */
/* Those not copied yet, by stream x. */
static bool copy_results(struct cuda *c, struct gpu_stream *x, struct err *e)
{
    while (c->copied < c->made) {
        uint64_t at = c->copied % CUDA_RESULTS, n = c->made - c->copied;
        if (n > CUDA_RESULTS - at) n = CUDA_RESULTS - at;
        if (!gpu_copy_down(x, c->results_host + at, c->results + at, n * sizeof *c->results, e))
            return false;
        c->copied += n;
    }
    return true;
}

static void give_results(struct cuda *c, uint64_t upto)
{
    for (; c->given < upto; c->given++) {
        size_t at = c->given % CUDA_RESULTS;
        struct cuda_result to = c->pending[at];
        if (to.f32) memcpy(to.f32, &c->results_host[at], sizeof *to.f32);
        if (to.f64) *to.f64 = c->results_host[at];
    }
}

bool cuda_result(struct cuda *c, struct cuda_result to, void **out, struct err *e)
{
    if (c->made - c->given == CUDA_RESULTS && !cuda_deliver(c, e)) return false;
    c->pending[c->made % CUDA_RESULTS] = to;
    *out = &c->results[c->made++ % CUDA_RESULTS];
    return true;
}

/* ---- lanes */
/* Its home has been waited for. */
static void give_lane(struct cuda *c, struct cuda_lane *l)
{
    for (int i = 0; i < l->nlater; i++)
        memcpy(l->later[i].host, l->pinned + l->later[i].at, l->later[i].bytes);
    give_results(c, l->upto);
    if (l->turn > c->turns_over) c->turns_over = l->turn;
    l->nlater = 0;
    l->used = 0;
    l->flies = false;
}

bool cuda_deliver(struct cuda *c, struct err *e)
{
    bool ok = copy_results(c, c->s, e) && gpu_stream_sync(c->s, e);

    for (int i = 0; i < DEV_LANES && ok; i++) {
        if (!c->lanes[i].flies) continue;
        ok = gpu_event_sync(c->lanes[i].home, e);
        if (ok) give_lane(c, &c->lanes[i]);
    }
    if (ok) give_results(c, c->made);
    return ok;
}

static bool lane_upload(struct dev *d, void *p, const void *host, size_t bytes, struct err *e)
{
    struct cuda *c = d->impl;
    cuda_busy(c);
    return bytes <= CUDA_SLOT_BYTES ? cuda_upload_beside(c, p, host, bytes, e)
                                    : cuda_upload(c, p, host, bytes, e);
}

/* More pinned memory. What was asked for already has not been copied. */
static bool lane_room(struct cuda *c, struct cuda_lane *l, size_t bytes, struct err *e)
{
    if (bytes <= l->cap) return true;
    gpu_pinned_close(c->gpu, l->pinned);
    l->pinned = NULL;
    l->cap = 0;
    size_t cap = 4096;
    while (cap < bytes)
        cap *= 2;
    if (!gpu_pinned_open(c->gpu, cap, (void **)&l->pinned, e)) return false;
    l->cap = cap;
    return true;
}

static bool lane_download(struct dev *d, int lane, const void *p, void *host, size_t bytes,
                          struct err *e)
{
    struct cuda *c = d->impl;
    struct cuda_lane *l = &c->lanes[lane];

    CHECK(!l->flies && l->nlater < DEV_LANE_DOWNLOADS);
    if (!lane_room(c, l, l->used + bytes, e)) return false;
    l->later[l->nlater++] = (struct cuda_later){p, host, bytes, l->used};
    l->used += bytes;
    return true;
}

static bool lane_end(struct dev *d, int lane, struct err *e)
{
    struct cuda *c = d->impl;
    struct cuda_lane *l = &c->lanes[lane];

    CHECK(!l->flies);
    if (!gpu_event_record(l->ended, c->s, e) || !gpu_stream_wait(c->down, l->ended, e) ||
        !copy_results(c, c->down, e))
        return false;
    for (int i = 0; i < l->nlater; i++)
        if (!gpu_copy_down(c->down, l->pinned + l->later[i].at, l->later[i].device,
                           l->later[i].bytes, e))
            return false;
    l->upto = c->made;
    l->turn = c->turn++;
    l->flies = true;
    return gpu_event_record(l->home, c->down, e);
}

/* Lanes that ended before it are home as well: one stream brings them. */
static bool lane_wait(struct dev *d, int lane, struct err *e)
{
    struct cuda *c = d->impl;
    struct cuda_lane *l = &c->lanes[lane];

    if (!l->flies) return true; /* a sync was faster */
    if (!gpu_stream_ok(c->s, e) || !gpu_event_sync(l->home, e)) return false;
    for (int i = 0; i < DEV_LANES; i++)
        if (c->lanes[i].flies && c->lanes[i].turn < l->turn) give_lane(c, &c->lanes[i]);
    give_lane(c, l);
    cuda_waited(c);
    return true;
}

static void lanes_drop(struct dev *d)
{
    struct cuda *c = d->impl;
    struct err ignored = {0}; /* the one that counts came before */

    if (!gpu_stream_sync(c->s, &ignored)) err_clear(&ignored);
    if (!gpu_stream_sync(c->down, &ignored)) err_clear(&ignored);
    for (int i = 0; i < DEV_LANES; i++) {
        c->lanes[i].nlater = 0;
        c->lanes[i].used = 0;
        c->lanes[i].flies = false;
    }
    c->copied = c->given = c->made;
    c->turns_over = c->turn++;
    cuda_waited(c);
}

const struct dev_lane_ops cuda_lane_ops = {
    .upload = lane_upload,
    .download = lane_download,
    .end = lane_end,
    .wait = lane_wait,
    .drop = lanes_drop,
};
