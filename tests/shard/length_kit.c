/* Shards of given lengths, for the plan and the reader. */
#include <stdio.h>

#include "base/fs.h"
#include "shard/corpus_kit.h"
#include "shard/shard_manifest.h"
#include "shard/shard_writer.h"

static void put(struct shard_data *d, enum shard_column c, const void *p, size_t n)
{
    struct err e = {0};
    KIT(sbuf_put(&d->col[c], (struct str){p, n}, &e), &e);
}

static size_t own_text(size_t i)
{
    return i;
}

/* Which text sample i has. */
static size_t (*text_of)(size_t) = own_text;

static void put_sample(struct shard_data *d, size_t i, uint32_t target, uint32_t length,
                       uint64_t *at)
{
    uint32_t record[3] = {0, 0, (uint32_t)i};
    uint64_t entry = i, hash[2] = {text_of(i), ~(uint64_t)text_of(i)};

    for (uint32_t k = 0; k < length; k++) {
        uint16_t token = (uint16_t)((i + k) % 100);
        put(d, SHARD_COL_IDS, &token, sizeof token);
    }
    put(d, SHARD_COL_OFFSET, at, sizeof *at);
    put(d, SHARD_COL_TARGET, &target, sizeof target);
    put(d, SHARD_COL_LENGTH, &length, sizeof length);
    put(d, SHARD_COL_RECORD, record, sizeof record);
    put(d, SHARD_COL_ENTRY, &entry, sizeof entry);
    put(d, SHARD_COL_TEXT_HASH, hash, sizeof hash);
    put(d, SHARD_COL_TARGET_HASH, hash, sizeof hash);
    put(d, SHARD_COL_PATIENT, &entry, sizeof entry);
    *at += length;
    d->samples++;
}

/* answer == NULL: decoder samples, half of each the target. */
static void make(const char *dir, size_t n, uint32_t (*input)(size_t), uint32_t (*answer)(size_t))
{
    enum shard_layout layout = answer ? SHARD_ENCODER_DECODER : SHARD_DECODER;
    uint32_t most = answer ? 4096 : 0;
    struct shard_head h = {.layout = layout,
                           .max_input_tokens = most,
                           .max_target_tokens = most,
                           .modality = "CT",
                           .template_name = "plain",
                           .inputs = "findings",
                           .vocab_size = 100,
                           .max_tokens = 8192,
                           .bos = -1,
                           .eos = 2,
                           .pad = -1,
                           .token_bytes = 2};
    struct shard_manifest_modality modality = {.name = "CT", .records = n + 1};
    struct shard_manifest_file f = {.path = "CT/s00-00000-000000000000.h5", .modality = "CT"};
    static const char *const sources[] = {"alpha"};
    struct shard_manifest m = {.info = {.layout = layout,
                                        .max_input_tokens = most,
                                        .max_target_tokens = most,
                                        .vocab_size = 100,
                                        .max_tokens = 8192,
                                        .template_name = "plain",
                                        .inputs = "findings",
                                        .bos = -1,
                                        .eos = 2,
                                        .pad = -1},
                               .sources = sources,
                               .nsources = 1,
                               .modalities = &modality,
                               .nmodalities = 1,
                               .files = &f,
                               .nfiles = 1};
    uint64_t at = 0, split[SHARD_SPLITS][2] = {{0, n}, {n, 1}, {n + 1, 0}};
    struct shard_data d;
    struct err e = {0};
    char path[1200];

    snprintf(path, sizeof path, "%s/CT", dir);
    KIT(fs_mkdirs(path, &e), &e);
    shard_data_init(&d);
    for (size_t i = 0; i <= n; i++) {
        uint32_t first = input(i % n);
        if (answer)
            put_sample(&d, i % n, first, first + answer(i % n), &at);
        else
            put_sample(&d, i % n, first / 2, first, &at);
    }
    put(&d, SHARD_COL_OFFSET, &at, sizeof at);
    put(&d, SHARD_COL_SPLIT, split, sizeof split);
    f.fact.samples[SHARD_TRAIN] = n;
    f.fact.samples[SHARD_DEV] = 1;
    snprintf(path, sizeof path, "%s/%s", dir, f.path);
    KIT(shard_writer_write(path, &h, &d, &f.fact, &e), &e);
    KIT(shard_manifest_write(dir, &m, &e), &e);
    shard_data_free(&d);
}

void kit_lengths(const char *dir, size_t n, uint32_t (*length)(size_t))
{
    make(dir, n, length, NULL);
}

void kit_repeats(const char *dir, size_t n, uint32_t (*length)(size_t), size_t (*text)(size_t))
{
    text_of = text;
    make(dir, n, length, NULL);
    text_of = own_text;
}

void kit_parts(const char *dir, size_t n, uint32_t (*input)(size_t), uint32_t (*answer)(size_t))
{
    make(dir, n, input, answer);
}
