#include "evaluate/nearest.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/dense.h"

enum { WORD_BYTES = 64 }; /* what stands behind counts as another word */

struct term {
    uint32_t word, count;
};
struct posting {
    uint32_t text, count;
};
struct nearest {
    struct dense words;
    struct term *term; /* of all texts, one after the other, by word */
    size_t nterms, term_cap;
    size_t *start; /* [n + 1] of each text's terms */
    size_t n, start_cap;
    uint32_t *token; /* scratch of one text */
    size_t ntokens, token_cap;
    /* sealed */
    struct posting *posting; /* by word, then text */
    size_t *first;           /* [words + 1] of each word's postings */
    double *idf, *norm;      /* by word; 1 / length by text */
};

bool nearest_open(struct nearest **out, struct err *e)
{
    *out = mem_calloc(1, sizeof **out, e);
    return *out != NULL;
}

void nearest_close(struct nearest *n)
{
    if (!n) return;
    dense_free(&n->words);
    mem_free(n->term);
    mem_free(n->start);
    mem_free(n->token);
    mem_free(n->posting);
    mem_free(n->first);
    mem_free(n->idf);
    mem_free(n->norm);
    mem_free(n);
}

size_t nearest_count(const struct nearest *n)
{
    return n->n;
}

/* ---- words */

static char letter(char c)
{
    if (c >= 'A' && c <= 'Z') return (char)(c + 32);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : 0;
}

/* Cut the next word off *rest; false when there is none. */
static bool next_word(struct str *rest, uint64_t *key)
{
    char word[WORD_BYTES];
    size_t i = 0, n = 0;
    while (i < rest->n && !letter(rest->p[i]))
        i++;
    for (; i < rest->n && n < WORD_BYTES && letter(rest->p[i]); i++)
        word[n++] = letter(rest->p[i]);
    *rest = str_sub(*rest, i, rest->n);
    *key = hash_xxh64(word, n, 0);
    return n > 0;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Runs of equal numbers of sorted tokens to terms; how many. out has room for n. */
static size_t count_terms(uint32_t *token, size_t n, struct term *out)
{
    size_t terms = 0;
    if (n > 0) qsort(token, n, sizeof *token, cmp_u32);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || token[i] != token[i - 1]) out[terms++] = (struct term){token[i], 0};
        out[terms - 1].count++;
    }
    return terms;
}

bool nearest_add(struct nearest *n, struct str text, struct err *e)
{
    uint64_t key;
    CHECK(!n->posting);
    if (n->n == UINT32_MAX) return err_set(e, ERR_LIMIT, "more than %u texts", UINT32_MAX);
    n->ntokens = 0;
    while (next_word(&text, &key)) {
        if (!mem_grow((void **)&n->token, &n->token_cap, n->ntokens + 1, sizeof *n->token, e) ||
            !dense_add(&n->words, key, &n->token[n->ntokens], e))
            return false;
        n->ntokens++;
    }
    if (!mem_grow((void **)&n->term, &n->term_cap, n->nterms + n->ntokens, sizeof *n->term, e) ||
        !mem_grow((void **)&n->start, &n->start_cap, n->n + 2, sizeof *n->start, e))
        return false;
    n->start[n->n++] = n->nterms;
    n->nterms += count_terms(n->token, n->ntokens, n->term + n->nterms);
    n->start[n->n] = n->nterms;
    return true;
}

/* ---- the index */

static void fill_postings(struct nearest *n)
{
    for (size_t i = 0; i < n->nterms; i++)
        n->first[n->term[i].word + 1]++;
    for (size_t w = 0; w < n->words.n; w++) {
        n->idf[w] = log((1.0 + (double)n->n) / (1.0 + (double)n->first[w + 1])) + 1;
        n->first[w + 1] += n->first[w];
    }
    for (size_t t = 0; t < n->n; t++)
        for (size_t i = n->start[t]; i < n->start[t + 1]; i++) {
            const struct term *x = &n->term[i];
            n->posting[n->first[x->word]++] = (struct posting){(uint32_t)t, x->count};
        }
    for (size_t w = n->words.n; w > 0; w--) /* each ran up to the next one's place */
        n->first[w] = n->first[w - 1];
    n->first[0] = 0;
}

bool nearest_seal(struct nearest *n, struct err *e)
{
    n->posting = mem_calloc(n->nterms + 1, sizeof *n->posting, e);
    n->first = n->posting ? mem_calloc(n->words.n + 1, sizeof *n->first, e) : NULL;
    n->idf = n->first ? mem_calloc(n->words.n + 1, sizeof *n->idf, e) : NULL;
    n->norm = n->idf ? mem_calloc(n->n + 1, sizeof *n->norm, e) : NULL;
    if (!n->norm) return false;
    fill_postings(n);
    for (size_t t = 0; t < n->n; t++) {
        double squares = 0;
        for (size_t i = n->start[t]; i < n->start[t + 1]; i++) {
            double v = n->term[i].count * n->idf[n->term[i].word];
            squares += v * v;
        }
        n->norm[t] = squares > 0 ? 1 / sqrt(squares) : 0;
    }
    mem_free(n->term); /* the postings have it all */
    n->term = NULL;
    return true;
}

/* ---- search */

struct nearest_scratch {
    double *sum;       /* by text; 0 between searches */
    uint32_t *touched; /* texts with a sum */
    uint32_t *token;
    struct term *term;
    size_t token_cap, term_cap;
};

bool nearest_scratch_open(const struct nearest *n, struct nearest_scratch **out, struct err *e)
{
    struct nearest_scratch *s = mem_calloc(1, sizeof *s, e);
    *out = NULL;
    if (!s) return false;
    s->sum = mem_calloc(n->n + 1, sizeof *s->sum, e);
    s->touched = s->sum ? mem_calloc(n->n + 1, sizeof *s->touched, e) : NULL;
    if (!s->touched) {
        nearest_scratch_close(s);
        return false;
    }
    *out = s;
    return true;
}

void nearest_scratch_close(struct nearest_scratch *s)
{
    if (!s) return;
    mem_free(s->sum);
    mem_free(s->touched);
    mem_free(s->token);
    mem_free(s->term);
    mem_free(s);
}

/* The query's words that some text has; TfidfVectorizer passes over the others too. */
static bool read_query(const struct nearest *n, struct nearest_scratch *s, struct str text,
                       size_t *nterms, struct err *e)
{
    size_t tokens = 0;
    uint64_t key;
    while (next_word(&text, &key)) {
        uint32_t word = dense_find(&n->words, key);
        if (word == UINT32_MAX) continue;
        if (!mem_grow((void **)&s->token, &s->token_cap, tokens + 1, sizeof *s->token, e))
            return false;
        s->token[tokens++] = word;
    }
    if (!mem_grow((void **)&s->term, &s->term_cap, tokens, sizeof *s->term, e)) return false;
    *nterms = count_terms(s->token, tokens, s->term);
    return true;
}

bool nearest_find(const struct nearest *n, struct nearest_scratch *s, struct str text,
                  size_t *index, double *score, struct err *e)
{
    size_t nterms, ntouched = 0;
    double squares = 0;
    *index = SIZE_MAX;
    *score = 0;
    if (!read_query(n, s, text, &nterms, e)) return false;
    for (size_t i = 0; i < nterms; i++) {
        double idf = n->idf[s->term[i].word], weight = s->term[i].count * idf;
        squares += weight * weight;
        for (size_t k = n->first[s->term[i].word]; k < n->first[s->term[i].word + 1]; k++) {
            const struct posting *p = &n->posting[k];
            if (s->sum[p->text] == 0) s->touched[ntouched++] = p->text;
            s->sum[p->text] += weight * idf * p->count;
        }
    }
    for (size_t i = 0; i < ntouched; i++) {
        uint32_t t = s->touched[i];
        double cosine = s->sum[t] * n->norm[t];
        if (cosine > *score || (cosine == *score && t < *index)) {
            *score = cosine;
            *index = t;
        }
        s->sum[t] = 0;
    }
    if (squares > 0) *score /= sqrt(squares);
    return true;
}
