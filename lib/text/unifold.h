/*
 * text/unifold - what uncased BERT makes of a character: decomposed, marks gone, lower case.
 *
 * Measured from the reference tokenizer (lib/text/unicode/gen_fold.py), because its Unicode version
 * is not utf8proc's. Marks that are deleted have UNI_MARK (text/uniclass.h) and are not asked for
 * here. Does not reorder: see tok_norm.c.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define UNIFOLD_MAX 3

struct unifold_run {
    uint32_t first, to;
    uint16_t count, step;
};
extern const uint32_t unifold_run_count, unifold_many_count;
extern const struct unifold_run unifold_runs[]; /* sorted, do not overlap */
extern const uint32_t unifold_many[][4];        /* from, two or three targets (0: none); sorted */

/* Writes 1 to UNIFOLD_MAX code points. */
size_t unifold(uint32_t code_point, uint32_t out[UNIFOLD_MAX]);
