/*
 * generate/generate - shards + base model + adapter -> the pairs file: what the model writes for
 * each report of a split, beside what the radiologist wrote.
 *
 *     generate.dir/run.yaml, log/, status.json, .lock   base/rundir: one job, one configuration
 *     generate.dir/parts/             finished blocks; gone when the file is whole
 *     generate.dir/pairs.jsonl        generate/pairs, in sample order
 *     generate.dir/pairs.meta.json    provenance and timings; written last
 *
 * The main idea: prompts are dealt to the ranks in blocks of 32 by sample number, and a finished
 * block is a file. So a killed run goes on where it was, on any number of ranks, and pairs.jsonl
 * has the same bytes for any number of ranks and any `slots` (on one kind of device, build and
 * thread count). What changed below the folder - shards, tokenizer, weights, adapter - is refused
 * by name, not mixed in.
 *
 * Answers are greedy, drawn (temperature; seed and sample number decide, nothing else), or searched
 * with beams. A prompt has exactly the ids the shard holds: nothing is tokenized here.
 * generate.fields says which fields of the report stand in a pair beside answer and reference:
 * baselines and fact checks read the findings. They come from the record blocks (shard/source_text)
 * whether the prompt held them or not.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "generate/decode.h"
#include "model/model_opts.h"

/* Beside the base's products, as in training; or added to the base's weights and rounded once. */
enum generate_adapter_use { GENERATE_APPLIED, GENERATE_MERGED };
struct generate_opts {
    const char *dir;
    int split; /* enum shard_split */
    uint32_t max_new_tokens;
    uint32_t slots, prefill_rows;
    bool share_nothing; /* compute the instruction before every report again */
    double temperature, top_p, length_penalty;
    uint32_t top_k, beams;
    int early_stopping; /* enum decode_early */
    uint64_t seed;
    struct opt_strs stop;
    bool stop_at_header;
    const char *adapter; /* "auto", "none" or a folder; the caller makes job.adapter of it */
    int adapter_use;     /* enum generate_adapter_use */
    uint64_t limit;
    struct opt_strs fields; /* of "findings", "clinical" */
    const char *name;
};
extern const struct opt generate_table[]; /* section "generate" */

struct generate_job {
    const struct generate_opts *generate;
    const struct model_opts *model;
    const char *shards_dir;
    const char *corpus_dir;       /* NULL: pairs without fields */
    struct opt_strs modalities;   /* n == 0: all */
    const char *tokenizer;        /* NULL: model->base */
    const char *adapter;          /* folder; NULL: the base model alone */
    const char *version, *commit; /* provenance; NULL: "unknown" */
    struct model_slot *slot;      /* keeps the base model for the next run; NULL: not kept */
};

struct generate_summary {
    uint64_t pairs; /* in the file */
    uint64_t made;  /* of them by this run */
    uint64_t ended; /* of those: by the model's end mark, not by max_new_tokens */
    uint64_t prompt_tokens, new_tokens;     /* of this run, all ranks */
    double wall_s, prefill_s, decode_s;     /* the last two summed over ranks */
    double reports_per_s, new_tokens_per_s; /* over wall_s; 0 when nothing was made */
    uint64_t shared_tokens;                 /* of prompt_tokens: computed once for many prompts */
    uint64_t reference_tokens; /* scored behind their prompts: nll in a pair; and the time of it */
    double reference_s;
    uint64_t planned_bytes, peak_bytes; /* of a rank's device, most of the ranks */
    char pairs_path[512];
};

/* Generate, or go on generating, until the pairs file is whole; a whole one is left as it is.
 * Stopped (base/stop): finished blocks are kept and the error is ERR_STOPPED. Collective. */
MUST_CHECK bool generate_run(const struct generate_job *j, struct comm *c,
                             struct generate_summary *out, struct err *e);
