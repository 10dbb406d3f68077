/*
 * serve/engine - one thread that owns the model; requests come to it through boxes.
 *
 * The main idea: HTTP threads never touch a device. A request opens a box, puts any number of
 * sequences into it and waits for their tokens; the engine's thread takes sequences from all boxes,
 * decodes them together step by step, and puts tokens back. Closing a box forgets what is still
 * running in it, so a client that went away costs at most one step more.
 *
 * What decodes is a core, a table of functions that only the engine's thread calls: serve/core over
 * generate/decode, or a test's. A core that fails ends the engine: every sequence ends with
 * ENGINE_FAILED and engine_alive is false.
 *
 * Thread-safe: any number of threads, each with boxes of its own.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

enum { ENGINE_TOP_MAX = 20 };
struct engine_top {
    uint32_t id;
    float logprob;
};
struct engine_token {
    uint32_t id;
    float logprob;
    uint32_t ntop; /* alternatives, likeliest first */
    struct engine_top top[ENGINE_TOP_MAX];
};
enum engine_end {
    ENGINE_RUNNING, /* a token */
    ENGINE_EOS,     /* the model ended its answer */
    ENGINE_LENGTH,  /* max_new_tokens, or no room for more */
    ENGINE_FAILED,
};
struct engine_ask {
    const uint32_t *ids; /* copied */
    uint32_t n;
    uint32_t max_new_tokens;
    int adapter; /* -1: the base model */
    double temperature, top_p;
    uint64_t seed;
    bool logprobs;
    uint32_t top_logprobs;
};
struct engine_event {
    uint32_t index; /* of the sequence in its box */
    enum engine_end end;
    struct engine_token token; /* ENGINE_RUNNING alone */
};

/* What decodes. handle names a sequence between submit and its end or cancel. */
typedef void (*engine_event_fn)(void *to, void *tag, enum engine_end end,
                                const struct engine_token *token);
struct engine_core {
    void *ctx;
    /* Take a sequence; events carry tag. ERR_LIMIT: it can never fit. */
    bool (*submit)(void *ctx, const struct engine_ask *ask, void *tag, uint64_t *handle,
                   struct err *e);
    void (*cancel)(void *ctx, uint64_t handle); /* no events of it come any more */
    bool (*busy)(void *ctx);
    bool (*step)(void *ctx, engine_event_fn on_event, void *to, struct err *e);
};

struct engine;
/* Starts the thread; the core is borrowed until engine_close. */
MUST_CHECK bool engine_open(const struct engine_core *core, struct engine **out, struct err *e);
/* All boxes must be closed. */
void engine_close(struct engine *g);
/* False once the core failed; *why then has its error. */
bool engine_alive(struct engine *g, struct err *why);
struct engine_load {
    uint32_t waiting, running; /* sequences not yet taken by the core; taken */
    uint64_t steps, tokens;
};
struct engine_load engine_load(struct engine *g);

struct engine_box;
MUST_CHECK bool engine_box_open(struct engine *g, struct engine_box **out, struct err *e);
void engine_box_close(struct engine_box *b);
/* Put sequence `index` (chosen by the caller, once each) into the box. */
MUST_CHECK bool engine_submit(struct engine_box *b, uint32_t index, const struct engine_ask *ask,
                              struct err *e);
/* Forget one sequence: no more events of it. */
void engine_cancel(struct engine_box *b, uint32_t index);
/* The next event; false when none came within wait_ms. */
bool engine_wait(struct engine_box *b, uint32_t wait_ms, struct engine_event *out);

/* Run fn(ctx) on the engine's thread, between two steps, and wait for it: other work for the
 * device. */
typedef bool (*engine_call_fn)(void *ctx, struct err *e);
MUST_CHECK bool engine_call(struct engine *g, engine_call_fn fn, void *ctx, struct err *e);
