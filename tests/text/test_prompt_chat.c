/* Chat formats by their ids: golden/chat.jsonl, made by transformers' apply_chat_template
 * (tests/support/golden/chat_ids.py names the versions). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/testdir.h"
#include "text/chat.h"
#include "text/prompt_parse.h"
#include "text/tok_impl.h"

static json_t *load_json(const char *name)
{
    char path[200];
    size_t n;
    json_t *j;
    struct err e = {0};

    snprintf(path, sizeof(path), "data/tokenizers/%s/tokenizer.json.gz", name);
    const char *full = testdir_shared(path);
    if (!full) return NULL;
    char *text = testdir_gunzip(full, &n);
    assert_true(json_parse((struct str){text, n}, name, &j, &e));
    free(text);
    return j;
}

/* As chat_ids.py makes it: digits split off, and the two tokens of ChatML. */
static void make_chatml(json_t *j)
{
    static const char *const content[] = {"<|im_start|>", "<|im_end|>"};

    json_object_set_new(j, "pre_tokenizer",
                        json_pack("{s:s, s:[{s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type", "Sequence",
                                  "pretokenizers", "type", "Digits", "individual_digits", 1, "type",
                                  "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                                  "use_regex", 1));
    for (int i = 0; i < 2; i++)
        json_array_append_new(json_object_get(j, "added_tokens"),
                              json_pack("{s:i, s:s, s:b, s:b}", "id", 50257 + i, "content",
                                        content[i], "special", 1, "normalized", 0));
}

static struct tokenizer *load(const char *name)
{
    struct tokenizer *t;
    struct err e = {0};
    json_t *j = load_json(name);

    if (!j) return NULL;
    if (strcmp(name, "gpt2") == 0) make_chatml(j);
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    if (!tok_json_parse(str_of(text), &t, &e)) fail_msg("%s", e.text);
    mem_free(text);
    return t;
}

static void same_ids(const json_t *want, const struct prompt_sample *got, const char *name,
                     size_t line)
{
    for (size_t i = 0; i < json_array_size(want) && i < got->n; i++)
        if ((json_int_t)got->ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("row %zu, %s: id %zu is %u, not %d", line, name, i, got->ids[i],
                     (int)json_integer_value(json_array_get(want, i)));
    if (got->n != json_array_size(want))
        fail_msg("row %zu, %s: %zu ids, not %zu", line, name, got->n, json_array_size(want));
}

/* The same prompt as a conversation, by text/chat. */
static void check_chat(const struct tokenizer *t, struct tok_cache *c, const json_t *row,
                       const char *name, size_t line)
{
    static const char system[] = "You write the impression of radiology reports.";
    const char *key;
    json_t *v;
    struct sbuf user;
    struct tok_ids ids = {0};
    struct err e = {0};

    sbuf_init(&user, 1 << 16);
    assert_true(sbuf_put(&user, STR("Write the impression for this report.\n\n"), &e));
    json_object_foreach(json_object_get(row, "fields"), key, v)
    {
        bool clinical = strcmp(key, "clinical") == 0;
        if (user.p[user.n - 1] != '\n') assert_true(sbuf_putc(&user, '\n', &e));
        assert_true(sbuf_printf(&user, &e, "%c%s: %s", key[0] - 32,
                                clinical ? "linical information" : key + 1, json_string_value(v)));
    }
    const struct chat_message m[] = {{STR("system"), {system, sizeof system - 1}},
                                     {STR("user"), sbuf_str(&user)}};
    if (!chat_ids(name, t, c, m, 2, &ids, &e)) fail_msg("row %zu: %s", line, e.text);
    struct prompt_sample got = {.ids = ids.ids, .n = ids.n};
    same_ids(json_object_get(row, "prompt"), &got, name, line);
    tok_ids_free(&ids);
    sbuf_free(&user);
}

static void check_row(const struct tokenizer *t, const json_t *row, size_t line)
{
    struct str fields[PROMPT_FIELDS] = {0};
    enum prompt_field inputs[PROMPT_FIELDS];
    const char *key, *name = json_string_value(json_object_get(row, "name"));
    struct prompt_sample s;
    struct tok_cache *c;
    struct prompt *p;
    struct err e = {0};
    uint8_t digest[32];
    size_t n = 0;
    json_t *v;

    json_object_foreach(json_object_get(row, "fields"), key, v)
    {
        int f = prompt_field_of(str_of(key));
        assert_true(f >= 0);
        inputs[n++] = (enum prompt_field)f;
        fields[f] = (struct str){json_string_value(v), json_string_length(v)};
    }
    struct str target = str_of(json_string_value(json_object_get(row, "target")));
    if (!prompt_open(name, inputs, n, t, &p, &e)) fail_msg("row %zu: %s", line, e.text);
    assert_true(tok_cache_open(t, &c, &e));
    assert_true(prompt_build(p, c, fields, (struct str){NULL, 0}, 0, &s, &e));
    same_ids(json_object_get(row, "prompt"), &s, name, line);
    assert_true(prompt_build(p, c, fields, target, 0, &s, &e));
    same_ids(json_object_get(row, "whole"), &s, name, line);
    assert_int_equal(s.target, json_array_size(json_object_get(row, "prompt")));
    check_chat(t, c, row, name, line);
    prompt_close(p);
    tok_cache_close(c);
    assert_true(
        hash_unhex(str_of(json_string_value(json_object_get(row, "template"))), digest, 32, &e));
    assert_string_equal(prompt_chat_known(digest), name);
}

static void test_golden(void **state)
{
    size_t n, line = 0;
    char last[100] = "";
    struct tokenizer *t = NULL;
    struct err e = {0};
    char *text = testdir_read(RADMILL_SOURCE "/tests/text/golden/chat.jsonl", &n);
    struct str rest = {text, n}, row;

    (void)state;
    while (str_split(&rest, '\n', &row)) {
        json_t *j;
        if (row.n == 0 || line++ == 0) continue;
        assert_true(json_parse(row, "chat.jsonl", &j, &e));
        const char *name = json_string_value(json_object_get(j, "tokenizer"));
        if (strcmp(name, last) != 0) {
            tokenizer_close(t);
            t = load(name);
            snprintf(last, sizeof(last), "%s", name);
        }
        if (!t) {
            json_decref(j);
            free(text);
            skip();
        }
        check_row(t, j, line);
        json_decref(j);
    }
    assert_int_equal(line, 41);
    tokenizer_close(t);
    free(text);
    assert_int_equal(mem_live_blocks(), 0);
}

/* "chat" is what the tokenizer's own template is: known by its text, refused otherwise. */
static void test_known(void **state)
{
    struct tokenizer *t = load("gpt2");
    const char *name;
    struct err e = {0};

    (void)state;
    if (!t) skip();
    assert_true(prompt_chat_name(t, &name, &e)); /* no template, but ChatML's tokens */
    assert_string_equal(name, "chatml");
    t->chat_template = STR("{{ messages[0]['content'] }}"); /* SmolLM2's: test_tokenizer_smollm2 */
    assert_false(prompt_chat_name(t, &name, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "SHA-256"));
    tokenizer_close(t);
    t = load("llama2");
    e = (struct err){0};
    assert_false(prompt_chat_name(t, &name, &e));
    assert_non_null(strstr(e.text, "llama2-chat"));
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
