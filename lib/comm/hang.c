#include "comm/hang.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/hang_signs.h"

enum { HOST_BYTES = 64, NAMED_MAX = 3, NAPS = 50, SIGNS = 10, ANSWER_S = 10 };

/* Written by the main thread, read by the others. */
static atomic_uint_fast64_t entered; /* collectives */
static atomic_bool waiting;
/* Of the watching thread, for the writing one. */
static atomic_uint_fast64_t quiet_ms;

static struct {
    pthread_t watcher; /* counts; touches no file, which may be what hangs */
    pthread_t writer;  /* where there is a folder: leaves signs, reads those of the others */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, writes;
    bool over, asked, answered; /* under the lock */
    int rank, size;
    double limit_s;
    const char *stage;
    char *dir;                /* NULL: no folder */
    uint64_t run;             /* a number of this job */
    char (*host)[HOST_BYTES]; /* [size] */
    struct hang_sign *sign;   /* [size]; the writer's from asked to answered, else the watcher's */
    bool *suspect;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};
static void end_here(const struct err *e);
static void (*handler)(const struct err *e) = end_here;

void hang_handler(void (*ended)(const struct err *e))
{
    handler = ended;
}

void hang_wait_begin(void)
{
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed);
    atomic_store_explicit(&waiting, true, memory_order_relaxed);
}

void hang_wait_end(void)
{
    atomic_store_explicit(&waiting, false, memory_order_relaxed);
    pulse_beat();
}

/* Until cli gives its own. */
static void end_here(const struct err *e)
{
    log_error("hang", "rank=%d what=\"%s\"", e->rank, e->text);
    _exit(HANG_EXIT);
}

/* ---- sleeping, unless told that the watch is over */

static struct timespec after(double s)
{
    double at = clock_mono_s() + s;
    struct timespec t = {.tv_sec = (time_t)at};
    t.tv_nsec = (long)((at - (double)t.tv_sec) * 1e9);
    return t;
}

/* early: return when a look at the signs is asked for. */
static bool nap(double s, bool early)
{
    struct timespec until = after(s);

    pthread_mutex_lock(&watch.lock);
    while (!watch.over && !(early && watch.asked) &&
           pthread_cond_timedwait(&watch.wake, &watch.lock, &until) != ETIMEDOUT)
        ;
    bool over = watch.over;
    pthread_mutex_unlock(&watch.lock);
    return !over;
}

/* ---- signs (the writing thread) */

static struct hang_sign own_sign(void)
{
    struct pulse p = pulse_read();
    struct hang_sign s = {.known = true,
                          .waiting = atomic_load(&waiting),
                          .entered = atomic_load(&entered),
                          .quiet_s = (double)atomic_load(&quiet_ms) / 1000,
                          .n = p.n};
    snprintf(s.what, sizeof s.what, "%s", p.what ? p.what : "");
    return s;
}

static void put_place(const struct hang_sign *s, char *out, size_t size)
{
    if (s->known && s->what[0])
        snprintf(out, size, "after %s %llu", s->what, (unsigned long long)s->n);
    else
        snprintf(out, size, s->known ? "at its start" : "and left no sign");
}

static void *write_signs(void *unused)
{
    (void)unused;
    pulse_mute();
    while (nap(watch.limit_s / SIGNS, true)) {
        struct hang_sign s = own_sign();
        pthread_mutex_lock(&watch.lock);
        bool asked = watch.asked;
        pthread_mutex_unlock(&watch.lock);
        hang_signs_put(watch.dir, watch.rank, watch.run, &s);
        if (!asked) continue;
        hang_signs_get(watch.dir, watch.rank, watch.run, watch.sign, watch.size);
        pthread_mutex_lock(&watch.lock);
        watch.asked = false;
        watch.answered = true;
        pthread_cond_broadcast(&watch.wake);
        pthread_mutex_unlock(&watch.lock);
    }
    return NULL;
}

/* ---- who is it? (the watching thread) */

/* Into watch.sign. False: the folder does not answer either. */
static bool ask_signs(void)
{
    struct timespec until = after(ANSWER_S);

    pthread_mutex_lock(&watch.lock);
    watch.asked = true;
    watch.answered = false;
    pthread_cond_broadcast(&watch.wake);
    while (!watch.over && !watch.answered &&
           pthread_cond_timedwait(&watch.wake, &watch.lock, &until) != ETIMEDOUT)
        ;
    bool ok = watch.answered;
    pthread_mutex_unlock(&watch.lock);
    return ok && watch.sign[watch.rank].known;
}

/* "rank 2 on node3 stands still after bin 33 (...)" */
static void put_suspect(int r, const struct hang_sign *s, char *out, size_t size)
{
    bool stuck = s->known && s->age_s <= watch.limit_s / 2;
    char place[64];

    put_place(s, place, sizeof place);
    snprintf(out, size, "rank %d on %s stands still %s (%s)", r, watch.host[r], place,
             stuck ? "stuck in its own work: a driver or a file system that does not answer"
                   : "its process is stopped, or its node gone");
}

/* rank: the first of them when all are of one node, else -1. */
static void put_suspects(char *out, size_t size, int *rank)
{
    size_t at = 0, n = 0;

    for (int r = 0; r < watch.size; r++) {
        char one[256];
        if (!watch.suspect[r]) continue;
        put_suspect(r, &watch.sign[r], one, sizeof one);
        if (n == 0) *rank = r;
        if (*rank >= 0 && strcmp(watch.host[r], watch.host[*rank]) != 0) *rank = -1;
        if (++n > NAMED_MAX || at + strlen(one) + 3 > size) continue;
        at += (size_t)snprintf(out + at, size - at, "%s%s", n > 1 ? ", " : "", one);
    }
    if (n > 0) return;
    char place[64];
    put_place(&watch.sign[watch.rank], place, sizeof place);
    snprintf(out, size, "all ranks wait for one another, %s", place);
}

/* False: nobody hangs after all. */
static bool find(char *out, size_t size, int *rank)
{
    struct hang_sign mine = own_sign();
    char place[64];

    *rank = -1;
    if (!mine.waiting) { /* nobody else is needed to see that */
        put_suspect(watch.rank, &mine, out, size);
        *rank = watch.rank;
        return true;
    }
    if (watch.writes && ask_signs()) {
        if (!hang_signs_judge(watch.sign, watch.size, watch.limit_s, watch.suspect)) return false;
        put_suspects(out, size, rank);
        return true;
    }
    put_place(&mine, place, sizeof place);
    snprintf(out, size,
             "rank %d on %s waits %s for another one that hangs; which one is not known "
             "without a folder that all ranks can write to",
             watch.rank, watch.host[watch.rank], place);
    return true;
}

/* Returns when it was a false alarm. */
static void say(double quiet_s)
{
    struct err e = {0};
    char who[380];
    int rank;

    if (!find(who, sizeof who, &rank)) return;
    err_set(&e, ERR_LIB, "no sign of life for %.0f s in %s: %s; the job ends, what is saved stays",
            quiet_s, watch.stage, who);
    e.rank = rank;
    log_info("hang", "what=\"%s\"", e.text);
    handler(&e);
}

/* ---- the watch */

/* Counts its own naps, not the clock: a process that stood still as a whole did not nap. */
static void *look(void *unused)
{
    double nap_s = watch.limit_s / NAPS, quiet_s = 0, unasked_s = 0;
    double limit_s = watch.limit_s + 2 * (watch.rank < 20 ? watch.rank : 20);
    uint64_t seen = pulse_read().beats;

    (void)unused;
    pulse_mute();
    if (nap_s > 1) nap_s = 1;
    while (nap(nap_s, false)) {
        uint64_t now = pulse_read().beats;
        quiet_s = now == seen ? quiet_s + nap_s : 0;
        seen = now;
        atomic_store(&quiet_ms, (uint64_t)(quiet_s * 1000));
        unasked_s += nap_s;
        if (quiet_s < limit_s || unasked_s < watch.limit_s / SIGNS) continue;
        unasked_s = 0;
        say(quiet_s);
    }
    return NULL;
}

static void free_watch(void)
{
    mem_free(watch.dir);
    mem_free(watch.host);
    mem_free(watch.sign);
    mem_free(watch.suspect);
    watch.dir = NULL;
    watch.host = NULL;
    watch.sign = NULL;
    watch.suspect = NULL;
}

static bool set_up(struct comm *c, const struct hang_opts *o, struct err *e)
{
    size_t n = (size_t)comm_size(c);

    watch.rank = comm_rank(c);
    watch.size = comm_size(c);
    watch.limit_s = o->limit_s;
    watch.stage = o->stage;
    watch.host = mem_calloc(n, sizeof *watch.host, e);
    if (watch.host) watch.sign = mem_calloc(n, sizeof *watch.sign, e);
    if (watch.sign) watch.suspect = mem_calloc(n, sizeof *watch.suspect, e);
    if (!watch.suspect) return false;
    if (n == 1 || !o->dir) return true; /* alone, it needs no folder */
    watch.dir = mem_strdup(o->dir, e);
    return watch.dir != NULL;
}

static bool start_thread(pthread_t *t, void *(*fn)(void *), struct err *e)
{
    errno = pthread_create(t, NULL, fn, NULL);
    return errno == 0 || err_sys(e, "cannot start the thread that watches for hanging ranks");
}

static bool start(struct err *e)
{
    pthread_condattr_t a;

    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.wake, &a);
    pthread_condattr_destroy(&a);
    watch.over = watch.asked = watch.answered = false;
    watch.running = start_thread(&watch.watcher, look, e);
    if (!watch.running) {
        pthread_cond_destroy(&watch.wake);
        return false;
    }
    watch.writes = watch.dir && start_thread(&watch.writer, write_signs, e);
    return watch.writes || !watch.dir;
}

bool hang_watch(struct comm *c, const struct hang_opts *o, struct err *e)
{
    char host[HOST_BYTES] = "";

    if (o->limit_s <= 0) return true;
    CHECK(!watch.running);
    if (o->dir && comm_rank(c) == 0) hang_signs_clear(o->dir);
    bool ok = comm_agree(c, set_up(c, o, e), e);
    if (ok) {
        if (gethostname(host, sizeof host - 1) != 0) snprintf(host, sizeof host, "its node");
        comm_allgather(c, host, sizeof host, watch.host);
        watch.run = (uint64_t)clock_wall_s() << 22 ^ (uint64_t)getpid();
        comm_bcast(c, &watch.run, sizeof watch.run, 0);
        ok = comm_agree(c, start(e), e);
    }
    if (!ok) hang_release();
    return ok;
}

void hang_release(void)
{
    if (watch.running) {
        pthread_mutex_lock(&watch.lock);
        watch.over = true;
        pthread_cond_broadcast(&watch.wake);
        pthread_mutex_unlock(&watch.lock);
        pthread_join(watch.watcher, NULL);
        if (watch.writes) pthread_join(watch.writer, NULL);
        pthread_cond_destroy(&watch.wake);
        if (watch.writes) hang_signs_drop(watch.dir, watch.rank);
        if (watch.writes && watch.rank == 0) hang_signs_clear(watch.dir);
    }
    watch.running = watch.writes = false;
    free_watch();
}
