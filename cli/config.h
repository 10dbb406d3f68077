/*
 * cli/config - the whole configuration: every section bound to its stage's options.
 *
 * One YAML file is one experiment and serves every stage. config_section_list is the only place
 * that joins section names to tables; parser, help and dump walk it.
 */
#pragma once
#include "base/fs.h"
#include "base/opt.h"
#include "cli/cmd.h"
#include "evaluate/evaluate.h"
#include "generate/generate.h"
#include "ingest/ingest.h"
#include "judge/judge.h"
#include "label/rating.h"
#include "model/lora.h"
#include "model/model_opts.h"
#include "serve/serve.h"
#include "shard/shard.h"
#include "slurm/slurm.h"
#include "stats/stats.h"
#include "sweep/sweep.h"
#include "train/train.h"

struct files_opts {
    int access; /* enum fs_access */
};
struct config {
    struct files_opts files;
    struct ingest_opts corpus;
    struct shard_opts shards;
    struct stats_opts stats;
    struct model_opts model;
    struct lora_opts lora;
    struct train_opts train;
    struct generate_opts generate;
    struct evaluate_opts evaluate;
    struct label_opts label;
    struct judge_opts judge;
    struct sweep_opts sweep;
    struct serve_opts serve;
    struct slurm_opts slurm;
};

struct config_section {
    const char *name;
    const struct opt *table;
    size_t offset; /* in struct config */
};
extern const struct config_section config_section_list[]; /* ends with name NULL */

/* Read call->pos[0] with call->sets on top. Strings live in the call's arena. From here on files
 * have the modes of files.access, where the command has that section. Where the call uses ranks,
 * config_watch too: then it is collective. */
MUST_CHECK bool config_load(struct cmd_call *call, struct config *out);
/* Without a file: every option at its default, with call->sets on top. */
MUST_CHECK bool config_defaults(struct cmd_call *call, struct config *out);
/* All sections as YAML, into b. */
MUST_CHECK bool config_dump(const struct config *c, struct sbuf *b, struct err *e);
/* Where a stage keeps its status.json, or NULL: its folder is not set, or it has none. */
const char *config_stage_dir(const struct config *c, const char *stage);
/* Watch for ranks that hang (comm/hang) in this call's stage; does nothing on a dry run. main ends
 * it. Collective. */
MUST_CHECK bool config_watch(struct cmd_call *call, const struct config *c);
/* Settle slurm.dir: left out, it is the folder slurm in train.dir, or else in corpus.dir. */
MUST_CHECK bool config_slurm_dir(struct cmd_call *call, struct config *c);
/* What --dry-run prints: the complete configuration. True when the caller is to stop there. */
MUST_CHECK bool config_dry_run(struct cmd_call *call, const struct config *c, bool *stop);
/* A value that this command cannot do without. */
MUST_CHECK bool config_need(struct cmd_call *call, const char *value, const char *key);
/* The configuration of a dump, with sets on top; strings live in the arena. */
MUST_CHECK bool config_parse(struct str dump, const char *const *sets, size_t n, struct arena *a,
                             struct config *out, struct err *e);
/* Type of "section.key", OPT_T_END when there is no such key. */
enum opt_type config_key_type(const char *key);
/* The shards that are there were made with the template and inputs that are configured now: else
 * ERR_CONFIG. A folder without shards passes: the stage says that they are missing. Collective. */
MUST_CHECK bool config_check_shards(struct cmd_call *call, const struct config *c);
/* shards.layout: auto. Hugging Face's config.json says whether a model is an encoder-decoder. */
MUST_CHECK bool config_find_layout(const char *base, int *layout, struct err *e);
