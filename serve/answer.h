/*
 * serve/answer - tokens of one sequence to text that may be sent: whole characters, nothing of a
 * stop string, and the tokens' probabilities beside it.
 *
 * What a stop string could still begin in is held back; text up to the first stop string, without
 * it, is the answer. On a tie the one that begins first wins. Special tokens give no text.
 */
#pragma once
#include "serve/engine.h"
#include "text/tokenizer.h"

struct answer_token {
    struct engine_token token;
    size_t at; /* where its text begins in the answer, as far as it had been decoded */
};
struct answer {
    const struct tokenizer *tok;
    const struct str *stops; /* borrowed */
    size_t nstops;
    bool trim; /* leave out white space in front of the answer */
    bool keep; /* keep the tokens: logprobs are wanted */
    struct tok_stream stream;
    struct sbuf text;
    size_t sent; /* bytes of text already taken */
    struct answer_token *tokens;
    size_t ntokens, cap, sent_tokens;
    uint32_t count;     /* tokens of the model, the one that ended it left out */
    const char *finish; /* "stop", "length"; NULL: it goes on */
    bool failed;
};
void answer_init(struct answer *a, const struct tokenizer *tok, const struct str *stops,
                 size_t nstops);
void answer_free(struct answer *a);
/* After finish is set, tokens are passed over. */
MUST_CHECK bool answer_put(struct answer *a, const struct engine_event *v, struct err *e);
/* Text not yet taken that nothing can change any more. */
struct str answer_ready(const struct answer *a);
/* The same, now taken; *from, *to: the tokens that go with it. */
struct str answer_take(struct answer *a, size_t *from, size_t *to);
