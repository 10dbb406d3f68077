/* zip_dir_read and zip_reader_get, both ways: no crash, nothing above the limits, and what the fast
 * path takes libarchive does not find different. */
#include <stdlib.h>

#include "base/mem.h"
#include "ingest/zip_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct zip_reader *r, const struct zip_dir *d)
{
    for (size_t i = 0; i < d->n && i < 50; i++) {
        struct err e = {0};
        struct str text;
        bool rejected;
        enum record_reject why = REJECT_COUNT;
        for (int slow = 0; slow < 2; slow++) {
            zip_reader_slow(r, slow);
            if (!zip_reader_get(r, i, &text, &rejected, &why, &e)) abort();
            if (rejected && why >= REJECT_COUNT) abort();
            if (!rejected && text.n > 4096) abort();
            if (!rejected && text.n != d->v[i].size_bytes) abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str file = {(const char *)data, size};
    struct zip_limits limits = {4096, 100};
    struct zip_dir d;
    struct zip_reader *r;
    struct err e = {0};
    if (zip_dir_read(file, 1000, &d, &e)) {
        if (!zip_reader_open(file, &d, limits, &r, &e)) abort();
        read_all(r, &d);
        zip_reader_close(r);
        zip_dir_free(&d);
    } else if (!e.text[0]) {
        abort();
    }
    if (mem_live_blocks() != 0) abort();
    return 0;
}
