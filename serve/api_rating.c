/* /radmill/rating: a reader's grade of one answer, for the label file that serve.ratings names. */
#include <stdio.h>

#include "serve/server.h"

enum { TOOL_BYTES = 256 };

/* "radmill serve 0.1.0; model 0123456789ab, adapter ...": which weights were graded. */
static void name_tool(const struct server *s, const struct shelf_model *m, char out[TOOL_BYTES])
{
    size_t n;

    (void)snprintf(out, TOOL_BYTES, "radmill serve %s; model %.12s, adapter %.12s, prompt %.12s",
                   s->job->version, shelf_models(s->shelf, &n)->digest,
                   m->adapter < 0 ? "none" : m->digest, shelf_prompt_digest(s->shelf));
}

static struct factlabel label_of(const struct ask *o, const struct shelf_model *m, const char *tool)
{
    struct factlabel l = {.clinical = o->clinical,
                          .findings = o->findings,
                          .reference = o->reference,
                          .generated = o->generated,
                          .system = str_of(m->id),
                          .rater = o->rater.n ? o->rater : STR("page"),
                          .tool = str_of(tool),
                          .overall = (int)o->overall,
                          .seconds = o->seconds};

    for (int i = 0; i < FACTLABEL_SCALES; i++)
        l.scales[i] = (int)o->scales[i];
    return l;
}

bool api_rating(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct server *s = ctx;
    const struct shelf_model *m;
    char tool[TOOL_BYTES];
    struct ask *o = arena_alloc(&q->arena, sizeof *o, e);
    bool refused;

    if (!o) return false;
    if (!s->ratings)
        return http_refuse(r, 404, "not_collected", NULL,
                           "no grades are collected: serve.ratings names no file");
    if (!ask_parse(q->body, ASK_RATING, &q->arena, o, r)) return true;
    m = shelf_find(s->shelf, o->model);
    if (!m)
        return http_refuse(r, 404, "model_not_found", "model",
                           "no model goes by this name; /v1/models lists them");
    name_tool(s, m, tool);
    struct factlabel l = label_of(o, m, tool);
    if (ratings_add(s->ratings, &l, &refused, e))
        return sbuf_put(&r->body, STR("{\"kept\":true}\n"), e);
    if (!refused) return false;
    (void)http_refuse(r, 400, "invalid_value", NULL, "%s", e->text);
    err_clear(e);
    return true;
}
