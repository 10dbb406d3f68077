/*
 * judge/conformal - how far off a judgement may be: split-conformal intervals.
 *
 * From n held-out residuals the quantile is the ceil((n + 1) (1 - alpha))-th smallest; then the
 * interval covers a new judgement with probability at least 1 - alpha, whatever the model
 * (Vovk et al., "Algorithmic learning in a random world", 2005; Lei et al., J. Am. Stat. Assoc.
 * 113:1094, 2018). It promises coverage on average over judgements of the same kind, not for each
 * kind of report. With patients that have several judgements it holds approximately.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"

/* Sorts r[n]. INFINITY where n is too small to promise anything. */
double conformal_quantile(double *r, size_t n, double alpha);
