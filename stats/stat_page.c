#include "stats/stat_page.h"

#include <math.h>

#include "base/hash.h"

enum { PAGE_MAX_BYTES = 64 << 20 };

/* ---- parts */
static void put_head(struct stat_sheet *p)
{
    char digest[65];

    hash_hex(p->r->corpus.digest, 6, digest);
    html_head(&p->h, STR("Corpus report"), "Skip to the report", NULL);
    PUT(p,
        "<header><h1>What is in this corpus</h1><p class=\"lead\">%s radiology reports from %s "
        "source%s. Corpus <code>%s</code>, counted by radmill %s.</p>",
        html_number(&p->h, p->r->counts->reports), html_number(&p->h, p->r->nsources),
        p->r->nsources == 1 ? "" : "s", digest, p->j->version ? p->j->version : "");
}

static void put_tile(struct stat_sheet *p, const char *number, const char *label)
{
    PUT(p, "<li><b>%s</b><span>%s</span></li>", number, label);
}

static void put_tiles(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;
    const struct stat_counts *c = r->counts;
    uint64_t pairs = 0, lost = 0;

    for (int m = 0; m < MOD_COUNT; m++)
        pairs += c->fate[m][FATE_PAIR];
    for (size_t s = 0; s < r->nsources; s++)
        for (int k = 0; k < REJECT_COUNT; k++)
            lost += r->sources[s].rejected[k];
    PUT(p, "<ul class=\"tiles\">");
    put_tile(p, html_number(&p->h, c->reports), "reports");
    put_tile(p, r->patients ? html_number(&p->h, r->patients) : "&ndash;",
             r->patients ? "patients" : "patients: none named");
    put_tile(p, html_number(&p->h, pairs), "with findings and impression");
    put_tile(p, html_share(&p->h, c->flag[4], c->reports), "repeat an earlier report&rsquo;s text");
    put_tile(p, html_share(&p->h, c->modality[MOD_UNKNOWN], c->reports), "without a modality");
    put_tile(p, html_number(&p->h, lost), "entries left out as unreadable");
    PUT(p, "</ul>\n<nav aria-label=\"Parts\"><ul>"
           "<li><a href=\"#modalities\">Modalities</a><li><a href=\"#sources\">Sources</a>"
           "<li><a href=\"#missing\">Missing values</a><li><a href=\"#lengths\">Lengths</a>"
           "<li><a href=\"#duplicates\">Duplicates</a><li><a href=\"#phrases\">Phrases</a>"
           "<li><a href=\"#checks\">Contradictions</a><li><a href=\"#splits\">Splits</a>"
           "<li><a href=\"#left-out\">Left out</a><li><a href=\"#method\">How it was counted</a>"
           "</ul></nav></header>\n<main id=\"main\">\n");
}

static void put_origins(struct stat_sheet *p, int m)
{
    const uint64_t *o = p->r->counts->origin[m];
    bool any = false;

    for (int k = 0; k < ORIGIN_COUNT; k++) {
        if (o[k] == 0) continue;
        PUT(p, "%s%s %s", any ? ", " : "", record_origin_names[k],
            html_share(&p->h, o[k], p->r->counts->modality[m]));
        any = true;
    }
}

static void put_modalities(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;
    uint64_t most = p->nmods ? c->modality[p->order[0]] : 0;

    PUT(p, "<section id=\"modalities\"><h2>Modalities</h2><p class=\"lead\">Reports by label, and "
           "where each label came from. <em>unknown</em> means that the rules abstained.</p>"
           "<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>Modality<th class=\"n\">"
           "Reports<th class=\"n\">Share<th class=\"bar\"><span></span><th class=\"n\">Patients"
           "<th class=\"n\">Pairs<th>Label from</tr></thead><tbody>");
    for (size_t i = 0; i < p->nmods; i++) {
        int m = p->order[i];
        PUT(p, "<tr><th scope=\"row\">%s</th>", record_modality_names[m]);
        html_cell(&p->h, c->modality[m]);
        PUT(p, "<td class=\"n\">%s</td>", html_share(&p->h, c->modality[m], c->reports));
        html_bar_cell(&p->h, c->modality[m], most);
        html_cell(&p->h, p->r->patient_modality[m]);
        html_cell(&p->h, c->fate[m][FATE_PAIR]);
        PUT(p, "<td>");
        put_origins(p, m);
        PUT(p, "</td></tr>");
    }
    PUT(p, "</tbody></table></div></section>\n");
}

static void put_sources(struct stat_sheet *p)
{
    const struct stat_result *r = p->r;

    PUT(p,
        "<section id=\"sources\"><h2>Sources</h2><p class=\"lead\">What each archive or dump "
        "gave.</p><div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>Source<th class=\"n\">"
        "Entries<th class=\"n\">Reports<th class=\"n\">Unreadable<th class=\"n\">Patients"
        "<th class=\"n\">Pairs<th class=\"n\">Superseded<th class=\"n\">Repeated<th class=\"n\">"
        "Text</tr></thead><tbody>");
    for (size_t s = 0; s < r->nsources; s++) {
        const struct stat_source *x = &r->sources[s];
        uint64_t lost = 0;
        for (int k = 0; k < REJECT_COUNT; k++)
            lost += x->rejected[k];
        PUT(p, "<tr><th scope=\"row\">");
        html_text(&p->h, str_of(r->names[s]));
        PUT(p, "</th>");
        html_cell(&p->h, x->entries);
        html_cell(&p->h, x->reports);
        html_cell(&p->h, lost);
        html_cell(&p->h, r->source_patients[s]);
        html_cell(&p->h, x->pairs);
        html_cell(&p->h, x->superseded);
        html_cell(&p->h, x->duplicates);
        PUT(p, "<td class=\"n\">%.1f&nbsp;MB</td></tr>", (double)x->text_bytes / 1e6);
    }
    PUT(p, "</tbody></table></div></section>\n");
}

static void put_heat(struct stat_sheet *p, uint64_t n, uint64_t of)
{
    double share = of ? (double)n / (double)of : 0;

    PUT(p,
        "<td class=\"heat\" style=\"background:color-mix(in srgb,var(--fill) %.0f%%,var(--card))"
        "\">%s</td>",
        100 * sqrt(share), html_share(&p->h, n, of));
}

static void put_policy(struct stat_sheet *p, const char *what, uint64_t n, const char *policy)
{
    PUT(p, "<tr><th scope=\"row\">%s</th>", what);
    html_cell(&p->h, n);
    PUT(p, "<td>%s</td></tr>", policy);
}

static void put_policies(struct stat_sheet *p, const uint64_t all[SEC_COUNT])
{
    const struct stat_counts *c = p->r->counts;

    PUT(p, "<h3>What becomes of them</h3><div class=\"wide\" tabindex=\"0\"><table><thead><tr>"
           "<th>Without<th class=\"n\">Reports<th>Policy</tr></thead><tbody>");
    for (int s = 0; s < SEC_COUNT; s++)
        put_policy(p, stat_missing_words[s].title, all[s], stat_missing_words[s].note);
    put_policy(p, "Patient", c->no_patient,
               "the study stands in, else the report itself: splits are weaker");
    put_policy(p, "Study", c->no_study, "later versions cannot be told from other reports");
    put_policy(p, "Modality", c->modality[MOD_UNKNOWN],
               "the rules abstained: shards of their own, <code>unknown</code>");
    put_policy(p, "Status", c->status[STATUS_UNKNOWN], "counts as final");
    PUT(p, "</tbody></table></div></section>\n");
}

static void put_missing(struct stat_sheet *p)
{
    const struct stat_counts *c = p->r->counts;
    uint64_t all[SEC_COUNT] = {0};

    PUT(p, "<section id=\"missing\"><h2>Missing values</h2><p class=\"lead\">Share of reports "
           "without the section.</p><div class=\"wide\" tabindex=\"0\"><table><thead><tr>"
           "<th>Section");
    for (size_t i = 0; i < p->nmods; i++)
        PUT(p, "<th class=\"heat\">%s", record_modality_names[p->order[i]]);
    PUT(p, "<th class=\"heat\">all</tr></thead><tbody>");
    for (int s = 0; s < SEC_COUNT; s++) {
        PUT(p, "<tr><th scope=\"row\">%s</th>", stat_missing_words[s].title);
        for (size_t i = 0; i < p->nmods; i++) {
            int m = p->order[i];
            put_heat(p, c->missing[s][m], c->modality[m]);
            all[s] += c->missing[s][m];
        }
        put_heat(p, all[s], c->reports);
        PUT(p, "</tr>");
    }
    PUT(p, "</tbody></table></div>");
    put_policies(p, all);
}

static void put_method(struct stat_sheet *p)
{
    PUT(p,
        "<section id=\"method\"><h2>How it was counted</h2><p>Words are what stands between "
        "blanks. %s Quantiles are exact up to %d. An outlier lies above Q3 + 3 (Q3 &minus; Q1). "
        "Texts count as equal when findings and impression agree in letters, case, blanks and "
        "digits aside. Phrases are sentences or clauses of 2 to 14 words, digits as #; they and "
        "the headers are shown only where the reports of at least %u patients have them (where "
        "no patient is named, studies).</p>",
        p->r->tokens ? "Tokens are those of the configured model&rsquo;s tokenizer, over the same "
                       "text with its blanks folded."
                     : "No tokenizer was at hand (model.base), so tokens were not counted.",
        STAT_LEN_MAX - 1, p->j->stats->min_patients);
    if (p->r->counts->phrase_reports < p->r->counts->reports)
        PUT(p,
            "<p>Phrases were counted in %s reports: versions that are superseded are left out, "
            "and beyond stats.phrase_reports a sample is taken.</p>",
            html_number(&p->h, p->r->counts->phrase_reports));
    PUT(p, "<p>The same numbers as tables lie beside this page: <code>modalities.csv</code>, "
           "<code>sources.csv</code>, <code>sections.csv</code>, <code>histograms.csv</code>, "
           "<code>longest.csv</code>, <code>duplicates.csv</code>, <code>phrases.csv</code>, "
           "<code>headers.csv</code>, <code>checks.csv</code>, <code>labels.csv</code>, "
           "<code>splits.csv</code>, <code>left_out.csv</code>.</p></section>\n</main>\n<footer>"
           "This page holds no script and asks for nothing from the network.</footer></body>"
           "</html>\n");
}

static void sort_modalities(struct stat_sheet *p)
{
    const uint64_t *n = p->r->counts->modality;

    for (int m = 0; m < MOD_COUNT; m++) {
        size_t i = p->nmods;
        if (n[m] == 0) continue;
        for (p->nmods++; i > 0 && n[p->order[i - 1]] < n[m]; i--)
            p->order[i] = p->order[i - 1];
        p->order[i] = m;
    }
}

bool stat_page(const struct stats_job *j, const struct stat_result *r, struct sbuf *out,
               struct err *e)
{
    struct stat_sheet p = {.j = j, .r = r};

    html_init(&p.h, PAGE_MAX_BYTES, e);
    sort_modalities(&p);
    put_head(&p);
    put_tiles(&p);
    put_modalities(&p);
    put_sources(&p);
    put_missing(&p);
    stat_page_part_lengths(&p);
    stat_page_part_duplicates(&p);
    stat_page_part_phrases(&p);
    stat_page_part_checks(&p);
    stat_page_part_splits(&p);
    stat_page_part_left_out(&p);
    put_method(&p);
    *out = p.h.b;
    return p.h.ok;
}
