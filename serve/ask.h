/*
 * serve/ask - what a request's JSON asks for, checked before anything is made of it.
 *
 * OpenAI's names and types for completions, chat completions and embeddings, and radmill's own for
 * impressions, checks and ratings. A member that would change the answer and is not supported
 * (tools, echo, penalties, ...) is refused by name; members that only describe (user, metadata) are
 * passed over.
 * Every text is valid UTF-8. Refusals name the member, never its value.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "label/factlabel.h"
#include "serve/http.h"
#include "text/chat.h"

enum {
    ASK_SEQUENCES_MAX = 64, /* prompts x n, or inputs of embeddings */
    ASK_STOPS_MAX = 16,
    ASK_STOP_BYTES = 256,
    ASK_MESSAGES_MAX = 1024,
    ASK_ADAPTERS_MAX = 8,
    ASK_RATER_BYTES = 64,
    ASK_TOP_MAX = 20, /* alternatives beside a token */
};
enum ask_kind {
    ASK_COMPLETION,
    ASK_CHAT,
    ASK_EMBEDDING,
    ASK_IMPRESSION,
    ASK_CHECK,
    ASK_ENTER,
    ASK_RATING
};

struct ask_prompt {
    struct str text; /* p == NULL: ids */
    const uint32_t *ids;
    size_t n;
};
struct ask {
    struct str model; /* empty: none named */
    struct ask_prompt *prompts;
    size_t nprompts;
    struct chat_message *messages;
    size_t nmessages;
    uint32_t n;         /* choices a prompt */
    int64_t max_tokens; /* -1: not said */
    bool has_temperature, has_top_p, has_seed;
    double temperature, top_p;
    uint64_t seed;
    struct str stop[ASK_STOPS_MAX];
    size_t nstops;
    bool stream, include_usage;
    bool logprobs;
    uint32_t top_logprobs;
    bool base64; /* embeddings as the OpenAI client asks for them */
    /* impressions and checks */
    struct str findings, clinical, reference, generated, secret;
    struct str adapters[ASK_ADAPTERS_MAX];
    size_t nadapters;
    /* ratings */
    struct str rater;                          /* empty: not said */
    int64_t overall, scales[FACTLABEL_SCALES]; /* 1 to 5; scales 0: not graded */
    double seconds;
};

/* Everything in *out lives in the arena. False: r holds the refusal. */
bool ask_parse(struct str body, enum ask_kind kind, struct arena *a, struct ask *out,
               struct http_reply *r);
