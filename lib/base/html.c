#include "base/html.h"

#include <stdio.h>

void html_init(struct html *h, size_t max_bytes, struct err *e)
{
    *h = (struct html){.e = e, .ok = true};
    sbuf_init(&h->b, max_bytes);
}

void html_text(struct html *h, struct str s)
{
    for (size_t i = 0; h->ok && i < s.n; i++) {
        struct str one = str_sub(s, i, i + 1);
        if (s.p[i] == '&') one = STR("&amp;");
        if (s.p[i] == '<') one = STR("&lt;");
        if (s.p[i] == '>') one = STR("&gt;");
        if (s.p[i] == '"') one = STR("&quot;");
        h->ok = sbuf_put(&h->b, one, h->e);
    }
}

void html_head(struct html *h, struct str title, const char *skip, const char *style)
{
    HTML(h, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    html_text(h, title);
    HTML(h, "</title><style>");
    for (size_t i = 0; h->ok && html_style[i]; i++)
        h->ok = sbuf_put(&h->b, str_of(html_style[i]), h->e);
    if (h->ok && style) h->ok = sbuf_put(&h->b, str_of(style), h->e);
    HTML(h, "</style></head><body><a class=\"skip\" href=\"#main\">%s</a>\n", skip);
}

const char *html_number(struct html *h, uint64_t n)
{
    char *out = h->number[h->next++ % HTML_NUMBERS], digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;

    for (int i = 0; i < len && at < 28; i++) {
        if (i > 0 && (len - i) % 3 == 0 && len > 4) {
            memcpy(out + at, "\xe2\x80\xaf", 3); /* narrow no-break space */
            at += 3;
        }
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

const char *html_share(struct html *h, uint64_t n, uint64_t of)
{
    char *out = h->number[h->next++ % HTML_NUMBERS];
    double share = of ? 100.0 * (double)n / (double)of : 0;

    if (of == 0)
        (void)snprintf(out, sizeof h->number[0], "&ndash;");
    else if (n > 0 && share < 0.1)
        (void)snprintf(out, sizeof h->number[0], "&lt;&#8239;0.1&nbsp;%%");
    else
        (void)snprintf(out, sizeof h->number[0], "%.1f&nbsp;%%", share);
    return out;
}

void html_cell(struct html *h, uint64_t n)
{
    HTML(h, "<td class=\"n\">%s</td>", html_number(h, n));
}

void html_bar_cell(struct html *h, uint64_t n, uint64_t most)
{
    HTML(h, "<td class=\"bar\"><i style=\"width:%.1f%%\"></i></td>",
         most ? 100.0 * (double)n / (double)most : 0.0);
}
