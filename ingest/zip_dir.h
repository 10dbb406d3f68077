/*
 * ingest/zip_dir - the central directory of a zip file: which entries there are, where, how large.
 *
 * The main idea: the walk over the directory's bytes is the truth, not the counts in the end record
 * (a 16-bit count field is full above 65,535 entries). Zip64 is read, data in front of the archive
 * is allowed, entries that the directory does not list do not exist. Nothing is unpacked here, and
 * a name is data: it is never used as a path.
 *
 * Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16, 4.5.3.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct zip_entry {
    uint64_t local_offset; /* of the local header, from the start of the file */
    uint64_t packed_bytes; /* as the directory says */
    uint64_t size_bytes;
    uint64_t name_at; /* of the name's bytes, from the start of the file */
    uint32_t crc;
    uint16_t method, flags, name_bytes;
};
/* Entries hold no pointers: one rank may read a directory and send it to the others. */
struct zip_dir {
    struct str file; /* the mapped file */
    struct zip_entry *v;
    size_t n, cap;
    uint64_t data_end;   /* where the directory begins: no entry's data reach beyond */
    uint64_t size_bytes; /* sum over the entries */
};

enum { ZIP_STORED = 0, ZIP_DEFLATED = 8, ZIP_FLAG_ENCRYPTED = 1u << 0 };

/* Little-endian fields. */
uint16_t zip_u16(const char *p);
uint32_t zip_u32(const char *p);

/* Walk the directory of the mapped file. A file without a readable directory is ERR_FORMAT that
 * says what to do; more than max_entries is ERR_LIMIT. */
MUST_CHECK bool zip_dir_read(struct str file, uint64_t max_entries, struct zip_dir *out,
                             struct err *e);
/* Raw bytes, borrowed from the file. */
static inline struct str zip_dir_name(const struct zip_dir *d, size_t i)
{
    return (struct str){d->file.p + d->v[i].name_at, d->v[i].name_bytes};
}
void zip_dir_free(struct zip_dir *d);
