/*
 * tests/ingest/zipmake - zip files made byte by byte, sound ones and every kind of broken one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zipmake {
    uint8_t *p; /* malloc'ed */
    size_t n, cap;
    struct {
        char name[256];
        uint64_t offset, packed, size;
        uint32_t crc;
        uint16_t method, flags;
    } v[9000];
    size_t entries;
};
struct zipmake_how {
    bool stored;     /* else deflated */
    bool descriptor; /* flag bit 3: sizes behind the data, zeros in front */
    bool unlisted;   /* left out of the directory: a stale entry */
    bool bad_crc;
    bool encrypted;
    bool utf8;       /* flag bit 11: the name is UTF-8 */
    bool damaged;    /* the packed data are no deflate stream */
    bool cut;        /* the directory says it is longer than the file */
    uint32_t claim;  /* size in the directory, 0: the true one */
    uint16_t method; /* 0: as it is */
};
void zipmake_init(struct zipmake *z);
void zipmake_raw(struct zipmake *z, const void *p, size_t n); /* bytes between entries */
void zipmake_add(struct zipmake *z, const char *name, const void *p, size_t n,
                 struct zipmake_how how);
/* Directory and end. zip64: as Python writes it for large files. comment may be NULL. */
void zipmake_end(struct zipmake *z, bool zip64, const char *comment);
void zipmake_free(struct zipmake *z);
