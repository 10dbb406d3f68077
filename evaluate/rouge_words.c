#include "evaluate/rouge_words.h"

#include <string.h>

#include "base/mem.h"
#include "evaluate/porter.h"

enum {
    WORDS_MAX = 1 << 18, /* then the table is emptied: text from outside must not fill memory */
    POOL_MAX = 16 << 20,
    SLOTS_MIN = 1 << 12,
};

struct rouge_word {
    size_t offset; /* into pool */
    uint32_t length;
    uint32_t hash;
    uint32_t stem; /* global number of the word it counts as */
};

bool rouge_words_init(struct rouge_words *w, bool stem, struct err *e)
{
    *w = (struct rouge_words){.stem = stem, .nslots = SLOTS_MIN};
    w->slot = mem_calloc(w->nslots, sizeof *w->slot, e);
    return w->slot != NULL;
}

void rouge_words_free(struct rouge_words *w)
{
    mem_free(w->word);
    mem_free(w->slot);
    mem_free(w->pool);
    mem_free(w->local);
    mem_free(w->stamp);
    *w = (struct rouge_words){0};
}

void rouge_side_free(struct rouge_side *s)
{
    mem_free(s->ids);
    mem_free(s->line);
    *s = (struct rouge_side){0};
}

void rouge_words_next(struct rouge_words *w)
{
    if (w->nwords > WORDS_MAX || w->pool_n > POOL_MAX) {
        memset(w->slot, 0, w->nslots * sizeof *w->slot);
        w->nwords = 0;
        w->pool_n = 0;
    }
    w->nlocal = 0;
    if (++w->now == 0) { /* the stamps of 2^32 pairs ago must not look fresh */
        memset(w->stamp, 0, w->stamp_cap * sizeof *w->stamp);
        w->now = 1;
    }
}

/* ---- the table of all words */

static bool grow_slots(struct rouge_words *w, struct err *e)
{
    size_t n = w->nslots * 2;
    uint32_t *slot = mem_calloc(n, sizeof *slot, e);
    if (!slot) return false;
    for (size_t i = 0; i < w->nwords; i++) {
        size_t k = w->word[i].hash & (n - 1);
        while (slot[k])
            k = (k + 1) & (n - 1);
        slot[k] = (uint32_t)i + 1;
    }
    mem_free(w->slot);
    w->slot = slot;
    w->nslots = n;
    return true;
}

static bool grow_stamps(struct rouge_words *w, size_t need, struct err *e)
{
    size_t before = w->stamp_cap;
    if (!mem_grow((void **)&w->local, &w->local_cap, need, sizeof *w->local, e)) return false;
    if (!mem_grow((void **)&w->stamp, &w->stamp_cap, need, sizeof *w->stamp, e)) return false;
    memset(w->stamp + before, 0, (w->stamp_cap - before) * sizeof *w->stamp);
    return true;
}

/* Append a word whose bytes lie at offset in the pool; its stem is itself until told. */
static bool add_word(struct rouge_words *w, size_t offset, uint32_t length, uint32_t hash,
                     uint32_t *out, struct err *e)
{
    if (!mem_grow((void **)&w->word, &w->word_cap, w->nwords + 1, sizeof *w->word, e)) return false;
    if (!grow_stamps(w, w->nwords + 1, e)) return false;
    if (2 * (w->nwords + 1) > w->nslots && !grow_slots(w, e)) return false;
    size_t k = hash & (w->nslots - 1);
    while (w->slot[k])
        k = (k + 1) & (w->nslots - 1);
    *out = (uint32_t)w->nwords++;
    w->slot[k] = *out + 1;
    w->word[*out] =
        (struct rouge_word){.offset = offset, .length = length, .hash = hash, .stem = *out};
    w->pool_n = offset + length;
    return true;
}

static const struct rouge_word *find_word(const struct rouge_words *w, const char *p,
                                          uint32_t length, uint32_t hash, uint32_t *out)
{
    for (size_t k = hash & (w->nslots - 1); w->slot[k]; k = (k + 1) & (w->nslots - 1)) {
        const struct rouge_word *x = &w->word[w->slot[k] - 1];
        if (x->hash != hash || x->length != length) continue;
        if (memcmp(w->pool + x->offset, p, length) != 0) continue;
        *out = w->slot[k] - 1;
        return x;
    }
    return NULL;
}

static uint32_t hash_of(const char *p, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ (h >> 32));
}

/* The stem of word `id`, whose bytes are the last of the pool. */
static bool link_stem(struct rouge_words *w, uint32_t id, struct err *e)
{
    struct rouge_word x = w->word[id];
    if (!mem_grow((void **)&w->pool, &w->pool_cap, w->pool_n + x.length, 1, e)) return false;
    char *p = w->pool + w->pool_n;
    memcpy(p, w->pool + x.offset, x.length);
    uint32_t n = (uint32_t)porter_stem(p, x.length);
    uint32_t hash = hash_of(p, n), stem;
    if (!find_word(w, p, n, hash, &stem)) {
        if (!add_word(w, w->pool_n, n, hash, &stem, e)) return false;
        /* Met as a word of its own later it is stemmed then: here it is only what others count as.
         */
        w->word[stem].stem = UINT32_MAX;
    }
    w->word[id].stem = stem;
    return true;
}

/* Number, within the pair, of the word whose n bytes stand behind the pool's end. */
static bool intern(struct rouge_words *w, uint32_t n, uint32_t hash, uint32_t *out, struct err *e)
{
    uint32_t id;
    if (!find_word(w, w->pool + w->pool_n, n, hash, &id)) {
        if (!add_word(w, w->pool_n, n, hash, &id, e)) return false;
        w->word[id].stem = UINT32_MAX;
    }
    if (w->word[id].stem == UINT32_MAX) {
        w->word[id].stem = id;
        /* rouge-score stems tokens longer than three characters only. */
        if (w->stem && n > 3 && !link_stem(w, id, e)) {
            w->word[id].stem = UINT32_MAX;
            return false;
        }
    }
    uint32_t stem = w->word[id].stem;
    if (w->stamp[stem] != w->now) {
        w->stamp[stem] = w->now;
        w->local[stem] = w->nlocal++;
    }
    *out = w->local[stem];
    return true;
}

/* ---- characters */

/* The a-z0-9 a byte stands for, or 0: a separator. */
static unsigned char word_byte(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return (unsigned char)(c + 32);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return c;
    return 0;
}

/* The character at p: its word byte, its length in bytes, and whether a separator follows it.
 * Unicode lower-casing turns two characters above 0x7f into letters: U+212A KELVIN SIGN is k,
 * U+0130 is i and a combining dot. */
static unsigned char next_char(const unsigned char *p, size_t left, size_t *length, bool *cut)
{
    *length = 1;
    *cut = false;
    if (p[0] < 0x80) return word_byte(p[0]);
    if (left >= 3 && p[0] == 0xe2 && p[1] == 0x84 && p[2] == 0xaa) {
        *length = 3;
        return 'k';
    }
    if (left >= 2 && p[0] == 0xc4 && p[1] == 0xb0) {
        *length = 2;
        *cut = true;
        return 'i';
    }
    return 0;
}

static bool put_token(struct rouge_words *w, struct rouge_side *s, uint32_t n, size_t max,
                      struct err *e)
{
    uint32_t id;
    if (s->n >= max) return err_set(e, ERR_LIMIT, "a text of more than %zu words", max);
    if (!mem_grow((void **)&s->ids, &s->cap, s->n + 1, sizeof *s->ids, e)) return false;
    if (!intern(w, n, hash_of(w->pool + w->pool_n, n), &id, e)) return false;
    s->ids[s->n++] = id;
    return true;
}

/* A line ends here: remember it if it held a word. */
static bool end_line(struct rouge_side *s, struct err *e)
{
    if (s->n == s->line[s->nlines]) return true;
    if (!mem_grow((void **)&s->line, &s->line_cap, s->nlines + 2, sizeof *s->line, e)) return false;
    s->line[++s->nlines] = (uint32_t)s->n;
    return true;
}

bool rouge_words_side(struct rouge_words *w, struct str text, size_t max, struct rouge_side *s,
                      struct err *e)
{
    const unsigned char *p = (const unsigned char *)text.p;
    uint32_t n = 0; /* bytes of the token at hand, written behind the pool's end */

    s->n = 0;
    s->nlines = 0;
    if (text.n >= UINT32_MAX) return err_set(e, ERR_LIMIT, "a text of %zu bytes", text.n);
    if (!mem_grow((void **)&s->line, &s->line_cap, 1, sizeof *s->line, e)) return false;
    s->line[0] = 0;
    for (size_t i = 0, length = 1; i < text.n; i += length) {
        bool cut;
        unsigned char c = next_char(p + i, text.n - i, &length, &cut);
        if (c) { /* room for the whole token is taken at its first byte */
            size_t need = w->pool_n + (text.n - i);
            if (n == 0 && !mem_grow((void **)&w->pool, &w->pool_cap, need, 1, e)) return false;
            w->pool[w->pool_n + n++] = (char)c;
        }
        if (n > 0 && (!c || cut)) {
            if (!put_token(w, s, n, max, e)) return false;
            n = 0;
        }
        if (p[i] == '\n' && !end_line(s, e)) return false;
    }
    if (n > 0 && !put_token(w, s, n, max, e)) return false;
    return end_line(s, e);
}
