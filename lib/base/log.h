/*
 * base/log - one event a line: `level event key=value ...`.
 *
 * Rank 0 logs to the terminal (stderr), every rank to its own file once log_open_file was called.
 * The format string holds the key=value part; a value that holds blanks, quotes or control
 * characters once formatted is quoted, with escapes, so that one event stays one line and one value
 * one value. File lines begin with the time, and the rank. Never report text, patient, study or
 * accession numbers: a report is named by source, entry number and byte offset. Thread-safe.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Terminal output from this level on; rank other than 0 stays silent below LOG_ERROR. */
void log_setup(enum log_level terminal, int rank);
/* The live line at the bottom of a terminal, painted over by the next one and kept below log lines;
 * NULL takes it away. Does nothing when stderr is not a terminal or the rank is not 0. */
void log_live(const char *line);
/* Is stderr a terminal that shows a live line? */
bool log_is_live(void);
/* Also append everything from LOG_DEBUG on to this file. */
MUST_CHECK bool log_open_file(const char *path, struct err *e);
void log_close(void);
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
