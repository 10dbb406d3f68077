#include "generate/decode_parts.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

const char *const decode_reason_names[] = {"eos", "length", "cancelled", NULL};

/* ---- memory */

static struct decoder_cache_opts cache_opts(const struct model_spec *s, const struct decode_opts *o)
{
    bool both = s->enc_layers > 0;
    uint32_t len = both ? o->max_new_tokens : o->max_len;
    return (struct decoder_cache_opts){.slots = o->slots,
                                       .max_len = len > o->max_follow ? len : o->max_follow,
                                       .max_memory = both ? o->max_len : 0,
                                       .max_rows = o->slots + o->prefill_rows};
}

uint64_t decode_bytes(const struct model_spec *s, enum dev_dtype dtype, const struct decode_opts *o)
{
    struct decoder_cache_opts c = cache_opts(s, o);
    return decoder_cache_bytes(s, dtype, &c);
}

static bool take_slots(struct decode *d, uint32_t len, struct err *e)
{
    uint32_t n = d->o.slots;
    d->slot = mem_calloc(n, sizeof *d->slot, e);
    if (!d->slot) return false;
    d->history = mem_calloc((size_t)n * len, sizeof *d->history, e);
    if (!d->history) return false;
    for (uint32_t i = 0; i < n; i++)
        d->slot[i] = (struct slot){.tokens = d->history + (size_t)i * len};
    d->busy = mem_calloc(n, sizeof *d->busy, e);
    return d->busy && pick_scratch_init(&d->pick, model_get_spec(d->m)->vocab, e);
}

static bool take_step(struct decode *d, struct err *e)
{
    uint32_t n = d->max_rows;
    d->token = mem_calloc((size_t)4 * n, sizeof *d->token, e);
    if (!d->token) return false;
    d->slot_of = d->token + n;
    d->pos = d->slot_of + n;
    d->given = d->pos + n;
    d->asker = mem_calloc(n, sizeof *d->asker, e);
    if (!d->asker) return false;
    d->row = mem_calloc((size_t)2 * n, sizeof *d->row, e);
    if (!d->row) return false;
    d->chosen = d->row + n;
    d->logprob = mem_calloc(n, sizeof *d->logprob, e);
    if (!d->logprob) return false;
    d->draw = mem_calloc(n, sizeof *d->draw, e);
    return d->draw != NULL;
}

bool decode_open(struct model *m, struct lora *const *adapters, uint32_t nadapters,
                 const struct decode_opts *o, struct decode **out, struct err *e)
{
    struct decode *d = mem_calloc(1, sizeof *d, e);
    bool ok = false;

    CHECK(o->slots > 0 && o->prefill_rows > 0 && o->max_new_tokens > 0 && o->max_len > 0);
    CHECK(nadapters <= DECODE_ADAPTERS);
    if (!d) return false;
    d->m = m;
    d->o = *o;
    d->nadapters = nadapters;
    d->last = &d->first;
    d->nfree = o->slots;
    d->both = model_get_spec(m)->enc_layers > 0;
    struct decoder_cache_opts c = cache_opts(model_get_spec(m), o);
    c.adapters = adapters;
    c.nadapters = nadapters;
    d->max_rows = c.max_rows;
    if (!take_slots(d, d->both ? 0 : c.max_len, e) || !take_step(d, e)) goto out;
    if (!decoder_cache_open(m, &c, &d->cache, e)) goto out;
    *out = d;
    ok = true;
out:
    if (!ok) decode_close(d);
    return ok;
}

static void drop(struct job *j)
{
    mem_free(j->beams);
    mem_free(j);
}

void decode_close(struct decode *d)
{
    if (!d) return;
    decoder_cache_close(d->cache);
    for (struct job *j = d->first, *next; j; j = next) {
        next = j->next;
        drop(j);
    }
    for (uint32_t i = 0; i < d->nbusy; i++)
        drop(d->busy[i]);
    pick_scratch_free(&d->pick);
    mem_free(d->draw);
    mem_free(d->logprob);
    mem_free(d->row);
    mem_free(d->asker);
    mem_free(d->token);
    mem_free(d->busy);
    mem_free(d->history);
    mem_free(d->slot);
    mem_free(d);
}

bool slot_fork(struct decode *d, uint32_t from, uint32_t to, uint32_t first, uint32_t end,
               struct err *e)
{
    struct slot *s = &d->slot[to];
    if (!d->both)
        memcpy(s->tokens + first, d->slot[from].tokens + first, (end - first) * sizeof *s->tokens);
    s->adapter = d->slot[from].adapter;
    s->filled = end;
    return decoder_fork(d->cache, from, to, first, end, e);
}

/* ---- the queue */

static bool check_sampling(const struct decode_sampling *s, struct err *e)
{
    if (!(s->temperature >= 0 && s->temperature <= 100))
        return err_set(e, ERR_CONFIG, "temperature %g is not between 0 and 100", s->temperature);
    return (s->top_p >= 0 && s->top_p <= 1) ||
           err_set(e, ERR_CONFIG, "top_p %g is not between 0 and 1", s->top_p);
}

static bool check_beams(const struct decode *d, const struct decode_request *r, struct err *e)
{
    if (r->beams <= 1) return true;
    if (r->beams > DECODE_BEAMS || r->beams > d->o.slots)
        return err_set(e, ERR_LIMIT, "%u beams, with %u slots there may be %u", r->beams,
                       d->o.slots, d->o.slots < DECODE_BEAMS ? d->o.slots : DECODE_BEAMS);
    if (r->sampling.temperature > 0 || r->logprobs)
        return err_set(e, ERR_CONFIG, "beam search draws no tokens and gives no probabilities");
    return (r->length_penalty >= -100 && r->length_penalty <= 100) ||
           err_set(e, ERR_CONFIG, "length penalty %g is not between -100 and 100",
                   r->length_penalty);
}

static bool check_ids(const struct decode *d, const uint32_t *ids, uint32_t n, struct err *e)
{
    uint32_t vocab = model_get_spec(d->m)->vocab;
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] >= vocab)
            return err_set(e, ERR_FORMAT, "token %u is not in the model's vocabulary of %u", ids[i],
                           vocab);
    return true;
}

static bool check_follow(const struct decode *d, const struct decode_request *r, struct err *e)
{
    uint64_t n = (d->both ? 0 : (uint64_t)r->n) + r->nfollow;
    if (r->nfollow > 0 && n > d->o.max_follow)
        return err_set(e, ERR_LIMIT, "%u tokens follow the prompt, there is room for %u%s",
                       r->nfollow, d->o.max_follow, d->both ? "" : " with the prompt");
    return check_ids(d, r->follow, r->nfollow, e);
}

bool decode_check(const struct decode *d, const struct decode_request *r, struct err *e)
{
    const struct decode_opts *o = &d->o;
    uint32_t most = d->both ? o->max_len : o->max_len - 1;
    if (r->n == 0) return err_set(e, ERR_LIMIT, "the prompt is empty");
    if (r->n > most)
        return err_set(e, ERR_LIMIT, "the prompt has %u tokens, there is room for %u%s", r->n, most,
                       d->both ? "" : " and an answer");
    if (!check_ids(d, r->ids, r->n, e) || !check_follow(d, r, e)) return false;
    if (r->max_new_tokens == 0 || r->max_new_tokens > o->max_new_tokens)
        return err_set(e, ERR_LIMIT, "an answer may have 1 to %u tokens, not %u", o->max_new_tokens,
                       r->max_new_tokens);
    if (r->adapter < -1 || r->adapter >= (int32_t)d->nadapters)
        return err_set(e, ERR_CONFIG, "there is no adapter %d", (int)r->adapter);
    if (r->neos > DECODE_EOS || r->top > DECODE_TOP)
        return err_set(e, ERR_LIMIT, "%u end marks and %u alternatives, at most %d and %d", r->neos,
                       r->top, DECODE_EOS, DECODE_TOP);
    return check_sampling(&r->sampling, e) && check_beams(d, r, e);
}

bool decode_submit(struct decode *d, const struct decode_request *r, uint64_t *handle,
                   struct err *e)
{
    if (!decode_check(d, r, e)) return false;
    if (d->o.queue && d->waiting >= d->o.queue)
        return err_set(e, ERR_LIMIT, "%zu requests are waiting", d->waiting);
    uint32_t room = d->both ? d->o.max_new_tokens : d->o.max_len - r->n;
    uint32_t limit = r->max_new_tokens < room ? r->max_new_tokens : room;
    struct job *j = mem_alloc(sizeof *j + ((size_t)r->n + r->nfollow + limit) * sizeof *r->ids, e);
    if (!j) return false;
    uint32_t *ids = (uint32_t *)(void *)(j + 1), *follow = ids + r->n;
    memcpy(ids, r->ids, r->n * sizeof *ids);
    if (r->nfollow > 0) memcpy(follow, r->follow, r->nfollow * sizeof *follow);
    *j = (struct job){.r = *r,
                      .handle = ++d->handles,
                      .submitted_s = clock_mono_s(),
                      .limit = limit,
                      .answer = follow + r->nfollow};
    j->r.ids = ids;
    j->r.follow = follow;
    j->nslots = r->beams > 1 ? r->beams : 1;
    if (j->nslots > 1 && !beams_open(j, e)) {
        drop(j);
        return false;
    }
    *d->last = j;
    d->last = &j->next;
    d->waiting++;
    *handle = j->handle;
    return true;
}

static struct job *find(struct decode *d, uint64_t handle)
{
    for (uint32_t i = 0; i < d->nbusy; i++)
        if (d->busy[i]->handle == handle) return d->busy[i];
    for (struct job *j = d->first; j; j = j->next)
        if (j->handle == handle) return j;
    return NULL;
}

bool decode_cancel(struct decode *d, uint64_t handle)
{
    struct job *j = find(d, handle);
    if (j) j->cancelled = true;
    return j != NULL;
}

size_t decode_busy(const struct decode *d)
{
    return d->waiting + d->nbusy;
}

const struct decode_stats *decode_get_stats(const struct decode *d)
{
    return &d->stats;
}

/* ---- ends */

/* The finish event of a job that nothing points to any more. */
static bool finish(struct job *j, enum decode_reason why, decode_event_fn event, void *ctx,
                   struct err *e)
{
    double now = clock_mono_s();
    double began = j->began_s > 0 ? j->began_s : now, first = j->first_s > 0 ? j->first_s : now;
    struct decode_event ev = {.handle = j->handle,
                              .user = j->r.user,
                              .finished = true,
                              .reason = why,
                              .ids = j->answer,
                              .n = j->n,
                              .prompt_tokens = j->r.n,
                              .shared_tokens = j->shared,
                              .nll = j->nll,
                              .queued_s = began - j->submitted_s,
                              .prefill_s = first - began,
                              .decode_s = now - first};
    bool ok = event(ctx, &ev, e);
    drop(j);
    return ok;
}

/* busy[i] leaves its slots. */
static struct job *release(struct decode *d, uint32_t i)
{
    struct job *j = d->busy[i];
    for (uint32_t k = 0; k < j->nslots; k++)
        d->slot[j->slots[k]].job = NULL;
    d->nfree += j->nslots;
    d->nbusy--;
    memmove(d->busy + i, d->busy + i + 1, (d->nbusy - i) * sizeof *d->busy);
    return j;
}

/* The answer of busy[i] is there: read what follows the prompt, from the prompt's last row on, or
 * hand it out. */
static bool answered(struct decode *d, uint32_t i, enum decode_reason why, decode_event_fn event,
                     void *ctx, struct err *e)
{
    struct job *j = d->busy[i];
    if (j->r.nfollow == 0) return finish(release(d, i), why, event, ctx, e);
    j->follows = true;
    j->why = why;
    if (j->pos > j->nbegin - 1) j->pos = j->nbegin - 1;
    d->stats.follow_tokens += j->r.nfollow;
    return true;
}

static bool drop_cancelled(struct decode *d, decode_event_fn event, void *ctx, struct err *e)
{
    for (uint32_t i = 0, left = d->nbusy; left > 0; left--) {
        struct job *j = d->busy[i];
        uint32_t nbusy = d->nbusy;
        if (j->cancelled && !j->follows) {
            if (j->beams) j->n = 0;
            if (!answered(d, i, DECODE_CANCELLED, event, ctx, e)) return false;
        }
        i += d->nbusy == nbusy;
    }
    for (struct job **at = &d->first; *at;) {
        struct job *j = *at;
        if (!j->cancelled) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (d->last == &j->next) d->last = at;
        d->waiting--;
        if (j->r.nfollow > 0) j->nll = NAN;
        if (!finish(j, DECODE_CANCELLED, event, ctx, e)) return false;
    }
    return true;
}

/* ---- one step */

static void take_slot(struct decode *d, struct job *j, uint32_t k)
{
    struct slot *s;
    j->slots[k] = share_choose_slot(d, j);
    s = &d->slot[j->slots[k]];
    if (s->adapter != j->r.adapter) s->filled = 0;
    s->adapter = j->r.adapter;
    s->job = j;
    s->used = ++d->uses;
    d->nfree--;
    decoder_set_adapter(d->cache, j->slots[k], j->r.adapter);
}

static bool admit(struct decode *d, struct job *j, struct err *e)
{
    for (uint32_t k = 0; k < j->nslots; k++)
        take_slot(d, j, k);
    d->busy[d->nbusy++] = j;
    j->began_s = clock_mono_s();
    d->stats.prompt_tokens += j->r.n;
    return decoder_begin(d->cache, j->slots[0], j->r.ids, j->r.n, &j->begin, &j->nbegin, e);
}

/* Give free slots to who waits. */
static bool refill(struct decode *d, struct err *e)
{
    double t0 = clock_mono_s();
    while (d->first && d->first->nslots <= d->nfree) {
        struct job *j = d->first;
        d->first = j->next;
        if (!d->first) d->last = &d->first;
        j->next = NULL;
        d->waiting--;
        if (!admit(d, j, e)) return false;
    }
    d->stats.prefill_s += clock_mono_s() - t0; /* an encoder has read them; else nothing */
    return true;
}

/* Tokens that are known before they are pushed: the prompt, and what follows but its last. */
static uint32_t known_rows(const struct job *j)
{
    return j->nbegin + (j->follows ? j->r.nfollow - 1 : 0);
}

static bool is_answering(const struct job *j)
{
    return j->n > 0 && !j->follows;
}

/* How many rows each has in this step: one new token for those that answer; known tokens as many
 * as a step may take, the first come first. */
static bool plan_rows(struct decode *d, struct err *e)
{
    uint32_t left = d->o.prefill_rows;
    d->follow_rows = 0;
    for (uint32_t i = 0; i < d->nbusy; i++) {
        struct job *j = d->busy[i];
        bool ready = true, answering = is_answering(j);
        j->take = !answering ? 0 : j->beams ? beams_running(j) : 1;
        if (answering) continue;
        if (!j->started && left > 0 && !share_beginning(d, j, &ready, e)) return false;
        if (!ready) continue;
        uint32_t all = known_rows(j) - j->pos;
        j->take = all < left ? all : left;
        left -= j->take;
        if (j->follows) d->follow_rows += j->take;
    }
    d->prompt_rows = d->o.prefill_rows - left - d->follow_rows;
    return true;
}

static void put_row(struct decode *d, uint32_t slot, uint32_t pos, uint32_t token)
{
    struct slot *s = &d->slot[slot];
    uint32_t i = d->rows.n++;
    d->token[i] = token;
    d->slot_of[i] = slot;
    d->pos[i] = pos;
    if (!d->both) s->tokens[pos] = token;
    s->filled = pos + 1;
}

static void put_rows(struct decode *d, struct job *j)
{
    bool answering = is_answering(j);
    for (uint32_t k = 0; k < j->take && !answering; k++, j->pos++)
        put_row(d, j->slots[0], j->pos,
                j->pos < j->nbegin ? j->begin[j->pos] : j->r.follow[j->pos - j->nbegin]);
    for (uint32_t k = 0; k < j->take && answering; k++) {
        uint32_t slot = j->slots[0], token = j->answer[j->n - 1];
        if (j->beams) beams_row(j, k, &slot, &token);
        put_row(d, slot, j->pos, token);
    }
    j->pos += answering;
}

static bool wants_logits(const struct job *j)
{
    return j->beams || (j->r.logprobs && j->r.top > 0);
}

/* Who asks for a token in this step: who has no prompt left. */
static void ask(struct decode *d, bool logits)
{
    for (uint32_t r = 0; r < d->rows.n; r++) {
        struct job *j = d->slot[d->slot_of[r]].job;
        bool last = d->pos[r] + 1 == j->pos && j->pos >= j->nbegin;
        if (!last || j->follows || wants_logits(j) != logits) continue;
        d->asker[d->nask] = j;
        d->row[d->nask++] = r;
    }
}

/* And who knows the next token. */
static void ask_given(struct decode *d)
{
    d->ngiven = 0;
    for (uint32_t r = 0; r < d->rows.n; r++) {
        struct job *j = d->slot[d->slot_of[r]].job;
        if (!j->follows || d->pos[r] + 1 < j->nbegin) continue;
        d->given[d->ngiven++] = j->r.follow[d->pos[r] + 1 - j->nbegin];
        d->asker[d->nask] = j;
        d->row[d->nask++] = r;
    }
}

/* Rows of one adapter stand together. */
static void fill_rows(struct decode *d)
{
    d->rows = (struct decoder_rows){d->token, d->slot_of, d->pos, 0};
    d->nask = 0;
    for (int32_t adapter = -1; adapter < (int32_t)d->nadapters; adapter++)
        for (uint32_t i = 0; i < d->nbusy; i++) {
            struct job *j = d->busy[i];
            if (j->r.adapter == adapter) put_rows(d, j);
        }
    ask(d, true);
    d->nlogits = d->nask;
    ask(d, false);
    ask_given(d);
}

static void see(void *ctx, uint32_t i, const float *logits)
{
    struct decode *d = ctx;
    struct job *j = d->asker[i];
    if (j->beams)
        beams_see(j, d->slot_of[d->row[i]], logits, d->pick.vocab);
    else
        pick_token(&j->r, j->n, logits, &d->pick, &j->choice);
}

static bool run_rows(struct decode *d, struct err *e)
{
    bool logprob = false, drawn = false;
    uint32_t own = d->nask - d->ngiven;
    double t0 = clock_mono_s();
    for (uint32_t i = 0; i < own; i++) {
        const struct job *j = d->asker[i];
        d->draw[i] = i < d->nlogits ? (struct dev_draw){0} : pick_draw(&j->r.sampling, j->n);
        logprob |= i >= d->nlogits && j->r.logprobs;
        drawn |= d->draw[i].temperature > 0;
    }
    struct decoder_ask q = {.row = d->row,
                            .n = d->nask,
                            .next = d->chosen,
                            .draw = drawn ? d->draw : NULL,
                            .logprob = logprob ? d->logprob : NULL,
                            .nlogits = d->nlogits,
                            .see = see,
                            .ctx = d,
                            .ngiven = d->ngiven,
                            .given = d->given,
                            .given_logprob = d->logprob + own};
    CHECK(d->rows.n > 0 && d->rows.n <= d->max_rows);
    if (!decoder_step(d->cache, &d->rows, &q, e)) return false;
    for (uint32_t i = own; i < d->nask; i++)
        d->asker[i]->nll -= (double)d->logprob[i];
    for (uint32_t i = d->nlogits; i < own; i++) {
        struct job *j = d->asker[i];
        j->choice = (struct decode_choice){.id = d->chosen[i]};
        if (j->r.logprobs) j->choice.logprob = d->logprob[i];
    }
    double a_row = (clock_mono_s() - t0) / d->rows.n;
    d->stats.steps++;
    d->stats.prefill_s += a_row * d->prompt_rows;
    d->stats.follow_s += a_row * d->follow_rows;
    d->stats.decode_s += a_row * (d->rows.n - d->prompt_rows - d->follow_rows);
    return true;
}

bool decode_is_eos(const struct decode_request *r, uint32_t id)
{
    for (uint32_t i = 0; i < r->neos; i++)
        if (r->eos[i] >= 0 && (uint32_t)r->eos[i] == id) return true;
    return false;
}

static bool token_event(struct job *j, decode_event_fn event, void *ctx, struct err *e)
{
    struct decode_event ev = {.handle = j->handle,
                              .user = j->r.user,
                              .index = j->n - 1,
                              .ids = j->answer,
                              .n = j->n,
                              .id = j->choice.id,
                              .logprob = j->choice.logprob,
                              .top = j->choice.top,
                              .ntop = j->choice.ntop};
    return event(ctx, &ev, e);
}

/* Take a job's token; *why is set when it was the last. */
static bool take_token(struct decode *d, struct job *j, bool *done, enum decode_reason *why,
                       struct err *e)
{
    bool ended;
    if (j->beams) {
        if (j->n == 0) beams_start(j);
        d->stats.new_tokens++;
        if (!beams_step(d, j, done, e)) return false;
        ended = *done && beams_finish(j);
    } else {
        ended = decode_is_eos(&j->r, j->choice.id);
        d->stats.new_tokens++;
        if (!ended) j->answer[j->n++] = j->choice.id;
        *done = ended || j->n == j->limit;
    }
    if (j->first_s == 0) j->first_s = clock_mono_s();
    *why = ended ? DECODE_BY_EOS : DECODE_BY_LENGTH;
    return true;
}

/* Everyone's who asked; and hand out what is finished. */
static bool take_tokens(struct decode *d, decode_event_fn event, void *ctx, struct err *e)
{
    for (uint32_t i = 0, left = d->nbusy; left > 0; left--) {
        struct job *j = d->busy[i];
        uint32_t nbusy = d->nbusy;
        enum decode_reason why;
        bool done = false;
        if (j->follows) {
            if (j->pos == known_rows(j) && !finish(release(d, i), j->why, event, ctx, e))
                return false;
        } else if (j->take > 0 && j->pos >= j->nbegin) {
            if (!take_token(d, j, &done, &why, e)) return false;
            bool told = !j->beams && why != DECODE_BY_EOS;
            if (told && !token_event(j, event, ctx, e)) return false;
            if (done && !answered(d, i, why, event, ctx, e)) return false;
        }
        i += d->nbusy == nbusy;
    }
    return true;
}

bool decode_step(struct decode *d, decode_event_fn event, void *ctx, struct err *e)
{
    if (!drop_cancelled(d, event, ctx, e) || !refill(d, e)) return false;
    if (d->nbusy == 0) return true;
    if (!plan_rows(d, e)) return false;
    fill_rows(d);
    return run_rows(d, e) && take_tokens(d, event, ctx, e);
}
