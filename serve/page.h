/*
 * serve/page - the page: one file, page.html, in the program, with places filled in.
 *
 * The file has one <style> and one <script>; the page's Content-Security-Policy names both by
 * their SHA-256, so that nothing else runs in it: no other script, no other origin, no frame.
 * Marks in the file stand for what is filled in, always escaped: @SESSION@ (empty: the page asks
 * for the token), @FINDINGS@, @CLINICAL@, @REFERENCE@, and @MODELS@ and @RESULT@, which are HTML
 * that the caller wrote. Without a session none of them holds anything.
 *
 * Made from page.html by the build. Immutable: any thread may render.
 */
#pragma once
#include "base/err.h"
#include "base/html.h"
#include "base/str.h"

extern const char page_html[];
extern const size_t page_html_bytes;

struct page;
MUST_CHECK bool page_open(struct page **out, struct err *e);
void page_close(struct page *p);
const char *page_csp(const struct page *p);
/* The policy of any such file: one <style>, one <script>, its own origin. Appended to out. */
MUST_CHECK bool page_csp_of(struct str html, struct sbuf *out, struct err *e);
struct page_parts {
    struct str session, findings, clinical, reference; /* text */
    struct str models, result;                         /* HTML */
};
/* Appended to out. */
void page_render(const struct page_parts *v, struct html *out);
