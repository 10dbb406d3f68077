/*
 * The stand-in for NCCL behind compute/cuda/gpu.h: teams of up to 8 processes of one machine, through
 * shared memory. As there, a rank that does not come makes the others wait for ever, and nobody
 * hears of another's failure. What NCCL would do silently wrong is an error of every rank: sums of
 * unlike counts, in unlike order; two ranks on one GPU.
 *
 * RADMILL_FAKE_NCCL (the first sum, n = 1, is the trial of cuda_team.c):
 *     none            there is no library
 *     old:R           rank R has another version of it
 *     join:R          rank R cannot join
 *     fail:R:n        rank R's n-th sum fails on the way
 *     refuse:R:n      it fails at once
 *     hang:R:n        rank R never gets through it
 *     stuck:R:n       rank R's GPU never gets to it
 *     stop:R:n        rank R's process stands still in it (SIGSTOP)
 *     short:R:n       rank R adds up one number less
 *     wrong:R:n       rank R's n-th sum is wrong
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compute/gpu_fake.h"

enum { SEATS = 8, CHUNK = 1 << 16 };

struct seat {
    atomic_bool there;
    int size;
    char uuid[48];
    atomic_ullong posted; /* chunks so far; chunk k is in half k % 2 */
    struct {
        uint64_t sum, count, at;
        int64_t v[CHUNK];
    } half[2];
};
struct table {
    struct seat seats[SEATS];
};

struct gpu_team {
    struct gpu *g;
    struct table *table;
    struct gpu_stream *stream; /* of the sum under way */
    char name[GPU_TEAM_ID], why[96];
    int rank, size;
    bool joined, broken, busy;
    int64_t *v; /* the sum under way */
    uint64_t sum, count, at, chunk;
    bool posted;
};

/* Was rank told to `what` at its n-th sum? */
static bool told(const char *what, int rank, uint64_t n)
{
    const char *s = getenv("RADMILL_FAKE_NCCL");
    char word[16];
    int r = -1, at = 0;
    if (!s || sscanf(s, "%15[a-z]:%d:%d", word, &r, &at) < 1 || strcmp(word, what) != 0)
        return false;
    return r == rank && (uint64_t)at == n;
}

bool gpu_team_version(char *out, size_t size)
{
    const char *s = getenv("RADMILL_FAKE_NCCL"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (s && strcmp(s, "none") == 0) {
        snprintf(out, size, "the stand-in was told to have none");
        return false;
    }
    snprintf(out, size, rank && told("old", atoi(rank), 0) ? "0.0.1" : "0.0.2");
    return true;
}

bool gpu_team_id(void *id, struct err *e)
{
    static int count;
    char name[GPU_TEAM_ID] = "";
    snprintf(name, sizeof name, "/radmill-fake-nccl-%d-%d", (int)getpid(), count++);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct table)) != 0) return err_sys(e, "%s", name);
    close(fd);
    memcpy(id, name, sizeof name);
    return true;
}

static bool broken(struct gpu_team *t, struct err *e)
{
    return err_set(e, ERR_LIB, "sum over GPUs: %s", t->why);
}

bool gpu_team_open(struct gpu *g, const void *id, int rank, int size, struct gpu_team **out,
                   struct err *e)
{
    struct gpu_team *t = calloc(1, sizeof *t);
    *t = (struct gpu_team){.g = g, .rank = rank, .size = size};
    memcpy(t->name, id, sizeof t->name);
    CHECK(size <= SEATS && rank >= 0 && rank < size);
    int fd = told("join", rank, 0) ? -1 : shm_open(t->name, O_RDWR, 0);
    if (fd < 0) {
        free(t);
        return err_set(e, ERR_LIB, "rank %d cannot join the team of GPUs", rank);
    }
    t->table = mmap(NULL, sizeof *t->table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CHECK(t->table != MAP_FAILED);
    struct seat *s = &t->table->seats[rank];
    CHECK(!s->there);
    s->size = size;
    memcpy(s->uuid, gpu_get_info(g)->uuid, sizeof s->uuid);
    s->there = true;
    *out = t;
    return true;
}

void gpu_team_close(struct gpu_team *t)
{
    if (!t) return;
    if (t->busy) { /* given up: the stream goes on without it */
        t->broken = true;
        (void)gpu_fake_go(t->stream);
    }
    if (t->rank == 0) shm_unlink(t->name);
    munmap(t->table, sizeof *t->table);
    free(t);
}

static void fail(struct gpu_team *t, const char *why)
{
    t->broken = true;
    snprintf(t->why, sizeof t->why, "%s", why);
}

static void join(struct gpu_team *t)
{
    struct seat *s = t->table->seats;
    for (int r = 0; r < t->size; r++)
        if (!s[r].there) return;
    for (int r = 0; r < t->size; r++)
        for (int q = 0; q < r; q++)
            if (strcmp(s[r].uuid, s[q].uuid) == 0 || s[r].size != s[q].size)
                fail(t, "two ranks on one GPU, or teams of unlike size");
    t->joined = true;
    if (t->rank == 0) shm_unlink(t->name); /* all have it */
}

static uint64_t chunk_size(const struct gpu_team *t)
{
    return t->count - t->at < CHUNK ? t->count - t->at : CHUNK;
}

static void post(struct gpu_team *t)
{
    struct seat *s = &t->table->seats[t->rank];
    int h = t->chunk % 2;
    s->half[h].sum = t->sum;
    s->half[h].count = t->count;
    s->half[h].at = t->at;
    memcpy(s->half[h].v, t->v + t->at, chunk_size(t) * sizeof(int64_t));
    s->posted = t->chunk + 1;
    t->posted = true;
}

/* All have posted this chunk. Nobody writes into this half before all have posted the next one. */
static void add_chunk(struct gpu_team *t)
{
    int h = t->chunk % 2;
    for (uint64_t i = 0; i < chunk_size(t); i++) {
        uint64_t sum = 0;
        for (int r = 0; r < t->size; r++)
            sum += (uint64_t)t->table->seats[r].half[h].v[i];
        t->v[t->at + i] = (int64_t)sum;
    }
}

static bool agrees(const struct gpu_team *t)
{
    int h = t->chunk % 2;
    for (int r = 0; r < t->size; r++) {
        const struct seat *s = &t->table->seats[r];
        if (s->half[h].sum != t->sum || s->half[h].count != t->count || s->half[h].at != t->at)
            return false;
    }
    return true;
}

/* One more look; over? */
static bool go_on(void *context)
{
    struct gpu_team *t = context;

    if (told("fail", t->rank, t->sum)) fail(t, "the stand-in was told to fail");
    if (t->broken) return true;
    if (told("hang", t->rank, t->sum)) return false;
    if (told("stop", t->rank, t->sum)) raise(SIGSTOP);
    while (t->at < t->count) {
        if (!t->posted) post(t);
        for (int r = 0; r < t->size; r++)
            if (t->table->seats[r].posted <= t->chunk) return false;
        if (!agrees(t)) {
            fail(t, "ranks add up unlike counts, or in unlike order");
            return true;
        }
        add_chunk(t);
        t->at += chunk_size(t);
        t->chunk++;
        t->posted = false;
    }
    /* a gradient's unit is far below what counts */
    if (told("wrong", t->rank, t->sum)) t->v[0] += t->sum == 1 ? 1 : (int64_t)1 << 45;
    return true;
}

bool gpu_team_sum_i64(struct gpu_team *t, struct gpu_stream *s, int64_t *v, size_t n, struct err *e)
{
    CHECK(t->joined && !t->broken && !t->busy && n > 0 && gpu_fake_of(s) == t->g);
    CHECK((uintptr_t)v % sizeof *v == 0 && gpu_fake_holds(t->g, v, n * sizeof *v));
    t->sum++;
    if (told("refuse", t->rank, t->sum)) {
        fail(t, "the stand-in was told to refuse");
        return broken(t, e);
    }
    t->v = v;
    t->count = told("short", t->rank, t->sum) ? n - 1 : n;
    t->at = 0;
    t->posted = false;
    t->busy = true;
    t->stream = s;
    gpu_fake_push_try(s, "sum over GPUs", go_on, t);
    return true;
}

bool gpu_team_poll(struct gpu_team *t, struct gpu_stream *s, enum gpu_team_state *now,
                   struct err *e)
{
    if (!t->joined && !t->broken) join(t);
    *now = GPU_TEAM_WAITS;
    if (t->busy && told("stuck", t->rank, t->sum))
        *now = GPU_TEAM_BEHIND;
    else if (t->joined && gpu_fake_go(s))
        *now = GPU_TEAM_OVER;
    if (t->broken) return broken(t, e);
    if (*now == GPU_TEAM_OVER) t->busy = false;
    return gpu_stream_ok(s, e);
}
