#include "ingest/when.h"

#include <ctype.h>
#include <strings.h>

/* Numbers and month names of a date, in their order. */
struct parts {
    unsigned v[6], digits[6];
    size_t n;
    bool name, pm, am; /* name: v[0] or v[1] came as a month's name, now v[1] */
};

static unsigned month_of(struct str s)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

    for (unsigned m = 0; s.n >= 3 && m < 12; m++) {
        if (strncasecmp(s.p, names + (size_t)3 * m, 3) == 0) return m + 1;
    }
    return 0;
}

static uint64_t put(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
    if (y < 1900 || y > 2999 || mo < 1 || mo > 12 || d < 1 || d > 31) return 0;
    if (h > 23 || mi > 59 || s > 60) h = mi = s = 0;
    return ((((uint64_t)y * 100 + mo) * 100 + d) * 100 + h) * 10000 + mi * 100 + s;
}

/* 20161118, 201611181230, 20161118123000 and what follows. */
static uint64_t compact(struct str s, size_t digits)
{
    unsigned v[7] = {0};

    for (size_t i = 0; i < digits && i < 14; i++)
        v[i / 2] = v[i / 2] * 10 + (unsigned)(s.p[i] - '0');
    return put(v[0] * 100 + v[1], v[2], v[3], v[4], v[5], v[6]);
}

/* Days since 1899-12-30, as Excel counts after its leap day that never was (Fliegel and Van
 * Flandern, 1968). */
static uint64_t excel(unsigned days, unsigned second)
{
    long l = (long)days + 2415019 + 68569, n = 4 * l / 146097, i, j;
    unsigned day, month, year;

    l -= (146097 * n + 3) / 4;
    i = 4000 * (l + 1) / 1461001;
    l = l - 1461 * i / 4 + 31;
    j = 80 * l / 2447;
    day = (unsigned)(l - 2447 * j / 80);
    l = j / 11;
    month = (unsigned)(j + 2 - 12 * l);
    year = (unsigned)(100 * (n - 49) + i + l);
    return put(year, month, day, second / 3600, second / 60 % 60, second % 60);
}

static struct parts split(struct str s)
{
    struct parts p = {.n = 0};

    for (size_t i = 0; i < s.n && p.n < 6;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t begin = i;
        if (isdigit(c)) {
            for (; i < s.n && isdigit((unsigned char)s.p[i]) && i - begin < 9; i++)
                p.v[p.n] = p.v[p.n] * 10 + (unsigned)(s.p[i] - '0');
            p.digits[p.n++] = (unsigned)(i - begin);
        } else if (isalpha(c)) {
            struct str word;
            while (i < s.n && isalpha((unsigned char)s.p[i]))
                i++;
            word = str_sub(s, begin, i);
            p.pm = p.pm || (word.n == 2 && strncasecmp(word.p, "pm", 2) == 0);
            p.am = p.am || (word.n == 2 && strncasecmp(word.p, "am", 2) == 0);
            if (p.n < 2 && month_of(word)) {
                p.name = true;
                p.v[p.n++] = month_of(word);
            }
        } else {
            i++;
        }
    }
    for (size_t i = 3; i < p.n && (p.pm || p.am); i++) {
        if (i == 3 && p.v[3] <= 12) p.v[3] = p.v[3] % 12 + (p.pm ? 12 : 0);
    }
    return p;
}

uint64_t when_of(struct str s)
{
    struct parts p;
    size_t digits = 0;

    s = str_trim(s);
    while (digits < s.n && isdigit((unsigned char)s.p[digits]))
        digits++;
    if (digits >= 8) return compact(s, digits & ~(size_t)1);
    p = split(s);
    if (digits == 5 && (s.n == 5 || s.p[5] == '.')) {
        double day = 0, scale = 1;
        for (size_t i = 6; i < s.n && isdigit((unsigned char)s.p[i]); i++)
            day += (s.p[i] - '0') * (scale /= 10);
        return excel(p.v[0], (unsigned)(day * 86400 + 0.5) % 86400);
    }
    for (size_t i = p.n; i < 6; i++)
        p.v[i] = 0;
    if (p.n < 3) return 0;
    if (p.digits[0] == 4) return put(p.v[0], p.v[1], p.v[2], p.v[3], p.v[4], p.v[5]);
    if (p.digits[2] != 4) return 0;
    /* "18-NOV-2016", "Nov 18, 2016": the one of the two that is a name is the month. */
    if (p.name ? p.digits[1] == 0 : p.v[0] > 12)
        return put(p.v[2], p.v[1], p.v[0], p.v[3], p.v[4], p.v[5]);
    return put(p.v[2], p.v[0], p.v[1], p.v[3], p.v[4], p.v[5]);
}
