#include "base/base_test.h"

#include <math.h>

#include "base/opt.h"
#include "base/rng.h"

struct item {
    const char *name, *path;
    uint32_t n;
};
struct inner {
    bool on;
    struct opt_strs words;
};
struct all {
    bool b;
    uint32_t u32;
    uint64_t u64;
    double f64;
    const char *str, *path;
    int word;
    struct opt_strs strs;
    struct opt_every every;
    struct opt_list list;
    struct inner map;
    const struct opt_node *node;
};

static const char *const words[] = {"plain", "two words", "no", NULL};
static const struct opt item_table[] = {
    OPT_STRING(struct item, name, "x", "name"),
    OPT_PATH(struct item, path, NULL, "path"),
    OPT_U32(struct item, n, 3, 0, 4294967295.0, "number"),
    OPT_END,
};
static const struct opt inner_table[] = {
    OPT_BOOL(struct inner, on, true, "on"),
    OPT_STRS(struct inner, words, "[a]", "words"),
    OPT_END,
};
static const struct opt table[] = {
    OPT_BOOL(struct all, b, true, "a switch"),
    OPT_U32(struct all, u32, 16, 0, 4294967295.0, "a number"),
    OPT_U64(struct all, u64, 1, 0, 18446744073709551615.0, "a big number"),
    OPT_F64(struct all, f64, 2e-4, -1e308, 1e308, "a real"),
    OPT_STRING(struct all, str, "text", "a text"),
    OPT_PATH(struct all, path, "p", "a path"),
    OPT_ENUM(struct all, word, "plain", words, "a word"),
    OPT_STRS(struct all, strs, "[a, b]", "words"),
    OPT_EVERY(struct all, every, "500 steps", "how often"),
    OPT_LIST(struct all, list, struct item, item_table, "items"),
    OPT_MAP(struct all, map, struct inner, inner_table, "more"),
    OPT_NODE(struct all, node, "raw"),
    OPT_END,
};

/* ---- random options */

static struct rng_key key;
static uint64_t drawn;

static uint64_t below(uint64_t n)
{
    return rng_below(key, drawn++, n);
}

/* Text of pieces that YAML finds hard. */
static const char *any_text(struct arena *a, bool may_be_null)
{
    static const char *const pieces[] = {"a",
                                         "B7",
                                         " ",
                                         "  ",
                                         ":",
                                         ": ",
                                         " #",
                                         "#",
                                         "-",
                                         "- ",
                                         "\"",
                                         "'",
                                         "\\",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         "&",
                                         "*",
                                         "!",
                                         "|",
                                         ">",
                                         "%",
                                         "@",
                                         "`",
                                         "\n",
                                         "\t",
                                         "\r",
                                         "\x01",
                                         "\x7f",
                                         "null",
                                         "~",
                                         "true",
                                         "1e5",
                                         "${",
                                         "$",
                                         "$$",
                                         "}",
                                         "\xc2\x85",
                                         "\xc3\xa9",
                                         "\xe2\x80\xa8",
                                         "\xef\xbb\xbf",
                                         "\xef\xbf\xbe",
                                         "\xf0\x9f\x98\x80",
                                         "\xc2\xa0",
                                         "---",
                                         "...",
                                         "=",
                                         "?",
                                         "? ",
                                         "/",
                                         "<<"};
    struct err e = {0};
    char buf[400] = "";
    struct str out;
    if (may_be_null && below(8) == 0) return NULL;
    for (uint64_t n = below(9); n > 0; n--)
        strcat(buf, pieces[below(sizeof pieces / sizeof *pieces)]);
    OK(arena_str(a, str_of(buf), &out, &e));
    return out.p;
}

static const char *any_path(struct arena *a)
{
    struct err e = {0};
    const char *tail = any_text(a, true);
    char buf[500];
    struct str out;
    if (!tail) return NULL;
    snprintf(buf, sizeof buf, "/root%s", tail[0] ? "/x" : "");
    for (const char *p = tail; *p; p++) /* as resolving leaves it: no empty and no "." part */
        if (*p != '/' && *p != '.') strncat(buf, p, 1);
    OK(arena_str(a, str_of(buf), &out, &e));
    return out.p;
}

static struct opt_strs any_strs(struct arena *a)
{
    struct err e = {0};
    size_t n = (size_t)below(4);
    const char **v = arena_alloc(a, n * sizeof *v, &e);
    for (size_t i = 0; i < n; i++)
        v[i] = any_text(a, false);
    return (struct opt_strs){v, n};
}

static double any_double(void)
{
    if (below(2)) return (double)(int64_t)below(2000) / 8 - 100;
    double v;
    do {
        uint64_t bits = rng_u64(key, drawn++);
        memcpy(&v, &bits, sizeof v);
    } while (!(fabs(v) <= 1e308));
    return v;
}

static void any_options(struct all *o, struct arena *a)
{
    struct err e = {0};
    static const enum opt_unit units[] = {OPT_NEVER, OPT_STEPS, OPT_EPOCHS, OPT_MINUTES};
    enum opt_unit unit = units[below(4)];
    double n = unit == OPT_NEVER   ? 0
               : unit == OPT_STEPS ? 1 + (double)below(100000)
                                   : fabs(any_double()) + 1e-9;
    *o = (struct all){.b = below(2),
                      .u32 = (uint32_t)below(1ull << 32),
                      .u64 = rng_u64(key, drawn++),
                      .f64 = any_double(),
                      .str = any_text(a, true),
                      .path = any_path(a),
                      .word = (int)below(3),
                      .strs = any_strs(a),
                      .every = {n, unit}};
    o->list.n = (size_t)below(4);
    struct item *items = arena_alloc(a, o->list.n * sizeof *items, &e);
    for (size_t i = 0; i < o->list.n; i++)
        items[i] = (struct item){any_text(a, true), any_path(a), (uint32_t)below(99)};
    o->list.items = items;
    o->map = (struct inner){below(2), any_strs(a)};
}

/* ---- comparing */

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool same_strs(const struct opt_strs *a, const struct opt_strs *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!same_text(a->v[i], b->v[i])) return false;
    return true;
}

static bool same(const struct all *a, const struct all *b)
{
    const struct item *x = a->list.items, *y = b->list.items;
    if (a->b != b->b || a->u32 != b->u32 || a->u64 != b->u64 || a->f64 != b->f64) return false;
    if (!same_text(a->str, b->str) || !same_text(a->path, b->path) || a->word != b->word)
        return false;
    if (!same_strs(&a->strs, &b->strs) || a->every.n != b->every.n ||
        a->every.unit != b->every.unit)
        return false;
    if (a->map.on != b->map.on || !same_strs(&a->map.words, &b->map.words)) return false;
    if (a->list.n != b->list.n) return false;
    for (size_t i = 0; i < a->list.n; i++)
        if (!same_text(x[i].name, y[i].name) || !same_text(x[i].path, y[i].path) ||
            x[i].n != y[i].n)
            return false;
    return true;
}

static void dump_parse_bind_is_the_same(void **state)
{
    (void)state;
    for (uint64_t turn = 0; turn < 1500; turn++) {
        struct err e = {0};
        struct arena a;
        struct sbuf b, again;
        struct all in, out;
        struct opt_doc d;
        arena_init(&a, 8 << 20);
        sbuf_init(&b, 1 << 20);
        sbuf_init(&again, 1 << 20);
        key = rng_key(1, RNG_TEST, turn);
        drawn = 0;
        any_options(&in, &a);
        OK(opt_dump("train", table, &in, &b, &e));
        if (!opt_doc_parse(sbuf_str(&b), "dump", NULL, 0, NULL, &a, &d, &e) ||
            !opt_bind(&d, "train", table, &out, &e))
            fail_msg("turn %d: %s in\n%s", (int)turn, e.text, b.p);
        if (!same(&in, &out)) fail_msg("turn %d: not the same after\n%s", (int)turn, b.p);
        OK(opt_dump("train", table, &out, &again, &e));
        assert_string_equal(b.p, again.p);
        sbuf_free(&b);
        sbuf_free(&again);
        arena_free(&a);
    }
}

static void nodes_come_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    struct sbuf b;
    struct opt_doc d;
    struct all o;
    arena_init(&a, 8 << 20);
    sbuf_init(&b, 1 << 20);
    const char *yaml =
        "train: {node: {train.lr: {log_uniform: [1.0e-5, -1]}, 'a b': [null, ~, \"5\", "
        "'x, y', [], {}], k: two words, '${k}': '$${v}'}}";
    OK(opt_doc_parse(str_of(yaml), "f", NULL, 0, NULL, &a, &d, &e));
    OK(opt_bind(&d, "train", table, &o, &e));
    OK(opt_dump("train", table, &o, &b, &e));
    assert_non_null(strstr(b.p,
                           "  node: {train.lr: {log_uniform: [1.0e-5, -1]}, \"a b\": [null, null, "
                           "\"5\", \"x, y\", [], {}], k: \"two words\", \"${k}\": \"$${v}\"}\n"));
    sbuf_free(&b);
    arena_free(&a);
}

static void layout(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    struct item items[2] = {{"one", NULL, 1}, {"a: b", "/p q", 2}};
    const char *v[] = {"x", "", "null"};
    struct all o = {
        .f64 = 0.1, .str = "a\"b", .word = 1, .strs = {v, 3}, .every = {0.25, OPT_EPOCHS}};
    o.list = (struct opt_list){items, 2};
    sbuf_init(&b, 1 << 20);
    OK(opt_dump("t", table, &o, &b, &e));
    assert_string_equal(b.p, "t:\n"
                             "  b: false\n"
                             "  u32: 0\n"
                             "  u64: 0\n"
                             "  f64: 0.1\n"
                             "  str: \"a\\\"b\"\n"
                             "  path: null\n"
                             "  word: \"two words\"\n"
                             "  strs: [x, \"\", \"null\"]\n"
                             "  every: 0.25 epoch\n"
                             "  list:\n"
                             "    - name: one\n"
                             "      path: null\n"
                             "      n: 1\n"
                             "    - name: \"a: b\"\n"
                             "      path: \"/p q\"\n"
                             "      n: 2\n"
                             "  map:\n"
                             "    on: false\n"
                             "    words: []\n"
                             "  node: null\n");
    sbuf_clear(&b);
    o.str = "\xff";
    FAILS(opt_dump("t", table, &o, &b, &e), ERR_FORMAT, "not UTF-8");
    sbuf_free(&b);
}

static void help(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    sbuf_init(&b, 1 << 20);
    OK(opt_help("train", table, &b, &e));
    assert_non_null(strstr(b.p, "train.b: true or false (default: true)\n    a switch\n"));
    assert_non_null(strstr(b.p, "train.u32: whole number, 0 to 4294967295 (default: 16)\n"));
    assert_non_null(strstr(b.p, "train.word: plain | two words | no (default: plain)\n"));
    assert_non_null(
        strstr(b.p, "train.list: list, each element with:\n    items\n    name: text (default: x)\n"
                    "        name\n"));
    assert_non_null(
        strstr(b.p, "train.map: with:\n    more\n    on: true or false (default: true)\n"));
    sbuf_free(&b);
}

static void assert_diff(const char *a, const char *b, const char *want)
{
    struct err e = {0};
    struct arena arena;
    struct sbuf out;
    arena_init(&arena, 8 << 20);
    sbuf_init(&out, 1000);
    OK(opt_diff(str_of(a), str_of(b), &arena, &out, &e));
    assert_string_equal(out.p ? out.p : "", want);
    sbuf_free(&out);
    arena_free(&arena);
}

static void differences(void **state)
{
    (void)state;
    assert_diff("train: {lr: 1, rank: 2}", "train: {rank: 2, lr: 1}", "");
    assert_diff("train: {lr: 1, rank: 2}", "train: {lr: 2, rank: 3}", "train.lr, train.rank");
    assert_diff("train: {lr: 1}\nlora: {r: 1}", "train: {lr: 1, x: 2}", "train.x, lora");
    assert_diff("s: {l: [{a: 1}, {a: 2}]}", "s: {l: [{a: 1}, {a: 3}]}", "s.l[1].a");
    assert_diff("s: {l: [1, 2]}", "s: {l: [1]}", "s.l");
    assert_diff("s: {l: [1, 2]}", "s: {l: {a: 1}}", "s.l");
    assert_diff("s: {l: null}", "s: {l: 'null'}", "s.l");
    assert_diff("s: {l: null}", "s: {l: ~}", "s.l");
    assert_diff("", "s: {}", "everything");
    assert_diff("", "", "");
    struct err e = {0};
    struct arena arena;
    struct sbuf out;
    arena_init(&arena, 8 << 20);
    sbuf_init(&out, 1000);
    FAILS(opt_diff(STR("a: ["), STR(""), &arena, &out, &e), ERR_CONFIG, "first:2");
    arena_free(&arena);
    sbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dump_parse_bind_is_the_same),
        TEST(nodes_come_back),
        TEST(layout),
        TEST(help),
        TEST(differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
