/*
 * Normalisers, as huggingface/tokenizers applies them (src/normalizers).
 *
 * NFC is utf8proc's, apart from the code points that have a combining class or compose by
 * Unicode 15 but not by the reference's older tables (measured against tokenizers 0.23.3): these
 * stand alone. BERT's lower case and decomposition come from measured tables (text/unifold.h);
 * the few marks that it keeps and that have a combining class (U+302E, U+1D165 ...) are not put
 * into canonical order.
 */
#include <utf8proc.h>

#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/unifold.h"
#include "text/utf8.h"

/* The eight ranges of the reference; 2B920 where Python's BERT has 2B820. */
static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool put_folded(const struct tokenizer *t, uint32_t c, uint32_t class, struct sbuf *out,
                       struct err *e)
{
    uint32_t to[UNIFOLD_MAX];
    size_t n;

    if (!t->bert_lower) return utf8_put(out, c, e);
    if (!t->bert_strip) {
        if (c == 0x130) return sbuf_put(out, STR("i\xCC\x87"), e);
        return utf8_put(out, utf8_lower(c), e);
    }
    if (class & UNI_MARK) return true;
    n = unifold(c, to);
    for (size_t i = 0; i < n; i++)
        if (!utf8_put(out, to[i], e)) return false;
    return true;
}

bool tok_norm_bert(const struct tokenizer *t, struct str text, struct sbuf *out, struct err *e)
{
    size_t len;

    for (size_t i = 0; i < text.n; i += len) {
        uint32_t c = utf8_decode(str_sub(text, i, text.n), &len), class = uniclass(c);
        bool space = t->bert_cjk && is_ideograph(c);
        if (t->bert_clean && (class & UNI_DROP)) continue;
        if (t->bert_clean && (class & UNI_SPACE)) c = ' ';
        if (space && !sbuf_putc(out, ' ', e)) return false;
        if (!put_folded(t, c, class, out, e)) return false;
        if (space && !sbuf_putc(out, ' ', e)) return false;
    }
    return true;
}

/* Without a combining class for the reference: nothing moves or composes across one. */
static bool is_newer(uint32_t c)
{
    static const uint32_t runs[][2] = {
        {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
        {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
        {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
        {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
        {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
        {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
        {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
        {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
        {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
        {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}};
    size_t i = 0, n = sizeof(runs) / sizeof(*runs);

    while (i < n && runs[i][1] < c)
        i++;
    return i < n && runs[i][0] <= c;
}

/* Well-formed text below 2 GiB. */
static bool compose(struct str text, struct sbuf *out, struct err *e)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text.p;
    utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    utf8proc_ssize_t n, size = (utf8proc_ssize_t)text.n;
    utf8proc_ssize_t cap = utf8proc_decompose(p, size, NULL, 0, how);
    utf8proc_int32_t *buf;
    bool ok = false;

    CHECK(cap >= 0);
    buf = mem_calloc((size_t)cap + 1, sizeof(*buf), e);
    if (!buf) return false;
    n = utf8proc_decompose(p, size, buf, cap, how);
    CHECK(n == cap);
    n = utf8proc_normalize_utf32(buf, n, how);
    CHECK(n >= 0);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!utf8_put(out, (uint32_t)buf[i], e)) goto out;
    ok = true;
out:
    mem_free(buf);
    return ok;
}

static bool nfc_run(struct str text, struct sbuf *out, struct err *e)
{
    size_t from = 0, len;

    for (size_t i = 0; i < text.n; i += len) {
        if (!is_newer(utf8_decode(str_sub(text, i, text.n), &len))) continue;
        if (i > from && !compose(str_sub(text, from, i), out, e)) return false;
        if (!sbuf_put(out, str_sub(text, i, i + len), e)) return false;
        from = i + len;
    }
    return from == text.n || compose(str_sub(text, from, text.n), out, e);
}

/* Nothing composes with an ASCII character that follows it, so only runs of others, each with the
 * character in front of it, need a look. */
bool tok_norm_nfc(struct str text, struct sbuf *out, struct err *e)
{
    size_t from = 0, at = 0;

    while (at < text.n) {
        if ((uint8_t)text.p[at] < 0x80) {
            at++;
            continue;
        }
        size_t begin = at > from ? at - 1 : at;
        while (at < text.n && (uint8_t)text.p[at] >= 0x80)
            at++;
        if (!sbuf_put(out, str_sub(text, from, begin), e) ||
            !nfc_run(str_sub(text, begin, at), out, e))
            return false;
        from = at;
    }
    return sbuf_put(out, str_sub(text, from, text.n), e);
}

bool tok_norm_blanks(struct str text, struct sbuf *out, struct err *e)
{
    for (size_t at; (at = str_find(text, STR(TOK_METASPACE), 0)) != SIZE_MAX;) {
        if (!sbuf_put(out, str_sub(text, 0, at), e) || !sbuf_putc(out, ' ', e)) return false;
        text = str_sub(text, at + 3, text.n);
    }
    return sbuf_put(out, text, e);
}

bool tok_norm_stretch(const struct tokenizer *t, struct str text, struct sbuf *out, struct err *e)
{
    switch (t->norm) {
    case TOK_NORM_NONE:
    case TOK_NORM_CHARSMAP: /* has no added tokens that want it */
        return sbuf_put(out, text, e);
    case TOK_NORM_PREPEND:
        return text.n == 0 || (sbuf_putc(out, ' ', e) && tok_norm_blanks(text, out, e));
    case TOK_NORM_NFC:
        return tok_norm_nfc(text, out, e);
    case TOK_NORM_BERT:
        return tok_norm_bert(t, text, out, e);
    }
    UNREACHABLE();
}
