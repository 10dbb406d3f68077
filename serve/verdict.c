#include "serve/verdict.h"

#include <math.h>

#include "evaluate/bleu.h"
#include "evaluate/rouge.h"

/* Bytes to characters. */
static size_t characters(struct str s, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n && i < s.n; i++)
        count += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return count;
}

static void put_span(struct jot *j, const char *key, struct str text, size_t from, size_t to)
{
    jot_key(j, key);
    jot_put(j, "[");
    jot_u64(j, characters(text, from));
    jot_put(j, ",");
    jot_u64(j, characters(text, to));
    jot_put(j, "]");
}

static void put_flag(struct jot *j, const struct verdict_texts *t, const struct facts_flag *f)
{
    size_t split = t->findings.n + 1; /* the source: findings, a line end, clinical */

    jot_put(j, "{");
    jot_pair(j, "kind", facts_kind_names[f->kind]);
    jot_pair(j, "significance", facts_significance_names[f->significance]);
    jot_key(j, "supported");
    jot_put(j, f->supported ? "true" : "false");
    jot_pair(j, "concept", f->concept);
    if (f->generated.to) put_span(j, "generated", t->generated, f->generated.from, f->generated.to);
    if (f->reference.to) put_span(j, "reference", t->reference, f->reference.from, f->reference.to);
    if (f->source.to && f->source.from < split)
        put_span(j, "findings", t->findings, f->source.from, f->source.to);
    else if (f->source.to)
        put_span(j, "clinical", t->clinical, f->source.from - split, f->source.to - split);
    jot_put(j, "}");
}

static bool put_check(const struct facts *f, const struct verdict_texts *t, struct arena *a,
                      struct jot *j)
{
    struct facts_result v;
    struct str source;
    char *p = arena_alloc(a, t->findings.n + t->clinical.n + 2, j->e);

    if (!p) return false;
    if (t->findings.n) memcpy(p, t->findings.p, t->findings.n);
    p[t->findings.n] = '\n';
    if (t->clinical.n) memcpy(p + t->findings.n + 1, t->clinical.p, t->clinical.n);
    source = (struct str){p, t->findings.n + 1 + t->clinical.n};
    if (t->findings.n + t->clinical.n == 0) source.n = 0;
    if (!facts_check(f, t->generated, t->reference, source, a, &v, j->e)) return false;
    jot_key(j, "check");
    jot_put(j, "{");
    jot_pair(j, "signature", facts_signature(f));
    jot_real(j, "score", v.score);
    jot_real(j, "support", v.support);
    jot_count(j, "statements", v.ngenerated);
    jot_key(j, "flags");
    jot_put(j, "[");
    for (size_t i = 0; i < v.nflags; i++) {
        if (i) jot_put(j, ",");
        put_flag(j, t, &v.flags[i]);
    }
    jot_put(j, "]}");
    return j->ok;
}

static bool put_rouge(const struct verdict_texts *t, struct jot *j)
{
    struct rouge_scores v;
    struct rouge *r;

    if (!rouge_open(false, &r, j->e)) return false;
    bool ok = rouge_pair(r, t->generated, t->reference, &v, j->e);
    rouge_close(r);
    if (!ok) return false;
    jot_key(j, "rouge");
    jot_put(j, "{");
    jot_pair(j, "signature", rouge_signature(false));
    for (int k = 0; k < ROUGE_KINDS; k++) {
        jot_key(j, rouge_names[k]);
        jot_put(j, "{");
        jot_real(j, "p", v.v[k].p);
        jot_real(j, "r", v.v[k].r);
        jot_real(j, "f", v.v[k].f);
        jot_put(j, "}");
    }
    jot_put(j, "}");
    return j->ok;
}

static bool put_bleu(const struct verdict_texts *t, struct jot *j)
{
    struct bleu_stats v;
    struct bleu *b;

    if (!bleu_open(&b, j->e)) return false;
    bool ok = bleu_pair(b, BLEU_13A, t->generated, t->reference, &v, j->e);
    bleu_close(b);
    if (!ok) return false;
    jot_key(j, "bleu");
    jot_put(j, "{");
    jot_pair(j, "signature", bleu_sentence_signature);
    jot_real(j, "score", bleu_score(&v, BLEU_EXP, true));
    jot_put(j, "}");
    return j->ok;
}

bool verdict_put(const struct facts *f, const struct verdict_texts *t, struct arena *a,
                 struct jot *j)
{
    struct arena_mark m = arena_mark(a);
    bool ok = put_check(f, t, a, j);

    arena_reset(a, m);
    if (!ok || t->reference.n == 0) return ok;
    return put_rouge(t, j) && put_bleu(t, j);
}
