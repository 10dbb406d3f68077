/*
 * cli/build_info - what this program was made from: version, commit, compiler, library versions at
 * build time beside those found at run time. Filled in by cli/CMakeLists.txt.
 */
#pragma once

extern const char *const build_info_version;  /* "0.1.0" */
extern const char *const build_info_commit;   /* "9cc31a2", "-dirty" behind it, or "unknown" */
extern const char *const build_info_compiler; /* "gcc 12.2.0, -O2 -g" */
extern const char *const build_info_mpi;      /* "Open MPI 4.1.4" or "none" */

struct build_info_lib {
    const char *name;
    const char *built; /* from headers */
    const char *found; /* from the loaded library */
};
/* Ends with name NULL. The table is filled on the first call. */
const struct build_info_lib *build_info_libs(void);
