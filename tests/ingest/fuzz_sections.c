/* Both section finders on any text: spans lie in it, and own findings and impression are apart. */
#include <stdlib.h>

#include "base/mem.h"
#include "ingest/modality.h"
#include "ingest/phi.h"
#include "ingest/sections_own.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str text, const struct record_span spans[SEC_COUNT])
{
    for (int i = 0; i < SEC_COUNT; i++) {
        if ((size_t)spans[i].offset + spans[i].length > text.n) abort();
        if (!utf8_valid(str_sub(text, spans[i].offset, spans[i].offset + spans[i].length))) abort();
    }
}

static bool overlap(struct record_span a, struct record_span b)
{
    return a.length && b.length && a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_span spans[SEC_COUNT];
    struct section_list list = {0};
    bool guessed;
    struct arena a;
    struct sbuf b, masked;
    struct err e = {0};
    uint64_t bad = 0;
    struct str text;
    sbuf_init(&b, (size_t)8 << 20);
    sbuf_init(&masked, (size_t)8 << 20);
    arena_init(&a, (size_t)64 << 20);
    if (!utf8_repair((struct str){(const char *)data, size}, &b, &bad, &e)) abort();
    text = b.n ? sbuf_str(&b) : STR("");
    if (!sections_published(text, &a, &list, &e)) abort();
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].begin > list.v[i].end || list.v[i].end > text.n) abort();
    }
    sections_to_spans(text, &list, MODE_MEDIQA, spans);
    check(text, spans);
    sections_to_spans(text, &list, MODE_MITLCP, spans);
    check(text, spans);
    if (!sections_own(NULL, text, &list, spans, &guessed, &e)) abort();
    check(text, spans);
    if (overlap(spans[SEC_FINDINGS], spans[SEC_IMPRESSION])) abort();
    if (modality_head(text, spans) > text.n) abort();
    (void)modality_by_words(text);
    (void)modality_by_name(text);
    struct phi_hit h = {PHI_DATE, 0, 0};
    for (size_t at = 0, last = 0; phi_next(text, &at, &h); last = h.end) {
        if (h.begin < last || h.end <= h.begin || h.end > text.n || at < h.end) abort();
    }
    sbuf_clear(&masked);
    if (!phi_mask(text, &masked, &e) || phi_flags(sbuf_str(&masked)) > RECORD_PHI << PHI_KINDS)
        abort();
    section_list_free(&list);
    arena_free(&a);
    sbuf_free(&b);
    sbuf_free(&masked);
    if (mem_live_blocks() != 0) abort();
    return 0;
}
