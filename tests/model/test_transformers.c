/* Every family as transformers makes and saves it, adapters as PEFT saves them: logits,
 * losses, LoRA gradients and greedy answers are theirs. The models are made at test time
 * (make_models.py); skipped, visibly, without a Python that has transformers and peft. */
#include "tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/convert.h"
#include "model/convert_gguf.h"
#include "model/safetensors.h"
#include "support/testdir.h"

enum { NEW = 64 };

/* ---- what the reference computed */

struct want {
    struct safetensors *files;
    const float *logits, *loss, *gap;
    const uint32_t *greedy, *prompt;
    struct decoder_batch b;
    uint32_t vocab;
};

static const void *data_of(const struct want *w, const char *name, uint64_t *n)
{
    const struct safetensor *t = safetensors_find(w->files, name);
    if (!t) {
        fail_msg("no tensor %s", name);
        return NULL;
    }
    if (n) *n = t->count;
    return t->data;
}

static void want_open(struct want *w, const char *dir)
{
    char path[700];
    uint64_t n = 0;
    *w = (struct want){0};
    snprintf(path, sizeof path, "%s/want.safetensors", dir);
    OK(safetensors_open(path, &w->files, e));
    w->logits = data_of(w, "logits", NULL);
    w->loss = data_of(w, "loss", NULL);
    w->gap = data_of(w, "gap", NULL);
    w->greedy = data_of(w, "greedy", &n);
    assert_int_equal(n, NEW);
    w->prompt = data_of(w, "prompt", NULL);
    w->b.tokens = data_of(w, "tokens", &n);
    w->b.ntokens = (uint32_t)n;
    w->b.cu = data_of(w, "cu", &n);
    w->b.nseq = (uint32_t)n - 1;
    w->b.labels = data_of(w, "labels", &n);
    w->b.nrows = (uint32_t)n;
    if (safetensors_find(w->files, "label_cu"))
        w->b.label_cu = data_of(w, "label_cu", NULL);
    else
        w->b.rows = data_of(w, "rows", NULL);
    w->vocab = (uint32_t)safetensors_find(w->files, "logits")->dims[1];
}

/* ---- what we compute */

struct got {
    struct dev *d;
    struct model *m;
    struct lora *l;
    float *logits, *loss, *grad;
    uint64_t count;
};

static void got_open(struct got *g, const char *dir, enum dev_dtype t, const struct lora_opts *o)
{
    char path[700];
    *g = (struct got){0};
    snprintf(path, sizeof path, "%s/adapter", dir);
    OK(dev_open(test_device(), 1, &g->d, e));
    OK(model_open(g->d, dir, t, &g->m, e));
    if (o)
        OK(lora_open(g->m, o, 1, &g->l, e));
    else
        OK(lora_load(g->m, path, &g->l, e));
    g->count = lora_count(g->l);
}

static void got_close(struct got *g)
{
    free(g->logits);
    free(g->loss);
    free(g->grad);
    lora_close(g->l);
    model_close(g->m);
    dev_close(g->d);
}

static void compute(struct got *g, const struct want *w)
{
    struct decoder_work *work = NULL;
    struct dev_buf *grad = NULL;
    double loss;
    g->logits = malloc((size_t)w->b.nrows * w->vocab * sizeof *g->logits);
    g->loss = malloc(w->b.nrows * sizeof *g->loss);
    g->grad = malloc(g->count * sizeof *g->grad);
    OK(decoder_work_open(g->m, g->l, w->b.ntokens, w->b.nrows, true, &work, e));
    OK(dev_buf_open(g->d, g->count * sizeof(float), &grad, e));
    OK(decoder_logits(work, &w->b, g->logits, e));
    OK(decoder_loss(work, &w->b, &loss, g->loss, e));
    OK(decoder_grad(work, &w->b, 0, grad, &loss, e));
    OK(dev_download(g->d, grad, 0, g->grad, g->count * sizeof(float), e));
    dev_buf_close(grad);
    decoder_work_close(work);
}

/* All gradients one behind the other in our order, from the reference's by name. */
static float *want_grad(const struct want *w, const struct lora *l)
{
    size_t n, have, grads = 0;
    const struct lora_tensor *t = lora_tensors(l, &n);
    const struct safetensor *all = safetensors_list(w->files, &have);
    float *out = malloc(lora_count(l) * sizeof *out);
    for (size_t i = 0; i < have; i++)
        grads += strncmp(all[i].name, "grad.", 5) == 0;
    assert_int_equal(grads, n);
    for (size_t i = 0; i < n; i++) {
        char name[300];
        uint64_t count = 0;
        snprintf(name, sizeof name, "grad.%s", t[i].name);
        const float *f = data_of(w, name, &count);
        assert_int_equal(count, (uint64_t)t[i].rows * t[i].cols);
        memcpy(out + t[i].offset, f, count * sizeof *f);
    }
    return out;
}

static void check_greedy(struct got *g, const struct want *w, const char *name)
{
    struct decoder_cache *c = NULL;
    uint32_t slot[64] = {0}, pos[64], n, last, next;
    const uint32_t *rows;
    OK(tiny_cache_open(g->m, g->l, 1, 128, 64, &c, e));
    OK(decoder_begin(c, 0, w->b.tokens, *w->prompt, &rows, &n, e));
    for (uint32_t i = 0; i < n; i++)
        pos[i] = i;
    last = n - 1;
    OK(tiny_step(c, &(struct decoder_rows){rows, slot, pos, n}, &last, 1, &next, NULL, e));
    last = 0;
    for (uint32_t i = 0; i < NEW; i++) {
        uint32_t token = next, at = n + i;
        if (next != w->greedy[i])
            fail_msg("%s: token %u is %u, not %u", name, i, next, w->greedy[i]);
        OK(tiny_step(c, &(struct decoder_rows){&token, slot, &at, 1}, &last, 1, &next, NULL, e));
    }
    decoder_cache_close(c);
}

static const char *root;

static void check_case(const char *name, const struct lora_opts *o)
{
    char dir[600];
    struct want w;
    struct got f, h;
    snprintf(dir, sizeof dir, "%s/%s", root, name);
    want_open(&w, dir);
    got_open(&f, dir, DEV_F32, o);
    assert_int_equal(model_get_spec(f.m)->vocab, w.vocab);
    compute(&f, &w);
    float *grad = want_grad(&w, f.l);
    size_t nlogits = (size_t)w.b.nrows * w.vocab;
    double dl = rel_rms(f.logits, w.logits, nlogits), dg = rel_rms(f.grad, grad, f.count);
    double ds = rel_rms(f.loss, w.loss, w.b.nrows);
    check_greedy(&f, &w, name);
    got_open(&h, dir, DEV_BF16, o);
    compute(&h, &w);
    double hl = rel_rms(h.logits, w.logits, nlogits), hg = rel_rms(h.grad, grad, h.count);
    print_message("%-14s f32: logits %.1e, loss %.1e, gradient %.1e; bf16: logits %.4f (reference "
                  "%.4f), gradient %.4f (%.4f)\n",
                  name, dl, ds, dg, hl, (double)w.gap[0], hg, (double)w.gap[1]);
    assert_true(dl < 1e-5 && ds < 1e-5 && dg < 1e-4);
    assert_true(hl <= 2 * (double)w.gap[0] && hg <= 2 * (double)w.gap[1]);
    free(grad);
    got_close(&h);
    got_close(&f);
    safetensors_close(w.files);
}

static void test_families(void **state)
{
    (void)state;
    static const char *const cases[] = {"llama2",       "llama2_legacy", "llama31",   "llama32",
                                        "llama_linear", "mistral7",      "mistral22", "dora",
                                        "t5_v11",       "t5_v10",        "t5_parts",  "t5_dora",
                                        "llama_yarn",   "llama_longrope"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(cases[i], NULL);
}

/* ---- our options mean what PEFT's mean: an adapter opened by them takes PEFT's values */

static struct opt_node scalar(const char *text)
{
    return (struct opt_node){.kind = OPT_SCALAR, .scalar = {text, strlen(text)}, .file = "test"};
}

static void test_options(void **state)
{
    (void)state;
    static const char *const regex[] = {".*\\.(q|k|down)_proj"}, *const all[] = {"all-linear"};
    static const char *const qup[] = {"q_proj", "up_proj"}, *const tail[] = {"1-2"};
    static const char *const o_proj[] = {"o_proj"}, *const no_kg[] = {"k_proj", "gate_proj"};
    static const char *rank_keys[] = {"k_proj", "layers.1.mlp.down_proj"};
    static const char *alpha_keys[] = {"layers\\.[02]\\.self_attn\\.q_proj"};
    struct opt_node two = scalar("2"), six = scalar("6"), three = scalar("3");
    struct opt_node *rank_items[] = {&two, &six}, *alpha_items[] = {&three};
    struct opt_node ranks = {.kind = OPT_MAPPING, .keys = rank_keys, .items = rank_items, .n = 2};
    struct opt_node alphas = {
        .kind = OPT_MAPPING, .keys = alpha_keys, .items = alpha_items, .n = 1};
    char dir[700];
    struct lora_opts o = {.rank = 4, .alpha = 8, .init_from = dir};

    snprintf(dir, sizeof dir, "%s/llama32/adapter", root);
    o.targets = (struct opt_strs){regex, 1};
    o.rank_pattern = &ranks;
    o.alpha_pattern = &alphas;
    check_case("llama32", &o);
    o.rank_pattern = o.alpha_pattern = NULL;
    snprintf(dir, sizeof dir, "%s/llama_linear/adapter", root);
    o.targets = (struct opt_strs){qup, 2};
    o.layers = (struct opt_strs){tail, 1};
    check_case("llama_linear", &o);
    o.layers.n = 0;
    snprintf(dir, sizeof dir, "%s/mistral7/adapter", root);
    o.targets = (struct opt_strs){all, 1};
    o.exclude = (struct opt_strs){o_proj, 1};
    check_case("mistral7", &o);
    o.exclude.n = 0;
    snprintf(dir, sizeof dir, "%s/llama31/adapter", root);
    o.rslora = true;
    check_case("llama31", &o);
    o.rslora = false;
    o.dora = true;
    snprintf(dir, sizeof dir, "%s/dora/adapter", root);
    o.exclude = (struct opt_strs){no_kg, 2};
    check_case("dora", &o);
}

/* An adapter of another shape is refused by the module that differs. */
static void test_other_shape(void **state)
{
    (void)state;
    static const char *const all[] = {"all-linear"};
    char dir[800], base[700];
    struct lora_opts o = {.rank = 8, .alpha = 8, .targets = {all, 1}, .init_from = dir};
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l = NULL;
    snprintf(base, sizeof base, "%s/llama31", root);
    snprintf(dir, sizeof dir, "%s/adapter", base);
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, base, DEV_F32, &m, e));
    FAILS(lora_open(m, &o, 1, &l, e), ERR_CONFIG, "lora.rslora");
    o.rslora = true;
    FAILS(lora_open(m, &o, 1, &l, e), ERR_CONFIG, "q_proj has rank 4, alpha 8 there, rank 8");
    model_close(m);
    dev_close(d);
}

/* ---- out again */

/* A model folder without adapter computes what base and adapter did. */
static void check_logits(const char *dir, const struct want *w)
{
    struct dev *d = NULL;
    struct model *m = NULL;
    struct decoder_work *work = NULL;
    size_t n = (size_t)w->b.nrows * w->vocab;
    float *logits = malloc(n * sizeof *logits);
    OK(dev_open(test_device(), 1, &d, e));
    OK(model_open(d, dir, DEV_F32, &m, e));
    OK(decoder_work_open(m, NULL, w->b.ntokens, w->b.nrows, false, &work, e));
    OK(decoder_logits(work, &w->b, logits, e));
    double err = rel_rms(logits, w->logits, n);
    print_message("%s: logits %.1e\n", strrchr(dir, '/') + 1, err);
    assert_true(err < 1e-5);
    free(logits);
    decoder_work_close(work);
    model_close(m);
    dev_close(d);
}

struct paths {
    char base[600], adapter[700], merged[700], half[700], gguf[700], again[700], q8[700], q4[700];
    char lora[700];
};

static void make_paths(const char *name, struct paths *p)
{
    snprintf(p->base, sizeof p->base, "%s/%s", root, name);
    snprintf(p->adapter, sizeof p->adapter, "%s/adapter", p->base);
    snprintf(p->merged, sizeof p->merged, "%s/merged", p->base);
    snprintf(p->half, sizeof p->half, "%s/half", p->base);
    snprintf(p->gguf, sizeof p->gguf, "%s/merged.gguf", p->base);
    snprintf(p->again, sizeof p->again, "%s/again", p->base);
    snprintf(p->q8, sizeof p->q8, "%s/base-q8.gguf", p->base);
    snprintf(p->q4, sizeof p->q4, "%s/base-q4.gguf", p->base);
    snprintf(p->lora, sizeof p->lora, "%s/adapter.gguf", p->base);
}

static void check_exports(const char *name, bool gguf_adapter)
{
    struct paths p;
    struct weights_drift drift;
    struct want w;
    char cmd[4000];
    make_paths(name, &p);
    struct gguf_export x = {p.base, p.adapter, p.base, "tiny", GGML_F32};
    want_open(&w, p.base);
    OK(convert_merge(p.base, p.adapter, p.merged, DTYPE_F32, &drift, e));
    assert_true(drift.merged > 0 && drift.update_rms > 0 && drift.loss_rms == 0);
    check_logits(p.merged, &w);
    OK(convert_merge(p.base, p.adapter, p.half, DTYPE_BF16, &drift, e));
    assert_true(drift.loss_rms > 0 && drift.loss_rms < 0.2 * drift.update_rms);
    OK(convert_gguf_model(&x, p.gguf, &drift, e));
    OK(convert_to_hf(p.gguf, p.again, DTYPE_F32, e));
    check_logits(p.again, &w);
    safetensors_close(w.files);
    if (!gguf_adapter) {
        FAILS(convert_gguf_adapter(p.base, p.adapter, "tiny", p.lora, e), ERR_CONFIG, "DoRA");
        return;
    }
    OK(convert_gguf_adapter(p.base, p.adapter, "tiny", p.lora, e));
    x.adapter = NULL;
    x.type = GGML_Q8_0;
    OK(convert_gguf_model(&x, p.q8, &drift, e));
    x.type = GGML_Q4_0;
    OK(convert_gguf_model(&x, p.q4, &drift, e));
    assert_int_equal(drift.merged, 0);
    const char *python = testdir_python("gguf, safetensors");
    if (!python) return; /* said why */
    snprintf(cmd, sizeof cmd, "'%s' '%s/tests/model/check_gguf.py' '%s'", python, RADMILL_SOURCE,
             p.base);
    assert_int_equal(system(cmd), 0);
}

/* Merged models and GGUF files read back to the same logits; the package gguf reads what we write. */
static void test_exports(void **state)
{
    (void)state;
    check_exports("llama31", true);
    check_exports("mistral22", true);
    check_exports("llama_yarn", true);
    check_exports("llama_longrope", true);
    check_exports("dora", false);
}

/* ---- memory */

static const char *const peak_script =
    "import json, sys, torch\n"
    "from transformers import LlamaConfig, LlamaForCausalLM\n"
    "d = sys.argv[1]\n"
    "m = LlamaForCausalLM(LlamaConfig(hidden_size=512, intermediate_size=2048, num_hidden_layers=3,"
    " vocab_size=4096, num_attention_heads=8, tie_word_embeddings=False)).to(torch.bfloat16)\n"
    "m.save_pretrained(d)\n"
    "import os; os.remove(d + '/model.safetensors')\n"
    "s = m.state_dict(); names = sorted(s); index = {}\n"
    "for i in range(4):\n"
    "    f = f'pytorch_model-{i + 1:05d}-of-00004.bin'\n"
    "    torch.save({k: s[k].clone() for k in names[i::4]}, d + '/' + f,"
    " _use_new_zipfile_serialization=i < 2)\n"
    "    index.update({k: f for k in names[i::4]})\n"
    "json.dump({'weight_map': index}, open(d + '/pytorch_model.bin.index.json', 'w'))\n";

static bool to_folder(const struct tiny_peak *p, uint64_t *device, struct err *e)
{
    *device = 0;
    return convert_to_hf(p->from, p->to, DTYPE_BF16, e);
}

static bool to_gguf(const struct tiny_peak *p, uint64_t *device, struct err *e)
{
    struct gguf_export x = {p->from, NULL, NULL, "tiny", GGML_Q8_0};
    struct weights_drift drift;
    char tokenizer[700];
    snprintf(tokenizer, sizeof tokenizer, "%s/llama31", root);
    x.tokenizer_dir = tokenizer;
    *device = 0;
    return convert_gguf_model(&x, p->to, &drift, e);
}

/* PyTorch's files in shards of both containers, int8 and NF4 of them; a folder to GGUF and back: no
 * whole copy of the model on the host. */
static void test_peak_memory(void **state)
{
    (void)state;
    char dir[700], script[700], gguf[700], again[700], cmd[4000];
    snprintf(dir, sizeof dir, "%s/peak", root);
    snprintf(script, sizeof script, "%s/peak.py", root);
    snprintf(gguf, sizeof gguf, "%s/peak.gguf", root);
    snprintf(again, sizeof again, "%s/peak-again", root);
    testdir_write(script, peak_script, strlen(peak_script));
    snprintf(cmd, sizeof cmd, "OMP_NUM_THREADS=1 '%s' '%s' '%s' >'%s/log' 2>&1 || cat '%s/log'",
             testdir_python("peft, transformers"), script, dir, root, root);
    assert_int_equal(system(cmd), 0);
    struct tiny_peak p = {.call = tiny_peak_open, .from = dir, .what = ".bin shards to bf16"};
    p.file = tiny_folder_bytes(dir, "pytorch_model-");
    tiny_peak(&p);
    p.quant = DEV_QUANT_INT8;
    p.what = ".bin shards to int8";
    tiny_peak(&p);
    p.quant = DEV_QUANT_NF4;
    p.what = ".bin shards to nf4";
    tiny_peak(&p);
    struct tiny_peak out = {
        .call = to_gguf, .from = dir, .to = gguf, .what = ".bin shards to GGUF"};
    out.file = p.file;
    tiny_peak(&out);
    struct tiny_peak in = {
        .call = to_folder, .from = gguf, .to = again, .what = "GGUF to a folder"};
    in.file = tiny_folder_bytes(root, "peak.gguf");
    tiny_peak(&in);
}

static int setup(void **state)
{
    (void)state;
    static char dir[600];
    char cmd[4000];
    testdir_make();
    snprintf(dir, sizeof dir, "%s", testdir_path("models"));
    root = dir;
    snprintf(cmd, sizeof cmd,
             "mkdir '%s' && OMP_NUM_THREADS=1 '%s' '%s/tests/model/make_models.py' '%s' >'%s/log' "
             "2>&1 || { cat '%s/log'; exit 1; }",
             dir, testdir_python("peft, transformers"), RADMILL_SOURCE, dir, dir, dir);
    return system(cmd) == 0 ? 0 : -1;
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
        cmocka_unit_test(test_families), cmocka_unit_test(test_options),
        cmocka_unit_test(test_other_shape), cmocka_unit_test(test_exports),
        cmocka_unit_test(test_peak_memory)};
    if (!testdir_python("peft, transformers")) return 77;
    log_setup(LOG_WARN, 0);
    return cmocka_run_group_tests(tests, setup, teardown);
}
