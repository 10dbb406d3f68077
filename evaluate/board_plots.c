/* Plots of the comparison as inline SVG: values with intervals, and how a value is spread. */
#include <math.h>
#include <stdio.h>

#include "base/html.h"
#include "evaluate/board_impl.h"

enum { WIDTH = 420, LEFT = 26, RIGHT = 58, ROW = 20, TOP = 8, FOOT = 22, BINS = 10 };

struct axis {
    double lo, hi;
};

static double at_x(const struct axis *a, double v)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (v - a->lo) / (a->hi - a->lo);
}

/* What row shows of value v, as tables show it; false: nothing. */
static bool shown(const struct board *b, const struct board_part *p, size_t row, size_t v,
                  struct boot_ci *out)
{
    double scale = b->run.out->set.value[v]->scale;
    if (!board_has(b, row, v)) return false;
    if (b->row[row].kind == BOARD_QUOTED) {
        double x = b->row[row].quoted[v];
        *out = (struct boot_ci){x, x, x};
        return true;
    }
    const struct boot_ci *c = &p->ci[board_at(b, row, v)];
    *out = (struct boot_ci){scale * c->mean, scale * c->lo, scale * c->hi};
    return true;
}

/* A round axis around all rows. */
static struct axis axis_of(const struct board *b, const struct board_part *p, size_t v)
{
    struct axis a = {INFINITY, -INFINITY};
    struct boot_ci c;
    for (size_t i = 0; i < b->nrows; i++) {
        if (!shown(b, p, i, v, &c)) continue;
        a.lo = fmin(a.lo, c.lo);
        a.hi = fmax(a.hi, c.hi);
    }
    double step = a.hi - a.lo > 25 ? 10 : a.hi - a.lo > 8 ? 5 : 1;
    a.lo = step * floor(a.lo / step);
    a.hi = step * ceil(a.hi / step);
    if (a.hi <= a.lo) a.hi = a.lo + step;
    return a;
}

static void put_point(struct html *h, const struct board_row *r, const struct axis *a,
                      const struct boot_ci *c, double y)
{
    double x = at_x(a, c->mean);
    if (r->kind == BOARD_QUOTED) {
        HTML(h, "<path class=\"quote\" d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\"/>", x, y - 5);
        return;
    }
    HTML(h, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
         r->kind == BOARD_BASELINE ? "ivb" : "iv", at_x(a, c->lo), at_x(a, c->hi), y, y);
    HTML(h, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>",
         r->kind == BOARD_BASELINE ? "base" : "dot", x, y);
}

static void put_forest(struct html *h, const struct board *b, const struct board_part *p, size_t v)
{
    struct axis a = axis_of(b, p, v);
    struct boot_ci c;
    int rows = 0;

    for (size_t i = 0; i < b->nrows; i++)
        rows += shown(b, p, i, v, &c);
    int height = TOP + ROW * rows + FOOT;
    double foot = height - FOOT, y = TOP - ROW / 2.0;

    HTML(h,
         "<figure><figcaption><b>%s</b></figcaption><svg class=\"forest\" viewBox=\"0 0 %d %d\" "
         "role=\"img\" aria-label=\"%s of each system with its interval; the numbers are in the "
         "table\">",
         b->run.out->set.value[v]->label, WIDTH, height, b->run.out->set.value[v]->label);
    if (shown(b, p, b->yardstick, v, &c))
        HTML(h, "<line class=\"yard\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/>",
             at_x(&a, c.mean), at_x(&a, c.mean), TOP, foot);
    for (size_t i = 0; i < b->nrows; i++) {
        if (!shown(b, p, i, v, &c)) continue;
        y += ROW;
        HTML(h, "<text x=\"2\" y=\"%.1f\">%s</text>", y + 4, b->row[i].letter);
        put_point(h, &b->row[i], &a, &c, y);
        HTML(h, "<text x=\"%d\" y=\"%.1f\">%.1f</text>", WIDTH - RIGHT + 16, y + 4, c.mean);
    }
    HTML(h, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
         WIDTH - RIGHT, foot, foot);
    for (int k = 0; k <= 2; k++) {
        double t = a.lo + (a.hi - a.lo) * k / 2;
        HTML(h, "<text class=\"t\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>",
             at_x(&a, t), height - 6, t);
    }
    HTML(h, "</svg></figure>");
}

/* ---- how a value is spread over the reports */

static void put_spread(struct html *h, const struct board *b, const struct board_part *p,
                       size_t row, size_t v)
{
    enum { W = 340, H = 84, BASE = 64, AREA = 52 };
    size_t bin[BINS] = {0}, most = 1;
    double scale = b->run.out->set.value[v]->scale, x;

    for (size_t i = 0; i < p->n; i++) {
        if (!board_pair_value(b, row, p->pairs[i], v, &x)) continue;
        int k = (int)floor(scale * x / 100 * BINS);
        k = k < 0 ? 0 : k >= BINS ? BINS - 1 : k;
        if (++bin[k] > most) most = bin[k];
    }
    HTML(h, "<figure><figcaption><b>%s</b> ", b->row[row].letter);
    html_text(h, str_of(b->row[row].name));
    HTML(h,
         "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Reports by %s, in "
         "tenths:",
         W, H, b->run.out->set.value[v]->label);
    for (int k = 0; k < BINS; k++)
        HTML(h, " %zu", bin[k]);
    HTML(h, "\">");
    for (int k = 0; k < BINS; k++) {
        double y = (double)bin[k] / (double)most * AREA;
        if (bin[k] == 0) continue;
        HTML(h,
             "<rect class=\"h\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%d to "
             "%d: %zu reports</title></rect>",
             4 + k * (W - 8.0) / BINS, BASE - fmax(y, 1), (W - 8.0) / BINS - 1, fmax(y, 1), 10 * k,
             10 * k + 10, bin[k]);
    }
    HTML(h,
         "<line class=\"axis\" x1=\"4\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/><text x=\"4\" y=\"%d\">0"
         "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">100</text></svg></figure>",
         W - 4, BASE, BASE, H - 4, W - 4, H - 4);
}

void board_page_plots(struct html *h, const struct board *b, const struct board_part *p)
{
    const struct metric_set *set = &b->run.out->set;
    size_t main_value = board_main_value(b);

    HTML(h, "<h3>Values with their intervals</h3><p class=\"note\">Letters as in the table. Filled "
            "dots: systems; open dots: baselines; diamonds: quoted. The dashed line is the "
            "yardstick.</p><div class=\"grid\">");
    for (size_t v = 0; v < set->nvalues; v++)
        if (set->value[v]->flags & METRIC_HEADLINE) put_forest(h, b, p, v);
    HTML(h, "</div>");
    if (set->value[main_value]->flags & METRIC_CORPUS) return;
    HTML(h, "<h3>How %s is spread over the reports</h3><div class=\"grid\">",
         set->value[main_value]->label);
    for (size_t i = 0; i < b->nrows; i++)
        if (b->row[i].kind != BOARD_QUOTED) put_spread(h, b, p, i, main_value);
    HTML(h, "</div>");
}
