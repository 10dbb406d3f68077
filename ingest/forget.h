/*
 * ingest/forget - patients who are to be forgotten, for good.
 *
 *     corpus.dir/forgotten.list    "ids keep" or "ids hash KEY"; then a line a patient: digest of
 *                                  the id, what modalities and splits their reports were of;
 *                                  sorted; no id stands in it
 *
 * The main idea: the list is written first. From then on ingest takes no report of these patients,
 * whatever is run again or comes in a new dump, and reuses no block that holds one. Then the blocks
 * there are are written anew without their records, without a look at the archives; of what is left
 * it is found anew what repeats what (ingest/late), so a copy of a text whose first is gone takes
 * its place at once; the manifest follows, and the old blocks are removed. After a crash the same
 * call finishes the work.
 *
 * What it does not do: purge what was made of the records elsewhere (shards, pairs, reports; the
 * command does that), or take them out of an adapter, a backup, a copy, or the archive itself.
 */
#pragma once
#include "ingest/ids.h"
#include "ingest/record.h"

struct forget_list;
/* *out NULL when nobody was forgotten. A list made under another corpus.ids or key is ERR_CONFIG:
 * none of its patients would be known again. */
MUST_CHECK bool forget_list_open(const char *corpus_dir, const struct ids *ids,
                                 struct forget_list **out, struct err *e);
/* patient: as records hold it (ingest/ids). l may be NULL. */
bool forget_list_has(const struct forget_list *l, struct str patient);
void forget_list_close(struct forget_list *l);

struct forget_summary {
    uint64_t patients; /* given, each once */
    uint64_t known;    /* of them with records, now or when they were forgotten */
    uint64_t records, blocks;
    /* Of all reports of these patients, now and when they were forgotten. */
    bool modality[MOD_COUNT], split[SPLIT_COUNT];
};
/* ids: one patient a line; a first line "patient_id" (subject_id, patient, mrn) is a header; MIMIC
 * ids with or without their p. Takes the corpus' lock. Without a corpus only the list is made. */
MUST_CHECK bool forget_run(const struct ingest_opts *o, struct str ids, struct forget_summary *out,
                           struct err *e);
