/*
 * text/prompt - how fields of a report become one training sample or one prompt.
 *
 * A template is a fixed list of parts: literal text, field text, special tokens. Each part's text
 * is encoded on its own in plain mode and the ids are joined, so that a prompt built for generation
 * has exactly the ids that training saw. The target is encoded on its own too and always ends in
 * EOS. One BOS at most.
 *
 * Built in: plain, alpaca, radiology-gpt, medalpaca, chat (ChatML as SmolLM2-Instruct has it); or a
 * file: text with {clinical} {findings} {input} {target} marks.
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
    PROMPT_FIELDS
};
extern const char *const prompt_field_names[PROMPT_FIELDS + 1]; /* NULL-terminated */
/* "clinical" -> PROMPT_CLINICAL; -1 when unknown. */
int prompt_field_of(struct str name);

struct prompt;
/* name: a built-in template or a path. inputs[]: ordered fields to show. */
MUST_CHECK bool prompt_open(const char *name, const enum prompt_field *inputs, size_t ninputs,
                            const struct tokenizer *t, struct prompt **out, struct err *e);
void prompt_close(struct prompt *p);
/* SHA-256 over the template's parts, the input order and the tokenizer's digest. */
void prompt_digest(const struct prompt *p, uint8_t out[32]);

struct prompt_sample {
    const uint32_t *ids; /* borrowed until the next build */
    size_t n;
    size_t target; /* first target token; prompt only: target == n */
    bool cut;      /* field text was shortened to fit max_tokens */
};
/* Build one sample. fields[i] empty: the field is absent and its heading is left out. target with p
 * == NULL builds a prompt alone. max_tokens cuts the longest field from its end, never the target;
 * what cannot fit even then is ERR_LIMIT. */
MUST_CHECK bool prompt_build(struct prompt *p, struct tok_cache *c,
                             const struct str fields[PROMPT_FIELDS], struct str target,
                             size_t max_tokens, struct prompt_sample *out, struct err *e);
