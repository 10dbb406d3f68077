#include "serve/serve.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/audit.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/rundir.h"
#include "base/stop.h"
#include "serve/server.h"

enum { TEXT_BYTES = 1 << 16, PEM_BYTES = 1 << 20, TOKEN_BYTES = 1 << 10, TEND_MS = 100 };

const struct http_route server_routes[] = {
    {"GET", "/", HTTP_OPEN, false, api_page},
    {"GET", "/health", HTTP_OPEN, false, api_health},
    {"GET", "/metrics", HTTP_SECRET, false, api_metrics},
    {"GET", "/v1/models", HTTP_SECRET, false, api_models},
    {"GET", "/v1/models/*", HTTP_SECRET, false, api_model},
    {"POST", "/v1/completions", HTTP_SECRET, true, api_completions},
    {"POST", "/v1/chat/completions", HTTP_SECRET, true, api_chat},
    {"POST", "/v1/embeddings", HTTP_SECRET, true, api_embeddings},
    {"GET", "/radmill/info", HTTP_SECRET, false, api_info},
    {"POST", "/radmill/impression", HTTP_SECRET, true, api_impression},
    {"POST", "/radmill/check", HTTP_SECRET, true, api_check},
    {"POST", "/radmill/rating", HTTP_SECRET, true, api_rating},
    {"POST", "/radmill/form", HTTP_OPEN, true, api_form},
    {"POST", "/radmill/session", HTTP_OPEN, false, api_enter},
    {"DELETE", "/radmill/session", HTTP_SECRET, false, api_leave},
    {NULL, NULL, HTTP_SECRET, false, NULL},
};

struct house {
    struct server s;
    struct arena arena;
    struct rundir run;
    bool has_run;
    struct listener listener;
    struct str cert, key;
    const char *token_path, *connect_path;
    char url[192];         /* without the ticket */
    unsigned port;         /* 0: a socket */
    uint32_t tickets_used; /* when connect.txt was written */
};

/* ---- before anything is opened */

/* Report text may stand in memory: never in a core file, never for another process of this user to
 * read (root can). */
static bool seal_process(struct err *e)
{
    struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0) return err_sys(e, "cannot forbid core files");
    return prctl(PR_SET_DUMPABLE, 0) == 0 || err_sys(e, "cannot forbid memory dumps");
}

static bool check_opts(const struct serve_opts *o, struct err *e)
{
    bool loopback = true;

    if (!o->dir) return err_set(e, ERR_CONFIG, "serve.dir is not set");
    if (!o->tls_cert != !o->tls_key)
        return err_set(e, ERR_CONFIG, "serve.tls_cert and serve.tls_key belong together");
    if (o->socket) return true;
    if (!listener_is_loopback(o->address, &loopback, e)) return false;
    if (loopback || o->tls_cert) return true;
    if (!o->insecure_lan)
        return err_set(e, ERR_CONFIG,
                       "serve.address %s can be reached from the network: set serve.tls_cert and "
                       "serve.tls_key, or keep 127.0.0.1 and use an ssh tunnel "
                       "(serve.insecure_lan: true sends report text unencrypted)",
                       o->address);
    log_warn("serve_insecure",
             "note=\"report text and tokens pass over the network unencrypted: anyone on the way "
             "can read them\"");
    return true;
}

/* A secret that others can read is none. */
static bool read_secret(struct house *h, const char *path, size_t max, struct str *out,
                        struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0) return err_sys(e, "%s", path);
    if (st.st_mode & 077)
        return err_set(e, ERR_CONFIG, "%s can be read by others: chmod 600 it", path);
    return fs_read_file(path, max, &h->arena, out, e);
}

static bool read_files(struct house *h, const struct serve_opts *o, struct str *token,
                       struct err *e)
{
    *token = (struct str){0};
    if (o->tls_cert && (!fs_read_file(o->tls_cert, PEM_BYTES, &h->arena, &h->cert, e) ||
                        !read_secret(h, o->tls_key, PEM_BYTES, &h->key, e)))
        return false;
    if (!o->token_file) return true;
    if (!read_secret(h, o->token_file, TOKEN_BYTES, token, e)) return false;
    *token = str_trim(*token);
    return token->n > 0 || err_set(e, ERR_CONFIG, "%s: empty", o->token_file);
}

/* ---- opening */

static bool note_start(const struct house *h, const struct serve_opts *o, struct err *e)
{
    struct sbuf b;
    size_t n;
    const struct shelf_model *m = shelf_models(h->s.shelf, &n);

    sbuf_init(&b, TEXT_BYTES);
    bool ok = sbuf_printf(&b, e, "at %s%s%s%s; models", o->socket ? "a socket" : o->address,
                          o->tls_cert ? ", TLS" : "", o->history ? ", history kept" : "",
                          o->ratings ? ", grades kept" : "");
    for (size_t i = 0; ok && i < n; i++)
        ok = sbuf_printf(&b, e, " %s:%.12s", m[i].id, m[i].digest);
    ok = ok && audit_note(o->dir, "serve", b.p, e);
    sbuf_free(&b);
    return ok;
}

static bool open_gate(struct house *h, const struct serve_opts *o, struct str token, struct err *e)
{
    struct gate_opts g = {
        .open = o->socket != NULL,
        .token = token,
        .hosts = o->hosts.v,
        .nhosts = o->hosts.n,
        .rate_per_min = o->rate,
        .idle_s = o->idle_min * 60,
    };

    if (!gate_open(&g, &h->s.gate, e)) return false;
    return h->listener.port == 0 || gate_allow_host(h->s.gate, h->listener.address, e);
}

static bool open_http(struct house *h, const struct serve_opts *o, struct err *e)
{
    struct http_opts v = {
        .max_connections = o->max_connections,
        .max_requests = o->max_requests,
        .max_body_bytes = (size_t)o->max_body_kb << 10,
        .receive_s = o->receive_s,
        .tls_cert = h->cert.p,
        .tls_key = h->key.p,
    };

    h->port = h->listener.port;
    if (h->port)
        (void)snprintf(h->url, sizeof h->url, "%s://%s:%u/", h->cert.p ? "https" : "http",
                       h->listener.address, h->port);
    return http_open(&v, &h->listener, h->s.gate, server_routes, &h->s, &h->s.http, e);
}

static bool open_all(struct house *h, const struct serve_job *j, struct err *e)
{
    const struct serve_opts *o = j->serve;
    struct str token;

    if (!read_files(h, o, &token, e)) return false;
    if (!listener_open(o->address, (uint16_t)o->port, o->socket, &h->listener, e)) return false;
    if (!open_gate(h, o, token, e)) return false;
    if (!page_open(&h->s.page, e) || !facts_open(o->lexicon, &h->s.facts, e)) return false;
    if (o->history && !history_open(o->history, &h->s.history, e)) return false;
    if (o->ratings && !ratings_open(o->ratings, &h->s.ratings, e)) return false;
    if (!shelf_open(j, &h->s.shelf, e)) return false;
    h->s.core = shelf_core(h->s.shelf);
    if (!engine_open(&h->s.core, &h->s.engine, e)) return false;
    return note_start(h, o, e) && open_http(h, o, e);
}

static void close_all(struct house *h)
{
    struct err ignored = {0};

    http_close(h->s.http); /* first: its threads use all below */
    engine_close(h->s.engine);
    shelf_close(h->s.shelf);
    ratings_close(h->s.ratings);
    history_close(h->s.history);
    facts_close(h->s.facts);
    page_close(h->s.page);
    gate_close(h->s.gate);
    listener_close(&h->listener);
    if (h->connect_path && !fs_remove(h->connect_path, &ignored)) err_clear(&ignored);
    if (h->token_path && !fs_remove(h->token_path, &ignored)) err_clear(&ignored);
    if (h->has_run) rundir_close(&h->run);
    arena_free(&h->arena);
}

/* ---- telling people how to come in */

static bool write_secret(const char *path, struct str text, struct err *e)
{
    if (!fs_replace(path, text, e)) return false;
    return chmod(path, 0600) == 0 || err_sys(e, "%s", path);
}

static bool put_tunnel(const struct house *h, const struct serve_opts *o, struct sbuf *b,
                       struct err *e)
{
    char host[128] = "HOST";

    (void)gethostname(host, sizeof host - 1);
    if (o->socket)
        return sbuf_printf(b, e,
                           "from your own computer:  ssh -N -L 8765:%s %s\n"
                           "then open                http://127.0.0.1:8765/\n",
                           o->socket, host);
    return sbuf_printf(b, e,
                       "from your own computer:  ssh -N -L %u:%s:%u %s\n"
                       "(behind a login node:    ssh -N -J LOGIN -L %u:%s:%u %s)\n",
                       h->port, o->address, h->port, host, h->port, o->address, h->port, host);
}

/* connect.txt: the next one-time link, the tunnel, the token's place. */
static bool write_connect(struct house *h, const struct serve_opts *o, struct sbuf *b,
                          struct err *e)
{
    char ticket[GATE_SECRET_BYTES];
    bool ok;

    h->tickets_used = gate_tickets_used(h->s.gate);
    gate_ticket(h->s.gate, ticket);
    if (o->socket)
        ok = sbuf_printf(b, e, "socket:                  %s\n", o->socket);
    else
        ok = sbuf_printf(b, e, "one-time link:           %s?ticket=%s\n", h->url, ticket);
    ok = ok && put_tunnel(h, o, b, e) &&
         (o->socket || sbuf_printf(b, e, "token for programs:      in %s\n",
                                   o->token_file ? o->token_file : h->token_path)) &&
         write_secret(h->connect_path, sbuf_str(b), e);
    explicit_bzero(ticket, sizeof ticket);
    return ok;
}

static bool announce(struct house *h, const struct serve_job *j, struct err *e)
{
    const struct serve_opts *o = j->serve;
    struct sbuf b;
    bool ok;

    sbuf_init(&b, TEXT_BYTES);
    ok = write_connect(h, o, &b, e);
    if (ok && j->terminal && j->show) j->show(j->show_ctx, b.p);
    if (ok && !j->terminal && j->show) {
        sbuf_clear(&b);
        ok = sbuf_printf(&b, e, "serving; %s says how to come in\n", h->connect_path);
        if (ok) j->show(j->show_ctx, b.p);
    }
    if (b.p) explicit_bzero(b.p, b.n);
    sbuf_free(&b);
    return ok;
}

static bool write_entrance(struct house *h, const struct serve_job *j, struct err *e)
{
    const char *made = gate_new_token(h->s.gate);

    if (!fs_join(&h->arena, j->serve->dir, "connect.txt", &h->connect_path, e)) return false;
    if (!j->serve->socket && !j->serve->token_file &&
        (!fs_join(&h->arena, j->serve->dir, "token", &h->token_path, e) ||
         !write_secret(h->token_path, str_of(made), e)))
        return false;
    return announce(h, j, e);
}

/* ---- serving */

static void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}

static bool watch(struct house *h, const struct serve_job *j, struct err *e)
{
    struct err why = {0};
    struct sbuf b;

    while (!stop_requested()) {
        http_tend(h->s.http);
        if (!engine_alive(h->s.engine, &why)) {
            *e = why;
            return false;
        }
        if (gate_tickets_used(h->s.gate) != h->tickets_used) {
            sbuf_init(&b, TEXT_BYTES);
            bool ok = write_connect(h, j->serve, &b, e);
            sbuf_free(&b);
            if (!ok) return false;
            log_info("session_opened", "sessions=%u", gate_sessions(h->s.gate));
        }
        pause_ms(TEND_MS);
    }
    return true;
}

/* Requests under way may end; no new ones. */
static void drain(struct house *h, double seconds)
{
    double until = clock_mono_s() + seconds;

    http_drain(h->s.http);
    log_info("serve_stopping", "active=%u", http_active(h->s.http));
    while (http_active(h->s.http) && clock_mono_s() < until) {
        http_tend(h->s.http);
        pause_ms(TEND_MS / 4);
    }
}

bool serve_run(const struct serve_job *j, struct err *e)
{
    struct house h = {.s = {.job = j}, .listener = {.fd = -1}};
    static const char *const free_keys[] = {"serve", "model", "shards", "train", NULL};
    bool ok = false;

    arena_init(&h.arena, 4 << 20);
    if (!check_opts(j->serve, e) || !seal_process(e)) goto out;
    if (!rundir_open(j->serve->dir, "serve", j->options, free_keys, 0, &h.run, e)) goto out;
    h.has_run = true;
    if (!open_all(&h, j, e) || !write_entrance(&h, j, e)) goto out;
    log_info("serving", "address=%s port=%u tls=%d history=%d ratings=%d",
             j->serve->socket ? "socket" : j->serve->address, h.port, j->serve->tls_cert != NULL,
             j->serve->history != NULL, j->serve->ratings != NULL);
    ok = watch(&h, j, e);
    drain(&h, ok ? j->serve->drain_s : 0);
out:
    close_all(&h);
    return ok;
}
