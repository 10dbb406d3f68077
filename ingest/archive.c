#include "ingest/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ingest/gunzip.h"

enum { READ_BLOCK = 64 << 10, RATIO_FROM = 64 << 20 };

/* ---- one zip entry */
static int reject_of(struct archive *a)
{
    const char *text = archive_error_string(a);

    /* libarchive has no codes for these; its texts have been stable since 3.0. */
    if (text && strstr(text, "CRC")) return REJECT_CRC;
    if (text && strstr(text, "ncrypt")) return REJECT_ENCRYPTED;
    if (text && strstr(text, "runcated")) return REJECT_TRUNCATED;
    if (text && strstr(text, "nsupported")) return REJECT_METHOD;
    if (text && strstr(text, "size")) return REJECT_SIZE;
    return REJECT_CORRUPT;
}

static bool read_zip_data(struct archive *a, uint64_t max_bytes, struct sbuf *out, int *why,
                          struct err *e)
{
    char buf[READ_BLOCK];
    la_ssize_t n;

    while ((n = archive_read_data(a, buf, sizeof buf)) > 0) {
        if (out->n + (uint64_t)n > max_bytes) {
            *why = REJECT_SIZE;
            return true;
        }
        if (!sbuf_put(out, (struct str){buf, (size_t)n}, e)) return false;
    }
    if (n < 0) *why = reject_of(a);
    return true;
}

bool archive_zip_entry(struct str window, uint64_t max_bytes, struct sbuf *out, int *why,
                       struct err *e)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    bool ok = false;
    int rc;

    sbuf_clear(out);
    *why = -1;
    if (!a || archive_read_support_format_zip_streamable(a) != ARCHIVE_OK) {
        err_set(e, ERR_LIB, "libarchive cannot start");
        goto out;
    }
    if (archive_read_open_memory(a, window.p, window.n) != ARCHIVE_OK) {
        *why = REJECT_CORRUPT;
    } else {
        rc = archive_read_next_header(a, &entry);
        if (rc == ARCHIVE_EOF || rc <= ARCHIVE_FAILED)
            *why = REJECT_LOCAL;
        else if (archive_entry_is_encrypted(entry))
            *why = REJECT_ENCRYPTED;
        else if (!read_zip_data(a, max_bytes, out, why, e))
            goto out;
    }
    ok = true;
out:
    if (a) archive_read_free(a);
    return ok;
}

/* ---- a stream of members */
struct archive_stream {
    struct archive *a;
    struct fs_map map;
    struct gunzip *gz;     /* what libarchive reads, if the file is gzip */
    struct err gz_failure; /* why it stopped */
    struct archive_limits limits;
    uint64_t members, bytes;
};

static bool enable(struct archive *a)
{
    return archive_read_support_filter_bzip2(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_xz(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_zstd(a) >= ARCHIVE_WARN &&
           archive_read_support_format_tar(a) == ARCHIVE_OK &&
           archive_read_support_format_7zip(a) == ARCHIVE_OK &&
           archive_read_support_format_zip_seekable(a) == ARCHIVE_OK &&
           archive_read_support_format_empty(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

/* libarchive's text names formats and offsets, sometimes a member behind a colon: cut there. */
static bool lib_error(struct archive_stream *s, struct err *e)
{
    const char *text = archive_error_string(s->a), *cure;
    enum err_code code = archive_errno(s->a) == ENOMEM ? ERR_NOMEM : ERR_FORMAT;
    int n = text ? (int)strcspn(text, ":") : 0;

    if (s->gz_failure.code) {
        code = s->gz_failure.code;
        text = s->gz_failure.text;
        n = (int)strlen(text);
    }
    cure =
        code == ERR_FORMAT ? "; copy the file again and compare its sha256 with the sender's" : "";
    return err_set(e, code, "cannot unpack member %llu after %llu bytes: %.*s%s",
                   (unsigned long long)s->members, (unsigned long long)s->bytes, n ? n : 7,
                   n ? text : "damaged", cure);
}

static la_ssize_t read_gzip(struct archive *a, void *ctx, const void **out)
{
    struct archive_stream *s = ctx;
    struct str bytes;

    if (!gunzip_next(s->gz, &bytes, &s->gz_failure)) {
        archive_set_error(a, EIO, "gzip");
        return ARCHIVE_FATAL;
    }
    *out = bytes.p;
    return (la_ssize_t)bytes.n;
}

static int open_bytes(struct archive_stream *s)
{
    if (s->gz) return archive_read_open2(s->a, s, NULL, read_gzip, NULL, NULL);
    return archive_read_open_memory(s->a, s->map.n ? (const void *)s->map.p : "", s->map.n);
}

bool archive_stream_open(const char *path, const struct archive_limits *limits,
                         struct archive_stream **out, struct err *e)
{
    struct archive_stream *s = mem_calloc(1, sizeof *s, e);
    struct str bytes;
    bool ok = false;

    *out = NULL;
    if (!s) return false;
    s->limits = *limits;
    if (!fs_map_open(path, &s->map, e)) goto out;
    bytes = (struct str){(const char *)s->map.p, s->map.n};
    if (gunzip_is(bytes) && !gunzip_open(bytes, &s->gz, e)) goto out;
    s->a = archive_read_new();
    if (!s->a || !enable(s->a)) {
        err_set(e, ERR_LIB, "libarchive cannot start");
        goto out;
    }
    if (open_bytes(s) != ARCHIVE_OK) {
        lib_error(s, e);
        goto out;
    }
    ok = true;
out:
    if (ok)
        *out = s;
    else
        archive_stream_close(s);
    return ok;
}

bool archive_stream_next(struct archive_stream *s, struct archive_member *out, bool *more,
                         struct err *e)
{
    struct archive_entry *entry;

    for (;;) {
        int rc = archive_read_next_header(s->a, &entry);
        const char *name;
        *more = rc != ARCHIVE_EOF;
        if (!*more) return true;
        if (rc < ARCHIVE_WARN) return lib_error(s, e);
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        if (s->members++ == s->limits.max_members)
            return err_set(e, ERR_LIMIT, "more than max_entries = %llu members",
                           (unsigned long long)s->limits.max_members);
        out->alone = archive_format(s->a) == ARCHIVE_FORMAT_RAW;
        name = out->alone ? "" : archive_entry_pathname(entry);
        if (!name) name = archive_entry_pathname_utf8(entry);
        out->named = name != NULL;
        out->name = str_of(name);
        return true;
    }
}

bool archive_stream_read(struct archive_stream *s, char *buf, size_t cap, size_t *got,
                         struct err *e)
{
    la_ssize_t n = archive_read_data(s->a, buf, cap);

    *got = 0;
    if (n < 0) return lib_error(s, e);
    s->bytes += (uint64_t)n;
    if (s->bytes > s->limits.max_total)
        return err_set(e, ERR_LIMIT, "unpacks to more than max_total = %llu bytes",
                       (unsigned long long)s->limits.max_total);
    if (s->bytes > RATIO_FROM && s->bytes / s->limits.max_ratio > s->map.n)
        return err_set(e, ERR_LIMIT, "unpacks to more than max_ratio = %u times its size",
                       s->limits.max_ratio);
    *got = (size_t)n;
    return true;
}

void archive_stream_close(struct archive_stream *s)
{
    if (!s) return;
    if (s->a) archive_read_free(s->a);
    gunzip_close(s->gz);
    fs_map_close(&s->map);
    mem_free(s);
}

struct version_pair archive_library_version(void)
{
    struct version_pair v;
    const int n = archive_version_number();
    snprintf(v.built, sizeof v.built, "%s", ARCHIVE_VERSION_ONLY_STRING);
    snprintf(v.found, sizeof v.found, "%d.%d.%d", n / 1000000, n / 1000 % 1000, n % 1000);
    return v;
}
