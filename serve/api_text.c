/* /v1/completions and /v1/chat/completions, whole and streamed. */
#include "base/clock.h"
#include "base/mem.h"
#include "serve/talk.h"

enum { PING_S = 15 }; /* a comment line so often keeps proxies from giving a waiting stream up */

static bool is_chat(const struct talk *t)
{
    return t->ask->nmessages > 0;
}

/* ---- logprobs, in OpenAI's two forms */

static struct str piece_of(const struct talk *t, uint32_t id)
{
    return tokenizer_piece(shelf_tokenizer(t->s->shelf), id);
}

static void put_bytes(struct jot *j, struct str s)
{
    jot_put(j, ",\"bytes\":[");
    for (size_t i = 0; i < s.n; i++) {
        if (i) jot_put(j, ",");
        jot_u64(j, (uint8_t)s.p[i]);
    }
    jot_put(j, "]");
}

static void put_chat_token(struct jot *j, const struct talk *t, uint32_t id, float logprob)
{
    struct str s = piece_of(t, id);

    jot_put(j, "{\"token\":");
    jot_str(j, s);
    jot_real(j, "logprob", (double)logprob);
    put_bytes(j, s);
}

static void put_chat_logprobs(struct jot *j, const struct talk *t, const struct answer *a,
                              size_t from, size_t to)
{
    jot_put(j, "{\"content\":[");
    for (size_t i = from; i < to; i++) {
        const struct engine_token *v = &a->tokens[i].token;
        if (i > from) jot_put(j, ",");
        put_chat_token(j, t, v->id, v->logprob);
        jot_put(j, ",\"top_logprobs\":[");
        for (uint32_t k = 0; k < v->ntop; k++) {
            if (k) jot_put(j, ",");
            put_chat_token(j, t, v->top[k].id, v->top[k].logprob);
            jot_put(j, "}");
        }
        jot_put(j, "]}");
    }
    jot_put(j, "],\"refusal\":null}");
}

/* A token's text; part of a character as OpenAI writes it, bytes:\\xe2, since keys must differ. */
static void put_token_text(struct jot *j, struct str s)
{
    struct sbuf b;

    if (str_is_utf8(s)) {
        jot_str(j, s);
        return;
    }
    sbuf_init(&b, 4 * s.n + 8);
    j->ok = j->ok && sbuf_put(&b, STR("bytes:"), j->e);
    for (size_t i = 0; i < s.n; i++)
        j->ok = j->ok && sbuf_printf(&b, j->e, "\\x%02x", (unsigned)(uint8_t)s.p[i]);
    jot_str(j, sbuf_str(&b));
    sbuf_free(&b);
}

/* {"token": logprob, ...}; of two tokens with one text the likelier. */
static void put_top(struct jot *j, const struct talk *t, const struct engine_token *v)
{
    bool first = true;

    jot_put(j, "{");
    for (uint32_t k = 0; k < v->ntop; k++) {
        bool again = false;
        for (uint32_t i = 0; i < k; i++)
            again = again || str_eq(piece_of(t, v->top[i].id), piece_of(t, v->top[k].id));
        if (again) continue;
        if (!first) jot_put(j, ",");
        first = false;
        put_token_text(j, piece_of(t, v->top[k].id));
        jot_put(j, ":");
        jot_f64(j, (double)v->top[k].logprob);
    }
    jot_put(j, "}");
}

/* Characters in the first n bytes of an answer. */
static size_t characters(const struct answer *a, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n && i < a->text.n; i++)
        count += ((unsigned char)a->text.p[i] & 0xc0) != 0x80;
    return count;
}

static void put_text_logprobs(struct jot *j, const struct talk *t, const struct answer *a,
                              size_t from, size_t to)
{
    jot_put(j, "{\"tokens\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) jot_put(j, ",");
        put_token_text(j, piece_of(t, a->tokens[i].token.id));
    }
    jot_put(j, "],\"token_logprobs\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) jot_put(j, ",");
        jot_f64(j, (double)a->tokens[i].token.logprob);
    }
    jot_put(j, "],\"top_logprobs\":");
    jot_put(j, t->ask->top_logprobs ? "[" : "null");
    for (size_t i = from; t->ask->top_logprobs && i < to; i++) {
        if (i > from) jot_put(j, ",");
        put_top(j, t, &a->tokens[i].token);
    }
    jot_put(j, t->ask->top_logprobs ? "],\"text_offset\":[" : ",\"text_offset\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) jot_put(j, ",");
        jot_u64(j, characters(a, a->tokens[i].at));
    }
    jot_put(j, "]}");
}

static void put_logprobs(struct jot *j, const struct talk *t, const struct answer *a, size_t from,
                         size_t to)
{
    jot_key(j, "logprobs");
    if (!t->ask->logprobs)
        jot_put(j, "null");
    else if (is_chat(t))
        put_chat_logprobs(j, t, a, from, to);
    else
        put_text_logprobs(j, t, a, from, to);
}

/* ---- objects */

static void put_head(struct jot *j, const struct talk *t, const char *object)
{
    char print[16] = "rm_";

    memcpy(print + 3, t->seq[0].model->digest, 12);
    print[15] = 0;
    jot_put(j, "{");
    jot_pair(j, "id", t->id);
    jot_pair(j, "object", object);
    jot_count(j, "created", (uint64_t)t->created_s);
    jot_pair(j, "model", t->seq[0].model->id);
    jot_pair(j, "system_fingerprint", print);
    jot_key(j, "choices");
    jot_put(j, "[");
}

static void put_choice(struct jot *j, struct talk *t, uint32_t i)
{
    struct answer *a = &t->seq[i].answer;
    size_t from, to;
    struct str text = answer_take(a, &from, &to);

    jot_put(j, i ? ",{" : "{");
    jot_count(j, "index", i);
    if (is_chat(t)) {
        jot_key(j, "message");
        jot_put(j, "{\"role\":\"assistant\",\"content\":");
        jot_str(j, text);
        jot_put(j, ",\"refusal\":null}");
    } else {
        jot_key(j, "text");
        jot_str(j, text);
    }
    put_logprobs(j, t, a, from, to);
    jot_pair(j, "finish_reason", a->finish);
    jot_put(j, "}");
}

static bool whole(struct talk *t, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct jot j = jot_begin(&r->body, e);

    if (!talk_finish(t, q, r)) return true;
    put_head(&j, t, is_chat(t) ? "chat.completion" : "text_completion");
    for (uint32_t i = 0; i < t->n; i++)
        put_choice(&j, t, i);
    jot_put(&j, "]");
    jot_key(&j, "usage");
    talk_usage(t, &j);
    jot_put(&j, "}\n");
    return j.ok;
}

/* ---- streams: server-sent events */

static void begin_event(struct jot *j, const struct talk *t)
{
    jot_put(j, "data: ");
    put_head(j, t, is_chat(t) ? "chat.completion.chunk" : "text_completion");
}

static void end_event(struct jot *j, const struct talk *t)
{
    jot_put(j, "]");
    if (t->ask->include_usage) jot_put(j, ",\"usage\":null");
    jot_put(j, "}\n\n");
}

static void put_first(struct jot *j, const struct talk *t)
{
    for (uint32_t i = 0; is_chat(t) && i < t->n; i++) {
        begin_event(j, t);
        jot_put(j, "{");
        jot_count(j, "index", i);
        jot_put(j, ",\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                   "\"finish_reason\":null}");
        end_event(j, t);
    }
}

static void put_delta(struct jot *j, struct talk *t, uint32_t i)
{
    struct answer *a = &t->seq[i].answer;
    size_t from, to;
    struct str text = answer_take(a, &from, &to);

    if (text.n || to > from) {
        begin_event(j, t);
        jot_put(j, "{");
        jot_count(j, "index", i);
        jot_put(j, is_chat(t) ? ",\"delta\":{\"content\":" : ",\"text\":");
        jot_str(j, text);
        if (is_chat(t)) jot_put(j, "}");
        put_logprobs(j, t, a, from, to);
        jot_put(j, ",\"finish_reason\":null}");
        end_event(j, t);
    }
    if (!a->finish || t->seq[i].told) return;
    t->seq[i].told = true;
    begin_event(j, t);
    jot_put(j, "{");
    jot_count(j, "index", i);
    jot_put(j, is_chat(t) ? ",\"delta\":{}" : ",\"text\":\"\"");
    jot_put(j, ",\"logprobs\":null");
    jot_pair(j, "finish_reason", a->finish);
    jot_put(j, "}");
    end_event(j, t);
}

static void put_last(struct jot *j, const struct talk *t)
{
    if (t->ask->include_usage) {
        begin_event(j, t);
        jot_put(j, "]");
        jot_key(j, "usage");
        talk_usage(t, j);
        jot_put(j, "}\n\n");
    }
    jot_put(j, "data: [DONE]\n\n");
}

static enum http_more stream(void *ctx, struct http_request *q, struct sbuf *out)
{
    struct talk *t = ctx;
    struct err e = {0};
    struct jot j = jot_begin(out, &e);

    if (!t->begun) {
        t->begun = true;
        put_first(&j, t);
        if (out->n) return j.ok ? HTTP_MORE : HTTP_BROKEN;
    }
    switch (talk_pump(t, q, &e)) {
    case TALK_IDLE:
        if (clock_mono_s() - t->heard_s > PING_S) jot_put(&j, ": working\n\n");
        break;
    case TALK_MORE:
        for (uint32_t i = 0; i < t->n; i++)
            put_delta(&j, t, i);
        break;
    case TALK_DONE:
        put_last(&j, t);
        return j.ok ? HTTP_END : HTTP_BROKEN;
    case TALK_GONE:
        return HTTP_BROKEN;
    case TALK_FAILED:
        jot_put(&j, "data: {\"error\":{\"message\":\"the server failed to answer\",\"type\":"
                    "\"server_error\",\"param\":null,\"code\":\"server_error\"}}\n\n");
        return j.ok ? HTTP_END : HTTP_BROKEN;
    }
    if (out->n) t->heard_s = clock_mono_s();
    return j.ok ? HTTP_MORE : HTTP_BROKEN;
}

/* ---- handlers */

static bool prompts_to_ids(struct talk *t, struct http_reply *r, bool *refused, struct err *e)
{
    const struct ask *o = t->ask;
    uint32_t vocab = tokenizer_info(shelf_tokenizer(t->s->shelf)).vocab_size;

    for (uint32_t i = 0; i < t->n; i++) {
        const struct ask_prompt *p = &o->prompts[i / o->n];
        struct tok_ids *to = &t->seq[i].ids;
        for (size_t k = 0; k < p->n && !p->text.p; k++) {
            *refused = p->ids[k] >= vocab;
            if (*refused)
                return !http_refuse(r, 400, "invalid_value", "prompt", "token ids must be below %u",
                                    vocab);
            if (!tok_ids_put(to, p->ids[k], e)) return false;
        }
        if (p->text.p && !shelf_encode(t->s->shelf, p->text, to, e)) return false;
    }
    return true;
}

/* A chat's messages; roles that do not fit the model's format are the client's mistake. */
static bool messages_to_ids(struct talk *t, struct http_reply *r, bool *refused, struct err *e)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (shelf_chat(t->s->shelf, t->ask->messages, t->ask->nmessages, &t->seq[i].ids, e))
            continue;
        *refused = e->code == ERR_FORMAT || e->code == ERR_CONFIG;
        if (!*refused) return false;
        (void)http_refuse(r, 400, "invalid_value", "messages", "%s", e->text);
        err_clear(e);
        return false;
    }
    return true;
}

static bool answer_request(struct server *s, struct http_request *q, struct http_reply *r,
                           struct ask *o, struct err *e)
{
    const struct shelf_model *model = shelf_find(s->shelf, o->model);
    bool chat = o->nmessages > 0, refused = false, ok = false;
    struct talk *t = NULL;

    if (!model)
        return http_refuse(r, 404, "model_not_found", "model",
                           "no model goes by this name; /v1/models lists them");
    uint32_t n = o->n * (uint32_t)(chat ? 1 : o->nprompts);
    if (!talk_open(s, o, n, chat ? "chatcmpl-" : "cmpl-", &t, e)) goto out;
    for (uint32_t i = 0; i < n; i++)
        t->seq[i].model = model;
    if (!(chat ? messages_to_ids(t, r, &refused, e) : prompts_to_ids(t, r, &refused, e))) goto out;
    if (!talk_start(t, r, &refused, e)) goto out;
    if (!o->stream) {
        ok = whole(t, q, r, e);
        goto out;
    }
    r->type = "text/event-stream; charset=utf-8";
    r->stream = stream;
    r->stream_ctx = t;
    r->stream_free = talk_close;
    return true;
out:
    talk_close(t);
    return ok || refused;
}

static bool handle(void *ctx, struct http_request *q, struct http_reply *r, enum ask_kind kind,
                   struct err *e)
{
    struct ask *o = arena_alloc(&q->arena, sizeof *o, e);

    if (!o) return false;
    return !ask_parse(q->body, kind, &q->arena, o, r) || answer_request(ctx, q, r, o, e);
}

bool api_completions(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    return handle(ctx, q, r, ASK_COMPLETION, e);
}

bool api_chat(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    return handle(ctx, q, r, ASK_CHAT, e);
}
