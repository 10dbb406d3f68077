/*
 * evaluate/eval_report - the files of one evaluation: per_pair.jsonl, report.md, then report.json.
 *
 * Their bytes depend on the pairs and the options alone: no times, no host, no rank count.
 */
#pragma once
#include "evaluate/evaluate.h"
#include "evaluate/scores.h"
#include "generate/pairs.h"

/* One rank only. pairs_path is named in the report with its digest. */
MUST_CHECK bool eval_report_write(const struct evaluate_opts *o, const char *pairs_path,
                                  const struct pair *pairs, const struct pair_score *scores,
                                  size_t n, const struct evaluate_summary *s, struct err *e);
