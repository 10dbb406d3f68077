/*
 * serve/history - what was asked and answered, kept only where serve.history names a folder.
 *
 *     HISTORY/2026-11-21.jsonl   0600; a line an impression
 *     {"time", "model", "adapter", "findings", "clinical", "impression"}
 *
 * This is report text: the folder is the hospital's to protect and to empty, and radmill says in
 * its audit log that it was filled. Thread-safe.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct history;
MUST_CHECK bool history_open(const char *dir, struct history **out, struct err *e);
void history_close(struct history *h);
struct history_entry {
    const char *model;   /* digest of the base's weights */
    const char *adapter; /* name and digest */
    const char *adapter_digest;
    struct str findings, clinical, impression;
};
MUST_CHECK bool history_add(struct history *h, const struct history_entry *v, struct err *e);
