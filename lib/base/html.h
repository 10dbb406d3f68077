/*
 * base/html - pages of ours: one file, no script, no network, light and dark by the system.
 *
 * A page is put together in memory with HTML(), which does nothing after the first failure; the
 * caller looks at h->ok once, in the end. Whatever comes from a report, a file or a configuration
 * goes through html_text. The style sheet is shared, so that all reports look alike and are checked
 * for contrast, zoom and narrow screens together.
 */
#pragma once
#include <stdint.h>

#include "base/str.h"

enum { HTML_NUMBERS = 12 };
struct html {
    struct sbuf b;
    struct err *e;
    bool ok;
    char number[HTML_NUMBERS][32];
    unsigned next;
};
/* Append, printf-like. */
#define HTML(h, ...) ((h)->ok = (h)->ok && sbuf_printf(&(h)->b, (h)->e, __VA_ARGS__))

void html_init(struct html *h, size_t max_bytes, struct err *e);
/* Text, or an attribute's value, escaped. */
void html_text(struct html *h, struct str s);
/* "<!doctype html>" to "<body>" with a link past the header to #main; title is escaped. style: a
 * page's own rules behind the shared ones, or NULL. */
void html_head(struct html *h, struct str title, const char *skip, const char *style);
/* "227 835" with narrow no-break spaces; valid for the next HTML_NUMBERS calls. */
const char *html_number(struct html *h, uint64_t n);
/* "12.3 %", or a dash where there is nothing to divide by. */
const char *html_share(struct html *h, uint64_t n, uint64_t of);
/* A table's cell with a number; a bar of its share. */
void html_cell(struct html *h, uint64_t n);
void html_bar_cell(struct html *h, uint64_t n, uint64_t most);
extern const char *const html_style[]; /* pieces of the style sheet; NULL-terminated */
