/* What time goes to: an event before and one after every op. */
#include "base/mem.h"
#include "compute/cuda/cuda.h"

enum { PAIRS = 512, NARROW = 64 };

struct cuda_profile {
    struct gpu_event *from[PAIRS], *to[PAIRS];
    uint8_t kind[PAIRS];
    int n, made;
    struct dev_profile sum;
};

void cuda_profile_free(struct cuda *c)
{
    struct cuda_profile *p = c->profile;
    if (!p) return;
    for (int i = 0; i < p->made; i++) {
        gpu_event_close(p->from[i]);
        gpu_event_close(p->to[i]);
    }
    mem_free(p);
    c->profile = NULL;
}

static bool make_pairs(struct cuda *c, struct err *e)
{
    struct cuda_profile *p = c->profile;
    for (; p->made < PAIRS; p->made++) {
        if (!gpu_event_open(c->gpu, true, &p->from[p->made], e)) return false;
        if (gpu_event_open(c->gpu, true, &p->to[p->made], e)) continue;
        gpu_event_close(p->from[p->made]);
        return false;
    }
    return true;
}

bool cuda_profile_set(struct cuda *c, bool on, struct err *e)
{
    cuda_profile_free(c);
    if (!on) return true;
    c->profile = mem_calloc(1, sizeof *c->profile, e);
    if (c->profile && make_pairs(c, e)) return true;
    cuda_profile_free(c);
    return false;
}

/* Waits for the pairs so far and adds them up. */
static bool drain(struct cuda *c, struct err *e)
{
    struct cuda_profile *p = c->profile;

    if (p->n > 0 && !gpu_event_sync(p->to[p->n - 1], e)) return false;
    for (int i = 0; i < p->n; i++) {
        float ms;
        if (!gpu_event_ms(p->from[i], p->to[i], &ms, e)) return false;
        p->sum.ms[p->kind[i]] += (double)ms;
        p->sum.calls[p->kind[i]]++;
    }
    p->n = 0;
    return true;
}

/* A product with a factor of low rank is bound by memory, the others by arithmetic. */
static uint8_t kind_of(const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    if (call->op != DEV_GEMM) return (uint8_t)call->op;
    uint32_t k = call->gemm.trans_a ? m[0].rows : m[0].cols;
    bool narrow = k <= NARROW || m[2].rows <= NARROW || m[2].cols <= NARROW;
    return narrow ? DEV_PROFILE_NARROW : DEV_GEMM;
}

bool cuda_profile_begin(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct cuda_profile *p = c->profile;
    if (!p) return true;
    if (p->n == PAIRS && !drain(c, e)) return false;
    p->kind[p->n] = kind_of(call);
    return gpu_event_record(p->from[p->n], c->s, e);
}

bool cuda_profile_end(struct cuda *c, struct err *e)
{
    struct cuda_profile *p = c->profile;
    return !p || gpu_event_record(p->to[p->n++], c->s, e);
}

bool cuda_profile_get(struct cuda *c, struct dev_profile *out, struct err *e)
{
    *out = (struct dev_profile){{0}, {0}};
    if (!c->profile) return true;
    if (!drain(c, e)) return false;
    *out = c->profile->sum;
    return true;
}
