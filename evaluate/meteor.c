#include "evaluate/meteor.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/bleu_tok.h"
#include "evaluate/dense.h"
#include "evaluate/porter.h"
#include "text/utf8.h"

enum { NOT_MATCHED = -1, WORD_MAX = 256 };

struct word {
    uint32_t id, stem;
    int32_t to; /* the other side's word it is matched with */
};
struct side {
    struct sbuf lower;
    struct word *words;
    size_t n, cap;
};
struct meteor {
    struct side hyp, ref;
    struct dense ids;
    /* The reference's free words with the same number, last first: heads by number, then links. */
    int32_t *head, *next;
    size_t head_cap, next_cap;
};

const char *const meteor_signature =
    "meteor|nltk|stages:exact,porter|synonyms:no|alpha:0.9|beta:3|gamma:0.5|v:1";

bool meteor_open(struct meteor **out, struct err *e)
{
    struct meteor *m = mem_calloc(1, sizeof *m, e);
    *out = m;
    if (!m) return false;
    sbuf_init(&m->hyp.lower, BLEU_TEXT_MAX);
    sbuf_init(&m->ref.lower, BLEU_TEXT_MAX);
    return true;
}

static void side_free(struct side *s)
{
    sbuf_free(&s->lower);
    mem_free(s->words);
}

void meteor_close(struct meteor *m)
{
    if (!m) return;
    side_free(&m->hyp);
    side_free(&m->ref);
    dense_free(&m->ids);
    mem_free(m->head);
    mem_free(m->next);
    mem_free(m);
}

/* ---- words */

/* The stemmer knows bytes: each character above 0x7f becomes one byte above 0x7f, equal ones the
 * same, as none is a vowel. False: too long, or too many kinds of them. */
static bool to_letters(struct str word, char out[WORD_MAX], size_t *n, uint32_t high[128])
{
    size_t len, kinds = 0;
    *n = 0;
    for (size_t i = 0; i < word.n; i += len) {
        uint32_t cp;
        size_t k = 0;
        (void)utf8_next(str_sub(word, i, word.n), &cp, &len);
        while (cp >= 0x80 && k < kinds && high[k] != cp)
            k++;
        if (*n == WORD_MAX || k == 128) return false;
        if (cp >= 0x80 && k == kinds) high[kinds++] = cp;
        out[(*n)++] = (char)(cp < 0x80 ? cp : 0x80 + k);
    }
    return true;
}

static uint64_t stem_key(struct str word)
{
    char letters[WORD_MAX];
    uint32_t high[128], stem[WORD_MAX];
    size_t n;
    if (!to_letters(word, letters, &n, high)) return hash_xxh64(word.p, word.n, 0);
    n = porter_stem(letters, n);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)letters[i];
        stem[i] = c < 0x80 ? c : high[c - 0x80];
    }
    return hash_xxh64(stem, n * sizeof *stem, 1);
}

static bool read_side(struct meteor *m, struct side *s, struct str text, struct err *e)
{
    struct str token, rest;
    sbuf_clear(&s->lower);
    s->n = 0;
    if (!utf8_put_lower(text, &s->lower, e)) return false;
    rest = sbuf_str(&s->lower);
    while (bleu_tok_next(&rest, &token)) {
        if (s->n == METEOR_MAX_TOKENS)
            return err_set(e, ERR_LIMIT, "a text of more than %d words", METEOR_MAX_TOKENS);
        if (!mem_grow((void **)&s->words, &s->cap, s->n + 1, sizeof *s->words, e)) return false;
        s->words[s->n++] = (struct word){
            .id = dense_of(&m->ids, hash_xxh64(token.p, token.n, 0)),
            .stem = dense_of(&m->ids, stem_key(token)),
            .to = NOT_MATCHED,
        };
    }
    return true;
}

/* ---- stages */

static uint32_t key_of(const struct word *w, bool stems)
{
    return stems ? w->stem : w->id;
}

/* From the answer's last word on, each takes the last free word of the reference that is equal. */
static void match_stage(struct meteor *m, bool stems)
{
    struct side *h = &m->hyp, *r = &m->ref;
    for (size_t i = 0; i < m->ids.n; i++)
        m->head[i] = NOT_MATCHED;
    for (size_t j = 0; j < r->n; j++) {
        uint32_t key = key_of(&r->words[j], stems);
        if (r->words[j].to != NOT_MATCHED) continue;
        m->next[j] = m->head[key];
        m->head[key] = (int32_t)j;
    }
    for (size_t i = h->n; i-- > 0;) {
        int32_t *head = &m->head[key_of(&h->words[i], stems)];
        if (h->words[i].to != NOT_MATCHED || *head == NOT_MATCHED) continue;
        h->words[i].to = *head;
        r->words[*head].to = (int32_t)i;
        *head = m->next[*head];
    }
}

/* Runs of matches that are neighbours on both sides. */
static size_t count_chunks(const struct side *h, size_t *matches)
{
    size_t chunks = 0;
    *matches = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (h->words[i].to == NOT_MATCHED) continue;
        ++*matches;
        bool follows =
            i > 0 && h->words[i - 1].to != NOT_MATCHED && h->words[i].to == h->words[i - 1].to + 1;
        chunks += !follows;
    }
    return chunks;
}

bool meteor_pair(struct meteor *m, struct str prediction, struct str reference, double *out,
                 struct err *e)
{
    size_t matches;
    *out = 0;
    if (!dense_begin(&m->ids, prediction.n + reference.n + 2, e)) return false;
    if (!read_side(m, &m->ref, reference, e) || !read_side(m, &m->hyp, prediction, e)) return false;
    if (!mem_grow((void **)&m->head, &m->head_cap, m->ids.n, sizeof *m->head, e) ||
        !mem_grow((void **)&m->next, &m->next_cap, m->ref.n, sizeof *m->next, e))
        return false;
    match_stage(m, false);
    match_stage(m, true);
    size_t chunks = count_chunks(&m->hyp, &matches);
    if (matches == 0) return true;
    double p = (double)matches / (double)m->hyp.n, r = (double)matches / (double)m->ref.n;
    double f = p * r / (0.9 * p + 0.1 * r), fragmented = (double)chunks / (double)matches;
    *out = (1 - 0.5 * (fragmented * fragmented * fragmented)) * f;
    return true;
}
