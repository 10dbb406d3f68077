/*
 * ingest/sections_own - radmill's own section finder: what the published one loses.
 *
 * Line by line. A line is a header when it begins with a name from the table of names, in any
 * case, with a colon (or alone on its line in capitals), or with capitals and digits and a colon.
 * So mixed case, digits in view headers, a missing blank after the colon and indents of any depth
 * are seen, and so are headers within a line, where line breaks were lost.
 * Findings without a header are found behind the last paragraph of COMPARISON, TECHNIQUE or
 * another leading section. Of several findings or impressions the report's own win over an
 * addendum's or a wet read's, which stand in front. FINDINGS AND IMPRESSION together is an
 * impression: taking it as both would put the answer into the question.
 *
 * In a report without any header of findings or impression the last of several paragraphs is taken
 * for the impression, if it is not the longest; *guessed says so (RECORD_GUESSED). "NDICATION" is
 * an indication, and an impression where it stands behind the findings.
 */
#pragma once
#include "ingest/header_own.h"
#include "ingest/sections.h"

/* l is cleared first and gets all sections found; out the spans a record carries. SEC_BACKGROUND
 * stays empty: what stands in front of the findings may hold the answer. site may be NULL. */
MUST_CHECK bool sections_own(const struct own_names *site, struct str text, struct section_list *l,
                             struct record_span out[SEC_COUNT], bool *guessed, struct err *e);
