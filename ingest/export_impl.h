/*
 * ingest/export_impl - the two halves of ingest/export; only export*.c include it.
 */
#pragma once
#include "ingest/export.h"

/* In the order of the split list. */
MUST_CHECK bool export_mediqa(const struct export_opts *o, struct export_counts *out,
                              struct err *e);
/* All others: in the order of the corpus. */
MUST_CHECK bool export_rows(const struct export_opts *o, struct export_counts *out, struct err *e);
