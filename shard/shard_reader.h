/*
 * shard/shard_reader - read token shards: the contract between shard and train, generate.
 *
 *     shards.dir/manifest.json                     dataset digest, files, counts; in place last
 *     shards.dir/<modality>/s<source>-<nnnnn>-<key12>.h5    layout `shards/v2` (docs/FORMATS.md)
 *
 * A shard never changes once committed. Token arrays are contiguous in the file and memory-mapped,
 * so a random sample costs no copy of the file. Not thread-safe. No MPI inside: each rank opens its
 * own.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "shard/sample.h"

enum shard_split { SHARD_TRAIN, SHARD_DEV, SHARD_TEST, SHARD_SPLITS };
extern const char *const shard_split_names[SHARD_SPLITS + 1];

/* What a sample's tokens are; shard/sample.h says what stands where. */
enum shard_layout { SHARD_DECODER, SHARD_ENCODER_DECODER, SHARD_LAYOUTS };
extern const char *const shard_layout_names[SHARD_LAYOUTS + 1]; /* "decoder", ... */

struct shard_info {
    enum shard_layout layout;     /* of all samples of the folder */
    uint8_t dataset_digest[32];   /* over all files and samples: what "the data" was */
    uint8_t tokenizer_digest[32]; /* text/tokenizer */
    uint8_t template_digest[32];  /* text/prompt */
    uint32_t vocab_size;
    uint32_t max_tokens; /* no sample is longer */
    /* Encoder-decoder: of the two parts, together max_tokens; else 0. */
    uint32_t max_input_tokens, max_target_tokens;
    const char *template_name;
    const char *inputs;    /* "clinical,findings" */
    int32_t eos, bos, pad; /* -1: none */
};

/* All samples of one split over the chosen modalities, in file order. */
struct shard_set;
/* modalities: names, n == 0 means all. Checks versions, schema and checksums of index arrays; with
 * verify_tokens also of the token arrays. An empty split is ERR_CONFIG naming the splits there are.
 */
MUST_CHECK bool shard_set_open(const char *dir, enum shard_split split,
                               const char *const *modalities, size_t nmodalities,
                               bool verify_tokens, struct shard_set **out, struct err *e);
void shard_set_close(struct shard_set *s);
const struct shard_info *shard_set_info(const struct shard_set *s);
size_t shard_set_count(const struct shard_set *s);
/* Lengths and first-target indices of all samples: what the plan needs. Borrowed until close. */
const uint32_t *shard_set_lengths(const struct shard_set *s);
const uint32_t *shard_set_targets(const struct shard_set *s);
/* Samples with equal findings and impression have the same (struct sample). i < count. */
struct hash128 shard_set_text_hash(const struct shard_set *s, size_t i);
/* Samples whose texts are equal, or nearly equal where the corpus was searched for that, have the
 * same (shard/shard_groups). i < count. */
struct hash128 shard_set_group(const struct shard_set *s, size_t i);
/* What says which texts are nearly equal, 32 bytes; NULL: nothing does. Borrowed until close. */
const uint8_t *shard_set_groups_digest(const struct shard_set *s);
/* Sample i < count. out->tokens is valid until the next get or close. */
MUST_CHECK bool shard_set_get(struct shard_set *s, size_t i, struct sample *out, struct err *e);
/* Refuse shards made with another tokenizer or template than the run's; a NULL digest is not
 * compared. `what` names the run's side ("models/llama"). */
MUST_CHECK bool shard_check_tokenizer(const struct shard_info *i, const uint8_t *tokenizer_digest,
                                      const uint8_t *template_digest, const char *what,
                                      struct err *e);
/* Modality name of sample i, and the source's name. */
const char *shard_set_modality(const struct shard_set *s, size_t i);
const char *shard_set_source(const struct shard_set *s, size_t i);
/* All sources of the folder: how many, the name of source k, its data-use terms ("": none). */
size_t shard_set_sources(const struct shard_set *s);
const char *shard_set_source_name(const struct shard_set *s, size_t k);
const char *shard_set_terms(const struct shard_set *s, size_t k);
