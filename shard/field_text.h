/*
 * shard/field_text - a report's fields as models and people get them: which section, cleaned how.
 *
 * Cleaning follows the mode of the record's source (text/clean.h). The reader is a pseudonym of six
 * hex digits, from the hash that the record holds: the same reader, the same pseudonym, no name.
 * Does not choose fields.
 */
#pragma once
#include "ingest/record.h"
#include "text/prompt.h"

/* The text of one field, cleaned, replacing what out held; empty when the report has none. */
MUST_CHECK bool field_text(const struct record *r, enum prompt_field field, struct sbuf *out,
                           struct err *e);
/* The same for the impression. */
MUST_CHECK bool field_text_target(const struct record *r, struct sbuf *out, struct err *e);
