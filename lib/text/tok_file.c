/*
 * A tokenizer's file as bytes, unpacked when it is gzip.
 */
#include <zlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "text/tok_impl.h"

enum { OUT_BYTES = 1 << 16, GZIP_WINDOW = 15 + 16 };

static void *take(void *ctx, unsigned count, unsigned size)
{
    struct err e = {0};

    (void)ctx;
    return mem_calloc(count, size, &e);
}

static void give(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

/* All of one gzip member; what lies behind it is an error. */
static bool inflate_all(z_stream *z, struct sbuf *out, struct err *e)
{
    char buf[OUT_BYTES];

    for (;;) {
        z->next_out = (Bytef *)buf;
        z->avail_out = sizeof(buf);
        int rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR) return err_set(e, ERR_NOMEM, "out of memory in zlib");
        if (rc != Z_OK && rc != Z_STREAM_END)
            return err_set(e, ERR_FORMAT, "damaged gzip data (zlib says %d)", rc);
        if (!sbuf_put(out, (struct str){buf, sizeof(buf) - z->avail_out}, e)) return false;
        if (rc == Z_STREAM_END) break;
    }
    return z->avail_in == 0 ||
           err_set(e, ERR_FORMAT, "%u bytes lie behind the gzip data", z->avail_in);
}

bool tok_gunzip(struct str packed, struct sbuf *out, struct err *e)
{
    z_stream z = {.zalloc = take, .zfree = give};

    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) return err_set(e, ERR_NOMEM, "zlib cannot start");
    z.next_in = (Bytef *)packed.p; /* zlib only lacks the const */
    z.avail_in = (uInt)packed.n;
    bool ok = inflate_all(&z, out, e);
    inflateEnd(&z);
    return ok;
}

bool tok_file_read(const char *path, struct sbuf *out, struct err *e)
{
    struct arena a;
    struct str raw;
    bool ok;

    arena_init(&a, (size_t)TOK_MAX_FILE + (1 << 16));
    sbuf_clear(out);
    ok = fs_read_file(path, TOK_MAX_FILE, &a, &raw, e);
    if (ok)
        ok = str_starts(raw, STR("\x1F\x8B")) ? tok_gunzip(raw, out, e) || err_wrap(e, "%s", path)
                                              : sbuf_put(out, raw, e);
    arena_free(&a);
    return ok;
}
