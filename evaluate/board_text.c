/* The comparison as Markdown, CSV, LaTeX, and for a terminal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "evaluate/board_impl.h"

#define PUT(...) (ok = ok && sbuf_printf(out, e, __VA_ARGS__))

static const char *const mark_signs[] = {"\xe2\x96\xbc", "", "\xe2\x96\xb2"}; /* worse, -, better */

static double scale_of(const struct board *b, size_t v)
{
    return b->run.out->set.value[v]->scale;
}

static void times_of(const struct board_row *row, char train[24], char generate[24])
{
    board_duration(row->times.train_s, train);
    board_duration(row->times.generate_s, generate);
    if (row->quoted_train && row->quoted_train[0])
        (void)snprintf(train, 24, "%s", row->quoted_train);
    if (row->quoted_generate && row->quoted_generate[0])
        (void)snprintf(generate, 24, "%s", row->quoted_generate);
}

/* ---- Markdown */

static const char *kind_note(const struct board_row *row)
{
    return row->kind == BOARD_QUOTED     ? " (quoted)"
           : row->kind == BOARD_BASELINE ? " (baseline)"
                                         : "";
}

static bool md_cell(const struct board *b, const struct board_part *p, size_t row, size_t v,
                    struct sbuf *out, struct err *e)
{
    const struct board_row *r = &b->row[row];
    double scale = scale_of(b, v);
    bool ok = true;

    if (!board_has(b, row, v)) return sbuf_put(out, STR(" | -"), e);
    if (r->kind == BOARD_QUOTED) return sbuf_printf(out, e, " | %.1f", r->quoted[v]);
    const struct boot_ci *c = &p->ci[board_at(b, row, v)];
    PUT(" | %.1f", scale * c->mean);
    if (r->sd && isfinite(r->sd[v]) && p == &b->part[0]) PUT(" \xc2\xb1 %.1f", scale * r->sd[v]);
    PUT(" (%.1f to %.1f)%s", scale * c->lo, scale * c->hi,
        mark_signs[board_mark(b, p, row, v) + 1]);
    return ok;
}

static bool md_table(const struct board *b, const struct board_part *p, struct sbuf *out,
                     struct err *e)
{
    struct board_column col[BOARD_COLUMNS_MAX];
    size_t n = board_columns(b, col);
    bool ok = true;

    PUT("\n## %s: %zu pairs\n\n| | system | train | generate | loss", p->title, p->n);
    for (size_t i = 0; i < n; i++)
        PUT(" | %s %s", col[i].group, col[i].head);
    PUT(" |\n|");
    for (size_t i = 0; i < n + 5; i++)
        PUT(" --- |");
    PUT("\n");
    for (size_t i = 0; ok && i < b->nrows; i++) {
        const struct board_row *r = &b->row[i];
        char train[24], generate[24];
        times_of(r, train, generate);
        PUT("| %s | %s%s | %s | %s", r->letter, r->name, kind_note(r), train, generate);
        if (r->loss.tokens)
            PUT(" | %.3f", r->loss.per_token);
        else
            PUT(" | -");
        for (size_t k = 0; ok && k < n; k++)
            ok = md_cell(b, p, i, col[k].value, out, e);
        PUT(" |\n");
    }
    return ok;
}

static bool md_deltas(const struct board *b, const struct board_part *p, struct sbuf *out,
                      struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    bool ok = true;

    PUT("\n### Difference to %s (%s)\n\n| system | value | difference | p | p by Holm |\n"
        "| --- | --- | --- | --- | --- |\n",
        b->row[b->yardstick].letter, b->row[b->yardstick].name);
    for (size_t i = 0; i < b->nrows; i++) {
        if (i == b->yardstick || b->row[i].kind == BOARD_QUOTED) continue;
        for (size_t v = 0; v < set->nvalues; v++) {
            const struct evaluate_delta *d = &p->delta[board_at(b, i, v)];
            double scale = scale_of(b, v);
            if (!(set->value[v]->flags & METRIC_HEADLINE)) continue;
            PUT("| %s %s | %s | %+.1f (%+.1f to %+.1f) | %.4f | %.4f |\n", b->row[i].letter,
                b->row[i].name, set->value[v]->label, scale * d->ci.mean, scale * d->ci.lo,
                scale * d->ci.hi, d->p, d->holm);
        }
    }
    return ok;
}

static bool md_strata(const struct board *b, const struct board_part *p, struct sbuf *out,
                      struct err *e)
{
    size_t v = board_main_value(b);
    double scale = scale_of(b, v);
    bool ok = true;

    if (p->nstrata == 0) return true;
    PUT("\n### By kind of report: %s\n\n| by | value | pairs", b->run.out->set.value[v]->label);
    for (size_t i = 0; i < b->nrows; i++)
        if (b->row[i].kind != BOARD_QUOTED) PUT(" | %s %s", b->row[i].letter, b->row[i].name);
    PUT(" |\n| --- | --- | ---");
    for (size_t i = 0; i < b->nrows; i++)
        if (b->row[i].kind != BOARD_QUOTED) PUT(" | ---");
    PUT(" |\n");
    for (size_t s = 0; s < p->nstrata; s++) {
        PUT("| %s | %s | %zu", p->strata[s].by, p->strata[s].value, p->strata[s].pairs);
        for (size_t i = 0; i < b->nrows; i++) {
            const struct boot_ci *c = &p->strata[s].ci[board_at(b, i, v)];
            if (b->row[i].kind == BOARD_QUOTED) continue;
            PUT(" | %.1f (%.1f to %.1f)", scale * c->mean, scale * c->lo, scale * c->hi);
        }
        PUT(" |\n");
    }
    return ok;
}

static bool md_method(const struct board *b, struct sbuf *out, struct err *e)
{
    const struct eval_run *r = &b->run;
    bool ok = true;

    PUT("\n## How\n\n");
    for (size_t m = 0; m < r->out->set.n; m++)
        PUT("- `%s`\n", r->out->signature[m]);
    for (size_t i = 0; i < b->nrows; i++) {
        const struct board_row *row = &b->row[i];
        char train[96], generate[96];
        if (row->kind == BOARD_QUOTED) {
            PUT("- %s %s: quoted. %s\n", row->letter, row->name, row->note);
            continue;
        }
        if (row->kind == BOARD_BASELINE) continue;
        board_device(row->times.train_device, row->times.train_ranks, train);
        board_device(row->times.generate_device, row->times.generate_ranks, generate);
        PUT("- %s %s: trained on %s; generated on %s\n", row->letter, row->name,
            train[0] ? train : "(not trained, or not said)", generate[0] ? generate : "(not said)");
    }
    for (size_t k = 0; k < b->nsources; k++) {
        char hex[65];
        hash_hex(b->source[k].digest, 32, hex);
        PUT("- pairs of %s: SHA-256 %s\n", b->source[k].name, hex);
    }
    return ok;
}

bool board_markdown(const struct board *b, struct sbuf *out, struct err *e)
{
    const struct eval_run *r = &b->run;
    bool ok = true;

    PUT("# Comparison\n\n%zu pairs that all %zu files have%s (up to %zu of a file are left out). "
        "Values with 95 %% percentile intervals of %u bootstrap replicates",
        r->n, b->nsources, b->by_line ? ", line by line" : ", by id", b->left_out, r->o->bootstrap);
    if (r->group) PUT(" over %zu patients", r->ngroups);
    PUT("; \xc2\xb1 is the standard deviation between runs that differ in their seed alone. "
        "\xe2\x96\xb2 better, \xe2\x96\xbc worse than %s (%s): p < 0.05 by Holm over all rows and "
        "headline values. Quoted rows are others' numbers on others' reports: not tested. "
        "A mean of F is not the F of the means.\n",
        b->row[b->yardstick].letter, b->row[b->yardstick].name);
    for (size_t i = 0; ok && i < b->nparts; i++)
        ok = md_table(b, &b->part[i], out, e) && md_deltas(b, &b->part[i], out, e) &&
             md_strata(b, &b->part[i], out, e);
    return ok && md_method(b, out, e);
}

/* ---- CSV: a line a part, row and value */

static bool csv_text(struct sbuf *out, const char *s, struct err *e)
{
    if (!sbuf_putc(out, '"', e)) return false;
    for (; *s; s++)
        if ((*s == '"' && !sbuf_putc(out, '"', e)) || !sbuf_putc(out, *s, e)) return false;
    return sbuf_putc(out, '"', e);
}

static bool csv_number(struct sbuf *out, double x, struct err *e)
{
    return sbuf_putc(out, ',', e) && (!isfinite(x) || sbuf_put_f64(out, x, e));
}

static bool csv_line(const struct board *b, const struct board_part *p, size_t row, size_t v,
                     struct sbuf *out, struct err *e)
{
    static const char *const kinds[] = {"system", "baseline", "quoted"};
    const struct board_row *r = &b->row[row];
    bool quoted = r->kind == BOARD_QUOTED, ok = csv_text(out, p->title, e);
    double scale = scale_of(b, v), none = (double)NAN;
    struct boot_ci c = {none, none, none}, d = c;
    double test[2] = {none, none};

    if (quoted)
        c.mean = r->quoted[v] / scale;
    else
        c = p->ci[board_at(b, row, v)];
    if (!quoted && row != b->yardstick) {
        const struct evaluate_delta *x = &p->delta[board_at(b, row, v)];
        d = x->ci;
        test[0] = x->p;
        test[1] = x->holm;
    }
    PUT(",%s,", r->letter);
    ok = ok && csv_text(out, r->name, e);
    PUT(",%s,%s,%zu", kinds[r->kind], b->run.out->set.value[v]->name, quoted ? (size_t)0 : p->n);
    ok = ok && csv_number(out, scale * c.mean, e) && csv_number(out, scale * c.lo, e) &&
         csv_number(out, scale * c.hi, e);
    ok = ok && csv_number(out, r->sd && p == &b->part[0] ? scale * r->sd[v] : none, e);
    PUT(",%u", r->nsources);
    ok = ok && csv_number(out, scale * d.mean, e) && csv_number(out, scale * d.lo, e) &&
         csv_number(out, scale * d.hi, e) && csv_number(out, test[0], e) &&
         csv_number(out, test[1], e);
    ok = ok && csv_number(out, r->times.train_s > 0 ? r->times.train_s : none, e) &&
         csv_number(out, r->times.generate_s > 0 ? r->times.generate_s : none, e);
    PUT("\n");
    return ok;
}

bool board_csv(const struct board *b, struct sbuf *out, struct err *e)
{
    bool ok = true;

    PUT("part,letter,system,kind,value,pairs,mean,lo,hi,sd_between_runs,runs,difference,"
        "difference_lo,difference_hi,p,p_holm,train_s,generate_s\n");
    for (size_t i = 0; i < b->nparts; i++)
        for (size_t row = 0; row < b->nrows; row++)
            for (size_t v = 0; ok && v < b->run.out->set.nvalues; v++)
                if (board_has(b, row, v)) ok = csv_line(b, &b->part[i], row, v, out, e);
    return ok;
}

/* ---- LaTeX, with booktabs */

static bool tex_text(struct sbuf *out, const char *s, struct err *e)
{
    bool ok = true;
    for (; ok && *s; s++) {
        if (strchr("&%$#_{}", *s))
            PUT("\\%c", *s);
        else if (*s == '\\' || *s == '^' || *s == '~')
            PUT("\\char%d{}", *s);
        else
            ok = sbuf_putc(out, *s, e);
    }
    return ok;
}

static bool tex_heads(const struct board_column *col, size_t n, struct sbuf *out, struct err *e)
{
    bool ok = true;
    PUT(" & & ");
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && strcmp(col[k].group, col[i].group) == 0)
            k++;
        PUT(" & \\multicolumn{%zu}{c}{", k - i);
        ok = ok && tex_text(out, col[i].group, e);
        PUT("}");
        i = k;
    }
    PUT(" \\\\\nsystem & train & generate");
    for (size_t i = 0; ok && i < n; i++) {
        PUT(" & ");
        ok = ok && tex_text(out, col[i].head, e);
    }
    PUT(" \\\\\n\\midrule\n");
    return ok;
}

static bool tex_row(const struct board *b, const struct board_part *p, size_t row,
                    const struct board_column *col, size_t n, struct sbuf *out, struct err *e)
{
    const struct board_row *r = &b->row[row];
    char train[24], generate[24];
    bool ok = tex_text(out, r->name, e);

    times_of(r, train, generate);
    if (r->kind == BOARD_QUOTED) PUT("$^q$");
    PUT(" & ");
    ok = ok && tex_text(out, train, e);
    PUT(" & ");
    ok = ok && tex_text(out, generate, e);
    for (size_t k = 0; k < n; k++) {
        size_t v = col[k].value;
        int mark = board_mark(b, p, row, v);
        if (!board_has(b, row, v)) {
            PUT(" & --");
            continue;
        }
        double x = r->kind == BOARD_QUOTED ? r->quoted[v]
                                           : scale_of(b, v) * p->ci[board_at(b, row, v)].mean;
        PUT(" & %.1f%s", x, mark > 0 ? "$^{+}$" : mark < 0 ? "$^{-}$" : "");
    }
    PUT(" \\\\\n");
    return ok;
}

bool board_latex(const struct board *b, struct sbuf *out, struct err *e)
{
    struct board_column col[BOARD_COLUMNS_MAX];
    size_t n = board_columns(b, col);
    bool ok = true;

    PUT("%% needs booktabs; intervals are in comparison.csv\n");
    for (size_t i = 0; ok && i < b->nparts; i++) {
        const struct board_part *p = &b->part[i];
        PUT("\\begin{table}\n\\centering\\footnotesize\n\\begin{tabular}{lrr");
        for (size_t k = 0; k < n; k++)
            PUT("r");
        PUT("}\n\\toprule\n");
        ok = ok && tex_heads(col, n, out, e);
        for (size_t row = 0; ok && row < b->nrows; row++)
            ok = tex_row(b, p, row, col, n, out, e);
        PUT("\\bottomrule\n\\end{tabular}\n\\caption{%s: %zu pairs. $+$ better, $-$ worse than ",
            p->title, p->n);
        ok = ok && tex_text(out, b->row[b->yardstick].name, e);
        PUT(" ($p < 0.05$, Holm). $q$: quoted.}\n\\end{table}\n");
    }
    return ok;
}

/* ---- terminal */
enum { HEAD_WIDTH = 13 };

/* The next whole words of *rest that fit HEAD_WIDTH; what is cut off goes. */
static struct str head_piece(struct str *rest)
{
    struct str word, piece = {rest->p ? rest->p : "", 0}, next = *rest;

    while (str_split(&next, ' ', &word)) {
        size_t n = (size_t)(word.p + word.n - piece.p);
        if (n > HEAD_WIDTH && piece.n > 0) break;
        piece.n = n;
        *rest = next;
    }
    return piece;
}

/* The labels of the headline values, over as many lines as the longest takes. */
static bool terminal_heads(const struct metric_set *set, struct sbuf *out, struct err *e)
{
    struct str rest[METRIC_VALUES_MAX];
    bool ok = true, more = true;

    for (size_t v = 0; v < set->nvalues; v++)
        rest[v] = str_of(set->value[v]->label);
    for (int line = 0; more; line++) {
        more = false;
        PUT("  %-2s %-24s %8s %8s", "", "", line ? "" : "train", line ? "" : "generate");
        for (size_t v = 0; v < set->nvalues; v++) {
            if (!(set->value[v]->flags & METRIC_HEADLINE)) continue;
            struct str piece = head_piece(&rest[v]);
            PUT("  %*.*s", HEAD_WIDTH, STR_ARG(piece));
            more = more || rest[v].n > 0;
        }
        PUT("\n");
    }
    return ok;
}

bool board_terminal(const struct board *b, struct sbuf *out, struct err *e)
{
    const struct metric_set *set = &b->run.out->set;
    const struct board_part *p = &b->part[0];
    bool ok = true;

    PUT("%zu rows, %zu pairs in all files (up to %zu of a file left out)\n", b->nrows, b->run.n,
        b->left_out);
    ok = ok && terminal_heads(set, out, e);
    for (size_t i = 0; i < b->nrows; i++) {
        const struct board_row *r = &b->row[i];
        char train[24], generate[24];
        times_of(r, train, generate);
        PUT("  %-2s %-24.24s %8s %8s", r->letter, r->name, train, generate);
        for (size_t v = 0; v < set->nvalues; v++) {
            if (!(set->value[v]->flags & METRIC_HEADLINE)) continue;
            double x = r->kind == BOARD_QUOTED
                           ? r->quoted[v]
                           : set->value[v]->scale * p->ci[board_at(b, i, v)].mean;
            if (isfinite(x))
                PUT("  %12.2f%c", x, "- +"[board_mark(b, p, i, v) + 1]);
            else
                PUT("  %12s ", "-");
        }
        PUT("\n");
    }
    PUT("  + better, - worse than %s: p < 0.05 by Holm\n", b->row[b->yardstick].letter);
    return ok;
}
