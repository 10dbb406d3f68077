/* A real encoder, all-MiniLM-L6-v2, against golden/minilm.json: sentence embeddings within 1e-5 of
 * transformers. Skipped, visibly, without the model. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/encoder.h"
#include "support/testdir.h"

enum { MOST = 64, D = 384 };

static double at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* All sentences in one call. */
static void test_sentences(void **state)
{
    json_t *root = NULL, *all;
    uint32_t ids[4 * MOST], cu[5] = {0};
    struct dev *d = NULL;
    struct encoder *n = NULL;
    double worst = 0;
    (void)state;

    const char *dir = testdir_minilm();

    if (!dir) skip();
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/minilm.json", 1 << 20, &root, e));
    all = json_object_get(root, "sentences");
    for (size_t s = 0; s < 4; s++) {
        const json_t *tokens = json_object_get(json_array_get(all, s), "ids");
        size_t count = json_array_size(tokens);
        assert_true(count > 2 && count <= MOST);
        for (size_t i = 0; i < count; i++)
            ids[cu[s] + i] = (uint32_t)at(tokens, i);
        cu[s + 1] = cu[s] + (uint32_t)count;
    }
    OK(dev_open("cpu", 1, &d, e));
    OK(encoder_open(d, dir, DEV_F32, &n, e));
    struct encoder_info info = encoder_info(n);
    assert_int_equal(info.d, D);
    assert_int_equal(info.max_tokens, 512);
    float *h3 = malloc((size_t)cu[4] * D * sizeof *h3), *h = malloc((size_t)cu[4] * D * sizeof *h);
    OK(encoder_hidden(n, ids, cu, 4, 3, h3, e));
    OK(encoder_hidden(n, ids, cu, 4, info.layers, h, e));
    for (size_t s = 0; s < 4; s++) {
        const json_t *want = json_array_get(all, s);
        double mean[D] = {0}, norm = 0;
        for (size_t t = cu[s]; t < cu[s + 1]; t++)
            for (size_t k = 0; k < D; k++)
                mean[k] += (double)h[t * D + k];
        for (size_t k = 0; k < D; k++)
            norm += mean[k] * mean[k];
        for (size_t k = 0; k < D; k++)
            worst =
                fmax(worst, fabs(mean[k] / sqrt(norm) - at(json_object_get(want, "embedding"), k)));
        for (size_t k = 0; k < 8; k++)
            assert_true(fabs((double)h3[((size_t)cu[s + 1] - 1) * D + k] -
                             at(json_object_get(want, "layer3"), k)) < 1e-5);
    }
    print_message("MiniLM: embeddings within %.1e\n", worst);
    assert_true(worst < 1e-5);
    free(h3);
    free(h);
    encoder_close(n);
    dev_close(d);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
