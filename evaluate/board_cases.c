/* Worst and best cases, chosen pairs, and - only where asked for - their texts side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "base/mem.h"
#include "evaluate/board_impl.h"
#include "evaluate/word_diff.h"

struct case_value {
    double v;
    uint32_t pair;
};

static int by_value(const void *a, const void *b)
{
    const struct case_value *x = a, *y = b;
    if (x->v != y->v) return x->v < y->v ? -1 : 1;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* The page's own memory of which pairs have their texts below. */
struct cases {
    struct html *h;
    const struct board *b;
    struct case_value *v; /* scratch [pairs] */
    bool *wanted;         /* [pairs] */
    size_t row;           /* whose cases */
};

static void put_pair(struct cases *c, uint32_t pair)
{
    const struct pair *p = &c->b->run.pairs[pair];
    c->wanted[pair] = true;
    HTML(c->h, "<tr><th scope=\"row\">");
    if (c->b->o->show_text)
        HTML(c->h, "<a href=\"#pair%u\">pair %u</a>", pair + 1, pair + 1);
    else
        HTML(c->h, "pair %u", pair + 1);
    HTML(c->h, "</th><td>");
    html_text(c->h, p->modality.n ? p->modality : STR("-"));
    HTML(c->h, "</td><td>%s</td><td class=\"n\">%zu</td>",
         strata_is_normal(p->reference) ? "normal" : "abnormal", strata_words(p->reference));
}

static void put_values(struct cases *c, uint32_t pair, size_t value)
{
    const struct board *b = c->b;
    double x;
    for (size_t i = 0; i < b->nrows; i++) {
        if (b->row[i].kind == BOARD_QUOTED) continue;
        if (board_pair_value(b, i, pair, value, &x))
            HTML(c->h, "<td class=\"n\">%.1f</td>", b->run.out->set.value[value]->scale * x);
        else
            HTML(c->h, "<td class=\"n\">&ndash;</td>");
    }
    HTML(c->h, "</tr>");
}

static void put_head(struct cases *c, const char *caption, size_t value)
{
    HTML(c->h,
         "<div class=\"wide\" tabindex=\"0\"><table><caption>%s, by %s</caption><thead><tr>"
         "<th scope=\"col\">Report<th scope=\"col\">Modality<th scope=\"col\">Reference<th "
         "scope=\"col\" class=\"n\">Words",
         caption, c->b->run.out->set.value[value]->label);
    for (size_t i = 0; i < c->b->nrows; i++) {
        if (c->b->row[i].kind == BOARD_QUOTED) continue;
        HTML(c->h, "<th scope=\"col\" class=\"n\"><abbr title=\"");
        html_text(c->h, str_of(c->b->row[i].name));
        HTML(c->h, "\">%s</abbr>", c->b->row[i].letter);
    }
    HTML(c->h, "</tr></thead><tbody>");
}

static void put_ranked(struct cases *c, size_t value, bool best, const char *caption, size_t n,
                       size_t most)
{
    put_head(c, caption, value);
    for (size_t k = 0; k < most && k < n; k++) {
        uint32_t pair = c->v[best ? n - 1 - k : k].pair;
        put_pair(c, pair);
        put_values(c, pair, value);
    }
    HTML(c->h, "</tbody></table></div>");
}

static void put_metric(struct cases *c, size_t value)
{
    const struct board *b = c->b;
    const struct metric_value *m = b->run.out->set.value[value];
    size_t n = 0;

    for (size_t i = 0; i < b->run.n; i++)
        if (board_pair_value(b, c->row, i, value, &c->v[n].v)) c->v[n++].pair = (uint32_t)i;
    if (n == 0) return;
    qsort(c->v, n, sizeof *c->v, by_value);
    bool lower = (m->flags & METRIC_LOWER) != 0;
    HTML(c->h, "<details%s><summary>%s</summary><div class=\"two\"><div>",
         value == board_main_value(b) ? " open" : "", m->label);
    put_ranked(c, value, lower, "Worst", n, b->o->cases);
    HTML(c->h, "</div><div>");
    put_ranked(c, value, !lower, "Best", n, b->o->cases);
    HTML(c->h, "</div></div></details>");
}

static void put_where(struct cases *c)
{
    const struct board *b = c->b;
    size_t value = board_main_value(b);

    if (!b->o->where) return;
    HTML(c->h, "<section id=\"where\"><h2>Chosen pairs</h2><p class=\"lead\"><code>");
    html_text(c->h, str_of(b->o->where));
    HTML(c->h, "</code> holds for %s of %s reports; ", html_number(c->h, b->nmatching),
         html_number(c->h, b->run.n));
    HTML(c->h, "%s shown%s.</p>", html_number(c->h, b->nselected),
         b->nselected < b->nmatching ? ", drawn with the seed" : "");
    if (b->nselected > 0) {
        put_head(c, "Chosen", value);
        for (size_t i = 0; i < b->nselected; i++) {
            put_pair(c, b->selected[i]);
            put_values(c, b->selected[i], value);
        }
        HTML(c->h, "</tbody></table></div>");
    }
    HTML(c->h, "</section>\n");
}

/* ---- texts */

static void put_side(struct html *h, const struct diff_side *s, const char *tag)
{
    for (size_t i = 0; i < s->n; i++) {
        bool from = !s->v[i].common && (i == 0 || s->v[i - 1].common);
        bool to = !s->v[i].common && (i + 1 == s->n || s->v[i + 1].common);
        if (i > 0) HTML(h, " ");
        if (from) HTML(h, "<%s>", tag);
        html_text(h, s->v[i].text);
        if (to) HTML(h, "</%s>", tag);
    }
    if (s->n == 0) HTML(h, "<span class=\"tag\">(empty)</span>");
}

static void put_answer(struct cases *c, uint32_t pair, size_t row, struct arena *a)
{
    const struct board *b = c->b;
    struct html *h = c->h;
    struct diff_side left, right;

    if (!h->ok) return;
    arena_init(a, 64 << 20);
    h->ok =
        word_diff(b->run.pairs[pair].reference, board_answer(b, row, pair), a, &left, &right, h->e);
    if (h->ok) {
        HTML(h, "<tr><th scope=\"row\">%s ", b->row[row].letter);
        html_text(h, str_of(b->row[row].name));
        HTML(h, "</th><td>");
        put_side(h, &left, "del");
        HTML(h, "</td><td>");
        put_side(h, &right, "ins");
        HTML(h, "</td></tr>");
    }
    arena_free(a);
}

static void put_source_text(struct html *h, const char *what, struct str text)
{
    if (text.n == 0) return;
    HTML(h, "<p><b>%s</b> ", what);
    html_text(h, text);
    HTML(h, "</p>");
}

static void put_text(struct cases *c, uint32_t pair)
{
    const struct pair *p = &c->b->run.pairs[pair];
    struct arena a;

    HTML(c->h, "<div class=\"case\" id=\"pair%u\"><h4>Pair %u ", pair + 1, pair + 1);
    HTML(c->h, "<span class=\"tag\">");
    html_text(c->h, p->id);
    HTML(c->h, "</span></h4>");
    put_source_text(c->h, "Clinical information", p->clinical);
    put_source_text(c->h, "Findings", p->findings);
    HTML(c->h,
         "<div class=\"wide\" tabindex=\"0\"><table class=\"diff\"><caption>Reference against "
         "each answer. Struck through: words the answer lacks; wavy line: words the reference "
         "lacks.</caption><thead><tr><th scope=\"col\">System<th scope=\"col\">Reference<th "
         "scope=\"col\">Answer</tr></thead><tbody>");
    for (size_t i = 0; i < c->b->nrows; i++)
        if (c->b->row[i].kind != BOARD_QUOTED) put_answer(c, pair, i, &a);
    HTML(c->h, "</tbody></table></div></div>");
}

static void put_texts(struct cases *c)
{
    if (!c->b->o->show_text) return;
    HTML(c->h,
         "<section id=\"texts\"><h2>Texts</h2><p class=\"lead\">The reports named above. A row "
         "of several seeds shows its first run.</p>");
    for (size_t i = 0; i < c->b->run.n; i++)
        if (c->wanted[i]) put_text(c, (uint32_t)i);
    HTML(c->h, "</section>\n");
}

static void put_all(struct cases *c)
{
    const struct board *b = c->b;
    const struct metric_set *set = &b->run.out->set;
    struct html *h = c->h;

    HTML(h, "<section id=\"cases\"><h2>Worst and best cases</h2><p class=\"lead\">Of %s (",
         b->row[c->row].letter);
    html_text(h, str_of(b->row[c->row].name));
    HTML(h,
         "), by each value; beside it all systems on the same report. Pairs are numbered in the "
         "order of the first file, those that others lack left out.%s</p>",
         b->o->show_text ? ""
                         : " Report text is shown only on request (<code>--show-text</code>).");
    for (size_t v = 0; v < set->nvalues; v++)
        if (set->value[v]->flags & METRIC_HEADLINE) put_metric(c, v);
    HTML(h, "</section>\n");
    put_where(c);
    put_texts(c);
}

void board_page_cases(struct html *h, const struct board *b)
{
    struct case_value *v;
    bool *wanted;

    if (!h->ok) return;
    v = mem_calloc(b->run.n, sizeof *v, h->e);
    wanted = v ? mem_calloc(b->run.n, sizeof *wanted, h->e) : NULL;
    if (v && wanted) {
        struct cases c = {.h = h, .b = b, .v = v, .wanted = wanted, .row = b->focus};
        put_all(&c);
    } else
        h->ok = false;
    mem_free(wanted);
    mem_free(v);
}
