#include "evaluate/strata.h"

#include "base/hash.h"
#include "base/mem.h"

/* ---- normal or abnormal */

enum {
    SENTENCE_WORDS = 64, /* the rule looks no further into a sentence */
    MODALITIES_MAX = STRATA_MAX - 16,
};

static const char *const lead_words[] = {
    "there", "is",    "are",        "was",          "were",    "the",         "chest",
    "heart", "lungs", "impression", "specifically", "grossly", "essentially", NULL};
static const char *const normal_words[] = {"no",    "negative", "normal", "unremarkable",
                                           "clear", "without",  NULL};
static const char *const exception_words[] = {"but",   "except", "however", "although",
                                              "apart", "aside",  "though",  NULL};
static const char *const copulas[] = {"is", "are", "appear", "appears", "remain", "remains", NULL};
static const char *const adverbs[] = {"grossly", "essentially", "otherwise", "all", "both", NULL};
static const char *const states[] = {"normal", "unremarkable", "clear", "negative", NULL};
static const char *const studies[] = {"chest",      "exam",        "examination", "study", "heart",
                                      "radiograph", "radiographs", "mri",         "mr",    "ct",
                                      "scan",       "ultrasound",  "appearance",  NULL};
static const char *const steady_words[] = {
    "stable",      "unchanged", "appearance",  "of",    "the",      "chest",
    "examination", "exam",      "study",       "since", "prior",    "from",
    "previous",    "compared",  "to",          "with",  "interval", "no",
    "change",      "changes",   "significant", "in",    NULL};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool word_is(struct str w, const char *z)
{
    size_t i = 0;
    while (i < w.n && z[i] && lower(w.p[i]) == z[i])
        i++;
    return i == w.n && !z[i];
}

static bool word_in(struct str w, const char *const *list)
{
    for (; *list; list++)
        if (word_is(w, *list)) return true;
    return false;
}

struct sentence {
    struct str word[SENTENCE_WORDS];
    size_t n;
};

/* Next sentence of *rest as words of letters; it ends at ';', a line end, or a full stop that is
 * not inside a number. */
static bool next_sentence(struct str *rest, struct sentence *s)
{
    size_t i = 0;
    s->n = 0;
    while (i < rest->n) {
        char c = rest->p[i];
        bool inside =
            i > 0 && i + 1 < rest->n && is_digit(rest->p[i - 1]) && is_digit(rest->p[i + 1]);
        if (c == ';' || c == '\n' || (c == '.' && !inside)) break;
        if (!is_letter(c)) {
            i++;
            continue;
        }
        size_t from = i;
        while (i < rest->n && is_letter(rest->p[i]))
            i++;
        if (s->n < SENTENCE_WORDS) s->word[s->n++] = str_sub(*rest, from, i);
    }
    bool any = rest->n > 0;
    *rest = str_sub(*rest, i + 1, rest->n);
    return any;
}

static bool has_exception(const struct sentence *s)
{
    for (size_t i = 0; i < s->n; i++) {
        bool more = i + 1 < s->n;
        if (word_in(s->word[i], exception_words)) return true;
        if (more && word_is(s->word[i], "other") && word_is(s->word[i + 1], "than")) return true;
        if (more && word_is(s->word[i], "change") && word_is(s->word[i + 1], "in")) return true;
    }
    return false;
}

static bool all_in(const struct sentence *s, const char *const *list)
{
    for (size_t i = 0; i < s->n; i++)
        if (!word_in(s->word[i], list)) return false;
    return true;
}

static bool says_normal(const struct sentence *s)
{
    size_t i = 0;
    while (i < s->n && word_in(s->word[i], lead_words))
        i++;
    if (i < s->n && word_in(s->word[i], normal_words)) return true;
    for (i = 0; i + 1 < s->n; i++) {
        if (word_is(s->word[i], "within") && word_is(s->word[i + 1], "normal")) return true;
        if (word_in(s->word[i], states) && word_in(s->word[i + 1], studies)) return true;
        if (!word_in(s->word[i], copulas)) continue;
        size_t k = i + 1;
        while (k < s->n && word_in(s->word[k], adverbs))
            k++;
        if (k < s->n && word_in(s->word[k], states)) return true;
    }
    return false;
}

bool strata_is_normal(struct str reference)
{
    struct sentence s;
    bool normal = false;
    while (next_sentence(&reference, &s)) {
        if (s.n == 0) continue;
        if (has_exception(&s)) return false;
        if (all_in(&s, steady_words)) continue;
        if (!says_normal(&s)) return false;
        normal = true;
    }
    return normal;
}

size_t strata_words(struct str text)
{
    size_t n = 0;
    bool in = false;
    for (size_t i = 0; i < text.n; i++) {
        bool blank = text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r');
        if (!blank && !in) n++;
        in = !blank;
    }
    return n;
}

/* ---- partitions */

/* What a partition needs while it is made: the part of every row. */
struct parts {
    uint32_t *part; /* [n] */
    size_t n;
    struct arena *arena;
    struct stratum *out;
    size_t *nout;
};

/* Append the rows of each of nparts parts; names[k] may be empty rows and is then left out. */
static bool emit(struct parts *p, const char *by, const char *const *names, size_t nparts,
                 struct err *e)
{
    size_t used = 0, count[STRATA_MAX] = {0};
    CHECK(nparts <= STRATA_MAX && *p->nout + nparts <= STRATA_MAX);
    for (size_t i = 0; i < p->n; i++)
        count[p->part[i]]++;
    for (size_t k = 0; k < nparts; k++)
        used += count[k] > 0;
    if (used < 2) return true;
    for (size_t k = 0; k < nparts; k++) {
        if (count[k] == 0) continue;
        struct stratum *s = &p->out[(*p->nout)++];
        *s = (struct stratum){.by = by, .value = names[k]};
        s->rows = arena_alloc(p->arena, count[k] * sizeof *s->rows, e);
        if (!s->rows) return false;
        for (size_t i = 0; i < p->n; i++)
            if (p->part[i] == k) s->rows[s->n++] = (uint32_t)i;
    }
    return true;
}

static bool by_reference(struct parts *p, const struct pair *pairs, struct err *e)
{
    static const char *const names[] = {"normal", "abnormal"};
    for (size_t i = 0; i < p->n; i++)
        p->part[i] = strata_is_normal(pairs[i].reference) ? 0 : 1;
    return emit(p, "reference", names, 2, e);
}

static bool by_seen(struct parts *p, const struct pair *pairs, struct err *e)
{
    static const char *const names[] = {"in train", "not in train", "unknown"};
    for (size_t i = 0; i < p->n; i++)
        p->part[i] = pairs[i].seen == 1 ? 0 : pairs[i].seen == 0 ? 1 : 2;
    return emit(p, "seen", names, 3, e);
}

/* The lower-cased letters and digits of a reference: what makes two the same text. */
static uint64_t text_key(struct str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)lower(s.p[i]);
        if (c < 0x80 && !is_letter((char)c) && !is_digit((char)c)) continue;
        h = (h ^ c) * 0x100000001b3u;
    }
    return h ^ (h >> 29);
}

static bool by_repeated(struct parts *p, const struct pair *pairs, struct err *e)
{
    static const char *const names[] = {"unique", "repeated"};
    size_t cap = 16;
    struct slot {
        uint64_t key;
        uint32_t first; /* row + 1 */
    } * slot;

    while (cap < 2 * p->n)
        cap *= 2;
    slot = mem_calloc(cap, sizeof *slot, e);
    if (!slot) return false;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t key = text_key(pairs[i].reference);
        size_t k = key & (cap - 1);
        while (slot[k].first && slot[k].key != key)
            k = (k + 1) & (cap - 1);
        p->part[i] = slot[k].first ? 1 : 0;
        if (slot[k].first)
            p->part[slot[k].first - 1] = 1;
        else
            slot[k] = (struct slot){.key = key, .first = (uint32_t)i + 1};
    }
    mem_free(slot);
    return emit(p, "repeated", names, 2, e);
}

static bool by_modality(struct parts *p, const struct pair *pairs, struct err *e)
{
    const char *names[MODALITIES_MAX + 2] = {0};
    struct str known[MODALITIES_MAX] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct str m = pairs[i].modality;
        size_t k = 0;
        while (k < n && !str_eq(known[k], m))
            k++;
        if (k == n && n < MODALITIES_MAX) known[n++] = m;
        p->part[i] = (uint32_t)k;
    }
    for (size_t k = 0; k < n; k++) {
        struct str copy = STR("unknown");
        if (known[k].n > 0 && !arena_str(p->arena, known[k], &copy, e)) return false;
        names[k] = copy.p;
    }
    names[n] = "other";
    return emit(p, "modality", names, n + 1, e);
}

/* Greatest length of the first third and of the second. */
static bool terciles(const size_t *words, size_t n, size_t cut[2], struct err *e)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = words[i] > most ? words[i] : most;
    size_t *count = mem_calloc(most + 1, sizeof *count, e);
    if (!count) return false;
    for (size_t i = 0; i < n; i++)
        count[words[i]]++;
    cut[0] = cut[1] = most;
    for (size_t w = most + 1, above = 0; w-- > 0;) {
        /* at least two thirds (one third) of the reports are no longer than w */
        if (3 * (n - above) >= 2 * n) cut[1] = w;
        if (3 * (n - above) >= n) cut[0] = w;
        above += count[w];
    }
    mem_free(count);
    return true;
}

static bool range_name(struct arena *a, size_t from, size_t to, const char **out, struct err *e)
{
    struct sbuf b;
    struct str copy;
    sbuf_init(&b, 64);
    bool ok = sbuf_printf(&b, e, "%zu-%zu words", from, to) && arena_str(a, sbuf_str(&b), &copy, e);
    sbuf_free(&b);
    if (ok) *out = copy.p;
    return ok;
}

static bool by_length(struct parts *p, const struct pair *pairs, struct err *e)
{
    const char *names[3] = {0};
    size_t cut[3] = {0}, least = SIZE_MAX;
    size_t *words = mem_calloc(p->n, sizeof *words, e);
    if (!words) return false;
    for (size_t i = 0; i < p->n; i++) {
        words[i] = strata_words(pairs[i].reference);
        least = words[i] < least ? words[i] : least;
        cut[2] = words[i] > cut[2] ? words[i] : cut[2];
    }
    bool ok = terciles(words, p->n, cut, e);
    for (size_t i = 0; i < p->n; i++)
        p->part[i] = words[i] <= cut[0] ? 0 : words[i] <= cut[1] ? 1 : 2;
    mem_free(words);
    for (size_t k = 0; ok && k < 3; k++)
        ok = range_name(p->arena, k ? cut[k - 1] + 1 : least, cut[k], &names[k], e);
    return ok && emit(p, "length", names, 3, e);
}

bool strata_make(const struct pair *pairs, size_t n, struct arena *a,
                 struct stratum out[STRATA_MAX], size_t *nout, struct err *e)
{
    struct parts p = {.n = n, .arena = a, .out = out, .nout = nout};
    *nout = 0;
    if (n == 0) return true;
    p.part = mem_calloc(n, sizeof *p.part, e);
    if (!p.part) return false;
    bool ok = by_reference(&p, pairs, e) && by_seen(&p, pairs, e) && by_repeated(&p, pairs, e) &&
              by_modality(&p, pairs, e) && by_length(&p, pairs, e);
    mem_free(p.part);
    return ok;
}
