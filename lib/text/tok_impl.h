/*
 * text/tok_impl - the inside of a tokenizer: what a file said, and the tables made from it. Private
 * to lib/text.
 *
 * A reader (tok_json, tok_gguf) fills the first half of struct tokenizer through the tok_def_*
 * functions; tok_def_finish checks it and builds the second half. After that nothing changes.
 *
 * Pieces of byte-level BPE are written in files with one printable character a byte (GPT-2's byte
 * map). Here `content` is the file's form and `bytes` the text it stands for; encoding only ever
 * looks at bytes.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "text/tokenizer.h"

#define TOK_MAX_IDS    (1u << 21)
#define TOK_MAX_MERGES (1u << 22)
#define TOK_MAX_ADDED  (1u << 16)
#define TOK_MAX_PIECE  4096u        /* bytes of one piece */
#define TOK_MAX_FILE   (512u << 20) /* bytes of tokenizer.json */
#define TOK_MAX_ARENA  ((size_t)1 << 30)
#define TOK_MAX_TEXT   (64u << 20) /* bytes of one text to encode */
#define TOK_MAX_AFFIX  64u         /* ids a template puts before or behind */
#define TOK_NO_ID      UINT32_MAX

enum {
    TOK_P_VOCAB = 1,   /* in the model's vocabulary */
    TOK_P_MAPPED = 2,  /* content is in the byte map's alphabet: bytes can be found in text */
    TOK_P_ADDED = 4,   /* in the list of added tokens */
    TOK_P_SPECIAL = 8, /* an added token marked special */
};
struct tok_piece {
    struct str content; /* p == NULL: the id is not used */
    struct str bytes;
    uint32_t flags;
};
struct tok_added {
    struct str content;
    uint32_t id;
    bool special, single_word, lstrip, rstrip;
    bool normalized; /* matched in the second pass */
};
struct tok_merge {
    uint32_t left, right, product;
};
enum tok_split {
    TOK_SPLIT_NONE,   /* each stretch of text is one word */
    TOK_SPLIT_GPT2,   /* GPT-2's regular expression */
    TOK_SPLIT_LLAMA3, /* Llama-3's */
};
/* One pass of added-token matching: indexes into added[], sorted by content. */
struct tok_set {
    uint32_t *order;
    size_t n;
    bool first[256]; /* bytes a content begins with */
    bool any_plain;  /* holds tokens that plain mode recognises too */
};
/* Pair of ids -> merge. key = left << 32 | right; UINT64_MAX: free. */
struct tok_pair {
    uint64_t key;
    uint32_t rank, product;
};

struct tokenizer {
    struct arena arena; /* owns all below */
    /* what the file said */
    uint32_t n; /* ids below this */
    struct tok_piece *piece;
    struct tok_merge *merge; /* index = rank */
    uint32_t nmerges, merge_cap;
    struct tok_added *added;
    uint32_t nadded, added_cap;
    enum tok_split split;
    bool digits;       /* single digits are words of their own, before the split */
    bool prefix_space; /* a stretch that does not begin with a blank gets one */
    bool ignore_merges, fuse_unk;
    int32_t model_unk; /* for bytes that have no piece; -1: they are dropped */
    uint32_t prefix[TOK_MAX_AFFIX], suffix[TOK_MAX_AFFIX];
    uint32_t nprefix, nsuffix;
    int32_t bos, eos, pad, unk;
    struct str chat_template; /* carried along for tokenizer_save */
    /* made from it */
    uint32_t byte_id[256]; /* TOK_NO_ID: no piece */
    struct tok_pair *pairs;
    uint64_t pair_mask;
    uint32_t *by_bytes; /* id + 1; 0: free */
    uint64_t bytes_mask;
    struct tok_set set[2]; /* raw pass, normalised pass */
    uint8_t digest[32];
};

/* ---- tok_def.c: filling one */
/* Empty, with room for that many; each count is checked against its limit. */
MUST_CHECK bool tok_def_open(uint64_t nids, uint64_t nmerges, uint64_t nadded,
                             struct tokenizer **out, struct err *e);
/* Pieces first, then merges and added tokens. content is copied. */
MUST_CHECK bool tok_def_piece(struct tokenizer *t, uint64_t id, struct str content, struct err *e);
MUST_CHECK bool tok_def_merge(struct tokenizer *t, struct str left, struct str right,
                              struct err *e);
/* "left right" as one string. */
MUST_CHECK bool tok_def_merge_line(struct tokenizer *t, struct str line, struct err *e);
MUST_CHECK bool tok_def_added(struct tokenizer *t, const struct tok_added *a, struct err *e);
/* Wrap the template so far in one more id. */
MUST_CHECK bool tok_def_prefix(struct tokenizer *t, const uint32_t *ids, size_t n, struct err *e);
MUST_CHECK bool tok_def_suffix(struct tokenizer *t, const uint32_t *ids, size_t n, struct err *e);
MUST_CHECK bool tok_def_finish(struct tokenizer *t, struct err *e);

/* ---- readers */
MUST_CHECK bool tok_json_open(const char *path, struct tokenizer **out, struct err *e);
MUST_CHECK bool tok_gguf_open(const char *path, struct tokenizer **out, struct err *e);
/* From memory, for tests and fuzzing; the result is finished. */
MUST_CHECK bool tok_json_parse(struct str text, struct tokenizer **out, struct err *e);
MUST_CHECK bool tok_gguf_parse(struct str file, struct tokenizer **out, struct err *e);
/* bos, eos, pad, unk and the chat template from the files beside tokenizer.json. Before finish. */
MUST_CHECK bool tok_config_read(struct tokenizer *t, const char *dir, struct err *e);

/* ---- lookups */
/* Id of a piece of the vocabulary that stands for these bytes, or TOK_NO_ID. */
uint32_t tok_find_bytes(const struct tokenizer *t, const char *p, size_t n);
static inline uint64_t tok_pair_hash(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
}
static inline const struct tok_pair *tok_find_pair(const struct tokenizer *t, uint32_t left,
                                                   uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right;
    uint64_t i = tok_pair_hash(key) & t->pair_mask;

    while (t->pairs[i].key != key) {
        if (t->pairs[i].key == UINT64_MAX) return NULL;
        i = (i + 1) & t->pair_mask;
    }
    return &t->pairs[i];
}

/* ---- tok_split.c: where words end */
/* The pattern of TOK_SPLIT_LLAMA3 as files write it. */
extern const char tok_llama3_regex[];
/* Ends of up to max words of text[from, n), valid UTF-8; the last one is where to go on. */
size_t tok_split_words(const struct tokenizer *t, const char *text, size_t n, size_t from,
                       uint32_t *ends, size_t max);

/* Room for `more` ids. */
MUST_CHECK bool tok_ids_reserve(struct tok_ids *v, size_t more, struct err *e);

/* ---- tok_bpe.c: merging inside one word */
struct tok_bpe {
    uint32_t *sym; /* id, previous, next of each symbol */
    size_t sym_cap;
    uint64_t *heap;
    size_t heap_cap;
};
void tok_bpe_free(struct tok_bpe *b);
MUST_CHECK bool tok_bpe_word(const struct tokenizer *t, struct tok_bpe *b, const char *p, size_t n,
                             struct tok_ids *out, struct err *e);

/* ---- tok_added.c: added tokens in text */
struct tok_hit {
    size_t from, to; /* stripped neighbours included */
    uint32_t id;
};
/* Next match of pass 0 or 1 at or after *at (the scan's place, which moves on); floor is where the
 * last hit ended. False: none left. */
bool tok_added_next(const struct tokenizer *t, int pass, struct str text, bool plain, size_t floor,
                    size_t *at, struct tok_hit *hit);

/* ---- the byte map */
uint32_t tok_byte_char(uint8_t b);
/* Byte of a mapped character; -1 when it is none. */
int tok_char_byte(uint32_t code_point);
