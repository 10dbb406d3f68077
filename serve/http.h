/*
 * serve/http - an HTTP server with a lock on the door, over libmicrohttpd: routes in, replies out.
 *
 * The main idea: what every route needs is done once, here, before a route sees anything. In this
 * order: Host and Origin (serve/gate), the secret, the rate, method and path, the size and the
 * deadline of the body. Each connection has a thread of its own, so a handler may wait; it never
 * touches a device (serve/engine does).
 *
 *     GET, POST ... -> gate -> body whole, in memory -> handler -> reply, whole or streamed
 *
 * Replies are never cached, never framed, and name their content type. The log has one line a
 * request: route, status, token counts, times. Paths, bodies and header values go into no log and
 * no error: they may hold report text.
 *
 * Limits: bodies in memory; no compression, ranges, uploads of files, HTTP/2. A client that closes
 * its sending side counts as gone. GET and POST and DELETE alone (HEAD as GET).
 *
 * Used by `radmill serve`; knows nothing of models, so that other pages can stand behind it.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "serve/gate.h"
#include "serve/listener.h"

struct http;
struct http_request;

enum http_more { HTTP_MORE, HTTP_END, HTTP_BROKEN };
/* Append the next bytes of a streamed reply; may wait, but not without asking http_gone. */
typedef enum http_more (*http_stream_fn)(void *ctx, struct http_request *q, struct sbuf *out);

struct http_reply {
    int status;
    const char *type;       /* "application/json" */
    const char *csp;        /* NULL: nothing is allowed */
    const char *allow;      /* of a 405 */
    uint32_t retry_after_s; /* 0: none */
    struct sbuf body;
    /* Instead of body; stream_free is called once, with or without a stream having begun. */
    http_stream_fn stream;
    void *stream_ctx;
    void (*stream_free)(void *ctx);
};

/* What a request cost, for its log line and the sums of /metrics; handlers and streams set it. */
struct http_tally {
    uint64_t prompt_tokens, new_tokens;
    double first_s; /* until the first token; 0: none */
};
struct http_request {
    struct http *http;
    struct str body;
    struct str secret; /* of the Authorization header, without "Bearer " */
    struct str ticket; /* of the query */
    struct str tail;   /* of the path: what stands for the route's "*", with its escapes */
    enum gate_who who;
    struct arena arena; /* lives until the reply is sent */
    struct http_tally tally;
    double begun_s;
};
/* Fill the reply; false with *e set is a 500 whose text goes into the log alone. */
typedef bool (*http_handler_fn)(void *ctx, struct http_request *q, struct http_reply *r,
                                struct err *e);

enum http_access {
    HTTP_OPEN,   /* no secret needed: the handler asks for one, or shows nothing */
    HTTP_SECRET, /* token, session, or an open gate */
};
struct http_route {
    const char *method, *path; /* a path that ends in "/" and "*" takes every path below it */
    enum http_access access;
    bool heavy; /* counts for max_requests */
    http_handler_fn run;
};

struct http_opts {
    uint32_t max_connections, max_requests;
    size_t max_body_bytes;
    double receive_s;               /* headers and body must be there */
    const char *tls_cert, *tls_key; /* PEM texts; both NULL: no TLS */
};
/* routes: ends with method NULL; gate, routes and ctx are borrowed; the listener's socket is taken
 * over until http_close. */
MUST_CHECK bool http_open(const struct http_opts *o, struct listener *l, struct gate *g,
                          const struct http_route *routes, void *ctx, struct http **out,
                          struct err *e);
/* Close connections whose request does not arrive in time; to be called a few times a second. */
void http_tend(struct http *h);
/* No new requests: they get a 503. */
void http_drain(struct http *h);
/* Requests that are being answered. */
uint32_t http_active(struct http *h);
/* Ends what is still running: handlers see http_gone. */
void http_close(struct http *h);
/* Did the client go away, or is the server closing? */
bool http_gone(const struct http_request *q);
/* Counters and latencies in Prometheus's text format. */
MUST_CHECK bool http_metrics(struct http *h, struct sbuf *out, struct err *e);

/* An error in the shape of OpenAI's API. code and param may be NULL; the text never quotes the
 * request. Returns true: it is a reply. */
bool http_refuse(struct http_reply *r, int status, const char *code, const char *param,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
