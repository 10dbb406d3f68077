/*
 * stats/stat_csv - the report's numbers as CSV files (RFC 4180, UTF-8, a header row, \n).
 */
#pragma once
#include "stats/stat_gather.h"

/* Write all tables into dir; *files counts them. */
MUST_CHECK bool stat_csv_write(const char *dir, const struct stat_result *r, uint64_t *files,
                               struct err *e);
