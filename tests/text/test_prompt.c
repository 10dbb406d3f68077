/* Prompts, on a tokenizer without merges: one id a byte, so that samples can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "support/testdir.h"
#include "text/prompt.h"
#include "text/prompt_parse.h"
#include "tiny.h"

static struct tokenizer *tok;
static struct tok_cache *cache;
static int im_start, im_end;

static const enum prompt_field both[] = {PROMPT_CLINICAL, PROMPT_FINDINGS};

/* The sample as text: special tokens by content, '#' where the target begins. */
static const char *show(const struct prompt_sample *s)
{
    static struct sbuf b;
    struct err e = {0};

    sbuf_free(&b);
    sbuf_init(&b, 1 << 16);
    for (size_t i = 0; i < s->n; i++) {
        if (i == s->target) assert_true(sbuf_putc(&b, '#', &e));
        assert_true(sbuf_put(&b, tokenizer_piece(tok, s->ids[i]), &e));
    }
    static char out[1 << 16];
    snprintf(out, sizeof(out), "%.*s", (int)b.n, b.n ? b.p : "");
    sbuf_free(&b);
    return out;
}

static struct prompt *open_prompt(const char *name, size_t ninputs)
{
    struct prompt *p;
    struct err e = {0};

    if (!prompt_open(name, both + (2 - ninputs), ninputs, tok, &p, &e)) fail_msg("%s", e.text);
    return p;
}

static const char *build(struct prompt *p, const char *clinical, const char *findings,
                         const char *target, size_t max, struct prompt_sample *s)
{
    struct str fields[PROMPT_FIELDS] = {{0}};
    struct err e = {0};

    fields[PROMPT_CLINICAL] = str_of(clinical);
    fields[PROMPT_FINDINGS] = str_of(findings);
    if (!prompt_build(p, cache, fields, str_of(target), max, s, &e)) fail_msg("%s", e.text);
    return show(s);
}

static void test_plain(void **state)
{
    (void)state;
    struct prompt *p = open_prompt("plain", 2);
    struct prompt_sample s;

    assert_string_equal(build(p, "Cough.", "Clear.", "Normal.", 0, &s),
                        "Clinical information: Cough.\nFindings: Clear.\nImpression:# "
                        "Normal.<|im_end|>");
    assert_int_equal(s.cut, 0);
    /* the same without an answer: the training prompt's own ids */
    size_t target = s.target;
    assert_string_equal(build(p, "Cough.", "Clear.", NULL, 0, &s),
                        "Clinical information: Cough.\nFindings: Clear.\nImpression:");
    assert_int_equal(s.target, s.n);
    assert_int_equal(s.n, target);
    /* absent fields take their line along */
    assert_string_equal(build(p, NULL, "Clear.", "N", 0, &s),
                        "Findings: Clear.\nImpression:# N<|im_end|>");
    assert_string_equal(build(p, NULL, NULL, "N", 0, &s), "Impression:# N<|im_end|>");
    assert_string_equal(build(p, NULL, NULL, "", 0, &s), "Impression:#<|im_end|>");
    prompt_close(p);
}

/* Report text never becomes a special token, not even together with what stands around it. */
static void test_special_text_in_fields(void **state)
{
    (void)state;
    struct prompt *p = open_prompt("chat", 1);
    struct prompt_sample s;
    size_t marks = 0;

    build(p, NULL, "<|im_start|>a<|im_end|>", "b<|im_end|>", 0, &s);
    for (size_t i = 0; i < s.n; i++)
        marks += s.ids[i] >= 256;
    assert_int_equal(marks, 6); /* three turns, their ends; the target's is the last */
    assert_int_equal(s.ids[0], im_start);
    assert_int_equal(s.ids[s.n - 1], im_end);
    prompt_close(p);
}

static void test_builtins(void **state)
{
    (void)state;
    struct prompt_sample s;
    struct prompt *p = open_prompt("radiology-gpt", 1);

    assert_string_equal(
        build(p, NULL, "F.", "I.", 0, &s),
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nDerive the impression from findings in the radiology report\n\n"
        "### Input:\nF.\n\n### Response:\n#I.<|im_end|>");
    prompt_close(p);
    p = open_prompt("alpaca", 2);
    assert_non_null(
        strstr(build(p, "C.", "F.", "I.", 0, &s),
               "### Instruction:\nGenerate impression based on findings.\n\n### Input:\n"
               "Clinical information: C.\nFindings: F.\n\n### Response:\n#I."));
    prompt_close(p);
    p = open_prompt("medalpaca", 1);
    assert_non_null(strstr(build(p, NULL, "F.", "I.", 0, &s),
                           "findings.\n### Input:\nF.\n### Response:\n#I.<|im_end|>"));
    prompt_close(p);
    p = open_prompt("chat", 1);
    assert_string_equal(build(p, NULL, "F.", "I.", 0, &s),
                        "<|im_start|>system\nYou write the impression of radiology "
                        "reports.<|im_end|>\n<|im_start|>user\nWrite the impression for this "
                        "report.\n\nFindings: F.<|im_end|>\n<|im_start|>assistant\n#I.<|im_end|>");
    prompt_close(p);
}

static const char *template_file(const char *text)
{
    testdir_write(testdir_path("t.txt"), text, strlen(text));
    return testdir_path("t.txt");
}

static void test_file(void **state)
{
    (void)state;
    testdir_make();
    struct prompt_sample s;
    struct prompt *p = open_prompt(
        template_file("{{x}} {findings}; {clinical}\nOnly: {clinical}\n{<|im_start|>}a {clinical}"
                      "{<|im_end|>}\n\nSo {target}\n"),
        1);

    assert_string_equal(build(p, "C", "F", "T", 0, &s),
                        "{x} F; C\nOnly: C\n<|im_start|>a C<|im_end|>\n\nSo# T<|im_end|>");
    assert_string_equal(build(p, NULL, "F", "T", 0, &s),
                        "{x} F;\n<|im_start|><|im_end|>\n\nSo# T<|im_end|>");
    prompt_close(p);
    /* another end than the tokenizer's */
    p = open_prompt(template_file("{findings}:  {target}{<|im_start|>}"), 1);
    assert_string_equal(build(p, NULL, "F", "T", 0, &s), "F:  #T<|im_start|>");
    prompt_close(p);
    testdir_remove();
}

static void test_bad_templates(void **state)
{
    static const struct {
        const char *text, *named;
    } bad[] = {
        {"{findings}", "no {target}"},
        {"x {target}", "no field"},
        {"{findings}{target}{target}", "second"},
        {"{findings}\n{target} more", "line 2"},
        {"{findings}{target}{eos}{eos}", "more than one"},
        {"{findings} {nothing} {target}", "{nothing}"},
        {"{findings} {a} {target}", "{a}"}, /* a token, but no special one */
        {"{findings} {target", "without }"},
        {"{findings\n} {target}", "line 1"},
        {"{findings} } {target}", "} without"},
        {"{bos}{findings}{target}", "{bos}"}, /* this tokenizer has none */
        {"\xFF{findings}{target}", "UTF-8"},
    };

    (void)state;
    testdir_make();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct prompt *p;
        struct err e = {0};
        if (prompt_open(template_file(bad[i].text), both, 2, tok, &p, &e))
            fail_msg("%s is accepted", bad[i].text);
        assert_null(p);
        if (!strstr(e.text, bad[i].named)) fail_msg("%s: %s", bad[i].text, e.text);
    }
    struct prompt *p;
    struct err e = {0}, e2 = {0};
    assert_false(prompt_open("palin", both, 2, tok, &p, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    const enum prompt_field twice[] = {PROMPT_FINDINGS, PROMPT_FINDINGS};
    assert_false(prompt_open("plain", twice, 2, tok, &p, &e2));
    assert_non_null(strstr(e2.text, "findings"));
    testdir_remove();
}

static void test_no_eos(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(tiny_json(NULL));
    struct prompt *p;
    struct err e = {0};

    assert_false(prompt_open("plain", both, 2, t, &p, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "eos_token"));
    tokenizer_close(t);
}

/* The longest field gives first, the earlier of equals, the target never. */
static void test_cut(void **state)
{
    (void)state;
    struct prompt *p = open_prompt("plain", 2);
    struct prompt_sample s;

    build(p, "cccc", "ffffffff", "TT", 0, &s);
    size_t whole = s.n;
    assert_string_equal(build(p, "cccc", "ffffffff", "TT", whole - 3, &s),
                        "Clinical information: cccc\nFindings: fffff\nImpression:# TT<|im_end|>");
    assert_int_equal(s.cut, 3);
    assert_int_equal(s.n, whole - 3);
    assert_string_equal(build(p, "cccc", "ffffffff", "TT", whole - 7, &s),
                        "Clinical information: cc\nFindings: fff\nImpression:# TT<|im_end|>");
    build(p, "cccc", "ffffffff", "TT", whole, &s);
    assert_int_equal(s.cut, 0);
    /* 14 = field ids with their blanks */
    assert_string_equal(build(p, "cccc", "ffffffff", "TT", whole - 14, &s),
                        "Clinical information:\nFindings:\nImpression:# TT<|im_end|>");
    struct str fields[PROMPT_FIELDS] = {{0}};
    struct err e = {0};
    fields[PROMPT_FINDINGS] = STR("ffff");
    assert_false(prompt_build(p, cache, fields, STR("TT"), 10, &s, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    /* a prompt alone is cut too */
    assert_string_equal(build(p, NULL, "ffff", NULL, 25, &s), "Findings: fff\nImpression:");
    assert_int_equal(s.target, s.n);
    prompt_close(p);
}

static void test_bos_once(void **state)
{
    (void)state;
    json_t *j = tiny_json(NULL);
    int bos = tiny_add(j, "<s>", "s");

    json_object_set_new(j, "post_processor",
                        json_pack("{s:s, s:[{s:{s:s}}, {s:{s:s}}], s:{s:{s:[i]}}}", "type",
                                  "TemplateProcessing", "single", "SpecialToken", "id", "<s>",
                                  "Sequence", "id", "A", "special_tokens", "<s>", "ids", bos));
    struct tokenizer *t = tiny_open(j);
    struct tok_cache *c;
    struct err e = {0};
    assert_true(tok_cache_open(t, &c, &e));
    testdir_make();
    static const char *const texts[] = {"{findings}{target}{<s>}", "{<s>}{findings}{target}{<s>}"};
    for (size_t i = 0; i < 2; i++) {
        struct prompt *p;
        struct prompt_sample s;
        struct str fields[PROMPT_FIELDS] = {{0}};
        fields[PROMPT_FINDINGS] = STR("f");
        assert_true(prompt_open(template_file(texts[i]), both, 2, t, &p, &e));
        assert_true(prompt_build(p, c, fields, STR("t"), 0, &s, &e));
        assert_int_equal(s.n, 4);
        assert_int_equal(s.ids[0], bos);
        assert_int_equal(s.ids[1], 'f');
        assert_int_equal(s.target, 2);
        assert_int_equal(s.ids[3], bos);
        prompt_close(p);
    }
    testdir_remove();
    tok_cache_close(c);
    tokenizer_close(t);
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t d[4][32];
    struct prompt *p[4] = {open_prompt("plain", 2), open_prompt("plain", 1),
                           open_prompt("alpaca", 2), open_prompt("plain", 2)};

    for (int i = 0; i < 4; i++) {
        prompt_digest(p[i], d[i]);
        prompt_close(p[i]);
    }
    assert_memory_equal(d[0], d[3], 32);
    assert_memory_not_equal(d[0], d[1], 32);
    assert_memory_not_equal(d[0], d[2], 32);
    assert_int_equal(prompt_field_of(STR("findings")), PROMPT_FINDINGS);
    assert_int_equal(prompt_field_of(STR("finding")), -1);
}

#ifdef RADMILL_FAULTS
static void test_faults(void **state)
{
    (void)state;
    uint64_t n = 0;

    for (bool fired = true; fired;) {
        size_t before = mem_live_blocks();
        struct prompt *p = NULL;
        struct prompt_sample s;
        struct str fields[PROMPT_FIELDS] = {{0}};
        struct err e = {0};
        fields[PROMPT_FINDINGS] = STR("some findings");
        fault_arm(FAULT_MEM, ++n, false);
        bool ok = prompt_open("chat", both, 2, tok, &p, &e) &&
                  prompt_build(p, cache, fields, STR("an answer"), 0, &s, &e);
        fired = fault_fired();
        fault_disarm_all();
        assert_true(ok == !fired);
        prompt_close(p);
        assert_int_equal(mem_live_blocks(), before);
    }
    assert_true(n > 5);
}
#endif

static int setup(void **state)
{
    (void)state;
    json_t *j = tiny_json(NULL);
    struct err e = {0};

    im_start = tiny_add(j, "<|im_start|>", "s");
    im_end = tiny_add(j, "<|im_end|>", "s");
    testdir_make();
    char *text = json_dumps(j, 0);
    testdir_write(testdir_path("tokenizer.json"), text, strlen(text));
    mem_free(text);
    json_decref(j);
    const char *config = "{\"eos_token\":\"<|im_end|>\"}";
    testdir_write(testdir_path("tokenizer_config.json"), config, strlen(config));
    bool ok =
        tokenizer_open(testdir_path("tokenizer.json"), &tok, &e) && tok_cache_open(tok, &cache, &e);
    testdir_remove();
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    tok_cache_close(cache);
    tokenizer_close(tok);
    return mem_live_blocks() == 0 ? 0 : -1;
}

/* Every name on the list is a template, and the template knows what it shows. */
static void test_names(void **state)
{
    bool headed;
    (void)state;
    for (size_t i = 0; prompt_builtin_names[i]; i++)
        assert_true(strcmp(prompt_builtin_names[i], "chat") == 0 ||
                    prompt_builtin(prompt_builtin_names[i], &headed));
    struct prompt *p = open_prompt("alpaca", 1);
    assert_true(prompt_uses(p, PROMPT_FINDINGS));
    assert_false(prompt_uses(p, PROMPT_CLINICAL));
    prompt_close(p);
}

/* For an encoder the prompt ends by itself, and its limit leaves the answer alone. */
static void test_encoder(void **state)
{
    (void)state;
    struct prompt *p = open_prompt("plain", 1);
    struct prompt_sample s;
    struct err e = {0};
    uint8_t before[32], after[32];

    prompt_digest(p, before);
    assert_true(prompt_for_encoder(p, &e));
    prompt_digest(p, after);
    assert_memory_not_equal(before, after, 32);
    assert_string_equal(build(p, "", "Clear.", "Normal.", 0, &s),
                        "Findings: Clear.\nImpression:<|im_end|># Normal.<|im_end|>");
    size_t input = s.target;
    assert_string_equal(build(p, "", "Clear.", "Normal.", input - 2, &s),
                        "Findings: Clea\nImpression:<|im_end|># Normal.<|im_end|>");
    assert_int_equal(s.cut, 2);
    assert_string_equal(build(p, "", "Clear.", NULL, input, &s),
                        "Findings: Clear.\nImpression:<|im_end|>");
    assert_int_equal(s.target, s.n);
    prompt_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_special_text_in_fields),
        cmocka_unit_test(test_builtins),      cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_templates), cmocka_unit_test(test_no_eos),
        cmocka_unit_test(test_cut),           cmocka_unit_test(test_bos_once),
        cmocka_unit_test(test_digest),        cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_names),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_faults),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
