/*
 * synth/mimic - a study typed as MIMIC-CXR has it: 33 blanks and FINAL REPORT, one blank in front
 * of every line, at most 79 columns, two blanks between sentences, "___" where something was
 * censored - and the ways in which such reports go wrong (spec/ingest.md 1.3, 1.6, 1.7 of the
 * design notes).
 *
 * At most one irregularity of layout a report (they exclude each other), and any of the marks.
 * Rates are in reports of 10,000 at scale 1.
 */
#pragma once
#include "synth/story.h"

enum mimic_trait {
    /* layouts in which the published parser still finds findings and impression */
    MIMIC_VIEW_HEADER, /* "PA AND LATERAL VIEWS OF THE CHEST:" instead of FINDINGS */
    MIMIC_TYPO,        /* "FINDNGS:", "IMPRESSON:" */
    MIMIC_CONCLUSION,  /* CONCLUSION instead of IMPRESSION */
    /* layouts in which it loses one of them, so that the split list leaves the report out */
    MIMIC_UNHEADED,    /* findings stand after COMPARISON without a header */
    MIMIC_NO_FINDINGS, /* there are none */
    MIMIC_NO_IMPRESSION,
    MIMIC_COMBINED,   /* FINDINGS AND IMPRESSION in one */
    MIMIC_LOWER_CASE, /* "Findings:" */
    MIMIC_DIGITS,     /* "CHEST, 2 VIEWS:" */
    MIMIC_PARAGRAPHS, /* no header at all */
    MIMIC_TIGHT,      /* "FINDINGS:text" */
    MIMIC_ADJACENT,   /* "FINDINGS:" with "IMPRESSION:" in the next line */
    MIMIC_NO_LEADING, /* no blank in front of the lines */
    MIMIC_LAYOUTS,
    /* marks, each on its own */
    MIMIC_WET_READ = MIMIC_LAYOUTS,
    MIMIC_ADDENDUM,
    MIMIC_CRLF,
    MIMIC_UNICODE,      /* a byte order mark, NBSP, EM SPACE, degree sign ... in the text */
    MIMIC_TRAILING,     /* blanks at line ends */
    MIMIC_NO_NEWLINE,   /* at the end of the file */
    MIMIC_NOTIFICATION, /* one more section behind the impression */
    MIMIC_CENSORED,     /* a harmless word became "___" */
    MIMIC_NUMBERED,     /* "1. ... 2. ..." in impressions of several items */
    MIMIC_TRAITS
};
extern const uint16_t mimic_rates[MIMIC_TRAITS]; /* per 10,000; NUMBERED: of those with two items */
/* Does the published parser find both sections in a report with these traits? */
bool mimic_parses(uint32_t traits);

/* Append the typed report to out (cleared first); *traits gets a bit for each trait used. */
MUST_CHECK bool mimic_type(const struct story *s, struct gram_rng *rng, double scale,
                           struct sbuf *out, uint32_t *traits, struct err *e);
