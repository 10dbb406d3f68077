/* The page's parts on lengths, duplicates, phrases, contradictions, splits and losses. */
#include "stats/stat_page.h"

enum { CHART_LEAST = 20 }; /* fewer reports make no shape; the tables have them */

/* ---- lengths */
static void put_histograms(struct stat_sheet *p, int kind, int section, const char *title,
                           uint64_t limit)
{
    const struct stat_counts *c = p->r->counts;

    PUT(p, "<h3>%s</h3><div class=\"grid\">", title);
    for (size_t i = 0; i < p->nmods; i++) {
        int m = p->order[i];
        if (c->length[kind][section][m].reports < CHART_LEAST) continue;
        stat_page_histogram(p, &c->length[kind][section][m], record_modality_names[m],
                            stat_kind_names[kind], limit);
    }
    PUT(p, "</div>");
}

static void put_quantile_row(struct stat_sheet *p, const char *name, const struct stat_lengths *l)
{
    static const double at[] = {0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
    uint64_t above, fence = stat_fence(l, &above);

    if (l->reports == 0) return;
    PUT(p, "<tr><th scope=\"row\">%s</th>", name);
    html_cell(&p->h, l->reports);
    PUT(p, "<td class=\"n\">%.1f</td>", (double)l->sum / (double)l->reports);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        html_cell(&p->h, stat_quantile(l, at[i]));
    html_cell(&p->h, fence);
    html_cell(&p->h, above);
    PUT(p, "</tr>");
}

static void put_quantiles(struct stat_sheet *p, int kind, int section)
{
    static struct stat_lengths all; /* too large for the stack */
    const struct stat_counts *c = p->r->counts;

    memset(&all, 0, sizeof all);
    PUT(p,
        "<details><summary>Quantiles and outliers: %s, %s</summary><div class=\"wide\" "
        "tabindex=\"0\"><table><thead><tr><th>Modality<th class=\"n\">Reports<th class=\"n\">"
        "Mean<th class=\"n\">5 %%<th class=\"n\">25 %%<th class=\"n\">50 %%<th class=\"n\">75 %%"
        "<th class=\"n\">95 %%<th class=\"n\">99 %%<th class=\"n\">Fence<th class=\"n\">"
        "Outliers</tr></thead><tbody>",
        stat_section_names[section], stat_kind_names[kind]);
    for (size_t i = 0; i < p->nmods; i++) {
        const struct stat_lengths *l = &c->length[kind][section][p->order[i]];
        put_quantile_row(p, record_modality_names[p->order[i]], l);
        stat_lengths_add(&all, l);
    }
    put_quantile_row(p, "all", &all);
    PUT(p, "</tbody></table></div></details>");
}

void stat_page_part_lengths(struct stat_sheet *p)
{
    PUT(p,
        "<section id=\"lengths\"><h2>Lengths</h2><p class=\"lead\">One small chart a modality. "
        "The solid line is the median, the dashed one the 95th percentile; the last bar holds "
        "all that is longer. Modalities with fewer than %d such reports are in the tables "
        "alone.</p>",
        CHART_LEAST);
    put_histograms(p, STAT_WORDS, SEC_FINDINGS, "Findings, in words", 0);
    put_quantiles(p, STAT_WORDS, SEC_FINDINGS);
    put_histograms(p, STAT_WORDS, SEC_IMPRESSION, "Impression, in words", 0);
    put_quantiles(p, STAT_WORDS, SEC_IMPRESSION);
    put_histograms(p, STAT_WORDS, SEC_CLINICAL, "Clinical information, in words", 0);
    put_quantiles(p, STAT_WORDS, SEC_CLINICAL);
    if (p->r->tokens) {
        put_histograms(p, STAT_TOKENS, STAT_WHOLE,
                       "Findings and impression together, in tokens: what a training sample holds",
                       p->j->max_tokens);
        put_quantiles(p, STAT_TOKENS, STAT_WHOLE);
        put_quantiles(p, STAT_TOKENS, SEC_FINDINGS);
        put_quantiles(p, STAT_TOKENS, SEC_IMPRESSION);
    }
    PUT(p, "<p class=\"note\">All sections are in <code>sections.csv</code>; the longest reports, "
           "named by source, block and row, in <code>longest.csv</code>.</p></section>\n");
}

/* ---- duplicates */
void stat_page_part_duplicates(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;
    uint64_t reports = 0, most = 0;

    for (int g = 0; g < STAT_GROUPS; g++) {
        reports += r->group_reports[g];
        if (r->group_reports[g] > most) most = r->group_reports[g];
    }
    PUT(p,
        "<section id=\"duplicates\"><h2>Duplicates</h2><p class=\"lead\">%s reports hold %s "
        "different texts. Normal studies are often one text many times; whether to train on "
        "all of them is a choice (<code>shards.duplicates</code>).</p><div class=\"wide\" "
        "tabindex=\"0\"><table><thead><tr><th>Reports that share a text<th class=\"n\">Texts"
        "<th class=\"n\">Reports<th class=\"n\">Share<th class=\"bar\"><span></span></tr></thead>"
        "<tbody>",
        html_number(&p->h, reports), html_number(&p->h, r->texts));
    for (int g = 0; g < STAT_GROUPS; g++) {
        if (r->group_texts[g] == 0) continue;
        PUT(p, "<tr><th scope=\"row\">%s</th>", stat_group_names[g]);
        html_cell(&p->h, r->group_texts[g]);
        html_cell(&p->h, r->group_reports[g]);
        PUT(p, "<td class=\"n\">%s</td>", html_share(&p->h, r->group_reports[g], reports));
        html_bar_cell(&p->h, r->group_reports[g], most);
        PUT(p, "</tr>");
    }
    PUT(p,
        "</tbody></table></div><p>%s texts occur in more than one source. Of the reports to "
        "test with, <strong>%s dev</strong> and <strong>%s test</strong> reports have a text "
        "that also stands in train; scores are shown with and without them.</p></section>\n",
        html_number(&p->h, r->across_sources), html_number(&p->h, r->seen[SPLIT_DEV]),
        html_number(&p->h, r->seen[SPLIT_TEST]));
}

/* ---- phrases */
static void put_phrases(struct stat_sheet *p, enum stat_text kind, const char *title,
                        const char *column)
{
    const struct stat_phrases *o = &p->r->phrases[kind];

    PUT(p, "<div><h3>%s</h3>", title);
    if (o->n == 0) {
        PUT(p, "<p class=\"note\">None is shared by the reports of %u patients.</p></div>",
            p->j->stats->min_patients);
        return;
    }
    PUT(p,
        "<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>%s<th class=\"n\">Patients"
        "<th class=\"n\">Reports</tr></thead><tbody>",
        column);
    for (size_t i = 0; i < o->n; i++) {
        PUT(p, "<tr><td>");
        html_text(&p->h, o->v[i].text);
        PUT(p, "</td>");
        html_cell(&p->h, o->v[i].patients);
        html_cell(&p->h, o->v[i].reports);
        PUT(p, "</tr>");
    }
    PUT(p,
        "</tbody></table></div><p class=\"note\">%s different ones in all, %s shared by at least "
        "%u patients.</p></div>",
        html_number(&p->h, o->distinct), html_number(&p->h, o->shown), p->j->stats->min_patients);
}

void stat_page_part_phrases(struct stat_sheet *p)
{
    PUT(p, "<section id=\"phrases\"><h2>Commonest phrases</h2><p class=\"lead\">Sentences and "
           "clauses that the reports of many patients share, digits as #.</p><div class=\"two\">");
    put_phrases(p, TEXT_FINDINGS, "In the findings", "Phrase");
    put_phrases(p, TEXT_IMPRESSION, "In the impression", "Phrase");
    PUT(p, "</div></section>\n<section id=\"headers\"><h2>Headers</h2><p class=\"lead\">What "
           "stands in capitals before a colon: the variety that section finding has to read."
           "</p>");
    put_phrases(p, TEXT_HEADER, "In the text", "Header");
    PUT(p, "</section>\n");
}

/* ---- contradictions */
static void put_labels(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;
    uint64_t named[MOD_COUNT] = {0};

    for (int m = 0; m < MOD_COUNT; m++)
        for (int t = 0; t < MOD_COUNT; t++)
            named[t] += c->named[m][t];
    PUT(p,
        "<h3>Label against text</h3><p class=\"note\">Rows: the label. Columns: the one modality "
        "that examination and technique name.</p><div class=\"wide\" tabindex=\"0\"><table>"
        "<thead><tr><th>Label");
    for (int t = 0; t < MOD_COUNT; t++)
        if (named[t]) PUT(p, "<th class=\"n\">%s", record_modality_names[t]);
    PUT(p, "</tr></thead><tbody>");
    for (size_t i = 0; i < p->nmods; i++) {
        int m = p->order[i];
        PUT(p, "<tr><th scope=\"row\">%s</th>", record_modality_names[m]);
        for (int t = 0; t < MOD_COUNT; t++) {
            if (named[t] == 0) continue;
            bool odd = m != MOD_UNKNOWN && m != t && c->named[m][t] > 0;
            PUT(p, "<td class=\"n%s\">%s</td>", odd ? " warn" : "",
                c->named[m][t] ? html_number(&p->h, c->named[m][t]) : "");
        }
        PUT(p, "</tr>");
    }
    PUT(p, "</tbody></table></div>");
}

void stat_page_part_checks(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;
    uint64_t any = 0;

    PUT(p, "<section id=\"checks\"><h2>Contradictions</h2><p class=\"lead\">Found by plain word "
           "rules: candidates to look at, not errors.</p><div class=\"wide\" tabindex=\"0\"><table>"
           "<thead><tr><th>What does not agree<th class=\"n\">Reports<th class=\"n\">Of<th class=\""
           "n\">Share<th>Note</tr></thead><tbody>");
    for (int k = 0; k < CHECK_COUNT; k++) {
        uint64_t found = 0, of = 0;
        for (int m = 0; m < MOD_COUNT; m++) {
            found += c->found[k][m];
            of += c->checked[k][m];
        }
        if (k == CHECK_LABEL) any = of;
        PUT(p, "<tr><th scope=\"row\">%s</th>", stat_check_words[k].title);
        html_cell(&p->h, found);
        html_cell(&p->h, of);
        PUT(p, "<td class=\"n\">%s</td><td>%s</td></tr>", html_share(&p->h, found, of),
            stat_check_words[k].note);
    }
    PUT(p, "</tbody></table></div>");
    if (any) put_labels(p);
    PUT(p, "</section>\n");
}

/* ---- splits */
static void put_split_bar(struct stat_sheet *p)
{
    uint64_t all[SPLIT_COUNT] = {0};
    const struct stat_result *r = p->r;

    for (int m = 0; m < MOD_COUNT; m++)
        for (int s = 0; s < SPLIT_COUNT; s++)
            all[s] += r->counts->split[m][s];
    PUT(p, "<div class=\"stack\" aria-hidden=\"true\">");
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (all[s])
            PUT(p, "<i class=\"s%d\" style=\"flex:%llu\"></i>", s, (unsigned long long)all[s]);
    PUT(p, "</div><ul class=\"key\">");
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (all[s])
            PUT(p, "<li><i class=\"s%d\"></i>%s: %s reports (%s), %s patients</li>", s,
                record_split_names[s], html_number(&p->h, all[s]),
                html_share(&p->h, all[s], r->counts->reports),
                html_number(&p->h, r->patient_split[s]));
    PUT(p, "</ul>");
}

static void put_split_rows(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;

    for (size_t i = 0; i < p->nmods; i++) {
        int m = p->order[i];
        PUT(p, "<tr><td>Modality</td><th scope=\"row\">%s</th>", record_modality_names[m]);
        for (int s = 0; s < SPLIT_COUNT; s++)
            html_cell(&p->h, r->counts->split[m][s]);
        PUT(p, "</tr>");
    }
    for (size_t k = 0; k < r->nsources; k++) {
        PUT(p, "<tr><td>Source</td><th scope=\"row\">");
        html_text(&p->h, str_of(r->names[k]));
        PUT(p, "</th>");
        for (int s = 0; s < SPLIT_COUNT; s++)
            html_cell(&p->h, r->sources[k].split[s]);
        PUT(p, "</tr>");
    }
}

void stat_page_part_splits(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;

    PUT(p, "<section id=\"splits\"><h2>Splits</h2><p class=\"lead\">Split by patient: ");
    if (r->crossing)
        PUT(p, "<span class=\"warn\">%s patients stand in more than one split.</span>",
            html_number(&p->h, r->crossing));
    else
        PUT(p, "<span class=\"good\">no patient stands in more than one split.</span>");
    PUT(p, "</p>");
    put_split_bar(p);
    PUT(p, "<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>By<th><span></span>"
           "<th class=\"n\">train<th class=\"n\">dev<th class=\"n\">test<th class=\"n\">none</tr>"
           "</thead><tbody>");
    put_split_rows(p);
    PUT(p, "</tbody></table></div>");
    if (r->patients) {
        PUT(p, "<h3>Reports a patient has</h3><div class=\"wide\" tabindex=\"0\"><table><thead><tr>"
               "<th>Reports<th class=\"n\">Patients<th class=\"n\">Share</tr></thead><tbody>");
        for (int g = 0; g < STAT_GROUPS; g++) {
            if (r->per_patient[g] == 0) continue;
            PUT(p, "<tr><th scope=\"row\">%s</th>", stat_group_names[g]);
            html_cell(&p->h, r->per_patient[g]);
            PUT(p, "<td class=\"n\">%s</td></tr>",
                html_share(&p->h, r->per_patient[g], r->patients));
        }
        PUT(p, "</tbody></table></div>");
    }
    PUT(p, "</section>\n");
}

/* ---- what was left out */
static void put_fates(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;

    PUT(p,
        "<div><h3>Reports that cannot be trained on</h3><div class=\"wide\" tabindex=\"0\"><table>"
        "<thead><tr><th>Why<th class=\"n\">Reports<th class=\"n\">Share</tr></thead><tbody>");
    for (int f = 0; f < FATE_COUNT; f++) {
        uint64_t n = 0;
        for (int m = 0; m < MOD_COUNT; m++)
            n += c->fate[m][f];
        PUT(p, "<tr><td><strong>%s</strong><br><span class=\"note\">%s</span></td>",
            stat_fate_words[f].title, stat_fate_words[f].note);
        html_cell(&p->h, n);
        PUT(p, "<td class=\"n\">%s</td></tr>", html_share(&p->h, n, c->reports));
    }
    PUT(p, "</tbody></table></div><p class=\"note\">The first reason that holds, in this order, "
           "with the defaults of <code>radmill shard</code> and findings as input.</p></div>");
}

static void put_rejects(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;
    uint64_t entries = 0, ignored = 0, sum = 0;

    for (size_t s = 0; s < r->nsources; s++) {
        entries += r->sources[s].entries;
        ignored += r->sources[s].ignored;
    }
    PUT(p, "<div><h3>Entries that gave no report</h3><div class=\"wide\" tabindex=\"0\"><table>"
           "<thead><tr><th>Why<th class=\"n\">Entries</tr></thead><tbody>");
    for (int k = 0; k < REJECT_COUNT; k++) {
        uint64_t n = 0;
        for (size_t s = 0; s < r->nsources; s++)
            n += r->sources[s].rejected[k];
        if (n == 0) continue;
        sum += n;
        PUT(p, "<tr><td>%s</td>", stat_reject_words[k]);
        html_cell(&p->h, n);
        PUT(p, "</tr>");
    }
    if (sum == 0) PUT(p, "<tr><td>none was lost</td><td class=\"n\">0</td></tr>");
    PUT(p, "<tr><td>folders and litter, no loss</td>");
    html_cell(&p->h, ignored);
    PUT(p,
        "</tr></tbody></table></div><p class=\"note\">Of %s entries. Each is listed, without "
        "its text, in the corpus&rsquo;s <code>quarantine</code> folder.</p>",
        html_number(&p->h, entries));
}

static void put_remarks(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;

    PUT(p, "<h3>Remarks on reports</h3><div class=\"wide\" tabindex=\"0\"><table><tbody>");
    for (int k = 0; k < RECORD_FLAGS; k++) {
        if (c->flag[k] == 0 || !stat_flag_words[k]) continue;
        PUT(p, "<tr><td>%s</td>", stat_flag_words[k]);
        html_cell(&p->h, c->flag[k]);
        PUT(p, "<td class=\"n\">%s</td></tr>", html_share(&p->h, c->flag[k], c->reports));
    }
    for (int k = 0; k < STATUS_COUNT; k++) {
        if (c->status[k] == 0) continue;
        PUT(p, "<tr><td>status: %s</td>", stat_status_words[k]);
        html_cell(&p->h, c->status[k]);
        PUT(p, "<td class=\"n\">%s</td></tr>", html_share(&p->h, c->status[k], c->reports));
    }
    PUT(p, "</tbody></table></div></div>");
}

void stat_page_part_left_out(struct stat_sheet *p)
{
    PUT(p, "<section id=\"left-out\"><h2>What was left out, and why</h2><div class=\"two\">");
    put_fates(p);
    put_rejects(p);
    put_remarks(p);
    PUT(p, "</div></section>\n");
}
