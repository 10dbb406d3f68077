/*
 * tests/generate/gen_kit - a tiny random model, a byte tokenizer, and a shard set made by a function
 * instead of files: what generate reads, without the stages that make it.
 *
 * Every failure aborts with its text: the kit is not what is tested.
 */
#pragma once
#include "generate/generate.h"

enum { KIT_TEST = 100, KIT_TRAIN = 40 }; /* samples; no dev split */

/* The shards' dataset digest and the tokenizer's; tests change them. */
extern uint8_t kit_dataset[32], kit_tokenizer[32];
/* Samples of the train split, KIT_TRAIN at first, KIT_TEST at most; and what is said instead when it
 * is opened, ERR_NONE at first. */
extern size_t kit_train;
extern enum err_code kit_train_fails;
extern size_t kit_unreadable; /* a sample of any split that cannot be read; SIZE_MAX at first */

/* Make DIR/model (config, weights, tokenizer.json) and DIR/adapter, and note the tokenizer's digest.
 * Other ranks then call kit_load. */
void kit_make(const char *dir);
void kit_load(const char *dir);
struct kit_job {
    struct generate_opts opts;
    struct model_opts model;
    struct generate_job job;
    char base[600];
};
/* A job over the kit: DIR/model to out_dir, 12 new tokens, 5 slots. */
void kit_job(struct kit_job *k, const char *dir, const char *out_dir);
void kit_die(const char *what, const struct err *e) __attribute__((noreturn));
/* The reference text of test sample i, NUL-terminated, in a static buffer. */
const char *kit_reference(uint32_t i);
