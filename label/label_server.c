#include "label/label_server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/audit.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/html.h"
#include "base/log.h"
#include "base/stop.h"
#include "serve/http.h"
#include "serve/page.h"

enum {
    TEXT_BYTES = 1 << 16,
    BODY_BYTES = 1 << 20,
    REPLY_BYTES = 16 << 20,
    TEND_MS = 50,
    CONNECTIONS = 32,
    RATE_PER_MIN = 600,
    RECEIVE_S = 20,
    DRAIN_S = 3,
};

struct desk {
    const struct label_job *j;
    struct rating *rating;
    struct gate *gate;
    struct listener listener;
    struct http *http;
    struct arena arena;
    struct sbuf csp;
    const char *connect_path, *token_path;
    char url[128];
    unsigned port; /* 0: a socket */
    uint32_t tickets_used;
    atomic_bool told[RATING_RATERS]; /* in the audit log, since the start */
};

/* ---- the page */
static bool get_page(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct desk *d = ctx;
    struct str page = {rate_html, rate_html_bytes};
    size_t at = str_find(page, STR("@SESSION@"), 0);
    char session[GATE_SECRET_BYTES] = "";

    CHECK(at != SIZE_MAX);
    if ((q->ticket.n || q->who == GATE_SOCKET) && !gate_enter(d->gate, q->ticket, session))
        session[0] = 0; /* a used link: the page asks for the token */
    r->type = "text/html; charset=utf-8";
    r->csp = d->csp.p;
    bool ok = sbuf_put(&r->body, str_sub(page, 0, at), e) &&
              sbuf_put(&r->body, str_of(session), e) &&
              sbuf_put(&r->body, str_sub(page, at + sizeof "@SESSION@" - 1, page.n), e);
    explicit_bzero(session, sizeof session);
    return ok;
}

/* ---- requests with a body */
static bool bad_request(struct http_reply *r, const char *what)
{
    return http_refuse(r, 400, "invalid_request", NULL, "%s", what);
}

/* *body: the caller releases it; NULL: r is the refusal. */
static void parse_body(const struct http_request *q, struct http_reply *r, json_t **body)
{
    struct err ignored = {0};

    *body = NULL;
    if (!json_parse(q->body, "request", body, &ignored) || !json_is_object(*body)) {
        json_decref(*body);
        *body = NULL;
        (void)bad_request(r, "the body is no JSON object");
    }
}

static bool enter(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct desk *d = ctx;
    char session[GATE_SECRET_BYTES];
    struct err ignored = {0};
    struct str secret;
    json_t *body;
    bool ok = true;

    parse_body(q, r, &body);
    if (!body) return true;
    if (!json_get_str(body, "secret", &secret, &ignored))
        ok = bad_request(r, "secret is missing");
    else if (!gate_enter(d->gate, secret, session))
        ok = http_refuse(r, 401, "invalid_api_key", NULL, "neither a token nor an unused link");
    else
        ok = sbuf_printf(&r->body, e, "{\"session\": \"%s\"}\n", session);
    explicit_bzero(session, sizeof session);
    json_decref(body);
    return ok;
}

static bool get_info(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    const struct rating *v = ((struct desk *)ctx)->rating;
    bool ok = sbuf_put(&r->body, STR("{\"raters\": ["), e);

    (void)q;
    for (size_t i = 0; ok && i < rating_raters(v); i++)
        ok = (i == 0 || sbuf_put(&r->body, STR(", "), e)) &&
             json_put_str(&r->body, str_of(rating_rater_name(v, i)), false, e);
    return ok &&
           sbuf_printf(&r->body, e, "], \"scales\": %s}\n", rating_scales(v) ? "true" : "false");
}

/* Once a start and reader: their answers are shown from now on. */
static bool note_shown(struct desk *d, size_t rater, size_t all, struct err *e)
{
    char what[128];

    if (atomic_exchange(&d->told[rater], true)) return true;
    (void)snprintf(what, sizeof what, "%zu answers and reports to reader %zu for rating", all,
                   rater);
    return audit_note(d->j->label->dir, "show", what, e);
}

/* {"done", "all", "task"}: the task at place, or null when there is none left. */
static bool put_task(struct desk *d, size_t rater, size_t place, struct http_reply *r,
                     struct err *e)
{
    size_t done, all;

    rating_count(d->rating, rater, &done, &all);
    if (!note_shown(d, rater, all, e)) return false;
    if (!sbuf_printf(&r->body, e, "{\"done\": %zu, \"all\": %zu, \"task\": ", done, all))
        return false;
    if (place < all ? !rating_task_json(d->rating, rater, place, &r->body, e)
                    : !sbuf_put(&r->body, STR("null"), e))
        return false;
    return sbuf_put(&r->body, STR("}\n"), e);
}

/* The reader that the body names; SIZE_MAX: r is the refusal. */
static size_t rater_of(const struct desk *d, const json_t *body, struct http_reply *r)
{
    struct err ignored = {0};
    struct str name;
    size_t rater = SIZE_MAX;

    if (json_get_str(body, "rater", &name, &ignored)) rater = rating_rater_of(d->rating, name);
    if (rater == SIZE_MAX) (void)bad_request(r, "rater is none of label.raters");
    return rater;
}

static bool next(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct desk *d = ctx;
    json_t *body, *place;
    size_t rater, done, all, at;
    bool ok = true;

    parse_body(q, r, &body);
    if (!body) return true;
    rater = rater_of(d, body, r);
    place = json_object_get(body, "place");
    if (rater != SIZE_MAX) {
        rating_count(d->rating, rater, &done, &all);
        json_int_t want = json_integer_value(place);
        at = !json_is_integer(place)                        ? rating_next(d->rating, rater)
             : all > 0 && (want < 0 || (size_t)want >= all) ? all - 1
                                                            : (size_t)want;
        ok = put_task(d, rater, at, r, e);
    }
    json_decref(body);
    return ok;
}

static bool put_label(struct desk *d, const json_t *body, size_t rater, struct http_reply *r,
                      struct err *e)
{
    const json_t *place = json_object_get(body, "place"), *label = json_object_get(body, "label");
    json_int_t at = json_is_integer(place) ? json_integer_value(place) : -1;
    size_t done, all;
    bool refused;

    rating_count(d->rating, rater, &done, &all);
    if (at < 0 || (size_t)at >= all || !json_is_object(label))
        return bad_request(r, "place or label is missing or out of range");
    if (!rating_put(d->rating, rater, (size_t)at, label, &refused, e)) {
        if (!refused) return false;
        bool ok = http_refuse(r, 400, "invalid_label", NULL, "not kept: %s", e->text);
        err_clear(e);
        return ok;
    }
    return put_task(d, rater, rating_next(d->rating, rater), r, e);
}

static bool put(void *ctx, struct http_request *q, struct http_reply *r, struct err *e)
{
    struct desk *d = ctx;
    json_t *body;
    size_t rater;
    bool ok = true;

    parse_body(q, r, &body);
    if (!body) return true;
    rater = rater_of(d, body, r);
    if (rater != SIZE_MAX) ok = put_label(d, body, rater, r, e);
    json_decref(body);
    return ok;
}

static const struct http_route routes[] = {
    {"GET", "/", HTTP_OPEN, false, get_page},
    {"POST", "/radmill/session", HTTP_OPEN, false, enter},
    {"GET", "/label/info", HTTP_SECRET, false, get_info},
    {"POST", "/label/next", HTTP_SECRET, false, next},
    {"POST", "/label/put", HTTP_SECRET, false, put},
    {NULL, NULL, HTTP_SECRET, false, NULL},
};

/* ---- opening */
static bool write_secret(const char *path, struct str text, struct err *e)
{
    if (!fs_replace(path, text, e)) return false;
    return chmod(path, 0600) == 0 || err_sys(e, "%s", path);
}

/* connect.txt: the next one-time link and the tunnel. */
static bool write_connect(struct desk *d, bool tell, struct err *e)
{
    char ticket[GATE_SECRET_BYTES], host[128] = "HOST";
    struct sbuf b;
    bool ok;

    sbuf_init(&b, TEXT_BYTES);
    (void)gethostname(host, sizeof host - 1);
    d->tickets_used = gate_tickets_used(d->gate);
    gate_ticket(d->gate, ticket);
    if (d->port)
        ok = sbuf_printf(&b, e,
                         "one-time link:           %s?ticket=%s\n"
                         "from your own computer:  ssh -N -L %u:127.0.0.1:%u %s\n",
                         d->url, ticket, d->port, d->port, host);
    else
        ok = sbuf_printf(&b, e,
                         "socket:                  %s\n"
                         "from your own computer:  ssh -N -L 8765:%s %s\n"
                         "then open                http://127.0.0.1:8765/\n",
                         d->j->label->socket, d->j->label->socket, host);
    ok = ok && write_secret(d->connect_path, sbuf_str(&b), e);
    if (ok && tell && d->j->show) d->j->show(d->j->show_ctx, b.p);
    explicit_bzero(ticket, sizeof ticket);
    if (b.p) explicit_bzero(b.p, b.n);
    sbuf_free(&b);
    return ok;
}

static bool open_door(struct desk *d, struct err *e)
{
    const struct label_opts *o = d->j->label;
    const struct gate_opts g = {
        .open = o->socket != NULL, .rate_per_min = RATE_PER_MIN, .idle_s = o->idle_min * 60};
    const struct http_opts h = {.max_connections = CONNECTIONS,
                                .max_requests = CONNECTIONS,
                                .max_body_bytes = BODY_BYTES,
                                .receive_s = RECEIVE_S};

    if (!listener_open("127.0.0.1", (uint16_t)o->port, o->socket, &d->listener, e) ||
        !gate_open(&g, &d->gate, e) ||
        (d->listener.port && !gate_allow_host(d->gate, d->listener.address, e)))
        return false;
    d->port = d->listener.port; /* http takes the listener over */
    (void)snprintf(d->url, sizeof d->url, "http://%s:%u/", d->listener.address, d->port);
    return http_open(&h, &d->listener, d->gate, routes, d, &d->http, e);
}

static bool open_all(struct desk *d, struct err *e)
{
    const struct label_opts *o = d->j->label;

    sbuf_init(&d->csp, TEXT_BYTES);
    return rating_open(o, d->j->tool, &d->rating, e) &&
           page_csp_of((struct str){rate_html, rate_html_bytes}, &d->csp, e) &&
           fs_join(&d->arena, o->dir, "connect.txt", &d->connect_path, e) &&
           fs_join(&d->arena, o->dir, "token", &d->token_path, e) &&
           audit_note(o->dir, "label", "rating page opened", e) && open_door(d, e) &&
           (o->socket || write_secret(d->token_path, str_of(gate_new_token(d->gate)), e)) &&
           write_connect(d, true, e);
}

static void close_all(struct desk *d)
{
    struct err ignored = {0};

    http_close(d->http); /* first: its threads use all below */
    gate_close(d->gate);
    listener_close(&d->listener);
    rating_close(d->rating);
    if (d->connect_path && !fs_remove(d->connect_path, &ignored)) err_clear(&ignored);
    if (d->token_path && !fs_remove(d->token_path, &ignored)) err_clear(&ignored);
    sbuf_free(&d->csp);
    arena_free(&d->arena);
}

static void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}

bool label_serve(const struct label_job *j, struct err *e)
{
    struct desk d = {.j = j, .listener = {.fd = -1}};
    bool ok;

    arena_init(&d.arena, 1 << 20);
    ok = open_all(&d, e);
    if (ok) log_info("label_serving", "port=%u", d.port);
    while (ok && !stop_requested()) {
        http_tend(d.http);
        if (gate_tickets_used(d.gate) != d.tickets_used) ok = write_connect(&d, false, e);
        pause_ms(TEND_MS);
    }
    if (ok) {
        double until = clock_mono_s() + DRAIN_S;
        http_drain(d.http);
        while (http_active(d.http) && clock_mono_s() < until)
            pause_ms(TEND_MS);
    }
    close_all(&d);
    return ok;
}
