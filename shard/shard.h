/*
 * shard/shard - the second stage: record blocks x tokenizer x prompt -> token shards. Its driver
 * and its options.
 *
 *     corpus.dir/records/...  -->  shards.dir/<modality>/s<source>-<nnnnn>-<key12>.h5
 *                                  shards.dir/groups-<key12>.h5        (shard/shard_groups)
 *                                  shards.dir/manifest.json            (written last)
 *
 * The main idea: shard k of a modality and source covers a fixed run of that modality's records in
 * corpus order (at most shard_size of them, of one archive or dump), whoever makes it. Its file is
 * named by all it was made from (the blocks, the options, tokenizer, template), so a rerun makes
 * only what changed, one modality is rebuilt without touching another's files, a corpus that grew
 * by a dump or a source (behind the old ones) gives new files beside untouched ones, and any number
 * of ranks gives the same bytes.
 *
 * Every record left out is counted by its reason. Patients must not cross splits: an audit over all
 * records fails the run before anything is written; texts that occur in several splits are counted.
 * Raw ids never reach a shard: patients are grouped by a keyed 64-bit hash.
 *
 * What it does not do: read archives, or truncate silently (cut samples are counted).
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "shard/shard_reader.h"

/* shards.layout: auto. The command asks the model and puts one of the layouts in its place; where
 * nobody did, it means decoder. */
enum { SHARD_LAYOUT_AUTO = SHARD_LAYOUTS };

/* Of texts that stand in train more than once. A third policy, weight, is train.duplicates. */
enum shard_duplicates { SHARD_DUP_KEEP, SHARD_DUP_HEAD, SHARD_DUP_NEAR_HEAD };
extern const char *const shard_duplicates_names[]; /* "keep", ... */

struct shard_opts {
    const char *dir;
    struct opt_strs modality; /* none: all */
    struct opt_strs input;    /* prompt fields in their order */
    const char *template;
    int layout;                                   /* enum shard_layout or SHARD_LAYOUT_AUTO */
    uint32_t max_tokens;                          /* decoder: prompt and answer */
    uint32_t max_input_tokens, max_target_tokens; /* encoder-decoder */
    uint32_t shard_size;
    int duplicates; /* enum shard_duplicates */
    uint32_t min_findings_words, min_impression_words;
    bool impression_shorter; /* drop reports whose impression is not shorter than the findings */
    bool cut_communication;  /* end the impression before its first sentence about calls */
    bool drop_long;          /* drop what would be cut */
    const char *patient_key_file;
};
extern const struct opt shard_table[]; /* section "shards" */

/* Why a record gave no sample. */
enum shard_drop {
    SHARD_DROP_SPLIT,      /* belongs to no split */
    SHARD_DROP_SUPERSEDED, /* a later or more final report of the study is there */
    SHARD_DROP_FINDINGS,   /* no text in any of the input fields (findings, where they are one) */
    SHARD_DROP_IMPRESSION, /* no impression */
    SHARD_DROP_DUPLICATE,  /* duplicates: head, near-head, and not the first of its text in train */
    SHARD_DROP_SHORT,      /* min_findings_words, min_impression_words */
    SHARD_DROP_NOT_SHORTER, /* impression_shorter */
    SHARD_DROP_LONG,        /* the answer alone does not fit; with drop_long what would be cut */
    SHARD_DROPS
};
extern const char *const shard_drop_names[SHARD_DROPS + 1]; /* "no-split", ... */

struct shard_summary {
    uint64_t records; /* of the chosen modalities */
    uint64_t samples[SHARD_SPLITS], tokens[SHARD_SPLITS], targets[SHARD_SPLITS];
    uint64_t dropped[SHARD_DROPS];
    uint64_t cut, cut_tokens;         /* kept with shortened fields; what they lost */
    uint64_t unknown;                 /* tokens that stand for text the vocabulary lacks */
    uint64_t patients;                /* in the chosen modalities' splits */
    uint64_t seen[SHARD_SPLITS];      /* samples of dev and test whose text also stands in train */
    uint64_t near_texts;              /* nearly another's, and known to be (shard/shard_groups) */
    uint64_t near_seen[SHARD_SPLITS]; /* as seen, or nearly their text */
    uint64_t shared_ids;        /* patient ids of two sources that fell into different splits */
    uint64_t files, files_made; /* made: not found whole from an earlier run */
    uint64_t bytes;
    uint8_t dataset_digest[32];
};

/* Make the shards of the chosen modalities; those of other modalities stay as they are, and must
 * have been made with the same tokenizer and template. tokenizer_path as for tokenizer_open.
 * ERR_STOPPED after stop_request: finished files stay, the old manifest too. Collective; every
 * rank gets the summary. */
MUST_CHECK bool shard_run(const char *corpus_dir, const struct shard_opts *o,
                          const char *tokenizer_path, struct comm *c, struct shard_summary *out,
                          struct err *e);
