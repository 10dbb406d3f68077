#include "text/prompt.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/prompt_parse.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#define MAX_TEXT ((size_t)TOK_MAX_TEXT)

/* Where a field's ids lie in the uncut sample. */
struct span {
    size_t from, n;
};

struct prompt {
    const struct tokenizer *t;
    struct arena arena;
    struct prompt_parts parts;
    uint32_t eos;
    bool encoder; /* the prompt is an encoder's input and ends by itself */
    uint8_t digest[32];
    struct tok_ids ids; /* the sample */
    struct sbuf text;   /* literal text on its way to ids */
    struct span field[PROMPT_MAX_PARTS];
    size_t nfields;
    struct str tail; /* behind a target, before its end */
    size_t skip;     /* bytes of the next literal text that went with the field before it */
    enum { AT_START, BEHIND_TOKEN, IN_TEXT } at;
};

static void put_u64(struct sha256 *h, uint64_t v)
{
    uint8_t b[8];

    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> 8 * i);
    sha256_put(h, b, sizeof(b));
}

static void make_digest(struct prompt *p, const enum prompt_field *inputs, size_t ninputs)
{
    struct tok_info info = tokenizer_info(p->t);
    struct sha256 h;

    sha256_init(&h);
    sha256_put(&h, "radmill prompt 1", 16);
    sha256_put(&h, info.digest, sizeof(info.digest));
    put_u64(&h, ninputs);
    for (size_t i = 0; i < ninputs; i++)
        put_u64(&h, inputs[i]);
    put_u64(&h, p->parts.n);
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct prompt_part *part = &p->parts.part[i];
        put_u64(&h, part->kind);
        put_u64(&h, part->unit);
        put_u64(&h, part->kind == PROMPT_FIELD ? part->field : part->id);
        put_u64(&h, part->text.n);
        sha256_put(&h, part->text.p, part->text.n);
    }
    put_u64(&h, p->eos);
    if (p->tail.n > 0) sha256_put(&h, p->tail.p, p->tail.n);
    sha256_end(&h, p->digest);
}

static bool check_inputs(const enum prompt_field *inputs, size_t ninputs, struct err *e)
{
    for (size_t i = 0; i < ninputs; i++) {
        CHECK(inputs[i] < PROMPT_FIELDS);
        for (size_t k = 0; k < i; k++)
            if (inputs[k] == inputs[i])
                return err_set(e, ERR_CONFIG, "the input field %s is named twice",
                               prompt_field_names[inputs[i]]);
    }
    return true;
}

/* The template's text, from the built-in ones or a file, in the arena. */
static bool find_source(struct prompt *p, const char *name, bool *headed, struct str *out,
                        struct err *e)
{
    if (strcmp(name, "chat") == 0 && !prompt_chat_name(p->t, &name, e)) return false;
    const char *text = prompt_builtin(name, headed);
    if (text) {
        p->tail = str_of(prompt_builtin_tail(name));
        *out = str_of(text);
        return true;
    }
    *headed = false;
    if (!fs_exists(name))
        return err_set(e, ERR_CONFIG,
                       "neither a file nor one of plain, alpaca, radiology-gpt, "
                       "medalpaca, chat, chatml, llama2-chat, llama3-chat, llama3.1-chat, "
                       "mistral-instruct, mistral-v0.3-instruct");
    if (!fs_read_file(name, PROMPT_MAX_SOURCE, &p->arena, out, e)) return false;
    return utf8_valid(*out) || err_set(e, ERR_FORMAT, "not UTF-8");
}

/* The token that ends a target: the one behind {target}, or the tokenizer's. */
static bool find_eos(struct prompt *p, struct err *e)
{
    const struct prompt_part *last = &p->parts.part[p->parts.n - 1];
    int32_t eos = tokenizer_info(p->t).eos;

    if (last->kind == PROMPT_TOKEN) {
        p->eos = last->id;
        p->parts.n--;
        return true;
    }
    if (eos < 0)
        return err_set(e, ERR_CONFIG,
                       "the tokenizer names no end-of-text token (eos_token in "
                       "tokenizer_config.json, or tokenizer.ggml.eos_token_id), and the template "
                       "has none behind {target}: training would never learn to stop");
    p->eos = (uint32_t)eos;
    return true;
}

static bool load(struct prompt *p, const char *name, const enum prompt_field *inputs,
                 size_t ninputs, struct err *e)
{
    struct sbuf expanded;
    struct str source;
    bool headed, ok;

    sbuf_init(&expanded, PROMPT_MAX_SOURCE);
    ok = check_inputs(inputs, ninputs, e) && find_source(p, name, &headed, &source, e) &&
         prompt_expand(source, inputs, ninputs, headed, &expanded, e) &&
         prompt_parse(sbuf_str(&expanded), p->t, &p->arena, &p->parts, e) && find_eos(p, e);
    sbuf_free(&expanded);
    return ok || err_wrap(e, "template %s", name);
}

bool prompt_open(const char *name, const enum prompt_field *inputs, size_t ninputs,
                 const struct tokenizer *t, struct prompt **out, struct err *e)
{
    struct prompt *p = mem_calloc(1, sizeof(*p), e);

    *out = NULL;
    if (!p) return false;
    p->t = t;
    arena_init(&p->arena, 1 << 20);
    sbuf_init(&p->text, MAX_TEXT);
    if (!load(p, name, inputs, ninputs, e)) {
        prompt_close(p);
        return false;
    }
    make_digest(p, inputs, ninputs);
    *out = p;
    return true;
}

void prompt_close(struct prompt *p)
{
    if (!p) return;
    tok_ids_free(&p->ids);
    sbuf_free(&p->text);
    arena_free(&p->arena);
    mem_free(p);
}

void prompt_digest(const struct prompt *p, uint8_t out[32])
{
    memcpy(out, p->digest, sizeof(p->digest));
}

bool prompt_uses(const struct prompt *p, enum prompt_field field)
{
    for (size_t i = 0; i < p->parts.n; i++)
        if (p->parts.part[i].kind == PROMPT_FIELD && p->parts.part[i].field == field) return true;
    return false;
}

bool prompt_for_encoder(struct prompt *p, struct err *e)
{
    static const char mark[] = "encoder-decoder";
    struct sha256 h;

    if (p->encoder) return true;
    if (p->t->nsuffix == 0 && tokenizer_info(p->t).eos < 0)
        return err_set(e, ERR_CONFIG,
                       "the tokenizer neither ends a text nor names an end-of-text token: an "
                       "encoder's input could not end");
    p->encoder = true;
    sha256_init(&h);
    sha256_put(&h, p->digest, sizeof(p->digest));
    sha256_put(&h, mark, sizeof(mark));
    sha256_end(&h, p->digest);
    return true;
}

/* ---- building */

/* Is this part's unit shown? One whose fields are all absent is not; the target's always is. */
static bool unit_shown(const struct prompt *p, size_t i, const struct str fields[PROMPT_FIELDS])
{
    const struct prompt_part *part = p->parts.part;
    uint32_t unit = part[i].unit;
    bool any = false;

    while (i > 0 && part[i - 1].unit == unit)
        i--;
    for (; i < p->parts.n && part[i].unit == unit; i++) {
        if (part[i].kind == PROMPT_TARGET) return true;
        if (part[i].kind != PROMPT_FIELD) continue;
        if (fields[part[i].field].n > 0) return true;
        any = true;
    }
    return !any;
}

/* Ids of text behind what is there. A SentencePiece tokenizer puts a blank in front of a text: here
 * only of the sample's first, and, as old (legacy) ones have it, of text behind a special token. */
static bool put_ids(struct prompt *p, struct tok_cache *c, struct str s, struct err *e)
{
    bool first = p->at == AT_START || (p->at == BEHIND_TOKEN && p->t->norm == TOK_NORM_PREPEND);

    if (s.n == 0) return true;
    p->at = IN_TEXT;
    return tokenizer_encode(c, s, first ? TOK_PLAIN : TOK_NEXT, &p->ids, e);
}

/* Literal text gathered so far becomes ids. A single blank at its end goes to the text that follows
 * (true in *blank): most tokens carry the blank in front of a word. */
static bool flush_text(struct prompt *p, struct tok_cache *c, bool keep_blank, bool *blank,
                       struct err *e)
{
    struct str s = sbuf_str(&p->text);

    *blank = keep_blank && s.n > 0 && s.p[s.n - 1] == ' ' && (s.n == 1 || s.p[s.n - 2] != ' ');
    if (*blank) s.n--;
    bool ok = put_ids(p, c, s, e);
    sbuf_clear(&p->text);
    return ok;
}

/* Field or target text, with the blank that the literal text before it ended in, and a tail. */
static bool put_words(struct prompt *p, struct tok_cache *c, bool blank, struct str text,
                      struct str tail, struct err *e)
{
    if (text.n == 0) return true;
    if (!blank && tail.n == 0) return put_ids(p, c, text, e);
    bool ok = (!blank || sbuf_putc(&p->text, ' ', e)) && sbuf_put(&p->text, text, e) &&
              sbuf_put(&p->text, tail, e) && put_ids(p, c, sbuf_str(&p->text), e);
    sbuf_clear(&p->text);
    return ok;
}

/* What the tokenizer itself puts in front (BOS), unless the template begins with it. */
static bool put_bos(struct prompt *p, struct err *e)
{
    const struct prompt_part *first = &p->parts.part[0];
    const struct tokenizer *t = p->t;

    if (t->nprefix > 0 && first->kind == PROMPT_TOKEN && first->id == t->prefix[0]) return true;
    for (uint32_t i = 0; i < t->nprefix; i++)
        if (!tok_ids_put(&p->ids, t->prefix[i], e)) return false;
    return true;
}

/* Line ends right behind a field go with it: Llama-3's pattern takes them into the same word as a
 * full stop before them. They are not part of the field when it is cut. */
static struct str line_ends(const struct prompt *p, const struct prompt_part *part)
{
    const struct prompt_part *next = part + 1, *end = p->parts.part + p->parts.n;
    struct str s = {"", 0};

    if (p->t->split != TOK_SPLIT_LLAMA3 || next == end || next->kind != PROMPT_TEXT) return s;
    s = next->text;
    for (s.n = 0; s.n < next->text.n && s.p[s.n] == '\n';)
        s.n++;
    return s;
}

static bool put_part(struct prompt *p, struct tok_cache *c, const struct prompt_part *part,
                     const struct str fields[PROMPT_FIELDS], struct err *e)
{
    struct span *span = &p->field[p->nfields];
    struct str tail, text = part->text;
    bool blank;

    switch (part->kind) {
    case PROMPT_TEXT:
        text = str_sub(text, p->skip, text.n);
        p->skip = 0;
        return sbuf_put(&p->text, text, e);
    case PROMPT_TOKEN:
        if (!flush_text(p, c, false, &blank, e)) return false;
        p->at = BEHIND_TOKEN;
        return tok_ids_put(&p->ids, part->id, e);
    case PROMPT_FIELD:
        if (!flush_text(p, c, true, &blank, e)) return false;
        span->from = p->ids.n;
        text = fields[part->field];
        tail = text.n > 0 ? line_ends(p, part) : (struct str){"", 0};
        if (!put_words(p, c, blank, text, tail, e)) return false;
        p->skip = tail.n;
        span->n = p->ids.n - span->from - (tail.n > 0);
        p->nfields++;
        return true;
    case PROMPT_TARGET:
        return true;
    }
    UNREACHABLE();
}

/* What the tokenizer puts behind a text, else its end-of-text token. */
static bool end_input(struct prompt *p, struct err *e)
{
    const struct tokenizer *t = p->t;

    for (uint32_t i = 0; i < t->nsuffix; i++)
        if (!tok_ids_put(&p->ids, t->suffix[i], e)) return false;
    return t->nsuffix > 0 || tok_ids_put(&p->ids, (uint32_t)tokenizer_info(t).eos, e);
}

static void remove_ids(struct tok_ids *v, size_t at, size_t n)
{
    memmove(v->ids + at, v->ids + at + n, (v->n - at - n) * sizeof(*v->ids));
    v->n -= n;
}

/* Take `excess` ids off the ends of the longest fields: the longest down to the second longest
 * first. */
static bool cut_fields(struct prompt *p, size_t excess, size_t *target)
{
    while (excess > 0) {
        size_t at = 0, second = 0;
        for (size_t i = 1; i < p->nfields; i++)
            if (p->field[i].n > p->field[at].n) at = i;
        for (size_t i = 0; i < p->nfields; i++)
            if (i != at && p->field[i].n > second) second = p->field[i].n;
        struct span *s = &p->field[at];
        if (p->nfields == 0 || s->n == 0) return false;
        size_t n = s->n > second ? s->n - second : 1;
        if (n > excess) n = excess;
        s->n -= n;
        remove_ids(&p->ids, s->from + s->n, n);
        for (size_t i = at + 1; i < p->nfields; i++)
            p->field[i].from -= n;
        *target -= n;
        excess -= n;
    }
    return true;
}

bool prompt_build(struct prompt *p, struct tok_cache *c, const struct str fields[PROMPT_FIELDS],
                  struct str target, size_t max_tokens, struct prompt_sample *out, struct err *e)
{
    bool blank;

    p->ids.n = 0;
    p->nfields = p->skip = 0;
    p->at = AT_START;
    sbuf_clear(&p->text);
    if (!put_bos(p, e)) return false;
    for (size_t i = 0; i < p->parts.n; i++)
        if (unit_shown(p, i, fields) && !put_part(p, c, &p->parts.part[i], fields, e)) return false;
    if (!flush_text(p, c, true, &blank, e)) return false;
    if (p->encoder && !end_input(p, e)) return false;
    size_t at = p->ids.n;
    if (target.p) {
        if (p->encoder) p->at = AT_START; /* the decoder's own text */
        if (!put_words(p, c, blank, target, p->tail, e) || !tok_ids_put(&p->ids, p->eos, e))
            return false;
    }
    size_t whole = p->encoder ? at : p->ids.n;
    out->cut = max_tokens > 0 && whole > max_tokens ? whole - max_tokens : 0;
    if (out->cut && !cut_fields(p, out->cut, &at))
        return err_set(e, ERR_LIMIT, "%zu tokens do not fit into %zu even without any field text",
                       whole, max_tokens);
    out->ids = p->ids.ids;
    out->n = p->ids.n;
    out->target = at;
    return true;
}
