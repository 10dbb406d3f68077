/* Request bodies: any bytes are refused in OpenAI's shape, or give texts that are UTF-8 and within
 * the limits. The first byte chooses the kind, from '1'; '8' is a form. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "serve/ask.h"
#include "serve/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) abort();
}

static void check_ask(const struct ask *o)
{
    const struct str texts[] = {o->model,  o->findings,  o->clinical, o->reference,
                                o->secret, o->generated, o->rater};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        need(str_is_utf8(texts[i]));
    need(o->n >= 1 && o->n <= 16 && o->nprompts <= ASK_SEQUENCES_MAX);
    need(o->nstops <= ASK_STOPS_MAX && o->nadapters <= ASK_ADAPTERS_MAX);
    need(o->top_logprobs <= ASK_TOP_MAX && o->overall <= 5 && o->seconds >= 0);
    for (size_t i = 0; i < o->nstops; i++)
        need(o->stop[i].n > 0 && o->stop[i].n <= ASK_STOP_BYTES);
    for (size_t i = 0; i < o->nprompts; i++)
        need(o->prompts[i].text.p ? str_is_utf8(o->prompts[i].text) : o->prompts[i].ids != NULL);
    for (size_t i = 0; i < o->nmessages; i++)
        need(str_is_utf8(o->messages[i].content));
}

static void check_refusal(const struct http_reply *r)
{
    struct err e = {0};
    json_t *j, *error;
    struct str text;

    need(r->status >= 400 && r->status < 500);
    need(json_parse(sbuf_str(&r->body), "refusal", &j, &e));
    need(json_get_obj(j, "error", &error, &e) && json_get_str(error, "message", &text, &e));
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply r = {0};
    struct form *f;
    struct arena a;
    struct ask o;
    struct err e = {0};
    unsigned kind;

    if (size == 0) return 0;
    kind = (data[0] - '1') & 7u;
    struct str body = {(const char *)data + 1, size - 1};
    arena_init(&a, 1 << 22);
    sbuf_init(&r.body, 1 << 16);
    if (kind == 7) {
        f = arena_alloc(&a, sizeof *f, &e);
        need(f != NULL);
        if (form_parse(body, &a, f, &e))
            for (size_t i = 0; i < f->n; i++)
                need(str_is_utf8(f->field[i].name) && str_is_utf8(f->field[i].value));
    } else if (ask_parse(body, (enum ask_kind)kind, &a, &o, &r)) {
        check_ask(&o);
    } else {
        check_refusal(&r);
    }
    sbuf_free(&r.body);
    arena_free(&a);
    return 0;
}
