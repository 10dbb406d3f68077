#include <stdlib.h>

#include "base/mem.h"
#include "generate/decode_parts.h"

struct batch_run {
    struct decode *d;
    const struct decode_batch *b;
    uint32_t *order; /* prompts in the order they are taken */
    decode_done_fn done;
    void *ctx;
};

/* Sorted as one number: window, then longest first, then the lower index. */
struct rank_key {
    uint32_t window, shortness, index;
};

static int cmp_key(const void *a, const void *b)
{
    const struct rank_key *x = a, *y = b;
    if (x->window != y->window) return x->window < y->window ? -1 : 1;
    if (x->shortness != y->shortness) return x->shortness < y->shortness ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool make_order(struct batch_run *r, struct err *e)
{
    const struct decode_batch *b = r->b;
    struct rank_key *key = mem_calloc(b->n, sizeof *key, e);
    r->order = key ? mem_calloc(b->n, sizeof *r->order, e) : NULL;
    for (size_t i = 0; r->order && i < b->n; i++)
        key[i] = (struct rank_key){.window = b->window ? (uint32_t)(i / b->window) : 0,
                                   .shortness = UINT32_MAX - b->prompts[i].n,
                                   .index = (uint32_t)i};
    if (r->order) qsort(key, b->n, sizeof *key, cmp_key);
    for (size_t i = 0; r->order && i < b->n; i++)
        r->order[i] = key[i].index;
    mem_free(key);
    return r->order != NULL;
}

static bool on_event(void *ctx, const struct decode_event *ev, struct err *e)
{
    const struct batch_run *r = ctx;
    size_t i = (size_t)(uintptr_t)ev->user;
    struct decode_answer a = {
        .ids = ev->ids, .n = ev->n, .ended = ev->reason != DECODE_BY_LENGTH, .nll = ev->nll};
    if (ev->finished) return r->done(r->ctx, i, &a, e);
    if (r->b->stop && r->b->stop(r->ctx, i, ev->ids, ev->n)) (void)decode_cancel(r->d, ev->handle);
    return true;
}

static struct decode_request request_of(const struct decode_batch *b, size_t i)
{
    const struct decode_prompt *p = &b->prompts[i];
    struct decode_request q = *b->like;
    q.ids = p->ids;
    q.n = p->n;
    q.follow = p->follow;
    q.nfollow = p->nfollow;
    q.sampling.seed = p->seed;
    q.user = (void *)(uintptr_t)i;
    return q;
}

static bool submit(struct batch_run *r, uint32_t i, struct err *e)
{
    struct decode_request q = request_of(r->b, i);
    uint64_t handle;
    return decode_submit(r->d, &q, &handle, e) || err_wrap(e, "prompt %u", i);
}

/* As many in the queue as could be taken in the next step, so that nothing is copied long before
 * it is used. */
static bool run(struct batch_run *r, struct err *e)
{
    size_t taken = 0, most = r->d->o.slots;
    do {
        while (taken < r->b->n && decode_busy(r->d) < 2 * most)
            if (!submit(r, r->order[taken++], e)) return false;
        if (!decode_step(r->d, on_event, r, e)) return false;
    } while (taken < r->b->n || decode_busy(r->d) > 0);
    return true;
}

static bool check(const struct batch_run *r, struct err *e)
{
    if (r->b->n > UINT32_MAX) return err_set(e, ERR_LIMIT, "%zu prompts", r->b->n);
    for (size_t i = 0; i < r->b->n; i++) {
        struct decode_request q = request_of(r->b, i);
        if (!decode_check(r->d, &q, e)) {
            err_wrap(e, "prompt %zu", i);
            return false;
        }
    }
    return true;
}

bool decode_all(struct decode *d, const struct decode_batch *b, decode_done_fn done, void *ctx,
                struct err *e)
{
    struct batch_run r = {.d = d, .b = b, .done = done, .ctx = ctx};
    if (b->n == 0) return true;
    bool ok = check(&r, e) && make_order(&r, e) && run(&r, e);
    mem_free(r.order);
    return ok;
}

static void add_stats(const struct decode_stats *from, struct decode_stats *to)
{
    to->prompt_tokens += from->prompt_tokens;
    to->new_tokens += from->new_tokens;
    to->steps += from->steps;
    to->shared_tokens += from->shared_tokens;
    to->prefill_s += from->prefill_s;
    to->decode_s += from->decode_s;
    to->follow_tokens += from->follow_tokens;
    to->follow_s += from->follow_s;
}

bool decode_run(struct model *m, struct lora *l, const struct decode_opts *o,
                const struct decode_prompt *prompts, size_t n, decode_done_fn done, void *ctx,
                struct decode_stats *stats, struct err *e)
{
    struct decode_request like = {
        .max_new_tokens = o->max_new_tokens, .adapter = l ? 0 : -1, .neos = o->neos};
    struct decode_batch b = {.like = &like, .prompts = prompts, .n = n, .window = o->window};
    struct decode_opts own = *o;
    struct decode *d = NULL;

    if (n == 0) return true;
    for (uint32_t i = 0; i < o->neos; i++)
        like.eos[i] = o->eos[i];
    if (n < o->slots) own.slots = (uint32_t)n;
    if (!decode_open(m, &l, l ? 1 : 0, &own, &d, e)) return false;
    bool ok = decode_all(d, &b, done, ctx, e);
    add_stats(decode_get_stats(d), stats);
    decode_close(d);
    return ok;
}
