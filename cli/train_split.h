/*
 * cli/train_split - the training reports of a configuration, in plain words, for the baseline knn
 * of evaluate: the samples of the shards' train split, led back to the records they are from.
 */
#pragma once
#include "cli/config.h"
#include "evaluate/train_texts.h"

struct train_split;
/* Is the baseline knn asked for, and no file named that it is to look at? */
bool train_split_wanted(const struct config *c);
/* *out stays NULL, without an error, where there is no such split or corpus; *why says what is
 * missing and lasts for ever. Texts are views until the next call. */
MUST_CHECK bool train_split_open(const struct config *c, struct arena *a, struct train_split **out,
                                 const char **why, struct err *e);
void train_split_close(struct train_split *t);
const struct train_texts *train_split_texts(const struct train_split *t);
