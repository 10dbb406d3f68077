/*
 * text/clean - section text made fit for a model: the published MEDIQA-2021 cleaning byte for byte,
 * and radmill's own.
 *
 * Facts: spec/ingest.md 1.2, 1.4 of the project's design notes (abachaa/MEDIQA2021
 * Task3/make_mimic_data.py). "White space" there is Python's (str.isspace for the listed code
 * points).
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* Python white space (U+0009-000D, 001C-001F, 0020, 0085, 00A0, 1680, 2000-200A, 2028, 2029, 202F,
 * 205F, 3000). */
bool clean_is_space(uint32_t code_point);
/* strip(): white space off both ends. Text must be valid UTF-8. */
struct str clean_strip(struct str s);

/* MEDIQA: strip, delete LF, collapse runs of two and more white-space characters to one blank. */
MUST_CHECK bool clean_mediqa_findings(struct str s, struct sbuf *out, struct err *e);
/* MEDIQA: as findings, with "N." bullets removed as the script does. */
MUST_CHECK bool clean_mediqa_impression(struct str s, struct sbuf *out, struct err *e);
/* MEDIQA: the text in front of the first findings section. */
MUST_CHECK bool clean_mediqa_background(struct str s, struct sbuf *out, struct err *e);

/* radmill's own: one blank between words across line breaks, leading list marks (1. 1) - *) removed
 * only at line or item starts, numbers at sentence ends kept, de-identification marks (runs of _,
 * XXXX, [**..**], <DATE>) become "___", controls dropped. out is cleared first. */
MUST_CHECK bool clean_own(struct str s, struct sbuf *out, struct err *e);
