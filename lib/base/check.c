#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *func, const char *what)
{
    /* Not through the log: its lock may be held by the thread that failed. */
    dprintf(2, "radmill: bug at %s:%d in %s: %s\n", file, line, func, what);
    abort();
}
