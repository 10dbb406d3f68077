#include "tiny.h"

#include <math.h>
#include <stdio.h>

#include "support/testdir.h"

/* A version 4 config with one member replaced. */
static const char *v4(const char *from, const char *to)
{
    static char text[2048];
    const char *base = "{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"hidden_size\": 64, "
                       "\"intermediate_size\": 96,"
                       " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                       "\"num_key_value_heads\": 2, \"vocab_size\": 128,"
                       " \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-05, \"rope_theta\": "
                       "500000.0, \"rope_scaling\": null,"
                       " \"tie_word_embeddings\": true, \"bos_token_id\": 1, \"eos_token_id\": 2, "
                       "\"torch_dtype\": \"bfloat16\"}";
    const char *at = from ? strstr(base, from) : NULL;
    if (!from) return base;
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
    return text;
}

static void parse(const char *text, struct model_spec *s)
{
    OK(model_spec_parse(str_of(text), "config", s, e));
}

static void test_version_4(void **state)
{
    (void)state;
    struct model_spec s;
    parse(v4(NULL, NULL), &s);
    assert_true(s.layers == 2 && s.d == 64 && s.ff == 96 && s.heads == 4 && s.kv_heads == 2 &&
                s.head_dim == 16);
    assert_true(s.vocab == 128 && s.rope == ROPE_PLAIN && s.rope_theta == 500000 && s.tied &&
                s.window == 0);
    assert_true(s.bos == 1 && s.neos == 1 && s.eos[0] == 2 && s.pad == -1 && s.rms_eps == 1e-5F);
    parse(v4("\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}"),
          &s);
    assert_true(s.rope == ROPE_LINEAR && s.rope_factor == 4 && s.rope_theta == 500000);
    parse(v4("\"rope_scaling\": null",
             "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": "
             "1.5,"
             "\"high_freq_factor\": 5.0, \"original_max_position_embeddings\": 32}"),
          &s);
    assert_true(s.rope == ROPE_LLAMA3 && s.rope_low == 1.5 && s.rope_high == 5 &&
                s.rope_original == 32);
    parse(v4("\"llama\"", "\"mistral\""), &s);
    assert_int_equal(s.window, 4096); /* transformers' default when the key is left out */
    parse(v4("\"num_key_value_heads\": 2,", ""), &s);
    assert_int_equal(s.kv_heads, 4);
    const char *mistral = "{\"model_type\": \"mistral\", \"hidden_size\": 64, \"vocab_size\": 9, "
                          "\"intermediate_size\": 96, \"num_hidden_layers\": 2, "
                          "\"num_attention_heads\": 16}";
    parse(mistral, &s); /* MistralConfig's own defaults, not the heads */
    assert_true(s.kv_heads == 8 && s.max_positions == 131072);
    parse(v4("\"max_position_embeddings\": 64,", "\"max_sequence_length\": 64,"), &s);
    assert_int_equal(s.max_positions, 2048); /* LlamaConfig's default; MedAlpaca's file is so */
    parse(v4("\"eos_token_id\": 2", "\"eos_token_id\": [2, 9]"), &s);
    assert_true(s.neos == 2 && s.eos[1] == 9);
    parse(v4("\"eos_token_id\": 2", "\"eos_token_id\": null"), &s);
    assert_int_equal(s.neos, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"\"llama\"", "\"gpt2\"", "model_type gpt2 is not supported"},
        {"\"silu\"", "\"gelu\"", "hidden_act gelu is not supported"},
        {"\"hidden_size\": 64,", "", "hidden_size is missing"},
        {"\"hidden_size\": 64", "\"hidden_size\": 6.5", "hidden_size is not a number"},
        {"\"hidden_size\": 64", "\"hidden_size\": 100000",
         "hidden_size is not a number from 0 to 65536"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "no multiple"},
        {"\"max_position_embeddings\": 64", "\"max_position_embeddings\": 0",
         "max_position_embeddings is 0"},
        {"\"num_key_value_heads\": 2", "\"head_dim\": 15", "head_dim 15 is not even"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"mrope\"}",
         "rope_type mrope is not supported"},
        {"\"rope_scaling\": null", "\"rope_scaling\": 3", "not an object"},
        {"\"rope_scaling\": null",
         "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"partial_rotary_factor\": 0.5}",
         "partial_rotary_factor 0.5 is not supported"},
        {"\"rope_theta\": 500000.0", "\"partial_rotary_factor\": 0.5",
         "partial_rotary_factor 0.5 is not supported"},
        {"\"rope_scaling\": null", "\"quantization_config\": {\"quant_method\": \"gptq\"}",
         "stored in codes of gptq"},
        {"\"rope_theta\": 500000.0", "\"rope_theta\": -1", "rope_theta is not a positive number"},
        {"\"tie_word_embeddings\": true", "\"attention_bias\": true",
         "attention_bias true is not supported"},
        {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1",
         "tie_word_embeddings is not true or false"},
        {"\"eos_token_id\": 2", "\"eos_token_id\": 128",
         "eos_token_id is not a token of the vocabulary of 128"},
        {"\"eos_token_id\": 2", "\"eos_token_id\": \"x\"", "eos_token_id is not a token"},
    };
    struct model_spec s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(model_spec_parse(str_of(v4(bad[i][0], bad[i][1])), "config", &s, e), ERR_FORMAT,
              bad[i][2]);
    FAILS(model_spec_parse(STR("[]"), "config", &s, e), ERR_FORMAT, "config");
    FAILS(
        model_spec_parse(str_of(v4("\"eos_token_id\": 2", "\"eos_token_id\": [1,1,1,1,1,1,1,1,1]")),
                         "config", &s, e),
        ERR_LIMIT, "lists 9 tokens");
}

static void same_spec(const struct model_spec *a, const struct model_spec *b)
{
    assert_string_equal(a->arch, b->arch);
    assert_true(a->layers == b->layers && a->d == b->d && a->ff == b->ff && a->heads == b->heads);
    assert_true(a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->vocab == b->vocab);
    assert_true(a->max_positions == b->max_positions && a->rms_eps == b->rms_eps &&
                a->tied == b->tied);
    assert_true(a->rope == b->rope && a->rope_theta == b->rope_theta &&
                a->rope_factor == b->rope_factor);
    assert_true(a->rope_low == b->rope_low && a->rope_high == b->rope_high &&
                a->rope_original == b->rope_original);
    assert_true(a->rope_attention == b->rope_attention && a->rope_exact == b->rope_exact);
    assert_memory_equal(a->rope_short, b->rope_short, sizeof a->rope_short);
    assert_memory_equal(a->rope_long, b->rope_long, sizeof a->rope_long);
    assert_true(a->window == b->window && a->bos == b->bos && a->pad == b->pad &&
                a->neos == b->neos);
    assert_memory_equal(a->eos, b->eos, sizeof a->eos);
}

/* transformers 5's own files: read, frequencies as its own, write and read again. */
static void test_version_5(void **state)
{
    (void)state;
    json_t *root, *j;
    const char *name;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/spec.json", 1 << 20, &root, e));
    json_object_foreach(json_object_get(root, "cases"), name, j)
    {
        struct model_spec s, again;
        float inv[512];
        char path[700];
        char *text = json_dumps(json_object_get(j, "config"), 0);
        const json_t *want = json_object_get(j, "inv_freq");
        double a = tiny_number(j, "attention");
        /* the reference takes yarn's share from 1 in f32, twice */
        double tol = strncmp(name, "yarn", 4) == 0 ? 1e-6 : 4e-7;
        parse(text, &s);
        free(text);
        assert_int_equal(json_array_size(want), s.head_dim / 2);
        model_spec_inv_freq(&s, inv);
        for (size_t i = 0; i < s.head_dim / 2; i++) {
            double w = json_number_value(json_array_get(want, i));
            if (fabs((double)inv[i] - w) > tol * w)
                fail_msg("%s: inv_freq[%zu] = %.9g, golden %.9g", name, i, (double)inv[i], w);
        }
        assert_true(fabs((double)model_spec_score_factor(&s) - a * a) <= 2e-7 * a * a);
        if (strcmp(name, "llama31") == 0)
            assert_true(s.neos == 3 && s.eos[2] == 7 && s.head_dim == 128 && !s.tied);
        if (strcmp(name, "mistral") == 0) assert_int_equal(s.window, 4096);
        if (strcmp(name, "mistral3") == 0) assert_int_equal(s.window, 0);
        snprintf(path, sizeof path, "%s", testdir_path("config.json"));
        OK(model_spec_write(&s, "bfloat16", path, e));
        OK(model_spec_read(path, &again, e));
        same_spec(&s, &again);
    }
    json_decref(root);
}

static void test_params(void **state)
{
    (void)state;
    struct model_spec s = {.arch = "llama",
                           .layers = 30,
                           .d = 576,
                           .ff = 1536,
                           .heads = 9,
                           .kv_heads = 3,
                           .head_dim = 64,
                           .vocab = 49152,
                           .tied = true};
    assert_true(model_spec_params(&s) == 134515008); /* SmolLM2-135M, as its card says */
    assert_true(model_spec_linear_params(&s) ==
                30ULL * (576 * 576 * 2 + 576 * 192 * 2 + 3 * 576 * 1536));
    s.tied = false;
    assert_true(model_spec_params(&s) == 134515008 + 49152ULL * 576);
}

static int setup(void **state)
{
    (void)state;
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_4), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_version_5), cmocka_unit_test(test_params)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
