#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "gen_kit.h"
#include "model/lora.h"
#include "model/model.h"
#include "shard/shard_reader.h"
#include "shard/source_text.h"
#include "text/tiny.h"
#include "text/tokenizer.h"

uint8_t kit_dataset[32] = {1}, kit_tokenizer[32];
size_t kit_train = KIT_TRAIN;
enum err_code kit_train_fails;
size_t kit_unreadable = SIZE_MAX;
static const uint32_t eos_id = 256;

void kit_die(const char *what, const struct err *e)
{
    fprintf(stderr, "gen_kit: %s: %s\n", what, e->text);
    abort();
}

/* ---- the shard set: samples are a function of split and number */

const char *const shard_split_names[SHARD_SPLITS + 1] = {"train", "dev", "test", NULL};

struct shard_set {
    enum shard_split split;
    size_t n;
    struct shard_info info;
    uint32_t lengths[KIT_TEST], targets[KIT_TEST];
    uint32_t tokens[256];
};

/* Train knows the references of every fifth test sample. */
const char *kit_reference(uint32_t i)
{
    static const char *const words[] = {"clear", "small", "left", "edema", "no", "effusion", "mm"};
    static char text[128];
    size_t at = 0;
    for (uint32_t k = 0; k < 2 + i % 4; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", k ? " " : "",
                               words[(i * 3 + k * k + i / 7) % 7]);
    snprintf(text + at, sizeof text - at, " %u.", i);
    return text;
}

static const char *reference_of(enum shard_split split, size_t i)
{
    return kit_reference((uint32_t)(split == SHARD_TRAIN ? 5 * i : i));
}

static uint32_t prompt_length(size_t i)
{
    return 4 + (uint32_t)(i * 11 % 37);
}

bool shard_set_open(const char *dir, enum shard_split split, const char *const *modalities,
                    size_t nmodalities, bool verify_tokens, struct shard_set **out, struct err *e)
{
    (void)modalities;
    (void)nmodalities;
    (void)verify_tokens;
    *out = NULL;
    if (split == SHARD_DEV)
        return err_set(e, ERR_CONFIG, "%s: the split dev is empty; there are train, test", dir);
    if (split == SHARD_TRAIN && kit_train_fails)
        return err_set(e, kit_train_fails, "%s: not this train split", dir);
    struct shard_set *s = mem_calloc(1, sizeof *s, e);
    if (!s) return false;
    s->split = split;
    s->n = split == SHARD_TEST ? KIT_TEST : kit_train;
    s->info = (struct shard_info){.vocab_size = 257, .max_tokens = 128, .eos = 256, .bos = -1};
    memcpy(s->info.dataset_digest, kit_dataset, 32);
    memcpy(s->info.tokenizer_digest, kit_tokenizer, 32);
    for (size_t i = 0; i < s->n; i++) {
        s->targets[i] = prompt_length(i);
        s->lengths[i] = s->targets[i] + (uint32_t)strlen(reference_of(split, i)) + 1;
    }
    *out = s;
    return true;
}

/* ---- the texts behind the samples */

bool source_text_open(const char *corpus_dir, struct source_text **out, struct err *e)
{
    *out = NULL;
    if (strcmp(corpus_dir, "kit-corpus") != 0) return err_set(e, ERR_CONFIG, "%s", corpus_dir);
    *out = mem_calloc(1, 1, e);
    return *out != NULL;
}

void source_text_close(struct source_text *t)
{
    mem_free(t);
}

bool source_text_get(struct source_text *t, const struct sample *s, enum prompt_field field,
                     struct sbuf *out, struct err *e)
{
    (void)t;
    sbuf_clear(out);
    if (field == PROMPT_CLINICAL && s->row % 2) return true; /* the report says nothing */
    return sbuf_printf(out, e, "%s of %u:%u.", prompt_field_names[field], s->block, s->row);
}

void shard_set_close(struct shard_set *s)
{
    mem_free(s);
}

const struct shard_info *shard_set_info(const struct shard_set *s)
{
    return &s->info;
}

size_t shard_set_count(const struct shard_set *s)
{
    return s->n;
}

const uint32_t *shard_set_lengths(const struct shard_set *s)
{
    return s->lengths;
}

const uint32_t *shard_set_targets(const struct shard_set *s)
{
    return s->targets;
}

bool shard_set_get(struct shard_set *s, size_t i, struct sample *out, struct err *e)
{
    if (i == kit_unreadable)
        return err_set(e, ERR_FORMAT, "sample %zu of %s", i, shard_split_names[s->split]);
    const char *text = reference_of(s->split, i);
    uint32_t n = s->targets[i];
    memset(s->tokens, 0xff, sizeof s->tokens); /* what was borrowed before is gone */
    for (uint32_t k = 0; k < n; k++)
        s->tokens[k] = 'a' + (uint32_t)(i * 7 + k * k * 3) % 26;
    for (uint32_t k = 0; text[k]; k++)
        s->tokens[n + k] = (unsigned char)text[k];
    s->tokens[s->lengths[i] - 1] = eos_id;
    *out = (struct sample){.tokens = s->tokens,
                           .length = s->lengths[i],
                           .target = n,
                           .source = 0,
                           .block = (uint32_t)i / 10,
                           .row = (uint32_t)i % 10,
                           .target_hash = hash_xxh128(text, strlen(text)),
                           .patient_key = 0xabc0000000000000u + i / 2};
    return true;
}

const char *shard_set_modality(const struct shard_set *s, size_t i)
{
    (void)s;
    return i % 3 ? "CT" : "MR";
}

const char *shard_set_source(const struct shard_set *s, size_t i)
{
    (void)s;
    (void)i;
    return "kit";
}

/* ---- model, tokenizer, adapter */

static void make_adapter(const char *base, const char *dir)
{
    struct err e = {0};
    struct dev *d;
    struct model *m;
    struct lora *l;
    const char *all[] = {"all-linear"};
    struct lora_opts o = {.rank = 2, .alpha = 4, .targets = {all, 1}};
    if (!dev_open("cpu", 1, &d, &e) || !model_open(d, base, DEV_F32, &m, &e) ||
        !lora_open(m, &o, 1, &l, &e))
        kit_die("adapter", &e);
    /* B as a fresh adapter has it would change nothing */
    size_t n;
    const struct lora_tensor *t = lora_tensors(l, &n);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(t[i].name, "lora_B")) continue;
        size_t count = (size_t)t[i].rows * t[i].cols;
        float *v = malloc(count * sizeof *v);
        for (size_t k = 0; k < count; k++)
            v[k] = 0.3F * (float)((k * 37 + i) % 11) - 1.5F;
        if (!dev_upload(d, lora_params(l), t[i].offset * sizeof *v, v, count * sizeof *v, &e))
            kit_die("adapter", &e);
        free(v);
    }
    if (!lora_refresh(l, &e) || !lora_save(l, dir, "kit", &e)) kit_die("adapter", &e);
    lora_close(l);
    model_close(m);
    dev_close(d);
}

void kit_load(const char *dir)
{
    struct err e = {0};
    struct tokenizer *t;
    char path[700];
    snprintf(path, sizeof path, "%s/model", dir);
    if (!tokenizer_open(path, &t, &e)) kit_die("tokenizer", &e);
    struct tok_info info = tokenizer_info(t);
    memcpy(kit_tokenizer, info.digest, sizeof kit_tokenizer);
    tokenizer_close(t);
}

void kit_make(const char *dir)
{
    const struct model_spec spec = {.arch = "llama",
                                    .layers = 2,
                                    .d = 32,
                                    .ff = 48,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .head_dim = 8,
                                    .vocab = 260, /* a few more than the tokenizer has */
                                    .max_positions = 256,
                                    .rms_eps = 1e-5F,
                                    .rope_theta = 1e4,
                                    .rope_factor = 1,
                                    .tied = true,
                                    .bos = -1,
                                    .eos = {256},
                                    .pad = -1,
                                    .neos = 1};
    struct err e = {0};
    char base[600], path[700];
    snprintf(base, sizeof base, "%s/model", dir);
    if (!model_init_random(&spec, 3, base, &e)) kit_die("model", &e);
    json_t *tok = tiny_json(NULL);
    tiny_add(tok, "<|end|>", "s");
    snprintf(path, sizeof path, "%s/tokenizer.json", base);
    if (!json_write_file(path, tok, &e)) kit_die("tokenizer", &e);
    json_decref(tok);
    snprintf(path, sizeof path, "%s/adapter", dir);
    make_adapter(base, path);
    kit_load(dir);
}

void kit_job(struct kit_job *k, const char *dir, const char *out_dir)
{
    *k = (struct kit_job){0};
    snprintf(k->base, sizeof k->base, "%s/model", dir);
    k->opts = (struct generate_opts){.dir = out_dir,
                                     .split = SHARD_TEST,
                                     .max_new_tokens = 12,
                                     .slots = 5,
                                     .prefill_rows = 32,
                                     .adapter = "none"};
    k->model = (struct model_opts){
        .base = k->base, .device = "cpu", .dtype = MODEL_DTYPE_F32, .threads = 1};
    k->job =
        (struct generate_job){.generate = &k->opts, .model = &k->model, .shards_dir = "kit-shards"};
}
