/*
 * base/audit - what left a folder: exports, converts, report text shown. One JSON line each,
 * appended to DIR/audit.jsonl and flushed to disk before the thing itself happens; `radmill audit
 * DIR` prints it, `radmill audit CONFIG.yaml` those of all its folders.
 *
 *     {"time": "2026-11-21T03:04:05Z", "uid": 1000, "host": "node7", "action": "export",
 *      "what": "mediqa train"}
 *
 * `what` names formats, splits and counts, never report text or a patient, study or accession
 * number. Safe against other processes noting at the same time: a lock is held for the one line.
 */
#pragma once
#include "base/err.h"

/* Fails when the line is not on disk: then nothing may leave. */
MUST_CHECK bool audit_note(const char *dir, const char *action, const char *what, struct err *e);
