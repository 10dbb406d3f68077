/*
 * text/uniclass - character classes exactly as the reference tokenizer applies them.
 *
 * Not utf8proc's categories: another Unicode version classes newly assigned code points
 * differently, and then token ids differ. The table is generated (lib/text/unicode/) from measured
 * ranges.
 */
#pragma once
#include <stdint.h>

enum {
    UNI_LETTER = 1, /* \p{L} */
    UNI_NUMBER = 2, /* \p{N} */
    UNI_SPACE = 4,  /* \s */
    UNI_DIGIT = 8,  /* what the Digits pre-tokenizer splits off: \p{N} and 13 newer code points */
    UNI_WORD = 16,  /* \w */
    UNI_PUNCT = 32, /* BERT's punctuation */
    UNI_DROP = 64,  /* what BERT's clean_text deletes: controls, format, unassigned, U+FFFD */
    UNI_MARK = 128, /* nonspacing marks that uncased BERT deletes */
};

/* Class bits of a code point below 0x110000. */
uint32_t uniclass(uint32_t code_point);

#define UNICLASS_PAGES 0x200
extern const uint32_t uniclass_run_count;
/* Sorted; first code point << 8 | bits. */
extern const uint32_t uniclass_runs[];
/* Run that holds the first code point of each page of 256. */
extern const uint16_t uniclass_pages[UNICLASS_PAGES + 1];
