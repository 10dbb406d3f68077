/*
 * cli/build_info - what this program was made from; filled in by cli/CMakeLists.txt. Goes into the
 * provenance of every result.
 */
#pragma once

extern const char *const build_info_version;  /* "0.1.0" */
extern const char *const build_info_commit;   /* "9cc31a2", "-dirty" behind it, or "unknown" */
extern const char *const build_info_compiler; /* "gcc 12.2.0, -O2 -g" */
