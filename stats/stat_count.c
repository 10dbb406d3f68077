#include "stats/stat_count.h"

#include "stats/stat_check.h"

const char *const stat_section_names[STAT_SECTIONS + 1] = {
    "findings",  "impression", "clinical",   "examination",
    "technique", "comparison", "background", "findings+impression"};
const char *const stat_kind_names[STAT_KINDS + 1] = {"words", "tokens"};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

uint64_t stat_words(struct str s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += !is_blank(s.p[i]) && (i == 0 || is_blank(s.p[i - 1]));
    return n;
}

struct str stat_section(const struct record *r, int section)
{
    const struct record_span *s = &r->section[section];
    return str_sub(r->text, s->offset, (size_t)s->offset + s->length);
}

static bool goes_before(const struct stat_long *a, const struct stat_long *b)
{
    if (a->words != b->words) return a->words > b->words;
    if (a->source != b->source) return a->source < b->source;
    if (a->block != b->block) return a->block < b->block;
    return a->row < b->row;
}

void stat_top_put(struct stat_top *t, struct stat_long x)
{
    size_t i = t->n;

    if (t->n == STAT_TOP && !goes_before(&x, &t->v[STAT_TOP - 1])) return;
    if (t->n < STAT_TOP) t->n++;
    if (i == STAT_TOP) i--;
    for (; i > 0 && goes_before(&x, &t->v[i - 1]); i--)
        t->v[i] = t->v[i - 1];
    t->v[i] = x;
}

static void put_length(struct stat_lengths *l, uint64_t n)
{
    l->reports++;
    l->sum += n;
    l->squares += n * n;
    l->cell[n < STAT_LEN_MAX ? n : STAT_LEN_MAX]++;
}

/* Tokens of a text with its blanks folded, as a prompt would hold it. */
static bool count_tokens(struct stat_sink *s, struct str text, uint64_t *out, struct err *e)
{
    bool gap = false;

    sbuf_clear(&s->text);
    for (size_t i = 0; i < text.n; i++) {
        if (is_blank(text.p[i])) {
            gap = s->text.n > 0;
            continue;
        }
        if (gap && !sbuf_putc(&s->text, ' ', e)) return false;
        if (!sbuf_putc(&s->text, text.p[i], e)) return false;
        gap = false;
    }
    s->ids.n = 0;
    if (!tokenizer_encode(s->cache, sbuf_str(&s->text), TOK_PLAIN, &s->ids, e)) return false;
    *out = s->ids.n;
    return true;
}

static bool count_lengths(struct stat_sink *s, const struct record *r, struct stat_long place,
                          struct err *e)
{
    struct stat_counts *c = s->counts;
    uint64_t words[STAT_SECTIONS] = {0}, tokens[STAT_SECTIONS] = {0};
    unsigned m = r->modality;

    for (int k = 0; k < SEC_COUNT; k++) {
        struct str text = stat_section(r, k);
        words[k] = stat_words(text);
        if (words[k] && s->cache && !count_tokens(s, text, &tokens[k], e)) return false;
    }
    if (words[SEC_FINDINGS] && words[SEC_IMPRESSION]) {
        words[STAT_WHOLE] = words[SEC_FINDINGS] + words[SEC_IMPRESSION];
        tokens[STAT_WHOLE] = tokens[SEC_FINDINGS] + tokens[SEC_IMPRESSION];
    }
    for (int k = 0; k < STAT_SECTIONS; k++) {
        if (words[k] == 0) {
            c->missing[k][m]++;
            continue;
        }
        put_length(&c->length[STAT_WORDS][k][m], words[k]);
        if (s->cache) put_length(&c->length[STAT_TOKENS][k][m], tokens[k]);
        place.words = words[k];
        stat_top_put(&s->top[k], place);
    }
    return true;
}

static enum stat_fate fate_of(const struct record *r)
{
    if (r->flags & RECORD_SUPERSEDED) return FATE_SUPERSEDED;
    if (r->split == SPLIT_NONE) return FATE_NO_SPLIT;
    if (stat_words(stat_section(r, SEC_FINDINGS)) == 0) return FATE_NO_FINDINGS;
    if (stat_words(stat_section(r, SEC_IMPRESSION)) == 0) return FATE_NO_IMPRESSION;
    return FATE_PAIR;
}

static void count_checks(struct stat_counts *c, const struct record *r)
{
    int named = stat_check_named(r);
    unsigned m = r->modality;

    for (int k = 0; k < CHECK_COUNT; k++) {
        int found = stat_check_record(r, (enum stat_check)k);
        c->checked[k][m] += found >= 0;
        c->found[k][m] += found > 0;
    }
    if (named >= 0) c->named[m][named]++;
}

bool stat_count_record(struct stat_sink *s, const struct record *r, struct stat_long place,
                       struct err *e)
{
    struct stat_counts *c = s->counts;
    enum stat_fate fate = fate_of(r);
    unsigned m = r->modality;

    c->reports++;
    c->text_bytes += r->text.n;
    c->no_patient += r->patient.n == 0;
    c->no_study += r->study.n == 0;
    c->status[r->status]++;
    for (int k = 0; k < RECORD_FLAGS; k++)
        c->flag[k] += r->flags >> k & 1;
    c->modality[m]++;
    c->origin[m][r->origin]++;
    c->split[m][r->split]++;
    c->fate[m][fate]++;
    s->source->reports++;
    s->source->text_bytes += r->text.n;
    s->source->split[r->split]++;
    s->source->weak += (r->flags & RECORD_SPLIT_WEAK) != 0;
    s->source->duplicates += (r->flags & RECORD_DUPLICATE) != 0;
    s->source->superseded += (r->flags & RECORD_SUPERSEDED) != 0;
    s->source->pairs += fate == FATE_PAIR;
    count_checks(c, r);
    return count_lengths(s, r, place, e);
}

uint64_t stat_quantile(const struct stat_lengths *l, double share)
{
    uint64_t below = 0;

    for (uint64_t n = 0; n <= STAT_LEN_MAX; n++) {
        below += l->cell[n];
        if (below > 0 && (double)below >= share * (double)l->reports) return n;
    }
    return 0;
}

uint64_t stat_fence(const struct stat_lengths *l, uint64_t *above)
{
    uint64_t q1 = stat_quantile(l, 0.25), q3 = stat_quantile(l, 0.75), fence = q3 + 3 * (q3 - q1);

    *above = 0;
    for (uint64_t n = fence + 1; n <= STAT_LEN_MAX; n++)
        *above += l->cell[n];
    return fence;
}

void stat_lengths_add(struct stat_lengths *to, const struct stat_lengths *from)
{
    uint64_t *a = (uint64_t *)to;
    const uint64_t *b = (const uint64_t *)from;

    for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
        a[i] += b[i];
}
