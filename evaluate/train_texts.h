/*
 * evaluate/train_texts - the reports a model was trained on, for the baseline that answers with the
 * most similar one's impression.
 *
 * They come from whoever can read them: cli from the shards' provenance and the records, or a file
 * of one JSON object a line with findings and reference (or impression, as `radmill export
 * --format jsonl --split train` writes). What is no train split must not be given: nothing here can
 * tell, except that the file's rows with "split" other than train are passed over.
 */
#pragma once
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct train_texts {
    void *ctx;
    size_t n;
    const char *name; /* for people: "the train split of DIR" */
    /* Report i; asked in ascending order. Views until the next call; NULL: not wanted. */
    bool (*get)(void *ctx, size_t i, struct str *findings, struct str *impression, struct err *e);
};

/* Read such a file; texts live in the arena. Errors name the line, never the text. */
MUST_CHECK bool train_texts_read(const char *path, struct arena *a, struct train_texts *out,
                                 struct err *e);
/* The same from text. */
MUST_CHECK bool train_texts_parse(struct str text, const char *name, struct arena *a,
                                  struct train_texts *out, struct err *e);
