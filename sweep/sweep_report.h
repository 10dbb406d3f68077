/*
 * sweep/sweep_report - the sweep as one HTML page that needs nothing else, and as a table.
 *
 *     report.html   summary, best trials, learning curves, parallel coordinates, importance, what
 *                   is gained for which cost; light and dark, usable from a file, no network
 *     report.csv    a row a trial: state, values, scores, steps, seconds
 *
 * The page is a constant (report_page.html) with the sweep's facts as JSON in it. Curves come from
 * the trials' metrics.jsonl. Nothing in it is report text.
 *
 * Importance of a key: the share of the variance of the trials' ranks that its values explain, one
 * key at a time (epsilon squared, the unbiased form of eta squared, at least 0; numbers in up to
 * four bins of equally many trials). Trials at the farthest rung that at least 8 have reached. Keys
 * that work only together are not seen; with few trials it says little, and the page says so.
 */
#pragma once
#include "sweep/sweep.h"

MUST_CHECK bool sweep_report(const struct sweep *s, const char *html, const char *csv,
                             struct err *e);
/* Importance of parameter d (NaN: cannot be said); *n trials it rests on. */
MUST_CHECK bool sweep_importance(const struct sweep *s, size_t d, double *out, size_t *n,
                                 struct err *e);
