/*
 * text/tokenizer - text to token ids and back, bit for bit as huggingface/tokenizers does it.
 *
 * The main idea: report text is always encoded in *plain* mode, in which a literal "<|im_end|>"
 * inside a report is ordinary text; only prompts (text/prompt.h) place special tokens, by id. A
 * component that is not known is refused by name, never ignored.
 *
 * Four engines: byte-level BPE (GPT-2, RoBERTa, SmolLM2/StarCoder2, Llama 3, ModernBERT),
 * SentencePiece BPE (Llama 1 and 2, Alpaca, MedAlpaca, Mistral v0.1 to v0.3), Unigram (T5,
 * Flan-T5), WordPiece (BERT). Six sources: tokenizer.json; tokenizer.model or spiece.model
 * (SentencePiece); vocab.json with merges.txt; vocab.txt; GGUF metadata (llama, gpt2, t5); each
 * file but GGUF also as .gz. A Llama or Mistral tokenizer.json and the tokenizer.model beside it
 * may differ in a text's first blank (docs/FORMATS.md): the file that is named, or the first of
 * that list in a folder, decides.
 *
 * A file in which ordinary text can spell a special token is refused; Unigram leaves special pieces
 * out in plain mode. As the reference does, a byte or character that has no piece, no byte tokens
 * and no unknown token (SmolLM2 lacks some control characters) gives no id.
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
    const char *kind; /* "byte-bpe", "sp-bpe", "unigram", "wordpiece" */
    bool adds_bos, adds_eos; /* the file's template puts tokens in front, behind: T5 only behind */
};

/* path: one of the files above, or a model folder: its tokenizer.json, else tokenizer.model,
 * spiece.model, vocab.json and merges.txt, vocab.txt, or the one .gguf file. None of them names its
 * bos, eos, pad (SentencePiece: only some): they come from tokenizer_config.json,
 * special_tokens_map.json or config.json beside it. */
MUST_CHECK bool tokenizer_open(const char *path, struct tokenizer **out, struct err *e);
void tokenizer_close(struct tokenizer *t);
/* BERT's tokenizers: take letters as they are, or in lower case without accents, whatever the file
 * says; others stay as they are. Before the first cache; the digest goes on naming the file. */
void tokenizer_set_lower(struct tokenizer *t, bool lower);
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
    TOK_NEXT,  /* as PLAIN, but the text goes on where another ended: no blank is put in front */
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

/* Decoding id by id: the same text in whole characters, as soon as no later id can change it. */
struct tok_stream {
    const struct tokenizer *t; /* borrowed */
    struct sbuf held;          /* bytes that may become a character */
    bool skip_special, begun, first_seen;
};
void tok_stream_init(struct tok_stream *s, const struct tokenizer *t, bool skip_special);
void tok_stream_free(struct tok_stream *s);
/* Append what is certain after id. */
MUST_CHECK bool tok_stream_put(struct tok_stream *s, uint32_t id, struct sbuf *out, struct err *e);
/* Append the rest; the stream begins anew. */
MUST_CHECK bool tok_stream_end(struct tok_stream *s, struct sbuf *out, struct err *e);
