/*
 * ingest/ids - patient and study ids as the records hold them: as they came (corpus.ids: keep), or
 * as keyed hashes (hash).
 *
 * A hash is HMAC-SHA256 of the kind and the raw id under the key of corpus.id_key_file, cut to 128
 * bits, in hexadecimal. The same patient has the same hash in every source of the corpus, and in
 * every corpus of the same key; without the key the raw id cannot be found by trying all numbers.
 * Splits, split lists, per-study rules and trials see the raw ids: they decide before this. What
 * needs raw ids afterwards (exports in the layouts of published scripts) is refused.
 */
#pragma once
#include "ingest/ingest.h"

struct ids {
    bool hashed;
    uint8_t key[32]; /* zeros with keep */
};
enum { IDS_TEXT = 33 };
enum ids_kind { IDS_PATIENT, IDS_STUDY };

/* A missing, short or needless key file is ERR_CONFIG. */
MUST_CHECK bool ids_open(const struct ingest_opts *o, struct ids *out, struct err *e);
/* raw itself with keep, and where it is empty; else text in buf. */
struct str ids_of(const struct ids *k, enum ids_kind kind, struct str raw, char buf[IDS_TEXT]);
/* "keep", or "hash" and 8 digits that tell keys apart. */
void ids_describe(const struct ids *k, char out[IDS_TEXT]);
