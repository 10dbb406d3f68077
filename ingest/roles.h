/*
 * ingest/roles - what a column or a key holds, by its name; and a report out of cells by role.
 *
 * Tables (format_csv) and JSON lines (format_jsonl) share it. Names in the configuration are taken
 * as they are; for the other roles the usual names are tried, letter case and punctuation aside.
 */
#pragma once
#include "ingest/report.h"

enum { ROLE_MAX_JOINED = 8 };

/* Position of the name among the usual ones of the role, or -1. */
int role_usual(enum ingest_role role, struct str name);
/* Usual name i of the role, NULL behind the last. */
const char *role_name(enum ingest_role role, size_t i);
/* Letter case, blanks, "_", "-", ".", "#" and "$" aside. */
bool role_same_name(struct str a, struct str b);

/* Text of a report with its addendum needs a place: joined is cleared and used if there is one.
 * Entry and offset are left as they are. */
MUST_CHECK bool role_report(const struct str cell[ROLE_COUNT], struct sbuf *joined,
                            struct report_input *out, struct err *e);
