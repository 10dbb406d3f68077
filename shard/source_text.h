/*
 * shard/source_text - the text behind a sample: back through its provenance to the record it was
 * made from.
 *
 * Shards hold tokens and no fields: what a report said stands in the record blocks alone, so that
 * there is one place to remove it from. Who needs a field in plain words (the pairs file, for
 * baselines that read the findings) asks here; the text is the whole field, cleaned as for the
 * prompt, also where the prompt was cut or did not hold it.
 *
 * Every record is compared with the sample (entry and text hash): a corpus that was ingested anew
 * since the shards were made is refused, never mixed up. Keeps one record block in memory, so ask
 * in sample order. Not thread-safe. No MPI inside.
 */
#pragma once
#include "shard/sample.h"
#include "text/prompt.h"

struct source_text;
MUST_CHECK bool source_text_open(const char *corpus_dir, struct source_text **out, struct err *e);
void source_text_close(struct source_text *t);
/* One field of the sample's report into out, replacing what it held; empty when the report has
 * none. */
MUST_CHECK bool source_text_get(struct source_text *t, const struct sample *s,
                                enum prompt_field field, struct sbuf *out, struct err *e);
/* The whole impression, cleaned as for the target (not cut where the target was). */
MUST_CHECK bool source_text_target(struct source_text *t, const struct sample *s, struct sbuf *out,
                                   struct err *e);
