/*
 * judge/judge - a learned score of factual correctness that says how far it can be trusted.
 *
 *     judge.dir/made.jsonl         labels of errors made on purpose (judge/judge_made), stage A
 *     judge.dir/made/, fold0/ ... final/   each: shards/ (judge_shards) and run/ (train)
 *     judge.dir/held.jsonl         a line an answer that was held out: id, part, truth, reading,
 *                                  the rule check's score; no text
 *     judge.dir/judge.json         the card (judge_card); written last
 *
 * The main idea: what the UChicago capstone did with 100 scored pairs, with a test of itself.
 *   A  perturbations of real reports with known errors, split by patient
 *   B  readers' labels (radmill.factlabel/1): cross-validation with whole patients held out, each
 *      fold going on from A's adapter; then the final adapter on all labels
 * Both are ordinary training runs (train/train) over shards in the ordinary format; nothing here
 * trains. Calibration, interval and validity come from held-out answers alone. Without labels the
 * judge is validated on held-out patients' made errors, and says so.
 *
 * Refused: labels whose readers' agreement (Krippendorff's alpha, ordinal) is below
 * judge.least_alpha, or unknown because nothing was read twice, unless judge.force.
 *
 * Not here: stopping by tau (training stops early by dev loss, train.patience), encoder-decoders.
 */
#pragma once
#include "base/opt.h"
#include "comm/comm.h"
#include "judge/judge_card.h"
#include "model/lora.h"
#include "model/model_opts.h"
#include "train/train.h"

struct judge_opts {
    const char *dir;
    const char *reports; /* pairs file: its references are what errors are made in */
    uint32_t made;       /* judgements to make of them; 0: no stage A */
    const char *labels;  /* label file, or a pattern of several; NULL: no stage B */
    uint32_t folds;
    double held; /* share of patients held out of stage A when there are no labels */
    const char *template;
    uint32_t max_tokens;
    bool list, check, blend;
    double made_epochs, made_lr;
    double least_alpha;
    bool force, shuffle;
    uint64_t seed;
    uint32_t bootstrap;
    const char *lexicon;
};
extern const struct opt judge_table[]; /* section "judge" */

struct judge_job {
    const struct judge_opts *judge;
    const struct train_opts *train; /* dir is ours */
    const struct lora_opts *lora;
    const struct model_opts *model;
    const char *version, *commit; /* provenance; NULL: "unknown" */
};
struct judge_summary {
    uint64_t made, labels, held; /* judgements of stages A, B; held out */
    uint64_t cut;                /* whose text was shortened to max_tokens */
    double alpha;                /* of the readers; NaN: nothing was read twice, or no labels */
    char line[1024];             /* judge_card_line */
    bool validated;
};
/* Make, train, validate; finished trainings are kept. ERR_STOPPED as train. Collective. */
MUST_CHECK bool judge_train(const struct judge_job *j, struct comm *c, struct judge_summary *out,
                            struct err *e);
/* Grade a pairs file: out gets a line a pair, in its order:
 * {"id": ..., "key": (evaluate/metric_judge), "judge": {"score", "lo", "hi", "abstains", "raw",
 * "spread", "errors": [...]}}, behind a first line {"signature": judge_card_line}. Collective. */
MUST_CHECK bool judge_score(const struct judge_job *j, const char *pairs, const char *out,
                            struct comm *c, struct judge_summary *s, struct err *e);
/* How the judge does on labels it was not trained on (the caller's word): a card of those, with
 * grades recalibrated in parts of whole patients. Collective. */
MUST_CHECK bool judge_validate(const struct judge_job *j, const char *labels, struct comm *c,
                               struct judge_summary *s, struct err *e);
