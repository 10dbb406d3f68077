/*
 * shard/builder - a record -> cleaned fields -> prompt and target -> token columns.
 *
 * One a rank. The samples of a shard are collected by split and joined at the end, so that each
 * split is one slice. Text never leaves this file; of the patient only a keyed hash does.
 */
#pragma once
#include "ingest/record.h"
#include "shard/shard_writer.h"

struct builder;
MUST_CHECK bool builder_open(const struct shard_opts *o, const char *tokenizer_path,
                             struct builder **out, struct err *e);
void builder_close(struct builder *b);
/* What all shards of this run have in common; modality, number, inputs and counts are zero. */
const struct shard_head *builder_head(const struct builder *b);

/* "builder/1 max_tokens=1024 duplicates=keep ...": what else decided on the samples. */
const char *builder_options(const struct builder *b);

enum { BUILDER_TAKEN = -1 };
/* What flags and spans alone say: the reason to leave the record out, or BUILDER_TAKEN. A shard is
 * a run of records that pass this, whether or not they pass the next: so one report that comes to
 * be superseded changes one shard, and no border of others. */
int builder_screen(const struct builder *b, const struct record *r);
/* What its late flags say (superseded, duplicate), of one that passed the first. */
int builder_screen_late(const struct builder *b, const struct record *r);
/* Groups samples of one patient within a source; the study, else the entry, stands in where the
 * patient is unknown. */
uint64_t builder_patient(const struct builder *b, const char *source, const struct record *r);

struct builder_place {
    const char *source; /* its name */
    uint32_t index, block, row;
};
/* Add the sample of a screened record. *reason: why there is none, or BUILDER_TAKEN. */
MUST_CHECK bool builder_put(struct builder *b, const struct record *r, struct builder_place at,
                            int *reason, struct err *e);
/* All samples put since the last reset, joined; owned by the builder until the next reset. *out is
 * NULL when there were none. Fills the counts of fact and the counts of head. */
MUST_CHECK bool builder_join(struct builder *b, const struct shard_data **out,
                             struct shard_head *head, struct shard_fact *fact, struct err *e);
/* Forget them. */
void builder_reset(struct builder *b);
