#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "model/safetensors.h"
#include "support/testdir.h"

static void rig_open(struct tiny_rig *r, const char *device, enum tiny_case c, enum dev_dtype t,
                     bool full, double dropout)
{
    const char *dir = tiny_write(c);
    struct lora_opts o = {.method = LORA_FULL};
    tiny_rig_model(r, device, dir, t);
    if (full)
        OK(lora_open(r->m, &o, 1, &r->l, e));
    else
        r->l = tiny_lora(r->m, dropout);
    tiny_rig_work(r, 64, 32);
}

static void assert_near(double got, double want, double tol, const char *what)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("%s: %.9g, golden %.9g, tolerance %.3g", what, got, want, tol);
}

/* ---- goldens: f32 within 2e-5 of the reference (measured: below 2e-6) */
#define F32_TOL 2e-5

static void golden_lora(const char *device, enum tiny_case c)
{
    struct tiny_rig r;
    struct tiny_batch t;
    json_t *root, *gold = tiny_golden(c, &root);
    float logits[TINY_ROWS * 128], want[128];
    double loss, again;
    size_t n;

    rig_open(&r, device, c, DEV_F32, false, 0);
    tiny_batch(&t);
    OK(decoder_logits(r.w, &t.b, logits, e));
    tiny_summary(logits, TINY_ROWS * 128, 900, json_object_get(gold, "logits"), F32_TOL, "logits");
    for (size_t i = 0; i < 128; i++)
        want[i] = (float)json_number_value(json_array_get(json_object_get(gold, "logits_last"), i));
    assert_true(rel_rms(logits + (size_t)(TINY_ROWS - 1) * 128, want, 128) < F32_TOL);

    OK(decoder_loss(r.w, &t.b, &loss, NULL, e));
    assert_near(loss, tiny_number(gold, "loss"), F32_TOL * loss, "loss");
    again = tiny_rig_grad(&r, &t.b);
    assert_true(again == loss);
    const struct lora_tensor *lt = lora_tensors(r.l, &n);
    assert_int_equal(n, 28);
    for (size_t i = 0; i < n; i++) {
        json_t *g = json_object_get(json_object_get(gold, "lora"), lt[i].name);
        assert_non_null(g);
        uint64_t tag = 0;
        const char *key;
        json_t *v;
        json_object_foreach(json_object_get(gold, "lora"), key, v)
        {
            if (strcmp(key, lt[i].name) == 0) break;
            tag++;
        }
        tiny_summary(r.host + lt[i].offset, (size_t)lt[i].rows * lt[i].cols, tag, g, F32_TOL,
                     lt[i].name);
    }
    tiny_rig_close(&r);
    json_decref(root);
}

static void test_golden_lora(void **state)
{
    (void)state;
    for (enum tiny_case c = 0; c < TINY_CASES; c++)
        golden_lora(test_device(), c);
}

static void test_golden_lora_strict(void **state)
{
    (void)state;
    for (enum tiny_case c = 0; c < TINY_CASES; c++)
        golden_lora("strict", c);
}

static void test_golden_full(void **state)
{
    (void)state;
    for (enum tiny_case c = 0; c < TINY_CASES; c++) {
        struct tiny_rig r;
        struct tiny_batch t;
        json_t *root, *gold = tiny_golden(c, &root);
        size_t n;
        rig_open(&r, test_device(), c, DEV_F32, true, 0);
        tiny_batch(&t);
        double loss = tiny_rig_grad(&r, &t.b);
        assert_near(loss, tiny_number(gold, "base_loss"), F32_TOL * loss, "loss");
        const struct lora_tensor *lt = lora_tensors(r.l, &n);
        for (size_t i = 0; i < n; i++) {
            json_t *g = json_object_get(json_object_get(gold, "full"), lt[i].name);
            assert_non_null(g);
            tiny_summary(r.host + lt[i].offset, (size_t)lt[i].rows * lt[i].cols, i, g, F32_TOL,
                         lt[i].name);
        }
        tiny_rig_close(&r);
        json_decref(root);
    }
}

/* bf16 against our own f32: at most twice what the reference loses by its bf16. */
static void test_bf16(void **state)
{
    (void)state;
    for (enum tiny_case c = 0; c < TINY_CASES; c++) {
        struct tiny_rig a, b;
        struct tiny_batch t;
        json_t *root, *gap = json_object_get(tiny_golden(c, &root), "bf16_gap");
        float la[TINY_ROWS * 128], lb[TINY_ROWS * 128];
        tiny_batch(&t);
        rig_open(&a, test_device(), c, DEV_F32, false, 0);
        rig_open(&b, test_device(), c, DEV_BF16, false, 0);
        OK(decoder_logits(a.w, &t.b, la, e));
        OK(decoder_logits(b.w, &t.b, lb, e));
        double l0 = tiny_rig_grad(&a, &t.b), l1 = tiny_rig_grad(&b, &t.b);
        double dl = rel_rms(lb, la, TINY_ROWS * 128), dg = rel_rms(b.host, a.host, lora_count(a.l));
        print_message(
            "%s bf16: logits %.4f (reference %.4f), gradient %.4f (%.4f), loss %.2e (%.2e)\n",
            tiny_names[c], dl, tiny_number(gap, "logits"), dg, tiny_number(gap, "grad"),
            fabs(l1 - l0) / l0, tiny_number(gap, "loss"));
        assert_true(dl > 0 && dl <= 2 * tiny_number(gap, "logits"));
        assert_true(dg > 0 && dg <= 2 * tiny_number(gap, "grad"));
        assert_near(l1, l0, 3e-3 * l0, "loss in bf16");
        tiny_rig_close(&a);
        tiny_rig_close(&b);
        json_decref(root);
    }
}

/* ---- the definition itself: central differences of the loss */
static void differences(bool full, enum tiny_case c)
{
    struct tiny_rig r;
    struct tiny_batch t;
    const float h = 2e-3F;
    double worst = 0;
    size_t n, checked = 0;

    rig_open(&r, test_device(), c, DEV_F32, full, 0);
    tiny_batch(&t);
    tiny_rig_grad(&r, &t.b);
    const struct lora_tensor *lt = lora_tensors(r.l, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)lt[i].rows * lt[i].cols;
        double norm = 0;
        for (size_t k = 0; k < count; k++) {
            float g = r.host[lt[i].offset + k];
            norm += (double)g * g;
        }
        for (size_t k = count / 3; k < count; k += count / 2) {
            size_t at = (lt[i].offset + k) * 4;
            float p, moved;
            double up, down;
            OK(dev_download(r.d, lora_params(r.l), at, &p, 4, e));
            moved = p + h;
            OK(dev_upload(r.d, lora_params(r.l), at, &moved, 4, e));
            OK(lora_refresh(r.l, e));
            OK(decoder_loss(r.w, &t.b, &up, NULL, e));
            moved = p - h;
            OK(dev_upload(r.d, lora_params(r.l), at, &moved, 4, e));
            OK(lora_refresh(r.l, e));
            OK(decoder_loss(r.w, &t.b, &down, NULL, e));
            OK(dev_upload(r.d, lora_params(r.l), at, &p, 4, e));
            OK(lora_refresh(r.l, e));
            double fd = (up - down) / (2 * (double)h), g = r.host[lt[i].offset + k];
            double off = fabs(fd - g) / (fabs(g) + sqrt(norm / (double)count) + 1e-3);
            worst = off > worst ? off : worst;
            if (off > 2e-2) fail_msg("%s[%zu]: %g by differences, %g", lt[i].name, k, fd, g);
            checked++;
        }
    }
    print_message("%zu entries, worst relative difference %.2e\n", checked, worst);
    tiny_rig_close(&r);
}

static void test_differences(void **state)
{
    (void)state;
    differences(false, TINY_MISTRAL);
    differences(true, TINY_LLAMA);
}

/* ---- packing: a bin is the sum of its samples */
static void test_packed_is_sum(void **state)
{
    (void)state;
    struct tiny_rig r;
    struct tiny_batch t, one;
    double loss = 0, sum = 0;
    rig_open(&r, test_device(), TINY_LLAMA3, DEV_F32, false, 0);
    size_t n = lora_count(r.l);
    float *g = calloc(n, sizeof *g);
    tiny_batch(&t);
    for (uint32_t i = 0; i < TINY_SEQS; i++) {
        tiny_single(&t, i, &one);
        sum += tiny_rig_grad(&r, &one.b);
        for (size_t k = 0; k < n; k++)
            g[k] += r.host[k];
    }
    loss = tiny_rig_grad(&r, &t.b);
    assert_near(loss, sum, 1e-6 * loss, "loss");
    assert_true(rel_rms(r.host, g, n) < 1e-6);
    /* and the result has no memory: the same bin, the same bits */
    memcpy(g, r.host, n * sizeof *g);
    tiny_single(&t, 2, &one);
    tiny_rig_grad(&r, &one.b);
    assert_true(tiny_rig_grad(&r, &t.b) == loss);
    assert_memory_equal(g, r.host, n * sizeof *g);
    free(g);
    tiny_rig_close(&r);
}

/* Loss rows only where asked: no rows, no loss, a zero gradient. */
static void test_no_rows(void **state)
{
    (void)state;
    struct tiny_rig r;
    struct tiny_batch t;
    double loss = 1;
    rig_open(&r, test_device(), TINY_LLAMA, DEV_F32, false, 0);
    tiny_batch(&t);
    tiny_rig_grad(&r, &t.b);
    t.b.nrows = 0;
    loss = tiny_rig_grad(&r, &t.b);
    assert_true(loss == 0);
    for (size_t k = 0; k < lora_count(r.l); k++)
        assert_true(r.host[k] == 0);
    tiny_rig_close(&r);
}

static void test_bad_token(void **state)
{
    (void)state;
    struct tiny_rig r;
    struct tiny_batch t;
    struct err e = {0};
    double loss;
    rig_open(&r, test_device(), TINY_LLAMA, DEV_F32, false, 0);
    tiny_batch(&t);
    t.tokens[5] = 128;
    assert_false(decoder_loss(r.w, &t.b, &loss, NULL, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_non_null(strstr(e.text, "128"));
    tiny_rig_close(&r);
}

/* With dropout the gradient belongs to the masked network: other keys, other losses; p = 0 is none. */
static void test_dropout(void **state)
{
    (void)state;
    struct tiny_rig r;
    struct tiny_batch t;
    double a, b, plain;
    rig_open(&r, test_device(), TINY_LLAMA, DEV_F32, false, 0.3);
    tiny_batch(&t);
    OK(decoder_grad(r.w, &t.b, 1, r.grad, &a, e));
    OK(decoder_grad(r.w, &t.b, 2, r.grad, &b, e));
    OK(decoder_loss(r.w, &t.b, &plain, NULL, e)); /* evaluation never drops */
    assert_true(a != b && a != plain && b != plain);

    /* differences under a fixed key: decoder_grad's own loss is the function */
    const float h = 2e-3F;
    size_t n;
    const struct lora_tensor *lt = lora_tensors(r.l, &n);
    OK(decoder_grad(r.w, &t.b, 1, r.grad, &a, e));
    OK(dev_download(r.d, r.grad, 0, r.host, lora_count(r.l) * 4, e));
    float *g = malloc(lora_count(r.l) * 4);
    memcpy(g, r.host, lora_count(r.l) * 4);
    for (size_t i = 0; i < n; i++) {
        size_t k = lt[i].offset + (size_t)lt[i].rows * lt[i].cols / 3;
        float p, moved;
        double up, down;
        OK(dev_download(r.d, lora_params(r.l), k * 4, &p, 4, e));
        moved = p + h;
        OK(dev_upload(r.d, lora_params(r.l), k * 4, &moved, 4, e));
        OK(lora_refresh(r.l, e));
        OK(decoder_grad(r.w, &t.b, 1, r.grad, &up, e));
        moved = p - h;
        OK(dev_upload(r.d, lora_params(r.l), k * 4, &moved, 4, e));
        OK(lora_refresh(r.l, e));
        OK(decoder_grad(r.w, &t.b, 1, r.grad, &down, e));
        OK(dev_upload(r.d, lora_params(r.l), k * 4, &p, 4, e));
        double fd = (up - down) / (2 * (double)h);
        if (fabs(fd - g[k]) > 2e-2 * (fabs((double)g[k]) + 0.05))
            fail_msg("%s: %g by differences, %g", lt[i].name, fd, (double)g[k]);
    }
    free(g);
    tiny_rig_close(&r);
}

/* ---- fewer adapters: the backward pass stops early, and must not stop too early */

/* Gradient of the adapter that has only `target`, by way of the whole adapter with every other B zero: then the
 * others add nothing to the forward pass. */
static void only(const char *target)
{
    struct tiny_rig r;
    struct tiny_batch t;
    struct lora *few = NULL;
    struct decoder_work *w = NULL;
    struct lora_opts o = {.rank = 4, .alpha = 6, .targets = {&target, 1}};
    struct dev_buf *grad = NULL;
    size_t n, nf, checked = 0;
    double loss, want;

    tiny_batch(&t);
    rig_open(&r, test_device(), TINY_MISTRAL, DEV_F32, false, 0);
    OK(lora_open(r.m, &o, 1, &few, e));
    const struct lora_tensor *lt = lora_tensors(r.l, &n), *lf = lora_tensors(few, &nf);
    float *p = malloc(lora_count(r.l) * sizeof *p), *g = malloc(lora_count(few) * sizeof *g);
    OK(dev_download(r.d, lora_params(r.l), 0, p, lora_count(r.l) * sizeof *p, e));
    for (size_t i = 0; i < n; i++) {
        size_t bytes = (size_t)lt[i].rows * lt[i].cols * sizeof *p;
        for (size_t k = 0; k < nf; k++) {
            if (strcmp(lf[k].name, lt[i].name) == 0)
                OK(dev_upload(r.d, lora_params(few), lf[k].offset * sizeof *p, p + lt[i].offset,
                              bytes, e));
        }
        if (!strstr(lt[i].name, target) && strstr(lt[i].name, "lora_B"))
            memset(p + lt[i].offset, 0, bytes);
    }
    OK(dev_upload(r.d, lora_params(r.l), 0, p, lora_count(r.l) * sizeof *p, e));
    OK(lora_refresh(r.l, e));
    OK(lora_refresh(few, e));
    want = tiny_rig_grad(&r, &t.b);
    OK(decoder_work_open(r.m, few, 64, 32, true, &w, e));
    OK(dev_buf_open(r.d, lora_count(few) * sizeof *g, &grad, e));
    OK(decoder_grad(w, &t.b, 0, grad, &loss, e));
    OK(dev_download(r.d, grad, 0, g, lora_count(few) * sizeof *g, e));
    assert_true(loss == want);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < nf; k++) {
            if (strcmp(lf[k].name, lt[i].name) != 0) continue;
            size_t count = (size_t)lf[k].rows * lf[k].cols;
            double rms = rel_rms(g + lf[k].offset, r.host + lt[i].offset, count);
            if (!(rms < 1e-6)) fail_msg("%s alone: %g", lt[i].name, rms);
            checked++;
        }
    }
    assert_int_equal(checked, nf);
    free(p);
    free(g);
    dev_buf_close(grad);
    decoder_work_close(w);
    lora_close(few);
    tiny_rig_close(&r);
}

static void test_one_target(void **state)
{
    (void)state;
    static const char *const targets[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                          "gate_proj", "up_proj", "down_proj"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        only(targets[i]);
}

/* An adapter on the last block alone, as layers_to_transform makes them. */
static void test_last_block(void **state)
{
    (void)state;
    struct tiny_rig r;
    struct tiny_batch t;
    struct safetensor list[14];
    struct safetensors_writer *sw = NULL;
    struct lora *few = NULL;
    struct decoder_work *w = NULL;
    struct dev_buf *grad = NULL;
    size_t n, nf;
    double loss;

    tiny_batch(&t);
    rig_open(&r, test_device(), TINY_LLAMA, DEV_F32, false, 0);
    OK(lora_save(r.l, testdir_path("last"), NULL, e));
    const struct lora_tensor *lt = lora_tensors(r.l, &n);
    size_t block = lt[14].offset, count = lora_count(r.l);
    float *p = malloc(count * sizeof *p), *g = malloc(count * sizeof *g);
    OK(dev_download(r.d, lora_params(r.l), 0, p, count * sizeof *p, e));
    for (size_t i = 0; i < 14; i++)
        list[i] = (struct safetensor){
            .name = lt[14 + i].name, .ndims = 2, .dims = {lt[14 + i].rows, lt[14 + i].cols}};
    OK(safetensors_writer_open(testdir_path("last/adapter_model.safetensors"), list, 14, &sw, e));
    OK(safetensors_writer_put(sw, p + block, (count - block) * sizeof *p, e));
    OK(safetensors_writer_commit(sw, e));
    safetensors_writer_close(sw);
    OK(lora_load(r.m, testdir_path("last"), &few, e));
    lora_tensors(few, &nf);
    assert_int_equal(nf, 14);
    for (size_t i = 0; i < 14; i++) {
        if (strstr(lt[i].name, "lora_B"))
            memset(p + lt[i].offset, 0, (size_t)lt[i].rows * lt[i].cols * sizeof *p);
    }
    OK(dev_upload(r.d, lora_params(r.l), 0, p, count * sizeof *p, e));
    OK(lora_refresh(r.l, e));
    double want = tiny_rig_grad(&r, &t.b);
    OK(decoder_work_open(r.m, few, 64, 32, true, &w, e));
    OK(dev_buf_open(r.d, lora_count(few) * sizeof *g, &grad, e));
    OK(decoder_grad(w, &t.b, 0, grad, &loss, e));
    OK(dev_download(r.d, grad, 0, g, lora_count(few) * sizeof *g, e));
    assert_true(loss == want);
    assert_true(rel_rms(g, r.host + block, count - block) < 1e-6);
    /* saved again, the targets are named in full */
    json_t *j;
    OK(lora_save(few, testdir_path("last2"), NULL, e));
    OK(json_read_file(testdir_path("last2/adapter_config.json"), 1 << 16, &j, e));
    assert_string_equal(json_string_value(json_array_get(json_object_get(j, "target_modules"), 0)),
                        "model.layers.1.self_attn.q_proj");
    json_decref(j);
    free(p);
    free(g);
    dev_buf_close(grad);
    decoder_work_close(w);
    lora_close(few);
    tiny_rig_close(&r);
}

/* ---- memory: the plan is what is taken */
static void test_work_bytes(void **state)
{
    (void)state;
    static const char *const some[] = {"q_proj", "v_proj", "down_proj"};
    const char *dir = tiny_write(TINY_MISTRAL);
    for (int v = 0; v < 16; v++) {
        struct lora_opts o = {.method = v & 8 ? LORA_FULL : LORA_LORA,
                              .rank = 40,
                              .alpha = 8,
                              .dropout = v & 4 ? 0.1 : 0,
                              .targets = {some, 3}};
        bool train = v & 2;
        enum dev_dtype t = v & 1 ? DEV_BF16 : DEV_F32;
        struct dev *d = NULL;
        struct model *m = NULL;
        struct lora *l = NULL;
        struct decoder_work *w = NULL;
        OK(dev_open(test_device(), 1, &d, e));
        OK(model_open(d, dir, t, &m, e));
        OK(lora_open(m, &o, 3, &l, e));
        size_t before = dev_bytes_live(d);
        OK(decoder_work_open(m, l, 100, 30, train, &w, e));
        uint64_t want;
        OK(decoder_work_bytes(model_get_spec(m), t, &o, 100, 30, train, &want, e));
        assert_int_equal(dev_bytes_live(d) - before, want);
        decoder_work_close(w);
        lora_close(l);
        model_close(m);
        dev_close(d);
    }
}

#ifdef RADMILL_FAULTS
/* Fail the n-th allocation of opening everything: an error, nothing kept. */
static void test_out_of_memory(void **state)
{
    (void)state;
    const char *dir = tiny_write(TINY_LLAMA);
    static const char *const all[] = {"all-linear"};
    struct lora_opts o = {.rank = 2, .alpha = 2, .targets = {all, 1}};
    struct dev *d = NULL;
    struct model *m = NULL;
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, dir, DEV_BF16, &m, e));
    struct lora *warm = NULL; /* the device keeps its scratch memory from the first use on */
    OK(lora_open(m, &o, 1, &warm, e));
    lora_close(warm);
    for (uint64_t n = 1; n < 1000; n++) {
        struct err why = {0};
        struct lora *l = NULL;
        struct decoder_work *w = NULL;
        struct decoder_cache *c = NULL;
        size_t blocks = mem_live_blocks(), bytes = dev_bytes_live(d);
        fault_arm(FAULT_MEM, n, n % 2);
        bool ok = lora_open(m, &o, 1, &l, &why) &&
                  decoder_work_open(m, l, 20, 10, true, &w, &why) &&
                  tiny_cache_open(m, l, 2, 9, 8, &c, &why);
        bool fired = fault_fired();
        fault_disarm_all();
        decoder_cache_close(c);
        decoder_work_close(w);
        lora_close(l);
        assert_true(ok != fired);
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(dev_bytes_live(d), bytes);
        if (!fired) break;
        assert_int_equal(why.code, ERR_NOMEM);
    }
    model_close(m);
    dev_close(d);
}
#endif

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
        cmocka_unit_test(test_golden_lora),   cmocka_unit_test(test_golden_lora_strict),
        cmocka_unit_test(test_golden_full),   cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_differences),   cmocka_unit_test(test_packed_is_sum),
        cmocka_unit_test(test_no_rows),       cmocka_unit_test(test_bad_token),
        cmocka_unit_test(test_dropout),       cmocka_unit_test(test_work_bytes),
        cmocka_unit_test(test_one_target),    cmocka_unit_test(test_last_block),
#ifdef RADMILL_FAULTS
        cmocka_unit_test(test_out_of_memory),
#endif
    };
    tiny_spare_jansson();
    return cmocka_run_group_tests(tests, setup, teardown);
}
