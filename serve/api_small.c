/* Models, embeddings, health, metrics, and the doors of sessions. */
#include "base/mem.h"
#include "serve/base64.h"
#include "serve/form.h"
#include "serve/server.h"

/* ---- /v1/models */

static void put_model(struct jot *j, const char *id, const char *kind, const char *digest)
{
    jot_put(j, "{");
    jot_pair(j, "id", id);
    jot_pair(j, "object", "model");
    jot_put(j, ",\"created\":0,\"owned_by\":\"radmill\"");
    jot_pair(j, "radmill_kind", kind);
    if (digest) jot_pair(j, "radmill_digest", digest);
    jot_put(j, "}");
}

bool api_models(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct jot j = jot_begin(&r->body, e);
    size_t n;
    const struct shelf_model *m = shelf_models(s->shelf, &n);

    (void)q;
    jot_put(&j, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i) jot_put(&j, ",");
        put_model(&j, m[i].id, m[i].adapter < 0 ? "base" : "adapter", m[i].digest);
    }
    if (shelf_encoder(s->shelf)) {
        jot_put(&j, ",");
        put_model(&j, shelf_encoder(s->shelf), "encoder", NULL);
    }
    jot_put(&j, "]}\n");
    return j.ok;
}

bool api_model(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct jot j = jot_begin(&r->body, e);
    const char *encoder = shelf_encoder(s->shelf);
    const struct shelf_model *m = NULL;
    struct str id;

    if (form_path(q->tail, &q->arena, &id, e)) m = shelf_find(s->shelf, id);
    if (e->code == ERR_NOMEM || e->code == ERR_LIMIT) return false;
    if (e->code == ERR_NONE && m) {
        put_model(&j, m->id, m->adapter < 0 ? "base" : "adapter", m->digest);
    } else if (e->code == ERR_NONE && encoder && str_eqz(id, encoder)) {
        put_model(&j, encoder, "encoder", NULL);
    } else {
        err_clear(e);
        return http_refuse(r, 404, "model_not_found", "model",
                           "no model goes by this name; /v1/models lists them");
    }
    jot_put(&j, "\n");
    return j.ok;
}

/* ---- /v1/embeddings */

struct embedding {
    struct shelf *shelf;
    struct tok_ids ids;
    uint32_t cu[ASK_SEQUENCES_MAX + 1], n;
    float *rows;
};

static bool embed(void *ctx, struct err *e)
{
    struct embedding *v = ctx;

    return shelf_embed(v->shelf, v->ids.ids, v->cu, v->n, v->rows, e);
}

static bool put_vector(struct jot *j, const float *row, uint32_t d, bool base64)
{
    if (base64) {
        jot_put(j, "\"");
        j->ok = j->ok && base64_put(j->b, row, d * sizeof *row, j->e);
        jot_put(j, "\"");
        return j->ok;
    }
    jot_put(j, "[");
    for (uint32_t k = 0; k < d; k++) {
        if (k) jot_put(j, ",");
        jot_f64(j, (double)row[k]);
    }
    jot_put(j, "]");
    return j->ok;
}

static bool put_embeddings(const struct embedding *v, bool base64, struct http_reply *r,
                           struct err *e)
{
    uint32_t d = shelf_embedding_size(v->shelf);
    struct jot j = jot_begin(&r->body, e);

    jot_put(&j, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < v->n; i++) {
        jot_put(&j, i ? ",{" : "{");
        jot_pair(&j, "object", "embedding");
        jot_count(&j, "index", i);
        jot_key(&j, "embedding");
        if (!put_vector(&j, v->rows + (size_t)i * d, d, base64)) return false;
        jot_put(&j, "}");
    }
    jot_put(&j, "]");
    jot_pair(&j, "model", shelf_encoder(v->shelf));
    jot_put(&j, ",\"usage\":{");
    jot_count(&j, "prompt_tokens", v->ids.n);
    jot_count(&j, "total_tokens", v->ids.n);
    jot_put(&j, "}}\n");
    return j.ok;
}

/* False with *refused: r says why. */
static bool sequences(struct embedding *v, const struct ask *o, struct http_reply *r, bool *refused,
                      struct err *e)
{
    *refused = false;
    for (size_t i = 0; i < o->nprompts; i++) {
        *refused = !o->prompts[i].text.p;
        if (*refused)
            return !http_refuse(r, 400, "invalid_value", "input",
                                "input: texts are needed, not ids");
        if (!shelf_encode_sequence(v->shelf, o->prompts[i].text, &v->ids, e)) {
            *refused = e->code == ERR_LIMIT;
            if (!*refused) return false;
            (void)http_refuse(r, 400, "context_length_exceeded", "input", "%s", e->text);
            err_clear(e);
            return false;
        }
        v->cu[++v->n] = (uint32_t)v->ids.n;
    }
    return true;
}

bool api_embeddings(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct embedding v = {.shelf = s->shelf};
    bool refused = false, ok = false;
    struct ask o;

    if (!ask_parse(q->body, ASK_EMBEDDING, &q->arena, &o, r)) return true;
    if (!shelf_encoder(s->shelf))
        return http_refuse(r, 404, "model_not_found", "model",
                           "no encoder is served: serve.encoder names none");
    if (o.model.n && !str_eqz(o.model, shelf_encoder(s->shelf)))
        return http_refuse(r, 404, "model_not_found", "model",
                           "no encoder goes by this name; /v1/models lists it");
    if (!sequences(&v, &o, r, &refused, e)) goto out;
    v.rows = mem_calloc((size_t)v.n * shelf_embedding_size(s->shelf), sizeof *v.rows, e);
    if (!v.rows || !engine_call(s->engine, embed, &v, e)) goto out;
    q->tally.prompt_tokens = v.ids.n;
    ok = put_embeddings(&v, o.base64, r, e);
out:
    mem_free(v.rows);
    tok_ids_free(&v.ids);
    return ok || refused;
}

/* ---- health and metrics */

bool api_health(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;

    (void)q;
    if (!engine_alive(s->engine, NULL))
        return http_refuse(r, 503, "engine_failed", NULL, "the engine has failed");
    return sbuf_put(&r->body, STR("{\"status\":\"ok\"}\n"), e);
}

bool api_metrics(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct engine_load l = engine_load(s->engine);

    (void)q;
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    return http_metrics(s->http, &r->body, e) &&
           sbuf_printf(&r->body, e,
                       "# TYPE radmill_sequences gauge\n"
                       "radmill_sequences{state=\"waiting\"} %u\n"
                       "radmill_sequences{state=\"running\"} %u\n"
                       "# TYPE radmill_steps_total counter\nradmill_steps_total %llu\n"
                       "# TYPE radmill_sessions gauge\nradmill_sessions %u\n"
                       "# TYPE radmill_memory_peak_bytes gauge\nradmill_memory_peak_bytes %llu\n",
                       l.waiting, l.running, (unsigned long long)l.steps, gate_sessions(s->gate),
                       (unsigned long long)mem_peak_rss_bytes());
}

/* ---- sessions */

bool api_enter(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct jot j = jot_begin(&r->body, e);
    char session[GATE_SECRET_BYTES];
    struct ask o;

    if (!ask_parse(q->body, ASK_ENTER, &q->arena, &o, r)) return true;
    if (!gate_enter(s->gate, o.secret, session))
        return http_refuse(r, 401, "invalid_api_key", NULL, "neither a token nor an unused link");
    jot_put(&j, "{");
    jot_pair(&j, "session", session);
    jot_put(&j, "}\n");
    explicit_bzero(session, sizeof session);
    return j.ok;
}

bool api_leave(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    gate_leave(((struct server *)ctx)->gate, q->secret);
    return sbuf_put(&r->body, STR("{}\n"), e);
}

/* What the page shows before anything was asked. */
bool api_info(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct jot j = jot_begin(&r->body, e);
    size_t n;
    const struct shelf_model *m = shelf_models(s->shelf, &n);

    (void)q;
    jot_put(&j, "{");
    jot_pair(&j, "version", s->job->version);
    jot_pair(&j, "commit", s->job->commit);
    jot_pair(&j, "prompt_digest", shelf_prompt_digest(s->shelf));
    jot_pair(&j, "check_signature", facts_signature(s->facts));
    jot_key(&j, "clinical");
    jot_put(&j, shelf_uses_clinical(s->shelf) ? "true" : "false");
    jot_key(&j, "history");
    jot_put(&j, s->history ? "true" : "false");
    jot_key(&j, "ratings");
    jot_put(&j, s->ratings ? "true" : "false");
    jot_key(&j, "models");
    jot_put(&j, "[");
    for (size_t i = 0; i < n; i++) {
        jot_put(&j, i ? ",{" : "{");
        jot_pair(&j, "id", m[i].id);
        jot_pair(&j, "kind", m[i].adapter < 0 ? "base" : "adapter");
        jot_pair(&j, "digest", m[i].digest);
        jot_put(&j, "}");
    }
    jot_put(&j, "]}\n");
    return j.ok;
}
