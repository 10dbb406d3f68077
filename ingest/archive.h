/*
 * ingest/archive - libarchive behind limits: the only file that includes it.
 *
 * Two uses. archive_zip_entry decodes one zip entry that the fast path of ingest/zip_read does not
 * take. archive_stream walks what cannot be split: tar (plain, gzip, bzip2, xz, zstd), 7z, zip, and
 * single files packed by one of these; gzip goes through ingest/gunzip. Only these formats are
 * enabled. Nothing is ever written to disk; member names are data. Every return code is looked at:
 * libarchive reports a bad checksum after it has delivered the bytes, and reads a packed tar no
 * further than the tar's own end; so packed bytes are unpacked apart, to their end. An archive in
 * an archive is a stream over the outer one's bytes; zip and 7z, which need to seek, are taken into
 * memory first, at most ARCHIVE_MAX_NESTED bytes.
 */
#pragma once
#include "base/version.h"
#include "ingest/bytes.h"
#include "ingest/record.h"

struct version_pair archive_library_version(void);
/* Decode the single entry whose local header begins the window, at most max_bytes of it; out is
 * cleared first. *why: -1 or an enum record_reject. False: no memory. */
MUST_CHECK bool archive_zip_entry(struct str window, uint64_t max_bytes, struct sbuf *out, int *why,
                                  struct err *e);

enum { ARCHIVE_MAX_NESTED = 256 << 20 };
struct archive_limits {
    uint64_t max_total;   /* bytes unpacked from one file */
    uint64_t max_members; /* in one file */
    uint32_t max_ratio;   /* unpacked to packed, once 64 MiB came out */
};
struct archive_member {
    struct str name; /* borrowed until the next member */
    bool named;      /* false: it has no name that can be read */
    bool alone;      /* the file is no archive: this is all of it, without a name */
    bool encrypted;  /* its bytes cannot be read */
};
struct archive_stream;

/* Does a file of this name that begins so need unpacking? */
bool archive_is_packed(struct str name, struct str head);

/* limits are copied. */
MUST_CHECK bool archive_stream_open(const char *path, const struct archive_limits *limits,
                                    struct archive_stream **out, struct err *e);
/* `in` is borrowed until close; head is how it begins. */
MUST_CHECK bool archive_stream_open_bytes(struct bytes in, struct str head,
                                          const struct archive_limits *limits,
                                          struct archive_stream **out, struct err *e);
/* Next regular member; *more false at the end. */
MUST_CHECK bool archive_stream_next(struct archive_stream *s, struct archive_member *out,
                                    bool *more, struct err *e);
/* Up to cap bytes of the present member; *got 0 at its end. */
MUST_CHECK bool archive_stream_read(struct archive_stream *s, char *buf, size_t cap, size_t *got,
                                    struct err *e);
/* The same as a stream, of the member that is present when it is read. */
struct bytes archive_stream_bytes(struct archive_stream *s);
void archive_stream_close(struct archive_stream *s);
