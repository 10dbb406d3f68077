#include "generate/decode.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* A sequence at work. Its rows 0 .. pos - 1 are in the cache. */
struct seq {
    size_t prompt;         /* index into prompts; valid while busy */
    const uint32_t *begin; /* what is pushed first: the prompt, or behind an encoder its start */
    uint32_t nbegin, pos;
    uint32_t n;     /* tokens of the answer */
    uint32_t limit; /* most of them */
    uint32_t *ids;  /* [max_new_tokens], owned */
    bool busy;
};

struct decoding {
    const struct decode_opts *o;
    const struct decode_prompt *prompts;
    size_t nprompts;
    uint32_t *order; /* prompts in the order they are taken */
    size_t taken;
    struct seq *seq;
    uint32_t nseq;
    /* one step */
    uint32_t max_rows;
    uint32_t *token, *slot, *pos;  /* [max_rows] */
    uint32_t *want, *asker, *next; /* [nseq]: row, its sequence, its answer */
    uint32_t rows, prompt_rows, nwant;
    decode_done_fn done;
    void *ctx;
    struct decode_stats *stats;
};

/* ---- order */

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

static bool make_order(struct decoding *d, struct err *e)
{
    struct rank_key *key = mem_calloc(d->nprompts, sizeof *key, e);
    d->order = key ? mem_calloc(d->nprompts, sizeof *d->order, e) : NULL;
    for (size_t i = 0; d->order && i < d->nprompts; i++)
        key[i] = (struct rank_key){.window = d->o->window ? (uint32_t)(i / d->o->window) : 0,
                                   .shortness = UINT32_MAX - d->prompts[i].n,
                                   .index = (uint32_t)i};
    if (d->order) qsort(key, d->nprompts, sizeof *key, cmp_key);
    for (size_t i = 0; d->order && i < d->nprompts; i++)
        d->order[i] = key[i].index;
    mem_free(key);
    return d->order != NULL;
}

/* ---- one step */

static void put_row(struct decoding *d, uint32_t s, uint32_t token)
{
    d->token[d->rows] = token;
    d->slot[d->rows] = s;
    d->pos[d->rows++] = d->seq[s].pos++;
}

static void ask_last_row(struct decoding *d, uint32_t s)
{
    d->want[d->nwant] = d->rows - 1;
    d->asker[d->nwant++] = s;
}

/* Give every free sequence the next prompt. */
static bool refill(struct decoding *d, struct decoder_cache *c, struct err *e)
{
    double t0 = clock_mono_s();
    for (uint32_t s = 0; s < d->nseq && d->taken < d->nprompts; s++) {
        struct seq *q = &d->seq[s];
        if (q->busy) continue;
        q->prompt = d->order[d->taken++];
        const struct decode_prompt *p = &d->prompts[q->prompt];
        uint32_t room = d->o->max_len - p->n;
        q->limit = room < d->o->max_new_tokens ? room : d->o->max_new_tokens;
        q->pos = q->n = 0;
        q->busy = true;
        d->stats->prompt_tokens += p->n;
        if (!decoder_begin(c, s, p->ids, p->n, &q->begin, &q->nbegin, e)) return false;
    }
    d->stats->prefill_s += clock_mono_s() - t0; /* an encoder has read them; else nothing */
    return true;
}

/* One new token for each sequence that answers; then prompt tokens, as many as one step may take.
 */
static void fill_rows(struct decoding *d)
{
    d->rows = d->prompt_rows = d->nwant = 0;
    for (uint32_t s = 0; s < d->nseq; s++) {
        struct seq *q = &d->seq[s];
        if (!q->busy || q->n == 0) continue;
        put_row(d, s, q->ids[q->n - 1]);
        ask_last_row(d, s);
    }
    for (uint32_t s = 0; s < d->nseq; s++) {
        struct seq *q = &d->seq[s];
        if (!q->busy || q->n > 0) continue;
        while (q->pos < q->nbegin && d->prompt_rows < d->o->prefill_rows) {
            put_row(d, s, q->begin[q->pos]);
            d->prompt_rows++;
        }
        /* a whole prompt asks for its first answer token */
        if (q->pos == q->nbegin) ask_last_row(d, s);
    }
}

static bool is_eos(const struct decode_opts *o, uint32_t id)
{
    for (uint32_t i = 0; i < o->neos; i++)
        if (o->eos[i] >= 0 && (uint32_t)o->eos[i] == id) return true;
    return false;
}

/* Take the next token of a sequence; hand the answer over when it ended. */
static bool take_token(struct decoding *d, struct seq *q, uint32_t id, struct err *e)
{
    bool ended = is_eos(d->o, id);
    d->stats->new_tokens++;
    if (!ended) q->ids[q->n++] = id;
    if (!ended && q->n < q->limit) return true;
    struct decode_answer a = {.ids = q->ids, .n = q->n, .ended = ended};
    q->busy = false;
    return d->done(d->ctx, q->prompt, &a, e);
}

static bool step(struct decoding *d, struct decoder_cache *c, struct err *e)
{
    if (!refill(d, c, e)) return false;
    fill_rows(d);
    CHECK(d->rows > 0 && d->rows <= d->max_rows);
    double t0 = clock_mono_s();
    if (!decoder_step(c, d->token, d->slot, d->pos, d->rows, d->want, d->nwant, d->next, NULL, e))
        return false;
    double s = clock_mono_s() - t0, prompt_share = (double)d->prompt_rows / d->rows;
    d->stats->steps++;
    d->stats->prefill_s += s * prompt_share;
    d->stats->decode_s += s * (1 - prompt_share);
    for (uint32_t i = 0; i < d->nwant; i++)
        if (!take_token(d, &d->seq[d->asker[i]], d->next[i], e)) return false;
    return true;
}

/* ---- the whole */

static bool busy(const struct decoding *d)
{
    for (uint32_t s = 0; s < d->nseq; s++)
        if (d->seq[s].busy) return true;
    return d->taken < d->nprompts;
}

static bool check(const struct decoding *d, struct err *e)
{
    CHECK(d->o->slots > 0 && d->o->prefill_rows > 0 && d->o->max_new_tokens > 0);
    CHECK(d->o->neos <= sizeof d->o->eos / sizeof d->o->eos[0]);
    if (d->nprompts > UINT32_MAX) return err_set(e, ERR_LIMIT, "%zu prompts", d->nprompts);
    for (size_t i = 0; i < d->nprompts; i++) {
        uint32_t n = d->prompts[i].n;
        if (n == 0) return err_set(e, ERR_LIMIT, "prompt %zu is empty", i);
        if (n >= d->o->max_len)
            return err_set(e, ERR_LIMIT, "prompt %zu has %u tokens; prompt and answer may have %u",
                           i, n, d->o->max_len);
    }
    return true;
}

static bool take_memory(struct decoding *d, struct err *e)
{
    d->nseq = d->nprompts < d->o->slots ? (uint32_t)d->nprompts : d->o->slots;
    d->max_rows = d->nseq + d->o->prefill_rows;
    d->seq = mem_calloc(d->nseq, sizeof *d->seq, e);
    if (!d->seq) return false;
    for (uint32_t s = 0; s < d->nseq; s++) {
        d->seq[s].ids = mem_calloc(d->o->max_new_tokens, sizeof *d->seq[s].ids, e);
        if (!d->seq[s].ids) return false;
    }
    uint32_t **rows[] = {&d->token, &d->slot, &d->pos}, **asks[] = {&d->want, &d->asker, &d->next};
    for (int i = 0; i < 3; i++) {
        *rows[i] = mem_calloc(d->max_rows, sizeof **rows[i], e);
        *asks[i] = *rows[i] ? mem_calloc(d->nseq, sizeof **asks[i], e) : NULL;
        if (!*asks[i]) return false;
    }
    return make_order(d, e);
}

static void drop_memory(struct decoding *d)
{
    for (uint32_t s = 0; d->seq && s < d->nseq; s++)
        mem_free(d->seq[s].ids);
    mem_free(d->seq);
    mem_free(d->order);
    mem_free(d->token);
    mem_free(d->slot);
    mem_free(d->pos);
    mem_free(d->want);
    mem_free(d->asker);
    mem_free(d->next);
}

bool decode_run(struct model *m, struct lora *l, const struct decode_opts *o,
                const struct decode_prompt *prompts, size_t n, decode_done_fn done, void *ctx,
                struct decode_stats *stats, struct err *e)
{
    struct decoding d = {
        .o = o, .prompts = prompts, .nprompts = n, .done = done, .ctx = ctx, .stats = stats};
    struct decoder_cache *c = NULL;
    bool ok = false;

    if (n == 0) return true;
    if (!check(&d, e)) return false;
    if (!take_memory(&d, e)) goto out;
    if (!decoder_cache_open(m, l, d.nseq, o->max_len, d.max_rows, &c, e)) goto out;
    ok = true;
    while (ok && busy(&d))
        ok = step(&d, c, e);
out:
    decoder_cache_close(c);
    drop_memory(&d);
    return ok;
}
