/*
 * ingest/cell - a table's cell as report text: what exports do to text on its way, undone.
 *
 * What is not UTF-8 is Windows-1252. Line breaks that were written as marks come back: "<br>",
 * Excel's "_x000D_", and "\n" or "\r\n" spelled out, in cells that have no real line break. A cell
 * of exactly 32,767 characters was cut by Excel. Everything else stays as it is.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* The text, borrowed from raw if nothing is to be done, else from buf, to which it is appended.
 * Adds RECORD_REPAIRED_UTF8 and RECORD_TRUNCATED to *flags. */
MUST_CHECK bool cell_text(struct str raw, struct sbuf *buf, struct str *out, uint32_t *flags,
                          struct err *e);
