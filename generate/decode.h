/*
 * generate/decode - requests to answers: continuous batching over a decoder cache.
 *
 * A request is a prompt, how to choose tokens, and when to stop. It waits in a queue until slots
 * are free (one, or one a beam; in the order of submission: no request overtakes another), then
 * every step pushes one token of each answer in the making and prompt tokens of new ones; the slot
 * of a finished answer is taken at once. One base model serves up to DECODE_ADAPTERS adapters, and
 * requests of all of them share a step.
 *
 *     submit -> queue -> slots: prompt, prompt, answer, answer, ... -> token events, finish event
 *
 * What does not change an answer: an answer is a function of its request and the weights, greedy
 * or sampled. Not of the other requests, `slots`, `prefill_rows`, the order or time of submission,
 * the number of adapters, or the rank; bit for bit on one kind of device, build, instruction set
 * and thread count (model/decoder says why). Random numbers are a function of (seed, number of the
 * token in the answer).
 *
 * Shared beginnings are computed once: a new prompt takes over the rows of the longest beginning
 * that any slot has seen under the same adapter, and waits a step for one that is being computed.
 * The rows are the same bits, so nothing else changes. Not behind an encoder, which reads a prompt
 * as a whole.
 *
 * Memory is taken by decode_open, decode_bytes of it on the device; a request then takes its ids on
 * the host alone. Limits: prompts and answers as decode_opts says, DECODE_ADAPTERS adapters (method
 * full only as the only one), `queue` requests waiting. Stop *strings* are the caller's: decode the
 * tokens as they come and call decode_cancel.
 *
 * How probable a known text is behind the prompt (a reference, decode_request.follow) is read from
 * the same slot when the answer has ended: the prompt is not computed again. That number is a
 * function of prompt, text and weights alone, too.
 *
 * Not thread-safe; one thread a device. A callback may call decode_submit and decode_cancel. After
 * a function has failed for the device or memory (not: a refused request) only decode_close may
 * follow.
 */
#pragma once
#include "model/decoder.h"

enum { DECODE_ADAPTERS = DECODER_ADAPTERS, DECODE_EOS = 8, DECODE_TOP = 20, DECODE_BEAMS = 16 };

struct decode_opts {
    uint32_t slots;          /* sequences at once */
    uint32_t max_len;        /* of prompt + answer; behind an encoder of the prompt alone */
    uint32_t max_new_tokens; /* the longest answer a request may ask for */
    uint32_t max_follow;     /* of prompt + decode_request.follow; behind an encoder of the latter
                                alone; 0: none has one */
    uint32_t prefill_rows;   /* most prompt tokens in one step */
    uint32_t queue;          /* requests that may wait; 0: any number */
    bool share_nothing;      /* compute every prompt as a whole: for comparison */
    /* decode_run alone: */
    /* Longest first among this many prompts, so that answers come roughly in the order of the
     * prompts; 0: among all. */
    uint32_t window;
    int32_t eos[DECODE_EOS];
    uint32_t neos;
};

/* Temperature first, then the top_k most probable, then the fewest of those that together have
 * probability top_p; lowest ids on a tie. */
struct decode_sampling {
    double temperature; /* 0: greedy, the lowest id on a tie; the rest does not matter then */
    uint32_t top_k;     /* 0: all */
    double top_p;       /* 0 or 1: all */
    uint64_t seed;
};
/* When a search that has as many finished answers as beams stops: when the best beam at its present
 * length is worse than the worst of them; at once; or when it would be at the best of lengths. */
enum decode_early { DECODE_STOP_SOON, DECODE_STOP_EARLY, DECODE_STOP_NEVER };
struct decode_request {
    const uint32_t *ids; /* of the prompt; copied */
    uint32_t n;
    uint32_t max_new_tokens; /* the answer also ends where max_len is full */
    int32_t adapter;         /* into decode_open's; -1: the base model */
    struct decode_sampling sampling;
    uint32_t beams;          /* 0 or 1: none; a search gives no token events, greedy only */
    double length_penalty;   /* score: log-probability / length^this; transformers' default is 1 */
    int early_stopping;      /* enum decode_early: transformers' False, True, "never" */
    int32_t eos[DECODE_EOS]; /* any of them ends the answer; negative ones are passed over */
    uint32_t neos;
    bool logprobs;          /* of the chosen tokens */
    uint32_t top;           /* that many alternatives with each, <= DECODE_TOP */
    const uint32_t *follow; /* what is read behind the prompt when the answer has ended; copied */
    uint32_t nfollow;
    void *user;
};

enum decode_reason { DECODE_BY_EOS, DECODE_BY_LENGTH, DECODE_CANCELLED };
extern const char *const decode_reason_names[]; /* eos, length, cancelled */
struct decode_alternative {
    uint32_t id;
    float logprob;
};
/* Pointers are borrowed until the callback returns. */
struct decode_event {
    uint64_t handle;
    void *user;
    bool finished;
    /* a new token (an EOS is none): */
    uint32_t index; /* in the answer */
    uint32_t id;
    float logprob; /* under the model, before temperature and cuts; 0 unless asked for */
    const struct decode_alternative
        *top; /* most probable first; the chosen one may be among them */
    uint32_t ntop;
    /* the answer so far, this token last; finished: all of it, without EOS */
    const uint32_t *ids;
    uint32_t n;
    /* finished: */
    enum decode_reason reason;
    uint32_t prompt_tokens;
    uint32_t shared_tokens; /* of them taken over from another prompt */
    double nll; /* sum of -ln p of `follow`'s tokens; NAN: cancelled before it had a slot */
    double queued_s, prefill_s, decode_s; /* submission, slots, first token, end; wall time */
};
/* false with *e set ends decode_step. */
typedef bool (*decode_event_fn)(void *ctx, const struct decode_event *ev, struct err *e);

struct decode_stats {
    uint64_t prompt_tokens, new_tokens, steps;
    uint64_t shared_tokens; /* of prompt_tokens: not computed again */
    uint64_t follow_tokens;
    double prefill_s, decode_s, follow_s; /* a step's time is shared out by its rows */
};

struct decode;
/* m and the adapters must live as long. */
MUST_CHECK bool decode_open(struct model *m, struct lora *const *adapters, uint32_t nadapters,
                            const struct decode_opts *o, struct decode **out, struct err *e);
void decode_close(struct decode *d);
/* Device bytes that decode_open takes, but for the narrow scratch of adapters: at its peak, as
 * nothing is taken later. */
uint64_t decode_bytes(const struct model_spec *s, enum dev_dtype dtype,
                      const struct decode_opts *o);
/* Put a request in the queue; *handle is a new number. A request that cannot be answered (empty,
 * too long, unknown adapter, bad sampling) or a full queue is ERR_LIMIT or ERR_CONFIG, and nothing
 * has changed. */
MUST_CHECK bool decode_submit(struct decode *d, const struct decode_request *r, uint64_t *handle,
                              struct err *e);
/* End a request: its finish event (DECODE_CANCELLED, with the tokens so far; of a search none)
 * comes in the next decode_step, or when what follows has been read. false: there is no such
 * request, any more. */
bool decode_cancel(struct decode *d, uint64_t handle);
/* Requests that have not finished, waiting ones included. */
size_t decode_busy(const struct decode *d);
/* One step of the model for all that is in slots; every new token and every finish is an event.
 * Nothing to do: returns true at once. */
MUST_CHECK bool decode_step(struct decode *d, decode_event_fn event, void *ctx, struct err *e);
const struct decode_stats *decode_get_stats(const struct decode *d);

/* ---- many prompts */
struct decode_prompt {
    const uint32_t *ids;
    uint32_t n;
    uint64_t seed;          /* in the place of sampling.seed */
    const uint32_t *follow; /* as in a request */
    uint32_t nfollow;
};
struct decode_answer {
    const uint32_t *ids; /* without the EOS; borrowed until the callback returns */
    uint32_t n;
    bool ended; /* by EOS or `stop`, not by max_new_tokens */
    double nll; /* of `follow` */
};
/* Called when answer i is complete (in any order); false with *e set ends the run. */
typedef bool (*decode_done_fn)(void *ctx, size_t i, const struct decode_answer *a, struct err *e);

struct decode_batch {
    const struct decode_request *like; /* but for ids, n, seed, user */
    const struct decode_prompt *prompts;
    size_t n;
    uint32_t window; /* as in decode_opts */
    /* After each token of answer i but a search's: does it end here? NULL: no. ctx is `done`'s. */
    bool (*stop)(void *ctx, size_t i, const uint32_t *ids, uint32_t n);
};
/* Answer all prompts; `done` sees every answer once. An answer ends at an EOS, after
 * max_new_tokens, or where prompt and answer fill max_len. A prompt that is empty or leaves no room
 * for an answer is ERR_LIMIT before any work. */
MUST_CHECK bool decode_all(struct decode *d, const struct decode_batch *b, decode_done_fn done,
                           void *ctx, struct err *e);
/* The same with an engine of its own, greedy. stats are added to. l may be NULL. */
MUST_CHECK bool decode_run(struct model *m, struct lora *l, const struct decode_opts *o,
                           const struct decode_prompt *prompts, size_t n, decode_done_fn done,
                           void *ctx, struct decode_stats *stats, struct err *e);
