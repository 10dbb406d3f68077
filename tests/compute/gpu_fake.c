/*
 * The stand-in for CUDA behind compute/cuda/gpu.h: everything on the CPU, everything late.
 *
 * Work is queued and runs only when somebody waits: a stream no further than asked, other streams only as
 * far as an event that is waited for demands. A program that forgot an order gets old or unwritten (NaN)
 * values. RADMILL_FAKE_ORDER: what else may happen, since between two waits nobody knows which stream is ahead:
 *     late       (default) as above
 *     early      streams behind the first run as soon as something is queued, as far as their waits allow
 *     a number   after each queued job some stream runs some jobs, by chance of this seed, as far as its waits allow
 * RADMILL_FAKE_FORGET=n: the n-th stream, counted from 0, forgets to wait for events: for tests that want to see
 * that such an order is noticed. What CUDA would do silently wrong is a CHECK here: views outside of their block, short leading
 * dimensions, alignments that were promised and not kept, pinned memory that is none, blocks not given
 * back.
 *
 * Time: each product has a made-up cost, so that choosing by timing can be tested. The ways to compute a
 * product sum in different orders: a choice that is lost shows in the bits.
 *
 * RADMILL_FAKE_GPUS (default 1), RADMILL_FAKE_GPU_MIB (default 4096), RADMILL_FAKE_NAME: what the machine
 * pretends to have. RADMILL_FAKE_FAIL=n: the n-th job fails, late, as a device does; with
 * RADMILL_FAKE_FAIL_RANK=r on that rank alone. Teams: gpu_fake_team.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compute/gpu_fake.h"

#include "support/cuda_shim.h"

enum { ORDER_LATE, ORDER_EARLY, ORDER_SEEDED };
enum job_kind { JOB_RUN, JOB_COPY, JOB_GEMM, JOB_RECORD, JOB_WAIT, JOB_TRY };

struct block {
    char *p;
    size_t bytes;
    bool pinned;
};

struct gpu {
    struct gpu_info info;
    struct block *blocks;
    size_t nblocks, used;
    struct gpu_stream **streams;
    size_t nstreams;
    int events, opened;
    uint64_t order; /* ORDER_LATE, ORDER_EARLY, or the state of a random number */
    int forgets;
    size_t jobs, fail_at;
    bool failed; /* sticky, as CUDA's */
    char why[64];
};

struct gpu_event {
    struct gpu *g;
    struct gpu_stream *stream; /* of the last record */
    uint64_t recorded, done;   /* how many records were queued, have passed */
    double clock;
    bool timed;
};

struct job {
    enum job_kind kind;
    const char *name;
    void (*run)(void *), (*drop)(void *);
    bool (*try)(void *);
    void *context;
    void *to;
    const void *from;
    size_t bytes;
    struct gpu_event *event;
    uint64_t number;
    struct gpu_gemm p;
    uint64_t algo;
    const void *a, *b;
    void *c, *workspace;
    size_t workspace_bytes;
};

struct gpu_stream {
    struct gpu *g;
    struct job *jobs;
    size_t at, n, cap;
    double clock;
    int number; /* in the order of opening */
};

/* ---- the machine */
static size_t asked(const char *name, size_t otherwise)
{
    const char *s = getenv(name);
    return s ? (size_t)strtoull(s, NULL, 10) : otherwise;
}

int gpu_count(char *why, size_t size)
{
    int n = (int)asked("RADMILL_FAKE_GPUS", 1);
    if (n == 0) snprintf(why, size, "the stand-in was told to have none");
    return n;
}

bool gpu_open(int ordinal, struct gpu **out, struct err *e)
{
    char why[64] = "";
    int n = gpu_count(why, sizeof why);
    if (ordinal < 0 || ordinal >= n)
        return err_set(e, ERR_CONFIG, "GPU %d: this process sees %d", ordinal, n);
    struct gpu *g = calloc(1, sizeof *g);
    g->info = (struct gpu_info){.major = 9, .processors = 4};
    const char *name = getenv("RADMILL_FAKE_NAME");
    snprintf(g->info.name, sizeof g->info.name, "%s", name ? name : "stand-in");
    snprintf(g->info.uuid, sizeof g->info.uuid, "GPU-stand-in-%d", ordinal);
    g->info.bytes_total = asked("RADMILL_FAKE_GPU_MIB", 4096) << 20;
    g->fail_at = asked("RADMILL_FAKE_FAIL", 0);
    g->forgets = (int)asked("RADMILL_FAKE_FORGET", (size_t)-1);
    const char *order = getenv("RADMILL_FAKE_ORDER");
    if (order && strcmp(order, "early") == 0) g->order = ORDER_EARLY;
    if (order && *order >= '0' && *order <= '9')
        g->order = ORDER_SEEDED + strtoull(order, NULL, 10);
    if (getenv("RADMILL_FAKE_FAIL_RANK") &&
        asked("RADMILL_FAKE_FAIL_RANK", 0) != asked("OMPI_COMM_WORLD_RANK", 0))
        g->fail_at = 0;
    *out = g;
    return true;
}

void gpu_close(struct gpu *g)
{
    if (!g) return;
    CHECK(g->nblocks == 0 && g->nstreams == 0 && g->events == 0);
    free(g->blocks);
    free(g->streams);
    free(g);
}

const struct gpu_info *gpu_get_info(const struct gpu *g)
{
    return &g->info;
}

size_t gpu_bytes_free(const struct gpu *g)
{
    return g->info.bytes_total - g->used;
}

/* ---- memory */
static bool take(struct gpu *g, size_t bytes, bool pinned, void **out, struct err *e)
{
    void *p;
    if (!pinned && g->used + bytes > g->info.bytes_total)
        return err_set(e, ERR_NOMEM, "out of memory on the GPU: %zu bytes", bytes);
    /* Of the exact size: the address sanitizer then sees the first byte behind it. */
    CHECK(posix_memalign(&p, 256, bytes ? bytes : 1) == 0);
    memset(p, 0xFF, bytes);
    g->blocks = realloc(g->blocks, (g->nblocks + 1) * sizeof *g->blocks);
    g->blocks[g->nblocks++] = (struct block){p, bytes, pinned};
    if (!pinned) g->used += bytes;
    *out = p;
    return true;
}

/* The block that holds [p, p + bytes). */
static struct block *block_of(const struct gpu *g, const void *p, size_t bytes, bool pinned)
{
    const char *c = p;
    for (size_t i = 0; i < g->nblocks; i++) {
        struct block *b = &g->blocks[i];
        if (b->pinned == pinned && c >= b->p && c + bytes <= b->p + b->bytes) return b;
    }
    return NULL;
}

static void run_all(struct gpu *g);

static void give(struct gpu *g, void *p, bool pinned)
{
    if (!p) return;
    run_all(g);
    struct block *b = block_of(g, p, 0, pinned);
    CHECK(b && b->p == p);
    if (!pinned) g->used -= b->bytes;
    free(p);
    *b = g->blocks[--g->nblocks];
}

bool gpu_malloc(struct gpu *g, size_t bytes, void **out, struct err *e)
{
    return take(g, bytes, false, out, e);
}
void gpu_free(struct gpu *g, void *p)
{
    give(g, p, false);
}
bool gpu_pinned_open(struct gpu *g, size_t bytes, void **out, struct err *e)
{
    return take(g, bytes, true, out, e);
}
void gpu_pinned_close(struct gpu *g, void *p)
{
    give(g, p, true);
}

/* ---- products: op(A) and op(B) as f32, then row by row */
static float element(const void *p, enum gpu_type t, size_t i)
{
    if (t == GPU_F32) return ((const float *)p)[i];
    uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static void put(void *p, enum gpu_type t, size_t i, float x)
{
    uint32_t u;
    if (t == GPU_F32) {
        ((float *)p)[i] = x;
        return;
    }
    memcpy(&u, &x, 4);
    if (x != x) u = 0x7FFF0000u;
    ((uint16_t *)p)[i] = (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

static float *plain(const void *p, enum gpu_type t, bool trans, size_t rows, size_t cols, size_t ld)
{
    float *x = malloc((rows * cols + 1) * sizeof *x);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            x[r * cols + c] = element(p, t, trans ? c * ld + r : r * ld + c);
    return x;
}

/* Sums of `chunk` products each, added up: the ways differ in it, and so in the last bits. */
static const size_t chunk_of[] = {SIZE_MAX, 48, 20};
enum { WAYS = sizeof chunk_of / sizeof chunk_of[0], WORKSPACE = 1024 };
static const double cost_of[WAYS] = {3, 2, 1};

static void multiply(const struct job *j)
{
    const struct gpu_gemm *p = &j->p;
    size_t m = p->m, n = p->n, k = p->k, chunk = chunk_of[j->algo];
    float *a = plain(j->a, p->ab, p->trans_a, m, k, p->lda);
    float *b = plain(j->b, p->ab, p->trans_b, k, n, p->ldb);
    float *row = malloc((2 * n + 1) * sizeof *row), *part = row + n;

    if (j->algo > 0) memset(j->workspace, 0xFF, WORKSPACE); /* nobody else's meanwhile */
    for (size_t i = 0; i < m; i++) {
        memset(row, 0, n * sizeof *row);
        for (size_t k0 = 0; k0 < k; k0 = chunk < k - k0 ? k0 + chunk : k) {
            size_t end = chunk < k - k0 ? k0 + chunk : k;
            memset(part, 0, n * sizeof *part);
            for (size_t l = k0; l < end; l++)
                for (size_t c = 0; c < n; c++)
                    part[c] += a[i * k + l] * b[l * n + c];
            for (size_t c = 0; c < n; c++)
                row[c] += part[c];
        }
        for (size_t c = 0; c < n; c++) {
            size_t at = i * p->ldc + c;
            float old = p->beta == 0 ? 0 : p->beta * element(j->c, p->c, at);
            put(j->c, p->c, at, p->alpha * row[c] + old);
        }
    }
    free(row);
    free(b);
    free(a);
}

static size_t size_of(enum gpu_type t)
{
    return t == GPU_F32 ? 4 : 2;
}

/* rows x cols at p inside one block, rows aligned as promised. */
static void check_operand(const struct gpu *g, const void *p, enum gpu_type t, size_t rows,
                          size_t cols, size_t ld, size_t align)
{
    CHECK(ld >= cols && align >= size_of(t) && align <= 16 && (align & (align - 1)) == 0);
    CHECK((uintptr_t)p % align == 0 && ld * size_of(t) % align == 0);
    CHECK(block_of(g, p, ((rows - 1) * ld + cols) * size_of(t), false));
}

static void check_product(const struct gpu *g, const struct job *j)
{
    const struct gpu_gemm *p = &j->p;
    CHECK(p->m > 0 && p->n > 0 && p->k > 0 && (p->c == p->ab || p->c == GPU_F32));
    check_operand(g, j->a, p->ab, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k, p->lda,
                  p->align_a);
    check_operand(g, j->b, p->ab, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n, p->ldb,
                  p->align_b);
    check_operand(g, j->c, p->c, p->m, p->n, p->ldc, p->align_c);
    CHECK(j->algo < WAYS && j->algo < (p->align_b == 16 ? WAYS : WAYS - 1));
    CHECK(j->workspace_bytes >= WORKSPACE && (uintptr_t)j->workspace % 256 == 0);
    CHECK(block_of(g, j->workspace, j->workspace_bytes, false));
}

enum { MAGIC = 0x67616c67 };

bool gpu_gemm_fits(struct gpu *g, const struct gpu_gemm *p, const struct gpu_algo *algo,
                   size_t workspace)
{
    (void)g;
    if (algo->data[0] != MAGIC || algo->data[1] >= WAYS || workspace < WORKSPACE) return false;
    return algo->data[1] + 1 < WAYS || p->align_b == 16;
}

bool gpu_gemm_algos(struct gpu *g, const struct gpu_gemm *p, size_t workspace, struct gpu_algo *out,
                    size_t cap, size_t *n, struct err *e)
{
    (void)e;
    *n = 0;
    for (uint64_t i = 0; i < WAYS && *n < cap; i++) {
        struct gpu_algo a = {{MAGIC, i}};
        if (gpu_gemm_fits(g, p, &a, workspace)) out[(*n)++] = a;
    }
    CHECK(*n > 0);
    return true;
}

/* ---- queues */
static void run_until(struct gpu_stream *s, const struct gpu_event *v, uint64_t number);
static void push(struct gpu_stream *s, const struct job *j);

/* Long odd sums are slow, so that joining two products does not always pay. */
static double cost_of_job(const struct job *j)
{
    bool odd = j->p.k > 16 && j->p.k % 2 == 1 && !j->p.trans_a;
    return odd ? 8 * cost_of[j->algo] : cost_of[j->algo];
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void run_job(struct gpu_stream *s, struct job *j)
{
    struct gpu *g = s->g;
    if (++g->jobs == g->fail_at) {
        g->failed = true;
        snprintf(g->why, sizeof g->why, "%s: the stand-in was told to fail", j->name);
    }
    if (j->kind == JOB_RUN && !g->failed) j->run(j->context);
    if (j->kind == JOB_RUN) j->drop(j->context);
    if (j->kind == JOB_COPY && !g->failed) memcpy(j->to, j->from, j->bytes);
    if (j->kind == JOB_GEMM && !g->failed) multiply(j);
    if (j->kind == JOB_GEMM) s->clock += cost_of_job(j);
    while (j->kind == JOB_TRY && !j->try(j->context))
        nap(); /* the host waits for other processes, as long as it takes */
    if (j->kind == JOB_WAIT) run_until(j->event->stream, j->event, j->number);
    if (j->kind == JOB_RECORD) {
        j->event->done = j->number;
        j->event->clock = s->clock;
    }
}

/* Run s; with an event no further than that record of it. */
static void run_until(struct gpu_stream *s, const struct gpu_event *v, uint64_t number)
{
    if (v && v->done >= number) return; /* its stream may be gone */
    while (s && s->at < s->n && !(v && v->done >= number)) {
        struct job j = s->jobs[s->at++];
        run_job(s, &j);
    }
    if (s && s->at == s->n) s->at = s->n = 0;
    CHECK(!v || v->done >= number);
}

void gpu_fake_push_try(struct gpu_stream *s, const char *name, bool (*try)(void *), void *context)
{
    push(s, &(struct job){.kind = JOB_TRY, .name = name, .try = try, .context = context});
}

/* No other stream has jobs of the kind JOB_TRY, so waiting for its events ends. */
bool gpu_fake_go(struct gpu_stream *s)
{
    while (s->at < s->n) {
        struct job j = s->jobs[s->at];
        if (j.kind == JOB_TRY && !j.try(j.context)) return false;
        s->at++;
        if (j.kind != JOB_TRY) run_job(s, &j);
    }
    s->at = s->n = 0;
    return true;
}

bool gpu_fake_holds(const struct gpu *g, const void *p, size_t bytes)
{
    return block_of(g, p, bytes, false) != NULL;
}

struct gpu *gpu_fake_of(struct gpu_stream *s)
{
    return s->g;
}

static void run_all(struct gpu *g)
{
    for (size_t i = 0; i < g->nstreams; i++)
        run_until(g->streams[i], NULL, 0);
}

/* Up to `most` jobs, as long as the next one waits for nothing. */
static void advance(struct gpu_stream *s, size_t most)
{
    for (; most > 0 && s->at < s->n; most--) {
        struct job j = s->jobs[s->at];
        if (j.kind == JOB_TRY || (j.kind == JOB_WAIT && j.event->done < j.number)) return;
        s->at++;
        run_job(s, &j);
    }
}

static uint64_t chance(struct gpu *g, uint64_t below)
{
    g->order = g->order * 6364136223846793005u + 1442695040888963407u;
    if (g->order < ORDER_SEEDED) g->order += ORDER_SEEDED;
    return (g->order >> 33) % below;
}

static void push(struct gpu_stream *s, const struct job *j)
{
    struct gpu *g = s->g;

    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->jobs = realloc(s->jobs, s->cap * sizeof *s->jobs);
    }
    s->jobs[s->n++] = *j;
    for (size_t i = 0; g->order == ORDER_EARLY && i < g->nstreams; i++)
        if (g->streams[i]->number > 0) advance(g->streams[i], SIZE_MAX);
    if (g->order >= ORDER_SEEDED) advance(g->streams[chance(g, g->nstreams)], chance(g, 12));
}

static bool state(const struct gpu *g, struct err *e)
{
    return !g->failed || err_set(e, ERR_LIB, "%s", g->why);
}

bool gpu_stream_open(struct gpu *g, struct gpu_stream **out, struct err *e)
{
    (void)e;
    struct gpu_stream *s = calloc(1, sizeof *s);
    shim_set_queue(gpu_fake_push);
    s->g = g;
    s->number = g->opened++;
    g->streams = realloc(g->streams, (g->nstreams + 1) * sizeof *g->streams);
    g->streams[g->nstreams++] = s;
    *out = s;
    return true;
}

void gpu_stream_close(struct gpu_stream *s)
{
    if (!s) return;
    run_until(s, NULL, 0);
    struct gpu *g = s->g;
    for (size_t i = 0; i < g->nstreams; i++)
        if (g->streams[i] == s) g->streams[i] = g->streams[--g->nstreams];
    free(s->jobs);
    free(s);
}

bool gpu_stream_sync(struct gpu_stream *s, struct err *e)
{
    run_until(s, NULL, 0);
    return state(s->g, e);
}

bool gpu_stream_idle(struct gpu_stream *s)
{
    return s->at == s->n;
}

bool gpu_stream_ok(struct gpu_stream *s, struct err *e)
{
    return state(s->g, e);
}

bool gpu_event_open(struct gpu *g, bool timed, struct gpu_event **out, struct err *e)
{
    (void)e;
    *out = calloc(1, sizeof **out);
    (*out)->g = g;
    (*out)->timed = timed;
    g->events++;
    return true;
}

void gpu_event_close(struct gpu_event *v)
{
    if (!v) return;
    if (v->stream) run_until(v->stream, v, v->recorded);
    v->g->events--;
    free(v);
}

bool gpu_event_record(struct gpu_event *v, struct gpu_stream *s, struct err *e)
{
    if (v->stream && v->stream != s) run_until(v->stream, v, v->recorded);
    v->stream = s;
    push(s,
         &(struct job){.kind = JOB_RECORD, .name = "event", .event = v, .number = ++v->recorded});
    return state(s->g, e);
}

bool gpu_stream_wait(struct gpu_stream *s, struct gpu_event *v, struct err *e)
{
    if (v->recorded > 0 && v->stream != s && s->number != s->g->forgets)
        push(s, &(struct job){.kind = JOB_WAIT, .name = "wait", .event = v, .number = v->recorded});
    return state(s->g, e);
}

bool gpu_event_sync(struct gpu_event *v, struct err *e)
{
    if (v->stream) run_until(v->stream, v, v->recorded);
    return state(v->g, e);
}

bool gpu_event_ms(struct gpu_event *from, struct gpu_event *to, float *ms, struct err *e)
{
    CHECK(from->timed && to->timed && from->done == from->recorded && to->done == to->recorded);
    *ms = (float)(to->clock - from->clock);
    return state(to->g, e);
}

/* ---- what is queued */
static bool copy(struct gpu_stream *s, void *to, const void *from, size_t bytes, bool up,
                 struct err *e)
{
    CHECK(block_of(s->g, to, bytes, !up) && block_of(s->g, from, bytes, up));
    push(s, &(struct job){.kind = JOB_COPY,
                          .name = up ? "copy to the GPU" : "copy from the GPU",
                          .to = to,
                          .from = from,
                          .bytes = bytes});
    return state(s->g, e);
}

bool gpu_copy_up(struct gpu_stream *s, void *device, const void *pinned, size_t bytes,
                 struct err *e)
{
    return copy(s, device, pinned, bytes, true, e);
}
bool gpu_copy_down(struct gpu_stream *s, void *pinned, const void *device, size_t bytes,
                   struct err *e)
{
    return copy(s, pinned, device, bytes, false, e);
}

bool gpu_gemm_run(struct gpu_stream *s, const struct gpu_gemm *p, const struct gpu_algo *algo,
                  const void *a, const void *b, void *c, void *workspace, size_t workspace_bytes,
                  struct err *e)
{
    struct job j = {.kind = JOB_GEMM,
                    .name = "product",
                    .p = *p,
                    .algo = algo->data[1],
                    .a = a,
                    .b = b,
                    .c = c,
                    .workspace = workspace,
                    .workspace_bytes = workspace_bytes};
    CHECK(algo->data[0] == MAGIC);
    check_product(s->g, &j);
    push(s, &j);
    return state(s->g, e);
}

/* ---- kernels: the shim hands each launch over */
void gpu_fake_push(struct gpu_stream *s, const char *kernel, void (*run)(void *),
                   void (*drop)(void *), void *context)
{
    push(s, &(struct job){
                .kind = JOB_RUN, .name = kernel, .run = run, .drop = drop, .context = context});
}

void *gpu_stream_native(struct gpu_stream *s)
{
    (void)s;
    CHECK(!"the stand-in has no CUDA stream");
    return NULL;
}

void gpu_launched(struct gpu_stream *s, const char *kernel)
{
    (void)s;
    (void)kernel;
}

void gpu_stream_fail(struct gpu_stream *s, const char *kernel, const char *why)
{
    if (!s->g->failed) snprintf(s->g->why, sizeof s->g->why, "%s: %s", kernel, why);
    s->g->failed = true;
}
