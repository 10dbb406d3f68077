/*
 * Normalisers, as huggingface/tokenizers applies them (src/normalizers).
 *
 * NFC is utf8proc's: code points assigned after the reference's Unicode version may combine
 * where the reference leaves them alone. BERT's lower case and decomposition come from measured
 * tables (text/unifold.h); the few marks that it keeps and that have a combining class (U+302E,
 * U+1D165 ...) are not put into canonical order.
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

bool tok_norm_nfc(struct str text, struct sbuf *out, struct err *e)
{
    utf8proc_ssize_t n, cap;
    utf8proc_int32_t *buf;
    utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    bool ok = false;

    if (utf8_ascii(text)) return sbuf_put(out, text, e);
    cap = utf8proc_decompose((const utf8proc_uint8_t *)text.p, (utf8proc_ssize_t)text.n, NULL, 0,
                             how);
    CHECK(cap >= 0); /* the text is well-formed and below 2 GiB */
    buf = mem_calloc((size_t)cap + 1, sizeof(*buf), e);
    if (!buf) return false;
    n = utf8proc_decompose((const utf8proc_uint8_t *)text.p, (utf8proc_ssize_t)text.n, buf, cap,
                           how);
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
