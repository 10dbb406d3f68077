#include "comm/hang.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Written by the main thread, read by the watching one. */
static atomic_ullong beats; /* signs of life so far */
static _Atomic(const char *) last_what;
static atomic_ullong last_n;
static atomic_bool waiting;

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, over; /* over: under the lock */
    double limit_s;
    int rank;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};
static void end_here(const struct err *e);
static void (*handler)(const struct err *e) = end_here;

void hang_handler(void (*ended)(const struct err *e))
{
    handler = ended;
}

void hang_alive(const char *what, unsigned long long n)
{
    atomic_store_explicit(&last_what, what, memory_order_relaxed);
    atomic_store_explicit(&last_n, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

void hang_wait_begin(void)
{
    atomic_store_explicit(&waiting, true, memory_order_relaxed);
}

void hang_wait_end(void)
{
    atomic_store_explicit(&waiting, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

/* Until cli gives its own. */
static void end_here(const struct err *e)
{
    log_error("hang", "rank=%d what=\"%s\"", e->rank, e->text);
    _exit(HANG_EXIT);
}

static void say(double quiet_s)
{
    const char *what = atomic_load(&last_what);
    struct err e = {0};

    err_set(&e, ERR_LIB,
            "no sign of life for %.0f s at %s %llu: %s; the job ends, what is saved stays", quiet_s,
            what ? what : "start", atomic_load(&last_n),
            atomic_load(&waiting) ? "this rank waits for another one that hangs"
                                  : "this rank's own work does not go on");
    e.rank = watch.rank;
    log_info("hang", "what=\"%s\"", e.text);
    handler(&e);
}

/* Sleep, unless told that the watch is over. */
static bool nap(double s)
{
    struct timespec until;
    bool over;

    double at = clock_mono_s() + s;
    until.tv_sec = (time_t)at;
    until.tv_nsec = (long)((at - (double)until.tv_sec) * 1e9);
    pthread_mutex_lock(&watch.lock);
    while (!watch.over && pthread_cond_timedwait(&watch.wake, &watch.lock, &until) != ETIMEDOUT)
        ;
    over = watch.over;
    pthread_mutex_unlock(&watch.lock);
    return !over;
}

/* Counts its own naps, not the clock: a process that stood still as a whole did not nap. */
static void *look(void *unused)
{
    double nap_s = watch.limit_s / 50, quiet_s = 0;
    double limit_s = watch.limit_s + 0.5 * (watch.rank < 20 ? watch.rank : 20);
    unsigned long long seen = atomic_load(&beats);

    (void)unused;
    if (nap_s > 1) nap_s = 1;
    while (nap(nap_s)) {
        unsigned long long now = atomic_load(&beats);
        quiet_s = now == seen ? quiet_s + nap_s : 0;
        seen = now;
        if (quiet_s >= limit_s) say(quiet_s);
    }
    return NULL;
}

bool hang_watch(double limit_s, int rank, struct err *e)
{
    pthread_condattr_t a;

    if (limit_s <= 0) return true;
    CHECK(!watch.running);
    watch.over = false;
    watch.limit_s = limit_s;
    watch.rank = rank;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.wake, &a);
    pthread_condattr_destroy(&a);
    errno = pthread_create(&watch.thread, NULL, look, NULL);
    if (errno != 0) return err_sys(e, "cannot start the thread that watches for hanging ranks");
    watch.running = true;
    return true;
}

void hang_release(void)
{
    if (!watch.running) return;
    pthread_mutex_lock(&watch.lock);
    watch.over = true;
    pthread_cond_signal(&watch.wake);
    pthread_mutex_unlock(&watch.lock);
    pthread_join(watch.thread, NULL);
    pthread_cond_destroy(&watch.wake);
    watch.running = false;
}
