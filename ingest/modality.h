/*
 * ingest/modality - which modality a report is of, and how we know.
 *
 * In this order, the first that answers wins: the site's own code map, a modality column, a
 * procedure code (CPT range), the names of modalities in the description, the source's own, then
 * names in the report's examination and technique sections and first lines. Findings and comparison
 * are not asked for names: they name other examinations. Last, the whole text is asked for words
 * that only one kind of image is described by ("T2 weighted", "hypoechoic"); there the rules
 * abstain unless one modality has twice as many as any other. Words are whole words ("ct" is not
 * in "structures").
 */
#pragma once
#include "ingest/record.h"

struct modality_map; /* the site's codes */

struct modality_input {
    struct str column, code, description, examination, technique;
    struct str head; /* of the text, see modality_head */
    struct str text;
    enum record_modality fallback; /* of the source; MOD_UNKNOWN: none */
};
struct modality_answer {
    enum record_modality code;
    enum record_origin origin;
};
/* map may be NULL. */
struct modality_answer modality_of(const struct modality_map *map, const struct modality_input *in);
/* How much of a report's beginning may be asked: up to its findings, comparison or impression, at
 * most some lines. */
size_t modality_head(struct str text, const struct record_span section[SEC_COUNT]);
/* Where in the text the words stand that gave a record this label, in order, at most max of them;
 * *out has spans of the text. None where a column, a code or the source told. */
size_t modality_marks(const struct record *r, struct record_span *out, size_t max);
/* By the names of modalities in one text; MOD_UNKNOWN: none. */
enum record_modality modality_by_words(struct str text);
/* By the name of an examination: as by words, up to a comparison, and by the views it names. */
enum record_modality modality_by_name(struct str name);
/* By words for what is seen; MOD_UNKNOWN: too few, or of several kinds. */
enum record_modality modality_by_signs(struct str text);
/* By a CPT code; MOD_UNKNOWN: not one we know. */
enum record_modality modality_by_code(struct str code);

/* CSV with the columns code and modality. */
MUST_CHECK bool modality_map_open(const char *path, struct modality_map **out, struct err *e);
void modality_map_digest(const struct modality_map *m, uint8_t out[32]);
void modality_map_close(struct modality_map *m);
