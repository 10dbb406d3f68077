#include "label/factlabel.h"

#include <math.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/jsonl.h"
#include "base/mem.h"

const char *const factlabel_types[FACTLABEL_TYPES + 1] = {
    "false_added", "missing",   "laterality_location", "severity", "measurement", "negation",
    "temporal",    "certainty", "recommendation",      "style",    NULL};
const char *const factlabel_significances[FACTLABEL_SIGNIFICANCES + 1] = {
    "none", "minor", "actionable", "urgent", NULL};
const char *const factlabel_supports[FACTLABEL_SUPPORTS + 1] = {"", "in_findings", "in_clinical",
                                                                "nowhere", NULL};
const char *const factlabel_scales[FACTLABEL_SCALES + 1] = {
    "understandability", "coherence", "relevance", "conciseness", "clinical_utility", NULL};
const double factlabel_weights[FACTLABEL_SIGNIFICANCES] = {0, .25, .5, 1};

enum { NOTE_MAX_BYTES = 4096, NAME_MAX_BYTES = 256 };

/* The texts of a label in the order they are written. */
static const struct {
    const char *key;
    size_t offset, max_bytes; /* max 0: only the line's limit */
    bool needed;              /* the others may be missing or empty */
} texts[] = {
    {"id", offsetof(struct factlabel, id), NAME_MAX_BYTES, true},
    {"subject", offsetof(struct factlabel, subject), NAME_MAX_BYTES, false},
    {"modality", offsetof(struct factlabel, modality), NAME_MAX_BYTES, false},
    {"clinical", offsetof(struct factlabel, clinical), 0, false},
    {"findings", offsetof(struct factlabel, findings), 0, false},
    {"reference", offsetof(struct factlabel, reference), 0, true},
    {"generated", offsetof(struct factlabel, generated), 0, true},
    {"system", offsetof(struct factlabel, system), NAME_MAX_BYTES, false},
    {"rater", offsetof(struct factlabel, rater), NAME_MAX_BYTES, true},
    {"tool", offsetof(struct factlabel, tool), NAME_MAX_BYTES, false},
};
enum { NTEXTS = sizeof texts / sizeof texts[0] };

static struct str *text_at(struct factlabel *l, size_t i)
{
    return (struct str *)(void *)((char *)l + texts[i].offset);
}

int factlabel_word(const char *const *list, struct str word)
{
    for (int i = 0; list[i]; i++)
        if (str_eqz(word, list[i])) return i;
    return -1;
}

/* ---- checks, shared by reader and writer */
static bool on_boundary(struct str text, uint32_t at)
{
    return at == text.n || ((unsigned char)text.p[at] & 0xc0) != 0x80;
}

static bool check_span(struct factlabel_span s, struct str text, const char *key, struct err *e)
{
    if (!s.given) return true;
    if (s.from > s.to || s.to > text.n)
        return err_set(e, ERR_FORMAT, "%s [%u, %u] lies outside its text of %zu bytes", key, s.from,
                       s.to, text.n);
    return (on_boundary(text, s.from) && on_boundary(text, s.to)) ||
           err_set(e, ERR_FORMAT, "%s [%u, %u] cuts a character", key, s.from, s.to);
}

static bool check_error(const struct factlabel *l, const struct factlabel_error *x, struct err *e)
{
    CHECK(x->type >= 0 && x->type < FACTLABEL_TYPES);
    CHECK(x->significance >= 0 && x->significance < FACTLABEL_SIGNIFICANCES);
    CHECK(x->support >= 0 && x->support < FACTLABEL_SUPPORTS);
    if (x->note.n > NOTE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a note of %zu bytes, at most %d are kept", x->note.n,
                       NOTE_MAX_BYTES);
    return check_span(x->gen, l->generated, "gen_span", e) &&
           check_span(x->ref, l->reference, "ref_span", e) &&
           check_span(x->src, l->findings, "src_span", e);
}

bool factlabel_check(const struct factlabel *l, struct err *e)
{
    struct factlabel copy = *l;

    for (size_t i = 0; i < NTEXTS; i++) {
        size_t n = text_at(&copy, i)->n;
        if (n == 0 && texts[i].needed && texts[i].max_bytes)
            return err_set(e, ERR_FORMAT, "\"%s\" is empty", texts[i].key);
        if (texts[i].max_bytes && n > texts[i].max_bytes)
            return err_set(e, ERR_LIMIT, "\"%s\" has %zu bytes, at most %zu are read", texts[i].key,
                           n, texts[i].max_bytes);
    }
    if (l->overall < 1 || l->overall > FACTLABEL_GRADES)
        return err_set(e, ERR_FORMAT, "\"overall\" is %d: 1 to 5 are grades", l->overall);
    for (int i = 0; i < FACTLABEL_SCALES; i++)
        if (l->scales[i] < 0 || l->scales[i] > FACTLABEL_GRADES)
            return err_set(e, ERR_FORMAT, "\"%s\" is %d: 1 to 5 are grades", factlabel_scales[i],
                           l->scales[i]);
    if (!(l->seconds >= 0 && isfinite(l->seconds)))
        return err_set(e, ERR_FORMAT, "\"seconds\" is no time");
    if (l->nerrors > FACTLABEL_ERRORS_MAX)
        return err_set(e, ERR_LIMIT, "%zu errors in one label, at most %d are read", l->nerrors,
                       FACTLABEL_ERRORS_MAX);
    for (size_t i = 0; i < l->nerrors; i++)
        if (!check_error(l, &l->errors[i], e)) return err_wrap(e, "error %zu", i);
    return true;
}

/* ---- reading */
static bool get_text(const json_t *obj, const char *key, bool needed, struct arena *a,
                     struct str *out, struct err *e)
{
    json_t *v = json_object_get(obj, key);

    *out = STR("");
    if (!v || json_is_null(v))
        return !needed || err_set(e, ERR_FORMAT, "\"%s\" is missing: a text is needed", key);
    if (!json_is_string(v)) return err_set(e, ERR_FORMAT, "\"%s\" is not a text", key);
    struct str s = {json_string_value(v), json_string_length(v)};
    return s.n == 0 || arena_str(a, s, out, e);
}

static bool get_word(const json_t *obj, const char *key, const char *const *list, int *out,
                     struct err *e)
{
    struct str word;

    if (!json_get_str(obj, key, &word, e)) return false;
    *out = factlabel_word(list, word);
    return *out >= 0 || err_set(e, ERR_FORMAT, "\"%s\" is none of the words it may be", key);
}

static bool get_grade(const json_t *obj, const char *key, int *out, struct err *e)
{
    json_t *v = json_object_get(obj, key);
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < 1 || n > FACTLABEL_GRADES)
        return err_set(e, ERR_FORMAT, "\"%s\" is no whole number from 1 to 5", key);
    *out = (int)n;
    return true;
}

static bool get_span(const json_t *obj, const char *key, struct factlabel_span *out, struct err *e)
{
    json_t *v = json_object_get(obj, key);
    json_int_t from, to;

    if (!v || json_is_null(v)) return true;
    if (json_array_size(v) != 2 || !json_is_integer(json_array_get(v, 0)) ||
        !json_is_integer(json_array_get(v, 1)))
        return err_set(e, ERR_FORMAT, "\"%s\" is not [from, to]", key);
    from = json_integer_value(json_array_get(v, 0));
    to = json_integer_value(json_array_get(v, 1));
    if (from < 0 || to < from || to > FACTLABEL_LINE_MAX_BYTES)
        return err_set(e, ERR_FORMAT, "\"%s\" is not an ascending pair of byte offsets", key);
    *out = (struct factlabel_span){true, (uint32_t)from, (uint32_t)to};
    return true;
}

static bool error_of(const json_t *obj, struct arena *a, struct factlabel_error *x, struct err *e)
{
    json_t *support = json_object_get(obj, "support");

    if (!json_is_object(obj)) return err_set(e, ERR_FORMAT, "not a JSON object");
    if (support && !json_is_null(support) &&
        !get_word(obj, "support", factlabel_supports, &x->support, e))
        return false;
    return get_word(obj, "type", factlabel_types, &x->type, e) &&
           get_word(obj, "significance", factlabel_significances, &x->significance, e) &&
           get_span(obj, "gen_span", &x->gen, e) && get_span(obj, "ref_span", &x->ref, e) &&
           get_span(obj, "src_span", &x->src, e) && get_text(obj, "note", false, a, &x->note, e);
}

static bool get_errors(const json_t *obj, struct arena *a, struct factlabel *l, struct err *e)
{
    json_t *list;

    if (!json_get_arr(obj, "errors", &list, e)) return false;
    l->nerrors = json_array_size(list);
    if (l->nerrors > FACTLABEL_ERRORS_MAX)
        return err_set(e, ERR_LIMIT, "%zu errors in one label, at most %d are read", l->nerrors,
                       FACTLABEL_ERRORS_MAX);
    if (l->nerrors == 0) return true;
    l->errors = arena_alloc(a, l->nerrors * sizeof *l->errors, e);
    if (!l->errors) return false;
    for (size_t i = 0; i < l->nerrors; i++)
        if (!error_of(json_array_get(list, i), a, &l->errors[i], e))
            return err_wrap(e, "error %zu", i);
    return true;
}

static bool get_scales(const json_t *obj, struct factlabel *l, struct err *e)
{
    json_t *map = json_object_get(obj, "scales");

    if (!map || json_is_null(map)) return true;
    if (!json_is_object(map)) return err_set(e, ERR_FORMAT, "\"scales\" is not an object");
    for (int i = 0; i < FACTLABEL_SCALES; i++)
        if (json_object_get(map, factlabel_scales[i]) &&
            !get_grade(map, factlabel_scales[i], &l->scales[i], e))
            return false;
    return true;
}

static bool get_numbers(const json_t *obj, struct factlabel *l, struct err *e)
{
    json_t *seed = json_object_get(obj, "order_seed"), *s = json_object_get(obj, "seconds");

    if (seed && !json_get_u64(obj, "order_seed", &l->order_seed, e)) return false;
    if (s && !json_get_f64(obj, "seconds", &l->seconds, e)) return false;
    return get_grade(obj, "overall", &l->overall, e);
}

struct reading {
    struct arena *a;
    struct factlabel *v;
};

static bool take(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    struct reading *r = ctx;
    struct factlabel *l = &r->v[index];
    struct str format;

    if (!json_get_str(obj, "format", &format, e)) return false;
    if (!str_eqz(format, FACTLABEL_FORMAT))
        return err_set(e, ERR_FORMAT, "its format is not %s", FACTLABEL_FORMAT);
    for (size_t i = 0; i < NTEXTS; i++)
        if (!get_text(obj, texts[i].key, texts[i].needed, r->a, text_at(l, i), e)) return false;
    return get_errors(obj, r->a, l, e) && get_scales(obj, l, e) && get_numbers(obj, l, e) &&
           factlabel_check(l, e);
}

bool factlabel_parse(struct str text, const char *name, struct arena *a, struct factlabel **out,
                     size_t *n, struct err *e)
{
    struct reading r = {.a = a};
    size_t count = jsonl_count(text);

    *out = NULL;
    *n = 0;
    if (count > FACTLABEL_MAX)
        return err_set(e, ERR_LIMIT, "%s: %zu lines, at most %d are read", name, count,
                       FACTLABEL_MAX);
    r.v = arena_alloc(a, (count + 1) * sizeof *r.v, e);
    if (!r.v || !jsonl_each(text, name, FACTLABEL_LINE_MAX_BYTES, take, &r, e)) return false;
    *out = r.v;
    *n = count;
    return true;
}

bool factlabel_read(const char *path, struct arena *a, struct factlabel **out, size_t *n,
                    struct err *e)
{
    struct fs_map map;

    *out = NULL;
    *n = 0;
    if (!fs_map_open(path, &map, e)) return false;
    bool ok = factlabel_parse((struct str){(const char *)map.p, map.n}, path, a, out, n, e);
    fs_map_close(&map);
    return ok;
}

/* ---- writing */
static bool put_span(struct sbuf *b, const char *key, struct factlabel_span s, struct err *e)
{
    return !s.given || sbuf_printf(b, e, ", \"%s\": [%u, %u]", key, s.from, s.to);
}

static bool put_error(struct sbuf *b, const struct factlabel_error *x, struct err *e)
{
    if (!sbuf_printf(b, e, "{\"type\": \"%s\", \"significance\": \"%s\"", factlabel_types[x->type],
                     factlabel_significances[x->significance]))
        return false;
    if (x->support && !sbuf_printf(b, e, ", \"support\": \"%s\"", factlabel_supports[x->support]))
        return false;
    if (!put_span(b, "gen_span", x->gen, e) || !put_span(b, "ref_span", x->ref, e) ||
        !put_span(b, "src_span", x->src, e))
        return false;
    if (x->note.n > 0 &&
        !(sbuf_put(b, STR(", \"note\": "), e) && json_put_str(b, x->note, false, e)))
        return false;
    return sbuf_putc(b, '}', e);
}

static bool put_scales(struct sbuf *b, const struct factlabel *l, struct err *e)
{
    bool any = false;

    for (int i = 0; i < FACTLABEL_SCALES; i++) {
        if (l->scales[i] == 0) continue;
        if (!sbuf_printf(b, e, "%s\"%s\": %d", any ? ", " : ", \"scales\": {", factlabel_scales[i],
                         l->scales[i]))
            return false;
        any = true;
    }
    return !any || sbuf_putc(b, '}', e);
}

static bool put_texts(struct sbuf *b, const struct factlabel *l, struct err *e)
{
    struct factlabel copy = *l;

    for (size_t i = 0; i < NTEXTS; i++) {
        struct str text = *text_at(&copy, i);
        if (text.n == 0 && !texts[i].needed) continue;
        if (!sbuf_printf(b, e, ", \"%s\": ", texts[i].key) || !json_put_str(b, text, false, e))
            return false;
    }
    return true;
}

bool factlabel_put(struct sbuf *b, const struct factlabel *l, struct err *e)
{
    if (!factlabel_check(l, e)) return false;
    if (!sbuf_put(b, STR("{\"format\": \"" FACTLABEL_FORMAT "\""), e) || !put_texts(b, l, e) ||
        !sbuf_printf(b, e, ", \"order_seed\": %llu, \"errors\": [",
                     (unsigned long long)l->order_seed))
        return false;
    for (size_t i = 0; i < l->nerrors; i++)
        if ((i > 0 && !sbuf_put(b, STR(", "), e)) || !put_error(b, &l->errors[i], e)) return false;
    return sbuf_printf(b, e, "], \"overall\": %d", l->overall) && put_scales(b, l, e) &&
           sbuf_put(b, STR(", \"seconds\": "), e) && sbuf_put_f64(b, l->seconds, e) &&
           sbuf_putc(b, '}', e);
}

/* ---- one label a rater and pair */
static int by_key(const struct factlabel *a, const struct factlabel *b)
{
    int c = str_cmp(a->id, b->id);

    if (c == 0) c = str_cmp(a->system, b->system);
    return c ? c : str_cmp(a->rater, b->rater);
}

/* Labels of one key together, in the order of the file. */
static int by_key_then_place(const void *x, const void *y)
{
    const struct factlabel *a = *(const struct factlabel *const *)x;
    const struct factlabel *b = *(const struct factlabel *const *)y;
    int c = by_key(a, b);

    return c ? c : (a > b) - (a < b);
}

bool factlabel_latest(struct factlabel *v, size_t *n, struct err *e)
{
    struct factlabel **order = mem_calloc(*n + 1, sizeof *order, e);
    bool *drop = order ? mem_calloc(*n + 1, sizeof *drop, e) : NULL;
    size_t kept = 0;
    bool ok = drop != NULL;

    for (size_t i = 0; ok && i < *n; i++)
        order[i] = &v[i];
    if (ok) qsort(order, *n, sizeof *order, by_key_then_place);
    for (size_t first = 0, i = 0; ok && i < *n; i++) {
        if (i == 0 || by_key(order[i], order[i - 1]) != 0) {
            first = i;
            continue;
        }
        *order[first] = *order[i]; /* the place of the first, the words of the last */
        drop[order[i] - v] = true;
    }
    for (size_t i = 0; ok && i < *n; i++)
        if (!drop[i]) v[kept++] = v[i];
    if (ok) *n = kept;
    mem_free(drop);
    mem_free(order);
    return ok;
}
