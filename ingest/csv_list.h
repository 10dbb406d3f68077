/*
 * ingest/csv_list - a list that a user supplies as a CSV with a header: split lists, code maps,
 * overrides, patients to forget.
 *
 * Columns are found by name, in any order, further ones are ignored. The file may be packed (gz,
 * bz2, xz, zst). Unlike a dump a list must be whole: a row that is not is an error with its line.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { CSV_LIST_MAX_COLUMNS = 8 };
struct csv_list_column {
    const char *name, *other; /* other: a second name for it, or NULL */
    bool optional;            /* without it the cell is empty */
};
/* cells[i] belongs to columns[i], without white space at its ends; borrowed for the call. */
typedef bool (*csv_list_fn)(void *ctx, const struct str *cells, uint64_t line, struct err *e);

/* Every row in order. What fn refuses is wrapped with the line, everything with the path. */
MUST_CHECK bool csv_list_read(const char *path, const struct csv_list_column *columns, size_t n,
                              csv_list_fn fn, void *ctx, struct err *e);
