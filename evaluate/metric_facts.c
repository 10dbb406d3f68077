/* The fact check as a metric: score, support and counts of flags; the flags themselves with their
 * spans for per_pair.jsonl (evaluate/facts). */
#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "evaluate/facts.h"

enum {
    COL_KIND = 0, /* flags of each kind */
    COL_FLAGS = FACTS_KINDS,
    COL_UNSUPPORTED,
    COL_SUPPORT, /* and whether there is any */
    COL_SCORE = COL_SUPPORT + 2,
    COLUMNS,
};
#define CHECK_BYTES ((size_t)2 << 30) /* the flags and the scratch of one report: 360 a word */

#define COUNT(nm, lb, col)                                                                         \
    {                                                                                              \
        .name = nm, .label = lb, .scale = 1, .flags = METRIC_LOWER, .column = col, .columns = 1    \
    }
#define KIND(nm, kind) COUNT("facts.by_kind." nm, "Fact check: " nm ", a report", COL_KIND + (kind))

/* The score last: the flags of a report stand behind it, in the same object. */
static const struct metric_value values[] = {
    KIND("negation", FACTS_NEGATION),
    KIND("laterality", FACTS_LATERALITY),
    KIND("level", FACTS_LEVEL),
    KIND("number", FACTS_NUMBER),
    KIND("measurement", FACTS_MEASUREMENT),
    KIND("severity", FACTS_SEVERITY),
    KIND("temporal", FACTS_TEMPORAL),
    KIND("added", FACTS_ADDED),
    KIND("missing", FACTS_MISSING),
    KIND("recommendation", FACTS_RECOMMENDATION),
    COUNT("facts.nflags", "Fact check: flags, a report", COL_FLAGS),
    COUNT("facts.unsupported", "Fact check: additions no text supports, a report", COL_UNSUPPORTED),
    {.name = "facts.support",
     .label = "Fact check: statements the findings support",
     .scale = 100,
     .column = COL_SUPPORT,
     .columns = 2,
     .stat = metric_ratio},
    {.name = "facts.score",
     .label = "Fact check",
     .scale = 1,
     .flags = METRIC_HEADLINE,
     .column = COL_SCORE,
     .columns = 1},
};

struct scorer {
    struct facts *facts;
    struct arena arena; /* of one pair */
    struct sbuf source;
};

static void close_facts(void *scorer)
{
    struct scorer *s = scorer;
    if (!s) return;
    facts_close(s->facts);
    arena_free(&s->arena);
    sbuf_free(&s->source);
    mem_free(s);
}

static bool open_facts(const struct metric_env *env, void **out, struct err *e)
{
    struct scorer *s = mem_calloc(1, sizeof *s, e);
    *out = NULL;
    if (!s) return false;
    arena_init(&s->arena, CHECK_BYTES);
    sbuf_init(&s->source, 2 * FACTS_MAX_BYTES + 1);
    if (!facts_open(env->opts->lexicon, &s->facts, e)) {
        close_facts(s);
        return false;
    }
    *out = s;
    return true;
}

/* Findings, a line end, clinical information: the source's spans count through both. */
static bool check_pair(struct scorer *s, const struct metric_text *t, struct facts_result *out,
                       struct err *e)
{
    struct str source;
    if (!facts_source(t->findings, t->clinical, &s->source, &source, e)) return false;
    return facts_check(s->facts, t->prediction, t->reference, source, &s->arena, out, e);
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    struct scorer *s = scorer;
    for (size_t i = 0; i < n; i++) {
        struct arena_mark mark = arena_mark(&s->arena);
        struct facts_result r;
        double *v = rows + i * stride;
        bool ok = check_pair(s, &t[i], &r, e);
        arena_reset(&s->arena, mark);
        if (!ok) return false;
        for (int k = 0; k < FACTS_KINDS; k++)
            v[COL_KIND + k] = r.by_kind[k];
        v[COL_FLAGS] = (double)r.nflags;
        v[COL_UNSUPPORTED] = r.nadded_unsupported;
        if (!isnan(r.support)) {
            v[COL_SUPPORT] = r.support;
            v[COL_SUPPORT + 1] = 1;
        }
        v[COL_SCORE] = r.score;
    }
    return true;
}

/* ---- flags */

static bool put_span(struct sbuf *b, const char *key, struct facts_span s, struct err *e)
{
    if (s.to == 0) return sbuf_printf(b, e, ", \"%s\": null", key);
    return sbuf_printf(b, e, ", \"%s\": [%u, %u]", key, s.from, s.to);
}

/* Where in the pair's own field the source's span lies. */
static bool put_source(struct sbuf *b, const struct metric_text *t, struct facts_span s,
                       struct err *e)
{
    if (s.to == 0) return put_span(b, "source_span", s, e);
    bool clinical = facts_in_clinical(t->findings, &s);
    return put_span(b, "source_span", s, e) &&
           sbuf_printf(b, e, ", \"source_field\": \"%s\"", clinical ? "clinical" : "findings");
}

static bool put_flag(struct sbuf *b, const struct metric_text *t, const struct facts_flag *f,
                     struct err *e)
{
    return sbuf_printf(b, e, "{\"kind\": \"%s\"", facts_kind_names[f->kind]) &&
           put_span(b, "generated_span", f->generated, e) &&
           put_span(b, "reference_span", f->reference, e) && put_source(b, t, f->source, e) &&
           sbuf_printf(b, e, ", \"significance\": \"%s\", \"supported\": %s, \"concept\": \"%s\"}",
                       facts_significance_names[f->significance], f->supported ? "true" : "false",
                       f->concept);
}

static bool put(void *scorer, const struct metric_text *t, struct sbuf *b, struct err *e)
{
    struct scorer *s = scorer;
    struct arena_mark mark = arena_mark(&s->arena);
    struct facts_result r = {0};
    bool ok = check_pair(s, t, &r, e) && sbuf_put(b, STR(", \"flags\": ["), e);
    for (size_t i = 0; ok && i < r.nflags; i++)
        ok = (i == 0 || sbuf_put(b, STR(", "), e)) && put_flag(b, t, &r.flags[i], e);
    arena_reset(&s->arena, mark);
    return ok && sbuf_putc(b, ']', e);
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    const struct scorer *s = scorer;
    return sbuf_put(b, str_of(facts_signature(s->facts)), e);
}

const struct metric metric_facts = {
    .name = "facts",
    .help = "fact check by rule against reference and findings: score, flags with their places",
    .also = "factcheck",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .open = open_facts,
    .score = score,
    .close = close_facts,
    .put = put,
    .signature = signature,
};
