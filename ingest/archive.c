#include "ingest/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
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
    locale_t locale, outer; /* names are UTF-8 in and out, whatever the job's locale is */
    struct fs_map map;
    struct str memory; /* all of a file that is mapped or was taken in */
    struct sbuf taken;
    struct bytes in;    /* else: where the packed bytes come from */
    struct gunzip *gz;  /* what `a` reads, if the file is gzip; */
    struct archive *un; /* if it is packed by another filter, */
    bool un_over;       /* to its end */
    struct err failure; /* why the bytes stopped */
    struct archive_limits limits;
    uint64_t members, bytes, packed;
    char buf[READ_BLOCK], packed_buf[READ_BLOCK];
};

static bool enable_filters(struct archive *a)
{
    return archive_read_support_filter_bzip2(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_xz(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_zstd(a) >= ARCHIVE_WARN &&
           archive_read_support_format_empty(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

static bool enable_formats(struct archive *a)
{
    return archive_read_support_format_tar(a) == ARCHIVE_OK &&
           archive_read_support_format_7zip(a) == ARCHIVE_OK &&
           archive_read_support_format_zip_seekable(a) == ARCHIVE_OK &&
           archive_read_support_format_empty(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

/* libarchive's text names formats and offsets, sometimes a member behind a colon: cut there. */
static bool set_error(struct err *e, struct archive *a)
{
    const char *text = archive_error_string(a);
    int n = text ? (int)strcspn(text, ":") : 0;

    return err_set(e, archive_errno(a) == ENOMEM ? ERR_NOMEM : ERR_FORMAT, "%.*s", n ? n : 7,
                   n ? text : "damaged");
}

static bool lib_error(struct archive_stream *s, struct err *e)
{
    struct err why = s->failure;

    if (why.code == ERR_NONE) set_error(&why, s->a);
    return err_set(e, why.code, "cannot unpack member %llu after %llu bytes: %s%s",
                   (unsigned long long)s->members, (unsigned long long)s->bytes, why.text,
                   why.code == ERR_FORMAT
                       ? "; copy the file again and compare its sha256 with the sender's"
                       : "");
}

static bool too_much(const struct archive_stream *s, struct err *e)
{
    return err_set(e, ERR_LIMIT, "unpacks to more than max_total = %llu bytes",
                   (unsigned long long)s->limits.max_total);
}

/* ---- packed bytes in */
static bool read_packed(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct archive_stream *s = ctx;

    if (!s->in.read(s->in.ctx, buf, cap, got, e)) return false;
    s->packed += *got;
    return true;
}

static la_ssize_t feed_packed(struct archive *a, void *ctx, const void **out)
{
    struct archive_stream *s = ctx;
    size_t n;

    if (!read_packed(s, s->packed_buf, sizeof s->packed_buf, &n, &s->failure)) {
        archive_set_error(a, EIO, "input");
        return ARCHIVE_FATAL;
    }
    *out = s->packed_buf;
    return (la_ssize_t)n;
}

static bool start_filters(struct archive_stream *s, struct err *e)
{
    struct archive_entry *entry;
    int rc;

    s->un = archive_read_new();
    if (!s->un || !enable_filters(s->un)) return err_set(e, ERR_LIB, "libarchive cannot start");
    if (s->memory.p)
        rc = archive_read_open_memory(s->un, s->memory.p, s->memory.n);
    else
        rc = archive_read_open2(s->un, s, NULL, feed_packed, NULL, NULL);
    if (rc == ARCHIVE_OK) rc = archive_read_next_header(s->un, &entry);
    s->un_over = rc == ARCHIVE_EOF; /* nothing was packed */
    if (rc == ARCHIVE_OK || rc == ARCHIVE_EOF) return true;
    if (s->failure.code == ERR_NONE) set_error(&s->failure, s->un);
    return lib_error(s, e);
}

/* Unpacked bytes; none at the end. */
static bool unpack(struct archive_stream *s, struct str *out, struct err *e)
{
    la_ssize_t n;

    if (s->gz) return gunzip_next(s->gz, out, e);
    *out = (struct str){s->buf, 0};
    if (!s->un) return read_packed(s, s->buf, sizeof s->buf, &out->n, e);
    n = s->un_over ? 0 : archive_read_data(s->un, s->buf, sizeof s->buf);
    if (n < 0) return e->code == ERR_NONE ? set_error(e, s->un) : false;
    s->un_over = n == 0;
    out->n = (size_t)n;
    return true;
}

static la_ssize_t feed(struct archive *a, void *ctx, const void **out)
{
    struct archive_stream *s = ctx;
    struct str bytes;

    if (!unpack(s, &bytes, &s->failure)) {
        archive_set_error(a, EIO, "input");
        return ARCHIVE_FATAL;
    }
    *out = bytes.p;
    return (la_ssize_t)bytes.n;
}

/* An archive may end before its packing does, and the packing's checksum stands at its end: read
 * what is left. Without it a damaged bzip2 block that unpacks to more than a buffer went unnoticed.
 */
static bool drain(struct archive_stream *s, struct err *e)
{
    struct str left;

    do {
        if (!unpack(s, &left, &s->failure)) return lib_error(s, e);
        s->bytes += left.n;
        if (s->bytes > s->limits.max_total) return too_much(s, e);
    } while (left.n > 0);
    return true;
}

/* First those that libarchive takes as filters. */
enum { FILTERS = 3 };
static const struct str magics[] = {
    STR_INIT("BZh"),
    STR_INIT("\xFD"
             "7zXZ\0"),
    STR_INIT("\x28\xB5\x2F\xFD"),
    STR_INIT("\x1f\x8b\x08"),
    STR_INIT("7z\xBC\xAF\x27\x1C"),
    STR_INIT("PK\x03\x04"),
    STR_INIT("PK\x05\x06"),
};

bool archive_is_packed(struct str name, struct str head)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if (str_starts(head, magics[i])) return true;
    }
    if (str_eq(str_sub(head, 257, 262), STR("ustar"))) return true;
    /* Old tars have no mark; a zip may have something in front. */
    return str_ends(name, STR(".tar")) || str_ends(name, STR(".zip"));
}

static bool is_filtered(struct str head)
{
    for (size_t i = 0; i < FILTERS; i++) {
        if (str_starts(head, magics[i])) return true;
    }
    return false;
}

static bool needs_to_seek(struct str head)
{
    return str_starts(head, STR("PK")) || str_starts(head, STR("7z"));
}

/* libarchive turns names into those of the thread's locale. */
static void enter(struct archive_stream *s)
{
    if (s->locale) s->outer = uselocale(s->locale);
}

static void leave(struct archive_stream *s)
{
    if (s->locale) (void)uselocale(s->outer);
}

static bool start(struct archive_stream *s, struct err *e)
{
    int rc;

    s->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    s->a = archive_read_new();
    if (!s->a || !enable_formats(s->a)) return err_set(e, ERR_LIB, "libarchive cannot start");
    enter(s);
    if (s->memory.p && !s->gz && !s->un)
        rc = archive_read_open_memory(s->a, s->memory.p, s->memory.n);
    else
        rc = archive_read_open2(s->a, s, NULL, feed, NULL, NULL);
    leave(s);
    return rc == ARCHIVE_OK || lib_error(s, e);
}

bool archive_stream_open(const char *path, const struct archive_limits *limits,
                         struct archive_stream **out, struct err *e)
{
    struct archive_stream *s = mem_calloc(1, sizeof *s, e);
    bool ok = false;

    *out = NULL;
    if (!s) return false;
    s->limits = *limits;
    if (!fs_map_open(path, &s->map, e)) goto out;
    s->memory = (struct str){s->map.n ? (const char *)s->map.p : "", s->map.n};
    s->packed = s->map.n;
    if (gunzip_is(s->memory)) {
        if (!gunzip_open(bytes_of(&s->memory), &s->gz, e)) goto out;
    } else if (is_filtered(s->memory)) {
        if (!start_filters(s, e)) goto out;
    }
    ok = start(s, e);
out:
    if (ok)
        *out = s;
    else
        archive_stream_close(s);
    return ok;
}

bool archive_stream_open_bytes(struct bytes in, struct str head,
                               const struct archive_limits *limits, struct archive_stream **out,
                               struct err *e)
{
    struct archive_stream *s = mem_calloc(1, sizeof *s, e);
    bool ok = false, over = false;

    *out = NULL;
    if (!s) return false;
    s->limits = *limits;
    s->in = in;
    if (gunzip_is(head)) {
        if (!gunzip_open((struct bytes){read_packed, s}, &s->gz, e)) goto out;
    } else if (is_filtered(head)) {
        if (!start_filters(s, e)) goto out;
    } else if (needs_to_seek(head)) {
        sbuf_init(&s->taken, ARCHIVE_MAX_NESTED);
        if (!bytes_all((struct bytes){read_packed, s}, ARCHIVE_MAX_NESTED - 1, &s->taken, &over, e))
            goto out;
        if (over) {
            err_set(e, ERR_LIMIT, "an archive in it has more than %d bytes: unpack the outer one",
                    ARCHIVE_MAX_NESTED);
            goto out;
        }
        s->memory = sbuf_str(&s->taken);
    }
    ok = start(s, e);
out:
    if (ok)
        *out = s;
    else
        archive_stream_close(s);
    return ok;
}

/* ---- members out */
static void name_of(struct archive_stream *s, struct archive_entry *entry,
                    struct archive_member *out)
{
    const char *name;

    out->alone = archive_format(s->a) == ARCHIVE_FORMAT_RAW;
    name = out->alone ? "" : archive_entry_pathname(entry);
    if (!name) name = archive_entry_pathname_utf8(entry);
    out->named = name != NULL;
    out->name = str_of(name);
    out->encrypted = archive_entry_is_encrypted(entry) != 0;
}

bool archive_stream_next(struct archive_stream *s, struct archive_member *out, bool *more,
                         struct err *e)
{
    struct archive_entry *entry;

    for (;;) {
        int rc;
        enter(s);
        rc = archive_read_next_header(s->a, &entry);
        if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) name_of(s, entry, out);
        leave(s);
        *more = rc != ARCHIVE_EOF;
        if (!*more) return (!s->gz && !s->un) || drain(s, e);
        if (rc < ARCHIVE_WARN) return lib_error(s, e);
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        if (s->members++ == s->limits.max_members)
            return err_set(e, ERR_LIMIT, "more than max_entries = %llu members",
                           (unsigned long long)s->limits.max_members);
        return true;
    }
}

static bool read_member(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    return archive_stream_read(ctx, buf, cap, got, e);
}

struct bytes archive_stream_bytes(struct archive_stream *s)
{
    return (struct bytes){read_member, s};
}

bool archive_stream_read(struct archive_stream *s, char *buf, size_t cap, size_t *got,
                         struct err *e)
{
    la_ssize_t n = archive_read_data(s->a, buf, cap);

    *got = 0;
    if (n < 0) return lib_error(s, e);
    s->bytes += (uint64_t)n;
    if (s->bytes > s->limits.max_total) return too_much(s, e);
    if (s->bytes > RATIO_FROM && s->bytes / s->limits.max_ratio > s->packed)
        return err_set(e, ERR_LIMIT, "unpacks to more than max_ratio = %u times its size",
                       s->limits.max_ratio);
    *got = (size_t)n;
    return true;
}

void archive_stream_close(struct archive_stream *s)
{
    if (!s) return;
    if (s->a) archive_read_free(s->a);
    if (s->un) archive_read_free(s->un);
    if (s->locale) freelocale(s->locale);
    gunzip_close(s->gz);
    sbuf_free(&s->taken);
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
