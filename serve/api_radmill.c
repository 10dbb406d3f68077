/* /radmill/impression and /radmill/check: what the page asks, open to programs too. */
#include "base/clock.h"
#include "base/log.h"
#include "serve/talk.h"
#include "serve/verdict.h"

static void put_models(struct jot *j, const struct talk *t)
{
    size_t n;
    const struct shelf_model *base = shelf_models(t->s->shelf, &n);

    jot_pair(j, "model", base->id);
    jot_pair(j, "model_digest", base->digest);
    jot_pair(j, "prompt_digest", shelf_prompt_digest(t->s->shelf));
}

static void put_who(struct jot *j, const struct talk *t, uint32_t i)
{
    const struct shelf_model *m = t->seq[i].model;

    jot_count(j, "index", i);
    jot_pair(j, "adapter", m->id);
    jot_pair(j, "adapter_digest", m->adapter < 0 ? NULL : m->digest);
    jot_count(j, "cut_tokens", t->seq[i].cut);
}

/* "tokens": [["text", logprob], ...]. The first bytes of a character have no text of their own. */
static void put_tokens(struct jot *j, const struct talk *t, const struct answer *a, size_t from,
                       size_t to)
{
    if (!t->ask->logprobs) return;
    jot_key(j, "tokens");
    jot_put(j, "[");
    for (size_t i = from; i < to; i++) {
        size_t end = i + 1 < a->ntokens ? a->tokens[i + 1].at : a->text.n;
        jot_put(j, i > from ? ",[" : "[");
        jot_str(j, str_sub(sbuf_str(&a->text), a->tokens[i].at, end));
        jot_put(j, ",");
        jot_f64(j, (double)a->tokens[i].token.logprob);
        jot_put(j, "]");
    }
    jot_put(j, "]");
}

static bool put_verdict(struct jot *j, const struct talk *t, uint32_t i, struct arena *a)
{
    struct verdict_texts v = {sbuf_str(&t->seq[i].answer.text), t->ask->reference, t->ask->findings,
                              t->ask->clinical};

    return j->ok && verdict_put(t->s->facts, &v, a, j);
}

static bool keep(const struct talk *t, uint32_t i, struct err *e)
{
    size_t n;
    const struct shelf_model *m = t->seq[i].model;
    struct history_entry v = {
        .model = shelf_models(t->s->shelf, &n)->digest,
        .adapter = m->id,
        .adapter_digest = m->adapter < 0 ? NULL : m->digest,
        .findings = t->ask->findings,
        .clinical = t->ask->clinical,
        .impression = sbuf_str(&t->seq[i].answer.text),
    };

    return !t->s->history || history_add(t->s->history, &v, e);
}

/* ---- whole */

static bool put_result(struct jot *j, struct talk *t, uint32_t i, struct arena *a)
{
    struct answer *ans = &t->seq[i].answer;
    size_t from, to;
    struct str text = answer_take(ans, &from, &to);

    jot_put(j, i ? ",{" : "{");
    put_who(j, t, i);
    jot_key(j, "impression");
    jot_str(j, text);
    put_tokens(j, t, ans, from, to);
    jot_pair(j, "finish_reason", ans->finish);
    if (!put_verdict(j, t, i, a)) return false;
    jot_put(j, "}");
    return keep(t, i, j->e);
}

static bool whole(struct talk *t, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct jot j = jot_begin(&r->body, e);

    if (!talk_finish(t, q, r)) return true;
    jot_put(&j, "{");
    jot_pair(&j, "id", t->id);
    jot_pair(&j, "object", "radmill.impression");
    jot_count(&j, "created", (uint64_t)t->created_s);
    put_models(&j, t);
    jot_key(&j, "results");
    jot_put(&j, "[");
    for (uint32_t i = 0; i < t->n; i++)
        if (!put_result(&j, t, i, &q->arena)) return false;
    jot_put(&j, "]");
    jot_key(&j, "usage");
    talk_usage(t, &j);
    jot_put(&j, "}\n");
    return j.ok;
}

/* ---- streamed: start, delta..., done (each adapter), end */

static void put_start(struct jot *j, const struct talk *t)
{
    jot_put(j, "data: {\"type\":\"start\"");
    put_models(j, t);
    jot_key(j, "results");
    jot_put(j, "[");
    for (uint32_t i = 0; i < t->n; i++) {
        jot_put(j, i ? ",{" : "{");
        put_who(j, t, i);
        jot_put(j, "}");
    }
    jot_put(j, "]}\n\n");
}

static bool put_delta(struct jot *j, struct talk *t, uint32_t i, struct arena *a)
{
    struct answer *ans = &t->seq[i].answer;
    size_t from, to;
    struct str text = answer_take(ans, &from, &to);

    if (text.n || to > from) {
        jot_put(j, "data: {\"type\":\"delta\"");
        jot_count(j, "index", i);
        jot_key(j, "text");
        jot_str(j, text);
        put_tokens(j, t, ans, from, to);
        jot_put(j, "}\n\n");
    }
    if (!ans->finish || t->seq[i].told) return j->ok;
    t->seq[i].told = true;
    jot_put(j, "data: {\"type\":\"done\"");
    jot_count(j, "index", i);
    jot_pair(j, "finish_reason", ans->finish);
    if (!put_verdict(j, t, i, a)) return false;
    jot_put(j, "}\n\n");
    return j->ok && keep(t, i, j->e);
}

static bool put_ready(struct jot *j, struct talk *t, struct arena *a)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (!put_delta(j, t, i, a)) return false;
    return true;
}

static enum http_more stream(void *ctx, struct http_request *q, struct sbuf *out)
{
    struct talk *t = ctx;
    struct err e = {0};
    struct jot j = jot_begin(out, &e);

    if (!t->begun) {
        t->begun = true;
        put_start(&j, t);
        return j.ok ? HTTP_MORE : HTTP_BROKEN;
    }
    enum talk_state state = talk_pump(t, q, &e);
    if (state == TALK_GONE) return HTTP_BROKEN;
    if (state == TALK_MORE && !put_ready(&j, t, &q->arena)) state = TALK_FAILED;
    if (state == TALK_DONE) {
        jot_put(&j, "data: {\"type\":\"end\"");
        jot_key(&j, "usage");
        talk_usage(t, &j);
        jot_put(&j, "}\n\ndata: [DONE]\n\n");
        return j.ok ? HTTP_END : HTTP_BROKEN;
    }
    if (state != TALK_FAILED) return HTTP_MORE;
    log_error("request_failed", "route=/radmill/impression code=%s error=%s", err_code_name(e.code),
              e.text);
    sbuf_clear(out);
    err_clear(&e);
    j = jot_begin(out, &e);
    jot_put(&j, "data: {\"type\":\"error\",\"message\":\"the server failed to answer\"}\n\n");
    return j.ok ? HTTP_END : HTTP_BROKEN;
}

/* ---- handlers */

static bool find_models(struct server *s, const struct ask *o, const struct shelf_model **out,
                        struct http_reply *r)
{
    for (size_t i = 0; i < o->nadapters || i == 0; i++) {
        out[i] = shelf_find(s->shelf, o->nadapters ? o->adapters[i] : o->model);
        if (out[i]) continue;
        (void)http_refuse(r, 404, "model_not_found", "adapters",
                          "no model goes by this name; /v1/models lists them");
        return false;
    }
    return true;
}

bool impression_open(struct server *s, const struct ask *o, struct talk **out, struct http_reply *r,
                     bool *refused, struct err *e)
{
    const struct shelf_model *models[ASK_ADAPTERS_MAX];
    uint32_t n = o->nadapters ? (uint32_t)o->nadapters : 1;
    uint32_t want = o->max_tokens > 0 && o->max_tokens < s->job->serve->max_len
                        ? (uint32_t)o->max_tokens
                        : s->job->serve->max_new_tokens;
    struct talk *t = NULL;

    *out = NULL;
    *refused = true;
    if (str_trim(o->findings).n == 0 && str_trim(o->clinical).n == 0) {
        (void)http_refuse(r, 400, "invalid_value", "findings", "findings: some text is needed");
        return false;
    }
    if (!find_models(s, o, models, r)) return false;
    *refused = false;
    if (!talk_open(s, o, n, "imp-", &t, e)) return false;
    for (uint32_t i = 0; i < n; i++) {
        t->seq[i].model = models[i];
        t->seq[i].answer.trim = true;
        if (!shelf_impression(s->shelf, o->findings, o->clinical, want, &t->seq[i].ids,
                              &t->seq[i].cut, e))
            goto fail;
    }
    if (!talk_start(t, r, refused, e)) goto fail;
    *out = t;
    return true;
fail:
    talk_close(t);
    return false;
}

bool api_impression(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct ask *o = arena_alloc(&q->arena, sizeof *o, e);
    struct talk *t;
    bool refused;

    if (!o) return false;
    if (!ask_parse(q->body, ASK_IMPRESSION, &q->arena, o, r)) return true;
    if (!impression_open(ctx, o, &t, r, &refused, e)) return refused;
    if (!o->stream) {
        bool ok = whole(t, q, r, e);
        talk_close(t);
        return ok;
    }
    r->type = "text/event-stream; charset=utf-8";
    r->stream = stream;
    r->stream_ctx = t;
    r->stream_free = talk_close;
    return true;
}

bool api_check(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct jot j = jot_begin(&r->body, e);
    struct ask o;

    if (!ask_parse(q->body, ASK_CHECK, &q->arena, &o, r)) return true;
    struct verdict_texts v = {o.generated, o.reference, o.findings, o.clinical};
    jot_put(&j, "{");
    jot_pair(&j, "object", "radmill.check");
    if (!verdict_put(s->facts, &v, &q->arena, &j)) {
        if (e->code != ERR_LIMIT) return false;
        (void)http_refuse(r, 400, "too_long", NULL, "%s", e->text);
        err_clear(e);
        return true;
    }
    jot_put(&j, "}\n");
    return j.ok;
}
