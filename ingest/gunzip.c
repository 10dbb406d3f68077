#include "ingest/gunzip.h"

#include <zlib.h>

#include "base/mem.h"

enum { OUT_BYTES = 64 << 10, IN_BYTES = 64 << 10, GZIP_WINDOW = 15 + 16 };

struct gunzip {
    z_stream z;
    struct bytes in;
    bool started, between; /* between members, where the file may end */
    uint64_t members, packed;
    char buf[OUT_BYTES], in_buf[IN_BYTES];
};

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

bool gunzip_is(struct str file)
{
    return str_starts(file, STR("\x1f\x8b\x08"));
}

bool gunzip_open(struct bytes in, struct gunzip **out, struct err *e)
{
    struct gunzip *g = mem_calloc(1, sizeof *g, e);

    *out = NULL;
    if (!g) return false;
    g->in = in;
    g->between = true;
    g->z.zalloc = take;
    g->z.zfree = give;
    if (inflateInit2(&g->z, GZIP_WINDOW) != Z_OK) {
        gunzip_close(g);
        return err_set(e, ERR_NOMEM, "zlib cannot start");
    }
    g->started = true;
    *out = g;
    return true;
}

static bool damaged(const struct gunzip *g, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "gzip: %s at packed byte %llu", what,
                   (unsigned long long)(g->packed - g->z.avail_in));
}

static bool feed(struct gunzip *g, struct err *e)
{
    size_t n;

    if (g->z.avail_in > 0) return true;
    if (!g->in.read(g->in.ctx, g->in_buf, IN_BYTES, &n, e)) return false;
    g->z.next_in = (Bytef *)g->in_buf;
    g->z.avail_in = (uInt)n;
    g->packed += n;
    return true;
}

bool gunzip_next(struct gunzip *g, struct str *out, struct err *e)
{
    *out = (struct str){g->buf, 0};
    g->z.next_out = (Bytef *)g->buf;
    g->z.avail_out = OUT_BYTES;
    while (g->z.avail_out > 0) {
        int rc;
        if (!feed(g, e)) return false;
        if (g->z.avail_in == 0) {
            if (!g->between) return damaged(g, "the file ends too soon", e);
            break;
        }
        /* Zeros behind a member are padding of a tape or a disk block. */
        if (g->between && g->members > 0 && *g->z.next_in == 0) break;
        if (g->between && inflateReset(&g->z) != Z_OK) return damaged(g, "cannot go on", e);
        g->between = false;
        rc = inflate(&g->z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR) return err_set(e, ERR_NOMEM, "zlib has no memory");
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return damaged(g, g->z.msg ? g->z.msg : "damaged", e);
        g->between = rc == Z_STREAM_END;
        g->members += g->between;
    }
    out->n = OUT_BYTES - g->z.avail_out;
    return true;
}

void gunzip_close(struct gunzip *g)
{
    if (!g) return;
    if (g->started) (void)inflateEnd(&g->z);
    mem_free(g);
}
