/*
 * compute/strict - the cpu device, run late and with its memory locked.
 *
 * Calls wait in a queue until a download, an upload or a sync; outside of that the pages of every
 * buffer are PROT_NONE, so that host code which touches device memory ends in SIGSEGV. Fresh memory
 * is filled with NaN, so that reading before writing shows. Same bits as cpu.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A call with its own copy of the host arrays. */
struct pending {
    struct dev_call call;
    uint32_t *host; /* copies of cu and cu_k, or slot and pos */
};

struct block {
    unsigned char *mem;
    size_t bytes; /* whole pages */
};

struct strict {
    struct cpu *cpu;
    size_t page;
    struct pending *queue;
    size_t nqueue, cap_queue;
    struct block *blocks;
    size_t nblocks, cap_blocks;
    struct err late; /* a failure met where it could not be returned */
};

static size_t whole_pages(const struct strict *s, size_t bytes)
{
    return (bytes / s->page + 1) * s->page;
}

static void protect(const struct strict *s, int prot)
{
    for (size_t i = 0; i < s->nblocks; i++)
        CHECK(mprotect(s->blocks[i].mem, s->blocks[i].bytes, prot) == 0);
}

/* Unlock, run what waits, drop the rest after a failure. Memory stays unlocked. */
static bool run_queue(struct strict *s, struct err *e)
{
    bool ok = s->late.code == ERR_NONE;
    if (!ok) *e = s->late;
    err_clear(&s->late);
    protect(s, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < s->nqueue; i++) {
        ok = ok && cpu_run(s->cpu, &s->queue[i].call, e);
        mem_free(s->queue[i].host);
    }
    s->nqueue = 0;
    return ok;
}

static void strict_close(struct dev *d)
{
    struct strict *s = d->impl;
    if (!s) return;
    for (size_t i = 0; i < s->nqueue; i++)
        mem_free(s->queue[i].host);
    mem_free(s->queue);
    mem_free(s->blocks);
    cpu_close(s->cpu);
    mem_free(s);
}

static bool strict_open(struct dev *d, const char *arg, struct err *e)
{
    struct strict *s = mem_calloc(1, sizeof *s, e);
    if (!s) return false;
    d->impl = s;
    s->page = (size_t)sysconf(_SC_PAGESIZE);
    if (!cpu_open(arg, d->threads, &s->cpu, e)) {
        strict_close(d);
        return false;
    }
    d->prefers_bf16 = s->cpu->isa >= CPU_AVX512_BF16;
    cpu_describe(s->cpu, d->describe, sizeof d->describe);
    return true;
}

static void *strict_alloc(struct dev *d, size_t bytes, struct err *e)
{
    struct strict *s = d->impl;
    size_t whole = whole_pages(s, bytes);
    if (!mem_grow((void **)&s->blocks, &s->cap_blocks, s->nblocks + 1, sizeof *s->blocks, e))
        return NULL;
    unsigned char *mem = mem_aligned(s->page, whole, e);
    if (!mem) return NULL;
    memset(mem, 0xFF, whole);
    CHECK(mprotect(mem, whole, PROT_NONE) == 0);
    s->blocks[s->nblocks++] = (struct block){mem, whole};
    return mem;
}

/* Calls may still name this memory: run them first. */
static void strict_release(struct dev *d, void *mem, size_t bytes)
{
    struct strict *s = d->impl;
    struct err e = {0};
    (void)bytes;
    if (s->nqueue > 0 && !run_queue(s, &e)) s->late = e;
    for (size_t i = 0; i < s->nblocks; i++)
        if (s->blocks[i].mem == mem) {
            CHECK(mprotect(mem, s->blocks[i].bytes, PROT_READ | PROT_WRITE) == 0);
            s->blocks[i] = s->blocks[--s->nblocks];
            break;
        }
    mem_free(mem);
    protect(s, PROT_NONE);
}

static bool strict_upload(struct dev *d, void *p, const void *host, size_t bytes, struct err *e)
{
    struct strict *s = d->impl;
    bool ok = run_queue(s, e);
    if (ok) memcpy(p, host, bytes);
    protect(s, PROT_NONE);
    return ok;
}

static bool strict_download(struct dev *d, const void *p, void *host, size_t bytes, struct err *e)
{
    struct strict *s = d->impl;
    bool ok = run_queue(s, e);
    if (ok) memcpy(host, p, bytes);
    protect(s, PROT_NONE);
    return ok;
}

/* The caller's arrays end with its call. */
static bool copy_host(struct pending *p, struct err *e)
{
    struct dev_call *c = &p->call;
    bool packed = c->op == DEV_ATTN_FWD || c->op == DEV_ATTN_BWD;
    if (!packed && c->op != DEV_ATTN_CACHED && c->op != DEV_ATTN_KV) return true;
    size_t n = packed ? (size_t)c->attn.a.nseq + 1 : c->m[0].rows;
    p->host = mem_calloc(2 * n, sizeof *p->host, e);
    if (!p->host) return false;
    if (packed) {
        memcpy(p->host, c->attn.a.cu, n * sizeof *p->host);
        memcpy(p->host + n, c->attn.a.cu_k, n * sizeof *p->host);
        c->attn.a.cu = p->host;
        c->attn.a.cu_k = p->host + n;
        return true;
    }
    memcpy(p->host, c->attn.slot, n * sizeof *p->host);
    memcpy(p->host + n, c->attn.pos, n * sizeof *p->host);
    c->attn.slot = p->host;
    c->attn.pos = p->host + n;
    return true;
}

static bool strict_submit(struct dev *d, const struct dev_call *call, struct err *e)
{
    struct strict *s = d->impl;
    struct pending p = {.call = *call};
    if (!mem_grow((void **)&s->queue, &s->cap_queue, s->nqueue + 1, sizeof *s->queue, e))
        return false;
    if (!copy_host(&p, e)) return false;
    s->queue[s->nqueue++] = p;
    return true;
}

static bool strict_sync(struct dev *d, struct err *e)
{
    bool ok = run_queue(d->impl, e);
    protect(d->impl, PROT_NONE);
    return ok;
}

static bool strict_packs_kv(const struct dev *d, const struct dev_kv *v)
{
    const struct strict *s = d->impl;
    return cpu_packs_kv(s->cpu, v);
}

const struct dev_ops strict_dev_ops = {
    .open = strict_open,
    .close = strict_close,
    .alloc = strict_alloc,
    .release = strict_release,
    .upload = strict_upload,
    .download = strict_download,
    .submit = strict_submit,
    .sync = strict_sync,
    .packs_kv = strict_packs_kv,
};
