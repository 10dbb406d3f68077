/*
 * A cache that remembers, in place of lib/model's: it checks the promises its callers make (rows in
 * order, each position once, no slot shared), and its next token depends on every token of the
 * sequence. Definitions, for the one program that includes it.
 */
#pragma once
#include <math.h>
#include <string.h>

#include "base/fault.h"
#include "generate/decode_pick.h"

enum { VOCAB = 50, EOS = 3, SLOTS_MAX = 16, LEN_MAX = 64 };

struct decoder_cache {
    struct decoder_cache_opts o;
};
static struct decoder_cache cache;
static uint64_t state_of[SLOTS_MAX][LEN_MAX + 1]; /* hash of a slot's tokens up to a position */
static uint32_t token_of[SLOTS_MAX][LEN_MAX];
static int32_t adapter_of[SLOTS_MAX];
static uint32_t filled[SLOTS_MAX];
static uint32_t most_rows, calls, all_rows, runs;
static bool cache_open;
static struct model_spec spec = {.vocab = VOCAB};

const struct model_spec *model_get_spec(const struct model *m)
{
    (void)m;
    return &spec;
}

static uint64_t mix(uint64_t h, uint32_t token)
{
    h = (h ^ token) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static uint64_t start_of(int32_t adapter)
{
    return (uint64_t)(adapter + 2);
}

static void logits_of(uint64_t h, float *out)
{
    for (uint32_t i = 0; i < VOCAB; i++)
        out[i] = (float)(mix(h, i) >> 40) / (float)(1 << 22); /* 0 .. 4 */
}

static uint32_t choice(uint64_t h)
{
    float v[VOCAB];
    uint32_t best = 0;
    logits_of(h, v);
    for (uint32_t i = 1; i < VOCAB; i++)
        best = v[i] > v[best] ? i : best;
    return best;
}

static double log_sum(const float *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < VOCAB; i++)
        sum += exp((double)v[i]);
    return log(sum);
}

bool decoder_cache_open(struct model *m, const struct decoder_cache_opts *o,
                        struct decoder_cache **out, struct err *e)
{
    (void)m;
    *out = NULL;
    if (fault_hit(FAULT_OPEN)) return err_set(e, ERR_LIB, "no device memory");
    assert_true(o->slots > 0 && o->slots <= SLOTS_MAX && o->max_len <= LEN_MAX && !cache_open);
    cache.o = *o;
    memset(filled, 0, sizeof filled);
    for (int i = 0; i < SLOTS_MAX; i++)
        adapter_of[i] = -1;
    most_rows = calls = all_rows = runs = 0;
    cache_open = true;
    *out = &cache;
    return true;
}

void decoder_cache_close(struct decoder_cache *c)
{
    if (c) cache_open = false;
}

uint64_t decoder_cache_bytes(const struct model_spec *s, enum dev_dtype dtype,
                             const struct decoder_cache_opts *o)
{
    (void)s;
    (void)dtype;
    return o->slots * 1000u + o->max_len;
}

void decoder_set_adapter(struct decoder_cache *c, uint32_t slot, int32_t adapter)
{
    assert_true(slot < c->o.slots && adapter >= -1 && adapter < (int32_t)c->o.nadapters);
    if (adapter_of[slot] != adapter) filled[slot] = 0;
    adapter_of[slot] = adapter;
}

static void push_row(uint32_t slot, uint32_t pos, uint32_t token)
{
    /* the next position of its sequence, or behind a beginning that is kept */
    assert_true(pos <= filled[slot]);
    state_of[slot][0] = start_of(adapter_of[slot]);
    state_of[slot][pos + 1] = mix(state_of[slot][pos], token);
    token_of[slot][pos] = token;
    filled[slot] = pos + 1;
}

bool decoder_step(struct decoder_cache *c, const struct decoder_rows *r,
                  const struct decoder_ask *ask, struct err *e)
{
    assert_true(c == &cache && r->n > 0 && r->n <= c->o.max_rows && ask->n <= r->n);
    if (fault_hit(FAULT_READ)) return err_set(e, ERR_LIB, "the device failed");
    for (uint32_t i = 0; i < r->n; i++) {
        assert_true(r->slot[i] < c->o.slots && r->pos[i] < c->o.max_len && r->token[i] < VOCAB);
        push_row(r->slot[i], r->pos[i], r->token[i]);
        runs += i == 0 || adapter_of[r->slot[i]] != adapter_of[r->slot[i - 1]];
    }
    for (uint32_t j = 0; j < ask->n; j++) {
        float v[VOCAB];
        uint32_t row = ask->row[j];
        assert_true(row < r->n);
        uint64_t h = state_of[r->slot[row]][r->pos[row] + 1];
        logits_of(h, v);
        struct dev_candidate room[VOCAB];
        if (j + ask->ngiven >= ask->n) {
            uint32_t k = j + ask->ngiven - ask->n;
            ask->given_logprob[k] = (float)((double)v[ask->given[k]] - log_sum(v));
            continue;
        }
        ask->next[j] = ask->draw && ask->draw[j].temperature > 0
                           ? dev_draw_host(&ask->draw[j], v, VOCAB, room)
                           : choice(h);
        if (ask->logprob) ask->logprob[j] = (float)((double)v[ask->next[j]] - log_sum(v));
        if (j < ask->nlogits) ask->see(ask->ctx, j, v);
    }
    most_rows = r->n > most_rows ? r->n : most_rows;
    all_rows += r->n;
    calls++;
    return true;
}

bool decoder_begin(struct decoder_cache *c, uint32_t slot, const uint32_t *prompt, uint32_t n,
                   const uint32_t **rows, uint32_t *nrows, struct err *e)
{
    assert_true(c == &cache && slot < c->o.slots && n > 0 && n < c->o.max_len);
    if (fault_hit(FAULT_WRITE)) return err_set(e, ERR_LIB, "the device failed");
    *rows = prompt;
    *nrows = n;
    return true;
}

bool decoder_fork(struct decoder_cache *c, uint32_t from, uint32_t to, uint32_t first, uint32_t end,
                  struct err *e)
{
    (void)e;
    assert_true(from < c->o.slots && to < c->o.slots && from != to);
    assert_true(first < end && end <= filled[from] && first <= filled[to]);
    assert_true(first == 0 || adapter_of[to] == adapter_of[from]);
    assert_memory_equal(token_of[from], token_of[to], first * sizeof **token_of);
    adapter_of[to] = adapter_of[from];
    memcpy(state_of[to], state_of[from], (end + 1) * sizeof **state_of);
    memcpy(token_of[to], token_of[from], end * sizeof **token_of);
    filled[to] = end;
    return true;
}
