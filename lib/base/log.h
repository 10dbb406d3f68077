/*
 * base/log - one event a line: `level event key=value ...`.
 *
 * Rank 0 logs to the terminal (stderr), every rank to its own file once log_open_file was called.
 * Values with blanks are quoted. The format string holds the key=value part. Never report text,
 * patient, study or accession numbers: a report is named by source, entry number and byte offset.
 * Thread-safe.
 */
#pragma once
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Terminal output from this level on; rank other than 0 stays silent below LOG_ERROR. */
void log_setup(enum log_level terminal, int rank);
/* Also append everything from LOG_DEBUG on to this file. */
MUST_CHECK bool log_open_file(const char *path, struct err *e);
void log_close(void);
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
