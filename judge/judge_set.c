#include "judge/judge_set.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

enum { CHECK_MAX_BYTES = 1024 };

/* ---- the rule check */
static bool put_check(const struct facts_result *r, struct sbuf *b, struct err *e)
{
    bool any = false;

    for (int kind = 0; kind < FACTS_KINDS; kind++) {
        int worst = -1;
        for (size_t i = 0; i < r->nflags; i++)
            if ((int)r->flags[i].kind == kind && (int)r->flags[i].significance > worst)
                worst = (int)r->flags[i].significance;
        if (worst < 0) continue;
        if (!sbuf_printf(b, e, "%s%s %s", any ? ", " : "", facts_kind_names[kind],
                         facts_significance_names[worst]))
            return false;
        any = true;
    }
    return (any || sbuf_put(b, STR("none"), e)) && sbuf_printf(b, e, "; %.0f", r->score);
}

bool judge_set_rule(const struct facts *f, const struct judge_fields *x, struct arena *a,
                    double *score, struct str *check, struct err *e)
{
    struct arena_mark mark = arena_mark(a);
    struct facts_result r;
    struct sbuf source, words;
    bool ok;

    sbuf_init(&source, FACTS_MAX_BYTES);
    sbuf_init(&words, CHECK_MAX_BYTES);
    ok = sbuf_put(&source, x->findings, e) && sbuf_putc(&source, '\n', e) &&
         sbuf_put(&source, x->clinical, e) &&
         facts_check(f, x->generated, x->reference, str_trim(sbuf_str(&source)), a, &r, e) &&
         put_check(&r, &words, e);
    if (ok) *score = r.score;
    arena_reset(a, mark);
    if (ok && check) ok = arena_str(a, sbuf_str(&words), check, e);
    sbuf_free(&words);
    sbuf_free(&source);
    return ok;
}

/* ---- labels of one answer together */
static int same_answer(const struct factlabel *a, const struct factlabel *b)
{
    int c = str_cmp(a->id, b->id);
    return c ? c : str_cmp(a->system, b->system);
}

static int by_answer(const void *x, const void *y)
{
    const struct factlabel *a = *(const struct factlabel *const *)x;
    const struct factlabel *b = *(const struct factlabel *const *)y;
    int c = same_answer(a, b);
    return c ? c : (a > b) - (a < b);
}

static int by_subject(const void *x, const void *y)
{
    const struct factlabel *a = *(const struct factlabel *const *)x;
    const struct factlabel *b = *(const struct factlabel *const *)y;
    return str_cmp(a->subject, b->subject);
}

/* labels[first, first + n) are of one answer: settle truth and what is trained on. */
static void settle(struct judge_item *it, const struct factlabel **labels)
{
    double sum = 0;

    for (size_t i = 0; i < it->nlabels; i++) {
        if (!str_eqz(labels[i]->rater, "adj")) continue;
        labels[0] = labels[i];
        it->nlabels = 1;
        break;
    }
    for (size_t i = 0; i < it->nlabels; i++)
        sum += labels[i]->overall;
    it->truth = sum / (double)it->nlabels;
}

static struct judge_item item_of(const struct factlabel *l)
{
    return (struct judge_item){.id = l->id,
                               .fields = {.clinical = l->clinical,
                                          .findings = l->findings,
                                          .reference = l->reference,
                                          .generated = l->generated}};
}

static void gather(struct judge_set *s, const struct factlabel *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->labels[i] = &v[i];
    if (n > 0) qsort(s->labels, n, sizeof *s->labels, by_answer);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || same_answer(s->labels[i], s->labels[i - 1]) != 0) {
            s->items[s->n] = item_of(s->labels[i]);
            s->items[s->n++].first = i;
        }
        s->items[s->n - 1].nlabels++;
    }
    for (size_t i = 0; i < s->n; i++)
        settle(&s->items[i], s->labels + s->items[i].first);
}

/* Patients numbered by the order of their names; answers without one come behind. */
static bool number_groups(struct judge_set *s, struct err *e)
{
    const struct factlabel **order = mem_calloc(s->n + 1, sizeof *order, e);
    size_t n = 0;

    if (!order) return false;
    for (size_t i = 0; i < s->n; i++)
        if (s->labels[s->items[i].first]->subject.n > 0) order[n++] = s->labels[s->items[i].first];
    if (n > 0) qsort(order, n, sizeof *order, by_subject);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_subject(&order[i], &order[i - 1]) != 0) order[s->ngroups++] = order[i];
    n = s->ngroups;
    for (size_t i = 0; i < s->n; i++) {
        const struct factlabel *l = s->labels[s->items[i].first];
        const struct factlabel **at =
            l->subject.n ? bsearch(&l, order, n, sizeof *order, by_subject) : NULL;
        s->items[i].group = (uint32_t)(at ? (size_t)(at - order) : s->ngroups++);
    }
    mem_free(order);
    return true;
}

bool judge_set_make(const struct factlabel *v, size_t n, const struct facts *f, bool check,
                    struct arena *a, struct judge_set *out, struct err *e)
{
    *out = (struct judge_set){0};
    out->labels = arena_alloc(a, (n + 1) * sizeof *out->labels, e);
    if (!out->labels) return false;
    out->items = arena_alloc(a, (n + 1) * sizeof *out->items, e);
    if (!out->items) return false;
    gather(out, v, n);
    if (!number_groups(out, e)) return false;
    for (size_t i = 0; i < out->n; i++) {
        struct judge_item *it = &out->items[i];
        if (!judge_set_rule(f, &it->fields, a, &it->rule, check ? &it->fields.check : NULL, e))
            return err_wrap(e, "answer %zu", i);
    }
    return true;
}

bool judge_set_shuffle(struct judge_set *s, uint64_t seed, struct err *e)
{
    struct rng_key key = rng_key(seed, RNG_JUDGE, 2);
    struct judge_item *old = mem_calloc(s->n + 1, sizeof *old, e);

    if (!old) return false;
    for (size_t i = 0; i < s->n; i++)
        old[i] = s->items[i];
    for (size_t i = 0; i < s->n; i++) {
        const struct judge_item *from = &old[rng_permute(key, i, s->n)];
        s->items[i].truth = from->truth;
        s->items[i].first = from->first;
        s->items[i].nlabels = from->nlabels;
    }
    mem_free(old);
    return true;
}
