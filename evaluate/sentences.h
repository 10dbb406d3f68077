/*
 * evaluate/sentences - where a report's sentences end, for baselines and ROUGE-Lsum.
 *
 * A sentence ends at '.', '!' or '?' before white space or the end, and at a line end. A list mark
 * ("1.") ends none, a decimal point neither. Abbreviations are not known: "Dr. Smith" is two.
 */
#pragma once
#include "base/str.h"

/* Cut the next sentence off *rest, without white space around it; false when none is left. */
bool sentence_next(struct str *rest, struct str *sentence);
