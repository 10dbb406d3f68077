/* BERTScore and mean-pooled similarity of a real encoder, all-MiniLM-L6-v2, against
 * golden/bertscore_minilm.json: within 1e-4 of bert-score. Skipped, visibly, without the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/json.h"
#include "evaluate/bertscore.h"
#include "evaluate/similarity.h"
#include "support/testdir.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        if (!(x)) fail_msg("%s", e->text);                                                         \
    } while (0)

static struct err err, *e = &err;
enum { PAIRS = 9 };

static struct str text_of(const json_t *row, const char *key)
{
    const json_t *v = json_object_get(row, key);
    return (struct str){json_string_value(v), json_string_length(v)};
}

static double worst_of(const json_t *want, const struct bertscore_prf *got)
{
    const double v[3] = {got->p, got->r, got->f};
    double worst = 0;
    for (size_t i = 0; i < 3; i++)
        worst = fmax(worst, fabs(json_number_value(json_array_get(want, i)) - v[i]));
    return worst;
}

static void test_pairs(void **state)
{
    const char *dir = testdir_minilm();
    struct embed_opts o = {.dir = dir, .device = "cpu", .threads = 1};
    struct bertscore_prf out[PAIRS];
    struct str texts[2 * PAIRS], refs[PAIRS];
    double cos[PAIRS], worst[3] = {0};
    struct embed *m = NULL;
    json_t *root = NULL;
    (void)state;

    if (!dir) skip();
    OK(json_read_file(RADMILL_SOURCE "/tests/evaluate/golden/bertscore_minilm.json", 1 << 20, &root,
                      e));
    const json_t *rows = json_object_get(root, "pairs");
    assert_int_equal(json_array_size(rows), PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        texts[2 * i] = text_of(json_array_get(rows, i), "prediction");
        texts[2 * i + 1] = refs[i] = text_of(json_array_get(rows, i), "reference");
    }
    OK(embed_open(&o, &m, e));
    for (int idf = 0; idf < 2; idf++) {
        const struct bertscore_opts bo = {.name = "minilm", .layer = 5, .idf = idf};
        struct bertscore *b = NULL;
        OK(bertscore_open(m, &bo, refs, PAIRS, &b, e));
        OK(bertscore_pairs(b, texts, PAIRS, out, e));
        for (size_t i = 0; i < PAIRS; i++) {
            const json_t *want = json_object_get(json_array_get(rows, i), idf ? "idf" : "plain");
            worst[idf] = fmax(worst[idf], worst_of(want, &out[i]));
        }
        bertscore_close(b);
    }
    OK(similarity_pairs(m, SIMILARITY_MEAN, texts, PAIRS, cos, e));
    for (size_t i = 0; i < PAIRS; i++) {
        const json_t *want = json_object_get(json_array_get(rows, i), "cosine");
        worst[2] = fmax(worst[2], fabs(json_number_value(want) - cos[i]));
    }
    print_message("MiniLM: BERTScore within %.1e, with idf %.1e, cosine %.1e\n", worst[0], worst[1],
                  worst[2]);
    assert_true(worst[0] < 1e-4 && worst[1] < 1e-4 && worst[2] < 1e-4);
    assert_int_equal(embed_cut(m), 3); /* the long text: each use of it */
    embed_close(m);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
