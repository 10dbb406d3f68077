/*
 * evaluate/facts_lex - the lexicon of evaluate/facts: words, terms with what they mean, findings.
 *
 * The main idea: a term is a path of words through a trie; from each word of a text the longest
 * path wins, so "no change" is never taken for a negation. A term is at most LEX_TERM_WORDS long,
 * hence the walk is linear in the text without failure links. A term may have several roles
 * ("lower lobe" is a place; "stable" a change over time). Words are lower-cased and brought to the
 * singular on both sides (plurals.tsv and three rules).
 *
 * Files (docs/FACTS.md has the columns): words.tsv, anatomy.tsv, findings.tsv, compose.tsv,
 * plurals.tsv. Never changes after lex_open; thread-safe.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define LEX_TERM_WORDS 10u
#define LEX_PARTS      64u

enum lex_class {
    LEX_FINDING, /* a: concept */
    LEX_ANATOMY, /* a: index of lex.anatomy */
    LEX_NEG_PRE,
    LEX_NEG_POST,
    LEX_STOP,
    LEX_UNSURE_PRE,
    LEX_UNSURE_POST,
    LEX_NULL,     /* eats words that would mean something alone */
    LEX_PLACE,    /* a: sides, b: zones */
    LEX_SEVERITY, /* a: 1..6 */
    LEX_TIME,     /* a: enum lex_time */
    LEX_NORMAL,
    LEX_PRED, /* a: predicate */
    LEX_RECOMMEND,
    LEX_MODALITY, /* a: modality */
    LEX_PERIOD,   /* a: days; 0 for what is shorter */
    LEX_UNIT,     /* a: what is measured, f: factor */
    LEX_IMAGE,
    LEX_MONTH,
    LEX_RIB,
    LEX_FILLER,
    LEX_ABBREV,
    LEX_NUMERAL, /* a: value */
    LEX_VERB,
    LEX_JOIN,
    LEX_SEQUENCE,
    LEX_MOOT,      /* what follows in its scope is named, not stated */
    LEX_MOOT_POST, /* what stands before it */
    LEX_PART,      /* never in the trie: a line of words.tsv that groups parts */
    LEX_CLASSES
};
enum lex_time { TIME_NONE, TIME_NEW, TIME_WORSE, TIME_STABLE, TIME_BETTER, TIME_OLD, TIME_ACUTE };
enum { SIDE_LEFT = 1, SIDE_RIGHT = 2, SIDE_BOTH = 3 };

struct lex_role {
    uint8_t cls; /* enum lex_class */
    uint16_t a;
    uint32_t b;
    double f;
    uint32_t next; /* another role of the same term; 0: none */
};
struct lex_concept {
    struct str id;   /* NUL-terminated */
    struct str name; /* its first term */
    uint16_t family, part;
    uint8_t significance;
};
struct lex_anatomy {
    struct str id;
    uint16_t part;
};
struct lex_compose {
    uint16_t what; /* index of anatomy, or LEX_WHAT_FINDING | concept */
    uint16_t pred; /* LEX_PRED_* or a predicate */
    uint16_t concept;
};
#define LEX_WHAT_FINDING 0x8000u
#define LEX_PRED_OLD     0xfffdu
#define LEX_PRED_ANY     0xfffeu
#define LEX_PRED_NORMAL  0xffffu

struct lex_names { /* numbers for names, in order of appearance */
    struct str *v;
    size_t cap;
    uint16_t n;
};

/* One table from a key to a number serves words (hash of the text) and edges (node and word). */
struct lex_slot {
    uint64_t key; /* 0: free */
    uint32_t value;
};
struct lex_table {
    struct lex_slot *v;
    size_t cap, n; /* cap is a power of two */
};

struct lex {
    struct arena a;                         /* the files; names are views into them */
    struct lex_table words, edges, plurals; /* plurals: a form to its place in plural_keys */
    uint64_t *plural_keys;                  /* hash of the word that stands for it */
    uint32_t nwords, nnodes;      /* word 0 is "no word of the lexicon", node 0 the root */
    uint32_t *node_role;          /* first role of the term ending there; 0: none */
    struct lex_role *roles;       /* from 1 */
    struct lex_concept *concepts; /* findings, then "abnormal:PART" for each part */
    struct lex_anatomy *anatomy;
    struct lex_compose *compose;
    size_t node_cap, role_cap, concept_cap, anatomy_cap, compose_cap, plural_cap;
    uint32_t nroles;
    uint16_t nfindings, nconcepts, nanatomy, ncompose;
    uint64_t part_mask[LEX_PARTS]; /* a part and those it stands for */
    struct lex_names parts, families, preds, zones, modalities, units;
    uint16_t pred_abnormal;
    char digest[65];
};

MUST_CHECK bool lex_open(const char *dir, struct lex **out, struct err *e);
void lex_close(struct lex *l);
/* One word further from a node (root 0); 0: no term goes on like this. */
uint32_t lex_step(const struct lex *l, uint32_t node, uint32_t word);
/* What an anatomy or finding and a predicate make; UINT16_MAX: nothing. */
uint16_t lex_composed(const struct lex *l, uint32_t what, uint32_t pred);
/* The role of a class among those of a term, or NULL. */
const struct lex_role *lex_role_of(const struct lex *l, uint32_t role, enum lex_class cls);
/* Hash of a word as the tables hold it: lower-case, singular. Equal words give equal hashes, which
 * is how words the lexicon lacks are compared. Words of more than LEX_WORD_MAX bytes are hashed as
 * they stand. */
#define LEX_WORD_MAX 48u
uint64_t lex_hash(const struct lex *l, struct str word);
/* Its number from that hash; 0: not in the lexicon. */
uint32_t lex_word_of(const struct lex *l, uint64_t hash);
