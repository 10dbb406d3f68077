/* Every file of configs/ for a model row loads, means the adapter it says, and its memory is planned
 * for cards of 24, 48, 80 and 141 GB: what fits as it stands, what with fewer tokens a bin or with
 * nf4. Shapes are the published config.json's (spec/models.md), no weights are needed. */
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "evaluate/evaluate.h"
#include "generate/generate.h"
#include "ingest/ingest.h"
#include "model/model_opts.h"
#include "model/parts.h"
#include "shard/shard.h"
#include "train/step.h"
#include "train/train.h"

struct row {
    const char *name, *config;
    uint64_t params_m, adapter_k; /* millions; thousands of trained weights */
};

#define LLAMA(L, D, FF, H, KV, HD, V, MORE)                                                        \
    "{\"model_type\": \"llama\", \"num_hidden_layers\": " #L ", \"hidden_size\": " #D              \
    ", \"intermediate_size\": " #FF ", \"num_attention_heads\": " #H                               \
    ", \"num_key_value_heads\": " #KV ", \"head_dim\": " #HD ", \"vocab_size\": " #V               \
    ", \"max_position_embeddings\": 4096, \"rms_norm_eps\": 1e-5" MORE "}"
#define TIED ", \"tie_word_embeddings\": true"
#define MISTRAL(L, D, FF, H, HD, V)                                                                \
    "{\"model_type\": \"mistral\", \"num_hidden_layers\": " #L ", \"hidden_size\": " #D            \
    ", \"intermediate_size\": " #FF ", \"num_attention_heads\": " #H                               \
    ", \"num_key_value_heads\": 8, \"head_dim\": " #HD ", \"vocab_size\": " #V                     \
    ", \"max_position_embeddings\": 32768, \"rms_norm_eps\": 1e-5, \"sliding_window\": null}"
#define T5_XL                                                                                      \
    "{\"model_type\": \"t5\", \"d_model\": 2048, \"d_kv\": 64, \"d_ff\": 5120, \"num_heads\": "    \
    "32, "                                                                                         \
    "\"num_layers\": 24, \"num_decoder_layers\": 24, \"vocab_size\": 32128, "                      \
    "\"feed_forward_proj\": \"gated-gelu\", \"relative_attention_num_buckets\": 32, "              \
    "\"tie_word_embeddings\": false, \"decoder_start_token_id\": 0, \"eos_token_id\": 1, "         \
    "\"pad_token_id\": 0, \"layer_norm_epsilon\": 1e-6}"

static const struct row rows[] = {
    {"alpaca-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194},
    {"medalpaca-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194},
    {"llama-2-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32000, ""), 6738, 4194},
    {"llama-2-13b", LLAMA(40, 5120, 13824, 40, 40, 128, 32000, ""), 13016, 6554},
    {"mistral-7b", MISTRAL(32, 4096, 14336, 32, 128, 32000), 7242, 41943},
    {"mistral-22b", MISTRAL(56, 6144, 16384, 48, 128, 32768), 22247, 95420},
    {"llama-3.2-1b", LLAMA(16, 2048, 8192, 32, 8, 64, 128256, TIED), 1236, 11272},
    {"llama-3.2-3b", LLAMA(28, 3072, 8192, 24, 8, 128, 128256, TIED), 3213, 24314},
    {"llama-3.1-8b", LLAMA(32, 4096, 14336, 32, 8, 128, 128256, ""), 8030, 41943},
    {"radiology-gpt", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194},
    {"flan-t5-xl", T5_XL, 2850, 4719},
};

struct loaded {
    struct ingest_opts corpus;
    struct shard_opts shards;
    struct model_opts model;
    struct lora_opts lora;
    struct train_opts train;
    struct generate_opts generate;
    struct evaluate_opts evaluate;
};

static const char *environment(const char *name)
{
    return strncmp(name, "RADMILL_", 8) == 0 ? "/nowhere" : NULL;
}

static void load(const char *name, const char *const *sets, size_t nsets, struct arena *a,
                 struct loaded *out)
{
    static const char *const sections[] = {"corpus", "shards",   "model",    "lora",
                                           "train",  "generate", "evaluate", NULL};
    struct opt_doc doc;
    char path[700];
    snprintf(path, sizeof path, RADMILL_SOURCE "/configs/%s.yaml", name);
    OK(opt_doc_load(path, sets, nsets, environment, a, &doc, e));
    OK(opt_doc_sections(&doc, sections, e));
    OK(opt_bind(&doc, "corpus", ingest_table, &out->corpus, e));
    OK(opt_bind(&doc, "shards", shard_table, &out->shards, e));
    OK(opt_bind(&doc, "model", model_table, &out->model, e));
    OK(opt_bind(&doc, "lora", lora_table, &out->lora, e));
    OK(opt_bind(&doc, "train", train_table, &out->train, e));
    OK(opt_bind(&doc, "generate", generate_table, &out->generate, e));
    OK(opt_bind(&doc, "evaluate", evaluate_table, &out->evaluate, e));
    assert_true(out->train.tokens_per_step % out->train.bin_tokens == 0);
    assert_true(out->train.tokens_per_step / out->train.bin_tokens >= 8); /* work for 8 GPUs */
}

/* Trained weights, from the table of modules. */
static uint64_t adapter_count(const struct model_spec *s, const struct lora_opts *o)
{
    uint32_t n = s->layers * BLOCK_MODULES, *ranks = calloc(n, sizeof *ranks);
    double *alphas = calloc(n, sizeof *alphas);
    uint64_t count = 0;
    OK(lora_resolve(s, o, ranks, alphas, e));
    for (uint32_t i = 0; i < s->layers * LINEARS; i++) {
        struct linear_shape sh = linear_shape(s, i / LINEARS, i % LINEARS);
        for (uint32_t p = 0; p < sh.nparts; p++)
            count +=
                (uint64_t)ranks[i / LINEARS * BLOCK_MODULES + sh.module[p]] * (sh.in + sh.rows[p]);
    }
    free(alphas);
    free(ranks);
    return count;
}

/* One rank's device, a quarter of the tokens bearing loss. */
static double plan_gb(const struct model_spec *s, const struct loaded *c, enum dev_quant_kind quant,
                      uint32_t bin)
{
    uint64_t weights, work, count = adapter_count(s, &c->lora);
    OK(decoder_work_bytes(s, DEV_BF16, &c->lora, bin, bin / 4, true, &work, e));
    OK(model_bytes(s, DEV_BF16, quant, &weights, e));
    return (double)(weights + count * (4 + 2) + step_bytes(count) + work) / 1e9;
}

/* What a card needs of: nothing, smaller bins, nf4, nf4 with smaller bins. */
static const char *fits(const struct model_spec *s, const struct loaded *c, double gb)
{
    static const struct {
        enum dev_quant_kind quant;
        uint32_t divide;
        const char *text;
    } ways[] = {{DEV_QUANT_NONE, 1, "as is"},
                {DEV_QUANT_NONE, 4, "bin/4"},
                {DEV_QUANT_NF4, 1, "nf4"},
                {DEV_QUANT_NF4, 4, "nf4, bin/4"}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (plan_gb(s, c, ways[i].quant, c->train.bin_tokens / ways[i].divide) < 0.94 * gb)
            return ways[i].text;
    }
    return NULL;
}

static void test_rows(void **state)
{
    (void)state;
    static const double cards[] = {24, 48, 80, 141};
    static const char *const clinical[] = {"shards.input=[clinical, findings]"};
    static const char *const tuned[] = {"shards.template=alpaca"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct loaded c;
        struct model_spec s;
        char line[200];
        size_t at = 0;
        arena_init(&a, 8 << 20);
        load(rows[i].name, clinical, 1, &a, &c);
        assert_int_equal(c.shards.input.n, 2);
        load(rows[i].name, tuned, 1, &a, &c);
        load(rows[i].name, NULL, 0, &a, &c);
        assert_int_equal(c.shards.input.n, 1);
        OK(model_spec_parse(str_of(rows[i].config), rows[i].name, &s, e));
        if (s.enc_layers) s.tied = false; /* its file has a head; the config does not decide */
        assert_int_equal((model_spec_params(&s) + 500000) / 1000000, rows[i].params_m);
        assert_int_equal((adapter_count(&s, &c.lora) + 500) / 1000, rows[i].adapter_k);
        for (size_t k = 0; k < sizeof cards / sizeof *cards; k++) {
            const char *how = fits(&s, &c, cards[k]);
            if (!how) fail_msg("%s does not fit %g GB", rows[i].name, cards[k]);
            at += (size_t)snprintf(line + at, sizeof line - at, " | %s", how);
            /* every rank plans the same: 1 to 8 cards differ in time alone */
        }
        print_message("| %s | %.1f%s |\n", rows[i].name,
                      plan_gb(&s, &c, DEV_QUANT_NONE, c.train.bin_tokens), line);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
