#include "base/base_test.h"

#include "base/hash.h"
#include "base/json.h"

static json_t *parse(const char *text)
{
    struct err e = {0};
    json_t *j = NULL;
    OK(json_parse(str_of(text), "test", &j, &e));
    return j;
}

static void reads_members(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *j =
        parse("{\"s\": \"a\\u0000b\", \"n\": 5, \"neg\": -1, \"f\": 2.5, \"o\": {}, \"a\": []}");
    struct str s;
    uint64_t u;
    double f;
    json_t *sub;
    OK(json_get_str(j, "s", &s, &e));
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b", 3);
    OK(json_get_u64(j, "n", &u, &e));
    assert_int_equal(u, 5);
    OK(json_get_f64(j, "n", &f, &e));
    assert_true(f == 5);
    OK(json_get_f64(j, "f", &f, &e));
    assert_true(f == 2.5);
    OK(json_get_obj(j, "o", &sub, &e));
    OK(json_get_arr(j, "a", &sub, &e));
    FAILS(json_get_str(j, "x", &s, &e), ERR_FORMAT, "'x' is missing");
    FAILS(json_get_str(j, "n", &s, &e), ERR_FORMAT, "'n' must be a string");
    FAILS(json_get_u64(j, "neg", &u, &e), ERR_FORMAT, "'neg' must be a whole number");
    FAILS(json_get_u64(j, "f", &u, &e), ERR_FORMAT, "'f' must be a whole number");
    FAILS(json_get_f64(j, "s", &f, &e), ERR_FORMAT, "'s' must be a number");
    FAILS(json_get_obj(j, "a", &sub, &e), ERR_FORMAT, "'a' must be an object");
    FAILS(json_get_arr(j, "o", &sub, &e), ERR_FORMAT, "'o' must be an array");
    FAILS(json_get_arr(sub, "o", &sub, &e), ERR_FORMAT, "an object with 'o' was expected");
    json_decref(j);
}

static void errors_name_the_place_and_no_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"", "in:1:0: the text ends early"},
        {"{\"a\": 1,\n \"b\" 2}", "in:2:"},
        {"{\"a\": 1} x", "something follows the end"},
        {"{\"a\": 1, \"a\": 2}", "a key appears twice"},
        {"{\"a\": \"secret", "in:1:"},
        {"[1, 2,]", "not valid JSON"},
        {"[01]", "in:1:"},
        {"[nan]", "not valid JSON"},
        {"[\"\xff secret\"]", "not UTF-8"},
        {"[\"\\ud800 secret\"]", "in:1:"},
        {"[99999999999999999999]", "out of range"},
        {"[1e999]", "out of range"},
        {"{\"a\\u0000secret\": 1}", "NUL"},
        {"// secret\n1", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        json_t *j;
        if (json_parse(str_of(bad[i].text), "in", &j, &e)) fail_msg("%s was parsed", bad[i].text);
        assert_null(j);
        assert_int_equal(e.code, ERR_FORMAT);
        if (!strstr(e.text, bad[i].want)) fail_msg("'%s' lacks '%s'", e.text, bad[i].want);
        assert_null(strstr(e.text, "secret"));
    }
}

static void nesting_is_limited(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *j;
    char text[300], *p = text;
    for (int i = 0; i < 64; i++)
        *p++ = '[';
    for (int i = 0; i < 64; i++)
        *p++ = ']';
    *p = 0;
    OK(json_parse(str_of(text), "in", &j, &e));
    json_decref(j);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    FAILS(json_parse((struct str){text, 130}, "in", &j, &e), ERR_LIMIT, "in:1:65: nested deeper");
    j = parse(
        "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]");
    json_decref(j);
}

static void reads_files(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *j;
    testdir_write(testdir_path("a.json"), "{\"k\": [1]}", 10);
    OK(json_read_file(testdir_path("a.json"), 10, &j, &e));
    json_decref(j);
    FAILS(json_read_file(testdir_path("a.json"), 9, &j, &e), ERR_LIMIT, "limit of 9");
    FAILS(json_read_file(testdir_path("none"), 9, &j, &e), ERR_IO, "cannot open");
    testdir_write(testdir_path("b.json"), "{\"k\": [1}", 9);
    FAILS(json_read_file(testdir_path("b.json"), 100, &j, &e), ERR_FORMAT, "b.json:1:");
    static const char lfs[] = "version https://git-lfs.example/spec/v1\noid sha256:0\nsize 5\n";
    testdir_write(testdir_path("lfs.json"), lfs, sizeof lfs - 1);
    FAILS(json_read_file(testdir_path("lfs.json"), 100, &j, &e), ERR_FORMAT, "git-LFS pointer");
}

static void writes_sorted_and_indented(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *j = parse("{\"b\": [1, {\"y\": null, \"x\": true}], \"a\": \"\xc3\xa9\\n\", \"B\": {}, "
                      "\"c\": [], \"f\": 0.1, \"g\": 3.0, \"h\": 1e300, \"n\": -7}");
    OK(json_write_file(testdir_path("out.json"), j, &e));
    char *got = testdir_read(testdir_path("out.json"), NULL);
    /* json.dumps(sort_keys=True, indent=2, ensure_ascii=False) of Python, but for 1e300's "+" */
    assert_string_equal(got,
                        "{\n  \"B\": {},\n  \"a\": \"\xc3\xa9\\n\",\n  \"b\": [\n    1,\n    {\n"
                        "      \"x\": true,\n      \"y\": null\n    }\n  ],\n  \"c\": [],\n"
                        "  \"f\": 0.1,\n  \"g\": 3.0,\n  \"h\": 1e+300,\n  \"n\": -7\n}\n");
    json_t *back = parse(got);
    assert_true(json_equal(j, back));
    json_decref(back);
    json_decref(j);
    free(got);
}

static void writes_one_line(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    const char *text = "{\"z\":[1,2.5,false],\"a\":{\"k\":\"v\"}}";
    sbuf_init(&b, 1000);
    json_t *j = parse(text);
    OK(sbuf_put(&b, STR(">"), &e));
    OK(json_put(&b, j, &e));
    assert_string_equal(b.p + 1, text);
    json_decref(j);
    sbuf_free(&b);
    sbuf_init(&b, 10);
    j = parse(text);
    FAILS(json_put(&b, j, &e), ERR_LIMIT, "limit of 10");
    json_decref(j);
    sbuf_free(&b);
}

static void deep_trees_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    json_t *j = json_array();
    for (int i = 0; i < 70; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, j);
        j = outer;
    }
    sbuf_init(&b, 1000);
    FAILS(json_put(&b, j, &e), ERR_LIMIT, "nested deeper");
    sbuf_free(&b);
    json_decref(j);
}

/* Every Unicode scalar value through json.dumps(ensure_ascii=True) of Python 3.11.7:
 * tests/support/golden/json_strings.py. */
static void strings_as_python_writes_them(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf in, out;
    uint8_t digest[32];
    char hex[65];
    sbuf_init(&in, 8 << 20);
    sbuf_init(&out, 16 << 20);
    for (uint32_t c = 0; c < 0x110000; c++) {
        char u[4];
        size_t n = 0;
        if (c >= 0xd800 && c < 0xe000) continue;
        if (c < 0x80) {
            u[n++] = (char)c;
        } else {
            int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
            static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
            u[n++] = (char)(lead[tail] | c >> (6 * tail));
            while (tail-- > 0)
                u[n++] = (char)(0x80 | (c >> (6 * tail) & 0x3f));
        }
        OK(sbuf_put(&in, (struct str){u, n}, &e));
    }
    OK(json_put_str(&out, sbuf_str(&in), true, &e));
    assert_int_equal(out.n, 12963349);
    sha256_of(sbuf_str(&out), digest);
    hash_hex(digest, 32, hex);
    assert_string_equal(hex, "990d69fa67b7e2bf13ab781ecd44ff0fde2648926afe1ceed0d0710fa8ddaf0a");
    sbuf_clear(&out);
    OK(json_put_str(&out, STR("a\"\\/\b\f\n\r\t\x01\x7f \xc3\xa9\xf0\x9f\x98\x80"), true, &e));
    assert_string_equal(out.p, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f \\u00e9\\ud83d\\ude00\"");
    sbuf_clear(&out);
    OK(json_put_str(&out, STR("\x01\x7f\xc3\xa9\xf0\x9f\x98\x80"), false, &e));
    assert_string_equal(out.p, "\"\\u0001\x7f\xc3\xa9\xf0\x9f\x98\x80\"");
    sbuf_free(&in);
    sbuf_free(&out);
}

static void strings_must_be_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "ab\x80",         "ab\xc0\x80",         "ab\xc1\xbf",         "ab\xe0\x9f\xbf",
        "ab\xed\xa0\x80", "ab\xf0\x8f\xbf\xbf", "ab\xf4\x90\x80\x80", "ab\xf8\x88\x80\x80\x80",
        "ab\xc3",         "ab\xe2\x82",         "ab\xf0\x9f\x98",     "ab\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct sbuf b;
        sbuf_init(&b, 100);
        FAILS(json_put_str(&b, str_of(bad[i]), i % 2, &e), ERR_FORMAT, "not UTF-8 at byte 2");
        sbuf_free(&b);
    }
}

static bool work(struct err *e)
{
    json_t *j = NULL, *back = NULL;
    struct sbuf b;
    sbuf_init(&b, 10000);
    bool ok = json_parse(STR("{\"a\": [1, 2, {\"b\": \"text\"}], \"c\": 1.5, \"d\": \"\\u00e9\"}"),
                         "in", &j, e) &&
              json_put(&b, j, e) && json_write_file(testdir_path("f.json"), j, e) &&
              json_read_file(testdir_path("f.json"), 1000, &back, e);
    sbuf_free(&b);
    json_decref(back);
    json_decref(j);
    return ok;
}

static void nothing(bool ok)
{
    (void)ok;
}

static void memory_faults(void **state)
{
    (void)state;
    /* ours alone: jansson's blocks cannot fail (base/mem, mem_alloc_or_abort) */
    assert_true(sweep(FAULT_MEM, false, work, nothing, false) > 3);
    assert_true(sweep(FAULT_MEM, true, work, nothing, false) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_members),
        TEST(errors_name_the_place_and_no_text),
        TEST(nesting_is_limited),
        TEST(reads_files),
        TEST(writes_sorted_and_indented),
        TEST(writes_one_line),
        TEST(deep_trees_are_refused),
        TEST(strings_as_python_writes_them),
        TEST(strings_must_be_utf8),
        TEST(memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
