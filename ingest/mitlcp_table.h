/*
 * ingest/mitlcp_table - the 54 studies for which MIT-LCP/mimic-cxr create_section_files has a rule of
 * its own: facts of the script (custom_mimic_cxr_rules), kept as data.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct mitlcp_rule {
    struct str study;    /* digits */
    struct str section;  /* the last one of this name is the conclusion; empty: a slice */
    uint64_t begin, end; /* of the text, in code points */
};
extern const struct mitlcp_rule mitlcp_published[];
extern const size_t mitlcp_published_count;
