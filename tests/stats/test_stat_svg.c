/* The histograms of the page, read back as a browser would: every report stands in a bar, and bars,
 * marks and the axis agree on where a length lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stats/stat_page.h"

enum { BARS = 64 };
struct bar {
    double x, y, width, height;
    uint64_t from, to, n; /* of its title */
};
struct plot {
    double width, height;
    struct bar bar[BARS];
    size_t nbars;
    double axis_y;
    const char *svg, *end;
};
static struct stat_lengths lengths;

/* A number of the page: blanks between its thousands are three bytes each. */
static uint64_t number(const char **at)
{
    uint64_t v = 0;
    assert_true(**at >= '0' && **at <= '9');
    for (;; (*at)++) {
        if (strncmp(*at, "\u202f", 3) == 0)
            *at += 2;
        else if (**at >= '0' && **at <= '9')
            v = 10 * v + (uint64_t)(**at - '0');
        else
            return v;
    }
}

static double attribute(const char *element, const char *name)
{
    char key[32];
    double v = 0;
    snprintf(key, sizeof key, " %s=\"", name);
    const char *at = strstr(element, key);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(key), "%lf", &v), 1);
    return v;
}

static void read_bar(const char *rect, struct bar *out)
{
    const char *at = strstr(rect, "<title>");
    assert_non_null(at);
    at += strlen("<title>");
    *out = (struct bar){attribute(rect, "x"),
                        attribute(rect, "y"),
                        attribute(rect, "width"),
                        attribute(rect, "height"),
                        number(&at),
                        0,
                        0};
    out->to = out->from;
    if (strncmp(at, " to ", 4) == 0)
        at += 4, out->to = number(&at);
    else if (strncmp(at, " and more", 9) == 0)
        out->to = STAT_LEN_MAX;
    at = strstr(at, ": ");
    assert_non_null(at);
    at += 2;
    out->n = number(&at);
    assert_memory_equal(at, " reports</title>", 16);
}

static void read_plot(const char *html, struct plot *p)
{
    *p = (struct plot){.svg = strstr(html, "<svg viewBox=\"0 0 ")};
    assert_non_null(p->svg);
    p->end = strstr(p->svg, "</svg>");
    assert_non_null(p->end);
    assert_int_equal(sscanf(p->svg, "<svg viewBox=\"0 0 %lf %lf\"", &p->width, &p->height), 2);
    for (const char *r = p->svg; (r = strstr(r, "<rect ")) && r < p->end; r++) {
        assert_true(p->nbars < BARS);
        read_bar(r, &p->bar[p->nbars++]);
    }
    const char *axis = strstr(p->svg, "<line class=\"axis\"");
    assert_non_null(axis);
    p->axis_y = attribute(axis, "y1");
    assert_true(p->nbars > 0 && p->axis_y < p->height);
}

/* All reports are in the bars, which stand on the axis, in the frame, as high as they are many. */
static void check_bars(const struct plot *p)
{
    uint64_t all = 0, most = 0;
    double tallest = 0;
    for (size_t i = 0; i < p->nbars; i++) {
        most = p->bar[i].n > most ? p->bar[i].n : most;
        tallest = fmax(tallest, p->bar[i].height);
    }
    assert_true(tallest > p->axis_y / 2 && p->nbars <= 41); /* forty, and one of what is longer */
    for (size_t i = 0; i < p->nbars; i++) {
        const struct bar *b = &p->bar[i];
        uint64_t n = 0;
        for (uint64_t v = b->from; v <= b->to && v <= STAT_LEN_MAX; v++)
            n += lengths.cell[v];
        assert_true(n == b->n && n > 0);
        all += n;
        assert_true(fabs(b->y + b->height - p->axis_y) < 0.11 && b->y > 0);
        assert_true(b->x >= 4 && b->x + b->width <= p->width - 4 + 0.11);
        assert_true(fabs(b->height - fmax(1, tallest * (double)n / (double)most)) < 0.11);
        assert_true(i == 0 || b->x >= p->bar[i - 1].x + p->bar[i - 1].width - 0.11);
    }
    assert_int_equal(all, lengths.reports);
}

/* Where the bars say that a length lies: along the line through where the first and the last begin.
 */
static double place_of(const struct plot *p, uint64_t v)
{
    const struct bar *a = &p->bar[0], *b = &p->bar[p->nbars - 1];
    return a->x + (b->x - a->x) * ((double)v - (double)a->from) / (double)(b->from - a->from);
}

static bool has_mark(const struct plot *p, const char *class, double *x)
{
    char key[32];
    snprintf(key, sizeof key, "<line class=\"%s\"", class);
    const char *at = strstr(p->svg, key);
    if (!at || at > p->end) return false;
    *x = attribute(at, "x1");
    assert_true(*x == attribute(at, "x2") && *x >= 4 && *x <= p->width - 4);
    return true;
}

static void check_mark(const struct plot *p, const char *class, uint64_t v)
{
    double x = 0;
    assert_true(has_mark(p, class, &x));
    if (p->nbars > 1 && fabs(x - place_of(p, v)) > 0.25)
        fail_msg("%s of %llu at %.1f, not %.1f", class, (unsigned long long)v, x, place_of(p, v));
    for (size_t i = 0; i + 1 < p->nbars; i++)
        if (p->bar[i].from <= v && v <= p->bar[i].to)
            assert_true(x >= p->bar[i].x - 0.11 && x < p->bar[i + 1].x);
}

/* The number below the middle of the axis stands where that length lies. */
static void check_axis(const struct plot *p)
{
    const char *at = p->svg;
    while ((at = strstr(at, "<text x=")) && at < p->end) {
        double x = attribute(at, "x");
        const char *text = strstr(at, "\">") + 2;
        if (strncmp(text - 16, "anchor=\"middle\">", 16) == 0 && p->nbars > 1) {
            assert_true(fabs(x - place_of(p, number(&text))) < 0.25);
            return;
        }
        at++;
    }
    assert_true(p->nbars == 1);
}

static void expect_plot(uint64_t limit, bool limit_shown)
{
    static struct stat_sheet page;
    struct err e = {0};
    struct plot p;
    double x;
    html_init(&page.h, 1 << 20, &e);
    stat_page_histogram(&page, &lengths, "Findings", "words", limit);
    assert_true(page.h.ok);
    read_plot(page.h.b.p, &p);
    check_bars(&p);
    check_mark(&p, "med", stat_quantile(&lengths, 0.5));
    check_mark(&p, "p95", stat_quantile(&lengths, 0.95));
    check_axis(&p);
    assert_true(has_mark(&p, "lim", &x) == limit_shown);
    if (limit_shown) check_mark(&p, "lim", limit);
    sbuf_free(&page.h.b);
}

static void put(uint64_t length, uint64_t n)
{
    lengths.cell[length] += n;
    lengths.reports += n;
}

static void empty(void)
{
    memset(&lengths, 0, sizeof lengths);
}

static void one_length(void **state)
{
    (void)state;
    empty();
    put(5, 3);
    expect_plot(0, false);
    empty();
    put(0, 1);
    expect_plot(0, false);
}

/* A bar a length, up to the 99th percentile; what is longer stands together. */
static void short_texts(void **state)
{
    (void)state;
    empty();
    for (uint64_t v = 0; v < 39; v++)
        put(v, 100 + v * v);
    put(STAT_LEN_MAX, 2);
    expect_plot(0, false);
    expect_plot(30, true);
    expect_plot(39, true); /* in the last bar */
    expect_plot(40, false);
}

/* Every width of a bar: 2, 5, 10, 20, ... */
static void long_texts(void **state)
{
    static const uint64_t tops[] = {40, 79, 80, 81, 199, 200, 399, 400, 799, 800, 2000, 4100};
    (void)state;
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
        uint64_t top = tops[i] < STAT_LEN_MAX ? tops[i] : STAT_LEN_MAX;
        empty();
        for (uint64_t v = i % 4 ? 3 : 0; v <= top; v++)
            put(v, 1 + 1000 * v / (v * v / top + top));
        put(top, lengths.reports / 20);
        put(STAT_LEN_MAX, 1);
        expect_plot(top / 2, true);
        expect_plot(3 * top, false);
    }
}

static void nothing(void **state)
{
    static struct stat_sheet page;
    struct err e = {0};
    (void)state;
    empty();
    html_init(&page.h, 1 << 20, &e);
    stat_page_histogram(&page, &lengths, "Findings", "words", 0);
    assert_true(page.h.ok && page.h.b.n == 0);
    sbuf_free(&page.h.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_length),
        cmocka_unit_test(short_texts),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
