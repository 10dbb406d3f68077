#include "tiny.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/safetensors.h"
#include "support/testdir.h"

enum { RANK = 4, MODULES = 7 };
#define ALPHA 6.0

void tiny_spare_jansson(void)
{
    json_set_alloc_funcs(malloc, free);
}

void tiny_hash(uint64_t tag, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x = (uint32_t)(i * 2654435761U + tag * 97 + 1);
        x ^= x >> 16;
        x *= 2246822519U;
        x ^= x >> 13;
        x *= 3266489917U;
        x ^= x >> 16;
        out[i] = (float)((double)(x >> 8) / 16777216.0 - 0.5);
    }
}

const char *const tiny_names[TINY_CASES] = {"llama", "mistral", "llama3"};

struct model_spec tiny_spec(enum tiny_case c)
{
    struct model_spec s = {.arch = "llama",
                           .layers = 2,
                           .d = 64,
                           .ff = 96,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 16,
                           .vocab = 128,
                           .max_positions = 64,
                           .rms_eps = 1e-5F,
                           .rope_theta = 1e4,
                           .rope_factor = 1,
                           .tied = c == TINY_LLAMA,
                           .bos = 1,
                           .eos = {2},
                           .pad = -1,
                           .neos = 1};
    if (c == TINY_MISTRAL) {
        strcpy(s.arch, "mistral");
        s.head_dim = 24;
        s.window = 5;
        s.rope_theta = 1e6;
    }
    if (c == TINY_LLAMA3) {
        s.rope = ROPE_LLAMA3;
        s.rope_theta = 500;
        s.rope_factor = 8;
        s.rope_low = 1;
        s.rope_high = 4;
        s.rope_original = 32;
    }
    return s;
}

/* model_init_random writes names and shapes; the values are then the hash's. */
const char *tiny_write(enum tiny_case c)
{
    struct model_spec s = tiny_spec(c);
    struct safetensors *fresh = NULL;
    struct safetensors_writer *w = NULL;
    static char dir[TINY_CASES][600];
    char path[700];
    size_t n;

    snprintf(dir[c], sizeof dir[c], "%s", testdir_path(tiny_names[c]));
    snprintf(path, sizeof path, "%s/model.safetensors", dir[c]);
    OK(model_init_random(&s, 1, dir[c], e));
    OK(safetensors_open(path, &fresh, e));
    const struct safetensor *by_name = safetensors_list(fresh, &n);
    /* tags follow the order of the file, which the list (by name) has lost: take it from the data */
    struct safetensor *list = calloc(n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        for (size_t k = 0; k < n; k++)
            at += by_name[k].data < by_name[i].data;
        list[at] = by_name[i];
    }
    OK(safetensors_writer_open(path, list, n, &w, e));
    for (size_t i = 0; i < n; i++) {
        float *f = malloc(list[i].bytes);
        tiny_hash(i, list[i].count, f);
        for (size_t k = 0; k < list[i].count; k++)
            f[k] = list[i].ndims == 1 ? 1 + 0.5F * f[k] : 0.4F * f[k];
        OK(safetensors_writer_put(w, f, list[i].bytes, e));
        free(f);
    }
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
    safetensors_close(fresh);
    free(list);
    return dir[c];
}

uint64_t tiny_factor(const char *name, const void *unused)
{
    static const char *const modules[MODULES] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                 "gate_proj", "up_proj", "down_proj"};
    (void)unused;
    uint64_t layer = strtoul(strstr(name, "layers.") + 7, NULL, 10);
    for (uint64_t k = 0; k < MODULES; k++) {
        if (strstr(name, modules[k]))
            return (layer * MODULES + k) * 2 + (strstr(name, "lora_B") != NULL);
    }
    fail_msg("%s", name);
    return 0;
}

void tiny_lora_fill(struct model *m, struct lora *l, tiny_factor_fn *number, const void *arg,
                    float scale)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * t[i].cols;
        float *f = malloc(count * sizeof *f);
        tiny_hash(2000 + number(t[i].name, arg), count, f);
        for (size_t k = 0; k < count; k++)
            f[k] *= scale;
        OK(dev_upload(model_dev(m), lora_params(l), t[i].offset * 4, f, count * 4, e));
        free(f);
    }
    OK(lora_refresh(l, e));
}

struct lora *tiny_lora(struct model *m, double dropout)
{
    static const char *const all[] = {"all-linear"};
    struct lora_opts o = {
        .method = LORA_LORA, .rank = RANK, .alpha = ALPHA, .dropout = dropout, .targets = {all, 1}};
    struct lora *l = NULL;

    OK(lora_open(m, &o, 1, &l, e));
    tiny_lora_fill(m, l, tiny_factor, NULL, 0.5F);
    return l;
}

void tiny_rig_model(struct tiny_rig *r, const char *device, const char *dir, enum dev_dtype t)
{
    *r = (struct tiny_rig){0};
    OK(dev_open(device, 1, &r->d, e));
    OK(model_open(r->d, dir, t, &r->m, e));
}

void tiny_rig_work(struct tiny_rig *r, uint32_t tokens, uint32_t rows)
{
    OK(decoder_work_open(r->m, r->l, tokens, rows, true, &r->w, e));
    OK(dev_buf_open(r->d, lora_count(r->l) * 4, &r->grad, e));
    r->host = calloc(lora_count(r->l), sizeof *r->host);
}

void tiny_rig_close(struct tiny_rig *r)
{
    free(r->host);
    dev_buf_close(r->grad);
    decoder_work_close(r->w);
    lora_close(r->l);
    model_close(r->m);
    dev_close(r->d);
}

double tiny_rig_grad(struct tiny_rig *r, const struct decoder_batch *b)
{
    double loss;
    OK(decoder_grad(r->w, b, 7, r->grad, &loss, e));
    OK(dev_download(r->d, r->grad, 0, r->host, lora_count(r->l) * 4, e));
    return loss;
}

void tiny_batch(struct tiny_batch *t)
{
    static const uint32_t lengths[TINY_SEQS] = {11, 2, 19, 7}, prompts[TINY_SEQS] = {4, 1, 15, 2};
    float f[TINY_TOKENS];
    uint32_t row = 0;

    tiny_hash(1000, TINY_TOKENS, f);
    for (uint32_t i = 0; i < TINY_TOKENS; i++)
        t->tokens[i] = (uint32_t)((f[i] + 0.5F) * 128);
    t->cu[0] = 0;
    for (uint32_t s = 0; s < TINY_SEQS; s++) {
        t->cu[s + 1] = t->cu[s] + lengths[s];
        for (uint32_t i = t->cu[s] + prompts[s] - 1; i + 1 < t->cu[s + 1]; i++) {
            t->rows[row] = i;
            t->labels[row++] = t->tokens[i + 1];
        }
    }
    assert_int_equal(row, TINY_ROWS);
    t->b = (struct decoder_batch){.tokens = t->tokens,
                                  .ntokens = TINY_TOKENS,
                                  .cu = t->cu,
                                  .nseq = TINY_SEQS,
                                  .rows = t->rows,
                                  .labels = t->labels,
                                  .nrows = row};
}

void tiny_single(const struct tiny_batch *t, uint32_t i, struct tiny_batch *out)
{
    uint32_t from = t->cu[i], to = t->cu[i + 1], n = 0;
    memcpy(out->tokens, t->tokens + from, (to - from) * sizeof *t->tokens);
    out->cu[0] = 0;
    out->cu[1] = to - from;
    for (uint32_t k = 0; k < TINY_ROWS; k++) {
        if (t->rows[k] < from || t->rows[k] >= to) continue;
        out->rows[n] = t->rows[k] - from;
        out->labels[n++] = t->labels[k];
    }
    out->b = (struct decoder_batch){.tokens = out->tokens,
                                    .ntokens = to - from,
                                    .cu = out->cu,
                                    .nseq = 1,
                                    .rows = out->rows,
                                    .labels = out->labels,
                                    .nrows = n};
}

json_t *tiny_golden(enum tiny_case c, json_t **root)
{
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/tiny.json", 1 << 20, root, e));
    json_t *j = json_object_get(json_object_get(*root, "cases"), tiny_names[c]);
    assert_non_null(j);
    return j;
}

double rel_rms(const float *a, const float *b, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        s += (double)b[i] * b[i];
    }
    return sqrt(d / s);
}

double tiny_number(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

const char *tiny_write_golden(const char *dir, const json_t *c, tiny_value_fn *value,
                              tiny_rename_fn *rename)
{
    const json_t *tensors = json_object_get(c, "tensors");
    size_t n = json_array_size(tensors);
    struct safetensor *list = calloc(n, sizeof *list);
    struct safetensors_writer *w = NULL;
    static char path[700], kept[600], names[128][128];

    snprintf(kept, sizeof kept, "%s", testdir_path(dir));
    OK(fs_mkdirs(kept, e));
    assert_true(n <= 128);
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(tensors, i), *shape = json_array_get(t, 1);
        snprintf(names[i], sizeof names[i], "%s", json_string_value(json_array_get(t, 0)));
        if (rename) rename(names[i]);
        list[i] = (struct safetensor){
            .name = names[i], .dtype = DTYPE_F32, .ndims = (uint32_t)json_array_size(shape)};
        list[i].count = 1;
        for (size_t k = 0; k < list[i].ndims; k++) {
            list[i].dims[k] = (uint64_t)json_integer_value(json_array_get(shape, k));
            list[i].count *= list[i].dims[k];
        }
    }
    snprintf(path, sizeof path, "%s/config.json", kept);
    OK(json_write_file(path, json_object_get(c, "config"), e));
    snprintf(path, sizeof path, "%s/model.safetensors", kept);
    OK(safetensors_writer_open(path, list, n, &w, e));
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(json_array_get(tensors, i), 0));
        float *f = malloc(list[i].count * sizeof *f);
        tiny_hash(i, list[i].count, f);
        for (size_t k = 0; k < list[i].count; k++)
            f[k] = value(name, list[i].ndims, f[k]);
        OK(safetensors_writer_put(w, f, list[i].count * sizeof *f, e));
        free(f);
    }
    OK(safetensors_writer_commit(w, e));
    safetensors_writer_close(w);
    free(list);
    return kept;
}

static void assert_near(double got, double want, double tol, const char *what)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("%s: %.9g, golden %.9g, tolerance %.3g", what, got, want, tol);
}

void tiny_summary(const float *g, size_t n, uint64_t tag, const json_t *gold, double tol,
                  const char *what)
{
    float *h = malloc(n * sizeof *h);
    double norm = 0, dot = 0, want = tiny_number(gold, "norm");
    const char *key;
    json_t *v;

    tiny_hash(5000 + tag, n, h);
    for (size_t i = 0; i < n; i++) {
        norm += (double)g[i] * g[i];
        dot += (double)g[i] * h[i];
    }
    assert_near(sqrt(norm), want, tol * want, what);
    assert_near(dot, tiny_number(gold, "dot"), tol * want, what);
    json_object_foreach(json_object_get(gold, "at"), key, v)
        assert_near(g[strtoul(key, NULL, 10)], json_number_value(v), tol * want, what);
    free(h);
}

static size_t cache_vocab; /* of the cache that was opened last */

bool tiny_cache_open(struct model *m, struct lora *l, uint32_t slots, uint32_t max_len,
                     uint32_t max_rows, struct decoder_cache **out, struct err *e)
{
    bool both = model_get_spec(m)->enc_layers > 0;
    struct decoder_cache_opts o = {.slots = slots,
                                   .max_len = max_len,
                                   .max_memory = both ? max_len : 0,
                                   .max_rows = max_rows,
                                   .adapters = &l,
                                   .nadapters = l ? 1 : 0};
    cache_vocab = model_get_spec(m)->vocab;
    if (!decoder_cache_open(m, &o, out, e)) return false;
    for (uint32_t i = 0; l && i < slots; i++)
        decoder_set_adapter(*out, i, 0);
    return true;
}

struct keep_logits {
    float *to;
    size_t vocab;
};

static void keep_logits(void *ctx, uint32_t i, const float *logits)
{
    const struct keep_logits *k = ctx;
    memcpy(k->to + i * k->vocab, logits, k->vocab * sizeof *logits);
}

bool tiny_step(struct decoder_cache *c, const struct decoder_rows *r, const uint32_t *want,
               uint32_t nwant, uint32_t *next, float *logits, struct err *e)
{
    struct keep_logits keep = {logits, cache_vocab};
    struct decoder_ask ask = {.row = want,
                              .n = nwant,
                              .next = next,
                              .nlogits = logits ? nwant : 0,
                              .see = keep_logits,
                              .ctx = &keep};
    return decoder_step(c, r, &ask, e);
}

uint64_t tiny_cache_bytes(const struct model *m, uint32_t slots, uint32_t max_len,
                          uint32_t max_rows)
{
    const struct model_spec *s = model_get_spec(m);
    struct decoder_cache_opts o = {.slots = slots,
                                   .max_len = max_len,
                                   .max_memory = s->enc_layers ? max_len : 0,
                                   .max_rows = max_rows};
    return decoder_cache_bytes(s, model_dtype(m), &o);
}

json_t *tiny_t5;

int tiny_t5_setup(void **state)
{
    (void)state;
    OK(json_read_file(RADMILL_SOURCE "/tests/model/golden/t5.json", 1 << 20, &tiny_t5, e));
    return testdir_make() ? 0 : -1;
}

int tiny_t5_teardown(void **state)
{
    (void)state;
    json_decref(tiny_t5);
    testdir_remove();
    return 0;
}

/* ---- memory */

uint64_t tiny_folder_bytes(const char *dir, const char *start)
{
    DIR *d = opendir(dir);
    uint64_t sum = 0;
    assert_non_null(d);
    for (struct dirent *f = readdir(d); f; f = readdir(d)) {
        char path[1100];
        struct stat st;
        if (strncmp(f->d_name, start, strlen(start)) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        assert_int_equal(stat(path, &st), 0);
        sum += (uint64_t)st.st_size;
    }
    closedir(d);
    assert_true(sum > 0);
    return sum;
}

bool tiny_peak_open(const struct tiny_peak *p, uint64_t *device, struct err *e)
{
    struct dev *d = NULL;
    struct model *m = NULL;
    if (!dev_open("cpu", 1, &d, e) || !model_open_quant(d, p->from, DEV_BF16, p->quant, &m, e))
        return false;
    *device = dev_bytes_live(d);
    return true;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void tiny_peak(const struct tiny_peak *p)
{
    print_message("SKIP: %s: a sanitizer's own memory counts\n", p->what);
}
#else
void tiny_peak(const struct tiny_peak *p)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = {0};
        uint64_t before = mem_peak_rss_bytes(), device = 0, took;
        bool ok = p->call(p, &device, &e);
        took = mem_peak_rss_bytes() - before;
        printf("%s: files %.1f MB, device %.1f MB, peak grew by %.1f MB %s\n", p->what,
               (double)p->file / 1e6, (double)device / 1e6, (double)took / 1e6, e.text);
        fflush(stdout);
        _exit(ok && (double)took <= 1.1 * (double)p->file + (double)device + 4e6 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif
