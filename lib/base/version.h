/*
 * base/version - which version of a library the build saw, and which one is loaded now. Each folder
 * that owns a library fills one of these for `radmill doctor`.
 */
#pragma once

struct version_pair {
    char built[64]; /* from the headers */
    char found[64]; /* from the loaded library */
};
