/* archive_stream over any bytes, as they come out of another archive: it ends within its limits,
 * says why if it fails, and leaks nothing. */
#include <stdlib.h>

#include "base/mem.h"
#include "ingest/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct archive_limits limits = {1 << 20, 50, 1000};
    struct str bytes = {(const char *)data, size}, head = str_sub(bytes, 0, BYTES_HEAD);
    struct archive_stream *s = NULL;
    struct archive_member m;
    struct err e = {0};
    bool more = true, ok = archive_stream_open_bytes(bytes_of(&bytes), head, &limits, &s, &e);
    size_t got, total = 0;
    char buf[4096];

    (void)archive_is_packed(STR("x"), head);
    while (ok && (ok = archive_stream_next(s, &m, &more, &e)) && more) {
        for (got = 1; ok && got > 0; total += got)
            ok = archive_stream_read(s, buf, sizeof buf, &got, &e);
    }
    if (total > (1 << 20) + sizeof buf || (!ok && !e.text[0])) abort();
    archive_stream_close(s);
    if (mem_live_blocks() != 0) abort();
    return 0;
}
