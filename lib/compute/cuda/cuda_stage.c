/* Pinned memory between host and GPU. */
#include <string.h>

#include "base/mem.h"
#include "compute/cuda/cuda.h"

bool cuda_stage_open(struct cuda *c, struct err *e)
{
    struct cuda_stage *t = &c->stage;
    bool ok = true;

    for (int i = 0; i < CUDA_SLOTS && ok; i++)
        ok = gpu_pinned_open(c->gpu, CUDA_SLOT_BYTES, (void **)&t->up[i], e) &&
             gpu_event_open(c->gpu, false, &t->up_done[i], e);
    for (int i = 0; i < 2 && ok; i++)
        ok = gpu_pinned_open(c->gpu, CUDA_SLOT_BYTES, (void **)&t->down[i], e) &&
             gpu_event_open(c->gpu, false, &t->down_done[i], e);
    return ok;
}

void cuda_stage_close(struct cuda *c)
{
    struct cuda_stage *t = &c->stage;

    for (int i = 0; i < CUDA_ARRAYS; i++) {
        gpu_free(c->gpu, c->arrays[i].device);
        mem_free(c->arrays[i].host);
    }
    for (int i = 0; i < CUDA_SLOTS; i++) {
        gpu_event_close(t->up_done[i]);
        gpu_pinned_close(c->gpu, t->up[i]);
    }
    for (int i = 0; i < 2; i++) {
        gpu_event_close(t->down_done[i]);
        gpu_pinned_close(c->gpu, t->down[i]);
    }
}

/* The next slot of the ring, once the copies from it a round ago are over. */
static bool next_slot(struct cuda *c, struct err *e)
{
    struct cuda_stage *t = &c->stage;
    if (!gpu_event_record(t->up_done[t->slot], c->s, e)) return false;
    t->slot = (t->slot + 1) % CUDA_SLOTS;
    t->used = 0;
    return gpu_event_sync(t->up_done[t->slot], e);
}

/* An event of s behind them covers these copies, too: s waits for their arrival. */
bool cuda_upload_beside(struct cuda *c, void *device, const void *host, size_t bytes, struct err *e)
{
    struct cuda_stage *t = &c->stage;
    CHECK(bytes <= CUDA_SLOT_BYTES);
    if (bytes > CUDA_SLOT_BYTES - t->used && !next_slot(c, e)) return false;
    unsigned char *at = t->up[t->slot] + t->used;
    memcpy(at, host, bytes);
    t->used += bytes;
    return gpu_copy_up(c->up, device, at, bytes, e) && gpu_event_record(c->arrived, c->up, e) &&
           gpu_stream_wait(c->s, c->arrived, e);
}

bool cuda_upload(struct cuda *c, void *device, const void *host, size_t bytes, struct err *e)
{
    struct cuda_stage *t = &c->stage;
    const unsigned char *from = host;
    unsigned char *to = device;

    while (bytes > 0) {
        if (t->used == CUDA_SLOT_BYTES && !next_slot(c, e)) return false;
        size_t n = CUDA_SLOT_BYTES - t->used;
        if (n > bytes) n = bytes;
        memcpy(t->up[t->slot] + t->used, from, n);
        if (!gpu_copy_up(c->s, to, t->up[t->slot] + t->used, n, e)) return false;
        t->used += n;
        from += n;
        to += n;
        bytes -= n;
    }
    return true;
}

/* While one slot is emptied the GPU fills the other. */
bool cuda_download(struct cuda *c, const void *device, void *host, size_t bytes, struct err *e)
{
    struct cuda_stage *t = &c->stage;
    const unsigned char *from = device;
    unsigned char *to = host;
    size_t pieces = (bytes + CUDA_SLOT_BYTES - 1) / CUDA_SLOT_BYTES;

    for (size_t i = 0; i <= pieces; i++) {
        size_t at = i * CUDA_SLOT_BYTES, before = at - CUDA_SLOT_BYTES;
        if (i < pieces) {
            size_t n = bytes - at < CUDA_SLOT_BYTES ? bytes - at : CUDA_SLOT_BYTES;
            if (!gpu_copy_down(c->s, t->down[i % 2], from + at, n, e) ||
                !gpu_event_record(t->down_done[i % 2], c->s, e))
                return false;
        }
        if (i > 0) {
            size_t n = bytes - before < CUDA_SLOT_BYTES ? bytes - before : CUDA_SLOT_BYTES;
            if (!gpu_event_sync(t->down_done[(i - 1) % 2], e)) return false;
            memcpy(to + before, t->down[(i - 1) % 2], n);
        }
    }
    return true;
}

/* Room for n bytes; what was there is forgotten. */
static bool array_room(struct cuda *c, struct cuda_array *a, size_t n, struct err *e)
{
    if (n <= a->cap) return true;
    size_t cap = 4096;
    while (cap < n)
        cap *= 2;
    gpu_free(c->gpu, a->device);
    mem_free(a->host);
    *a = (struct cuda_array){0};
    a->host = mem_alloc(cap, e);
    if (!a->host || !gpu_malloc(c->gpu, cap, &a->device, e)) return false;
    a->cap = cap;
    return true;
}

bool cuda_array(struct cuda *c, const void *host, size_t bytes, const void **out, struct err *e)
{
    struct cuda_array *a = &c->arrays[0];

    c->tick++;
    for (int i = 0; i < CUDA_ARRAYS; i++) {
        struct cuda_array *b = &c->arrays[i];
        if (b->n == bytes && bytes > 0 && memcmp(b->host, host, bytes) == 0) {
            b->last = c->tick;
            b->turn = c->turn;
            *out = b->device;
            return true;
        }
        if (b->last < a->last) a = b;
    }
    a->n = 0;
    if (!array_room(c, a, bytes ? bytes : 1, e)) return false;
    memcpy(a->host, host, bytes);
    /* What a lane used that is over is nobody's: the table of the next bin comes beside it. */
    bool free = a->turn <= c->turns_over && bytes <= CUDA_SLOT_BYTES;
    if (!(free ? cuda_upload_beside(c, a->device, host, bytes, e)
               : cuda_upload(c, a->device, host, bytes, e)))
        return false;
    a->n = bytes;
    a->last = c->tick;
    a->turn = c->turn;
    *out = a->device;
    return true;
}
