/*
 * base/jsonl - a file of one JSON object a line: walk it with limits, errors that name the line.
 *
 * Blank lines are skipped, a byte-order mark in front is dropped, '\r' before a line's end is
 * JSON's white space. Nothing is kept: what `fn` wants to keep it copies.
 */
#pragma once
#include "base/json.h"

/* Object `index` (from 0, blank lines not counted); obj is borrowed until fn returns. */
typedef bool (*jsonl_fn)(void *ctx, size_t index, const json_t *obj, struct err *e);

/* Lines that are not blank: what to allocate for before jsonl_each. */
size_t jsonl_count(struct str text);
/* Every object to fn, in order. `name` stands for the file in errors: "name: line 7: ...". A longer
 * line than max_line bytes is ERR_LIMIT, what is no object ERR_FORMAT. */
MUST_CHECK bool jsonl_each(struct str text, const char *name, size_t max_line, jsonl_fn fn,
                           void *ctx, struct err *e);
