/* Histograms as inline SVG. */
#include "stats/stat_page.h"

enum { BINS = 40, WIDTH = 340, HEIGHT = 118, TOP = 16, BASE = 98 };

struct bins {
    uint64_t width; /* of a bin */
    size_t n;
    uint64_t v[BINS + 1]; /* the last one: all above */
    uint64_t most;
};

/* 1, 2, 5, 10, 20, 50, ...: the first that gives at most BINS bins up to the 99th percentile. */
static uint64_t bin_width(uint64_t top)
{
    static const uint64_t steps[] = {2, 5, 10};
    uint64_t unit = 1;

    if (top < BINS) return 1;
    for (;; unit *= 10)
        for (size_t i = 0; i < 3; i++)
            if (top / (unit * steps[i]) < BINS) return unit * steps[i];
}

static void fill(struct bins *b, const struct stat_lengths *l)
{
    uint64_t top = stat_quantile(l, 0.99);

    *b = (struct bins){.width = bin_width(top)};
    b->n = (size_t)(top / b->width) + 1;
    for (uint64_t i = 0; i <= STAT_LEN_MAX; i++)
        b->v[i / b->width < b->n ? i / b->width : b->n] += l->cell[i];
    for (size_t i = 0; i <= b->n; i++)
        if (b->v[i] > b->most) b->most = b->v[i];
}

static double at_x(const struct bins *b, uint64_t value)
{
    double x = (double)value / (double)(b->width * (b->n + 1));
    return 4 + (WIDTH - 8) * (x < 1 ? x : 1);
}

static void put_mark(struct stat_sheet *p, const struct bins *b, uint64_t value, const char *class,
                     const char *label)
{
    double x = at_x(b, value);
    bool left = x > WIDTH * 0.72;

    PUT(p, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", class, x, x, TOP - 6,
        BASE);
    if (label)
        PUT(p, "<text class=\"%s\" x=\"%.1f\" y=\"10\"%s>%s %s</text>",
            strcmp(class, "lim") == 0 ? "limit" : "mark", left ? x - 4 : x + 4,
            left ? " text-anchor=\"end\"" : "", label, html_number(&p->h, value));
}

static void put_bars(struct stat_sheet *p, const struct bins *b, const char *unit)
{
    double step = (WIDTH - 8) / (double)(b->n + 1);

    for (size_t i = 0; i <= b->n; i++) {
        double h = b->most ? (double)b->v[i] / (double)b->most * (BASE - TOP) : 0;
        uint64_t from = i * b->width, to = from + b->width - 1;
        if (b->v[i] == 0) continue;
        if (h < 1) h = 1; /* what is there is seen */
        PUT(p, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
            i == b->n ? "over" : "h", 4 + step * (double)i, BASE - h, step > 2 ? step - 1 : step,
            h);
        if (i == b->n)
            PUT(p, "%s and more", html_number(&p->h, from));
        else if (b->width == 1)
            PUT(p, "%s", html_number(&p->h, from));
        else
            PUT(p, "%s to %s", html_number(&p->h, from), html_number(&p->h, to));
        PUT(p, " %s: %s reports</title></rect>", unit, html_number(&p->h, b->v[i]));
    }
}

void stat_page_histogram(struct stat_sheet *p, const struct stat_lengths *l, const char *what,
                         const char *unit, uint64_t limit)
{
    struct bins b;
    uint64_t median = stat_quantile(l, 0.5), high = stat_quantile(l, 0.95);

    if (l->reports == 0) return;
    fill(&b, l);
    PUT(p,
        "<figure><figcaption><b>%s</b> &middot; %s reports &middot; median %s &middot; 95 %% "
        "&le; %s</figcaption>",
        what, html_number(&p->h, l->reports), html_number(&p->h, median), html_number(&p->h, high));
    PUT(p,
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s: histogram of %s, median %llu, "
        "95th percentile %llu\">",
        WIDTH, HEIGHT, what, unit, (unsigned long long)median, (unsigned long long)high);
    put_bars(p, &b, unit);
    PUT(p, "<line class=\"axis\" x1=\"4\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", WIDTH - 4, BASE, BASE);
    put_mark(p, &b, high, "p95", NULL);
    put_mark(p, &b, median, "med", limit ? NULL : "median");
    if (limit && limit < b.width * (b.n + 1)) put_mark(p, &b, limit, "lim", "limit");
    PUT(p, "<text x=\"4\" y=\"%d\">0</text>", HEIGHT - 6);
    PUT(p, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>",
        at_x(&b, b.width * (b.n / 2)), HEIGHT - 6, html_number(&p->h, b.width * (b.n / 2)));
    PUT(p, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s+ %s</text></svg></figure>", WIDTH - 4,
        HEIGHT - 6, html_number(&p->h, b.width * b.n), unit);
}
