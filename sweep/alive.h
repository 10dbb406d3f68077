/*
 * sweep/alive - which process is this, and is a process of a card still there?
 *
 * A card names the machine (boot id and pid name space), the process and when it started, so that
 * a process of this very machine is known to be gone without waiting; of others nothing is said.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { ALIVE_CARD_MAX = 4096, ALIVE_JOB_MAX = 128 };
enum alive { ALIVE_HERE, ALIVE_GONE, ALIVE_ELSEWHERE };
struct alive_card {
    enum alive state;
    char job[ALIVE_JOB_MAX]; /* of the scheduler; empty: none */
};

/* The card of this process as JSON. */
MUST_CHECK bool alive_put(const char *name, const char *job, struct sbuf *b, struct err *e);
/* A card that cannot be read is one from elsewhere. */
void alive_read(struct str card, struct alive_card *out);
/* 64 random bits, for names. */
MUST_CHECK bool alive_random(uint64_t *out, struct err *e);
