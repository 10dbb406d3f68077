/*
 * ingest/phi - what looks like an identifier that de-identification left in: dates, phone and pager
 * numbers, long numbers (medical records, accessions), e-mail addresses, names behind a title.
 *
 * A look at the forms of words, in one pass over a text. It is not de-identification: it knows no
 * list of names, sees no name that stands alone, no address, no spelled-out date, and it takes some
 * harmless numbers for identifiers. corpus.phi says what is done: report (flags and counts), mask
 * (each becomes "___"), refuse (the run stops without a corpus). How many it finds of a set of
 * planted ones is printed by `radmill ingest` (synth/planted).
 *
 *     date    9/14/2010, 2010-09-14, 14.09.10, September 14, 2010, 14 Sep 2010, Sept 2010
 *     phone   (617) 555-0100, 617-555-0100, 617.555.0100, +1 617 555 0100, 555-0100, x12345,
 *             pager 12345
 *     number  six digits and more in a row; with MRN, accession or # in front four and more
 *     email   a@b.cd
 *     name    Dr. Smith, DR SMITH, Mrs. Jones, Jane Smith, M.D.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "ingest/record.h"

enum phi_kind { PHI_DATE, PHI_PHONE, PHI_NUMBER, PHI_EMAIL, PHI_NAME, PHI_KINDS };
enum { PHI_FIRST_FLAG = 9 }; /* bit of RECORD_PHI: kind k has bit PHI_FIRST_FLAG + k */
extern const char *const phi_kind_names[PHI_KINDS + 1];

struct phi_hit {
    enum phi_kind kind;
    size_t begin, end;
};
/* Next hit at or after *at, which moves behind it; hits do not overlap. */
bool phi_next(struct str text, size_t *at, struct phi_hit *out);
/* RECORD_PHI bits of the kinds in the text. */
uint32_t phi_flags(struct str text);
/* The text with "___" in place of each hit, appended to out. */
MUST_CHECK bool phi_mask(struct str text, struct sbuf *out, struct err *e);
