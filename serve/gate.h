/*
 * serve/gate - who may talk to the server: secrets, sessions, host names, rates.
 *
 * Three ways in. A token (64 hexadecimal digits, from a file or made at the start) in an
 * Authorization header, for programs. A one-time link: its ticket opens one session and is then
 * worth nothing; a new one takes its place. A session: what a browser holds, for as long as it is
 * used, in the page's memory and headers, never in a cookie or a URL. A gate over a 0600 Unix
 * socket is open: the file system has asked already.
 *
 * The gate keeps only SHA-256 digests of tokens and sessions and compares whole digests, so that
 * the time of a comparison says nothing. Guessing 256 bits is not what the rate is for: it bounds
 * what one holder of a secret can ask.
 *
 * Names: a browser that was lured to our address by someone else's name (DNS rebinding) sends that
 * name in Host; only loopback names, the bound address and those configured are taken. A page of
 * another origin sends Origin; it must be the one the request goes to. Other users' servers on
 * this machine are other origins, since the port differs.
 *
 * Thread-safe, but for opening and closing.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { GATE_SECRET_BYTES = 65 }; /* 64 digits and NUL */

/* Which kind of secret was shown; each session and the token have a rate of their own. */
enum gate_who { GATE_NOBODY, GATE_SOCKET, GATE_TOKEN, GATE_SESSION };

struct gate_opts {
    bool open;                /* whoever reaches the socket may pass */
    struct str token;         /* empty: one is made */
    const char *const *hosts; /* further names that Host may have; nhosts of them */
    size_t nhosts;
    uint32_t rate_per_min; /* requests a minute of one secret; 0: any */
    uint32_t idle_s;       /* a session ends when it was not used for so long */
};
struct gate;
/* o->hosts is borrowed for the gate's life. */
MUST_CHECK bool gate_open(const struct gate_opts *o, struct gate **out, struct err *e);
void gate_close(struct gate *g);
/* The token's text, for the file that holds it; empty when the gate was given one. */
const char *gate_new_token(const struct gate *g);

/* Another name that Host may have (the bound address). */
MUST_CHECK bool gate_allow_host(struct gate *g, const char *name, struct err *e);
/* host: the header's value ("localhost:8765"), empty when there is none. */
bool gate_host_ok(const struct gate *g, struct str host);
/* origin: empty when there is none; else it must be http(s):// and exactly `host`. */
bool gate_origin_ok(struct str origin, struct str host);

/* Who shows this secret ("Bearer ..." cut off). Moves a session's end. */
enum gate_who gate_check(struct gate *g, struct str secret);
/* May the holder of this secret make another request now? *retry_s: when not, after how long. */
bool gate_rate_ok(struct gate *g, struct str secret, uint32_t *retry_s);

/* The ticket of the next one-time link. */
void gate_ticket(struct gate *g, char out[GATE_SECRET_BYTES]);
/* Use a ticket up, or take the token: a new session. False: neither. The oldest session ends when
 * there are too many. */
bool gate_enter(struct gate *g, struct str ticket_or_token, char session[GATE_SECRET_BYTES]);
void gate_leave(struct gate *g, struct str session);
uint32_t gate_sessions(struct gate *g);
/* How often a ticket was used up: who shows the link writes it anew when this grows. */
uint32_t gate_tickets_used(struct gate *g);
