/*
 * serve/base64 - bytes to base64 (RFC 4648, with padding): CSP hashes, embeddings.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

MUST_CHECK bool base64_put(struct sbuf *b, const void *p, size_t n, struct err *e);
