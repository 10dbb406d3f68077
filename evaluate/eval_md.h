/*
 * evaluate/eval_md - report.md: the tables of one evaluation for people.
 *
 * Values are shown times their scale (evaluate/metric): 0 to 100 for all that has bounds.
 */
#pragma once
#include "evaluate/evaluate.h"

MUST_CHECK bool eval_md_write(const struct evaluate_opts *o, const struct evaluate_summary *s,
                              const char *path, struct err *e);
