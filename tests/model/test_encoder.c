#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/encoder.h"
#include "support/testdir.h"

static json_t *golden(void)
{
    json_t *j = NULL;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/encoder.json", 1 << 20, &j, e));
    return j;
}

static double number(const json_t *v)
{
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static float value(const char *name, uint32_t ndims, float h)
{
    (void)ndims;
    return strstr(name, "LayerNorm.weight") || strstr(name, "layer_norm.weight") ? 1 + h : h;
}

/* Old files say gamma and beta. */
static void old_names(char *name)
{
    char *norm = strstr(name, "LayerNorm.");
    if (norm) strcpy(norm + 10, norm[10] == 'w' ? "gamma" : "beta");
}

static const char *write_case(const json_t *c, bool old)
{
    return tiny_write_golden("encoder", c, value, old ? old_names : NULL);
}

enum { TOKENS = 28, SEQS = 3 };
static void golden_tokens(const json_t *j, uint32_t *tokens, uint32_t *cu)
{
    for (size_t i = 0; i < TOKENS; i++)
        tokens[i] = (uint32_t)number(json_array_get(json_object_get(j, "tokens"), i));
    for (size_t i = 0; i <= SEQS; i++)
        cu[i] = (uint32_t)number(json_array_get(json_object_get(j, "cu"), i));
}

static void check_layer(const json_t *c, uint32_t layer, const float *got, uint32_t d, double tol)
{
    const json_t *rows = json_object_get(c, "rows");
    double sum = 0, norm = number(json_array_get(json_object_get(c, "norm"), layer)), dist = 0;
    double ref = 0;
    for (uint32_t i = 0; i < TOKENS * d; i++)
        sum += (double)got[i] * got[i];
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *want = json_array_get(json_array_get(json_object_get(c, "hidden"), layer), r);
        const float *row = got + (size_t)number(json_array_get(rows, r)) * d;
        for (size_t k = 0; k < d; k++) {
            double v = number(json_array_get(want, k));
            dist += (row[k] - v) * (row[k] - v);
            ref += v * v;
        }
    }
    if (!(sqrt(dist / ref) < tol) || !(fabs(sqrt(sum) - norm) < tol * norm))
        fail_msg("layer %u: distance %g, norm %g of %g", layer, sqrt(dist / ref), sqrt(sum), norm);
}

/* All layers of all architectures, f32 and bf16, on the cpu and the strict device. */
static void test_golden(void **state)
{
    static const char *const devices[] = {"cpu", "strict"};
    json_t *root = golden(), *c;
    const char *name;
    uint32_t tokens[TOKENS], cu[SEQS + 1];
    (void)state;

    golden_tokens(root, tokens, cu);
    json_object_foreach(json_object_get(root, "cases"), name, c)
    {
        const char *dir = write_case(c, false);
        for (int i = 0; i < 4; i++) {
            enum dev_dtype t = i & 1 ? DEV_BF16 : DEV_F32;
            double tol = i & 1 ? 2 * number(json_object_get(c, "bf16_gap")) : 1e-5;
            struct dev *d = NULL;
            struct encoder *n = NULL;
            OK(dev_open(devices[i / 2], 1, &d, e));
            OK(encoder_open(d, dir, t, &n, e));
            struct encoder_info info = encoder_info(n);
            assert_string_equal(info.arch, name);
            assert_int_equal(info.max_tokens, 16); /* RoBERTa's 18 begin at 2 */
            float *out = malloc((size_t)TOKENS * info.d * sizeof *out);
            for (uint32_t l = 0; l <= info.layers; l++) {
                OK(encoder_hidden(n, tokens, cu, SEQS, l, out, e));
                check_layer(c, l, out, info.d, tol);
            }
            free(out);
            encoder_close(n);
            dev_close(d);
        }
    }
    json_decref(root);
}

/* Many sequences, cut into bins: each has the bits it has alone. Also gamma and beta. */
static void test_bins_and_old_names(void **state)
{
    enum { COPIES = 400 };
    json_t *root = golden(), *c = json_object_get(json_object_get(root, "cases"), "bert");
    uint32_t tokens[TOKENS], cu[SEQS + 1], *many = malloc(COPIES * TOKENS * sizeof *many);
    uint32_t *starts = calloc(COPIES * SEQS + 1, sizeof *starts);
    struct dev *d = NULL;
    struct encoder *n = NULL;
    (void)state;

    golden_tokens(root, tokens, cu);
    for (uint32_t i = 0; i < COPIES; i++) {
        memcpy(many + (size_t)i * TOKENS, tokens, sizeof tokens);
        for (uint32_t s = 0; s < SEQS; s++)
            starts[i * SEQS + s + 1] = i * TOKENS + cu[s + 1];
    }
    OK(dev_open(test_device(), 1, &d, e));
    OK(encoder_open(d, write_case(c, true), DEV_F32, &n, e));
    size_t bytes = (size_t)TOKENS * encoder_info(n).d * sizeof(float);
    char *out = malloc(COPIES * bytes);
    OK(encoder_hidden(n, many, starts, COPIES * SEQS, 2, (float *)(void *)out, e));
    check_layer(c, 2, (const float *)(const void *)out, encoder_info(n).d, 1e-5);
    for (uint32_t i = 1; i < COPIES; i++)
        assert_memory_equal(out, out + i * bytes, bytes);
    free(out);
    encoder_close(n);
    dev_close(d);
    free(many);
    free(starts);
    json_decref(root);
}

static void fails(struct dev *d, json_t *c, const char *key, json_t *value, const char *part)
{
    json_t *changed = json_deep_copy(c);
    struct encoder *n = NULL;
    json_object_set_new(json_object_get(changed, "config"), key, value);
    FAILS(encoder_open(d, write_case(changed, false), DEV_F32, &n, e), ERR_FORMAT, part);
    json_decref(changed);
}

static void test_errors(void **state)
{
    json_t *root = golden(), *c = json_object_get(json_object_get(root, "cases"), "roberta");
    static const uint32_t tokens[20] = {60}, cu[] = {0, 1}, none[] = {0, 0}, longest[] = {0, 17};
    struct dev *d = NULL;
    struct encoder *n = NULL;
    float out[20 * 24];
    (void)state;

    OK(dev_open(test_device(), 1, &d, e));
    fails(d, c, "model_type", json_string("deberta"), "expected bert, roberta or distilbert");
    fails(d, c, "hidden_act", json_string("mish"), "mish is not supported");
    fails(d, c, "position_embedding_type", json_string("relative_key"), "position_embedding_type");
    fails(d, c, "is_decoder", json_true(), "is_decoder true");
    fails(d, c, "num_attention_heads", json_integer(5), "no multiple of num_attention_heads 5");
    fails(d, c, "num_hidden_layers", json_integer(3), "roberta.encoder.layer.2.");
    fails(d, c, "intermediate_size", json_integer(41), "intermediate.dense");
    fails(d, c, "pad_token_id", json_integer(17), "leaves no position");
    fails(d, c, "vocab_size", json_integer(1 << 23), "vocab_size is not a number");
    struct encoder_info info;
    FAILS(encoder_info_parse(STR("[]"), "x", &info, e), ERR_FORMAT, "not a JSON object");
    FAILS(encoder_info_parse(STR("{}"), "x", &info, e), ERR_FORMAT, "model_type");
    OK(encoder_open(d, write_case(c, false), DEV_F32, &n, e));
    FAILS(encoder_hidden(n, tokens, cu, 1, 2, out, e), ERR_FORMAT, "token 60");
    FAILS(encoder_hidden(n, tokens, none, 1, 2, out, e), ERR_LIMIT, "0 tokens");
    FAILS(encoder_hidden(n, tokens, longest, 1, 2, out, e), ERR_LIMIT, "17 tokens");
    encoder_close(n);
    dev_close(d);
    json_decref(root);
}

/* Every allocation fails once: an error, nothing leaks. */
static void test_faults(void **state)
{
    json_t *root = golden(), *c = json_object_get(json_object_get(root, "cases"), "distilbert");
    const char *dir = write_case(c, false);
    uint32_t tokens[TOKENS], cu[SEQS + 1];
    float out[TOKENS * 24];
    bool ok = false;
    (void)state;

    golden_tokens(root, tokens, cu);
    for (unsigned k = 1; !ok; k++) {
        struct dev *d = NULL;
        struct encoder *n = NULL;
        struct err e = {0};
        size_t before = mem_live_blocks();
        fault_arm(FAULT_MEM, k, false);
        ok = dev_open(test_device(), 1, &d, &e) && encoder_open(d, dir, DEV_BF16, &n, &e) &&
             encoder_hidden(n, tokens, cu, SEQS, 2, out, &e);
        fault_arm(FAULT_MEM, 0, false);
        assert_true(ok || e.code == ERR_NOMEM);
        encoder_close(n);
        dev_close(d);
        assert_int_equal(mem_live_blocks(), before);
        assert_true(k < 1000);
    }
    json_decref(root);
}

/* The synthetic BERT of the shared data: hidden states in f64 by another implementation. */
static void test_tinybert(void **state)
{
    const char *weights = testdir_shared("data/metrics/tinybert.safetensors"), *line;
    const char *dir = testdir_path("tinybert");
    char path[700];
    struct dev *d = NULL;
    struct encoder *n = NULL;
    size_t size;
    (void)state;

    if (!weights) skip();
    OK(fs_mkdirs(dir, e));
    char *text = testdir_read(weights, &size);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    testdir_write(path, text, size);
    free(text);
    text = testdir_read(testdir_shared("data/metrics/tinybert_config.json"), &size);
    snprintf(path, sizeof path, "%s/config.json", dir);
    testdir_write(path, text, size);
    free(text);
    OK(dev_open(test_device(), 1, &d, e));
    OK(encoder_open(d, dir, DEV_F32, &n, e));
    text = testdir_read(testdir_shared("data/metrics/golden_bertscore_tiny.jsonl"), &size);
    int checked = 0;
    for (line = text; line && *line && checked < 40; checked++) {
        const char *end = strchr(line, '\n');
        json_t *j = NULL;
        uint32_t ids[64], cu[2] = {0};
        float out[64 * 32];
        OK(json_parse((struct str){line, (size_t)(end - line)}, "golden", &j, e));
        json_t *want = json_object_get(j, "last_hidden_first4_of_cls_prediction");
        const json_t *tokens = json_object_get(j, "ids_prediction");
        cu[1] = (uint32_t)json_array_size(tokens);
        for (uint32_t i = 0; i < cu[1]; i++)
            ids[i] = (uint32_t)number(json_array_get(tokens, i));
        OK(encoder_hidden(n, ids, cu, 1, 3, out, e));
        for (size_t i = 0; i < json_array_size(want); i++)
            assert_true(fabs(out[i] - number(json_array_get(want, i))) < 1e-5);
        json_decref(j);
        line = end + 1;
    }
    assert_true(checked > 10);
    free(text);
    encoder_close(n);
    dev_close(d);
}

static int setup(void **state)
{
    (void)state;
    return testdir_make() ? 0 : -1;
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
        cmocka_unit_test_setup_teardown(test_golden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bins_and_old_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tinybert, setup, teardown),
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
