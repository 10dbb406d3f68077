/*
 * From ids to text (huggingface/tokenizers src/decoders). All of it is streaming: what a later
 * id may still change is held back, so that an id's characters come out whole and once.
 *
 *   bytes      up to three bytes that may begin a character
 *   SP         a run of byte tokens, until another token ends it: if all of it is UTF-8 it is text,
 *              else each byte is U+FFFD; the text's first blank is dropped
 *   metaspace  nothing; the first piece loses its metaspaces
 *   WordPiece  nothing
 */
#include "text/tok_impl.h"
#include "text/utf8.h"

#define MAX_HELD (64u << 20)

void tok_stream_init(struct tok_stream *s, const struct tokenizer *t, bool skip_special)
{
    *s = (struct tok_stream){.t = t, .skip_special = skip_special};
    sbuf_init(&s->held, MAX_HELD);
}

void tok_stream_free(struct tok_stream *s)
{
    sbuf_free(&s->held);
    *s = (struct tok_stream){0};
}

/* Bytes at the end of b that may become a character. */
static size_t open_end(struct str b)
{
    for (size_t k = 1; k <= 3 && k <= b.n; k++) {
        uint8_t c = (uint8_t)b.p[b.n - k];
        uint32_t cp;
        size_t len;
        if ((c & 0xC0) == 0x80) continue;
        if (c < 0xC2 || c > 0xF4 || (c < 0xE0 ? 2u : c < 0xF0 ? 3u : 4u) <= k) return 0;
        /* an ill-formed second byte is not worth waiting for */
        return !utf8_next(str_sub(b, b.n - k, b.n), &cp, &len) && len == k ? k : 0;
    }
    return 0;
}

static bool put_bytes(struct tok_stream *s, struct str piece, struct sbuf *out, struct err *e)
{
    uint64_t bad = 0;
    char keep[3];

    if (!sbuf_put(&s->held, piece, e)) return false;
    struct str all = sbuf_str(&s->held);
    size_t open = open_end(all);
    if (!utf8_repair(str_sub(all, 0, all.n - open), out, &bad, e)) return false;
    if (open) memcpy(keep, all.p + all.n - open, open);
    sbuf_clear(&s->held);
    return sbuf_put(&s->held, (struct str){keep, open}, e);
}

/* Text of a SentencePiece decoder: the very first blank goes. */
static bool put_text(struct tok_stream *s, struct str text, struct sbuf *out, struct err *e)
{
    if (text.n == 0) return true;
    if (!s->begun && text.p[0] == ' ') text = str_sub(text, 1, text.n);
    s->begun = true;
    return sbuf_put(out, text, e);
}

static bool end_run(struct tok_stream *s, struct sbuf *out, struct err *e)
{
    struct str run = sbuf_str(&s->held);
    bool ok = true;

    if (utf8_valid(run)) {
        ok = put_text(s, run, out, e);
    } else {
        for (size_t i = 0; ok && i < run.n; i++)
            ok = put_text(s, STR("\xEF\xBF\xBD"), out, e);
    }
    sbuf_clear(&s->held);
    return ok;
}

static bool put_blanks(struct tok_stream *s, struct str content, bool drop, struct sbuf *out,
                       struct err *e)
{
    for (size_t at; (at = str_find(content, STR(TOK_METASPACE), 0)) != SIZE_MAX;) {
        if (!put_text(s, str_sub(content, 0, at), out, e)) return false;
        if (!drop && !put_text(s, STR(" "), out, e)) return false;
        content = str_sub(content, at + 3, content.n);
    }
    return put_text(s, content, out, e);
}

/* Per piece, in this order, as the reference's cleanup does. */
static bool clean_up(struct str piece, struct sbuf *out, struct err *e)
{
    static const struct {
        struct str from, to;
    } rule[] = {{STR_INIT(" ."), STR_INIT(".")},    {STR_INIT(" ?"), STR_INIT("?")},
                {STR_INIT(" !"), STR_INIT("!")},    {STR_INIT(" ,"), STR_INIT(",")},
                {STR_INIT(" ' "), STR_INIT("'")},   {STR_INIT(" n't"), STR_INIT("n't")},
                {STR_INIT(" 'm"), STR_INIT("'m")},  {STR_INIT(" do not"), STR_INIT(" don't")},
                {STR_INIT(" 's"), STR_INIT("'s")},  {STR_INIT(" 've"), STR_INIT("'ve")},
                {STR_INIT(" 're"), STR_INIT("'re")}};
    char a[TOK_MAX_PIECE + 1], b[TOK_MAX_PIECE + 1], *now = a, *next = b;
    size_t n = piece.n;

    memcpy(a, piece.p, n);
    for (size_t r = 0; r < sizeof(rule) / sizeof(*rule); r++) { /* none makes text longer */
        struct str s = {now, n};
        char *to = next;
        size_t k = 0;
        for (size_t at; (at = str_find(s, rule[r].from, 0)) != SIZE_MAX;) {
            memcpy(to + k, s.p, at);
            memcpy(to + k + at, rule[r].to.p, rule[r].to.n);
            k += at + rule[r].to.n;
            s = str_sub(s, at + rule[r].from.n, s.n);
        }
        if (k == 0) continue;
        memcpy(to + k, s.p, s.n);
        n = k + s.n;
        next = now;
        now = to;
    }
    return sbuf_put(out, (struct str){now, n}, e);
}

static bool put_wordpiece(struct tok_stream *s, struct str content, struct sbuf *out, struct err *e)
{
    const struct tokenizer *t = s->t;
    char buf[TOK_MAX_PIECE + 1];
    struct str piece = content;

    if (s->begun && str_starts(content, t->subword)) {
        piece = str_sub(content, t->subword.n, content.n);
    } else if (s->begun) {
        buf[0] = ' ';
        memcpy(buf + 1, content.p, content.n);
        piece = (struct str){buf, content.n + 1};
    }
    s->begun = true;
    return t->cleanup ? clean_up(piece, out, e) : sbuf_put(out, piece, e);
}

bool tok_stream_put(struct tok_stream *s, uint32_t id, struct sbuf *out, struct err *e)
{
    const struct tokenizer *t = s->t;
    const struct tok_piece *p = id < t->n ? &t->piece[id] : NULL;

    if (!p || !p->content.p) return true;
    if (s->skip_special && (p->flags & TOK_P_SPECIAL) && !(p->flags & TOK_P_RENAMED)) return true;
    switch (t->decoder) {
    case TOK_DECODE_BYTES:
        return put_bytes(s, p->bytes, out, e);
    case TOK_DECODE_SP:
        if (p->flags & TOK_P_BYTE) return sbuf_put(&s->held, p->bytes, e);
        return end_run(s, out, e) && put_blanks(s, p->shown, false, out, e);
    case TOK_DECODE_METASPACE: {
        bool first = !s->first_seen;
        s->first_seen = true;
        s->begun = true; /* nothing else is dropped at the front */
        return put_blanks(s, p->shown, first, out, e);
    }
    case TOK_DECODE_WORDPIECE:
        return put_wordpiece(s, p->shown, out, e);
    }
    UNREACHABLE();
}

bool tok_stream_end(struct tok_stream *s, struct sbuf *out, struct err *e)
{
    uint64_t bad = 0;
    bool ok = s->t->decoder == TOK_DECODE_SP ? end_run(s, out, e)
                                             : utf8_repair(sbuf_str(&s->held), out, &bad, e);

    sbuf_clear(&s->held);
    s->begun = s->first_seen = false;
    return ok;
}

bool tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_special,
                      struct sbuf *out, struct err *e)
{
    struct tok_stream s;
    bool ok = true;

    tok_stream_init(&s, t, skip_special);
    for (size_t i = 0; ok && i < n; i++)
        ok = tok_stream_put(&s, ids[i], out, e);
    ok = ok && tok_stream_end(&s, out, e);
    tok_stream_free(&s);
    return ok;
}
