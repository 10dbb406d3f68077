/* The labeller against golden/chexbert_tiny.json (PyTorch), as a metric too; folders that are
 * none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "evaluate/chexbert.h"
#include "evaluate/evaluate.h"
#include "model/safetensors.h"
#include "support/testdir.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        if (!(x)) fail_msg("%s", e->text);                                                         \
    } while (0)

static struct err err, *e = &err;
static json_t *root;
enum { TEXTS = 10, PAIRS = 8, TENSORS_MAX = 128 };

static double wave(size_t t, size_t k)
{
    double x = 43758.5453 * sin(1.0 + 12.9898 * (double)k + 78.233 * (double)t);
    return 1.4 * (x - floor(x)) - 0.7;
}

static bool ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* config.json, vocab.txt, model.safetensors of the golden; a head left out where asked. */
static const char *write_folder(const char *without)
{
    static char dir[512];
    struct safetensor list[TENSORS_MAX];
    struct safetensors_writer *w = NULL;
    const json_t *tensors = json_object_get(root, "tensors");
    const json_t *vocab = json_object_get(root, "vocab");
    char *config = json_dumps(json_object_get(root, "config"), 0), words[512];
    size_t n = 0, at = 0;

    snprintf(dir, sizeof dir, "%s", testdir_make());
    testdir_write(testdir_path("config.json"), config, strlen(config));
    for (size_t i = 0; i < json_array_size(vocab); i++)
        at += (size_t)snprintf(words + at, sizeof words - at, "%s\n",
                               json_string_value(json_array_get(vocab, i)));
    testdir_write(testdir_path("vocab.txt"), words, at);
    for (size_t t = 0; t < json_array_size(tensors); t++) {
        const json_t *row = json_array_get(tensors, t), *shape = json_array_get(row, 1);
        const char *name = json_string_value(json_array_get(row, 0));
        if (without && strcmp(name, without) == 0) continue;
        list[n] = (struct safetensor){.name = name, .dtype = DTYPE_F32, .count = 1};
        list[n].ndims = (uint32_t)json_array_size(shape);
        for (uint32_t d = 0; d < list[n].ndims; d++) {
            list[n].dims[d] = (uint64_t)json_integer_value(json_array_get(shape, d));
            list[n].count *= list[n].dims[d];
        }
        list[n].bytes = list[n].count * sizeof(float);
        n++;
    }
    OK(safetensors_writer_open(testdir_path("model.safetensors"), list, n, &w, e));
    for (size_t t = 0, i = 0; t < json_array_size(tensors); t++) {
        const char *name = json_string_value(json_array_get(json_array_get(tensors, t), 0));
        if (without && strcmp(name, without) == 0) continue;
        double scale = ends(name, "attention.output.dense.weight") ? 6 : 1;
        float *v = malloc(list[i].bytes);
        for (size_t k = 0; k < list[i].count; k++)
            v[k] = (float)(scale * wave(t, k) + (ends(name, "LayerNorm.weight") ? 1 : 0));
        OK(safetensors_writer_put(w, v, list[i].bytes, e));
        free(v);
        i++;
    }
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
    free(config);
    return dir;
}

static struct str text_of(size_t i)
{
    const json_t *t = json_array_get(json_object_get(root, "texts"), i);
    return str_of(json_string_value(json_object_get(t, "text")));
}

static size_t pair_at(size_t i, size_t side)
{
    const json_t *p = json_array_get(json_object_get(root, "pairs"), i);
    return (size_t)json_integer_value(json_array_get(p, side));
}

static double golden(const char *key)
{
    return json_number_value(json_object_get(root, key));
}

static void test_labels(void **state)
{
    const struct embed_opts o = {.dir = write_folder(NULL), .device = "cpu", .threads = 1};
    struct str texts[2 * PAIRS];
    struct chexbert_text out[2 * PAIRS];
    double cosine[PAIRS];
    struct chexbert *c = NULL;
    (void)state;

    OK(chexbert_open(&o, &c, e));
    for (size_t i = 0; i < TEXTS; i++) {
        const json_t *t = json_array_get(json_object_get(root, "texts"), i);
        texts[0] = text_of(i);
        OK(chexbert_texts(c, texts, 1, out, NULL, e));
        for (size_t k = 0; k < CHEXBERT_LABELS; k++)
            assert_int_equal(out[0].label[k],
                             json_integer_value(json_array_get(json_object_get(t, "labels"), k)));
    }
    for (size_t i = 0; i < 2 * PAIRS; i++)
        texts[i] = text_of(pair_at(i / 2, i % 2));
    OK(chexbert_texts(c, texts, 2 * PAIRS, out, cosine, e));
    for (size_t i = 0; i < PAIRS; i++) {
        const json_t *want = json_array_get(json_object_get(root, "cosines"), i);
        assert_true(fabs(json_number_value(want) - cosine[i]) < 2e-5);
    }
    chexbert_close(c);
    testdir_remove();
}

/* Through the table of metrics: the folder alone turns it on. */
static void test_metric(void **state)
{
    static const char *const keys[] = {"micro14", "macro14", "micro5", "macro5"};
    struct evaluate_opts o = {.device = "cpu"};
    const char *room[2 * METRICS_MAX];
    struct metric_text t[PAIRS];
    struct metric_set set;
    double sum[METRIC_COLUMNS_MAX] = {0}, *rows;
    void *scorer = NULL;
    struct sbuf b;
    (void)state;

    o.encoders.chexbert = write_folder(NULL);
    const struct opt_strs names = encoders_metrics(&o, room);
    OK(metric_set_init(&set, &names, e));
    assert_int_equal(set.n, 1);
    OK(set.metric[0]->check(&o, e));
    for (size_t i = 0; i < PAIRS; i++)
        t[i] = (struct metric_text){.prediction = text_of(pair_at(i, 0)),
                                    .reference = text_of(pair_at(i, 1))};
    const struct metric_env env = {&o, t, PAIRS, 1};
    OK(set.metric[0]->open(&env, &scorer, e));
    rows = calloc(PAIRS * set.ncolumns, sizeof *rows);
    OK(set.metric[0]->score(scorer, t, PAIRS, rows, set.ncolumns, e));
    for (size_t i = 0; i < PAIRS * set.ncolumns; i++)
        sum[i % set.ncolumns] += rows[i];
    for (size_t k = 0; k < 4; k++) {
        char name[32];
        snprintf(name, sizeof name, "chexbert.%s", keys[k]);
        size_t v = metric_set_find(&set, name);
        assert_true(v != SIZE_MAX);
        double got = set.value[v]->stat(sum + set.column[v]);
        if (fabs(got - golden(keys[k])) > 1e-9) fail_msg("%s: %g", name, got);
    }
    sbuf_init(&b, 500);
    OK(set.metric[0]->signature(scorer, &b, e));
    assert_non_null(strstr(b.p, "chexbert|uncertain:positive|"));
    sbuf_free(&b);
    set.metric[0]->close(scorer);
    free(rows);
    testdir_remove();
}

static void test_refused(void **state)
{
    struct embed_opts o = {.device = "cpu", .threads = 1};
    struct evaluate_opts none = {.device = "cpu"};
    struct chexbert *c = NULL;
    static const char *const listed[] = {"chexbert"};
    struct metric_set set;
    (void)state;

    o.dir = write_folder("linear_heads.13.bias");
    assert_false(chexbert_open(&o, &c, e));
    assert_null(c);
    assert_non_null(strstr(e->text, "linear_heads.13.bias"));
    testdir_remove();
    err = (struct err){0};
    /* listed without a folder: before any work, naming the key */
    const struct opt_strs names = {listed, 1};
    OK(metric_set_init(&set, &names, e));
    assert_false(set.metric[0]->check(&none, e));
    assert_int_equal(e->code, ERR_CONFIG);
    assert_non_null(strstr(e->text, "evaluate.encoders.chexbert"));
    err = (struct err){0};
}

/* A label that nobody gave and nobody should have given counts as 0, as in scikit-learn. */
static void test_absent_label(void **state)
{
    static const double counts[] = {0, 0, 0, 2, 1, 1};
    static const int labels[] = {0, 1};

    (void)state;
    assert_true(chexbert_macro(counts, labels, 2) == 4.0 / 6 / 2);
    assert_true(chexbert_micro(counts, labels, 2) == 4.0 / 6);
    assert_true(chexbert_micro(counts, labels, 1) == 0);
}

static int setup(void **state)
{
    (void)state;
    return json_read_file(RADMILL_SOURCE "/tests/evaluate/golden/chexbert_tiny.json", 1 << 20,
                          &root, e)
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_metric),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_absent_label),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
