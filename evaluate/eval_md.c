#include "evaluate/eval_md.h"

#include "base/fs.h"

enum {
    MD_MAX_BYTES = 4 << 20,
    FEW_PAIRS = 10,
};

static bool put_ci(struct sbuf *b, const struct boot_ci *c, double scale, struct err *e)
{
    return sbuf_printf(b, e, "| %.1f (%.1f to %.1f) ", scale * c->mean, scale * c->lo,
                       scale * c->hi);
}

static bool is_headline(const struct evaluate_summary *s, size_t v)
{
    return s->set.value[v]->flags & METRIC_HEADLINE;
}

static bool put_signatures(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    for (size_t m = 0; m < s->set.n; m++)
        if (!sbuf_printf(b, e, "* %s: `%s`\n", s->set.metric[m]->name, s->signature[m]))
            return false;
    return true;
}

/* Every value a line; short: the headline ones. */
static bool put_values(struct sbuf *b, const struct evaluate_summary *s, bool headline,
                       struct err *e)
{
    if (!sbuf_put(b, STR("\n| value | name | this system |\n| --- | --- | --- |\n"), e))
        return false;
    for (size_t v = 0; v < s->set.nvalues; v++) {
        const struct metric_value *value = s->set.value[v];
        if (is_headline(s, v) != headline) continue;
        if (!sbuf_printf(b, e, "| %s%s | %s ", value->label,
                         value->flags & METRIC_LOWER ? " (lower is better)" : "", value->name) ||
            !put_ci(b, &s->value[v], value->scale, e) || !sbuf_put(b, STR("|\n"), e))
            return false;
    }
    return true;
}

static bool put_delta(struct sbuf *b, const struct evaluate_summary *s,
                      const struct evaluate_compared *c, size_t v, struct err *e)
{
    const struct metric_value *value = s->set.value[v];
    const struct evaluate_delta *d = &c->delta[v];
    return sbuf_printf(b, e, "| %s%s | %zu | %s ", c->name, c->baseline ? " (baseline)" : "",
                       c->pairs, value->label) &&
           put_ci(b, &c->value[v], value->scale, e) && put_ci(b, &d->ci, value->scale, e) &&
           sbuf_printf(b, e, "| %.4f | %.4f |\n", d->p, d->holm);
}

static bool put_notes(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (!sbuf_putc(b, '\n', e)) return false;
    for (size_t i = 0; i < s->ncompared; i++)
        if (s->compared[i].note[0] &&
            !sbuf_printf(b, e, "%s: %s.\n", s->compared[i].name, s->compared[i].note))
            return false;
    for (size_t i = 0; i < s->nleft_out; i++)
        if (!sbuf_printf(b, e, "Baseline %s is left out: %s.\n", s->left_out[i].name,
                         s->left_out[i].why))
            return false;
    return true;
}

static bool put_compared(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (s->ncompared == 0) return put_notes(b, s, e);
    if (!sbuf_put(b,
                  STR("\n## Compared\n\nDifference: this system minus the other, on the pairs "
                      "both have. p: two-sided, of swapping their answers; by Holm: corrected for "
                      "all rows of this table.\n\n"
                      "| other | pairs | value | other's | difference | p | p by Holm |\n"
                      "| --- | --- | --- | --- | --- | --- | --- |\n"),
                  e))
        return false;
    for (size_t i = 0; i < s->ncompared; i++)
        for (size_t v = 0; v < s->set.nvalues; v++)
            if (is_headline(s, v) && !put_delta(b, s, &s->compared[i], v, e)) return false;
    return put_notes(b, s, e);
}

/* A stratum's line: the value, and by how much it is above the constant sentence's. */
static bool put_stratum(struct sbuf *b, const struct evaluate_summary *s,
                        const struct evaluate_stratum *t, struct err *e)
{
    if (!sbuf_printf(b, e, "| %s | %s | %zu ", t->by, t->value, t->pairs)) return false;
    for (size_t v = 0; v < s->set.nvalues; v++) {
        double scale = s->set.value[v]->scale;
        if (!is_headline(s, v)) continue;
        bool few = t->pairs < FEW_PAIRS; /* a resampled handful looks surer than it is */
        if (few ? !sbuf_printf(b, e, "| %.1f ", scale * t->number[v].mean)
                : !put_ci(b, &t->number[v], scale, e))
            return false;
        if (t->has_constant && !sbuf_printf(b, e, "%+.1f ", scale * t->over_constant[v].mean))
            return false;
    }
    return sbuf_put(b, STR("|\n"), e);
}

static bool put_strata(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (s->nstrata == 0) return true;
    if (!sbuf_put(b,
                  STR("\n## By kind of report\n\nNormal: a rule on the words of the reference. "
                      "Behind each interval: the difference to the constant sentence on the same "
                      "pairs. Without an interval where there are fewer than 10 pairs.\n\n"
                      "| by | value | pairs "),
                  e))
        return false;
    size_t columns = 3;
    for (size_t v = 0; v < s->set.nvalues; v++) {
        if (!is_headline(s, v)) continue;
        columns++;
        if (!sbuf_printf(b, e, "| %s ", s->set.value[v]->label)) return false;
    }
    for (size_t k = 0; k < columns; k++)
        if (!sbuf_put(b, k == 0 ? STR("|\n| --- ") : STR("| --- "), e)) return false;
    if (!sbuf_put(b, STR("|\n"), e)) return false;
    for (size_t i = 0; i < s->nstrata; i++)
        if (!put_stratum(b, s, &s->strata[i], e)) return false;
    return true;
}

/* One line, where the files say what the references cost the models. */
static bool put_loss(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (!s->loss.tokens) return true;
    if (!sbuf_printf(b, e, "\nLoss of the references, nats a token: this system %.4f",
                     s->loss.per_token))
        return false;
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_compared *v = &s->compared[i];
        if (v->loss.tokens && !sbuf_printf(b, e, ", %s %.4f", v->name, v->loss.per_token))
            return false;
    }
    return sbuf_put(b, STR(".\n"), e);
}

static bool put_head(struct sbuf *b, const struct evaluate_opts *o,
                     const struct evaluate_summary *s, struct err *e)
{
    if (!sbuf_printf(b, e,
                     "# Evaluation\n\n%zu pairs. Values with 95 %% percentile intervals of %u "
                     "bootstrap replicates",
                     s->pairs, o->bootstrap))
        return false;
    if (s->clustered && !sbuf_printf(b, e, " over %zu patients", s->groups)) return false;
    return sbuf_put(b,
                    STR("; what lies between 0 and 1 is shown times 100.\n"
                        "Plain means over pairs, so a mean of F is not the F of the means; "
                        "\"corpus\" values are made of sums over all pairs.\n\n"),
                    e);
}

bool eval_md_write(const struct evaluate_opts *o, const struct evaluate_summary *s,
                   const char *path, struct err *e)
{
    struct sbuf b;
    sbuf_init(&b, MD_MAX_BYTES);
    bool ok = put_head(&b, o, s, e) && put_signatures(&b, s, e) && put_loss(&b, s, e) &&
              put_values(&b, s, true, e) && put_compared(&b, s, e) && put_strata(&b, s, e) &&
              sbuf_put(&b, STR("\n## Every other value\n"), e) && put_values(&b, s, false, e) &&
              fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    return ok;
}
