/*
 * ingest/mitlcp - the per-study overrides of MIT-LCP/mimic-cxr create_section_files.
 *
 * For named studies the script takes the last section of another name, or a slice of the text in
 * code points, as the report's conclusion; such studies have no findings. The list is a CSV (study,
 * rule, section, start, end; rule last_section or index) that the site supplies.
 */
#pragma once
#include "ingest/sections.h"

struct mitlcp_rules;
MUST_CHECK bool mitlcp_rules_open(const char *path, struct mitlcp_rules **out, struct err *e);
void mitlcp_rules_digest(const struct mitlcp_rules *r, uint8_t out[32]);
/* If the study is named: findings are cleared and the impression replaced. */
bool mitlcp_override(const struct mitlcp_rules *r, struct str study, struct str text,
                     const struct section_list *l, struct record_span spans[SEC_COUNT]);
void mitlcp_rules_close(struct mitlcp_rules *r);
/* Universal newlines: CR LF and CR become LF, appended to out. */
MUST_CHECK bool mitlcp_newlines(struct str text, struct sbuf *out, struct err *e);
