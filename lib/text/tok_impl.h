/*
 * text/tok_impl - the inside of a tokenizer: what a file said, and the tables made from it. Private
 * to lib/text.
 *
 * A reader (tok_json, tok_sp, tok_vocab, tok_gguf) fills the first half of struct tokenizer through
 * the tok_def_* functions; tok_def_finish checks it and builds the second half. After that nothing
 * changes.
 *
 * Pieces are written in files in a form of their own: byte-level BPE has one printable character a
 * byte (GPT-2's byte map), SentencePiece writes U+2581 (the metaspace) for a blank. Here `content`
 * is the file's form and `bytes` the text it stands for; encoding only ever looks at bytes. So in
 * the SentencePiece families a blank and a literal U+2581 in a text are the same from the start.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "text/tokenizer.h"

#define TOK_MAX_IDS    ((1u << 21) - 1)
#define TOK_MAX_MERGES (1u << 22)
#define TOK_MAX_ADDED  (1u << 16)
#define TOK_MAX_PIECE  4096u        /* bytes of one piece */
#define TOK_MAX_FILE   (512u << 20) /* bytes of tokenizer.json */
#define TOK_MAX_ARENA  ((size_t)1 << 30)
#define TOK_MAX_TEXT   (64u << 20) /* bytes of one text to encode */
#define TOK_MAX_AFFIX  64u         /* ids a template puts before or behind */
#define TOK_NO_ID      UINT32_MAX
#define TOK_METASPACE  "\xE2\x96\x81" /* U+2581 */

enum tok_engine { TOK_BYTE_BPE, TOK_SP_BPE, TOK_UNIGRAM, TOK_WORDPIECE };
enum tok_norm {
    TOK_NORM_NONE,
    TOK_NORM_PREPEND,  /* SentencePiece, legacy: a blank in front of every stretch of text */
    TOK_NORM_NFC,      /* ModernBERT */
    TOK_NORM_BERT,     /* BertNormalizer */
    TOK_NORM_CHARSMAP, /* T5's Precompiled */
};
enum tok_decoder {
    TOK_DECODE_BYTES,     /* pieces are bytes */
    TOK_DECODE_SP,        /* byte tokens are joined; one blank at the front goes */
    TOK_DECODE_METASPACE, /* T5: the first piece loses its blanks */
    TOK_DECODE_WORDPIECE, /* blanks between words, none before ## */
};
enum {
    TOK_P_VOCAB = 1,    /* in the model's vocabulary */
    TOK_P_MAPPED = 2,   /* content is in the byte map's alphabet: bytes can be found in text */
    TOK_P_ADDED = 4,    /* in the list of added tokens */
    TOK_P_SPECIAL = 8,  /* an added token marked special */
    TOK_P_BYTE = 16,    /* <0xHH> of byte fallback */
    TOK_P_RENAMED = 32, /* shown is not content */
};
struct tok_piece {
    struct str content; /* p == NULL: the id is not used */
    struct str bytes;
    struct str shown; /* what a decoder gets: content, or an added token's normalised form */
    uint32_t flags;
};
struct tok_added {
    struct str content;
    struct str match; /* what is looked for: content, normalised if the token is */
    uint32_t id;
    bool special, single_word, lstrip, rstrip;
    bool normalized; /* matched in the second pass */
    bool frozen;     /* SentencePiece's user-defined piece: its text gets no blank in front */
};
struct tok_merge {
    uint32_t left, right, product;
    uint32_t rank; /* its index, unless SentencePiece scores say otherwise */
};
enum tok_split {
    TOK_SPLIT_NONE,   /* each stretch of text is one word */
    TOK_SPLIT_GPT2,   /* GPT-2's regular expression */
    TOK_SPLIT_LLAMA3, /* Llama-3's */
    TOK_SPLIT_CUTS,   /* SentencePiece: wherever no piece can span (tok_split.c) */
    TOK_SPLIT_BLANKS, /* T5: white space; see tok_unigram.c */
    TOK_SPLIT_BERT,   /* white space and punctuation */
};
/* Classes of bytes for TOK_SPLIT_CUTS. */
enum tok_cut {
    TOK_CUT_BLANK,
    TOK_CUT_CTRL,
    TOK_CUT_LETTER,
    TOK_CUT_DIGIT,
    TOK_CUT_OTHER,
    TOK_CUT_HIGH,
    TOK_CUTS
};
#define TOK_BEGINS 8
/* One pass of added-token matching: indexes into added[], sorted by content. */
struct tok_set {
    uint32_t *order;
    size_t n;
    bool first[256];              /* bytes a content begins with */
    bool among[256];              /* that are the first or the second of one */
    uint8_t pair[8192];           /* bit a << 8 | b: bytes that one may begin with */
    uint8_t begin[TOK_BEGINS][2]; /* the same as a list */
    uint32_t nbegin;              /* 0: too many for it, or a token of one byte */
    bool any_plain;               /* holds tokens that plain mode recognises too */
};
/* Pairs of ids and what they merge to: one cache line. Full lines go on in the next one. */
#define TOK_PAIRS     5
#define TOK_ID_BITS   21
#define TOK_RANK_BITS 22
#define TOK_RANK_MASK (((uint64_t)1 << TOK_RANK_BITS) - 1)
struct tok_pairs {
    uint64_t entry[TOK_PAIRS]; /* left << 43 | right << 22 | rank; all ones: free */
    uint32_t product[TOK_PAIRS], n;
};
/* Pieces as a tree of bytes, for Unigram and WordPiece (tok_trie.c); unit 0 is the root. */
#define TOK_TRIE_USED    0x100u
#define TOK_TRIE_LABEL   (TOK_TRIE_USED | 0xFFu)
#define TOK_TRIE_ULP     9  /* bits 9 and 10 of a link */
#define TOK_TRIE_BASE    11 /* the others */
#define TOK_TRIE_SPECIAL 0x80000000u
struct tok_unit {
    uint32_t link; /* base << 11 | ulp + 1 << 9 | TOK_TRIE_USED | the code of the byte that leads
                      here */
    union {
        uint32_t id; /* of the piece that ends here: id + 1, with TOK_TRIE_SPECIAL if it is; or 0 */
        float score; /* Unigram: its score, but for ulp units in the last place of a double;
                        -INFINITY: no piece, or a special one */
    };
};
struct tok_trie {
    const struct tok_unit *unit;
    uint32_t *id;      /* Unigram: the ids, which only the best path needs, by unit */
    bool near;         /* Unigram: the units hold all scores */
    uint8_t code[256]; /* of each byte: the frequent ones come first */
};
/* Words of up to TOK_SHORT bytes as two numbers: the bytes in order, zeros, and the length in the
 * last byte: never all zero. */
#define TOK_SHORT 15u
struct tok_key {
    uint64_t lo, hi;
};
/* Pieces that are, as a word, themselves: one cache line. Full lines go on in the next one. */
struct tok_whole {
    struct tok_key key[3];
    uint32_t id[3], n;
};
#define TOK_TABLES 6

struct tokenizer {
    struct arena arena; /* owns all below */
    /* what the file said */
    uint32_t n; /* ids below this */
    struct tok_piece *piece;
    struct tok_merge *merge;
    uint32_t nmerges, merge_cap;
    struct tok_added *added;
    uint32_t nadded, added_cap;
    enum tok_split split;
    bool digits;       /* single digits are words of their own, before the split */
    bool prefix_space; /* a stretch that does not begin with a blank gets one */
    bool ignore_merges, fuse_unk;
    enum tok_engine engine;
    enum tok_norm norm;
    enum tok_decoder decoder;
    bool prefix_first;  /* prefix_space, but only where the text begins */
    bool split_blanks;  /* SentencePiece: each metaspace begins a word */
    bool byte_fallback; /* characters without a piece become bytes */
    bool bert_clean, bert_cjk, bert_lower, bert_strip;
    bool cleanup;       /* the WordPiece decoder takes blanks before punctuation out */
    uint32_t max_word;  /* WordPiece: characters of a word that is looked at */
    struct str subword; /* WordPiece: "##" */
    double *score;      /* Unigram, by id */
    struct str charsmap;
    int32_t model_unk; /* for bytes that have no piece; -1: they are dropped */
    uint32_t prefix[TOK_MAX_AFFIX], suffix[TOK_MAX_AFFIX];
    uint32_t nprefix, nsuffix;
    int32_t bos, eos, pad, unk;
    struct str chat_template; /* carried along for tokenizer_save */
    /* made from it */
    uint32_t byte_id[256];   /* TOK_NO_ID: no piece */
    void *table[TOK_TABLES]; /* owned; see tok_table */
    size_t ntables;
    char *table_rest; /* what the last one's huge page has left over */
    size_t table_left;
    struct tok_pairs *pairs;
    uint64_t pair_mask;
    uint64_t *ascii_pair;    /* [a * 128 + b]: rank << 32 | product of two bytes; all ones: none */
    struct tok_whole *whole; /* NULL: not kept for this engine */
    uint64_t whole_mask;
    bool same[256];       /* Unigram: printable ASCII that the charsmap leaves alone */
    uint8_t closed[8192]; /* Unigram: bit a << 8 | b: a piece ends in these two bytes */
    uint32_t *by_bytes;   /* id + 1; 0: free */
    uint64_t bytes_mask;
    struct tok_set set[2];            /* raw pass, normalised pass */
    uint32_t fallback[256];           /* byte -> its <0xHH> */
    uint8_t cut_class[256];           /* enum tok_cut of each byte */
    uint64_t cut[TOK_CUTS][TOK_CUTS]; /* [b][a]: all ones where no piece holds b right behind a */
    struct tok_trie trie;
    uint32_t subword_node; /* WordPiece: where "##" leads, or TOK_NO_ID */
    double unk_score;
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

/* ---- readers: from memory; the result is finished. dir: where the files beside it lie, NULL for
 * none (tests, fuzzing) */
MUST_CHECK bool tok_json_parse(struct str text, struct tokenizer **out, struct err *e);
MUST_CHECK bool tok_json_read(struct str text, const char *dir, struct tokenizer **out,
                              struct err *e);
MUST_CHECK bool tok_gguf_open(const char *path, struct tokenizer **out, struct err *e);
MUST_CHECK bool tok_gguf_parse(struct str file, struct tokenizer **out, struct err *e);
/* tokenizer.model: SentencePiece's protobuf. */
MUST_CHECK bool tok_sp_read(struct str file, const char *dir, struct tokenizer **out,
                            struct err *e);
/* vocab.json with merges.txt (GPT-2, RoBERTa), vocab.txt (BERT). */
MUST_CHECK bool tok_merges_read(struct str vocab, struct str merges, const char *dir,
                                struct tokenizer **out, struct err *e);
MUST_CHECK bool tok_vocab_read(struct str vocab, const char *dir, struct tokenizer **out,
                               struct err *e);
/* The pieces' types in SentencePiece and GGUF files. */
enum { TOK_SP_NORMAL = 1, TOK_SP_UNKNOWN, TOK_SP_CONTROL, TOK_SP_USER, TOK_SP_UNUSED, TOK_SP_BYTE };
/* One piece with its score (t->score is there, t->engine set), added token if its type says so. */
MUST_CHECK bool tok_sp_piece(struct tokenizer *t, uint64_t id, struct str s, float score,
                             uint64_t type, struct err *e);
/* Behind the last piece: merges, or the charsmap; dummy: each text begins with a blank. */
MUST_CHECK bool tok_sp_finish(struct tokenizer *t, bool dummy, struct str charsmap, struct err *e);

/* Tokens beside a vocabulary that is no tokenizer.json (tok_extra.c); zeroed without a folder. */
struct tok_extra {
    json_t *config, *added; /* tokenizer_config.json, added_tokens.json or NULL */
    uint64_t ids, count;    /* ids are below this; how many */
};
MUST_CHECK bool tok_extra_open(const char *dir, struct tok_extra *x, struct err *e);
void tok_extra_close(struct tok_extra *x);
MUST_CHECK bool tok_extra_add(struct tokenizer *t, const struct tok_extra *x, struct err *e);
/* BOS in front and EOS behind, as the file or else the arguments say. */
MUST_CHECK bool tok_extra_template(struct tokenizer *t, const struct tok_extra *x, bool bos,
                                   bool eos, struct err *e);

/* ---- tok_file.c: a whole file, unpacked when it is gzip */
MUST_CHECK bool tok_file_read(const char *path, struct sbuf *out, struct err *e);
MUST_CHECK bool tok_gunzip(struct str packed, struct sbuf *out, struct err *e);

/* Normalizer, pre-tokenizer, post-processor and decoder of a tokenizer.json (tok_json_parts.c). */
MUST_CHECK bool tok_json_parts(struct tokenizer *t, const json_t *root, struct err *e);
bool tok_json_none(const json_t *j);
bool tok_json_is(const json_t *obj, const char *type);
MUST_CHECK bool tok_json_flag(const json_t *obj, const char *key, bool missing, bool *out,
                              struct err *e);
MUST_CHECK bool tok_json_id(const json_t *j, uint32_t *out, struct err *e);
/* The component's type is not one that is known. */
bool tok_json_refuse(const char *what, const json_t *obj, struct err *e);
/* bos, eos, pad, unk and the chat template from the files beside tokenizer.json. Before finish. */
MUST_CHECK bool tok_config_read(struct tokenizer *t, const char *dir, struct err *e);

/* s with metaspaces as blanks, into out (room for s.n bytes); returns the length. */
size_t tok_blanks(struct str s, char *out);
/* ---- lookups */
/* Id of a piece of the vocabulary that stands for these bytes, or TOK_NO_ID. */
uint32_t tok_find_bytes(const struct tokenizer *t, const char *p, size_t n);
static inline uint64_t tok_pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << TOK_ID_BITS | right;
}
static inline uint32_t tok_pair_line(const struct tokenizer *t, uint64_t key)
{
    return (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32 & t->pair_mask);
}
/* rank << 32 | product, looked for from a line on; all ones where the pair does not merge. */
static inline uint64_t tok_pair_in(const struct tokenizer *t, uint64_t line, uint64_t key)
{
    for (;; line = (line + 1) & t->pair_mask) {
        const struct tok_pairs *l = &t->pairs[line];
        for (int i = 0; i < TOK_PAIRS; i++)
            if (l->entry[i] >> TOK_RANK_BITS == key)
                return (l->entry[i] & TOK_RANK_MASK) << 32 | l->product[i];
        if (l->n < TOK_PAIRS) return UINT64_MAX;
    }
}
static inline uint64_t tok_find_pair(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    uint64_t key = tok_pair_key(left, right);

    return tok_pair_in(t, tok_pair_line(t, key), key);
}

/* ---- tok_split.c: where words end */
/* The pattern of TOK_SPLIT_LLAMA3 as files write it. */
extern const char tok_llama3_regex[];
/* Ends of up to max words of text[from, n), valid UTF-8; the last one is where to go on. */
size_t tok_split_words(const struct tokenizer *t, const char *text, size_t n, size_t from,
                       uint32_t *ends, size_t max);
/* The processor has what TOK_AVX512 asks for, and no test has turned it off. */
bool tok_has_avx512(void);
/* Tests: do without AVX-512; both ways must agree. */
void tok_split_plain(bool on);

/* Room for `more` ids. */
MUST_CHECK bool tok_ids_reserve(struct tok_ids *v, size_t more, struct err *e);

/* ---- engines: the ids of one word that tok_split_words found */
struct tok_bpe {   /* scratch of the engines */
    uint32_t *sym; /* id, previous, next of each symbol */
    size_t sym_cap;
    uint64_t *heap;
    size_t heap_cap;
    struct tok_waiting *wait; /* see tok_queue.h */
    size_t wait_cap;
    struct tok_node *node; /* Viterbi */
    size_t node_cap;
    struct sbuf norm, word; /* the word normalised, one part of it */
};
void tok_bpe_init(struct tok_bpe *b);
void tok_bpe_free(struct tok_bpe *b);
size_t tok_bpe_bytes(const struct tok_bpe *b);
/* plain: special tokens are not made from text. */
MUST_CHECK bool tok_word(const struct tokenizer *t, struct tok_bpe *b, struct str word, bool plain,
                         struct tok_ids *out, struct err *e);
MUST_CHECK bool tok_bpe_word(const struct tokenizer *t, struct tok_bpe *b, const char *p, size_t n,
                             struct tok_ids *out, struct err *e);
MUST_CHECK bool tok_unigram_word(const struct tokenizer *t, struct tok_bpe *b, struct str word,
                                 bool plain, struct tok_ids *out, struct err *e);
/* Unigram, plain mode: the id that a word's last byte has whatever stands before it, or TOK_NO_ID.
 * The ids of the word are then those of the word without it, and that. */
uint32_t tok_unigram_last(const struct tokenizer *t, struct str word);
MUST_CHECK bool tok_wordpiece_word(const struct tokenizer *t, struct tok_bpe *b, struct str word,
                                   struct tok_ids *out, struct err *e);
/* A short word that is met for the first time. */
struct tok_new_word {
    const char *p;
    uint32_t n;    /* 1 to TOK_SHORT bytes */
    uint32_t i;    /* the caller's */
    uint32_t nids; /* 0: it is left to tok_word */
    uint32_t ids[TOK_SHORT];
};
/* nids of all is 0, and tok_find_whole does not know them. BPE: many at once (tok_lanes.c). */
void tok_lanes_bpe(const struct tokenizer *t, struct tok_new_word *w, size_t n);
/* Unigram, plain mode. */
void tok_unigram_many(const struct tokenizer *t, struct tok_new_word *w, size_t n);
/* Tree of all pieces' bytes. */
MUST_CHECK bool tok_trie_build(struct tokenizer *t, struct err *e);
static inline uint32_t tok_trie_step(const struct tok_trie *r, uint32_t node, uint8_t byte)
{
    uint8_t code = r->code[byte];
    uint32_t to = r->unit[node].link >> TOK_TRIE_BASE ^ code;

    return (r->unit[to].link & TOK_TRIE_LABEL) == (TOK_TRIE_USED | code) ? to : TOK_NO_ID;
}

/* ---- tok_table.c */
/* Memory for a big table, zeroed, in huge pages where the system has them: a word that is met for
 * the first time looks at places all over it. mem_free. */
MUST_CHECK void *tok_pages(size_t bytes, struct err *e);
/* The same, owned by t. At most TOK_TABLES of them. */
MUST_CHECK void *tok_table(struct tokenizer *t, size_t bytes, struct err *e);
/* The pieces that are one word and one id. Last of all, for it asks the engine. */
MUST_CHECK bool tok_whole_build(struct tokenizer *t, struct err *e);
/* The id of a word that is a piece, or TOK_NO_ID: then it has several, or the table does not know.
 * Of plain mode. */
uint32_t tok_find_whole(const struct tokenizer *t, struct tok_key key);
/* Have the processor fetch what that will look at. */
void tok_fetch_whole(const struct tokenizer *t, struct tok_key key);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TOK_LAST_BYTE 56
#else
#define TOK_LAST_BYTE 0
#endif

/* ---- tok_norm.c: normalisers; each appends to out */
MUST_CHECK bool tok_norm_bert(const struct tokenizer *t, struct str text, struct sbuf *out,
                              struct err *e);
MUST_CHECK bool tok_norm_nfc(struct str text, struct sbuf *out, struct err *e);
/* Literal metaspaces become blanks. */
MUST_CHECK bool tok_norm_blanks(struct str text, struct sbuf *out, struct err *e);
/* What happens to a whole stretch before added tokens are looked for in it. */
MUST_CHECK bool tok_norm_stretch(const struct tokenizer *t, struct str text, struct sbuf *out,
                                 struct err *e);
/* tok_charsmap.c */
MUST_CHECK bool tok_charsmap_check(struct str map, struct err *e);
MUST_CHECK bool tok_charsmap_apply(struct str map, struct str text, struct sbuf *out,
                                   struct err *e);

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
