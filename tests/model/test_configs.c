/* Every file of configs/ loads; those that name a model mean the adapter that they say, and their
 * memory is planned, by train's own memory_plan, for 1 to 8 cards of 24, 48, 80 and 141 GB: what fits
 * as it stands, what when blocks are computed again (train.recompute auto: nothing to set), what with
 * fewer tokens a bin or with nf4, and what not at all. docs/MODELS.md has the table; it is read here
 * and must say the same. Shapes are the published config.json's (spec/models.md), no weights are
 * needed.
 *
 * What depends on the number of cards: a rank's share of a step's bins, and so the time of a step.
 * What does not: the plan of a rank, since every rank holds the largest bin of the whole run, all of
 * the adapter and of the exact gradient sum (train/grad_sync); steps and samples (shard/plan). Six per
 * cent of a card are kept for what is not in the plan here: the context, workspaces of products,
 * NCCL's buffers. Host memory of a node is the files once (mapped) and, where sums are staged, 8 MiB a
 * rank. */
#include "tiny.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "base/str.h"
#include "evaluate/evaluate.h"
#include "generate/generate.h"
#include "ingest/ingest.h"
#include "model/model_opts.h"
#include "model/parts.h"
#include "shard/plan.h"
#include "shard/shard.h"
#include "support/testdir.h"
#include "train/memory_plan.h"
#include "train/step.h"
#include "train/train.h"

enum { CARDS = 4, MOST_RANKS = 8 };
static const double cards[CARDS] = {24, 48, 80, 141};

struct row {
    const char *name, *config;
    uint64_t params_m, adapter_k; /* millions; thousands of trained weights */
    uint32_t bins;                /* a step: so many cards share it at most */
    const char *set;              /* the largest of a sweep's values */
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

#define SMOLLM2    LLAMA(30, 576, 1536, 9, 3, 64, 49152, TIED)
#define LLAMA_1B   LLAMA(16, 2048, 8192, 32, 8, 64, 128256, TIED)
#define MISTRAL_7B MISTRAL(32, 4096, 14336, 32, 128, 32000)
#define TINY       LLAMA(2, 64, 128, 4, 2, 16, 512, TIED)

static const struct row rows[] = {
    {"alpaca-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194, 8, NULL},
    {"medalpaca-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194, 8, NULL},
    {"llama-2-7b", LLAMA(32, 4096, 11008, 32, 32, 128, 32000, ""), 6738, 4194, 8, NULL},
    {"llama-2-13b", LLAMA(40, 5120, 13824, 40, 40, 128, 32000, ""), 13016, 6554, 8, NULL},
    {"mistral-7b", MISTRAL_7B, 7242, 41943, 8, NULL},
    {"mistral-22b", MISTRAL(56, 6144, 16384, 48, 128, 32768), 22247, 95420, 8, NULL},
    {"llama-3.2-1b", LLAMA_1B, 1236, 11272, 8, NULL},
    {"llama-3.2-3b", LLAMA(28, 3072, 8192, 24, 8, 128, 128256, TIED), 3213, 24314, 8, NULL},
    {"llama-3.1-8b", LLAMA(32, 4096, 14336, 32, 8, 128, 128256, ""), 8030, 41943, 8, NULL},
    {"radiology-gpt", LLAMA(32, 4096, 11008, 32, 32, 128, 32001, ""), 6738, 4194, 8, NULL},
    {"flan-t5-xl", T5_XL, 2850, 4719, 8, NULL},
    {"mimic-cxr", LLAMA_1B, 1236, 11272, 8, NULL},
    {"mimic-like", SMOLLM2, 135, 4884, 4, NULL},
    {"quickstart", SMOLLM2, 135, 4884, 4, NULL},
    {"quickstart-tiny", TINY, 0, 0, 4, NULL},
    {"judge", MISTRAL_7B, 7242, 20972, 2, NULL},
    {"sweep-capstone", LLAMA_1B, 1236, 45089, 8, "lora.rank=64"},
    {"sweep-models", MISTRAL_7B, 7242, 167772, 8, "lora.rank=64"},
};
/* No model of their own: others include them, or show one section. */
static const char *const parts[] = {"institution", "mimic-data", "dumps"};

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
                                           "train",  "generate", "evaluate", "sweep",
                                           "slurm",  "judge",    "label",    NULL};
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

/* One rank's device, a quarter of the tokens bearing loss, by train's own plan; false where it is
 * above limit_gib, with what to change. */
static bool plan(const struct model_spec *s, const struct loaded *c, enum dev_quant_kind quant,
                 uint32_t bin, double limit_gib, struct memory_plan *p, struct recompute *again,
                 struct err *why)
{
    uint64_t count =
        c->lora.method == LORA_FULL ? model_spec_params(s) : adapter_count(s, &c->lora);
    const struct memory_question q = {.spec = s,
                                      .dtype = DEV_BF16,
                                      .lora = &c->lora,
                                      .tokens = bin,
                                      .rows = bin / 4,
                                      .limit_gib = limit_gib};
    *p = (struct memory_plan){0};
    OK(model_bytes(s, DEV_BF16, quant, &p->bytes[MEMORY_WEIGHTS], e));
    p->bytes[MEMORY_ADAPTER] = count * (c->lora.method == LORA_FULL ? 4 : 4 + 2);
    p->bytes[MEMORY_OPTIMIZER] = step_bytes(count);
    OK(memory_plan_recompute(p, &q, again, e));
    return memory_plan_check(p, limit_gib, why);
}

/* What a card needs of: nothing, smaller bins, nf4, nf4 with smaller bins. NULL: none of them. */
static const char *fits(const struct model_spec *s, const struct loaded *c, double gb)
{
    static const struct {
        enum dev_quant_kind quant;
        uint32_t divide;
        const char *kept, *again; /* with all activations kept, and with blocks computed again */
    } ways[] = {{DEV_QUANT_NONE, 1, "as is", "recompute"},
                {DEV_QUANT_NONE, 4, "bin/4", "bin/4"},
                {DEV_QUANT_NF4, 1, "nf4", "nf4"},
                {DEV_QUANT_NF4, 4, "nf4, bin/4", "nf4, bin/4"}};
    double limit_gib = 0.94 * gb * 1e9 / (double)(1 << 30);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct memory_plan p;
        struct recompute again;
        struct err e = {0};
        if (i >= 2 && c->lora.method == LORA_FULL) break; /* quantised weights are not trained */
        if (plan(s, c, ways[i].quant, c->train.bin_tokens / ways[i].divide, limit_gib, &p, &again,
                 &e))
            return again.kind == RECOMPUTE_NONE ? ways[i].kept : ways[i].again;
        assert_int_equal(e.code,
                         ERR_LIMIT); /* the program exits 1 with this: tests/cli/reproduce.sh */
        assert_non_null(strstr(e.text, "lower train.bin_tokens or lora.rank"));
        assert_non_null(strstr(e.text, "model.quant nf4"));
    }
    return NULL;
}

/* 1 to 8 cards: every bin of a step is one rank's, shares differ by one at most, and a step takes the
 * time of the largest. Returns how many bins that is. */
static uint32_t largest_share(uint32_t bins, int ranks)
{
    struct plan p = {.nbins = 3 * (size_t)bins, .bins_per_step = bins, .nsteps = 3};
    uint64_t largest = 0, least = bins, next = bins;
    for (int rank = 0; rank < ranks; rank++) {
        uint64_t begin, end;
        plan_rank_bins(&p, 1, rank, ranks, &begin, &end);
        assert_int_equal(begin, next);
        next = end;
        largest = end - begin > largest ? end - begin : largest;
        least = end - begin < least ? end - begin : least;
    }
    assert_int_equal(next, 2 * bins);
    assert_true(largest - least <= 1);
    assert_int_equal(largest, (bins + (uint32_t)ranks - 1) / (uint32_t)ranks);
    return (uint32_t)largest;
}

/* The row of docs/MODELS.md that names this file says `plan_gb` and these four words. */
static bool in_table(const char *name, double gb, const char *const how[CARDS])
{
    size_t size;
    char *text = testdir_read(RADMILL_SOURCE "/docs/MODELS.md", &size), want[200];
    struct str rest = {text, size}, line;
    bool found = false;
    snprintf(want, sizeof want, " | %.1f | %s | %s | %s | %s |", gb, how[0], how[1], how[2],
             how[3]);
    while (!found && str_split(&rest, '\n', &line)) {
        size_t at = str_find(line, str_of(name), 0), n = strlen(name), w = strlen(want);
        bool word = at == 2 || (at != SIZE_MAX && at > 2 && line.p[at - 1] == ' ');
        word = word && (line.p[at + n] == ',' || line.p[at + n] == ' ');
        found = word && line.n > w && memcmp(line.p + line.n - w, want, w) == 0;
    }
    free(text);
    return found;
}

static void one_row(const struct row *row)
{
    static const char *const clinical[] = {"shards.input=[clinical, findings]"};
    static const char *const tuned[] = {"shards.template=alpaca"};
    const char *how[CARDS];
    struct arena a;
    struct loaded c;
    struct model_spec s;
    struct memory_plan p;
    struct recompute again;
    arena_init(&a, 8 << 20);
    load(row->name, clinical, 1, &a, &c);
    assert_int_equal(c.shards.input.n, 2);
    load(row->name, tuned, 1, &a, &c);
    load(row->name, &row->set, row->set != NULL, &a, &c);
    OK(model_spec_parse(str_of(row->config), row->name, &s, e));
    if (s.enc_layers) s.tied = false; /* its file has a head; the config does not decide */
    assert_int_equal((model_spec_params(&s) + 500000) / 1000000, row->params_m);
    if (c.lora.method != LORA_FULL)
        assert_int_equal((adapter_count(&s, &c.lora) + 500) / 1000, row->adapter_k);
    struct err none = {0};
    assert_true(plan(&s, &c, DEV_QUANT_NONE, c.train.bin_tokens, 0, &p, &again, &none));
    double gb = (double)memory_plan_total(&p) / 1e9;
    for (size_t k = 0; k < CARDS; k++) {
        how[k] = fits(&s, &c, cards[k]);
        if (!how[k]) fail_msg("%s does not fit %g GB", row->name, cards[k]);
    }
    print_message("| %s | %.1f | %s | %s | %s | %s |\n", row->name, gb, how[0], how[1], how[2],
                  how[3]);
    if (gb > 1 && !in_table(row->name, gb, how)) fail_msg("docs/MODELS.md has no such row");
    assert_int_equal(c.train.tokens_per_step % c.train.bin_tokens, 0);
    assert_int_equal(c.train.tokens_per_step / c.train.bin_tokens, row->bins);
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
        (void)largest_share(row->bins, ranks);
    arena_free(&a);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        one_row(&rows[i]);
}

/* What docs/MODELS.md says of 8 bins a step on 1 to 8 cards. */
static void test_shares(void **state)
{
    (void)state;
    static const uint32_t want[MOST_RANKS] = {8, 4, 3, 2, 2, 2, 2, 1};
    for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
        assert_int_equal(largest_share(8, ranks), want[ranks - 1]);
}

/* All weights of Flan-T5-XL (configs/flan-t5-xl.yaml's way back): refused on 24 and 48 GB however
 * bins are cut. */
static void test_full(void **state)
{
    (void)state;
    static const char *const full[] = {"lora.method=full"};
    struct arena a;
    struct loaded c;
    struct model_spec s;
    arena_init(&a, 8 << 20);
    load("flan-t5-xl", full, 1, &a, &c);
    OK(model_spec_parse(str_of(T5_XL), "flan-t5-xl", &s, e));
    s.tied = false;
    assert_null(fits(&s, &c, 24));
    assert_null(fits(&s, &c, 48));
    assert_string_equal(fits(&s, &c, 80), "recompute");
    assert_string_equal(fits(&s, &c, 141), "as is");
    arena_free(&a);
}

/* No file of configs/ is left out here. */
static void test_all_files(void **state)
{
    (void)state;
    size_t known = sizeof rows / sizeof *rows + sizeof parts / sizeof *parts, met = 0;
    DIR *d = opendir(RADMILL_SOURCE "/configs");
    assert_non_null(d);
    for (const struct dirent *x; (x = readdir(d));) {
        size_t n = strlen(x->d_name);
        if (n < 6 || strcmp(x->d_name + n - 5, ".yaml") != 0) continue;
        bool here = false;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            here =
                here || (strlen(rows[i].name) == n - 5 && !strncmp(x->d_name, rows[i].name, n - 5));
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            here = here || (strlen(parts[i]) == n - 5 && !strncmp(x->d_name, parts[i], n - 5));
        if (!here) fail_msg("configs/%s has no row in this test", x->d_name);
        met++;
    }
    closedir(d);
    assert_int_equal(met, known);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct arena a;
        struct loaded c;
        arena_init(&a, 8 << 20);
        load(parts[i], NULL, 0, &a, &c);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_all_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
