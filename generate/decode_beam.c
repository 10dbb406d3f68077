/*
 * Beam search as transformers 5 does it for one prompt (GenerationMixin._beam_search): of the
 * continuations of all beams the best (1 + end marks) * beams are looked at; among the first
 * `beams` of them, those that end become hypotheses, scored by their log-probability over
 * length^penalty; the best that do not end go on.
 *
 * The continuations' beams keep the slot of the one they come from; further ones of the same are
 * copied into slots of beams that died. Every beam has the prompt's rows: only the answer's are
 * copied.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "generate/decode_parts.h"

enum { MOST_KEPT = DECODE_BEAMS * (1 + DECODE_EOS) };

struct beam {
    double score;
    uint32_t *ids;    /* [limit] */
    uint32_t slot, n; /* n: of a hypothesis, its end mark not counted */
    bool ended;
};
struct beam_next {
    double score;
    uint32_t beam, id;
};
struct beams {
    uint32_t width, keep;         /* beams; continuations looked at */
    uint32_t nrunning, nfinished; /* <= width each */
    struct beam running[DECODE_BEAMS], before[DECODE_BEAMS], finished[DECODE_BEAMS];
    uint32_t *spare;           /* [limit]: ids of a hypothesis on its way in */
    bool filled[DECODE_BEAMS]; /* slot[i] has the prompt's rows */
    struct beam_next next[DECODE_BEAMS * MOST_KEPT];
    uint32_t nnext;
};

bool beams_open(struct job *j, struct err *e)
{
    uint32_t width = j->r.beams, ends = 0;
    size_t ids = (size_t)(3 * width + 1) * j->limit;
    struct beams *b = mem_alloc(sizeof *b + ids * sizeof(uint32_t), e);
    if (!b) return false;
    uint32_t *at = (uint32_t *)(void *)(b + 1);
    for (uint32_t i = 0; i < j->r.neos; i++)
        ends += j->r.eos[i] >= 0;
    memset(b, 0, sizeof *b);
    b->width = width;
    b->keep = (ends > 1 ? 1 + ends : 2) * width;
    b->nrunning = 1;
    for (uint32_t i = 0; i < width; i++, at += (size_t)3 * j->limit) {
        b->running[i].ids = at;
        b->before[i].ids = at + j->limit;
        b->finished[i].ids = at + (size_t)2 * j->limit;
    }
    b->spare = at;
    j->beams = b;
    return true;
}

void beams_start(struct job *j)
{
    j->beams->running[0].slot = 0;
    j->beams->filled[0] = true;
}

uint32_t beams_running(const struct job *j)
{
    return j->beams->nrunning;
}

void beams_row(const struct job *j, uint32_t i, uint32_t *slot, uint32_t *token)
{
    const struct beam *b = &j->beams->running[i];
    *slot = j->slots[b->slot];
    *token = b->ids[j->n - 1];
}

void beams_see(struct job *j, uint32_t slot, const float *logits, uint32_t vocab)
{
    struct decode_alternative best[MOST_KEPT];
    struct beams *b = j->beams;
    double all = pick_log_sum(logits, vocab);
    uint32_t i = 0, n = pick_best(logits, vocab, b->keep, best);
    while (j->slots[b->running[i].slot] != slot)
        i++;
    CHECK(i < b->nrunning);
    for (uint32_t k = 0; k < n; k++)
        b->next[b->nnext++] = (struct beam_next){
            b->running[i].score + ((double)best[k].logprob - all), i, best[k].id};
}

/* Best first; the lower beam, then the lower id, on a tie. */
static bool better(const struct beam_next *a, const struct beam_next *b)
{
    if (a->score != b->score) return a->score > b->score;
    return a->beam != b->beam ? a->beam < b->beam : a->id < b->id;
}

/* The best `keep` to the front, in order. */
static void sort_next(struct beams *b)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->nnext; i++) {
        struct beam_next x = b->next[i];
        if (kept == b->keep && !better(&x, &b->next[kept - 1])) continue;
        uint32_t at = kept < b->keep ? kept++ : kept - 1;
        for (; at > 0 && better(&x, &b->next[at - 1]); at--)
            b->next[at] = b->next[at - 1];
        b->next[at] = x;
    }
    b->nnext = kept;
}

/* A hypothesis of j->n tokens from a continuation (its end mark, if it is one, counts in the score
 * and is left out). */
static void add_finished(struct job *j, const struct beam_next *x, bool ended)
{
    struct beams *b = j->beams;
    double score = x->score / pow((double)j->n + 1, j->r.length_penalty);
    uint32_t at = b->nfinished;
    if (at == b->width && !(score > b->finished[at - 1].score)) return;
    uint32_t *ids = b->spare;
    memcpy(ids, b->running[x->beam].ids, j->n * sizeof *ids);
    ids[j->n] = x->id;
    if (at == b->width) {
        at--;
        b->spare = b->finished[at].ids;
    } else {
        b->nfinished++;
        b->spare = b->finished[at].ids;
    }
    for (; at > 0 && score > b->finished[at - 1].score; at--)
        b->finished[at] = b->finished[at - 1];
    b->finished[at] = (struct beam){.score = score, .ids = ids, .n = j->n + !ended, .ended = ended};
}

/* The running beams become the best continuations; parent[i] is where beam i comes from. */
static void advance(struct job *j, const struct beam_next *const *go, uint32_t n, uint32_t *parent)
{
    struct beams *b = j->beams;
    struct beam old[DECODE_BEAMS];
    memcpy(old, b->running, sizeof old);
    memcpy(b->running, b->before, sizeof b->running);
    memcpy(b->before, old, sizeof old);
    for (uint32_t i = 0; i < n; i++) {
        const struct beam *from = &old[go[i]->beam];
        struct beam *to = &b->running[i];
        memcpy(to->ids, from->ids, j->n * sizeof *to->ids);
        to->ids[j->n] = go[i]->id;
        to->score = go[i]->score;
        to->slot = from->slot;
        parent[i] = go[i]->beam;
    }
    b->nrunning = n;
}

/* A slot of its own for each beam: the first of a parent's stays, others move to free ones. */
static bool spread(struct decode *d, struct job *j, const uint32_t *parent, struct err *e)
{
    struct beams *b = j->beams;
    bool taken[DECODE_BEAMS] = {false}, stays[DECODE_BEAMS] = {false}, seen[DECODE_BEAMS] = {false};
    for (uint32_t i = 0; i < b->nrunning; i++) {
        stays[i] = !seen[parent[i]];
        seen[parent[i]] = true;
        if (stays[i]) taken[b->running[i].slot] = true;
    }
    for (uint32_t i = 0, to = 0; i < b->nrunning; i++) {
        if (stays[i]) continue;
        while (taken[to])
            to++;
        taken[to] = true;
        if (!slot_fork(d, j->slots[b->running[i].slot], j->slots[to], b->filled[to] ? j->nbegin : 0,
                       j->pos, e))
            return false;
        b->filled[to] = true;
        b->running[i].slot = to;
    }
    return true;
}

/* Can the best running beam still come before the worst hypothesis? */
static bool may_improve(const struct job *j)
{
    const struct beams *b = j->beams;
    double length = j->n;
    if (b->nfinished < b->width) return true;
    if (j->r.early_stopping == DECODE_STOP_EARLY) return false;
    if (j->r.early_stopping == DECODE_STOP_NEVER && j->r.length_penalty > 0) length = j->limit;
    return b->running[0].score / pow(length, j->r.length_penalty) >
           b->finished[b->nfinished - 1].score;
}

bool beams_step(struct decode *d, struct job *j, bool *done, struct err *e)
{
    struct beams *b = j->beams;
    const struct beam_next *go[DECODE_BEAMS];
    uint32_t n = 0, parent[DECODE_BEAMS];
    sort_next(b);
    for (uint32_t i = 0; i < b->nnext; i++) {
        bool ended = decode_is_eos(&j->r, b->next[i].id);
        if (!ended && j->n + 1 < j->limit) {
            if (n < b->width) go[n++] = &b->next[i];
        } else if (i < b->width) {
            add_finished(j, &b->next[i], ended);
        }
    }
    advance(j, go, n, parent);
    b->nnext = 0;
    j->n++;
    *done = n == 0 || !may_improve(j);
    return *done || spread(d, j, parent, e);
}

bool beams_finish(struct job *j)
{
    const struct beam *best = &j->beams->finished[0];
    CHECK(j->beams->nfinished > 0);
    memcpy(j->answer, best->ids, best->n * sizeof *best->ids);
    j->n = best->n;
    return best->ended;
}
