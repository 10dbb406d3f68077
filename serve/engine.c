#include "serve/engine.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* One sequence. Lives in the engine's list from submit until its end; box NULL: nobody waits. */
struct job {
    struct job *next;
    struct engine_box *box;
    uint32_t index;
    struct engine_ask ask;
    uint32_t *ids;
    uint64_t handle;
    bool taken, ended;
};
struct call {
    struct call *next;
    engine_call_fn fn;
    void *ctx;
    struct err *e;
    bool ok, done, dropped; /* dropped: the engine failed before its turn */
};
struct engine {
    struct engine_core core;
    pthread_t thread;
    pthread_mutex_t lock; /* over all below, and all boxes */
    pthread_cond_t wake;  /* the engine's thread */
    pthread_cond_t called;
    struct job *jobs, **last;
    struct call *calls;
    struct engine_load load;
    bool closing, failed;
    struct err why;
};
struct engine_box {
    struct engine *g;
    pthread_cond_t filled;
    struct engine_event *events; /* a queue: [first, n) */
    size_t first, n, cap;
    bool overflow; /* no memory for an event: the box's sequences have failed */
};

/* ---- the engine's thread; the lock is held unless said otherwise */

static void post(struct engine_box *b, const struct engine_event *v)
{
    struct err e = {0};
    void *items = b->events;

    if (b->first == b->n) b->first = b->n = 0;
    if (!mem_grow(&items, &b->cap, b->n + 1, sizeof *b->events, &e)) {
        b->overflow = true;
    } else {
        b->events = items;
        b->events[b->n++] = *v;
    }
    pthread_cond_signal(&b->filled);
}

static void end_job(struct job *j, enum engine_end end)
{
    struct engine_event v = {.index = j->index, .end = end};

    j->ended = true;
    if (j->box) post(j->box, &v);
    j->box = NULL;
}

/* From inside core.step, without the lock. */
static void on_event(void *to, void *tag, enum engine_end end, const struct engine_token *token)
{
    struct engine *g = to;
    struct job *j = tag;

    pthread_mutex_lock(&g->lock);
    if (end != ENGINE_RUNNING) {
        end_job(j, end);
    } else {
        struct engine_event v = {.index = j->index, .token = *token};
        g->load.tokens++;
        if (j->box) post(j->box, &v);
    }
    pthread_mutex_unlock(&g->lock);
}

/* Hand new sequences to the core, take forgotten ones from it, drop what has ended. */
static void settle(struct engine *g)
{
    struct err e = {0};

    g->load.waiting = g->load.running = 0;
    for (struct job **at = &g->jobs; *at;) {
        struct job *j = *at;
        if (!j->box && j->taken && !j->ended) {
            g->core.cancel(g->core.ctx, j->handle);
            j->ended = true;
        }
        if (j->box && !j->taken) {
            j->taken = g->core.submit(g->core.ctx, &j->ask, j, &j->handle, &e);
            if (!j->taken) {
                log_warn("sequence_refused", "code=%s error=%s", err_code_name(e.code), e.text);
                err_clear(&e);
                end_job(j, ENGINE_FAILED);
            }
        }
        if (j->ended || !j->box) {
            *at = j->next;
            mem_free(j->ids);
            mem_free(j);
            continue;
        }
        g->load.running++;
        at = &j->next;
    }
    g->last = &g->jobs;
    while (*g->last)
        g->last = &(*g->last)->next;
}

static void fail_all(struct engine *g, const struct err *why)
{
    g->failed = true;
    g->why = *why;
    for (struct job *j = g->jobs; j; j = j->next)
        if (!j->ended) end_job(j, ENGINE_FAILED);
    for (struct call *c = g->calls; c; c = c->next)
        c->done = c->dropped = true;
    g->calls = NULL;
    pthread_cond_broadcast(&g->called);
    settle(g);
}

static void run_calls(struct engine *g)
{
    while (g->calls) {
        struct call *c = g->calls;
        g->calls = c->next;
        pthread_mutex_unlock(&g->lock);
        bool ok = c->fn(c->ctx, c->e);
        pthread_mutex_lock(&g->lock);
        c->ok = ok;
        c->done = true;
        pthread_cond_broadcast(&g->called);
    }
}

static void *run(void *arg)
{
    struct engine *g = arg;
    struct err e = {0};

    pthread_mutex_lock(&g->lock);
    while (!g->closing) {
        settle(g);
        if (!g->failed) run_calls(g);
        if (!g->jobs) {
            if (!g->calls && !g->closing) pthread_cond_wait(&g->wake, &g->lock);
            continue;
        }
        pthread_mutex_unlock(&g->lock);
        bool ok = g->core.step(g->core.ctx, on_event, g, &e);
        pthread_mutex_lock(&g->lock);
        g->load.steps++;
        if (!ok) {
            log_error("engine_failed", "code=%s error=%s", err_code_name(e.code), e.text);
            fail_all(g, &e);
        }
    }
    settle(g);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* ---- life */

bool engine_open(const struct engine_core *core, struct engine **out, struct err *e)
{
    struct engine *g = mem_calloc(1, sizeof *g, e);

    *out = NULL;
    if (!g) return false;
    g->core = *core;
    g->last = &g->jobs;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->wake, NULL);
    pthread_cond_init(&g->called, NULL);
    if (pthread_create(&g->thread, NULL, run, g) != 0) {
        pthread_cond_destroy(&g->called);
        pthread_cond_destroy(&g->wake);
        pthread_mutex_destroy(&g->lock);
        mem_free(g);
        return err_set(e, ERR_LIB, "cannot start the engine's thread");
    }
    *out = g;
    return true;
}

void engine_close(struct engine *g)
{
    if (!g) return;
    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    CHECK(!g->jobs);
    pthread_cond_destroy(&g->called);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

bool engine_alive(struct engine *g, struct err *why)
{
    pthread_mutex_lock(&g->lock);
    bool alive = !g->failed;
    if (!alive && why) *why = g->why;
    pthread_mutex_unlock(&g->lock);
    return alive;
}

struct engine_load engine_load(struct engine *g)
{
    pthread_mutex_lock(&g->lock);
    struct engine_load l = g->load;
    pthread_mutex_unlock(&g->lock);
    return l;
}

/* ---- boxes */

bool engine_box_open(struct engine *g, struct engine_box **out, struct err *e)
{
    struct engine_box *b = mem_calloc(1, sizeof *b, e);
    pthread_condattr_t attr;

    *out = NULL;
    if (!b) return false;
    b->g = g;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->filled, &attr);
    pthread_condattr_destroy(&attr);
    *out = b;
    return true;
}

void engine_box_close(struct engine_box *b)
{
    if (!b) return;
    struct engine *g = b->g;
    pthread_mutex_lock(&g->lock);
    for (struct job *j = g->jobs; j; j = j->next)
        if (j->box == b) j->box = NULL;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_cond_destroy(&b->filled);
    mem_free(b->events);
    mem_free(b);
}

bool engine_submit(struct engine_box *b, uint32_t index, const struct engine_ask *ask,
                   struct err *e)
{
    struct engine *g = b->g;
    struct job *j = mem_calloc(1, sizeof *j, e);

    if (!j) return false;
    j->ids = mem_alloc((ask->n + 1) * sizeof *j->ids, e);
    if (!j->ids) {
        mem_free(j);
        return false;
    }
    if (ask->n) memcpy(j->ids, ask->ids, ask->n * sizeof *j->ids);
    j->ask = *ask;
    j->ask.ids = j->ids;
    j->box = b;
    j->index = index;
    pthread_mutex_lock(&g->lock);
    bool ok = !g->failed;
    if (ok) {
        *g->last = j;
        g->last = &j->next;
        g->load.waiting++;
        pthread_cond_signal(&g->wake);
    }
    pthread_mutex_unlock(&g->lock);
    if (ok) return true;
    mem_free(j->ids);
    mem_free(j);
    return err_set(e, ERR_LIB, "the engine has failed");
}

void engine_cancel(struct engine_box *b, uint32_t index)
{
    struct engine *g = b->g;

    pthread_mutex_lock(&g->lock);
    size_t kept = b->first;
    for (struct job *j = g->jobs; j; j = j->next)
        if (j->box == b && j->index == index) j->box = NULL;
    for (size_t i = b->first; i < b->n; i++)
        if (b->events[i].index != index) b->events[kept++] = b->events[i];
    b->n = kept;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
}

bool engine_wait(struct engine_box *b, uint32_t wait_ms, struct engine_event *out)
{
    struct engine *g = b->g;
    double until = clock_mono_s() + wait_ms / 1000.0;
    struct timespec ts = {.tv_sec = (time_t)until};
    bool got;

    ts.tv_nsec = (long)((until - (double)ts.tv_sec) * 1e9);
    pthread_mutex_lock(&g->lock);
    while (b->first == b->n && !b->overflow)
        if (pthread_cond_timedwait(&b->filled, &g->lock, &ts) != 0) break;
    got = b->first < b->n;
    if (got)
        *out = b->events[b->first++];
    else if (b->overflow)
        *out = (struct engine_event){.end = ENGINE_FAILED};
    got = got || b->overflow;
    pthread_mutex_unlock(&g->lock);
    return got;
}

bool engine_call(struct engine *g, engine_call_fn fn, void *ctx, struct err *e)
{
    struct call c = {.fn = fn, .ctx = ctx, .e = e}, **at;

    pthread_mutex_lock(&g->lock);
    bool dead = g->failed;
    if (!dead) {
        for (at = &g->calls; *at; at = &(*at)->next)
            ;
        *at = &c;
        pthread_cond_signal(&g->wake);
        while (!c.done)
            pthread_cond_wait(&g->called, &g->lock);
        dead = c.dropped;
    }
    pthread_mutex_unlock(&g->lock);
    return dead ? err_set(e, ERR_LIB, "the engine has failed") : c.ok;
}
