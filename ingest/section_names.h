/*
 * ingest/section_names - what the header of a report section means.
 *
 * The published rules (MIT-LCP/mimic-cxr create_section_files and its copy in abachaa/MEDIQA2021),
 * in their order: a table of exact names, then names that contain one of five words, then view
 * headers ("CHEST, PA AND LATERAL"), which stand in front of findings. Names come lower-cased and
 * without white space at the ends.
 */
#pragma once
#include "base/str.h"

/* The published rules. The result is static or lower itself. */
struct str section_name_published(struct str lower);
/* Only the table of exact names. */
bool section_name_exact(struct str lower, struct str *out);
/* Does the name speak of a view of the chest? */
bool section_name_is_view(struct str lower);
