#include "ingest/json_stream.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "text/utf8.h"

/* Reading broken objects again may cost this much, or a hostile file would never end. */
enum { MAX_REREAD_BYTES = 1 << 30 };

/* window: | ... | at: an object ... scanned .... end | */
struct json_stream {
    struct charset charset;
    struct bytes_window w;
    size_t max_bytes;
    uint64_t reread;
    uint64_t open; /* arrays around the objects that have not ended yet */
    json_t *root;
    struct sbuf mended;
};

/* How far into an object a scan is. */
struct scan {
    size_t i; /* next byte, from `at` */
    unsigned depth;
    bool in_string, escaped;
    char before; /* last byte outside strings that is no white space */
};
enum verdict { SCAN_MORE, SCAN_WHOLE, SCAN_BROKEN };

bool json_stream_open(struct bytes in, enum charset_as encoding, size_t max_bytes,
                      struct json_stream **out, struct err *e)
{
    struct json_stream *s = mem_calloc(1, sizeof *s, e);

    *out = s;
    if (!s) return false;
    charset_init(&s->charset, in, encoding);
    bytes_window_init(&s->w, charset_bytes(&s->charset));
    s->max_bytes = max_bytes;
    sbuf_init(&s->mended, 3 * max_bytes + 64);
    return true;
}

void json_stream_close(struct json_stream *s)
{
    if (!s) return;
    json_decref(s->root);
    sbuf_free(&s->mended);
    bytes_window_free(&s->w);
    mem_free(s);
}

static void count_array(struct json_stream *s, char x)
{
    if (x == '[') s->open++;
    if (x == ']' && s->open > 0) s->open--;
}

/* To the next byte that may begin something; false: none is left. */
static bool skip_between(struct json_stream *s, bool *found, struct err *e)
{
    *found = false;
    for (;;) {
        size_t n = 0, left = s->w.end - s->w.at;
        while (n < left && memchr(" \t\r\n,[]\x1e\xEF\xBB\xBF", s->w.p[s->w.at + n], 11))
            count_array(s, s->w.p[s->w.at + n++]);
        bytes_window_advance(&s->w, n);
        *found = s->w.at < s->w.end;
        if (*found || s->w.eof) return true;
        if (!bytes_window_fill(&s->w, e)) return false;
    }
}

static enum verdict scan_string(struct scan *c, char x)
{
    if (x == '\n') return SCAN_BROKEN;
    if (c->escaped)
        c->escaped = false;
    else if (x == '\\')
        c->escaped = true;
    else if (x == '"')
        c->in_string = false;
    return SCAN_MORE;
}

static enum verdict scan_byte(struct scan *c, char x)
{
    if (c->in_string) return scan_string(c, x);
    if (x == ' ' || x == '\t' || x == '\r' || x == '\n') return SCAN_MORE;
    if (x == '{' && c->depth > 0 && !memchr(":,[", c->before, 3)) return SCAN_BROKEN;
    c->before = x;
    c->in_string = x == '"';
    if (x == '{' || x == '[') c->depth++;
    if (x == '}' || x == ']') c->depth--;
    return c->depth == 0 ? SCAN_WHOLE : SCAN_MORE;
}

/* Find the end of the object at `at`: *n bytes from there. */
static bool find_end(struct json_stream *s, size_t *n, enum verdict *v, bool *too_long,
                     struct err *e)
{
    struct scan c = {.before = ':'};

    *v = SCAN_MORE;
    *too_long = false;
    for (;;) {
        while (*v == SCAN_MORE && c.i < s->w.end - s->w.at && c.i <= s->max_bytes)
            *v = scan_byte(&c, s->w.p[s->w.at + c.i++]);
        *n = c.i;
        if (*v != SCAN_MORE) return true;
        *too_long = c.i > s->max_bytes;
        if (*too_long || s->w.eof) {
            *v = SCAN_BROKEN;
            return true;
        }
        if (!bytes_window_fill(&s->w, e)) return false;
    }
}

/* Go on behind the line at `at`. */
static bool skip_line(struct json_stream *s, struct err *e)
{
    for (;;) {
        size_t left = s->w.end - s->w.at;
        const char *lf = left ? memchr(s->w.p + s->w.at, '\n', left) : NULL;
        bytes_window_advance(&s->w, lf ? (size_t)(lf - (s->w.p + s->w.at)) + 1 : left);
        if (lf || s->w.eof) return true;
        if (!bytes_window_fill(&s->w, e)) return false;
    }
}

/* False: no memory. s->root stays NULL if it is no JSON. */
static bool parse(struct json_stream *s, struct str text, struct err *e)
{
    struct err why = {0};

    if (!utf8_valid(text)) {
        sbuf_clear(&s->mended);
        for (size_t i = 0; i < text.n; i++) {
            if (!utf8_put(&s->mended, charset_windows((uint8_t)text.p[i]), e)) return false;
        }
        text = sbuf_str(&s->mended);
    }
    if (json_parse(text, "object", &s->root, &why) || why.code != ERR_NOMEM) return true;
    *e = why;
    return false;
}

bool json_stream_next(struct json_stream *s, struct json_item *out, bool *more, struct err *e)
{
    enum verdict v = SCAN_BROKEN;
    size_t n = 0;

    json_decref(s->root);
    s->root = NULL;
    if (!skip_between(s, more, e)) return false;
    *out = (struct json_item){.line = bytes_window_line(&s->w), .offset = s->w.offset};
    out->cut = !*more && s->open > 0;
    if (!*more) {
        *more = out->cut;
        s->open = 0;
        return true;
    }
    if (s->w.p[s->w.at] == '{' && !find_end(s, &n, &v, &out->too_long, e)) return false;
    if (v == SCAN_WHOLE && !parse(s, (struct str){s->w.p + s->w.at, n}, e)) return false;
    out->root = s->root;
    if (s->root) {
        bytes_window_advance(&s->w, n);
        return true;
    }
    s->open = 0; /* what is passed over may hold the end of the array */
    s->reread += n;
    if (s->reread > MAX_REREAD_BYTES)
        return err_set(e, ERR_LIMIT, "too many broken objects up to line %llu: export it again",
                       (unsigned long long)bytes_window_line(&s->w));
    return skip_line(s, e);
}

struct str json_stream_text(const json_t *v, char *buf, size_t cap)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return (struct str){json_string_value(v), json_string_length(v)};
    case JSON_INTEGER:
        (void)snprintf(buf, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return str_of(buf);
    case JSON_REAL:
        (void)snprintf(buf, cap, "%.17g", json_real_value(v));
        return str_of(buf);
    case JSON_TRUE:
        return STR("true");
    case JSON_FALSE:
        return STR("false");
    default:
        return STR("");
    }
}
