#include "generate/pairs.h"

#include "base/fs.h"
#include "base/json.h"

enum {
    LINE_MAX_BYTES = 4 << 20, /* a report is a few kilobytes; this stops a file that is no JSONL */
    PAIRS_MAX = 100000000,
};

/* The texts of a pair in the order they are written. */
static const struct {
    const char *key;
    size_t offset;
    bool needed; /* the others may be missing or empty */
} texts[] = {
    {"id", offsetof(struct pair, id), false},
    {"source", offsetof(struct pair, source), false},
    {"modality", offsetof(struct pair, modality), false},
    {"split", offsetof(struct pair, split), false},
    {"prediction", offsetof(struct pair, prediction), true},
    {"reference", offsetof(struct pair, reference), true},
    {"findings", offsetof(struct pair, findings), false},
    {"clinical", offsetof(struct pair, clinical), false},
    {"group", offsetof(struct pair, group), false},
};
enum { NTEXTS = sizeof texts / sizeof texts[0] };

static struct str *text_at(struct pair *p, size_t i)
{
    return (struct str *)(void *)((char *)p + texts[i].offset);
}

/* Text of obj[key] copied into the arena: a string, or an integer as people write ids. Missing and
 * null give an empty text unless the key is needed. */
static bool get_text(const json_t *obj, const char *key, bool needed, struct arena *a,
                     struct str *out, struct err *e)
{
    json_t *v = json_object_get(obj, key);
    *out = STR("");
    if (!v || json_is_null(v))
        return !needed || err_set(e, ERR_FORMAT, "\"%s\" is missing: a text is needed", key);
    if (json_is_string(v)) {
        struct str s = {json_string_value(v), json_string_length(v)};
        return s.n == 0 || arena_str(a, s, out, e);
    }
    if (!json_is_integer(v)) return err_set(e, ERR_FORMAT, "\"%s\" is not a text", key);
    struct sbuf b;
    sbuf_init(&b, 32);
    bool ok = sbuf_printf(&b, e, "%lld", (long long)json_integer_value(v)) &&
              arena_str(a, sbuf_str(&b), out, e);
    sbuf_free(&b);
    return ok;
}

static bool get_seen(const json_t *obj, int *out, struct err *e)
{
    json_t *v = json_object_get(obj, "seen");
    *out = -1;
    if (!v || json_is_null(v)) return true;
    if (!json_is_boolean(v)) return err_set(e, ERR_FORMAT, "\"seen\" is neither true nor false");
    *out = json_is_true(v);
    return true;
}

/* Both or none. */
static bool get_loss(const json_t *obj, struct pair *p, struct err *e)
{
    p->nll = 0;
    p->tokens = 0;
    if (!json_object_get(obj, "nll")) return true;
    return json_get_f64(obj, "nll", &p->nll, e) && json_get_u64(obj, "tokens", &p->tokens, e);
}

static bool pair_of(const json_t *obj, struct arena *a, struct pair *p, struct err *e)
{
    if (!json_is_object(obj)) return err_set(e, ERR_FORMAT, "not a JSON object");
    for (size_t i = 0; i < NTEXTS; i++)
        if (!get_text(obj, texts[i].key, texts[i].needed, a, text_at(p, i), e)) return false;
    return get_seen(obj, &p->seen, e) && get_loss(obj, p, e);
}

/* The next line that is not blank; *number counts all lines from 1. */
static bool next_line(struct str *rest, size_t *number, struct str *line)
{
    while (str_split(rest, '\n', line)) {
        (*number)++;
        if (str_trim(*line).n > 0) return true;
    }
    return false;
}

static bool parse_line(struct str line, struct arena *a, struct pair *p, struct err *e)
{
    json_t *obj = NULL;
    if (line.n > LINE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%zu bytes in one line, at most %d are read", line.n,
                       LINE_MAX_BYTES);
    if (!json_parse(line, "pair", &obj, e)) return false;
    bool ok = pair_of(obj, a, p, e);
    json_decref(obj);
    return ok;
}

static bool parse_all(struct str text, struct arena *a, struct pair **out, size_t *n, struct err *e)
{
    struct str rest = text, line;
    size_t number = 0, count = 0;

    while (next_line(&rest, &number, &line))
        count++;
    if (count > PAIRS_MAX)
        return err_set(e, ERR_LIMIT, "%zu lines, at most %d are read", count, PAIRS_MAX);
    if (count == 0)
        return err_set(e, ERR_FORMAT, "no pair in it: one JSON object a line is needed");
    *out = arena_alloc(a, count * sizeof **out, e);
    if (!*out) return false;
    rest = text;
    number = 0;
    for (*n = 0; next_line(&rest, &number, &line); ++*n)
        if (!parse_line(line, a, &(*out)[*n], e)) return err_wrap(e, "line %zu", number);
    return true;
}

bool pairs_parse(struct str text, const char *name, struct arena *a, struct pair **out, size_t *n,
                 struct err *e)
{
    *out = NULL;
    *n = 0;
    if (str_starts(text, STR("\xef\xbb\xbf"))) text = str_sub(text, 3, text.n);
    return parse_all(text, a, out, n, e) || err_wrap(e, "%s", name);
}

bool pairs_read(const char *path, struct arena *a, struct pair **out, size_t *n, struct err *e)
{
    struct fs_map map;
    *out = NULL;
    *n = 0;
    if (!fs_map_open(path, &map, e)) return false;
    bool ok = pairs_parse((struct str){(const char *)map.p, map.n}, path, a, out, n, e);
    fs_map_close(&map);
    return ok;
}

bool pairs_put(struct sbuf *b, const struct pair *p, struct err *e)
{
    struct pair copy = *p;
    const char *sep = "{";
    for (size_t i = 0; i < NTEXTS; i++) {
        struct str text = *text_at(&copy, i);
        if (text.n == 0 && !texts[i].needed) continue;
        if (!sbuf_printf(b, e, "%s\"%s\": ", sep, texts[i].key)) return false;
        if (!json_put_str(b, text, false, e)) return false;
        sep = ", ";
    }
    if (p->seen >= 0 && !sbuf_printf(b, e, ", \"seen\": %s", p->seen ? "true" : "false"))
        return false;
    if (p->tokens && !sbuf_printf(b, e, ", \"nll\": %.6f, \"tokens\": %llu", p->nll,
                                  (unsigned long long)p->tokens))
        return false;
    return sbuf_putc(b, '}', e);
}
