/*
 * ingest/mitlcp - the per-study overrides of MIT-LCP/mimic-cxr create_section_files.
 *
 * For named studies the script takes the last section of another name, or a slice of the text in
 * code points, as the report's conclusion; such studies have no findings. The script's own list is
 * built in (ingest/mitlcp_table.c); another one is a CSV: study, rule (last_section or slice),
 * section, start, end.
 */
#pragma once
#include "ingest/sections.h"

struct mitlcp_rules;
/* path NULL: the published list. */
MUST_CHECK bool mitlcp_rules_open(const char *path, struct mitlcp_rules **out, struct err *e);
void mitlcp_rules_digest(const struct mitlcp_rules *r, uint8_t out[32]);
/* If the study is named: its conclusion as the script writes it, borrowed from text, and true. */
bool mitlcp_conclusion(const struct mitlcp_rules *r, struct str study, struct str text,
                       const struct section_list *l, struct str *out);
/* If the study is named: findings are cleared, the impression replaced, and true. */
bool mitlcp_override(const struct mitlcp_rules *r, struct str study, struct str text,
                     const struct section_list *l, struct record_span spans[SEC_COUNT]);
void mitlcp_rules_close(struct mitlcp_rules *r);
/* Universal newlines: CR LF and CR become LF, appended to out. */
MUST_CHECK bool mitlcp_newlines(struct str text, struct sbuf *out, struct err *e);
