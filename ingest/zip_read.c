#include "ingest/zip_read.h"

#include <libdeflate.h>

#include "base/mem.h"
#include "ingest/archive.h"

enum {
    LOCAL_BYTES = 30,
    RATIO_FROM = 64 << 10, /* a small repetitive report may pack well */
    /* libarchive wants to see what follows the data descriptor. */
    WINDOW_EXTRA = 64,
};
#define SIG_LOCAL 0x04034b50u

struct zip_reader {
    struct str file;
    const struct zip_dir *dir;
    struct zip_limits limits;
    struct libdeflate_decompressor *inflate;
    char *fast; /* what libdeflate wrote */
    size_t fast_cap;
    struct sbuf buf; /* what libarchive gave */
    bool slow;
};

bool zip_reader_open(struct str file, const struct zip_dir *d, struct zip_limits limits,
                     struct zip_reader **out, struct err *e)
{
    struct zip_reader *r = mem_calloc(1, sizeof *r, e);

    *out = NULL;
    if (!r) return false;
    r->file = file;
    r->dir = d;
    r->limits = limits;
    sbuf_init(&r->buf, limits.max_entry + 1);
    r->inflate = libdeflate_alloc_decompressor();
    if (!r->inflate) {
        zip_reader_close(r);
        return err_set(e, ERR_NOMEM, "libdeflate cannot start");
    }
    *out = r;
    return true;
}

void zip_reader_slow(struct zip_reader *r, bool slow)
{
    r->slow = slow;
}

void zip_reader_close(struct zip_reader *r)
{
    if (!r) return;
    if (r->inflate) libdeflate_free_decompressor(r->inflate);
    sbuf_free(&r->buf);
    mem_free(r->fast);
    mem_free(r);
}

/* LZMA, XZ and PPMd may ask for gigabytes to unpack a few bytes; no archive of reports has them. */
static bool is_readable(uint16_t method)
{
    enum { DEFLATE64 = 9, BZIP2 = 12, ZSTD = 93 };

    return method == ZIP_STORED || method == ZIP_DEFLATED || method == DEFLATE64 ||
           method == BZIP2 || method == ZSTD;
}

/* Everything that can be said without unpacking. -1: nothing is wrong; *data is the packed bytes.
 */
static int examine(const struct zip_reader *r, size_t i, struct str *data)
{
    const struct zip_entry *z = &r->dir->v[i];
    const char *p = r->file.p + z->local_offset;
    uint64_t end = r->dir->data_end, start;

    if (z->flags & ZIP_FLAG_ENCRYPTED) return REJECT_ENCRYPTED;
    if (!is_readable(z->method)) return REJECT_METHOD;
    if (z->size_bytes > r->limits.max_entry) return REJECT_TOO_LARGE;
    if (z->size_bytes > RATIO_FROM && z->size_bytes / r->limits.max_ratio > z->packed_bytes)
        return REJECT_RATIO;
    if (z->local_offset > end || end - z->local_offset < LOCAL_BYTES) return REJECT_TRUNCATED;
    if (zip_u32(p) != SIG_LOCAL) return REJECT_LOCAL;
    if (zip_u16(p + 6) & ZIP_FLAG_ENCRYPTED) return REJECT_ENCRYPTED;
    start = z->local_offset + LOCAL_BYTES + zip_u16(p + 26) + zip_u16(p + 28);
    if (start > end || end - start < z->packed_bytes) return REJECT_TRUNCATED;
    if (!str_eq((struct str){p + LOCAL_BYTES, zip_u16(p + 26)}, zip_dir_name(r->dir, i)))
        return REJECT_LOCAL;
    if (zip_u16(p + 8) != z->method) return REJECT_LOCAL;
    *data = (struct str){r->file.p + start, z->packed_bytes};
    return -1;
}

static bool get_slow(struct zip_reader *r, const struct zip_entry *z, struct str data,
                     struct str *out, int *why, struct err *e)
{
    size_t behind = (size_t)(data.p + data.n - r->file.p);
    struct str window = str_sub(r->file, z->local_offset, behind + WINDOW_EXTRA);

    if (!archive_zip_entry(window, z->size_bytes, &r->buf, why, e)) return false;
    *out = sbuf_str(&r->buf);
    if (*why < 0 && out->n != z->size_bytes) *why = REJECT_SIZE;
    if (*why < 0 && libdeflate_crc32(0, out->p, out->n) != z->crc) *why = REJECT_CRC;
    return true;
}

static bool get_fast(struct zip_reader *r, const struct zip_entry *z, struct str data,
                     struct str *out, int *why, struct err *e)
{
    size_t got = 0;
    enum libdeflate_result result;

    if (z->method == ZIP_STORED) {
        *out = data;
        if (data.n != z->size_bytes) *why = REJECT_SIZE;
    } else {
        if (!mem_grow((void **)&r->fast, &r->fast_cap, z->size_bytes + 1, 1, e)) return false;
        result =
            libdeflate_deflate_decompress(r->inflate, data.p, data.n, r->fast, z->size_bytes, &got);
        if (result == LIBDEFLATE_BAD_DATA) return get_slow(r, z, data, out, why, e);
        if (result != LIBDEFLATE_SUCCESS || got != z->size_bytes) *why = REJECT_SIZE;
        *out = (struct str){r->fast, got};
    }
    if (*why < 0 && libdeflate_crc32(0, out->p, out->n) != z->crc) *why = REJECT_CRC;
    return true;
}

bool zip_reader_get(struct zip_reader *r, size_t i, struct str *out, bool *rejected,
                    enum record_reject *reason, struct err *e)
{
    const struct zip_entry *z = &r->dir->v[i];
    struct str data = {0};
    int why = examine(r, i, &data);

    *out = (struct str){"", 0};
    if (why < 0) {
        bool plain = z->method == ZIP_STORED || z->method == ZIP_DEFLATED;
        if (plain && !r->slow) {
            if (!get_fast(r, z, data, out, &why, e)) return false;
        } else if (!get_slow(r, z, data, out, &why, e)) {
            return false;
        }
    }
    *rejected = why >= 0;
    if (*rejected) *reason = (enum record_reject)why;
    return true;
}
