/*
 * ingest/modality - which modality a report is of, and how we know.
 *
 * In this order, the first that answers wins: the site's own code map, a modality column, a
 * procedure code (CPT range), the words of the description, the report's examination and technique
 * sections, its first lines; then the source's default. Findings and comparison are never looked
 * at: they name other modalities. Words are whole words ("ct" is not in "structures"). Where the
 * words of one text contradict each other the rules abstain rather than guess.
 */
#pragma once
#include "ingest/record.h"

struct modality_map; /* the site's codes */

struct modality_input {
    struct str column, code, description, examination, technique, text;
    enum record_modality fallback; /* of the source; MOD_UNKNOWN: none */
};
struct modality_answer {
    enum record_modality code;
    enum record_origin origin;
};
/* map may be NULL. */
struct modality_answer modality_of(const struct modality_map *map, const struct modality_input *in);
/* By the words of one text; MOD_UNKNOWN: none, or too many. */
enum record_modality modality_by_words(struct str text);
/* By a CPT code; MOD_UNKNOWN: not one we know. */
enum record_modality modality_by_code(struct str code);

/* CSV with the columns code and modality. */
MUST_CHECK bool modality_map_open(const char *path, struct modality_map **out, struct err *e);
void modality_map_digest(const struct modality_map *m, uint8_t out[32]);
void modality_map_close(struct modality_map *m);
