#include "base/base_test.h"

#include <math.h>

#include "base/opt.h"

struct source {
    const char *name, *path;
    int format;
    uint32_t limit;
};
struct inner {
    bool on;
    double share;
};
struct stage {
    struct opt_list sources;
    struct inner inner;
    struct opt_strs words;
    struct opt_every every;
    const struct opt_node *raw;
    uint64_t big;
    const char *text, *dir, *shape;
    double lr;
};

static const char *const formats[] = {"csv", "jsonl", "hl7", NULL};
static const struct opt source_table[] = {
    OPT_STRING(struct source, name, NULL, "what to call it"),
    OPT_PATH(struct source, path, NULL, "where it is"),
    OPT_ENUM(struct source, format, "jsonl", formats, "what it is"),
    OPT_U32(struct source, limit, 16, 0, 4294967295.0, "how much of it"),
    OPT_END,
};
static const struct opt inner_table[] = {
    OPT_BOOL(struct inner, on, true, "whether"),
    OPT_F64(struct inner, share, 2e-4, -1, 1, "how much"),
    OPT_END,
};
static const char *const shapes[] = {"plain", "round", NULL};
static const struct opt stage_table[] = {
    OPT_LIST(struct stage, sources, struct source, source_table, "the sources"),
    OPT_MAP(struct stage, inner, struct inner, inner_table, "nested"),
    OPT_STRS(struct stage, words, "[a, b]", "some words"),
    OPT_EVERY(struct stage, every, "10 min", "how often"),
    OPT_NODE(struct stage, raw, "as it stands"),
    OPT_U64(struct stage, big, 18446744073709551615, 1, 18446744073709551615.0, "a count"),
    OPT_STRING(struct stage, text, "two words", "any text"),
    OPT_PATH(struct stage, dir, "work/run", "a folder"),
    OPT_PATH_OR(struct stage, shape, "plain", shapes, "a known shape or a file"),
    OPT_F64(struct stage, lr, 2e-4, 0.0, 1.0, "peak learning rate"),
    OPT_END,
};

static struct arena arena;
static struct opt_doc doc;
static struct stage got;

static int opt_setup(void **state)
{
    int rc = live_setup(state);
    arena_init(&arena, 64 << 20);
    return rc;
}

static int opt_teardown(void **state)
{
    arena_free(&arena);
    return live_teardown(state);
}

#define OPT_TEST(f) cmocka_unit_test_setup_teardown(f, opt_setup, opt_teardown)

static const char *env(const char *name)
{
    if (strcmp(name, "HOME_DIR") == 0) return "/home/x";
    if (strcmp(name, "TRICKY") == 0) return "a: [b, ${HOME_DIR}]";
    if (strcmp(name, "LATIN") == 0) return "caf\xe9";
    return NULL;
}

static bool load(const char *yaml, const char *const *sets, size_t nsets, struct err *e)
{
    return opt_doc_parse(str_of(yaml), "/etc/radmill/x.yaml", sets, nsets, env, &arena, &doc, e) &&
           opt_bind(&doc, "s", stage_table, &got, e);
}

static bool load_set(const char *yaml, const char *set, struct err *e)
{
    return load(yaml, &set, 1, e);
}

static void defaults(void **state)
{
    (void)state;
    struct err e = {0};
    OK(load("", NULL, 0, &e));
    assert_int_equal(got.sources.n, 0);
    assert_true(got.inner.on && got.inner.share == 2e-4 && got.lr == 2e-4);
    assert_int_equal(got.words.n, 2);
    assert_string_equal(got.words.v[1], "b");
    assert_true(got.every.unit == OPT_MINUTES && got.every.n == 10);
    assert_null(got.raw);
    assert_true(got.big == UINT64_MAX);
    assert_string_equal(got.text, "two words");
    assert_string_equal(got.dir, "/etc/radmill/work/run");
    assert_string_equal(got.shape, "plain");
    OK(load("s: {shape: round}\n", NULL, 0, &e));
    assert_string_equal(got.shape, "round"); /* a word is no path */
    OK(load("s: {shape: square.txt}\n", NULL, 0, &e));
    assert_string_equal(got.shape, "/etc/radmill/square.txt");
    OK(load("s:\n", NULL, 0, &e)); /* an empty section */
    struct stage only;
    memset(&only, 0xee, sizeof only);
    OK(opt_defaults(stage_table, &arena, &only, &e));
    assert_true(only.big == UINT64_MAX && only.sources.n == 0 && !only.raw);
    assert_int_equal(only.dir[0], '/'); /* below the working directory */
}

static void values(void **state)
{
    (void)state;
    struct err e = {0};
    OK(load("s:\n"
            "  sources:\n"
            "    - {name: one, path: \"dumps/*.csv.gz\", format: csv, limit: 7}\n"
            "    - name: two\n"
            "      path: /abs/./x//y/../z\n"
            "  inner: {on: no, share: -1.5e-1}\n"
            "  words: single\n"
            "  every: 0.25 epoch\n"
            "  raw: {train.lr: {log_uniform: [1.0e-5, 1.0e-3]}}\n"
            "  big: 12\n"
            "  text: 'it''s ${HOME_DIR} and $${HOME_DIR}'\n"
            "  dir: ../up\n"
            "  lr: 1\n",
            NULL, 0, &e));
    const struct source *s = got.sources.items;
    assert_int_equal(got.sources.n, 2);
    assert_string_equal(s[0].path, "/etc/radmill/dumps/*.csv.gz");
    assert_int_equal(s[0].format, 0);
    assert_int_equal(s[0].limit, 7);
    assert_string_equal(s[1].name, "two");
    assert_string_equal(s[1].path, "/abs/x/y/../z");
    assert_int_equal(s[1].format, 1);
    assert_int_equal(s[1].limit, 16);
    assert_true(!got.inner.on && got.inner.share == -0.15 && got.lr == 1);
    assert_int_equal(got.words.n, 1);
    assert_string_equal(got.words.v[0], "single");
    assert_true(got.every.unit == OPT_EPOCHS && got.every.n == 0.25);
    const struct opt_node *lr = opt_node_get(got.raw, "train.lr");
    assert_non_null(lr);
    assert_int_equal(opt_node_get(lr, "log_uniform")->n, 2);
    assert_string_equal(got.text, "it's /home/x and ${HOME_DIR}");
    assert_string_equal(got.dir, "/etc/radmill/../up");
}

static void nulls(void **state)
{
    (void)state;
    struct err e = {0};
    OK(load("s: {text: , dir: ~, words: null, sources: null, raw: ~}", NULL, 0, &e));
    assert_true(!got.text && !got.dir && !got.raw && got.words.n == 0 && got.sources.n == 0);
    OK(load("s: {text: '', dir: \"null\"}", NULL, 0, &e));
    assert_string_equal(got.text, "");
    assert_string_equal(got.dir, "/etc/radmill/null");
    FAILS(load("s: {big: }", NULL, 0, &e), ERR_CONFIG, "s.big must be a whole number");
    FAILS(load("s: {inner: {on: null}}", NULL, 0, &e), ERR_CONFIG, "s.inner.on must be true");
}

static void every_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double n;
        enum opt_unit unit;
    } good[] = {{"500", 500, OPT_STEPS},          {"1 step", 1, OPT_STEPS},
                {"2e3 steps", 2000, OPT_STEPS},   {"1 epoch", 1, OPT_EPOCHS},
                {"2.5 epochs", 2.5, OPT_EPOCHS},  {"0.5 min", 0.5, OPT_MINUTES},
                {"10  minutes", 10, OPT_MINUTES}, {"never", 0, OPT_NEVER}};
    char yaml[100];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct err e = {0};
        snprintf(yaml, sizeof yaml, "s: {every: %s}", good[i].text);
        OK(load(yaml, NULL, 0, &e));
        assert_true(got.every.n == good[i].n && got.every.unit == good[i].unit);
    }
    static const char *const bad[] = {"0",   "-1 min", "0.5 steps", "10 hours",
                                      "min", "10min",  "",          "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        snprintf(yaml, sizeof yaml, "s: {every: '%s'}", bad[i]);
        FAILS(load(yaml, NULL, 0, &e), ERR_CONFIG, "s.every must be '500 steps'");
    }
}

/* ---- errors name file, line, key and cure */

static void bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } bad[] = {
        {"s:\n  lr: 3\n", "/etc/radmill/x.yaml:2: s.lr must be a number from 0 to 1, not '3'"},
        {"s:\n\n  lr: fast\n", "x.yaml:3: s.lr must be a number from 0 to 1, not 'fast'"},
        {"s: {lr: .inf}", "s.lr must be a number"},
        {"s: {lr: [1]}", "s.lr must be a number from 0 to 1, not a list"},
        {"s: {big: 0}", "s.big must be a whole number from 1 to 18446744073709551616, not '0'"},
        {"s: {big: 18446744073709551616}", "s.big must be a whole number"},
        {"s: {big: 1.0}", "s.big must be a whole number"},
        {"s: {inner: {on: maybe}}", "s.inner.on must be true or false, not 'maybe'"},
        {"s:\n  sources:\n  - {limit: 1}\n  - {limit: 4294967296}\n",
         "x.yaml:4: s.sources[1].limit"},
        {"s: {sources: {name: x}}", "s.sources must be a list, not a mapping"},
        {"s: {sources: [x]}", "s.sources[0] must be a mapping"},
        {"s: {sources: [{format: xml}]}",
         "s.sources[0].format must be one of csv, jsonl, hl7, not 'xml'"},
        {"s: {words: {a: b}}", "s.words must be a list of words"},
        {"s: {words: [a, [b]]}", "s.words must be a list of words"},
        {"s: {text: [a]}", "s.text must be text, not a list"},
        {"s: {inner: 5}", "s.inner must be a mapping"},
        {"s: [1]", "s must be a mapping"},
        {"s:\n  lrr: 1\n", "x.yaml:2: unknown key 's.lrr'; the nearest is 's.lr'"},
        {"s: {inner: {shared: 1}}", "unknown key 's.inner.shared'; the nearest is 's.inner.share'"},
        {"s: {text: '${NOPE}'}", "the environment variable NOPE is not set"},
        {"s: {text: '${no'}", "expected ${NAME}"},
        {"s: {text: '${}'}", "expected ${NAME}"},
        {"s: {text: '${LATIN}'}", "the environment variable LATIN is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        FAILS(load(bad[i].yaml, NULL, 0, &e), ERR_CONFIG, bad[i].want);
    }
}

static void bad_yaml(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } bad[] = {
        {"s:\n  lr: 1\n  lr: 2\n", "x.yaml:3: key 'lr' appears twice, first in line 2"},
        {"a: {b: 1\n", "x.yaml:2: "},
        {"a:\n\t- b\n", "x.yaml:2: "},
        {"a: *x\n", "x.yaml:1: anchors and aliases"},
        {"a: &x b\n", "x.yaml:1: anchors and aliases"},
        {"a: !!str b\n", "x.yaml:1: tags"},
        {"--- {}\n--- {}\n", "x.yaml:2: a second document"},
        {"- a\n", "x.yaml:1: sections"},
        {"word\n", "x.yaml:1: sections"},
        {"? [a]\n: b\n", "a key must be a word"},
        {"? {a: b}\n: c\n", "a key must be a word"},
        {"\"\": b\n", "an empty key"},
        {"a: \"x\\0y\"\n", "NUL"},
        {"a: \x01\n", "at byte 3: "},
        {"a: \xff\n", "at byte 3: "},
        {"include: {a: b}\n", "include: a list was expected"},
        {"include: [[a]]\n", "include: a file name was expected"},
        {"include: none.yaml\n", "x.yaml:1: include: cannot open /etc/radmill/none.yaml"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        FAILS(load(bad[i].yaml, NULL, 0, &e), ERR_CONFIG, bad[i].want);
    }
}

static void limits(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    sbuf_init(&b, 16 << 20);
    OK(sbuf_put(&b, STR("a: "), &e));
    for (int i = 0; i < 40; i++)
        OK(sbuf_putc(&b, '[', &e));
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "x.yaml:1: nested deeper than 32");
    sbuf_clear(&b);
    for (int i = 0; i < 5000; i++)
        OK(sbuf_printf(&b, &e, "k%d: 1\n", i));
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "x.yaml:4097: more than 4096 elements");
    sbuf_clear(&b);
    for (int i = 0; i < 30; i++) {
        OK(sbuf_printf(&b, &e, "k%d: [", i));
        for (int k = 0; k < 4000; k++)
            OK(sbuf_put(&b, STR("1,"), &e));
        OK(sbuf_put(&b, STR("]\n"), &e));
    }
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "more than 100000 values");
    sbuf_clear(&b);
    OK(sbuf_put(&b, STR("a: "), &e));
    for (int i = 0; i < 70000; i++)
        OK(sbuf_putc(&b, 'x', &e));
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "a value of more than 65536 bytes");
    sbuf_clear(&b);
    for (int i = 0; i < 300; i++)
        OK(sbuf_putc(&b, 'k', &e));
    OK(sbuf_put(&b, STR(": 1"), &e));
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "a key of more than 256 bytes");
    while (b.n < (5 << 20))
        OK(sbuf_put(&b, STR("# comment\n"), &e));
    FAILS(load(b.p, NULL, 0, &e), ERR_CONFIG, "longer than 4194304 bytes");
    sbuf_free(&b);
}

static void sections_are_checked(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const names[] = {"corpus", "shards", "train", NULL};
    OK(opt_doc_parse(STR("train: {}\ncorpus:\n"), "f", NULL, 0, NULL, &arena, &doc, &e));
    OK(opt_doc_sections(&doc, names, &e));
    assert_non_null(opt_doc_section(&doc, "train"));
    assert_null(opt_doc_section(&doc, "shards"));
    OK(opt_doc_parse(STR("train: {}\ntrian: {}\n"), "f", NULL, 0, NULL, &arena, &doc, &e));
    FAILS(opt_doc_sections(&doc, names, &e), ERR_CONFIG,
          "f:2: unknown section 'trian'; the nearest is 'train'");
}

/* ---- includes */

static void write_text(const char *name, const char *text)
{
    testdir_write(testdir_path(name), text, strlen(text));
}

static void includes(void **state)
{
    (void)state;
    struct err e = {0};
    char cmd[1200];
    snprintf(cmd, sizeof cmd, "mkdir '%s'", testdir_path("site"));
    assert_int_equal(system(cmd), 0);
    write_text("site/base.yaml", "s:\n  dir: out\n  lr: 0.1\n  inner: {on: false, share: 0.5}\n");
    write_text("site/more.yaml", "include: base.yaml\ns: {lr: 0.2, words: [x]}\nt: {}\n");
    write_text("main.yaml", "include: [site/more.yaml]\ns:\n  inner: {share: 0.75}\n");
    OK(opt_doc_load(testdir_path("main.yaml"), NULL, 0, NULL, &arena, &doc, &e));
    OK(opt_bind(&doc, "s", stage_table, &got, &e));
    assert_true(got.lr == 0.2 && !got.inner.on && got.inner.share == 0.75);
    assert_int_equal(got.words.n, 1);
    assert_string_equal(got.dir, testdir_path("site/out")); /* beside the file that names it */
    assert_non_null(opt_doc_section(&doc, "t"));
    assert_null(opt_doc_section(&doc, "include"));

    write_text("circle.yaml", "include: circle.yaml\n");
    FAILS(opt_doc_load(testdir_path("circle.yaml"), NULL, 0, NULL, &arena, &doc, &e), ERR_CONFIG,
          "/circle.yaml:1: include: nested deeper than 8");
    write_text("site/bad.yaml", "s:\n  lr: 9\n");
    write_text("main.yaml", "include: site/bad.yaml\n");
    OK(opt_doc_load(testdir_path("main.yaml"), NULL, 0, NULL, &arena, &doc, &e));
    FAILS(opt_bind(&doc, "s", stage_table, &got, &e), ERR_CONFIG, "/site/bad.yaml:2: s.lr");
    FAILS(opt_doc_load(testdir_path("none.yaml"), NULL, 0, NULL, &arena, &doc, &e), ERR_CONFIG,
          "cannot open");
}

/* ---- --set */

static void sets(void **state)
{
    (void)state;
    struct err e = {0};
    const char *yaml = "s:\n  sources: [{name: one}, {name: two.x, limit: 5}]\n"
                       "  raw: {train.lr: {min: 1}}\n";
    static const char *const all[] = {
        "s.lr=0.5",
        "s.inner.on=false",
        "s.words=[p, 'q r']",
        "s.sources.one.limit=1",
        "s.sources.two.x.limit=2",
        "s.sources.1.format=hl7",
        "s.sources.2.name=three",
        "s.sources.three.path=*.csv",
        "s.raw.train.lr.min=2",
        "s.raw.\"lora.rank\".max=3",
        "s.text=a: b, c=d",
        "s.lr=0.25",
    };
    OK(load(yaml, all, sizeof all / sizeof *all, &e));
    const struct source *s = got.sources.items;
    assert_true(got.lr == 0.25 && !got.inner.on);
    assert_int_equal(got.words.n, 2);
    assert_string_equal(got.words.v[1], "q r");
    assert_int_equal(got.sources.n, 3);
    assert_int_equal(s[0].limit, 1);
    assert_int_equal(s[1].limit, 2);
    assert_int_equal(s[1].format, 2);
    assert_string_equal(s[2].name, "three");
    char cwd[1024], want[1100];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(want, sizeof want, "%s/*.csv", cwd);
    assert_string_equal(s[2].path, want);
    const struct opt_node *lr = opt_node_get(got.raw, "train.lr");
    assert_true(str_eqz(opt_node_get(lr, "min")->scalar, "2"));
    assert_true(str_eqz(opt_node_get(opt_node_get(got.raw, "lora.rank"), "max")->scalar, "3"));
    assert_string_equal(got.text, "a: b, c=d");
    OK(load_set("", "s.inner.share=-1", &e)); /* the section itself is made */
    assert_true(got.inner.share == -1);
    OK(load_set("s: {inner: }", "s.inner.on=off", &e)); /* out of an empty value */
    assert_false(got.inner.on);
    OK(load_set("s: {text: x}", "s.text=", &e));
    assert_null(got.text);
    OK(load_set("", "s.text=${TRICKY}", &e)); /* a variable's value is text, never YAML */
    assert_string_equal(got.text, "a: [b, ${HOME_DIR}]");
}

static void bad_sets(void **state)
{
    (void)state;
    struct err e = {0};
    const char *yaml = "s: {sources: [{name: one}], lr: 1}";
    FAILS(load_set(yaml, "s.lr", &e), ERR_CONFIG, "--set s.lr: key.path=value was expected");
    FAILS(load_set(yaml, "s.text=caf\xe9", &e), ERR_CONFIG, "--set: text that is not UTF-8");
    FAILS(load_set(yaml, "=1", &e), ERR_CONFIG, "key.path=value was expected");
    FAILS(load_set(yaml, "s..lr=1", &e), ERR_CONFIG, "--set s..lr: an empty or unclosed key");
    FAILS(load_set(yaml, "s.=1", &e), ERR_CONFIG, "an empty or unclosed key");
    FAILS(load_set(yaml, "s.\"lr=1", &e), ERR_CONFIG, "an empty or unclosed key");
    FAILS(load_set(yaml, "s=", &e), ERR_CONFIG, "--set s: this would drop all that is set below");
    FAILS(load_set(yaml, "s.lr=2", &e), ERR_CONFIG, "--set: s.lr must be a number from 0 to 1");
    FAILS(load_set(yaml, "s.lrr=1", &e), ERR_CONFIG, "unknown key 's.lrr'; the nearest is 's.lr'");
    FAILS(load_set(yaml, "s.lr.x=1", &e), ERR_CONFIG, "'x' lies below a plain value");
    FAILS(load_set(yaml, "s.sources.uno.limit=1", &e), ERR_CONFIG, "no element is named 'uno'");
    FAILS(load_set(yaml, "s.sources.2.limit=1", &e), ERR_CONFIG, "element 2 of a list of 1");
    FAILS(load_set(yaml, "s.words=[a", &e), ERR_CONFIG, "--set s.words: --set: did not find");
    FAILS(
        load_set(yaml, "s.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.1.2.3.4.5.6.7=1", &e),
        ERR_CONFIG, "nested deeper than 32");
}

static bool work(struct err *e)
{
    struct arena a;
    struct stage out;
    struct opt_doc d;
    struct sbuf b, keys;
    static const char *const set[] = {"s.sources.2.limit=4", "s.text=${HOME_DIR}"};
    arena_init(&a, 8 << 20);
    sbuf_init(&b, 1 << 20);
    sbuf_init(&keys, 1 << 20);
    bool ok = opt_doc_load(testdir_path("m.yaml"), set, 2, env, &a, &d, e) &&
              opt_bind(&d, "s", stage_table, &out, e) && opt_dump("s", stage_table, &out, &b, e) &&
              opt_diff(sbuf_str(&b), STR("s: {lr: 7}"), &a, &keys, e) &&
              opt_help("s", stage_table, &b, e);
    sbuf_free(&keys);
    sbuf_free(&b);
    arena_free(&a);
    return ok;
}

static void nothing(bool ok)
{
    (void)ok;
}

static void faults(void **state)
{
    (void)state;
    write_text("inc.yaml", "s: {lr: 0.5}\n");
    write_text("m.yaml",
               "include: inc.yaml\ns: {sources: [{name: a}, {name: b}], raw: [1, {a: b}]}\n");
    for (int forever = 0; forever < 2; forever++) {
        assert_true(sweep(FAULT_MEM, forever, work, nothing, false) >= 3);
        assert_int_equal(sweep(FAULT_OPEN, forever, work, nothing, false), 2);
        assert_int_equal(sweep(FAULT_READ, forever, work, nothing, false), 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPT_TEST(defaults),    OPT_TEST(values),   OPT_TEST(nulls),
        OPT_TEST(every_forms), OPT_TEST(includes), OPT_TEST(bad_values),
        OPT_TEST(bad_yaml),    OPT_TEST(limits),   OPT_TEST(sections_are_checked),
        OPT_TEST(sets),        OPT_TEST(bad_sets), OPT_TEST(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
