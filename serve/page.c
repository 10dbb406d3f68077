#include "serve/page.h"

#include "base/hash.h"
#include "base/mem.h"
#include "serve/base64.h"

enum { CSP_BYTES = 1024 };

struct page {
    struct sbuf csp;
};

/* The text between <style> and </style>. */
static bool element(struct str s, const char *open, const char *close, struct str *out)
{
    size_t from = str_find(s, str_of(open), 0), to = str_find(s, str_of(close), 0);

    if (from == SIZE_MAX || to == SIZE_MAX) return false;
    *out = str_sub(s, from + strlen(open), to);
    return true;
}

static bool put_hash(struct sbuf *b, const char *name, struct str text, struct err *e)
{
    uint8_t digest[32];

    sha256_of(text, digest);
    return sbuf_printf(b, e, "; %s 'sha256-", name) && base64_put(b, digest, sizeof digest, e) &&
           sbuf_putc(b, '\'', e);
}

bool page_csp_of(struct str html, struct sbuf *out, struct err *e)
{
    struct str style, script;

    CHECK(element(html, "<style>", "</style>", &style) &&
          element(html, "<script>", "</script>", &script));
    return sbuf_put(out, STR("default-src 'self'"), e) && put_hash(out, "script-src", script, e) &&
           put_hash(out, "style-src", style, e) &&
           sbuf_put(out,
                    STR("; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
                        "form-action 'self'; frame-ancestors 'none'"),
                    e);
}

bool page_open(struct page **out, struct err *e)
{
    struct page *p = mem_calloc(1, sizeof *p, e);

    *out = NULL;
    if (!p) return false;
    sbuf_init(&p->csp, CSP_BYTES);
    if (!page_csp_of((struct str){page_html, page_html_bytes}, &p->csp, e)) {
        page_close(p);
        return false;
    }
    *out = p;
    return true;
}

void page_close(struct page *p)
{
    if (!p) return;
    sbuf_free(&p->csp);
    mem_free(p);
}

const char *page_csp(const struct page *p)
{
    return p->csp.p;
}

void page_render(const struct page_parts *v, struct html *out)
{
    const struct {
        struct str mark, text;
        bool html;
    } parts[] = {
        {STR_INIT("@SESSION@"), v->session, false},
        {STR_INIT("@FINDINGS@"), v->findings, false},
        {STR_INIT("@CLINICAL@"), v->clinical, false},
        {STR_INIT("@REFERENCE@"), v->reference, false},
        {STR_INIT("@MODELS@"), v->models, true},
        {STR_INIT("@RESULT@"), v->result, true},
    };
    struct str rest = {page_html, page_html_bytes};

    for (;;) {
        size_t best = SIZE_MAX, which = 0;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            size_t at = str_find(rest, parts[i].mark, 0);
            if (at < best) {
                best = at;
                which = i;
            }
        }
        struct str plain = str_sub(rest, 0, best);
        out->ok = out->ok && sbuf_put(&out->b, plain, out->e);
        if (best == SIZE_MAX) return;
        if (parts[which].html)
            out->ok = out->ok && sbuf_put(&out->b, parts[which].text, out->e);
        else
            html_text(out, parts[which].text);
        rest = str_sub(rest, best + parts[which].mark.n, rest.n);
    }
}
