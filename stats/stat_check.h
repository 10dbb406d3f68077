/*
 * stats/stat_check - plain word rules that find reports in which two things do not agree.
 *
 *     same     findings and impression are the same words, punctuation and case aside
 *     longer   the impression has more words than the findings
 *     side     the impression says left or right, the findings (and the clinical information)
 *              name only the other side
 *     measure  the impression gives a number in mm or cm that is not in the findings
 *     normal   a short impression says normal, unremarkable or no acute; the findings measure
 *              something in mm or cm
 *     label    examination and technique name one modality, and the label is another
 *
 * Candidates, not errors: a side may stand in the comparison, a number may be rounded. English.
 */
#pragma once
#include "ingest/record.h"
#include "stats/stat_count.h"

/* 1: found, 0: looked and not found, -1: there is nothing to compare. */
int stat_check_record(const struct record *r, enum stat_check check);
/* The one modality that examination and technique name; -1: none or several. */
int stat_check_named(const struct record *r);
