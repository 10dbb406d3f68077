/*
 * synth/story - one made-up study: draws a case from an exam's tables (synth/cases.h) and writes
 * its sections.
 *
 * Findings name every abnormal finding and, for most other organs, a normal sentence; the
 * impression has one item for each abnormal finding, most urgent first, and no other. Its wording
 * is mostly the first one of its grammar, so that what a model can learn outweighs what it must
 * guess.
 */
#pragma once
#include "synth/cases.h"
#include "synth/grammar.h"

enum { STORY_LESIONS = 5, STORY_TEXT_MAX = 1 << 16 };

struct story {
    const struct synth_exam *exam;
    const struct synth_lesion *shown[STORY_LESIONS]; /* in the order of the impression */
    size_t nshown;
    struct str complaint; /* one of exam->clinical */
    bool prior;           /* something is compared with an older study */
    /* Sentences one blank apart; the impression has one item a line. */
    struct sbuf findings, impression, technique, description;
};

void story_init(struct story *s);
void story_free(struct story *s);
/* Write the next study into s. The same rng position gives the same study. */
MUST_CHECK bool story_make(struct story *s, const struct synth_exam *exam, struct gram_rng *rng,
                           struct err *e);
/* One of all exams, by their weights. */
const struct synth_exam *story_exam(struct gram_rng *rng);
