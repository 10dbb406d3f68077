/* Requests: what is taken, what is refused and by which name; forms; answers cut at stop strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/answer.h"
#include "serve/ask.h"
#include "serve/base64.h"
#include "serve/form.h"
#include "text/tiny.h"

struct fixture {
    struct arena a;
    struct ask o;
    struct http_reply r;
};

static bool parse(struct fixture *f, enum ask_kind kind, const char *body)
{
    *f = (struct fixture){0};
    arena_init(&f->a, 1 << 20);
    sbuf_init(&f->r.body, 1 << 16);
    return ask_parse(str_of(body), kind, &f->a, &f->o, &f->r);
}

static void drop(struct fixture *f)
{
    arena_free(&f->a);
    sbuf_free(&f->r.body);
}

static void test_rating(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "{\"generated\":\"x\"}",
        "{\"generated\":\" \",\"overall\":3}",
        "{\"generated\":\"x\",\"overall\":6}",
        "{\"generated\":\"x\",\"overall\":2.5}",
        "{\"generated\":\"x\",\"overall\":3,\"scales\":[]}",
        "{\"generated\":\"x\",\"overall\":3,\"scales\":{\"usefulness\":3}}",
        "{\"generated\":\"x\",\"overall\":3,\"scales\":{\"relevance\":0}}",
        "{\"generated\":\"x\",\"overall\":3,\"rater\":\"adj\"}",
        "{\"generated\":\"x\",\"overall\":3,\"rater\":\"a\\nb\"}",
        "{\"generated\":\"x\",\"overall\":3,\"seconds\":-1}",
    };
    struct fixture f;

    (void)state;
    assert_true(parse(&f, ASK_RATING,
                      "{\"generated\":\"x\",\"overall\":4,\"rater\":\" anna \",\"seconds\":1.5,"
                      "\"scales\":{\"relevance\":2,\"clinical_utility\":5}}"));
    assert_true(f.o.overall == 4 && str_eqz(f.o.rater, "anna"));
    assert_true(f.o.scales[FACTLABEL_RELEVANCE] == 2 && f.o.scales[FACTLABEL_UTILITY] == 5);
    assert_true(f.o.scales[FACTLABEL_COHERENCE] == 0);
    drop(&f);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(parse(&f, ASK_RATING, wrong[i]));
        assert_int_equal(f.r.status, 400);
        drop(&f);
    }
}

static void test_completion(void **state)
{
    struct fixture f;

    (void)state;
    assert_true(parse(&f, ASK_COMPLETION,
                      "{\"model\":\"m\",\"prompt\":[\"a\",\"b\\u00e9\"],\"n\":2,\"max_tokens\":7,"
                      "\"temperature\":0.5,\"top_p\":0.9,\"seed\":-3,\"stop\":\"\\n\","
                      "\"logprobs\":3,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                      "\"user\":\"x\",\"frequency_penalty\":0,\"echo\":false,\"suffix\":null}"));
    assert_true(str_eqz(f.o.model, "m"));
    assert_int_equal(f.o.nprompts, 2);
    assert_true(str_eqz(f.o.prompts[1].text, "b\xc3\xa9"));
    assert_int_equal(f.o.n, 2);
    assert_int_equal(f.o.max_tokens, 7);
    assert_true(f.o.has_temperature && f.o.temperature == 0.5 && f.o.has_top_p && f.o.has_seed);
    assert_int_equal(f.o.nstops, 1);
    assert_true(f.o.logprobs && f.o.top_logprobs == 3 && f.o.stream && f.o.include_usage);
    drop(&f);
    assert_true(parse(&f, ASK_COMPLETION, "{\"prompt\":[1,2,3]}"));
    assert_int_equal(f.o.nprompts, 1);
    assert_int_equal(f.o.prompts[0].n, 3);
    assert_int_equal(f.o.prompts[0].ids[2], 3);
    assert_false(f.o.logprobs || f.o.has_seed);
    drop(&f);
    assert_true(parse(&f, ASK_COMPLETION, "{\"prompt\":[[1],[2,3]],\"logprobs\":null}"));
    assert_int_equal(f.o.nprompts, 2);
    drop(&f);
}

static void test_chat(void **state)
{
    struct fixture f;

    (void)state;
    assert_true(
        parse(&f, ASK_CHAT,
              "{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\","
              "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
              "\"b\"}]}],\"max_tokens\":3,\"max_completion_tokens\":5,\"logprobs\":true,"
              "\"top_logprobs\":2,\"response_format\":{\"type\":\"text\"}}"));
    assert_int_equal(f.o.nmessages, 2);
    assert_true(str_eqz(f.o.messages[0].role, "system"));
    assert_true(str_eqz(f.o.messages[1].content, "ab"));
    assert_int_equal(f.o.max_tokens, 5);
    drop(&f);
}

/* Each is refused with the member's name, and without its value. */
static void test_refused(void **state)
{
    static const struct {
        enum ask_kind kind;
        const char *body, *param;
    } rows[] = {
        {ASK_COMPLETION, "{\"prompt\":5}", "prompt"},
        {ASK_COMPLETION, "{\"prompt\":[]}", "prompt"},
        {ASK_COMPLETION, "{}", "prompt"},
        {ASK_COMPLETION, "{\"prompt\":[-1]}", "prompt"},
        {ASK_COMPLETION, "{\"prompt\":[1.5]}", "prompt"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"n\":17}", "n"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"n\":\"CANARY\"}", "n"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"temperature\":2.5}", "temperature"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"top_p\":-1}", "top_p"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"max_tokens\":0}", "max_tokens"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"logprobs\":21}", "logprobs"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"echo\":true}", "echo"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"stop\":[\"\"]}", "stop"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"best_of\":3}", "best_of"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"logit_bias\":{\"5\":1}}", "logit_bias"},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\",\"stream\":\"yes\"}", "stream"},
        {ASK_CHAT, "{\"messages\":[]}", "messages"},
        {ASK_CHAT, "{\"messages\":[{\"role\":\"CANARY\",\"content\":\"x\"}]}", "messages"},
        {ASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages"},
        {ASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
         "messages"},
        {ASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{}]}",
         "tools"},
        {ASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"top_logprobs\":2}",
         "top_logprobs"},
        {ASK_CHAT,
         "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":"
         "\"json_object\"}}",
         "response_format"},
        {ASK_IMPRESSION, "{\"findings\":[\"CANARY\"]}", "findings"},
        {ASK_IMPRESSION, "{\"findings\":\"CANARY\",\"adapters\":\"x\"}", "adapters"},
        {ASK_CHECK, "{\"findings\":\"CANARY\"}", "generated"},
        {ASK_EMBEDDING, "{\"input\":\"CANARY\",\"encoding_format\":\"hex\"}", "encoding_format"},
        {ASK_COMPLETION, "[\"CANARY\"]", NULL},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY", NULL},
        {ASK_COMPLETION, "", NULL},
        {ASK_COMPLETION, "{\"CANARY\":1,\"CANARY\":2}", NULL},
        {ASK_COMPLETION, "{\"prompt\":\"CANARY\xff\"}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        char want[64];
        if (parse(&f, rows[i].kind, rows[i].body)) fail_msg("row %zu passes", i);
        assert_int_equal(f.r.status, 400);
        snprintf(want, sizeof want, "\"param\":\"%s\"", rows[i].param ? rows[i].param : "");
        if (!strstr(f.r.body.p, rows[i].param ? want : "\"param\":null"))
            fail_msg("row %zu: %s", i, f.r.body.p);
        assert_null(strstr(f.r.body.p, "CANARY"));
        drop(&f);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_form(void **state)
{
    struct arena a;
    struct form *f;
    struct err e = {0};

    (void)state;
    arena_init(&a, 1 << 20);
    f = arena_alloc(&a, sizeof *f, &e);
    assert_true(form_parse(STR("findings=a+b%26%0D%0Ac&adapter=x&adapter=y%C3%A9&empty=&bare&&"),
                           &a, f, &e));
    assert_int_equal(f->n, 5);
    assert_true(str_eqz(form_get(f, "findings"), "a b&\nc"));
    assert_true(str_eqz(form_get(f, "adapter"), "x"));
    assert_true(str_eqz(f->field[2].value, "y\xc3\xa9"));
    assert_int_equal(form_get(f, "bare").n, 0);
    static const char *const bad[] = {"a=%4", "a=%", "a=%zz", "a=%ff", "%c3=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct err){0};
        if (form_parse(str_of(bad[i]), &a, f, &e)) fail_msg("%s passes", bad[i]);
        assert_int_equal(e.code, ERR_FORMAT);
    }
    arena_free(&a);
}

static void test_base64(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}}; /* RFC 4648, 10 */
    struct sbuf b;
    struct err e = {0};

    (void)state;
    sbuf_init(&b, 100);
    for (size_t i = 0; i < 7; i++) {
        sbuf_clear(&b);
        assert_true(base64_put(&b, rows[i][0], strlen(rows[i][0]), &e));
        assert_true(str_eqz(sbuf_str(&b), rows[i][1]));
    }
    sbuf_free(&b);
}

/* Feed text byte by byte (the tiny tokenizer's ids are bytes); what could be sent, in pieces. */
static void feed(const struct tokenizer *t, const char *text, const struct str *stops, size_t n,
                 struct sbuf *pieces, struct answer *a)
{
    struct err e = {0};
    size_t from, to;

    answer_init(a, t, stops, n);
    sbuf_clear(pieces);
    for (const char *p = text;; p++) {
        struct engine_event v = {.end = *p ? ENGINE_RUNNING : ENGINE_LENGTH};
        v.token.id = (uint8_t)*p;
        assert_true(answer_put(a, &v, &e));
        struct str s = answer_take(a, &from, &to);
        assert_true(s.n == 0 || (sbuf_put(pieces, s, &e) && sbuf_putc(pieces, '|', &e)));
        if (!*p) break;
    }
    if (!pieces->p) assert_true(sbuf_put(pieces, STR(""), &e));
}

static void test_answer(void **state)
{
    static const struct {
        const char *text, *stop1, *stop2, *pieces, *finish;
    } rows[] = {
        {"abc", NULL, NULL, "a|b|c|", "length"},
        {"ab\xc3\xa9z", NULL, NULL, "a|b|\xc3\xa9|z|", "length"},
        {"ab##cd", "##", NULL, "a|b|", "stop"},
        {"ab#cd", "##", NULL, "a|b|#c|d|", "length"},
        {"aab", "ab", NULL, "a|", "stop"},
        {"xaaab", "aab", NULL, "x|a|", "stop"},
        {"one two", "two", "e t", "o|n|", "stop"},
        {"ends#", "##", NULL, "e|n|d|s|#|", "length"},
        {"##", "##", NULL, "", "stop"},
    };
    struct tokenizer *t = tiny_open(tiny_json(NULL));
    struct sbuf pieces;

    (void)state;
    sbuf_init(&pieces, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str stops[2] = {str_of(rows[i].stop1), str_of(rows[i].stop2)};
        struct answer a;
        feed(t, rows[i].text, stops, rows[i].stop2 ? 2 : rows[i].stop1 ? 1 : 0, &pieces, &a);
        assert_string_equal(pieces.p, rows[i].pieces);
        assert_string_equal(a.finish, rows[i].finish);
        answer_free(&a);
    }
    sbuf_free(&pieces);
    tokenizer_close(t);
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completion), cmocka_unit_test(test_rating),
        cmocka_unit_test(test_chat),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_form),       cmocka_unit_test(test_base64),
        cmocka_unit_test(test_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
