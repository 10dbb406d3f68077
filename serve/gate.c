#include "serve/gate.h"

#include <pthread.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

enum { SESSIONS = 64, NAMES = 8, NAME_BYTES = 128, TOKEN_MIN = 16, TOKEN_MAX = 256 };

struct bucket {
    double level, at_s; /* requests that may come at once, and when that was counted */
};
struct session {
    uint8_t digest[32];
    double used_s;
    bool live;
    struct bucket bucket;
};
struct gate {
    struct gate_opts o;
    pthread_mutex_t lock;
    uint8_t token[32]; /* digest */
    char new_token[GATE_SECRET_BYTES], ticket[GATE_SECRET_BYTES];
    struct bucket bucket; /* of the token and of an open gate */
    struct session session[SESSIONS];
    uint32_t tickets_used;
    char name[NAMES][NAME_BYTES];
    size_t nnames;
};

static bool make_secret(char out[GATE_SECRET_BYTES], struct err *e)
{
    uint8_t raw[32];

    for (size_t got = 0; got < sizeof raw;) {
        ssize_t n = getrandom(raw + got, sizeof raw - got, 0);
        if (n < 0) return err_sys(e, "no random numbers for a secret");
        got += (size_t)n;
    }
    hash_hex(raw, sizeof raw, out);
    return true;
}

/* The same time for any two digests. */
static bool same_digest(const uint8_t a[32], const uint8_t b[32])
{
    volatile uint8_t differ = 0;

    for (int i = 0; i < 32; i++)
        differ |= (uint8_t)(a[i] ^ b[i]);
    return differ == 0;
}

static bool same_secret(struct str shown, const char *secret)
{
    uint8_t a[32], b[32];

    sha256_of(shown, a);
    sha256_of(str_of(secret), b);
    return same_digest(a, b);
}

bool gate_open(const struct gate_opts *o, struct gate **out, struct err *e)
{
    struct gate *g = mem_calloc(1, sizeof *g, e);

    *out = NULL;
    if (!g) return false;
    g->o = *o;
    pthread_mutex_init(&g->lock, NULL);
    if (!make_secret(g->ticket, e) || !make_secret(g->new_token, e)) goto fail;
    if (o->token.n && (o->token.n < TOKEN_MIN || o->token.n > TOKEN_MAX)) {
        err_set(e, ERR_CONFIG, "the token has %zu characters, %d to %d are asked", o->token.n,
                TOKEN_MIN, TOKEN_MAX);
        goto fail;
    }
    sha256_of(o->token.n ? o->token : str_of(g->new_token), g->token);
    if (o->token.n) g->new_token[0] = 0;
    g->o.token = (struct str){0};
    g->bucket = (struct bucket){o->rate_per_min, clock_mono_s()};
    *out = g;
    return true;
fail:
    gate_close(g);
    return false;
}

void gate_close(struct gate *g)
{
    if (!g) return;
    pthread_mutex_destroy(&g->lock);
    explicit_bzero(g, sizeof *g);
    mem_free(g);
}

const char *gate_new_token(const struct gate *g)
{
    return g->new_token;
}

/* ---- names */

bool gate_allow_host(struct gate *g, const char *name, struct err *e)
{
    struct str s = str_of(name);

    if (g->nnames == NAMES || s.n == 0 || s.n >= NAME_BYTES)
        return err_set(e, ERR_CONFIG, "a host name has %zu characters, or there are over %d", s.n,
                       NAMES);
    memcpy(g->name[g->nnames++], s.p, s.n + 1);
    return true;
}

static bool same_name(struct str a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

/* "name:port", "name", "[v6]:port" without the port, which a tunnel may have changed; empty when it
 * has another form. */
static struct str without_port(struct str host)
{
    size_t end = 0;

    if (host.n && host.p[0] == '[') {
        end = str_find(host, STR("]"), 0);
        if (end == SIZE_MAX) return (struct str){0};
        end++;
    } else {
        end = str_find(host, STR(":"), 0);
        if (end == SIZE_MAX) end = host.n;
    }
    for (size_t i = end; i < host.n; i++)
        if (i == end ? host.p[i] != ':' : host.p[i] < '0' || host.p[i] > '9')
            return (struct str){0};
    return str_sub(host, 0, end);
}

bool gate_host_ok(const struct gate *g, struct str host)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    struct str name = without_port(host);

    if (name.n == 0) return false;
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        if (same_name(name, loopback[i])) return true;
    for (size_t i = 0; i < g->nnames; i++)
        if (same_name(name, g->name[i])) return true;
    for (size_t i = 0; i < g->o.nhosts; i++)
        if (same_name(name, g->o.hosts[i])) return true;
    return false;
}

bool gate_origin_ok(struct str origin, struct str host)
{
    if (origin.n == 0) return true;
    if (str_starts(origin, STR("http://"))) return str_eq(str_sub(origin, 7, origin.n), host);
    if (str_starts(origin, STR("https://"))) return str_eq(str_sub(origin, 8, origin.n), host);
    return false;
}

/* ---- secrets; all below hold the lock */

/* All slots are looked at whatever is found. */
static struct session *find_session(struct gate *g, const uint8_t digest[32])
{
    struct session *found = NULL;
    double now = clock_mono_s();

    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *s = &g->session[i];
        if (s->live && now - s->used_s > g->o.idle_s) s->live = false;
        if (same_digest(s->digest, digest) && s->live) found = s;
    }
    return found;
}

enum gate_who gate_check(struct gate *g, struct str secret)
{
    enum gate_who who = GATE_NOBODY;
    uint8_t digest[32];

    sha256_of(secret, digest);
    pthread_mutex_lock(&g->lock);
    struct session *s = find_session(g, digest);
    if (s) {
        s->used_s = clock_mono_s();
        who = GATE_SESSION;
    }
    if (same_digest(digest, g->token)) who = GATE_TOKEN;
    pthread_mutex_unlock(&g->lock);
    return who == GATE_NOBODY && g->o.open ? GATE_SOCKET : who;
}

bool gate_rate_ok(struct gate *g, struct str secret, uint32_t *retry_s)
{
    double rate = g->o.rate_per_min / 60.0, now = clock_mono_s();
    uint8_t digest[32];
    bool ok;

    *retry_s = 0;
    if (g->o.rate_per_min == 0) return true;
    sha256_of(secret, digest);
    pthread_mutex_lock(&g->lock);
    struct session *s = find_session(g, digest);
    struct bucket *b = s ? &s->bucket : &g->bucket;
    b->level += (now - b->at_s) * rate;
    if (b->level > g->o.rate_per_min) b->level = g->o.rate_per_min;
    b->at_s = now;
    ok = b->level >= 1;
    if (ok)
        b->level -= 1;
    else
        *retry_s = 1 + (uint32_t)((1 - b->level) / rate);
    pthread_mutex_unlock(&g->lock);
    return ok;
}

void gate_ticket(struct gate *g, char out[GATE_SECRET_BYTES])
{
    pthread_mutex_lock(&g->lock);
    memcpy(out, g->ticket, GATE_SECRET_BYTES);
    pthread_mutex_unlock(&g->lock);
}

static struct session *free_session(struct gate *g)
{
    struct session *oldest = &g->session[0];

    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *s = &g->session[i];
        if (!s->live) return s;
        if (s->used_s < oldest->used_s) oldest = s;
    }
    return oldest;
}

bool gate_enter(struct gate *g, struct str shown, char session[GATE_SECRET_BYTES])
{
    char next[GATE_SECRET_BYTES];
    struct err e = {0};
    uint8_t digest[32];

    if (!make_secret(session, &e) || !make_secret(next, &e)) return false;
    sha256_of(shown, digest);
    pthread_mutex_lock(&g->lock);
    bool token = same_digest(digest, g->token), ticket = same_secret(shown, g->ticket);
    if (ticket) {
        memcpy(g->ticket, next, sizeof g->ticket);
        g->tickets_used++;
    }
    if (token || ticket || g->o.open) {
        struct session *s = free_session(g);
        *s = (struct session){.used_s = clock_mono_s(), .live = true};
        s->bucket = (struct bucket){g->o.rate_per_min, s->used_s};
        sha256_of(str_of(session), s->digest);
    }
    pthread_mutex_unlock(&g->lock);
    return token || ticket || g->o.open;
}

void gate_leave(struct gate *g, struct str secret)
{
    uint8_t digest[32];

    sha256_of(secret, digest);
    pthread_mutex_lock(&g->lock);
    struct session *s = find_session(g, digest);
    if (s) *s = (struct session){0};
    pthread_mutex_unlock(&g->lock);
}

uint32_t gate_sessions(struct gate *g)
{
    double now = clock_mono_s();
    uint32_t n = 0;

    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < SESSIONS; i++)
        n += g->session[i].live && now - g->session[i].used_s <= g->o.idle_s;
    pthread_mutex_unlock(&g->lock);
    return n;
}

uint32_t gate_tickets_used(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    uint32_t n = g->tickets_used;
    pthread_mutex_unlock(&g->lock);
    return n;
}
