/*
 * ingest/export - records back out in the published forms.
 *
 * Reads only record blocks, the split list, and nothing of the archive.
 */
#pragma once
#include "ingest/ingest.h"

/* The JSON that the MEDIQA-2021 Task 3 script writes for this split: one line, rows in the order of
 * the source's split list, keys study_id, subject_id, findings, impression, background, ASCII, no
 * newline at the end. For a source with sections: mediqa the bytes are the script's. Where the
 * script would stop (a listed report is missing, or lacks findings or impression) the row is left
 * out and counted in the log. A split without rows is ERR_CONFIG that names those there are. */
MUST_CHECK bool export_mediqa(const char *corpus_dir, const struct ingest_source_opts *source,
                              const char *split, const char *out_path, struct err *e);
