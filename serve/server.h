/*
 * serve/server - what the handlers of the routes share. Private to serve/.
 *
 * Everything here is set before the first request and stays until the last; each part says itself
 * what threads may do with it.
 */
#pragma once
#include "evaluate/facts.h"
#include "serve/ask.h"
#include "serve/engine.h"
#include "serve/history.h"
#include "serve/http.h"
#include "serve/jot.h"
#include "serve/page.h"
#include "serve/ratings.h"
#include "serve/serve.h"
#include "serve/shelf.h"

struct server {
    const struct serve_job *job;
    struct shelf *shelf;
    struct engine_core core;
    struct engine *engine;
    struct gate *gate;
    struct http *http;
    struct facts *facts;
    struct history *history; /* NULL: nothing is kept */
    struct ratings *ratings; /* NULL: none are collected */
    struct page *page;
};

extern const struct http_route server_routes[];

/* Handlers, in serve/api_text.c, api_radmill.c, api_rating.c, api_small.c,
 * api_page.c. ctx is the server. */
bool api_completions(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_chat(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_models(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_model(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_embeddings(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_impression(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_rating(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_check(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_health(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_metrics(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_enter(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_leave(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_info(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_page(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
bool api_form(void *ctx, struct http_request *q, struct http_reply *r, struct err *e);
