/* Sums over GPUs: joins, proves that it adds up right, adds up. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/cuda/cuda.h"

/* Of the first sum, 8 MiB: as gradients are, so that the paths that large sums take are made now,
 * and their memory counted. */
enum { TRIAL = 1 << 20 };
_Static_assert((int)DEV_TEAM_BEHIND == (int)GPU_TEAM_BEHIND &&
                   (int)DEV_TEAM_WAITS == (int)GPU_TEAM_WAITS &&
                   (int)DEV_TEAM_OVER == (int)GPU_TEAM_OVER,
               "one meaning for both");

static bool team_there(const struct dev *d, char *text, size_t size)
{
    (void)d;
    return gpu_team_version(text, size);
}

static bool team_id(struct dev *d, void *id, struct err *e)
{
    (void)d;
    _Static_assert((int)DEV_TEAM_ID == (int)GPU_TEAM_ID, "one size for both");
    return gpu_team_id(id, e);
}

static void team_close(struct dev *d)
{
    struct cuda *c = d->impl;
    gpu_team_close(c->team.t);
    gpu_free(c->gpu, c->team.trial);
    d->bytes_own -= c->team.bytes_own;
    c->team = (struct cuda_team){0};
}

static bool team_open(struct dev *d, const void *id, int rank, int size, struct err *e)
{
    struct cuda *c = d->impl;
    int64_t *mine = mem_alloc(TRIAL * sizeof *mine, e);

    if (!mine) return false;
    for (int i = 0; i < TRIAL; i++)
        mine[i] = rank + 1;
    c->team = (struct cuda_team){.rank = rank, .size = size, .bytes_free = gpu_bytes_free(c->gpu)};
    bool ok = gpu_malloc(c->gpu, TRIAL * sizeof *mine, (void **)&c->team.trial, e) &&
              cuda_upload(c, c->team.trial, mine, TRIAL * sizeof *mine, e) &&
              gpu_stream_sync(c->s, e) && gpu_team_open(c->gpu, id, rank, size, &c->team.t, e);
    mem_free(mine);
    if (!ok) team_close(d);
    return ok;
}

static bool team_sum(struct dev *d, void *p, size_t count, struct err *e)
{
    struct cuda *c = d->impl;
    CHECK(c->team.state == CUDA_TEAM_READY);
    cuda_busy(c);
    c->team.since_s = clock_mono_s();
    return gpu_team_sum_i64(c->team.t, c->s, p, count, e);
}

/* 1 + 2 + ... + size, everywhere. */
static bool check_trial(struct cuda *c, struct err *e)
{
    struct cuda_team *t = &c->team;
    int64_t *sum = mem_alloc(TRIAL * sizeof *sum, e), want = (int64_t)t->size * (t->size + 1) / 2;
    int i = 0;

    bool ok = sum && cuda_download(c, t->trial, sum, TRIAL * sizeof *sum, e);
    while (ok && i < TRIAL && sum[i] == want)
        i++;
    if (ok && i < TRIAL)
        ok = err_set(e, ERR_LIB, "a first sum over %d GPUs is %lld, not %lld", t->size,
                     (long long)sum[i], (long long)want);
    mem_free(sum);
    return ok;
}

static bool finish_trial(struct dev *d, struct err *e)
{
    struct cuda *c = d->impl;
    struct cuda_team *t = &c->team;

    if (!check_trial(c, e)) return false;
    gpu_free(c->gpu, t->trial);
    t->trial = NULL;
    size_t left = gpu_bytes_free(c->gpu);
    t->bytes_own = t->bytes_free > left ? t->bytes_free - left : 0;
    d->bytes_own += t->bytes_own;
    t->state = CUDA_TEAM_READY;
    return true;
}

/* A GPU in a sum computes nothing, whether it sends or waits for another one. */
static void sum_over(struct cuda *c)
{
    c->idle.total_s += clock_mono_s() - c->team.since_s;
    cuda_waited(c);
}

static bool team_poll(struct dev *d, enum dev_team_state *now, struct err *e)
{
    struct cuda *c = d->impl;
    struct cuda_team *t = &c->team;
    enum gpu_team_state state;

    if (!gpu_team_poll(t->t, c->s, &state, e)) return false;
    *now = (enum dev_team_state)state;
    if (state != GPU_TEAM_OVER) return true;
    if (t->state == CUDA_TEAM_READY) {
        sum_over(c);
        return true;
    }
    if (t->state == CUDA_TEAM_TRIES) return finish_trial(d, e);
    t->state = CUDA_TEAM_TRIES;
    *now = DEV_TEAM_WAITS;
    return gpu_team_sum_i64(t->t, c->s, t->trial, TRIAL, e);
}

const struct dev_team_ops cuda_team_ops = {
    .there = team_there,
    .id = team_id,
    .open = team_open,
    .close = team_close,
    .sum_i64 = team_sum,
    .poll = team_poll,
};
