/*
 * tests/shard/corpus_kit - a made-up corpus folder and tokenizer for the shard tests, and helpers to look
 * at what came out. Text is made up; plain functions abort with a reason, so MPI tests can use them.
 */
#pragma once
#include "ingest/record.h"
#include "shard/shard.h"

struct kit_source {
    const char *name;
    size_t records, per_block;
    int mode;        /* enum record_mode */
    size_t per_dump; /* blocks a dump; 0: all */
};
/* May change record i of source s before it is written. text: section texts, "" for absent. */
typedef void (*kit_edit)(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT]);

/* corpus_dir with record blocks and manifest.json. Patients have two records in a row; splits by patient:
 * of ten patients eight train, one dev, one test; modalities CR, CT, MR in turn. */
void kit_corpus(const char *dir, const struct kit_source *sources, size_t n, kit_edit edit);
/* Say of a corpus made by kit_corpus which texts are nearly one, v ascending as in the late file. */
void kit_near(const char *dir, const struct record_near *v, size_t n);
/* Byte-level tokenizer of 256 + 2 tokens (plus `extra` unused ones) as dir/tokenizer.json. */
void kit_tokenizer(const char *dir, unsigned extra);
/* Defaults with this folder. Lives in a static arena. */
struct shard_opts kit_opts(const char *dir);
/* Digest over names and bytes of all files below dir but .lock and status.json. */
void kit_digest(const char *dir, uint8_t out[32]);
/* Abort with place and reason. */
void kit_fail(const char *file, int line, const char *what, const struct err *e);
#define KIT(cond, e) ((cond) ? (void)0 : kit_fail(__FILE__, __LINE__, #cond, (e)))
/* A shards folder of one file with n train samples of these lengths (target at half), tokens i % 100;
 * sample 0 also once in dev. Written by the shard writer, without a corpus. */
void kit_lengths(const char *dir, size_t n, uint32_t (*length)(size_t));
/* The same where samples of equal text(i) have one text. */
void kit_repeats(const char *dir, size_t n, uint32_t (*length)(size_t), size_t (*text)(size_t));
/* The same with encoder-decoder samples of these two lengths. */
void kit_parts(const char *dir, size_t n, uint32_t (*input)(size_t), uint32_t (*answer)(size_t));
