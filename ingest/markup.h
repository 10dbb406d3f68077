/*
 * ingest/markup - the text of what FHIR and HL7 carry in other clothes: HTML, RTF, base64.
 *
 * Made for the reports that RIS systems write, not for the web: blocks and <br> become line breaks,
 * tags, comments, scripts and styles go, entities are decoded (the five of XML, &nbsp; and the
 * common named ones, and numbers). RTF: \par, \line, \tab, \'hh (Windows-1252), \uN; fonts,
 * colours, pictures and other destinations go. Bad input never fails: what is not understood is
 * left out.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* Appended to out. */
MUST_CHECK bool markup_html(struct str in, struct sbuf *out, struct err *e);
MUST_CHECK bool markup_rtf(struct str in, struct sbuf *out, struct err *e);
/* Appended to out; white space is passed over. *ok false: it is no base64. */
MUST_CHECK bool markup_base64(struct str in, struct sbuf *out, bool *ok, struct err *e);
