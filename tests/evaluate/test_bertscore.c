/* BERTScore and similarity: golden_bertscore_tiny (the bert_score formulas over a PyTorch encoder),
 * texts that are empty, long, equal; RoBERTa's blank; case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluate/bertscore.h"
#include "evaluate/encoders.h"
#include "evaluate/similarity.h"
#include "support/testdir.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        if (!(x)) fail_msg("%s", e->text);                                                         \
    } while (0)

static struct err err, *e = &err;
enum { ROWS = 37 };

struct golden {
    json_t *row[ROWS];
    struct str text[2 * ROWS], ref[ROWS];
};

static bool copy(const char *from, const char *to)
{
    size_t n;
    const char *path = testdir_shared(from);
    if (!path) return false;
    char *p = testdir_read(path, &n);
    testdir_write(testdir_path(to), p, n);
    free(p);
    return true;
}

/* The tiny model as a folder; NULL (and a visible skip) without the test data. */
static const char *tiny_folder(void)
{
    static char dir[512];
    snprintf(dir, sizeof dir, "%s", testdir_make());
    if (!copy("data/metrics/tinybert_config.json", "config.json")) return NULL;
    if (!copy("data/metrics/tinybert_vocab.txt", "vocab.txt")) return NULL;
    if (!copy("data/metrics/tinybert.safetensors", "model.safetensors")) return NULL;
    return dir;
}

static void golden_read(struct golden *g)
{
    size_t n, i = 0;
    char *all = testdir_read(testdir_shared("data/metrics/golden_bertscore_tiny.jsonl"), &n);
    struct str rest = {all, n}, line;
    while (str_split(&rest, '\n', &line)) {
        if (line.n == 0) continue;
        assert_true(i < ROWS);
        OK(json_parse(line, "golden", &g->row[i], e));
        g->text[2 * i] = str_of(json_string_value(json_object_get(g->row[i], "prediction")));
        g->text[2 * i + 1] = str_of(json_string_value(json_object_get(g->row[i], "reference")));
        g->ref[i] = g->text[2 * i + 1];
        i++;
    }
    assert_int_equal(i, ROWS);
    free(all);
}

static void golden_free(struct golden *g)
{
    for (int i = 0; i < ROWS; i++)
        json_decref(g->row[i]);
}

static struct embed *open_embed(const char *dir, int lower)
{
    const struct embed_opts o = {.dir = dir, .device = "cpu", .threads = 1, .lower = lower};
    struct embed *m = NULL;
    OK(embed_open(&o, &m, e));
    return m;
}

static void check_ids(struct embed *m, struct str text, const json_t *want)
{
    struct tok_ids ids = {0};
    OK(embed_ids(m, text, &ids, e));
    assert_int_equal(ids.n, json_array_size(want));
    for (size_t k = 0; k < ids.n; k++)
        assert_int_equal(ids.ids[k], json_integer_value(json_array_get(want, k)));
    tok_ids_free(&ids);
}

static double worst_of(const json_t *want, const struct bertscore_prf *got)
{
    double p = fabs(json_number_value(json_object_get(want, "p")) - got->p);
    double r = fabs(json_number_value(json_object_get(want, "r")) - got->r);
    double f = fabs(json_number_value(json_object_get(want, "f")) - got->f);
    return fmax(p, fmax(r, f));
}

static void test_golden(void **state)
{
    static const char *const keys[2][2] = {{"bertscore_L2", "bertscore_L2_idf"},
                                           {"bertscore_L3", "bertscore_L3_idf"}};
    const char *dir = tiny_folder();
    struct bertscore_prf out[ROWS];
    struct golden g;
    double cos[2][ROWS], worst = 0;
    (void)state;

    if (!dir) skip();
    struct embed *m = open_embed(dir, EMBED_CASE_AUTO);
    golden_read(&g);
    for (int i = 0; i < ROWS; i++) {
        check_ids(m, g.text[2 * i], json_object_get(g.row[i], "ids_prediction"));
        check_ids(m, g.text[2 * i + 1], json_object_get(g.row[i], "ids_reference"));
    }
    for (int v = 0; v < 4; v++) {
        const struct bertscore_opts o = {.name = "tiny", .layer = 2 + v / 2, .idf = v % 2};
        struct bertscore *b = NULL;
        OK(bertscore_open(m, &o, g.ref, ROWS, &b, e));
        OK(bertscore_pairs(b, g.text, ROWS, out, e));
        for (int i = 0; i < ROWS; i++)
            worst = fmax(worst, worst_of(json_object_get(g.row[i], keys[v / 2][v % 2]), &out[i]));
        bertscore_close(b);
    }
    OK(similarity_pairs(m, SIMILARITY_MEAN, g.text, ROWS, cos[0], e));
    OK(similarity_pairs(m, SIMILARITY_CLS, g.text, ROWS, cos[1], e));
    for (int i = 0; i < ROWS; i++) {
        double mean = json_number_value(json_object_get(g.row[i], "meanpool_cos_all_tokens"));
        double cls = json_number_value(json_object_get(g.row[i], "cls_cos"));
        worst = fmax(worst, fmax(fabs(mean - cos[0][i]), fabs(cls - cos[1][i])));
    }
    print_message("golden_bertscore_tiny: within %.1e\n", worst);
    assert_true(worst < 2e-5);
    assert_int_equal(embed_cut(m), 0);
    golden_free(&g);
    embed_close(m);
    testdir_remove();
}

/* A value does not depend on the pairs beside it, on their order, nor on chunks. */
static void test_alone(void **state)
{
    const char *dir = tiny_folder();
    struct golden g;
    struct bertscore_prf one, *many;
    struct bertscore *b = NULL;
    const struct bertscore_opts o = {.name = "tiny", .layer = 2};
    enum { TIMES = 5 };
    (void)state;

    if (!dir) skip();
    struct embed *m = open_embed(dir, EMBED_CASE_AUTO);
    golden_read(&g);
    struct str *texts = calloc(2 * ROWS * TIMES, sizeof *texts);
    many = calloc((size_t)ROWS * TIMES, sizeof *many);
    double *cos = calloc((size_t)ROWS * TIMES, sizeof *cos), alone;
    for (int i = 0; i < ROWS * TIMES; i++) {
        int k = (i * 7) % ROWS; /* another order */
        texts[2 * i] = g.text[2 * k];
        texts[2 * i + 1] = g.text[2 * k + 1];
    }
    OK(bertscore_open(m, &o, NULL, 0, &b, e));
    OK(bertscore_pairs(b, texts, ROWS * TIMES, many, e));
    OK(similarity_pairs(m, SIMILARITY_MEAN, texts, ROWS * TIMES, cos, e));
    for (int i = 0; i < ROWS * TIMES; i += 11) {
        OK(bertscore_pairs(b, texts + 2 * i, 1, &one, e));
        assert_memory_equal(&one, &many[i], sizeof one);
        OK(similarity_pairs(m, SIMILARITY_MEAN, texts + 2 * i, 1, &alone, e));
        assert_true(alone == cos[i]);
    }
    bertscore_close(b);
    free(cos);
    free(many);
    free(texts);
    golden_free(&g);
    embed_close(m);
    testdir_remove();
}

static void test_edges(void **state)
{
    const char *dir = tiny_folder();
    struct str texts[] = {STR(""),
                          STR("No effusion."),
                          STR("No effusion."),
                          STR(" \n "),
                          STR("No effusion."),
                          STR("No effusion."),
                          STR("x"),
                          STR("y")};
    struct bertscore_prf out[4];
    struct bertscore *b = NULL;
    struct bertscore_opts o = {.name = "tiny", .layer = 2};
    char *long_text = malloc(400);
    (void)state;

    if (!dir) skip();
    struct embed *m = open_embed(dir, EMBED_CASE_AUTO);
    OK(bertscore_open(m, &o, NULL, 0, &b, e));
    OK(bertscore_pairs(b, texts, 3, out, e));
    for (int i = 0; i < 2; i++)
        assert_true(out[i].p == 0 && out[i].r == 0 && out[i].f == 0);
    assert_true(fabs(out[2].f - 1) < 1e-6);
    bertscore_close(b);
    /* 64 tokens are the most; the rest is cut and counted, [SEP] stays */
    for (int i = 0; i < 200; i++)
        memcpy(long_text + 2 * i, "a ", 2);
    struct tok_ids ids = {0};
    OK(embed_ids(m, (struct str){long_text, 400}, &ids, e));
    assert_int_equal(ids.n, 64);
    assert_int_equal(ids.ids[63], 3);
    assert_int_equal(embed_cut(m), 1);
    tok_ids_free(&ids);
    /* one reference with idf: every weight is ln(2/2) */
    o.idf = true;
    OK(bertscore_open(m, &o, texts + 1, 1, &b, e));
    OK(bertscore_pairs(b, texts + 4, 1, out, e));
    assert_true(out[0].p == 0 && out[0].f == 0);
    bertscore_close(b);
    free(long_text);
    /* and said when the metric is done */
    size_t n;
    OK(log_open_file(testdir_path("log"), e));
    encoders_close(m, "bertscore");
    log_close();
    char *log = testdir_read(testdir_path("log"), &n);
    assert_non_null(strstr(log, "encoder_cut encoder=bertscore texts=1 "));
    free(log);
    testdir_remove();
}

static void refused(struct embed *m, struct bertscore_opts o, const char *part)
{
    struct bertscore *b = NULL;
    assert_false(bertscore_open(m, &o, NULL, 0, &b, e));
    assert_null(b);
    assert_int_equal(e->code, ERR_CONFIG);
    if (!strstr(e->text, part)) fail_msg("%s: lacks %s", e->text, part);
    err = (struct err){0};
}

static void test_options(void **state)
{
    const char *dir = tiny_folder();
    struct bertscore *b = NULL;
    struct bertscore_prf raw;
    struct sbuf sig;
    const struct str texts[] = {STR("No pleural effusion."), STR("No effusion is seen.")};
    const struct bertscore_opts known = {.name = "/x/distilbert-base-uncased/", .layer = -1};
    (void)state;

    if (!dir) skip();
    struct embed *m = open_embed(dir, EMBED_CASE_AUTO);
    refused(m, (struct bertscore_opts){.name = "tiny", .layer = -1}, "give one of 0 to 3");
    refused(m, (struct bertscore_opts){.name = "tiny", .layer = 4}, "has 3 layers");
    refused(m, known, "has 3 layers"); /* the table's 5 */
    refused(m, (struct bertscore_opts){.name = "tiny", .layer = 2, .rescale = true}, "baseline");
    refused(m, (struct bertscore_opts){.name = "roberta-base", .layer = 2, .rescale = true},
            "layer 2 of roberta-base");
    assert_int_equal(bertscore_model_of("FacebookAI/roberta-large")->layer, 17);
    assert_null(bertscore_model_of("my-roberta-large"));
    assert_null(bertscore_model_of(""));
    const struct bertscore_opts o = {.name = "mine", .layer = 2};
    OK(bertscore_open(m, &o, NULL, 0, &b, e));
    OK(bertscore_pairs(b, texts, 1, &raw, e));
    sbuf_init(&sig, 1000);
    OK(bertscore_signature(b, &sig, e));
    assert_non_null(strstr(sig.p, "bertscore|model:mine|layer:2|idf:no|rescale:no|lower:auto|"));
    sbuf_free(&sig);
    bertscore_close(b);
    embed_close(m);
    testdir_remove();
}

/* lower: a cased word is another word for KEEP, the same for LOWER. */
static void test_case(void **state)
{
    static const struct str text = STR_INIT("No EFFUSION"), small = STR_INIT("no effusion");
    const char *dir = tiny_folder();
    (void)state;

    if (!dir) skip();
    for (int lower = EMBED_CASE_AUTO; lower <= EMBED_CASE_LOWER; lower++) {
        struct embed *m = open_embed(dir, lower);
        struct tok_ids a = {0}, b = {0};
        OK(embed_ids(m, text, &a, e));
        OK(embed_ids(m, small, &b, e));
        bool same = a.n == b.n && memcmp(a.ids, b.ids, a.n * sizeof *a.ids) == 0;
        assert_int_equal(same, lower != EMBED_CASE_KEEP);
        tok_ids_free(&a);
        tok_ids_free(&b);
        embed_close(m);
    }
    testdir_remove();
}

static void test_random(void **state)
{
    const char *dir = tiny_folder();
    struct golden g;
    double one, two, other, none;
    (void)state;

    if (!dir) skip();
    struct embed *m = open_embed(dir, EMBED_CASE_AUTO);
    golden_read(&g);
    OK(similarity_random(m, SIMILARITY_MEAN, g.ref, ROWS, 1, &one, e));
    OK(similarity_random(m, SIMILARITY_MEAN, g.ref, ROWS, 1, &two, e));
    OK(similarity_random(m, SIMILARITY_MEAN, g.ref, ROWS, 2, &other, e));
    OK(similarity_random(m, SIMILARITY_MEAN, g.ref, 1, 1, &none, e));
    assert_true(one == two && one != other && fabs(one - other) < 0.05);
    assert_true(one > 0 && one < 1 && none == 0);
    /* near the mean over all pairs of two different references */
    double sum = 0, c;
    int n = 0;
    for (int i = 0; i < ROWS; i += 3)
        for (int j = 0; j < ROWS; j += 3) {
            const struct str pair[2] = {g.ref[i], g.ref[j]};
            if (i == j) continue;
            OK(similarity_pairs(m, SIMILARITY_MEAN, pair, 1, &c, e));
            sum += c;
            n++;
        }
    assert_true(fabs(sum / n - one) < 0.05);
    assert_true(fabs(similarity_rescaled(1, one) - 1) < 1e-12);
    assert_true(fabs(similarity_rescaled(one, one)) < 1e-12 && similarity_rescaled(1, 1) == 0);
    golden_free(&g);
    embed_close(m);
    testdir_remove();
}

static void test_missing(void **state)
{
    struct embed *m = NULL;
    const char *dir = testdir_make();
    const struct embed_opts o = {.dir = dir, .device = "cpu", .threads = 1};
    (void)state;
    assert_false(embed_check(testdir_path("nowhere"), "bertscore", e));
    assert_int_equal(e->code, ERR_CONFIG);
    assert_non_null(strstr(e->text, "evaluate.encoders.bertscore"));
    err = (struct err){0};
    assert_false(embed_check(dir, "radbert", e));
    assert_non_null(strstr(e->text, "config.json"));
    err = (struct err){0};
    testdir_write(testdir_path("config.json"), "{}", 2);
    assert_false(embed_check(dir, "radbert", e));
    assert_non_null(strstr(e->text, "vocab.txt"));
    err = (struct err){0};
    assert_false(embed_open(&o, &m, e));
    assert_null(m);
    err = (struct err){0};
    testdir_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_alone), cmocka_unit_test(test_edges),
        cmocka_unit_test(test_options), cmocka_unit_test(test_case),  cmocka_unit_test(test_random),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
