/*
 * serve/talk - one request's sequences, from ids to finished answers. Private to serve/.
 *
 * A talk owns a box of the engine and an answer a sequence. Whoever has one calls talk_pump until
 * it says that all is done; between calls, answer_take gives what can be sent. Sequences share the
 * request's sampling; each has its own prompt, adapter and seed.
 */
#pragma once
#include "serve/answer.h"
#include "serve/server.h"

struct talk_sequence {
    struct tok_ids ids;              /* of the prompt; freed with the talk */
    const struct shelf_model *model; /* who answers */
    struct answer answer;
    size_t cut; /* tokens of the report that did not fit */
    bool told;  /* its end has been sent */
};
struct talk {
    struct server *s;
    const struct ask *ask; /* in the request's arena */
    struct engine_box *box;
    struct talk_sequence *seq;
    uint32_t n, ended;
    uint64_t prompt_tokens;
    char id[40];
    int64_t created_s;
    /* streaming: */
    bool begun, last_sent;
    double heard_s; /* when something was last sent */
};
/* The sequences of an impression request, started; *refused as in talk_start. api_radmill.c */
MUST_CHECK bool impression_open(struct server *s, const struct ask *o, struct talk **out,
                                struct http_reply *r, bool *refused, struct err *e);

/* n sequences, zeroed but for their answers; on failure *out is NULL. id_prefix: "cmpl-". */
MUST_CHECK bool talk_open(struct server *s, const struct ask *ask, uint32_t n,
                          const char *id_prefix, struct talk **out, struct err *e);
void talk_close(void *talk);
/* Give all sequences to the engine. False with *refused: r holds the refusal. */
MUST_CHECK bool talk_start(struct talk *t, struct http_reply *r, bool *refused, struct err *e);

enum talk_state { TALK_MORE, TALK_IDLE, TALK_DONE, TALK_GONE, TALK_FAILED };
/* Wait for an event and take it: MORE. IDLE: none came for a while. FAILED: *e says why. */
enum talk_state talk_pump(struct talk *t, struct http_request *q, struct err *e);
/* Until all is done. False: r holds why not, or nobody is there to hear it. */
bool talk_finish(struct talk *t, struct http_request *q, struct http_reply *r);
uint64_t talk_new_tokens(const struct talk *t);
/* {"prompt_tokens":..,"completion_tokens":..,"total_tokens":..} */
void talk_usage(const struct talk *t, struct jot *j);
