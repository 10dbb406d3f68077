#include "serve/http.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    ROUTES_MAX = 32,
    ARENA_BYTES = 64 << 20,
    REPLY_BYTES = 64 << 20,
    HEADER_BYTES = 32 << 10,
    STACK_BYTES = 1 << 20,
    SURPLUS_BYTES = 16 << 20, /* of too long a body, read so that the sender hears why */
    BUCKETS = 8,
};
static const double bucket_s[BUCKETS] = {0.01, 0.05, 0.25, 1, 5, 25, 100, 500};

/* One TCP connection. */
struct conn {
    struct conn *next, *prev;
    int fd;
    double since_s; /* of the request that is arriving */
    bool receiving;
};
struct route_stats {
    uint64_t by_class[6]; /* by status / 100 */
    uint64_t bucket[BUCKETS + 1];
    double seconds;
};
struct http {
    struct http_opts o;
    struct listener listener;
    struct gate *gate;
    const struct http_route *routes;
    size_t nroutes;
    void *ctx;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    struct conn *conns;
    uint32_t nconns, active, heavy;
    bool draining, closing;
    uint64_t tardy, prompt_tokens, new_tokens;
    struct route_stats stats[ROUTES_MAX + 1]; /* the last: no such route */
};
/* One request: struct http_request is what handlers see of it. */
struct exchange {
    struct http_request q;
    const struct http_route *route; /* NULL: no such route */
    struct conn *conn;
    int fd;
    struct sbuf body;
    struct http_reply reply;
    struct sbuf out; /* streamed bytes on their way */
    size_t sent, surplus;
    bool heavy, too_large, answered, ended;
};

/* ---- replies */

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static bool put_member(struct sbuf *b, const char *key, const char *value, struct err *e)
{
    if (!sbuf_printf(b, e, ",\"%s\":", key)) return false;
    return value ? json_put_str(b, str_of(value), false, e) : sbuf_put(b, STR("null"), e);
}

bool http_refuse(struct http_reply *r, int status, const char *code, const char *param,
                 const char *fmt, ...)
{
    char text[512];
    struct err e = {0};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->status = status;
    r->type = "application/json";
    sbuf_clear(&r->body);
    bool ok = sbuf_put(&r->body, STR("{\"error\":{\"message\":"), &e) &&
              json_put_str(&r->body, str_of(text), false, &e) &&
              put_member(&r->body, "type", error_type(status), &e) &&
              put_member(&r->body, "param", param, &e) && put_member(&r->body, "code", code, &e) &&
              sbuf_put(&r->body, STR("}}\n"), &e);
    if (!ok) sbuf_clear(&r->body); /* no memory: the status alone says it */
    return true;
}

static void add_headers(struct MHD_Response *m, const struct http_reply *r)
{
    static const char *const fixed[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    char seconds[16];

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        (void)MHD_add_response_header(m, fixed[i][0], fixed[i][1]);
    (void)MHD_add_response_header(m, "Content-Type", r->type);
    (void)MHD_add_response_header(m, "Content-Security-Policy",
                                  r->csp ? r->csp : "default-src 'none'; frame-ancestors 'none'");
    if (r->status == 401) (void)MHD_add_response_header(m, "WWW-Authenticate", "Bearer");
    if (r->allow) (void)MHD_add_response_header(m, "Allow", r->allow);
    if (r->retry_after_s) {
        (void)snprintf(seconds, sizeof seconds, "%u", r->retry_after_s);
        (void)MHD_add_response_header(m, "Retry-After", seconds);
    }
}

/* libmicrohttpd asks for at most max bytes of a streamed reply. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;

    (void)pos;
    while (x->sent == x->out.n) {
        sbuf_clear(&x->out);
        x->sent = 0;
        if (x->ended) return MHD_CONTENT_READER_END_OF_STREAM;
        enum http_more more = x->reply.stream(x->reply.stream_ctx, &x->q, &x->out);
        if (more == HTTP_BROKEN) return MHD_CONTENT_READER_END_WITH_ERROR;
        x->ended = more == HTTP_END;
    }
    size_t n = x->out.n - x->sent < max ? x->out.n - x->sent : max;
    memcpy(buf, x->out.p + x->sent, n);
    x->sent += n;
    return (ssize_t)n;
}

static enum MHD_Result send_reply(struct MHD_Connection *c, struct exchange *x)
{
    struct http_reply *r = &x->reply;
    struct MHD_Response *m;

    x->answered = true;
    if (r->stream)
        m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, read_stream, x, NULL);
    else
        m = MHD_create_response_from_buffer(r->body.n, r->body.p, MHD_RESPMEM_PERSISTENT);
    if (!m) return MHD_NO;
    add_headers(m, r);
    enum MHD_Result done = MHD_queue_response(c, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return done;
}

/* ---- before the handler */

static struct str header(struct MHD_Connection *c, const char *name)
{
    return str_of(MHD_lookup_connection_value(c, MHD_HEADER_KIND, name));
}

static struct str bearer(struct MHD_Connection *c)
{
    struct str v = header(c, "Authorization");

    /* the scheme's letter case says nothing (RFC 9110, 11.1) */
    if (v.n > 7 && strncasecmp(v.p, "Bearer ", 7) == 0) return str_trim(str_sub(v, 7, v.n));
    return (struct str){0};
}

/* Does the route take this path? *tail: what stands for its "*". */
static bool takes_path(const struct http_route *r, const char *path, struct str *tail)
{
    size_t n = strlen(r->path) - 1;

    *tail = (struct str){0};
    if (r->path[n] != '*') return strcmp(r->path, path) == 0;
    if (strncmp(r->path, path, n) != 0 || path[n] == 0) return false;
    *tail = str_of(path + n);
    return true;
}

/* The route of this path and method; without one *allow names the methods the path does have. */
static const struct http_route *find_route(const struct http *h, const char *path,
                                           const char *method, const char **allow, struct str *tail)
{
    if (strcmp(method, "HEAD") == 0) method = "GET";
    *allow = NULL;
    for (size_t i = 0; i < h->nroutes; i++) {
        const struct http_route *r = &h->routes[i];
        if (!takes_path(r, path, tail)) continue;
        *allow = strcmp(r->method, method) == 0 ? NULL : r->method;
        if (!*allow) return r;
    }
    return NULL;
}

/* Is the body announced longer than allowed? */
static bool announces_too_much(const struct http *h, struct MHD_Connection *c)
{
    struct str v = header(c, "Content-Length");
    struct err e = {0};
    uint64_t n;

    if (v.n == 0) return false;
    return !parse_u64(v, &n, &e) || n > h->o.max_body_bytes;
}

static bool refuse_who(const struct http *h, struct MHD_Connection *c, struct exchange *x)
{
    struct str host = header(c, "Host");

    if (!gate_host_ok(h->gate, host))
        return http_refuse(&x->reply, 403, "host_not_allowed", NULL,
                           "this server does not go by the name in Host; serve.hosts lists more");
    if (!gate_origin_ok(header(c, "Origin"), host))
        return http_refuse(&x->reply, 403, "origin_not_allowed", NULL,
                           "requests of other origins are not answered");
    if (x->q.who == GATE_NOBODY && !(x->route && x->route->access == HTTP_OPEN))
        return http_refuse(&x->reply, 401, "invalid_api_key", NULL,
                           "no valid token: send it as Authorization: Bearer TOKEN");
    return false;
}

/* True when the request is refused before its body is read; the reply is set. */
static bool refuse_early(struct http *h, struct MHD_Connection *c, struct exchange *x,
                         const char *allow)
{
    if (refuse_who(h, c, x)) return true;
    if (allow) {
        x->reply.allow = allow;
        return http_refuse(&x->reply, 405, "method_not_allowed", NULL, "not with this method");
    }
    if (!x->route)
        return http_refuse(&x->reply, 404, "not_found", NULL,
                           "there is nothing here; /v1/models and docs/SERVE.md say what there is");
    if (x->q.who != GATE_NOBODY && x->route->access == HTTP_SECRET &&
        !gate_rate_ok(h->gate, x->q.secret, &x->reply.retry_after_s))
        return http_refuse(&x->reply, 429, "rate_limit_exceeded", NULL,
                           "over serve.rate requests a minute");
    if (announces_too_much(h, c))
        return http_refuse(&x->reply, 413, "request_too_large", NULL,
                           "the body is longer than serve.max_body_kb, %zu bytes",
                           h->o.max_body_bytes);
    return false;
}

/* Counts the request in, if there is room. */
static bool admit(struct http *h, struct exchange *x)
{
    bool heavy = x->route && x->route->heavy, ok;

    pthread_mutex_lock(&h->lock);
    ok = !h->draining && !(heavy && h->heavy >= h->o.max_requests);
    if (ok && heavy) {
        h->heavy++;
        x->heavy = true;
    }
    if (x->conn) x->conn->receiving = false;
    pthread_mutex_unlock(&h->lock);
    if (ok) return true;
    x->reply.retry_after_s = 2;
    (void)http_refuse(&x->reply, 503, "overloaded", NULL,
                      "too many requests at once, or the server is stopping; try again");
    return false;
}

static void run_handler(struct http *h, struct exchange *x)
{
    struct err e = {0};

    x->q.body = sbuf_str(&x->body);
    if (x->too_large) {
        (void)http_refuse(&x->reply, 413, "request_too_large", NULL,
                          "the body is longer than serve.max_body_kb, %zu bytes",
                          h->o.max_body_bytes);
        return;
    }
    if (!admit(h, x)) return;
    if (x->route->run(h->ctx, &x->q, &x->reply, &e)) return;
    log_error("request_failed", "route=%s code=%s error=%s", x->route->path, err_code_name(e.code),
              e.text);
    if (x->reply.stream_free) x->reply.stream_free(x->reply.stream_ctx);
    x->reply.stream = NULL;
    x->reply.stream_free = NULL;
    (void)http_refuse(&x->reply, e.code == ERR_STOPPED ? 503 : 500, "server_error", NULL,
                      "the server failed to answer; its log says why");
}

/* ---- libmicrohttpd's callbacks */

static struct exchange *begin(struct http *h, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct err e = {0};
    struct exchange *x = mem_calloc(1, sizeof *x, &e);

    if (!x) return NULL;
    x->conn = info ? info->socket_context : NULL;
    x->fd = x->conn ? x->conn->fd : -1;
    arena_init(&x->q.arena, ARENA_BYTES);
    sbuf_init(&x->body, h->o.max_body_bytes);
    sbuf_init(&x->reply.body, REPLY_BYTES);
    sbuf_init(&x->out, REPLY_BYTES);
    x->reply.status = 200;
    x->reply.type = "application/json";
    x->q.http = h;
    x->q.begun_s = clock_mono_s();
    x->q.secret = bearer(c);
    x->q.ticket = str_of(MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "ticket"));
    x->q.who = gate_check(h->gate, x->q.secret);
    pthread_mutex_lock(&h->lock);
    h->active++;
    pthread_mutex_unlock(&h->lock);
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http *h = cls;
    struct exchange *x = *state;
    const char *allow;

    (void)version;
    if (!x) {
        *state = x = begin(h, c);
        if (!x) return MHD_NO;
        x->route = find_route(h, path, method, &allow, &x->q.tail);
        return refuse_early(h, c, x, allow) ? send_reply(c, x) : MHD_YES;
    }
    if (x->answered) return MHD_YES;
    if (*size) {
        struct err e = {0};
        x->too_large = x->too_large || !sbuf_put(&x->body, (struct str){data, *size}, &e);
        if (x->too_large) x->surplus += *size;
        if (x->surplus > SURPLUS_BYTES) return MHD_NO; /* it goes on and on: enough */
        *size = 0;
        return MHD_YES;
    }
    run_handler(h, x);
    return send_reply(c, x);
}

/* Paths and tickets need no escapes: "%00" is three characters of a path that is not there. */
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *s)
{
    (void)cls;
    (void)c;
    return strlen(s);
}

static void count(struct http *h, const struct exchange *x, double seconds)
{
    struct route_stats *s = &h->stats[x->route ? x->route - h->routes : ROUTES_MAX];
    size_t b = 0;

    while (b < BUCKETS && seconds > bucket_s[b])
        b++;
    s->bucket[b]++;
    s->seconds += seconds;
    s->by_class[x->reply.status / 100 % 6]++;
    h->prompt_tokens += x->q.tally.prompt_tokens;
    h->new_tokens += x->q.tally.new_tokens;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct http *h = cls;
    struct exchange *x = *state;

    (void)c;
    if (!x) return;
    if (x->reply.stream_free) x->reply.stream_free(x->reply.stream_ctx);
    double seconds = clock_mono_s() - x->q.begun_s;
    pthread_mutex_lock(&h->lock);
    count(h, x, seconds);
    h->active--;
    if (x->heavy) h->heavy--;
    if (x->conn) {
        x->conn->receiving = true;
        x->conn->since_s = clock_mono_s();
    }
    pthread_mutex_unlock(&h->lock);
    log_info("request",
             "route=%s status=%d whole=%d prompt_tokens=%llu new_tokens=%llu first_ms=%.0f ms=%.0f",
             x->route ? x->route->path : "other", x->reply.status,
             how == MHD_REQUEST_TERMINATED_COMPLETED_OK,
             (unsigned long long)x->q.tally.prompt_tokens,
             (unsigned long long)x->q.tally.new_tokens, 1000 * x->q.tally.first_s, 1000 * seconds);
    sbuf_free(&x->body);
    sbuf_free(&x->reply.body);
    sbuf_free(&x->out);
    arena_free(&x->q.arena);
    mem_free(x);
    *state = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http *h = cls;
    struct conn *n = *socket_context;
    struct err e = {0};

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        n = mem_calloc(1, sizeof *n, &e);
        if (!n) return; /* no deadline for this one; libmicrohttpd's own timeout stays */
        *n = (struct conn){.fd = info->connect_fd, .since_s = clock_mono_s(), .receiving = true};
        *socket_context = n;
        pthread_mutex_lock(&h->lock);
        n->next = h->conns;
        if (h->conns) h->conns->prev = n;
        h->conns = n;
        h->nconns++;
        pthread_mutex_unlock(&h->lock);
        return;
    }
    if (!n) return;
    pthread_mutex_lock(&h->lock);
    if (n->prev)
        n->prev->next = n->next;
    else
        h->conns = n->next;
    if (n->next) n->next->prev = n->prev;
    h->nconns--;
    pthread_mutex_unlock(&h->lock);
    mem_free(n);
    *socket_context = NULL;
}

/* ---- life */

static bool start(struct http *h, struct err *e)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)h->o.tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)h->o.tls_key},
        {MHD_OPTION_END, 0, NULL},
    };

    if (h->o.tls_cert) flags |= MHD_USE_TLS;
    if (!h->o.tls_cert) tls[0] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, h->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, h->o.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(2 * h->o.receive_s) + 2, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (h->daemon) return true;
    if (h->o.tls_cert)
        return err_set(e, ERR_CONFIG,
                       "the server does not start: is serve.tls_cert a PEM "
                       "certificate, and serve.tls_key its key?");
    return err_set(e, ERR_LIB, "libmicrohttpd does not start");
}

bool http_open(const struct http_opts *o, struct listener *l, struct gate *g,
               const struct http_route *routes, void *ctx, struct http **out, struct err *e)
{
    struct http *h = mem_calloc(1, sizeof *h, e);

    *out = NULL;
    if (!h) return false;
    h->o = *o;
    h->listener = *l;
    h->gate = g;
    h->routes = routes;
    h->ctx = ctx;
    while (routes[h->nroutes].method)
        h->nroutes++;
    CHECK(h->nroutes <= ROUTES_MAX);
    pthread_mutex_init(&h->lock, NULL);
    if (!start(h, e)) {
        pthread_mutex_destroy(&h->lock);
        mem_free(h);
        return false;
    }
    *l = (struct listener){.fd = -1};
    *out = h;
    return true;
}

void http_tend(struct http *h)
{
    double now = clock_mono_s();

    pthread_mutex_lock(&h->lock);
    for (struct conn *n = h->conns; n; n = n->next) {
        if (!n->receiving || now - n->since_s < h->o.receive_s) continue;
        n->receiving = false;
        h->tardy++;
        (void)shutdown(n->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&h->lock);
}

void http_drain(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->draining = true;
    pthread_mutex_unlock(&h->lock);
}

uint32_t http_active(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    uint32_t n = h->active;
    pthread_mutex_unlock(&h->lock);
    return n;
}

void http_close(struct http *h)
{
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->draining = h->closing = true;
    pthread_mutex_unlock(&h->lock);
    MHD_stop_daemon(h->daemon); /* waits for its threads, and closes the listening socket */
    h->listener.port = 0;
    if (h->listener.path[0]) {
        struct err ignored = {0};
        if (!fs_remove(h->listener.path, &ignored)) err_clear(&ignored);
    }
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

bool http_gone(const struct http_request *q)
{
    const struct exchange *x = (const struct exchange *)q;
    struct http *h = q->http;
    struct pollfd p = {.fd = x->fd, .events = POLLRDHUP};

    pthread_mutex_lock(&h->lock);
    bool closing = h->closing;
    pthread_mutex_unlock(&h->lock);
    if (closing) return true;
    return x->fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* ---- metrics */

static bool put_counts(const struct route_stats *s, const char *method, const char *path,
                       struct sbuf *b, struct err *e)
{
    for (int i = 1; i < 6; i++)
        if (s->by_class[i] &&
            !sbuf_printf(
                b, e, "radmill_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} %llu\n",
                method, path, i, (unsigned long long)s->by_class[i]))
            return false;
    return true;
}

static bool put_times(const struct route_stats *s, const char *method, const char *path,
                      struct sbuf *b, struct err *e)
{
    uint64_t sum = 0;

    for (int i = 0; i <= BUCKETS; i++) {
        sum += s->bucket[i];
        if (!sbuf_printf(b, e, "radmill_request_seconds_bucket{method=\"%s\",route=\"%s\",le=\"",
                         method, path))
            return false;
        if (!(i < BUCKETS ? sbuf_printf(b, e, "%g", bucket_s[i]) : sbuf_put(b, STR("+Inf"), e)))
            return false;
        if (!sbuf_printf(b, e, "\"} %llu\n", (unsigned long long)sum)) return false;
    }
    return sbuf_printf(b, e,
                       "radmill_request_seconds_sum{method=\"%s\",route=\"%s\"} %.6f\n"
                       "radmill_request_seconds_count{method=\"%s\",route=\"%s\"} %llu\n",
                       method, path, s->seconds, method, path, (unsigned long long)sum);
}

typedef bool (*put_fn)(const struct route_stats *s, const char *method, const char *path,
                       struct sbuf *b, struct err *e);

/* One family of lines over all routes, as the format wants them: together. */
static bool put_routes(const struct http *h, put_fn put, struct sbuf *b, struct err *e)
{
    for (size_t i = 0; i < h->nroutes; i++)
        if (!put(&h->stats[i], h->routes[i].method, h->routes[i].path, b, e)) return false;
    return put(&h->stats[ROUTES_MAX], "any", "other", b, e);
}

static bool put_totals(const struct http *h, struct sbuf *b, struct err *e)
{
    return sbuf_printf(b, e,
                       "# TYPE radmill_connections gauge\nradmill_connections %u\n"
                       "# TYPE radmill_requests_active gauge\nradmill_requests_active %u\n"
                       "# TYPE radmill_connections_tardy_total counter\n"
                       "radmill_connections_tardy_total %llu\n"
                       "# TYPE radmill_prompt_tokens_total counter\n"
                       "radmill_prompt_tokens_total %llu\n"
                       "# TYPE radmill_new_tokens_total counter\nradmill_new_tokens_total %llu\n",
                       h->nconns, h->active, (unsigned long long)h->tardy,
                       (unsigned long long)h->prompt_tokens, (unsigned long long)h->new_tokens);
}

bool http_metrics(struct http *h, struct sbuf *out, struct err *e)
{
    bool ok;

    pthread_mutex_lock(&h->lock);
    ok = put_totals(h, out, e) &&
         sbuf_put(out, STR("# TYPE radmill_requests_total counter\n"), e) &&
         put_routes(h, put_counts, out, e) &&
         sbuf_put(out, STR("# TYPE radmill_request_seconds histogram\n"), e) &&
         put_routes(h, put_times, out, e);
    pthread_mutex_unlock(&h->lock);
    return ok;
}
