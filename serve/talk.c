#include "serve/talk.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

enum { WAIT_MS = 100 };

bool talk_open(struct server *s, const struct ask *ask, uint32_t n, const char *id_prefix,
               struct talk **out, struct err *e)
{
    struct talk *t = mem_calloc(1, sizeof *t, e);
    uint8_t raw[12];
    char hex[25];

    *out = NULL;
    if (!t) return false;
    t->s = s;
    t->ask = ask;
    t->seq = mem_calloc(n, sizeof *t->seq, e);
    if (!t->seq || !engine_box_open(s->engine, &t->box, e)) {
        talk_close(t);
        return false;
    }
    t->n = n;
    for (uint32_t i = 0; i < n; i++) {
        answer_init(&t->seq[i].answer, shelf_tokenizer(s->shelf), ask->stop, ask->nstops);
        t->seq[i].answer.keep = ask->logprobs;
    }
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) memset(raw, 0, sizeof raw);
    hash_hex(raw, sizeof raw, hex);
    (void)snprintf(t->id, sizeof t->id, "%s%s", id_prefix, hex);
    t->created_s = clock_wall_s();
    t->heard_s = clock_mono_s();
    *out = t;
    return true;
}

void talk_close(void *talk)
{
    struct talk *t = talk;

    if (!t) return;
    engine_box_close(t->box);
    for (uint32_t i = 0; i < t->n; i++) {
        tok_ids_free(&t->seq[i].ids);
        answer_free(&t->seq[i].answer);
    }
    mem_free(t->seq);
    mem_free(t);
}

static uint64_t any_seed(void)
{
    uint64_t v = 0;

    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v) v = (uint64_t)clock_wall_s();
    return v >> 1;
}

bool talk_start(struct talk *t, struct http_reply *r, bool *refused, struct err *e)
{
    const struct ask *o = t->ask;
    const struct serve_opts *opts = t->s->job->serve;
    uint64_t want = o->max_tokens > 0 ? (uint64_t)o->max_tokens : opts->max_new_tokens;
    uint64_t seed = o->has_seed ? o->seed : any_seed();
    struct engine_ask a = {
        .temperature = o->has_temperature ? o->temperature : opts->temperature,
        .top_p = o->has_top_p ? o->top_p : 1,
        .logprobs = o->logprobs,
        .top_logprobs = o->top_logprobs,
    };

    *refused = false;
    if (o->has_top_p && o->top_p == 0) a.temperature = 0; /* the likeliest alone */
    for (uint32_t i = 0; i < t->n; i++) {
        struct talk_sequence *q = &t->seq[i];
        a.ids = q->ids.ids;
        a.n = (uint32_t)q->ids.n;
        a.adapter = q->model->adapter;
        a.seed = seed + i;
        a.max_new_tokens = shelf_room(t->s->shelf, q->ids.n, want);
        t->prompt_tokens += q->ids.n;
        *refused = q->ids.n == 0 || a.max_new_tokens == 0;
        if (q->ids.n == 0)
            return !http_refuse(r, 400, "invalid_value", "prompt", "a prompt has no token");
        if (*refused)
            return !http_refuse(r, 400, "context_length_exceeded", "prompt",
                                "a prompt of %zu tokens leaves no room for an answer; "
                                "serve.max_len bounds both together",
                                q->ids.n);
        if (!engine_submit(t->box, i, &a, e)) return false;
    }
    return true;
}

enum talk_state talk_pump(struct talk *t, struct http_request *q, struct err *e)
{
    struct engine_event v;

    if (t->ended == t->n) return TALK_DONE;
    if (!engine_wait(t->box, WAIT_MS, &v)) return http_gone(q) ? TALK_GONE : TALK_IDLE;
    struct answer *a = &t->seq[v.index].answer;
    bool ended = a->finish != NULL;
    if (v.end == ENGINE_RUNNING && q->tally.first_s == 0)
        q->tally.first_s = clock_mono_s() - q->begun_s;
    if (!answer_put(a, &v, e)) return TALK_FAILED;
    q->tally.prompt_tokens = t->prompt_tokens;
    q->tally.new_tokens = talk_new_tokens(t);
    if (a->failed) {
        err_set(e, ERR_LIB, "the engine gave a sequence up");
        return TALK_FAILED;
    }
    if (a->finish && !ended) {
        t->ended++;
        if (v.end == ENGINE_RUNNING) engine_cancel(t->box, v.index); /* a stop string */
    }
    return TALK_MORE;
}

bool talk_finish(struct talk *t, struct http_request *q, struct http_reply *r)
{
    struct err e = {0};

    for (;;)
        switch (talk_pump(t, q, &e)) {
        case TALK_MORE:
        case TALK_IDLE:
            continue;
        case TALK_DONE:
            return true;
        case TALK_GONE:
            (void)http_refuse(r, 499, "client_closed_request", NULL, "the client went away");
            return false;
        case TALK_FAILED:
            (void)http_refuse(r, 500, "server_error", NULL, "the server failed to answer");
            return false;
        }
}

uint64_t talk_new_tokens(const struct talk *t)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < t->n; i++)
        n += t->seq[i].answer.count;
    return n;
}

void talk_usage(const struct talk *t, struct jot *j)
{
    uint64_t made = talk_new_tokens(t);

    jot_put(j, "{");
    jot_count(j, "prompt_tokens", t->prompt_tokens);
    jot_count(j, "completion_tokens", made);
    jot_count(j, "total_tokens", t->prompt_tokens + made);
    jot_put(j, "}");
}
