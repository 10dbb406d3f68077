#include "base/threads.h"

#include <pthread.h>
#include <sched.h>

#include "base/pulse.h"

uint32_t threads_default(uint32_t sharers)
{
    cpu_set_t set;
    uint32_t n = 1;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = (uint32_t)CPU_COUNT(&set);
    if (sharers > 1) n /= sharers;
    if (n < 1) n = 1;
    return n < THREADS_MAX ? n : THREADS_MAX;
}

struct crew {
    pthread_mutex_t lock; /* of all below */
    uint64_t next, njobs;
    uint64_t failed; /* the lowest job that failed; njobs: none */
    struct err err;  /* of that job */
    threads_job fn;
    void *ctx;
};
struct member {
    struct crew *crew;
    uint32_t worker;
    pthread_t thread;
};

/* The next job, or njobs when there is none or one failed. Jobs below a failing one were all taken
 * before it, so the lowest failing one is always among those that ran. */
static uint64_t take(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t job = c->failed < c->njobs || c->next == c->njobs ? c->njobs : c->next++;
    pthread_mutex_unlock(&c->lock);
    return job;
}

static void note(struct crew *c, uint64_t job, const struct err *e)
{
    pthread_mutex_lock(&c->lock);
    if (job < c->failed) {
        c->failed = job;
        c->err = *e;
    }
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *arg)
{
    const struct member *m = arg;
    struct crew *c = m->crew;
    for (uint64_t job = take(c); job < c->njobs; job = take(c)) {
        struct err e = {0};
        pulse_beat();
        if (!c->fn(c->ctx, m->worker, job, &e)) note(c, job, &e);
    }
    return NULL;
}

bool threads_run(uint32_t nthreads, uint64_t njobs, threads_job fn, void *ctx, struct err *e)
{
    struct member m[THREADS_MAX];
    struct crew c = {.njobs = njobs, .failed = njobs, .fn = fn, .ctx = ctx};
    uint32_t started = 0;

    if (nthreads > THREADS_MAX) nthreads = THREADS_MAX;
    if (nthreads > njobs) nthreads = (uint32_t)njobs;
    pthread_mutex_init(&c.lock, NULL);
    for (uint32_t i = 1; i < nthreads; i++) {
        m[started + 1] = (struct member){.crew = &c, .worker = started + 1};
        if (pthread_create(&m[started + 1].thread, NULL, work, &m[started + 1]) != 0) break;
        started++;
    }
    m[0] = (struct member){.crew = &c};
    work(&m[0]);
    for (uint32_t i = 1; i <= started; i++)
        pthread_join(m[i].thread, NULL);
    pthread_mutex_destroy(&c.lock);
    if (c.failed == njobs) return true;
    *e = c.err;
    return false;
}
