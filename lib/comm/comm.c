#include "comm/comm.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "comm/comm_impl.h"
#include "comm/hang.h"

__extension__ typedef unsigned __int128 u128; /* the one typedef: ISO C has no name for it */

size_t comm_chunk = (size_t)1 << 30;

bool comm_open_self(struct comm **out, struct err *e)
{
    *out = NULL;
    struct comm *c = mem_calloc(1, sizeof *c, e);
    if (!c) return false;
    c->size = c->local_size = 1;
    *out = c;
    return true;
}

void comm_close(struct comm *c)
{
    if (!c) return;
    if (c->ops) c->ops->close(c);
    mem_free(c);
}

void comm_abort(struct comm *c, int exit_code)
{
    if (c && c->ops) c->ops->abort(c, exit_code);
    _exit(exit_code);
}

int comm_rank(const struct comm *c)
{
    return c->rank;
}

int comm_size(const struct comm *c)
{
    return c->size;
}

int comm_local_rank(const struct comm *c)
{
    return c->local_rank;
}

int comm_local_size(const struct comm *c)
{
    return c->local_size;
}

const char *comm_gpu(const struct comm *c)
{
    return c->gpu;
}

/* The first two ranks with the same unit; false: there are none. */
static bool find_pair(const char *all, int n, int *a, int *b)
{
    for (*a = 0; *a < n; ++*a) {
        const char *x = all + (size_t)*a * COMM_UNIT_BYTES;
        for (*b = *a + 1; x[0] && *b < n; ++*b)
            if (memcmp(x, all + (size_t)*b * COMM_UNIT_BYTES, COMM_UNIT_BYTES) == 0) return true;
    }
    return false;
}

bool comm_check_units(struct comm *c, const char *unit, bool shared, struct err *e)
{
    char mine[COMM_UNIT_BYTES] = "";
    char *all = mem_alloc_or_abort((size_t)c->size * sizeof mine);
    int a, b;

    CHECK(strlen(unit) < sizeof mine);
    memcpy(mine, unit, strlen(unit));
    comm_allgather(c, mine, sizeof mine, all);
    bool pair = find_pair(all, c->size, &a, &b);
    if (pair && !shared)
        err_set(e, ERR_CONFIG,
                "ranks %d and %d would share %s; give each its own (one rank a GPU, "
                "--gpus-per-task=1), or allow it with model.share_gpu: true",
                a, b, all + (size_t)a * COMM_UNIT_BYTES);
    mem_free(all);
    return !pair || shared;
}

static struct comm_range share_of(uint64_t rank, uint64_t size, uint64_t n)
{
    uint64_t each = n / size, more = n % size;
    uint64_t begin = rank * each + (rank < more ? rank : more);
    return (struct comm_range){begin, begin + each + (rank < more)};
}

struct comm_range comm_share(const struct comm *c, uint64_t n)
{
    return share_of((uint64_t)c->rank, (uint64_t)c->size, n);
}

struct comm_range comm_share_cost(const struct comm *c, const uint64_t *cost, uint64_t n)
{
    return comm_share_cost_of(c->rank, c->size, cost, n, NULL);
}

static u128 sum_costs(const uint64_t *cost, uint64_t n)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < n; i++)
        CHECK(!__builtin_add_overflow(total, cost[i], &total));
    return total;
}

/* What is left of a rank's equal slice of all, times the ranks: whole numbers. */
static u128 room_of(u128 all, uint64_t size, const uint64_t *done, uint64_t rank)
{
    u128 taken = done ? (u128)done[rank] * size : 0;

    return taken < all ? all - taken : 0;
}

/* An item belongs to the rank in whose slice of the total cost its middle lies. Whole numbers
 * only, so every rank computes the same cut. */
struct comm_range comm_share_cost_of(int of, int ranks, const uint64_t *cost, uint64_t n,
                                     const uint64_t *done)
{
    uint64_t size = (uint64_t)ranks, rank = (uint64_t)of, owner = 0;
    u128 total = sum_costs(cost, n), all = total + (done ? sum_costs(done, size) : 0), before = 0;
    u128 end = room_of(all, size, done, 0); /* of the owner's slice, times size */
    struct comm_range r = {n, n};

    if (total == 0) return share_of(rank, size, n);
    for (uint64_t i = 0; i < n; i++) {
        u128 twice_middle = before * 2 + cost[i];
        /* the last takes items without cost at the end */
        while (owner + 1 < size && twice_middle * size >= end * 2)
            end += room_of(all, size, done, ++owner);
        before += cost[i];
        if (owner < rank) continue;
        if (r.begin == n) r.begin = i;
        if (owner == rank) continue;
        r.end = i;
        break;
    }
    return r;
}

bool(comm_agree)(struct comm *c, bool ok, struct err *e)
{
    CHECK(ok == (e->code == ERR_NONE));
    if (!ok) e->rank = c->rank;
    if (c->size == 1) return ok;
    hang_wait_begin();
    int failed = c->ops->first_failed(c, !ok);
    hang_wait_end();
    if (failed < 0) return ok;
    c->ops->bcast(c, e, sizeof *e, failed);
    return false;
}

void comm_barrier(struct comm *c)
{
    if (c->size == 1) return;
    hang_wait_begin();
    c->ops->barrier(c);
    hang_wait_end();
}

void comm_bcast(struct comm *c, void *p, size_t n, int root)
{
    CHECK(root >= 0 && root < c->size);
    if (c->size == 1) return;
    hang_wait_begin();
    for (size_t at = 0; at < n; at += comm_chunk)
        c->ops->bcast(c, (char *)p + at, n - at < comm_chunk ? n - at : comm_chunk, root);
    hang_wait_end();
}

static void reduce(struct comm *c, void *v, size_t n, enum comm_reduction op)
{
    if (c->size == 1) return;
    hang_wait_begin();
    for (size_t at = 0; at < n; at += comm_chunk)
        c->ops->reduce(c, (char *)v + at * 8, n - at < comm_chunk ? n - at : comm_chunk, op);
    hang_wait_end();
}

void comm_sum_i64(struct comm *c, int64_t *v, size_t n)
{
    reduce(c, v, n, COMM_SUM_U64); /* two's complement: the same bits as a signed sum that wraps */
}

void comm_sum_u64(struct comm *c, uint64_t *v, size_t n)
{
    reduce(c, v, n, COMM_SUM_U64);
}

void comm_max_i64(struct comm *c, int64_t *v, size_t n)
{
    reduce(c, v, n, COMM_MAX_I64);
}

void comm_max_f64(struct comm *c, double *v, size_t n)
{
    reduce(c, v, n, COMM_MAX_F64);
}

void comm_allgather(struct comm *c, const void *in, size_t n, void *out)
{
    char *to = out;
    if (n == 0) return;
    if (c->size == 1) {
        memcpy(out, in, n);
    } else if (n <= comm_chunk) {
        hang_wait_begin();
        c->ops->allgather(c, in, n, out);
        hang_wait_end();
    } else {
        memcpy(to + (size_t)c->rank * n, in, n);
        for (int r = 0; r < c->size; r++)
            comm_bcast(c, to + (size_t)r * n, n, r);
    }
}

void comm_alarm_reset(struct comm *c)
{
    c->alarm_turn = (c->alarm_turn + 1) % COMM_ALARM_TURNS;
}

void comm_alarm(struct comm *c)
{
    if (c->size > 1) c->ops->alarm(c);
}

bool comm_alarmed(struct comm *c)
{
    return c->size > 1 && c->ops->alarmed(c);
}

struct gather {
    size_t *counts;
    int *small, *at; /* counts and places as MPI wants them */
    size_t total;
    char *out;
};

/* Everything that may fail on one rank alone. */
static bool gather_alloc(struct gather *g, size_t size, struct err *e)
{
    g->total = 0;
    for (size_t r = 0; r < size; r++)
        if (__builtin_add_overflow(g->total, g->counts[r], &g->total))
            return err_set(e, ERR_LIMIT, "too many bytes to gather");
    g->small = mem_calloc(size, sizeof *g->small, e);
    if (!g->small) return false;
    g->at = mem_calloc(size, sizeof *g->at, e);
    if (!g->at) return false;
    g->out = mem_alloc(g->total, e);
    return g->out != NULL;
}

static void gather_bytes(struct comm *c, const void *in, struct gather *g)
{
    size_t n = g->counts[c->rank], at = 0;
    if (g->total > comm_chunk) {
        for (int r = 0; r < c->size; r++) {
            if (r == c->rank && n > 0) memcpy(g->out + at, in, n);
            comm_bcast(c, g->out + at, g->counts[r], r);
            at += g->counts[r];
        }
        return;
    }
    for (int r = 0; r < c->size; r++) {
        g->small[r] = (int)g->counts[r];
        g->at[r] = (int)at;
        at += g->counts[r];
    }
    if (c->size > 1)
        c->ops->allgatherv(c, in, g->small, g->at, g->out);
    else if (n > 0)
        memcpy(g->out, in, n);
}

bool comm_allgatherv(struct comm *c, const void *in, size_t n, void **out, size_t *total,
                     size_t *counts, struct err *e)
{
    struct gather g = {0};
    size_t size = (size_t)c->size;
    *out = NULL;
    g.counts = mem_calloc(size, sizeof *g.counts, e);
    bool ok = comm_agree(c, g.counts != NULL, e);
    if (!ok) goto out;
    comm_allgather(c, &n, sizeof n, g.counts);
    ok = comm_agree(c, gather_alloc(&g, size, e), e);
    if (!ok) goto out;
    gather_bytes(c, in, &g);
    if (counts) memcpy(counts, g.counts, size * sizeof *counts);
    *total = g.total;
    *out = g.out;
    g.out = NULL;
out:
    mem_free(g.out);
    mem_free(g.at);
    mem_free(g.small);
    mem_free(g.counts);
    return ok;
}

/* ---- all to all */
static size_t sum_of(const size_t *v, int n)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

/* In turn with the rank 1, 2, ... behind and in front: each has one partner a turn. counts: of all
 * ranks, each for all. */
static void swap_all(struct comm *c, const char *in, const size_t *counts, char *out)
{
    int size = c->size;

    for (int step = 0; step < size; step++) {
        int to = (c->rank + step) % size, from = (c->rank + size - step) % size;
        const size_t *mine = counts + (size_t)c->rank * (size_t)size;
        size_t n = mine[to], m = counts[(size_t)from * (size_t)size + (size_t)c->rank];
        const char *src = in + sum_of(mine, to);
        char *dst = out;
        for (int r = 0; r < from; r++)
            dst += counts[(size_t)r * (size_t)size + (size_t)c->rank];
        if (step == 0 && n > 0) memcpy(dst, src, n);
        for (size_t at = 0; step > 0 && (at < n || at < m); at += comm_chunk) {
            size_t send = at < n ? n - at : 0, take = at < m ? m - at : 0;
            c->ops->swap((struct str){src + at, send < comm_chunk ? send : comm_chunk}, to,
                         dst + at, take < comm_chunk ? take : comm_chunk, from);
        }
    }
}

bool comm_exchange(struct comm *c, const void *in, const size_t *counts, void **out, size_t *total,
                   struct err *e)
{
    size_t size = (size_t)c->size;
    size_t *all = mem_calloc(size * size, sizeof *all, e);
    bool ok = comm_agree(c, all != NULL, e);

    *out = NULL;
    *total = 0;
    if (!ok) goto out;
    comm_allgather(c, counts, size * sizeof *counts, all);
    for (size_t r = 0; r < size; r++)
        *total += all[r * size + (size_t)c->rank];
    *out = mem_alloc(*total + 1, e);
    ok = comm_agree(c, *out != NULL, e);
    if (!ok) goto out;
    hang_wait_begin();
    swap_all(c, in, all, *out);
    hang_wait_end();
out:
    if (!ok) {
        mem_free(*out);
        *out = NULL;
    }
    mem_free(all);
    return ok;
}

/* ---- from rank to rank */
struct comm_post {
    struct comm_request request;
    bool done;
};

struct comm_post *comm_post_open(struct comm *c, const void *p, size_t n, int to)
{
    /* Whoever waits for this message would wait for ever if these few bytes were missing. */
    struct comm_post *post = mem_alloc_or_abort(sizeof *post);

    CHECK(n <= COMM_POST_BYTES && to >= 0 && to < c->size && to != c->rank);
    memset(post, 0, sizeof *post);
    c->ops->post(p, n, to, &post->request);
    return post;
}

bool comm_post_done(struct comm *c, struct comm_post *p)
{
    if (p && !p->done) p->done = c->ops->post_done(&p->request, false);
    return !p || p->done;
}

void comm_post_close(struct comm *c, struct comm_post *p)
{
    if (!p) return;
    hang_wait_begin();
    if (!p->done) (void)c->ops->post_done(&p->request, true);
    hang_wait_end();
    mem_free(p);
}

bool comm_peek(struct comm *c, int from, size_t *n)
{
    return c->ops->peek(from, false, n);
}

size_t comm_await(struct comm *c, int from)
{
    size_t n = 0;

    CHECK(from >= 0 && from < c->size && from != c->rank);
    hang_wait_begin();
    (void)c->ops->peek(from, true, &n);
    hang_wait_end();
    return n;
}

void comm_receive(struct comm *c, void *p, size_t n, int from)
{
    hang_wait_begin();
    c->ops->receive(p, n, from);
    hang_wait_end();
}
