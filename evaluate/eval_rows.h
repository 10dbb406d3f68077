/*
 * evaluate/eval_rows - per_pair.jsonl: a row a pair, in input order, with every number of it.
 *
 *     {"id": "a", "rouge1": {"p": 1, "r": 1, "f": 1}, ..., "stem": {"rouge1": {...}}, "bleu": 100}
 *
 * Names are those of the values (evaluate/metric), dots nested; values of corpora are left out.
 * Numbers have 17 significant digits: what is read back is what was computed.
 */
#pragma once
#include "evaluate/eval_run.h"

/* One rank only. */
MUST_CHECK bool eval_rows_write(struct eval_run *r, const char *path, struct err *e);
