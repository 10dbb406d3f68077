/*
 * evaluate/embed - texts to the hidden states of an encoder: what BERTScore, sentence similarity
 * and the labeller stand on.
 *
 * The main idea: a call takes the distinct texts of many pairs and hands each one's token vectors
 * to the caller once, in batches without padding (model/encoder), so a text that occurs again - a
 * constant baseline, a template impression - costs nothing, and no value depends on what a text
 * was batched with.
 *
 * A text becomes [CLS] text [SEP] (RoBERTa: <s> text </s>, with a blank put in front as bert-score
 * and transformers' add_prefix_space do); a longer one than the model holds is cut at its end, kept
 * [SEP], and counted. White space at both ends is dropped; special tokens inside the text are plain
 * text. Lower case: as the folder's tokenizer says (a bare vocab.txt: yes, as transformers), or
 * forced on or off. Weights are taken as f32 on any device.
 *
 * Not thread-safe; one a rank.
 */
#pragma once
#include "model/encoder.h"
#include "text/tokenizer.h"

enum embed_case { EMBED_CASE_AUTO, EMBED_CASE_KEEP, EMBED_CASE_LOWER };
struct embed_opts {
    const char *dir;    /* config.json, *.safetensors and a tokenizer */
    const char *device; /* as dev_open's name */
    uint32_t threads;
    int lower; /* enum embed_case */
};

struct embed;
MUST_CHECK bool embed_open(const struct embed_opts *o, struct embed **out, struct err *e);
void embed_close(struct embed *m);
/* What can be known without reading weights: folder, config.json and tokenizer are there. */
MUST_CHECK bool embed_check(const char *dir, const char *key, struct err *e);
struct encoder_info embed_info(const struct embed *m);
/* Texts cut so far: a text counts each time that it is read. */
uint64_t embed_cut(const struct embed *m);
/* "auto", "1" or "0", as asked for: for signatures. */
const char *embed_case_name(const struct embed *m);
/* First 12 hexadecimal digits of the weights' digest; borrowed. */
const char *embed_digest(const struct embed *m);

/* Append the ids of one text, special tokens included. */
MUST_CHECK bool embed_ids(struct embed *m, struct str text, struct tok_ids *out, struct err *e);

/* One text's tokens: rows [n][d] of block `layer`, the special tokens first and last. */
struct embed_text {
    const uint32_t *ids;
    float *rows; /* the receiver's to change */
    uint32_t n, d;
};
/* Called with text i of the list, once for each distinct text: for its first occurrence. */
typedef bool (*embed_fn)(void *ctx, size_t i, const struct embed_text *t, struct err *e);
/* Texts [0, n). Texts of one batch come in order; memory is bounded by a batch of some thousand
 * tokens. first[i] (may be NULL): the first place where text i's text stands. */
MUST_CHECK bool embed_each(struct embed *m, const struct str *texts, size_t n, uint32_t layer,
                           uint32_t *first, embed_fn fn, void *ctx, struct err *e);
