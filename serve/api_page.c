/* The page, and its one-shot use by a plain form where there is no JavaScript. */
#include "base/html.h"
#include "serve/form.h"
#include "serve/talk.h"

enum { HTML_BYTES = 16 << 20 };

/* ---- pieces */

/* Check boxes of what can answer; those in chosen (or the default) are set. */
static void put_choices(const struct server *s, const struct form *chosen, struct html *h)
{
    size_t n;
    const struct shelf_model *m = shelf_models(s->shelf, &n);
    const struct shelf_model *first = shelf_find(s->shelf, (struct str){0});

    for (size_t i = 0; i < n; i++) {
        bool on = !chosen && &m[i] == first;
        for (size_t k = 0; chosen && k < chosen->n; k++)
            on = on || (str_eqz(chosen->field[k].name, "adapter") &&
                        str_eqz(chosen->field[k].value, m[i].id));
        HTML(h, "<label><input type=\"checkbox\" name=\"adapter\" value=\"");
        html_text(h, str_of(m[i].id));
        HTML(h, on ? "\" checked> " : "\"> ");
        html_text(h, str_of(m[i].id));
        HTML(h, "</label>\n");
    }
}

static void put_quote(struct html *h, const char *head, struct str text, struct facts_span at)
{
    if (at.to == 0) return;
    HTML(h, " %s <q>", head);
    html_text(h, str_sub(text, at.from, at.to));
    HTML(h, "</q>");
}

static bool put_flags(const struct server *s, const struct ask *o, struct str text, struct arena *a,
                      struct html *h)
{
    struct facts_result v;
    struct sbuf source;
    bool ok;

    sbuf_init(&source, HTML_BYTES);
    ok = sbuf_put(&source, o->findings, h->e) && sbuf_putc(&source, '\n', h->e) &&
         sbuf_put(&source, o->clinical, h->e) &&
         facts_check(s->facts, text, o->reference, sbuf_str(&source), a, &v, h->e);
    if (ok) {
        HTML(h, "<p>Rule check: %.0f of 100; remarks: %zu.</p>\n<ul>\n", v.score, v.nflags);
        for (size_t i = 0; i < v.nflags; i++) {
            HTML(h, "<li>%s, %s:", facts_kind_names[v.flags[i].kind],
                 facts_significance_names[v.flags[i].significance]);
            put_quote(h, "impression", text, v.flags[i].generated);
            put_quote(h, "source", sbuf_str(&source), v.flags[i].source);
            put_quote(h, "reference", o->reference, v.flags[i].reference);
            HTML(h, "</li>\n");
        }
        HTML(h, "</ul>\n");
    }
    sbuf_free(&source);
    return ok;
}

static bool put_answer(const struct talk *t, uint32_t i, struct arena *a, struct html *h)
{
    struct str text = sbuf_str(&t->seq[i].answer.text);
    size_t n;
    const struct shelf_model *m = t->seq[i].model, *base = shelf_models(t->s->shelf, &n);

    HTML(h, "<article class=\"card\"><h3>");
    html_text(h, str_of(m->id));
    HTML(h, "</h3>\n<p class=\"imp\">");
    html_text(h, text);
    HTML(h, "</p>\n");
    if (!put_flags(t->s, t->ask, text, a, h)) return false;
    HTML(h,
         "<p class=\"meta\">model %.12s, adapter %.12s, prompt %.12s. Research use, not a medical "
         "device.</p></article>\n",
         base->digest, m->adapter < 0 ? "none" : m->digest, shelf_prompt_digest(t->s->shelf));
    return h->ok;
}

/* ---- GET / */

static bool send_page(struct server *s, struct http_reply *r, const struct page_parts *v,
                      struct err *e)
{
    struct html h;

    html_init(&h, HTML_BYTES, e);
    page_render(v, &h);
    sbuf_free(&r->body);
    r->body = h.b;
    r->type = "text/html; charset=utf-8";
    r->csp = page_csp(s->page);
    return h.ok;
}

bool api_page(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct page_parts v = {0};
    char session[GATE_SECRET_BYTES] = "";
    struct html models;

    html_init(&models, HTML_BYTES, e);
    if ((q->ticket.n || q->who == GATE_SOCKET) && gate_enter(s->gate, q->ticket, session)) {
        put_choices(s, NULL, &models);
        v.session = str_of(session);
        v.models = sbuf_str(&models.b);
    } else if (q->ticket.n) {
        v.result = STR("<p class=\"err\" role=\"alert\">This link has been used. The server's "
                       "connect.txt has a new one; or enter the token.</p>");
    }
    bool ok = models.ok && send_page(s, r, &v, e);
    explicit_bzero(session, sizeof session);
    sbuf_free(&models.b);
    return ok;
}

/* ---- POST /radmill/form */

/* The session that the form shows, or a new one for a token. */
static bool let_in(struct server *s, struct str shown, char session[GATE_SECRET_BYTES])
{
    switch (gate_check(s->gate, shown)) {
    case GATE_SESSION:
        memcpy(session, shown.p, shown.n);
        session[shown.n] = 0;
        return true;
    case GATE_TOKEN:
    case GATE_SOCKET:
        return gate_enter(s->gate, shown, session);
    case GATE_NOBODY:
        return false;
    }
    UNREACHABLE();
}

static void read_ask(const struct form *f, struct ask *o)
{
    *o = (struct ask){.max_tokens = -1, .n = 1};
    o->findings = form_get(f, "findings");
    o->clinical = form_get(f, "clinical");
    o->reference = form_get(f, "reference");
    for (size_t i = 0; i < f->n && o->nadapters < 3; i++)
        if (str_eqz(f->field[i].name, "adapter")) o->adapters[o->nadapters++] = f->field[i].value;
}

/* What went wrong, as HTML: the reply's body is JSON then. */
static void put_refusal(struct http_reply *r, const char *text, struct html *h)
{
    if (r->status == 200) r->status = 400;
    HTML(h, "<p class=\"err\" role=\"alert\">%s</p>", text);
}

static bool answer_form(struct server *s, struct http_request *q, struct http_reply *r,
                        const struct ask *o, struct html *h)
{
    struct talk *t;
    bool refused, ok = true;

    if (!impression_open(s, o, &t, r, &refused, h->e)) {
        if (refused)
            put_refusal(r,
                        "The form cannot be answered: some findings are needed, and they must "
                        "fit the model.",
                        h);
        return refused;
    }
    if (talk_finish(t, q, r))
        for (uint32_t i = 0; ok && i < t->n; i++)
            ok = put_answer(t, i, &q->arena, h);
    else
        put_refusal(r, "The server failed to answer.", h);
    talk_close(t);
    return ok && h->ok;
}

static bool send_answer(struct server *s, struct http_request *q, struct http_reply *r,
                        const struct form *f, struct str session, struct err *e)
{
    struct html models, result;
    struct ask o;

    html_init(&models, HTML_BYTES, e);
    html_init(&result, HTML_BYTES, e);
    read_ask(f, &o);
    put_choices(s, f, &models);
    bool ok = models.ok && answer_form(s, q, r, &o, &result);
    struct page_parts v = {session,     o.findings,          o.clinical,
                           o.reference, sbuf_str(&models.b), sbuf_str(&result.b)};
    ok = ok && send_page(s, r, &v, e);
    sbuf_free(&result.b);
    sbuf_free(&models.b);
    return ok;
}

bool api_form(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    struct page_parts v = {0};
    char session[GATE_SECRET_BYTES] = "";
    struct form *f = arena_alloc(&q->arena, sizeof *f, e);
    bool ok;

    if (!f) return false;
    if (!form_parse(q->body, &q->arena, f, e)) {
        if (e->code != ERR_FORMAT && e->code != ERR_LIMIT) return false;
        err_clear(e);
        return http_refuse(r, 400, "invalid_form", NULL, "the form cannot be read");
    }
    if (!let_in(s, form_get(f, "session"), session)) {
        r->status = 401;
        v.result = STR("<p class=\"err\" role=\"alert\">No valid token: enter it above.</p>");
        ok = send_page(s, r, &v, e);
    } else if (!gate_rate_ok(s->gate, str_of(session), &r->retry_after_s)) {
        ok = http_refuse(r, 429, "rate_limit_exceeded", NULL, "over serve.rate requests a minute");
    } else {
        ok = send_answer(s, q, r, f, str_of(session), e);
    }
    explicit_bzero(session, sizeof session);
    return ok;
}
