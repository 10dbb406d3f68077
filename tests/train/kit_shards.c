/* The kit's samples as a shards folder, through shard's own writer. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "shard/shard_manifest.h"
#include "shard/shard_writer.h"
#include "train/kit.h"

enum { DEV = 30, TEST = 10 };

static void put(struct sbuf *b, const void *p, size_t n)
{
    struct err e = {0};
    if (!sbuf_put(b, (struct str){p, n}, &e)) kit_die("shard", &e);
}

static void put_u64(struct sbuf *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

static void put_sample(struct shard_data *d, uint32_t number, enum shard_split split,
                       uint64_t *tokens, struct shard_fact *fact)
{
    uint32_t ids[KIT_SAMPLE_TOKENS], length, target, record[3] = {0, 0, (uint32_t)d->samples};

    kit_sample(number, 64, ids, &length, &target);
    put_u64(&d->col[SHARD_COL_OFFSET], *tokens);
    for (uint32_t i = 0; i < length; i++) {
        uint16_t id = (uint16_t)ids[i];
        put(&d->col[SHARD_COL_IDS], &id, sizeof id);
    }
    put(&d->col[SHARD_COL_TARGET], &target, sizeof target);
    put(&d->col[SHARD_COL_LENGTH], &length, sizeof length);
    put(&d->col[SHARD_COL_RECORD], record, sizeof record);
    put_u64(&d->col[SHARD_COL_ENTRY], d->samples);
    for (int i = 0; i < 2; i++)
        put_u64(&d->col[SHARD_COL_TEXT_HASH], number);
    for (int i = 0; i < 2; i++)
        put_u64(&d->col[SHARD_COL_TARGET_HASH], number);
    put_u64(&d->col[SHARD_COL_PATIENT], number);
    *tokens += length;
    d->samples++;
    fact->samples[split]++;
    fact->tokens[split] += length;
    fact->targets[split] += length - target;
}

static void fill(struct shard_data *d, uint32_t ntrain, struct shard_fact *fact)
{
    const uint32_t n[SHARD_SPLITS] = {ntrain, DEV, TEST};
    uint64_t tokens = 0;

    for (int split = 0; split < SHARD_SPLITS; split++) {
        put_u64(&d->col[SHARD_COL_SPLIT], d->samples);
        put_u64(&d->col[SHARD_COL_SPLIT], n[split]);
        for (uint32_t i = 0; i < n[split]; i++)
            put_sample(d, 1000 * (uint32_t)split + i, (enum shard_split)split, &tokens, fact);
    }
    put_u64(&d->col[SHARD_COL_OFFSET], tokens);
    fact->records = d->samples;
}

static void write_manifest(const char *dir, const char *file, enum shard_layout layout,
                           const struct shard_fact *fact)
{
    struct shard_manifest_modality modality = {.name = "MR", .records = fact->records};
    struct shard_manifest_file f = {.path = file, .modality = "MR", .fact = *fact};
    const char *const sources[] = {"made-up"};
    uint32_t part = layout == SHARD_DECODER ? 0 : KIT_SAMPLE_TOKENS / 2;
    struct shard_manifest m = {.info = {.layout = layout,
                                        .max_input_tokens = part,
                                        .max_target_tokens = part,
                                        .vocab_size = 64,
                                        .max_tokens = KIT_SAMPLE_TOKENS,
                                        .template_name = "plain",
                                        .inputs = "findings",
                                        .bos = 1,
                                        .eos = 2,
                                        .pad = -1},
                               .sources = sources,
                               .nsources = 1,
                               .modalities = &modality,
                               .nmodalities = 1,
                               .files = &f,
                               .nfiles = 1};
    struct err e = {0};
    if (!shard_manifest_write(dir, &m, &e)) kit_die("manifest", &e);
}

void kit_shards_of(const char *dir, uint32_t ntrain, enum shard_layout layout)
{
    static const char file[] = "MR/s00000-000000000000.h5";
    struct shard_head h = {.modality = "MR",
                           .template_name = "plain",
                           .inputs = "findings",
                           .layout = layout,
                           .max_input_tokens = layout == SHARD_DECODER ? 0 : KIT_SAMPLE_TOKENS / 2,
                           .max_target_tokens = layout == SHARD_DECODER ? 0 : KIT_SAMPLE_TOKENS / 2,
                           .vocab_size = 64,
                           .max_tokens = KIT_SAMPLE_TOKENS,
                           .bos = 1,
                           .eos = 2,
                           .pad = -1,
                           .token_bytes = 2};
    struct shard_data d;
    struct shard_fact fact = {0};
    struct err e = {0};
    char path[1024];

    snprintf(path, sizeof path, "%s/manifest.json", dir);
    if (fs_exists(path)) return;
    snprintf(path, sizeof path, "%s/MR", dir);
    if (!fs_mkdirs(path, &e)) kit_die("folder", &e);
    shard_data_init(&d);
    fill(&d, ntrain, &fact);
    h.records = fact.records;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (!shard_writer_write(path, &h, &d, &fact, &e)) kit_die("shard", &e);
    write_manifest(dir, file, layout, &fact);
    shard_data_free(&d);
}

void kit_shards(const char *dir)
{
    kit_shards_of(dir, 5 * KIT_SAMPLES, SHARD_DECODER);
}
