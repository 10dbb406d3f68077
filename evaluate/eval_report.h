/*
 * evaluate/eval_report - the files of one evaluation: per_pair.jsonl, report.md, then report.json.
 *
 * Their bytes depend on the pairs and the options alone: no times, no host, no rank count. No
 * report text is in them.
 *
 * report.json, "radmill.evaluation/2", besides what evaluate was told and how many pairs there are:
 *
 *     metrics    [{name, signature}]
 *     values     {NAME: {metric, label, scale, headline, lower_is_better, corpus, mean, lo, hi}}
 *     compared   [{name, kind, note, pairs, loss, values: {NAME: {mean, lo, hi,
 *                  difference: {mean, lo, hi, p, p_holm}}}}]
 *     strata     [{by, value, pairs, values: {NAME: {mean, lo, hi, constant, over_constant}}}]
 *     left_out   [{name, why}]: baselines that could not be computed
 *
 * Values are not scaled; tables for people are. p_holm stands at headline values alone.
 */
#pragma once
#include "evaluate/eval_run.h"

/* One rank only. pairs_path is named in the report with its digest. */
MUST_CHECK bool eval_report_write(struct eval_run *r, const char *pairs_path, struct err *e);
