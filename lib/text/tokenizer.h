/*
 * text/tokenizer - text to token ids and back, bit for bit as huggingface/tokenizers does it.
 *
 * The main idea: report text is always encoded in *plain* mode, in which a literal "<|im_end|>"
 * inside a report is ordinary text; only prompts (text/prompt.h) place special tokens, by id. A
 * tokenizer is read from tokenizer.json, a folder holding one, or GGUF metadata; an unknown
 * component is refused by name, never ignored.
 *
 * Read today: byte-level BPE (GPT-2, RoBERTa, SmolLM2/StarCoder2, Llama 3). Refused today:
 * SentencePiece-style BPE, Unigram, WordPiece, normalizers. A file in which ordinary text can spell
 * a special token is refused too. As the reference does, a byte that has no piece and no unknown
 * token (SmolLM2 lacks some control characters) gives no id.
 *
 * Immutable after opening; encoding needs a `struct tok_cache` per thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tokenizer;
struct tok_cache;

struct tok_info {
    uint32_t vocab_size;        /* ids are below this */
    int32_t bos, eos, pad, unk; /* -1: none */
    uint8_t
        digest[32];   /* over the canonical binary form (vocabulary, merges, pre-tokenizer, mode) */
    const char *kind; /* "byte-bpe", ... */
};

/* path: tokenizer.json, a model folder, or a .gguf file. tokenizer.json does not name its bos,
 * eos, pad: they come from tokenizer_config.json, special_tokens_map.json or config.json beside
 * it. */
MUST_CHECK bool tokenizer_open(const char *path, struct tokenizer **out, struct err *e);
void tokenizer_close(struct tokenizer *t);
struct tok_info tokenizer_info(const struct tokenizer *t);
/* Id of an exact token, as text ("<|im_start|>", " the"), or -1. */
int32_t tokenizer_id(const struct tokenizer *t, struct str content);
/* The text an id stands for (borrowed; any bytes, not always UTF-8), empty when out of range. */
struct str tokenizer_piece(const struct tokenizer *t, uint32_t id);
bool tokenizer_is_special(const struct tokenizer *t, uint32_t id);
/* Write tokenizer.json (HF form, loadable by transformers), tokenizer_config.json and
 * special_tokens_map.json into a folder. */
MUST_CHECK bool tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e);

/* Word cache of one thread; bounded. */
MUST_CHECK bool tok_cache_open(const struct tokenizer *t, struct tok_cache **out, struct err *e);
void tok_cache_close(struct tok_cache *c);

struct tok_ids {
    uint32_t *ids; /* mem_alloc'ed, grows; tok_ids_free */
    size_t n, cap;
};
void tok_ids_free(struct tok_ids *v);
MUST_CHECK bool tok_ids_put(struct tok_ids *v, uint32_t id, struct err *e);

enum tok_mode {
    TOK_PLAIN, /* special tokens are not recognised; no BOS/EOS template: for report text */
    TOK_RAW,   /* special-token text recognised, no template */
    TOK_FULL,  /* as RAW, then the file's template (BOS, EOS) */
};
/* Append the ids of text (at most 64 MiB). Ill-formed UTF-8: each maximal bad subpart counts as
 * U+FFFD. On failure out is as it was. */
MUST_CHECK bool tokenizer_encode(struct tok_cache *c, struct str text, enum tok_mode mode,
                                 struct tok_ids *out, struct err *e);
/* Append the text of ids; skip_special leaves special tokens out. Ill-formed bytes become U+FFFD.
 */
MUST_CHECK bool tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
                                 bool skip_special, struct sbuf *out, struct err *e);
