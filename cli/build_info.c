#include "cli/build_info.h"

const char *const build_info_version = RADMILL_VERSION;
const char *const build_info_commit = RADMILL_COMMIT;
const char *const build_info_compiler = RADMILL_COMPILER;
