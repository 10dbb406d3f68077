#include "base/json.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

#define DEPTH_MAX 64
#define FILE_MAX  ((size_t)1 << 30)

/* Before main, so that no block of jansson's is taken one way and released the other. */
__attribute__((constructor)) static void use_our_heap(void)
{
    json_set_alloc_funcs(mem_alloc_or_abort, mem_free);
}

/* ---- reading */

/* jansson allows 2048 levels and recurses on them: count first. */
static bool check_depth(struct str text, const char *what, struct err *e)
{
    size_t depth = 0, line = 1, begin = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n') {
            line++;
            begin = i + 1;
        }
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return err_set(e, ERR_LIMIT, "%s:%zu:%zu: nested deeper than %d", what, line,
                               i - begin + 1, DEPTH_MAX);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* jansson's own text quotes the input, which may be a report. */
static const char *reason(const json_error_t *j)
{
    switch (json_error_code(j)) {
    case json_error_premature_end_of_input:
        return "the text ends early";
    case json_error_end_of_input_expected:
        return "something follows the end";
    case json_error_invalid_utf8:
        return "not UTF-8";
    case json_error_duplicate_key:
        return "a key appears twice";
    case json_error_numeric_overflow:
        return "number out of range";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a NUL character is not allowed here";
    default:
        return "not valid JSON";
    }
}

bool json_parse(struct str text, const char *what, json_t **out, struct err *e)
{
    json_error_t j;
    *out = NULL;
    if (text.n > INT_MAX) return err_set(e, ERR_LIMIT, "%s: longer than %d bytes", what, INT_MAX);
    if (!check_depth(text, what, e)) return false;
    *out = json_loadb(text.p ? text.p : "", text.n,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &j);
    if (*out) return true;
    if (json_error_code(&j) == json_error_out_of_memory)
        return err_set(e, ERR_NOMEM, "%s: out of memory", what);
    return err_set(e, ERR_FORMAT, "%s:%d:%d: %s", what, j.line, j.column, reason(&j));
}

bool json_read_file(const char *path, size_t max_bytes, json_t **out, struct err *e)
{
    struct arena a;
    struct str text;
    *out = NULL;
    arena_init(&a, max_bytes < SIZE_MAX - 64 ? max_bytes + 64 : SIZE_MAX);
    bool ok = fs_read_file(path, max_bytes, &a, &text, e);
    if (ok && str_starts(text, STR("version https://git-lfs")))
        ok = err_set(e, ERR_FORMAT,
                     "%s is a git-LFS pointer, not the file: fetch it with `git lfs pull`", path);
    ok = ok && json_parse(text, path, out, e);
    arena_free(&a);
    return ok;
}

static bool member(const json_t *obj, const char *key, bool right_type, const json_t *v,
                   const char *type, struct err *e)
{
    if (!json_is_object(obj))
        return err_set(e, ERR_FORMAT, "an object with '%s' was expected", key);
    if (!v) return err_set(e, ERR_FORMAT, "'%s' is missing", key);
    if (!right_type) return err_set(e, ERR_FORMAT, "'%s' must be %s", key, type);
    return true;
}

bool json_get_str(const json_t *obj, const char *key, struct str *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);
    if (!member(obj, key, json_is_string(v), v, "a string", e)) return false;
    *out = (struct str){json_string_value(v), json_string_length(v)};
    return true;
}

bool json_get_u64(const json_t *obj, const char *key, uint64_t *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);
    bool right = json_is_integer(v) && json_integer_value(v) >= 0;
    if (!member(obj, key, right, v, "a whole number, 0 or more", e)) return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

bool json_get_f64(const json_t *obj, const char *key, double *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);
    if (!member(obj, key, json_is_number(v), v, "a number", e)) return false;
    *out = json_number_value(v);
    return true;
}

bool json_get_obj(const json_t *obj, const char *key, json_t **out, struct err *e)
{
    json_t *v = json_object_get(obj, key);
    if (!member(obj, key, json_is_object(v), v, "an object", e)) return false;
    *out = v;
    return true;
}

bool json_get_arr(const json_t *obj, const char *key, json_t **out, struct err *e)
{
    json_t *v = json_object_get(obj, key);
    if (!member(obj, key, json_is_array(v), v, "an array", e)) return false;
    *out = v;
    return true;
}

/* ---- writing */

static bool put_escape(struct sbuf *b, uint32_t c, struct err *e)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s; s += 2)
        if ((uint32_t)(unsigned char)s[0] == c) return sbuf_printf(b, e, "\\%c", s[1]);
    if (c < 0x10000) return sbuf_printf(b, e, "\\u%04" PRIx32, c);
    c -= 0x10000;
    return sbuf_printf(b, e, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (c >> 10),
                       0xdc00 + (c & 0x3ff));
}

bool json_put_str(struct sbuf *b, struct str s, bool ascii, struct err *e)
{
    if (!sbuf_putc(b, '"', e)) return false;
    size_t done = 0, i = 0; /* [done, i) is still to be copied as it is */
    while (i < s.n) {
        uint32_t c;
        size_t len = str_utf8_at(s, i, &c);
        if (len == 0) return err_set(e, ERR_FORMAT, "not UTF-8 at byte %zu", i);
        if (c < 0x20 || c == '"' || c == '\\' || (ascii && c > 0x7e)) {
            if (!sbuf_put(b, str_sub(s, done, i), e)) return false;
            if (!put_escape(b, c, e)) return false;
            done = i + len;
        }
        i += len;
    }
    return sbuf_put(b, str_sub(s, done, s.n), e) && sbuf_putc(b, '"', e);
}

/* With a point or an exponent, so that it stays a real. */
static bool put_real(struct sbuf *b, double v, struct err *e)
{
    size_t start = b->n;
    if (!isfinite(v)) return err_set(e, ERR_FORMAT, "JSON has no way to write %f", v);
    if (!sbuf_put_f64(b, v, e)) return false;
    return strpbrk(b->p + start, ".e") || sbuf_put(b, STR(".0"), e);
}

struct style {
    bool pretty; /* two-space indent and sorted keys */
    int depth;
};

static bool put_value(struct sbuf *b, const json_t *j, struct style s, struct err *e);

static bool put_break(struct sbuf *b, struct style s, struct err *e)
{
    return !s.pretty || sbuf_printf(b, e, "\n%*s", 2 * s.depth, "");
}

struct pair {
    struct str key;
    const json_t *value;
};

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static bool put_object(struct sbuf *b, const json_t *j, struct style s, struct err *e)
{
    size_t n = json_object_size(j), i = 0;
    bool ok = false;
    struct pair *v = mem_calloc(n, sizeof *v, e);
    if (!v) return false;
    json_t *obj =
        (json_t *)(uintptr_t)j; /* jansson's iterator wants it writable, and does not write */
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it))
        v[i++] = (struct pair){str_of(json_object_iter_key(it)), json_object_iter_value(it)};
    if (s.pretty) qsort(v, n, sizeof *v, by_key);
    struct style inner = {s.pretty, s.depth + 1};
    if (!sbuf_putc(b, '{', e)) goto out;
    for (i = 0; i < n; i++) {
        if (i > 0 && !sbuf_putc(b, ',', e)) goto out;
        if (!put_break(b, inner, e) || !json_put_str(b, v[i].key, false, e)) goto out;
        if (!sbuf_put(b, s.pretty ? STR(": ") : STR(":"), e)) goto out;
        if (!put_value(b, v[i].value, inner, e)) goto out;
    }
    ok = (n == 0 || put_break(b, s, e)) && sbuf_putc(b, '}', e);
out:
    mem_free(v);
    return ok;
}

static bool put_array(struct sbuf *b, const json_t *j, struct style s, struct err *e)
{
    size_t n = json_array_size(j);
    struct style inner = {s.pretty, s.depth + 1};
    if (!sbuf_putc(b, '[', e)) return false;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !sbuf_putc(b, ',', e)) return false;
        if (!put_break(b, inner, e) || !put_value(b, json_array_get(j, i), inner, e)) return false;
    }
    return (n == 0 || put_break(b, s, e)) && sbuf_putc(b, ']', e);
}

static bool put_value(struct sbuf *b, const json_t *j, struct style s, struct err *e)
{
    if (s.depth > DEPTH_MAX) return err_set(e, ERR_LIMIT, "JSON nested deeper than %d", DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return put_object(b, j, s, e);
    case JSON_ARRAY:
        return put_array(b, j, s, e);
    case JSON_STRING:
        return json_put_str(b, (struct str){json_string_value(j), json_string_length(j)}, false, e);
    case JSON_INTEGER:
        return sbuf_printf(b, e, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
    case JSON_REAL:
        return put_real(b, json_real_value(j), e);
    case JSON_TRUE:
        return sbuf_put(b, STR("true"), e);
    case JSON_FALSE:
        return sbuf_put(b, STR("false"), e);
    case JSON_NULL:
        return sbuf_put(b, STR("null"), e);
    }
    UNREACHABLE();
}

bool json_put(struct sbuf *b, const json_t *j, struct err *e)
{
    return put_value(b, j, (struct style){false, 0}, e);
}

/* Of obj without its own checksum, as hex. */
static bool seal_of(json_t *obj, char hex[65], struct err *e)
{
    json_t *had = json_incref(json_object_get(obj, "checksum"));
    uint8_t digest[32];
    struct sbuf b;
    bool ok;

    (void)json_object_del(obj, "checksum");
    sbuf_init(&b, FILE_MAX);
    ok = put_value(&b, obj, (struct style){true, 0}, e);
    sha256_of(sbuf_str(&b), digest);
    hash_hex(digest, sizeof digest, hex);
    sbuf_free(&b);
    if (had && json_object_set_new(obj, "checksum", had) != 0 && ok)
        ok = err_set(e, ERR_NOMEM, "no memory for a checksum");
    return ok;
}

bool json_seal(json_t *obj, struct err *e)
{
    char hex[65];

    if (!seal_of(obj, hex, e)) return false;
    return json_object_set_new(obj, "checksum", json_string(hex)) == 0 ||
           err_set(e, ERR_NOMEM, "no memory for a checksum");
}

bool json_check_seal(json_t *obj, struct err *e)
{
    struct str had;
    char hex[65];

    if (!json_get_str(obj, "checksum", &had, e) || !seal_of(obj, hex, e)) return false;
    return str_eqz(had, hex) ||
           err_set(e, ERR_FORMAT, "the checksum differs: the file is damaged or was edited");
}

bool json_write_file(const char *path, const json_t *j, struct err *e)
{
    struct sbuf b;
    sbuf_init(&b, FILE_MAX);
    bool ok = put_value(&b, j, (struct style){true, 0}, e) && sbuf_putc(&b, '\n', e) &&
              fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    return ok;
}
