/* The comparison as one page: no script, no network; every mark has a sign and a word, too. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/html.h"
#include "evaluate/board_impl.h"

enum { PAGE_MAX_BYTES = 256 << 20 };

static const char *const own_style =
    "main,header,footer{max-width:96rem}caption{caption-side:top}"
    ".board{width:auto;min-width:100%;border-collapse:separate;border-spacing:0}"
    ".board th[scope=row]{position:sticky;left:0;background:var(--card);white-space:nowrap;"
    "padding-right:1.2rem;z-index:1}.board td.n{padding-left:.9rem;padding-right:.2rem}"
    ".board thead th{text-align:right;padding-left:.9rem;padding-right:.2rem;white-space:nowrap}"
    ".board thead tr:first-child th:first-child{text-align:left;position:sticky;left:0;"
    "background:var(--card);padding-left:0;z-index:1}.board thead "
    "th[colspan]{text-align:center}.board thead th[colspan],.board thead th.g{border-left:1px "
    "solid "
    "var(--line)}.board td.g{border-left:1px solid var(--line)}"
    ".board .ci{display:block;color:var(--soft);font-size:.78rem}"
    ".board tr.yard>*{background:var(--fill)}.board tr.quoted>*{font-style:italic}"
    ".letter{display:inline-block;min-width:1.5rem;text-align:left;color:var(--soft)}.tag{font-"
    "weight:400;"
    "color:var(--soft);font-size:.82rem}.m{font-weight:700}"
    ".forest .dot{fill:var(--accent)}.forest .base{fill:var(--card);stroke:var(--soft);"
    "stroke-width:1.6}.forest .quote{fill:none;stroke:var(--mark);stroke-width:1.6}"
    ".forest .iv{stroke:var(--accent);stroke-width:2}.forest .ivb{stroke:var(--soft);"
    "stroke-width:1.6}.forest .yard{stroke:var(--soft);stroke-dasharray:3 3}"
    ".forest text{fill:var(--ink)}.forest text.t{fill:var(--soft)}"
    ".case{border-top:1px solid var(--line);padding:.9rem 0}.case h4{margin:0 0 .3rem}"
    ".diff{width:100%;table-layout:fixed}.diff td,.diff th{overflow-wrap:anywhere}"
    ".diff th:first-child{width:9rem}.diff del{text-decoration:line-through;text-decoration-"
    "thickness:2px;color:var(--warn)}.diff ins{text-decoration:underline;text-decoration-style:"
    "wavy;text-underline-offset:3px;color:var(--accent);font-weight:600}"
    "@media(max-width:40rem){.diff,.diff tbody,.diff tr,.diff td,.diff th{display:block;width:"
    "auto}.diff thead{display:none}.diff th:first-child{width:auto}.board th[scope=row]{white-"
    "space:normal;min-width:8.5rem}.board td:last-child{min-width:0}}"
    "@media(max-width:60rem){.board "
    "th[scope=row]{white-space:normal;min-width:9rem;max-width:13rem}}"
    ".board td:last-child:not(.n){min-width:0}.strata thead "
    "th{white-space:normal;min-width:6.5rem}";

static double scale_of(const struct board *b, size_t v)
{
    return b->run.out->set.value[v]->scale;
}

static void put_name(struct html *h, const struct board_row *r)
{
    HTML(h, "<span class=\"letter\">%s</span> ", r->letter);
    html_text(h, str_of(r->name));
    if (r->kind != BOARD_SYSTEM)
        HTML(h, " <span class=\"tag\">%s</span>", r->kind == BOARD_QUOTED ? "quoted" : "baseline");
}

/* ---- head */

static void put_tile(struct html *h, const char *number, const char *label)
{
    HTML(h, "<li><b>%s</b><span>%s</span></li>", number, label);
}

static void put_head(struct html *h, const struct board *b)
{
    const struct eval_run *r = &b->run;
    size_t systems = 0;

    for (size_t i = 0; i < b->nrows; i++)
        systems += b->row[i].kind == BOARD_SYSTEM;
    html_head(h, STR("Comparison of systems"), "Skip to the comparison", own_style);
    HTML(h, "<header><h1>How good are these impressions</h1><p class=\"lead\">Every system is "
            "scored on the same reports. Values are means over reports, or made of sums over them, "
            "with 95&nbsp;%% intervals.</p><ul class=\"tiles\">");
    put_tile(h, html_number(h, r->n), "reports that all files have");
    put_tile(h, html_number(h, b->left_out), "at most left out of a file: others lack them");
    if (r->group)
        put_tile(h, html_number(h, r->ngroups), "patients, resampled whole");
    else
        put_tile(h, "&ndash;", "patients: not named in every pair");
    put_tile(h, html_number(h, systems), "systems");
    HTML(h, "</ul>\n<nav aria-label=\"Parts\"><ul>");
    for (size_t i = 0; i < b->nparts; i++) {
        HTML(h, "<li><a href=\"#part%zu\">", i);
        html_text(h, str_of(b->part[i].title));
        HTML(h, "</a>");
    }
    HTML(h, "<li><a href=\"#cases\">Worst and best cases</a>");
    if (b->o->where) HTML(h, "<li><a href=\"#where\">Chosen pairs</a>");
    if (b->o->show_text) HTML(h, "<li><a href=\"#texts\">Texts</a>");
    HTML(h,
         "<li><a href=\"#how\">How it was computed</a></ul></nav></header>\n<main id=\"main\">\n");
}

/* ---- the table */

static void put_heads(struct html *h, const struct board_column *col, size_t n)
{
    HTML(h, "<thead><tr><th rowspan=\"2\" scope=\"col\">System<th rowspan=\"2\" scope=\"col\">Train"
            "<th rowspan=\"2\" scope=\"col\">Generate<th rowspan=\"2\" scope=\"col\">Loss");
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && strcmp(col[k].group, col[i].group) == 0)
            k++;
        if (col[i].head[0])
            HTML(h, "<th colspan=\"%zu\" scope=\"colgroup\">", k - i);
        else
            HTML(h, "<th class=\"g\" rowspan=\"2\" scope=\"col\">");
        html_text(h, str_of(col[i].group));
        i = k;
    }
    HTML(h, "</tr><tr>");
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(col[i].group, col[i - 1].group) != 0;
        if (col[i].head[0])
            HTML(h, "<th%s scope=\"col\">%s", first ? " class=\"g\"" : "", col[i].head);
    }
    HTML(h, "</tr></thead><tbody>");
}

static void put_mark(struct html *h, int mark)
{
    if (mark == 0) return;
    HTML(h, "&#8239;<span class=\"m\" role=\"img\" aria-label=\"%s than the yardstick\">%s</span>",
         mark > 0 ? "better" : "worse", mark > 0 ? "&#9650;" : "&#9660;");
}

static void put_value(struct html *h, const struct board *b, const struct board_part *p, size_t row,
                      size_t v, const char *class)
{
    const struct board_row *r = &b->row[row];
    double scale = scale_of(b, v);

    HTML(h, "<td class=\"n%s\">", class);
    if (!board_has(b, row, v)) {
        HTML(h, "&ndash;</td>");
        return;
    }
    if (r->kind == BOARD_QUOTED) {
        HTML(h, "%.1f</td>", r->quoted[v]);
        return;
    }
    const struct boot_ci *c = &p->ci[board_at(b, row, v)];
    HTML(h, "%.1f", scale * c->mean);
    if (r->sd && isfinite(r->sd[v]) && p == &b->part[0])
        HTML(h, "&#8239;&plusmn;&#8239;%.1f", scale * r->sd[v]);
    put_mark(h, board_mark(b, p, row, v));
    HTML(h, "<span class=\"ci\">%.1f&ndash;%.1f</span></td>", scale * c->lo, scale * c->hi);
}

static void put_time(struct html *h, double s, const char *quoted)
{
    char text[24];
    HTML(h, "<td class=\"n\">");
    board_duration(s, text);
    html_text(h, str_of(quoted && quoted[0] ? quoted : text));
    HTML(h, "</td>");
}

static void put_legend(struct html *h, const struct board *b)
{
    HTML(
        h,
        "<p class=\"note\">Below each value its 95&nbsp;%% interval. &#9650; better, &#9660; worse "
        "than %s (",
        b->row[b->yardstick].letter);
    html_text(h, str_of(b->row[b->yardstick].name));
    HTML(h,
         "), p &lt; 0.05 by Holm over all rows and headline values. &plusmn;: standard deviation "
         "between runs that differ in their seed alone. Loss: nats a token of the reference. "
         "Train and generate: wall-clock; the device of each is below.</p>");
}

static void put_table(struct html *h, const struct board *b, const struct board_part *p)
{
    struct board_column col[BOARD_COLUMNS_MAX];
    size_t n = board_columns(b, col);

    put_legend(h, b);
    HTML(h, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table of systems\">"
            "<table class=\"board\"><caption>All values from 0 to 100</caption>");
    put_heads(h, col, n);
    for (size_t i = 0; i < b->nrows; i++) {
        const struct board_row *r = &b->row[i];
        HTML(h, "<tr%s><th scope=\"row\">",
             i == b->yardstick         ? " class=\"yard\""
             : r->kind == BOARD_QUOTED ? " class=\"quoted\""
                                       : "");
        put_name(h, r);
        if (i == b->yardstick) HTML(h, " <span class=\"tag\">yardstick</span>");
        HTML(h, "</th>");
        put_time(h, r->times.train_s, r->quoted_train);
        put_time(h, r->times.generate_s, r->quoted_generate);
        if (r->loss.tokens)
            HTML(h, "<td class=\"n\">%.3f</td>", r->loss.per_token);
        else
            HTML(h, "<td class=\"n\">&ndash;</td>");
        for (size_t k = 0; k < n; k++) {
            bool first = k == 0 || strcmp(col[k].group, col[k - 1].group) != 0;
            put_value(h, b, p, i, col[k].value, first ? " g" : "");
        }
        HTML(h, "</tr>");
    }
    HTML(h, "</tbody></table></div>");
}

/* ---- differences */

static void put_delta(struct html *h, const struct board *b, const struct board_part *p, size_t row,
                      size_t v)
{
    const struct evaluate_delta *d = &p->delta[board_at(b, row, v)];
    double scale = scale_of(b, v);

    HTML(h, "<tr><th scope=\"row\">");
    put_name(h, &b->row[row]);
    HTML(h, "</th><td>%s</td><td class=\"n\">%+.1f", b->run.out->set.value[v]->label,
         scale * d->ci.mean);
    put_mark(h, board_mark(b, p, row, v));
    HTML(h,
         "</td><td class=\"n\">%+.1f to %+.1f</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f"
         "</td></tr>",
         scale * d->ci.lo, scale * d->ci.hi, d->p, d->holm);
}

static void put_deltas(struct html *h, const struct board *b, const struct board_part *p)
{
    const struct metric_set *set = &b->run.out->set;

    HTML(h,
         "<details><summary>Differences to the yardstick, with tests</summary><div class=\"wide\" "
         "tabindex=\"0\"><table><caption>This row minus ");
    html_text(h, str_of(b->row[b->yardstick].name));
    HTML(h,
         ", on the same reports; p of swapping the two systems&rsquo; answers.</caption><thead><tr>"
         "<th scope=\"col\">System<th scope=\"col\">Value<th scope=\"col\" class=\"n\">Difference"
         "<th scope=\"col\" class=\"n\">95 %% interval<th scope=\"col\" class=\"n\">p"
         "<th scope=\"col\" class=\"n\">p by Holm</tr></thead><tbody>");
    for (size_t i = 0; i < b->nrows; i++) {
        if (i == b->yardstick || b->row[i].kind == BOARD_QUOTED) continue;
        for (size_t v = 0; v < set->nvalues; v++)
            if (set->value[v]->flags & METRIC_HEADLINE) put_delta(h, b, p, i, v);
    }
    HTML(h, "</tbody></table></div></details>");
}

/* ---- strata */

static void put_stratum_table(struct html *h, const struct board *b, const struct board_part *p,
                              size_t v)
{
    double scale = scale_of(b, v);

    HTML(h,
         "<div class=\"wide\" tabindex=\"0\"><table class=\"board strata\"><caption>%s by kind of "
         "report."
         " Normal: a rule on the words of the reference.</caption><thead><tr><th scope=\"col\">"
         "Kind<th scope=\"col\">Reports",
         b->run.out->set.value[v]->label);
    for (size_t i = 0; i < b->nrows; i++) {
        if (b->row[i].kind == BOARD_QUOTED) continue;
        HTML(h, "<th scope=\"col\">");
        put_name(h, &b->row[i]);
    }
    HTML(h, "</tr></thead><tbody>");
    for (size_t s = 0; s < p->nstrata; s++) {
        const struct board_stratum *t = &p->strata[s];
        HTML(h, "<tr><th scope=\"row\"><span class=\"tag\">");
        html_text(h, str_of(t->by));
        HTML(h, "</span> ");
        html_text(h, str_of(t->value));
        HTML(h, "</th><td class=\"n\">%s</td>", html_number(h, t->pairs));
        for (size_t i = 0; i < b->nrows; i++) {
            const struct boot_ci *c = &t->ci[board_at(b, i, v)];
            if (b->row[i].kind == BOARD_QUOTED) continue;
            HTML(h, "<td class=\"n\">%.1f<span class=\"ci\">%.1f&ndash;%.1f</span></td>",
                 scale * c->mean, scale * c->lo, scale * c->hi);
        }
        HTML(h, "</tr>");
    }
    HTML(h, "</tbody></table></div>");
}

static void put_strata(struct html *h, const struct board *b, const struct board_part *p)
{
    const struct metric_set *set = &b->run.out->set;
    size_t first = board_main_value(b);

    if (p->nstrata == 0) return;
    HTML(h, "<h3>By kind of report</h3>");
    put_stratum_table(h, b, p, first);
    HTML(h, "<details><summary>The same by the other values</summary>");
    for (size_t v = 0; v < set->nvalues; v++)
        if (v != first && (set->value[v]->flags & METRIC_HEADLINE)) put_stratum_table(h, b, p, v);
    HTML(h, "</details>");
}

/* ---- how */

static void put_devices(struct html *h, const struct board *b)
{
    HTML(h,
         "<h3>Where the times are from</h3><div class=\"wide\" tabindex=\"0\"><table><caption>As "
         "the runs&rsquo; own files say; wall-clock, other work on the machine included.</caption>"
         "<thead><tr><th scope=\"col\">System<th scope=\"col\">Trained on<th scope=\"col\">"
         "Generated on</tr></thead><tbody>");
    for (size_t i = 0; i < b->nrows; i++) {
        const struct board_row *r = &b->row[i];
        char train[96], generate[96];
        if (r->kind == BOARD_BASELINE) continue;
        HTML(h, "<tr><th scope=\"row\">");
        put_name(h, r);
        HTML(h, "</th><td>");
        if (r->kind == BOARD_QUOTED) {
            html_text(h, str_of(r->times.train_device));
            HTML(h, " <span class=\"tag\">");
            html_text(h, str_of(r->note));
            HTML(h, "</span></td><td></td></tr>");
            continue;
        }
        board_device(r->times.train_device, r->times.train_ranks, train);
        board_device(r->times.generate_device, r->times.generate_ranks, generate);
        html_text(h, str_of(train[0] ? train : "not trained, or not said"));
        HTML(h, "</td><td>");
        html_text(h, str_of(generate[0] ? generate : "not said"));
        HTML(h, "</td></tr>");
    }
    HTML(h, "</tbody></table></div>");
}

static void put_how(struct html *h, const struct board *b)
{
    const struct eval_run *r = &b->run;

    HTML(h,
         "<section id=\"how\"><h2>How it was computed</h2><p>Pairs were matched %s. Intervals: "
         "percentile bootstrap, %u replicates%s, seed %llu. Tests: approximate randomisation of "
         "the two systems&rsquo; answers, two-sided. A mean of F is not the F of the means. "
         "Quoted rows are others&rsquo; numbers on others&rsquo; reports; nothing was tested "
         "against them.</p><ul>",
         b->by_line ? "line by line" : "by id", r->o->bootstrap,
         r->group ? " over patients" : " over reports", (unsigned long long)r->o->seed);
    for (size_t m = 0; m < r->out->set.n; m++) {
        HTML(h, "<li><code>");
        html_text(h, str_of(r->out->signature[m]));
        HTML(h, "</code></li>");
    }
    HTML(h, "</ul>");
    put_devices(h, b);
    HTML(h, "<h3>Files</h3><ul>");
    for (size_t k = 0; k < b->nsources; k++) {
        char hex[65];
        hash_hex(b->source[k].digest, 32, hex);
        HTML(h, "<li>");
        html_text(h, str_of(b->source[k].name));
        HTML(h, ": %s pairs, SHA-256 <code>%.16s&hellip;</code></li>",
             html_number(h, b->source[k].n), hex);
    }
    HTML(h, "</ul><p>The same numbers as tables: <code>comparison.csv</code>, "
            "<code>comparison.md</code>, <code>comparison.tex</code>.</p></section>\n");
}

bool board_page(const struct board *b, struct sbuf *out, struct err *e)
{
    struct html h;

    html_init(&h, PAGE_MAX_BYTES, e);
    put_head(&h, b);
    for (size_t i = 0; i < b->nparts; i++) {
        const struct board_part *p = &b->part[i];
        HTML(&h, "<section id=\"part%zu\"><h2>", i);
        html_text(&h, str_of(p->title));
        HTML(&h, "</h2><p class=\"lead\">%s reports.</p>", html_number(&h, p->n));
        put_table(&h, b, p);
        put_deltas(&h, b, p);
        board_page_plots(&h, b, p);
        put_strata(&h, b, p);
        HTML(&h, "</section>\n");
    }
    board_page_cases(&h, b);
    put_how(&h, b);
    HTML(&h,
         "</main>\n<footer>This page holds no script and asks for nothing from the network.%s"
         "</footer></body></html>\n",
         b->o->show_text ? " It holds the text of reports." : " It holds no report text.");
    sbuf_free(out);
    *out = h.b;
    return h.ok;
}
