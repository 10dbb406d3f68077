/*
 * text/prompt - how fields of a report become one training sample or one prompt.
 *
 * A template is a fixed list of parts: literal text, field text, special tokens. Each part's text
 * is encoded on its own in plain mode and the ids are joined, so that a prompt built for
 * generation has exactly the ids that training saw, and no report text can become a special token.
 * A single blank at the end of literal text moves to the field or target behind it (byte-level
 * tokens carry the blank in front of a word). The target is encoded on its own too and always ends
 * in EOS: the token behind {target}, else the tokenizer's. What the tokenizer's own template puts
 * in front (BOS) comes first, once.
 *
 * Built in: plain ("Findings: ...", "Impression:"); alpaca and radiology-gpt (alpaca-lora's
 * blocks, with UChicago's and Radiology-GPT's instruction); medalpaca (UChicago's, without blank
 * lines between the blocks); the chat formats of the families, by the ids that transformers'
 * apply_chat_template gives: chatml (SmolLM2), llama2-chat, llama3-chat, llama3.1-chat (3.2 too,
 * with the fixed date of its template), mistral-instruct (v0.1, v0.2: no system turn, so its
 * text leads the user's), mistral-v0.3-instruct; chat is that one of them which the tokenizer's
 * own chat template is, known by its exact text, others are refused. Or a file (at most 64 KiB),
 * text with marks:
 *
 *     {clinical} {findings} ...  a field's text
 *     {input}                    the configured fields, a line each, headed if there are several
 *     {target}                   the answer, last; one token may follow and then ends the target
 *     {bos} {eos} {<|im_end|>}   a special token of the tokenizer
 *     {{ }}                      braces
 *
 * SentencePiece tokenizers put a blank in front of the first text only, old ones (legacy) also
 * behind a special token. A line, or its part up to a special token, whose fields are all absent
 * is left out. Does not clean text (text/clean.h) and does not choose fields. One prompt a
 * thread.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "text/tokenizer.h"

/* Fields a template may name, in the order of struct prompt_fields. */
enum prompt_field {
    PROMPT_CLINICAL, /* indication / history */
    PROMPT_FINDINGS,
    PROMPT_EXAMINATION,
    PROMPT_TECHNIQUE,
    PROMPT_COMPARISON,
    PROMPT_BACKGROUND,
    PROMPT_READER, /* a pseudonym of who dictated */
    PROMPT_REPORT_FIELDS,
    /* no report's own: what a judge compares, and what the rule check said (judge/judge_text) */
    PROMPT_REFERENCE = PROMPT_REPORT_FIELDS,
    PROMPT_GENERATED,
    PROMPT_CHECK,
    PROMPT_FIELDS
};
extern const char *const prompt_field_names[PROMPT_FIELDS + 1]; /* NULL-terminated */
/* "clinical" -> PROMPT_CLINICAL; -1 when unknown. */
int prompt_field_of(struct str name);

/* "plain", "alpaca", ...; NULL-terminated. */
extern const char *const prompt_builtin_names[];

struct prompt;
/* name: a built-in template or a path. inputs[]: ordered fields that {input} stands for. t is
 * borrowed for the prompt's life. ERR_CONFIG where nothing could end a target. */
MUST_CHECK bool prompt_open(const char *name, const enum prompt_field *inputs, size_t ninputs,
                            const struct tokenizer *t, struct prompt **out, struct err *e);
void prompt_close(struct prompt *p);
/* Does the template show this field? */
bool prompt_uses(const struct prompt *p, enum prompt_field field);
/* SHA-256 over the template's parts, the input order and the tokenizer's digest. */
void prompt_digest(const struct prompt *p, uint8_t out[32]);

/* From now on build samples for an encoder-decoder: the prompt is the encoder's input and ends as
 * the tokenizer ends a text (T5: </s>), what comes from `target` on are the decoder's labels, and
 * max_tokens bounds the input alone. Before the first digest and build. ERR_CONFIG where the
 * tokenizer ends no text. */
MUST_CHECK bool prompt_for_encoder(struct prompt *p, struct err *e);

struct prompt_sample {
    const uint32_t *ids; /* borrowed until the next build */
    size_t n;
    size_t target; /* first target token; prompt only: target == n */
    size_t cut;    /* tokens taken off field text to fit max_tokens; 0: it is whole */
};
/* Build one sample. fields[i] empty: the field is absent and its heading is left out. target with p
 * == NULL builds a prompt alone. max_tokens cuts the longest field from its end, never the target;
 * what cannot fit even then is ERR_LIMIT. */
MUST_CHECK bool prompt_build(struct prompt *p, struct tok_cache *c,
                             const struct str fields[PROMPT_FIELDS], struct str target,
                             size_t max_tokens, struct prompt_sample *out, struct err *e);
