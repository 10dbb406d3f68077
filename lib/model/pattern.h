/*
 * model/pattern - which modules a name or regular expression means, as PEFT matches them.
 *
 * A module's name is its path in the model: model.layers.3.self_attn.q_proj. A plain name means the
 * modules whose path is it or ends in a dot and it; text with any of ^$*+?()[]{}|\ is a regular
 * expression (PCRE2, close to Python's) that must match a whole path (PATTERN_TARGET), or a path
 * from its start or from behind a dot to its end (PATTERN_KEY: the keys of rank_pattern and
 * alpha_pattern, where PEFT takes plain names for expressions, too).
 *
 * A match gives up, with an error, after 1,000,000 steps: patterns come from adapters of strangers.
 */
#pragma once
#include "base/err.h"

enum pattern_kind { PATTERN_TARGET, PATTERN_KEY };
struct pattern;
/* Errors show the text: it is configuration. At most 1,000 bytes. */
MUST_CHECK bool pattern_open(const char *text, enum pattern_kind kind, struct pattern **out,
                             struct err *e);
void pattern_close(struct pattern *p);
MUST_CHECK bool pattern_matches(const struct pattern *p, const char *path, bool *out,
                                struct err *e);
