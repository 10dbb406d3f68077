/*
 * evaluate/baseline - answers that need no model: what a score must be compared with.
 *
 *     constant   one sentence, "No acute cardiopulmonary abnormality."
 *     lead2      the first two sentences of the findings
 *     knn        the impression of the training report whose findings are nearest
 *                (evaluate/nearest; eval_baselines.c)
 */
#pragma once
#include "base/str.h"

extern const struct str baseline_constant;
/* The first `sentences` sentences (evaluate/sentences), a view into text. */
struct str baseline_lead(struct str text, size_t sentences);
