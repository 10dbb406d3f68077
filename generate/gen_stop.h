/*
 * generate/gen_stop - where an answer's text ends, besides at its end mark: at a stop string, or
 * where a model goes on to write the report's next section.
 *
 * A header is what begins a line behind the answer's first words and looks like "FINDINGS:" - three
 * or more characters up to a colon, of capital letters, spaces and / & - alone, at most 40.
 */
#pragma once
#include "base/opt.h"
#include "base/str.h"

struct gen_stop {
    struct opt_strs strings;
    bool at_header;
};
/* Bytes of text that count: all, or up to the first stop. */
size_t gen_stop_at(const struct gen_stop *s, struct str text);
/* May it ever be less than all? */
bool gen_stop_any(const struct gen_stop *s);
