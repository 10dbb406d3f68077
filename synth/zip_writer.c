#include "synth/zip_writer.h"

#include <libdeflate.h>

#include "base/fs.h"
#include "base/mem.h"

enum {
    LEVEL = 6,
    DOS_DATE = (2020 - 1980) << 9 | 1 << 5 | 1,
    ENTRY_MAX_BYTES = 64 << 20,
    METHOD_STORE = 0,
    METHOD_DEFLATE = 8,
    VERSION_PLAIN = 20,
    VERSION_ZIP64 = 45,
    MADE_BY_UNIX = 3 << 8,
};
#define DIRECTORY_MAX_BYTES ((size_t)64 << 30)
#define MODE_FILE           (0100644u << 16)
#define MODE_FOLDER         (0040755u << 16 | 0x10)

struct zip_writer {
    struct fs_writer *file;
    struct libdeflate_compressor *deflate;
    struct sbuf directory;
    void *packed;
    size_t packed_cap;
    uint64_t entries;
};

struct entry {
    const char *name;
    struct str data; /* as stored */
    uint32_t raw_bytes, crc;
    uint16_t method;
    uint64_t offset;
};

/* Little-endian fields, appended one after the other. */
static bool put_int(struct sbuf *b, uint64_t v, size_t bytes, struct err *e)
{
    for (size_t i = 0; i < bytes; i++)
        if (!sbuf_putc(b, (char)(v >> (8 * i) & 0xff), e)) return false;
    return true;
}

struct field {
    uint64_t value;
    size_t bytes;
};

static bool put_fields(struct sbuf *b, const struct field *f, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!put_int(b, f[i].value, f[i].bytes, e)) return false;
    return true;
}
#define PUT_FIELDS(b, f, e) put_fields((b), (f), sizeof(f) / sizeof *(f), (e))

bool zip_writer_open(const char *path, struct zip_writer **out, struct err *e)
{
    struct zip_writer *z = mem_calloc(1, sizeof *z, e);

    *out = NULL;
    if (!z) return false;
    sbuf_init(&z->directory, DIRECTORY_MAX_BYTES);
    z->deflate = libdeflate_alloc_compressor(LEVEL);
    if (!z->deflate) {
        err_set(e, ERR_NOMEM, "no memory for the compressor");
        goto fail;
    }
    if (!fs_writer_open(path, &z->file, e)) goto fail;
    *out = z;
    return true;
fail:
    zip_writer_close(z);
    return false;
}

/* Deflate data where that makes it smaller. */
static bool pack(struct zip_writer *z, struct str data, struct entry *x, struct err *e)
{
    size_t bound = libdeflate_deflate_compress_bound(z->deflate, data.n), n = 0;

    x->data = data;
    x->method = METHOD_STORE;
    if (data.n == 0) return true;
    if (!mem_grow(&z->packed, &z->packed_cap, bound, 1, e)) return false;
    n = libdeflate_deflate_compress(z->deflate, data.p, data.n, z->packed, z->packed_cap);
    if (n == 0 || n >= data.n) return true;
    x->data = (struct str){z->packed, n};
    x->method = METHOD_DEFLATE;
    return true;
}

static bool put_local(struct zip_writer *z, const struct entry *x, struct err *e)
{
    const struct field f[] = {
        {0x04034b50, 4},
        {VERSION_PLAIN, 2},
        {0, 2},
        {x->method, 2},
        {0, 2},
        {DOS_DATE, 2},
        {x->crc, 4},
        {x->data.n, 4},
        {x->raw_bytes, 4},
        {strlen(x->name), 2},
        {0, 2},
    };
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 2048);
    ok = PUT_FIELDS(&b, f, e) && sbuf_put(&b, str_of(x->name), e) &&
         fs_writer_put(z->file, b.p, b.n, e) && fs_writer_put(z->file, x->data.p, x->data.n, e);
    sbuf_free(&b);
    return ok;
}

static bool put_central(struct zip_writer *z, const struct entry *x, struct err *e)
{
    bool far = x->offset >= UINT32_MAX, folder = x->name[strlen(x->name) - 1] == '/';
    const struct field f[] = {
        {0x02014b50, 4},
        {MADE_BY_UNIX | (far ? VERSION_ZIP64 : VERSION_PLAIN), 2},
        {far ? VERSION_ZIP64 : VERSION_PLAIN, 2},
        {0, 2},
        {x->method, 2},
        {0, 2},
        {DOS_DATE, 2},
        {x->crc, 4},
        {x->data.n, 4},
        {x->raw_bytes, 4},
        {strlen(x->name), 2},
        {far ? 12 : 0, 2}, /* extra: zip64 offset */
        {0, 2},
        {0, 2},
        {0, 2},
        {folder ? MODE_FOLDER : MODE_FILE, 4},
        {far ? UINT32_MAX : x->offset, 4},
    };
    const struct field extra[] = {{1, 2}, {8, 2}, {x->offset, 8}};

    if (!PUT_FIELDS(&z->directory, f, e)) return false;
    if (!sbuf_put(&z->directory, str_of(x->name), e)) return false;
    return !far || PUT_FIELDS(&z->directory, extra, e);
}

bool zip_writer_put(struct zip_writer *z, const char *name, struct str data, struct err *e)
{
    struct entry x = {.name = name, .offset = fs_writer_bytes(z->file)};

    CHECK(name[0] && strlen(name) <= 1024);
    if (data.n > ENTRY_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "zip entry %llu holds more than %d bytes",
                       (unsigned long long)z->entries, ENTRY_MAX_BYTES);
    x.raw_bytes = (uint32_t)data.n;
    x.crc = libdeflate_crc32(0, data.p, data.n);
    if (!pack(z, data, &x, e) || !put_local(z, &x, e) || !put_central(z, &x, e)) return false;
    z->entries++;
    return true;
}

/* The end records: the zip64 pair first where a field of the old one is too small. */
static bool put_end(struct zip_writer *z, struct err *e)
{
    uint64_t at = fs_writer_bytes(z->file), end = at + z->directory.n;
    bool big = z->entries >= UINT16_MAX || end >= UINT32_MAX;
    const struct field end64[] = {
        {0x06064b50, 4},
        {44, 8},
        {MADE_BY_UNIX | VERSION_ZIP64, 2},
        {VERSION_ZIP64, 2},
        {0, 4},
        {0, 4},
        {z->entries, 8},
        {z->entries, 8},
        {z->directory.n, 8},
        {at, 8},
    };
    const struct field locator[] = {{0x07064b50, 4}, {0, 4}, {end, 8}, {1, 4}};
    const struct field last[] = {
        {0x06054b50, 4},
        {0, 2},
        {0, 2},
        {big ? UINT16_MAX : z->entries, 2},
        {big ? UINT16_MAX : z->entries, 2},
        {big ? UINT32_MAX : z->directory.n, 4},
        {big ? UINT32_MAX : at, 4},
        {0, 2},
    };

    if (big && (!PUT_FIELDS(&z->directory, end64, e) || !PUT_FIELDS(&z->directory, locator, e)))
        return false;
    return PUT_FIELDS(&z->directory, last, e) &&
           fs_writer_put(z->file, z->directory.p, z->directory.n, e);
}

bool zip_writer_commit(struct zip_writer *z, uint64_t *bytes, struct err *e)
{
    if (!put_end(z, e)) return false;
    *bytes = fs_writer_bytes(z->file);
    return fs_writer_commit(z->file, e);
}

void zip_writer_close(struct zip_writer *z)
{
    if (!z) return;
    fs_writer_close(z->file);
    libdeflate_free_compressor(z->deflate);
    mem_free(z->packed);
    sbuf_free(&z->directory);
    mem_free(z);
}
