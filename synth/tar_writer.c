#include "synth/tar_writer.h"

#include <libdeflate.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

enum { LEVEL = 6, BLOCK = 512, FILE_MAX_BYTES = 1 << 30, END_BLOCKS = 2 };
#define FIXED_TIME 1577880000ll /* 2020-01-01T12:00:00Z */

struct tar_writer {
    struct fs_writer *file;
    struct libdeflate_compressor *gzip;
    struct sbuf plain; /* of one member */
    void *packed;
    size_t packed_cap;
};

struct header { /* POSIX.1-1988 ustar, 512 bytes */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[6], version[2], owner[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

bool tar_writer_open(const char *path, struct tar_writer **out, struct err *e)
{
    struct tar_writer *t = mem_calloc(1, sizeof *t, e);

    *out = NULL;
    if (!t) return false;
    sbuf_init(&t->plain, (size_t)FILE_MAX_BYTES + BLOCK * 2);
    t->gzip = libdeflate_alloc_compressor(LEVEL);
    if (!t->gzip) {
        err_set(e, ERR_NOMEM, "no memory for the compressor");
        goto fail;
    }
    if (!fs_writer_open(path, &t->file, e)) goto fail;
    *out = t;
    return true;
fail:
    tar_writer_close(t);
    return false;
}

static bool put_header(struct tar_writer *t, const char *name, size_t n, struct err *e)
{
    struct header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    unsigned sum = 0;
    const unsigned char *p = (const unsigned char *)&h;

    _Static_assert(sizeof h == BLOCK, "ustar header");
    CHECK(strlen(name) < sizeof h.name);
    snprintf(h.name, sizeof h.name, "%s", name);
    snprintf(h.mode, sizeof h.mode, "%07o", 0644u);
    snprintf(h.uid, sizeof h.uid, "%07o", 0u);
    snprintf(h.gid, sizeof h.gid, "%07o", 0u);
    snprintf(h.size, sizeof h.size, "%011zo", n);
    snprintf(h.mtime, sizeof h.mtime, "%011llo", FIXED_TIME);
    memset(h.checksum, ' ', sizeof h.checksum); /* counted as blanks */
    for (size_t i = 0; i < sizeof h; i++)
        sum += p[i];
    snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
    return sbuf_put(&t->plain, (struct str){(const char *)&h, sizeof h}, e);
}

static bool put_zeros(struct tar_writer *t, size_t n, struct err *e)
{
    static const char zeros[BLOCK];
    return sbuf_put(&t->plain, (struct str){zeros, n}, e);
}

/* Pack what is in `plain` as one gzip member. */
static bool put_member(struct tar_writer *t, struct err *e)
{
    size_t bound = libdeflate_gzip_compress_bound(t->gzip, t->plain.n), n;

    if (!mem_grow(&t->packed, &t->packed_cap, bound, 1, e)) return false;
    n = libdeflate_gzip_compress(t->gzip, t->plain.p, t->plain.n, t->packed, t->packed_cap);
    CHECK(n > 0); /* the bound is large enough */
    sbuf_clear(&t->plain);
    return fs_writer_put(t->file, t->packed, n, e);
}

bool tar_writer_put(struct tar_writer *t, const char *name, struct str data, struct err *e)
{
    if (data.n > FILE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%s: more than %d bytes for one tar entry", name,
                       FILE_MAX_BYTES);
    return put_header(t, name, data.n, e) && sbuf_put(&t->plain, data, e) &&
           put_zeros(t, (BLOCK - data.n % BLOCK) % BLOCK, e) && put_member(t, e);
}

bool tar_writer_commit(struct tar_writer *t, uint64_t *bytes, struct err *e)
{
    for (int i = 0; i < END_BLOCKS; i++)
        if (!put_zeros(t, BLOCK, e)) return false;
    if (!put_member(t, e)) return false;
    *bytes = fs_writer_bytes(t->file);
    return fs_writer_commit(t->file, e);
}

void tar_writer_close(struct tar_writer *t)
{
    if (!t) return;
    fs_writer_close(t->file);
    libdeflate_free_compressor(t->gzip);
    mem_free(t->packed);
    sbuf_free(&t->plain);
    mem_free(t);
}
