/*
 * generate/pairs - the pairs file: predictions beside references, one JSON object a line.
 *
 *     {"id": "mimic:0:17", "source": "mimic", "modality": "CR", "split": "test",
 *      "prediction": "...", "reference": "...", "group": "9f...", "seen": false,
 *      "nll": 12.3456, "tokens": 17}
 *
 * id is source:block:row, never a study or accession number; group is a keyed hash of the patient.
 * nll is -ln p of the reference's `tokens` tokens, EOS included, given the prompt.
 * Lines stand in sample order whatever the rank count. evaluate also reads anyone's file: only
 * prediction and reference are required.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct pair {
    struct str id, source, modality, split;
    struct str prediction, reference;
    struct str findings, clinical; /* empty when unknown */
    struct str group;              /* patient cluster; empty when unknown */
    int seen;                      /* reference text occurs in train: 1, 0, -1 unknown */
    double nll;                    /* of the reference under the model, in nats */
    uint64_t tokens;               /* that nll is a sum over; 0: unknown */
};

/* Read all pairs, passing over unknown keys; texts live in the arena. Errors name the line, never
 * the text. */
MUST_CHECK bool pairs_read(const char *path, struct arena *a, struct pair **out, size_t *n,
                           struct err *e);
/* The same from text; `name` stands for the file in errors. */
MUST_CHECK bool pairs_parse(struct str text, const char *name, struct arena *a, struct pair **out,
                            size_t *n, struct err *e);
/* One line without newline, appended to b. */
MUST_CHECK bool pairs_put(struct sbuf *b, const struct pair *p, struct err *e);
