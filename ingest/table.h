/*
 * ingest/table - a table with a header row: which column holds what, and a row as report input.
 *
 * Columns named in the configuration are taken as they are; for the other roles usual names are
 * tried (letter case, blanks and punctuation aside). A table must have a whole-report column or
 * findings or impression.
 */
#pragma once
#include "ingest/csv_read.h"
#include "ingest/report.h"

enum { TABLE_MAX_CELLS = 4096 };

struct table_map;
/* A column that is asked for and not there, or no text at all, is ERR_CONFIG. */
MUST_CHECK bool table_map_open(const struct ingest_columns *asked, const struct str *header,
                               size_t n, struct table_map **out, struct err *e);
/* Views into the row, or into m until the next row. Entry is left as it is. */
MUST_CHECK bool table_row(struct table_map *m, const struct csv_row *row, struct report_input *out,
                          struct err *e);
void table_map_close(struct table_map *m);
