#include "serve/ask.h"

#include <math.h>

#include "base/json.h"

struct reader {
    const json_t *root;
    struct arena *a;
    struct ask *out;
    struct http_reply *r;
};

/* False, for `return bad(...)`. */
static bool bad(struct reader *p, const char *param, const char *what)
{
    (void)http_refuse(p->r, 400, "invalid_value", param, "%s: %s", param, what);
    return false;
}

static const json_t *get(const struct reader *p, const char *key)
{
    const json_t *v = json_object_get(p->root, key);
    return json_is_null(v) ? NULL : v;
}

static bool copy(struct reader *p, const json_t *v, struct str *out)
{
    struct err e = {0};
    struct str s = {json_string_value(v), json_string_length(v)};

    if (arena_str(p->a, s, out, &e)) return true;
    (void)http_refuse(p->r, 413, "request_too_large", NULL, "the request takes too much memory");
    return false;
}

static void *room(struct reader *p, size_t n)
{
    struct err e = {0};
    void *v = arena_alloc(p->a, n, &e);

    if (!v)
        (void)http_refuse(p->r, 413, "request_too_large", NULL,
                          "the request takes too much memory");
    return v;
}

/* ---- single members; one that is missing leaves *out alone */

static bool text(struct reader *p, const char *key, struct str *out)
{
    const json_t *v = get(p, key);

    if (!v) return true;
    return json_is_string(v) ? copy(p, v, out) : bad(p, key, "must be a string");
}

static bool flag(struct reader *p, const char *key, bool *out)
{
    const json_t *v = get(p, key);

    if (!v) return true;
    if (!json_is_boolean(v)) return bad(p, key, "must be true or false");
    *out = json_is_true(v);
    return true;
}

static bool whole(struct reader *p, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    const json_t *v = get(p, key);

    if (!v) return true;
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi) {
        (void)http_refuse(p->r, 400, "invalid_value", key,
                          "%s: must be a whole number from %lld to %lld", key, (long long)lo,
                          (long long)hi);
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

static bool number(struct reader *p, const char *key, double lo, double hi, bool *has, double *out)
{
    const json_t *v = get(p, key);

    if (!v) return true;
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(x >= lo && x <= hi)) {
        (void)http_refuse(p->r, 400, "invalid_value", key, "%s: must be a number from %g to %g",
                          key, lo, hi);
        return false;
    }
    *has = true;
    *out = x;
    return true;
}

/* ---- lists */

static bool take_stops(struct reader *p)
{
    const json_t *v = get(p, "stop");
    size_t n = json_is_array(v) ? json_array_size(v) : 1;

    if (!v) return true;
    if (n > ASK_STOPS_MAX) return bad(p, "stop", "too many strings");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(one) || json_string_length(one) == 0 ||
            json_string_length(one) > ASK_STOP_BYTES)
            return bad(p, "stop", "must be one to sixteen strings of 1 to 256 bytes");
        if (!copy(p, one, &p->out->stop[i])) return false;
    }
    p->out->nstops = n;
    return true;
}

static bool take_ids(struct reader *p, const json_t *v, const char *key, struct ask_prompt *out)
{
    size_t n = json_array_size(v);
    uint32_t *ids = room(p, (n + 1) * sizeof *ids);

    if (!ids) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > UINT32_MAX)
            return bad(p, key, "token ids must be whole numbers, 0 or more");
        ids[i] = (uint32_t)json_integer_value(id);
    }
    *out = (struct ask_prompt){.ids = ids, .n = n};
    return true;
}

/* A string, strings, token ids, or lists of token ids. */
static bool take_prompts(struct reader *p, const char *key)
{
    const json_t *v = get(p, key);
    bool one = json_is_string(v) || (json_is_array(v) && json_is_integer(json_array_get(v, 0)));
    size_t n = one ? 1 : json_array_size(v);

    if (!v || n == 0) return bad(p, key, "a string, a list of strings, or token ids are needed");
    if (n > ASK_SEQUENCES_MAX) return bad(p, key, "more than 64 in one request");
    p->out->prompts = room(p, n * sizeof *p->out->prompts);
    if (!p->out->prompts) return false;
    p->out->nprompts = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = one ? v : json_array_get(v, i);
        struct ask_prompt *to = &p->out->prompts[i];
        if (json_is_string(item)) {
            if (!copy(p, item, &to->text)) return false;
        } else if (!json_is_array(item)) {
            return bad(p, key, "a string, a list of strings, or token ids are needed");
        } else if (!take_ids(p, item, key, to)) {
            return false;
        }
    }
    return true;
}

/* Content as a string, or as parts of type text, which are joined. */
static bool take_content(struct reader *p, const json_t *v, struct str *out)
{
    size_t n = 0, at = 0;

    if (json_is_string(v)) return copy(p, v, out);
    if (!json_is_array(v)) return bad(p, "messages", "content must be text");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *part = json_array_get(v, i), *kind = json_object_get(part, "type");
        const json_t *t = json_object_get(part, "text");
        if (!json_is_string(kind) || strcmp(json_string_value(kind), "text") != 0 ||
            !json_is_string(t))
            return bad(p, "messages", "content parts must be of type text");
        n += json_string_length(t);
    }
    char *to = room(p, n + 1);
    if (!to) return false;
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *t = json_object_get(json_array_get(v, i), "text");
        memcpy(to + at, json_string_value(t), json_string_length(t));
        at += json_string_length(t);
    }
    *out = (struct str){to, n};
    return true;
}

static bool take_messages(struct reader *p)
{
    const json_t *v = get(p, "messages");
    size_t n = json_array_size(v);

    if (!json_is_array(v) || n == 0 || n > ASK_MESSAGES_MAX)
        return bad(p, "messages", "a list of 1 to 1024 messages is needed");
    p->out->messages = room(p, n * sizeof *p->out->messages);
    if (!p->out->messages) return false;
    p->out->nmessages = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(v, i), *role = json_object_get(m, "role");
        struct chat_message *to = &p->out->messages[i];
        if (!json_is_string(role)) return bad(p, "messages", "each message needs a role");
        if (!copy(p, role, &to->role) ||
            !take_content(p, json_object_get(m, "content"), &to->content))
            return false;
        if (str_eqz(to->role, "developer")) to->role = STR("system");
        if (!str_eqz(to->role, "system") && !str_eqz(to->role, "user") &&
            !str_eqz(to->role, "assistant"))
            return bad(p, "messages", "role must be system, user or assistant");
    }
    return true;
}

static bool take_adapters(struct reader *p)
{
    const json_t *v = get(p, "adapters");

    if (!v) return true;
    if (!json_is_array(v) || json_array_size(v) > ASK_ADAPTERS_MAX)
        return bad(p, "adapters", "must be a list of at most 8 names of /v1/models");
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i)))
            return bad(p, "adapters", "must be a list of names of /v1/models");
        if (!copy(p, json_array_get(v, i), &p->out->adapters[i])) return false;
    }
    p->out->nadapters = json_array_size(v);
    return true;
}

/* ---- what is not supported and would change the answer */

static bool is_empty(const json_t *v)
{
    return !v || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0);
}

static bool check_unsupported(struct reader *p)
{
    static const char *const keys[] = {"tools",
                                       "functions",
                                       "echo",
                                       "suffix",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "audio",
                                       "dimensions",
                                       "prediction",
                                       "web_search_options",
                                       NULL};
    const json_t *format = get(p, "response_format");
    const json_t *kind = json_object_get(format, "type");

    for (size_t i = 0; keys[i]; i++)
        if (!is_empty(get(p, keys[i]))) {
            (void)http_refuse(p->r, 400, "unsupported_parameter", keys[i],
                              "%s is not supported by this server", keys[i]);
            return false;
        }
    if (format && !(json_is_string(kind) && strcmp(json_string_value(kind), "text") == 0)) {
        (void)http_refuse(p->r, 400, "unsupported_parameter", "response_format",
                          "response_format: only text is supported");
        return false;
    }
    return true;
}

/* ---- kinds */

static bool take_sampling(struct reader *p, const char *max_key)
{
    struct ask *o = p->out;
    int64_t n = 1, best = 1, seed = 0;

    if (!whole(p, "n", 1, 16, &n) || !whole(p, "best_of", 1, 16, &best) ||
        !whole(p, max_key, 1, 1 << 20, &o->max_tokens) ||
        !whole(p, "seed", INT64_MIN, INT64_MAX, &seed) ||
        !number(p, "temperature", 0, 2, &o->has_temperature, &o->temperature) ||
        !number(p, "top_p", 0, 1, &o->has_top_p, &o->top_p) || !take_stops(p) ||
        !flag(p, "stream", &o->stream) || !check_unsupported(p))
        return false;
    if (best > n) return bad(p, "best_of", "more than n is not supported");
    o->n = (uint32_t)n;
    o->seed = (uint64_t)seed;
    o->has_seed = get(p, "seed") != NULL;
    const json_t *so = get(p, "stream_options");
    if (so && !json_is_object(so)) return bad(p, "stream_options", "must be an object");
    struct reader inner = *p;
    inner.root = so;
    return !so || flag(&inner, "include_usage", &o->include_usage);
}

static bool take_completion(struct reader *p)
{
    const json_t *v = get(p, "logprobs");
    int64_t top = 0;

    if (!take_sampling(p, "max_tokens") || !take_prompts(p, "prompt") ||
        !whole(p, "logprobs", 0, ASK_TOP_MAX, &top))
        return false;
    p->out->logprobs = v != NULL;
    p->out->top_logprobs = (uint32_t)top;
    return p->out->nprompts * p->out->n <= ASK_SEQUENCES_MAX ||
           bad(p, "n", "more than 64 choices in one request");
}

static bool take_chat(struct reader *p)
{
    const char *max = get(p, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    int64_t top = 0;

    if (!take_sampling(p, max) || !take_messages(p) || !flag(p, "logprobs", &p->out->logprobs) ||
        !whole(p, "top_logprobs", 0, ASK_TOP_MAX, &top))
        return false;
    if (top && !p->out->logprobs) return bad(p, "top_logprobs", "needs logprobs: true");
    p->out->top_logprobs = (uint32_t)top;
    return true;
}

static bool take_embedding(struct reader *p)
{
    struct str format = {0};

    if (!check_unsupported(p) || !take_prompts(p, "input") || !text(p, "encoding_format", &format))
        return false;
    p->out->base64 = str_eqz(format, "base64");
    return format.n == 0 || p->out->base64 || str_eqz(format, "float") ||
           bad(p, "encoding_format", "must be float or base64");
}

static bool take_impression(struct reader *p)
{
    struct ask *o = p->out;

    return take_sampling(p, "max_tokens") && text(p, "findings", &o->findings) &&
           text(p, "clinical", &o->clinical) && text(p, "reference", &o->reference) &&
           take_adapters(p) && flag(p, "logprobs", &o->logprobs);
}

static bool take_check(struct reader *p)
{
    struct ask *o = p->out;

    return text(p, "findings", &o->findings) && text(p, "clinical", &o->clinical) &&
           text(p, "reference", &o->reference) && text(p, "generated", &o->generated) &&
           (get(p, "generated") || bad(p, "generated", "is needed"));
}

/* A scale that is misspelt would be lost, hence a refusal. */
static bool take_scales(struct reader *p)
{
    struct reader inner = *p;
    size_t known = 0;

    inner.root = get(p, "scales");
    if (!inner.root) return true;
    for (int i = 0; i < FACTLABEL_SCALES; i++) {
        const char *key = factlabel_scales[i];
        known += json_object_get(inner.root, key) != NULL;
        if (!whole(&inner, key, 1, FACTLABEL_GRADES, &p->out->scales[i])) return false;
    }
    return (json_is_object(inner.root) && known == json_object_size(inner.root)) ||
           bad(p, "scales", "must be an object of the label file's scales");
}

/* A pseudonym; "adj" and "made" mean something in a label file. */
static bool rater_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20) return false;
    return s.n <= ASK_RATER_BYTES && !str_eqz(s, "adj") && !str_eqz(s, "made");
}

static bool take_rating(struct reader *p)
{
    struct ask *o = p->out;
    bool has = false;

    if (!text(p, "findings", &o->findings) || !text(p, "clinical", &o->clinical) ||
        !text(p, "reference", &o->reference) || !text(p, "generated", &o->generated) ||
        !text(p, "rater", &o->rater) || !whole(p, "overall", 1, FACTLABEL_GRADES, &o->overall) ||
        !take_scales(p) || !number(p, "seconds", 0, 1e6, &has, &o->seconds))
        return false;
    o->rater = str_trim(o->rater);
    if (!o->overall) return bad(p, "overall", "a grade from 1 to 5 is needed");
    if (str_trim(o->generated).n == 0) return bad(p, "generated", "some text is needed");
    return rater_ok(o->rater) ||
           bad(p, "rater", "must be a pseudonym of at most 64 bytes, not adj or made");
}

static bool take_kind(struct reader *p, enum ask_kind kind)
{
    if (!text(p, "model", &p->out->model)) return false;
    switch (kind) {
    case ASK_COMPLETION:
        return take_completion(p);
    case ASK_CHAT:
        return take_chat(p);
    case ASK_EMBEDDING:
        return take_embedding(p);
    case ASK_IMPRESSION:
        return take_impression(p);
    case ASK_CHECK:
        return take_check(p);
    case ASK_RATING:
        return take_rating(p);
    case ASK_ENTER:
        return text(p, "secret", &p->out->secret);
    }
    UNREACHABLE();
}

bool ask_parse(struct str body, enum ask_kind kind, struct arena *a, struct ask *out,
               struct http_reply *r)
{
    struct reader p = {.a = a, .out = out, .r = r};
    struct err e = {0};
    json_t *root;

    *out = (struct ask){.max_tokens = -1, .n = 1};
    if (!json_parse(body, "body", &root, &e)) {
        (void)http_refuse(r, 400, "invalid_json", NULL, "%s", e.text);
        return false;
    }
    p.root = root;
    bool ok = json_is_object(root);
    if (!ok)
        (void)http_refuse(r, 400, "invalid_json", NULL, "the body must be a JSON object");
    else
        ok = take_kind(&p, kind);
    json_decref(root);
    return ok;
}
