#include "ingest/zip_dir.h"

#include "base/mem.h"

enum {
    END_BYTES = 22, /* end of central directory record */
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    CENTRAL_BYTES = 46,
    MAX_COMMENT = 65535,
};
#define SIG_END       0x06054b50u
#define SIG_END64     0x06064b50u
#define SIG_LOCATOR64 0x07064b50u
#define SIG_CENTRAL   0x02014b50u
#define CURE          "copy the file again and compare its sha256 with the sender's"

struct span {
    uint64_t begin, end; /* of the directory in the file */
    uint64_t shift;      /* bytes in front of the archive; all offsets are relative to it */
};

uint16_t zip_u16(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t zip_u32(const char *p)
{
    return zip_u16(p) | (uint32_t)zip_u16(p + 2) << 16;
}

static uint64_t u64_at(const char *p)
{
    return zip_u32(p) | (uint64_t)zip_u32(p + 4) << 32;
}

/* Does the directory that ends at `end` and has this size begin with an entry? */
static bool plausible(struct str file, uint64_t end, uint64_t size, uint64_t offset,
                      struct span *out)
{
    if (size > end || offset > end - size) return false;
    out->begin = end - size;
    out->end = end;
    out->shift = out->begin - offset;
    if (size == 0) return true;
    return size >= CENTRAL_BYTES && zip_u32(file.p + out->begin) == SIG_CENTRAL;
}

/* The zip64 end record, where the locator in front of the end record at `end` points to. */
static bool locate64(struct str file, uint64_t end, struct span *out)
{
    const char *locator = file.p + end - LOCATOR64_BYTES;
    uint64_t at = u64_at(locator + 8);
    uint64_t limit = end - LOCATOR64_BYTES;

    if (limit < END64_BYTES) return false;
    if (at > limit - END64_BYTES || zip_u32(file.p + at) != SIG_END64)
        at = limit - END64_BYTES; /* shifted by data in front: it is usually just here */
    if (zip_u32(file.p + at) != SIG_END64) return false;
    return plausible(file, at, u64_at(file.p + at + 40), u64_at(file.p + at + 48), out);
}

static bool locate_at(struct str file, uint64_t end, struct span *out)
{
    const char *p = file.p + end;

    if (zip_u32(p) != SIG_END || zip_u16(p + 20) > file.n - end - END_BYTES) return false;
    if (end >= LOCATOR64_BYTES && zip_u32(p - LOCATOR64_BYTES) == SIG_LOCATOR64)
        return locate64(file, end, out);
    return zip_u16(p + 4) == zip_u16(p + 6) &&
           plausible(file, end, zip_u32(p + 12), zip_u32(p + 16), out);
}

static bool locate(struct str file, struct span *out, struct err *e)
{
    if (file.n >= END_BYTES) {
        uint64_t last = file.n - END_BYTES;
        uint64_t first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
        for (uint64_t at = last + 1; at-- > first;) {
            if (file.p[at] == 'P' && locate_at(file, at, out)) return true;
        }
    }
    return err_set(e, ERR_FORMAT,
                   "no zip directory at the end of %zu bytes: truncated, damaged or no zip; " CURE,
                   file.n);
}

/* Sizes and offset that do not fit 32 bits stand in the zip64 extra field, in this order. */
static bool read_extra64(struct str extra, struct zip_entry *z)
{
    bool want_size = z->size_bytes == UINT32_MAX, want_packed = z->packed_bytes == UINT32_MAX,
         want_offset = z->local_offset == UINT32_MAX;

    while (extra.n >= 4) {
        size_t n = zip_u16(extra.p + 2), at = 0;
        struct str body = str_sub(extra, 4, 4 + n);
        if (body.n < n) return false;
        if (zip_u16(extra.p) == 1) {
            if (n < 8 * ((size_t)want_size + want_packed + want_offset)) return false;
            if (want_size) z->size_bytes = u64_at(body.p + at), at += 8;
            if (want_packed) z->packed_bytes = u64_at(body.p + at), at += 8;
            if (want_offset) z->local_offset = u64_at(body.p + at);
            return true;
        }
        extra = str_sub(extra, 4 + n, extra.n);
    }
    /* Without the field 0xffffffff is what it says: too large for any file we take. */
    return true;
}

/* One entry at *at; moves *at behind it. */
static bool read_entry(struct str file, const struct span *dir, uint64_t *at, struct zip_entry *z)
{
    const char *p = file.p + *at;
    uint64_t left = dir->end - *at, n;

    if (left < CENTRAL_BYTES || zip_u32(p) != SIG_CENTRAL) return false;
    n = (uint64_t)CENTRAL_BYTES + zip_u16(p + 28) + zip_u16(p + 30) + zip_u16(p + 32);
    if (left < n) return false;
    *z = (struct zip_entry){
        .flags = zip_u16(p + 8),
        .method = zip_u16(p + 10),
        .crc = zip_u32(p + 16),
        .packed_bytes = zip_u32(p + 20),
        .size_bytes = zip_u32(p + 24),
        .local_offset = zip_u32(p + 42),
        .name_at = *at + CENTRAL_BYTES,
        .name_bytes = zip_u16(p + 28),
    };
    if (!read_extra64((struct str){p + CENTRAL_BYTES + z->name_bytes, zip_u16(p + 30)}, z))
        return false;
    /* An offset beyond the directory stays so: reading the entry will reject it. */
    if (z->local_offset <= UINT64_MAX - dir->shift) z->local_offset += dir->shift;
    *at += n;
    return true;
}

bool zip_dir_read(struct str file, uint64_t max_entries, struct zip_dir *out, struct err *e)
{
    struct span dir = {0};
    bool ok = false;

    memset(out, 0, sizeof *out);
    if (!locate(file, &dir, e)) return false;
    out->file = file;
    out->data_end = dir.begin;
    for (uint64_t at = dir.begin; at < dir.end; out->n++) {
        uint64_t here = at;
        if (out->n == max_entries) {
            err_set(e, ERR_LIMIT, "more than max_entries = %llu entries",
                    (unsigned long long)max_entries);
            goto out;
        }
        if (!mem_grow((void **)&out->v, &out->cap, out->n + 1, sizeof *out->v, e)) goto out;
        if (!read_entry(file, &dir, &at, &out->v[out->n])) {
            err_set(e, ERR_FORMAT, "the zip directory is damaged at byte %llu, entry %zu; " CURE,
                    (unsigned long long)here, out->n);
            goto out;
        }
        if (out->v[out->n].size_bytes > UINT64_MAX - out->size_bytes) {
            err_set(e, ERR_FORMAT, "the sizes of entries up to %zu pass 2^64", out->n);
            goto out;
        }
        out->size_bytes += out->v[out->n].size_bytes;
    }
    ok = true;
out:
    if (!ok) zip_dir_free(out);
    return ok;
}

void zip_dir_free(struct zip_dir *d)
{
    mem_free(d->v);
    memset(d, 0, sizeof *d);
}
