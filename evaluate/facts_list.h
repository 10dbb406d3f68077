/*
 * evaluate/facts_list - the fact check of a pairs file as a text for people: a paragraph a report,
 * a line a flag.
 *
 *     mimic:0:17  score 58.33  support 80 %  statements 7, in the reference 6
 *         negation       urgent      pneumothorax   generated 12-24   reference 47-59
 *         added          actionable  nodule         generated 30-36   not supported
 *
 * Places are bytes of the pair's own fields (generated: prediction; findings, clinical). With text,
 * the words at each place follow it in quotes, line ends and control characters as blanks.
 *
 * Reports without a flag are counted, not listed. One thread, in the order of the file.
 */
#pragma once
#include "evaluate/facts.h"
#include "generate/pairs.h"

/* Write the listing, atomically. with_text puts report text into it: the caller notes that in the
 * audit log first. lexicon as in facts_open. */
MUST_CHECK bool facts_list_write(const char *path, const char *lexicon, const struct pair *pairs,
                                 size_t n, bool with_text, struct err *e);
