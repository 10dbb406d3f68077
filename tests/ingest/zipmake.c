#include "ingest/zipmake.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void zipmake_init(struct zipmake *z)
{
    memset(z, 0, sizeof *z);
}

void zipmake_free(struct zipmake *z)
{
    free(z->p);
    memset(z, 0, sizeof *z);
}

void zipmake_raw(struct zipmake *z, const void *p, size_t n)
{
    if (z->n + n > z->cap) {
        z->cap = (z->n + n) * 2;
        z->p = realloc(z->p, z->cap);
        if (!z->p) abort();
    }
    memcpy(z->p + z->n, p, n);
    z->n += n;
}

static void u16(struct zipmake *z, uint16_t v)
{
    zipmake_raw(z, &v, 2);
}

static void u32(struct zipmake *z, uint32_t v)
{
    zipmake_raw(z, &v, 4);
}

static void u64(struct zipmake *z, uint64_t v)
{
    zipmake_raw(z, &v, 8);
}

static uint8_t *pack(const void *p, size_t n, bool stored, size_t *packed)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    uint8_t *out = malloc(n + 1024);
    if (!out || !c) abort();
    if (stored) {
        memcpy(out, p, n);
        *packed = n;
    } else {
        *packed = libdeflate_deflate_compress(c, p, n, out, n + 1024);
        if (*packed == 0) abort();
    }
    libdeflate_free_compressor(c);
    return out;
}

void zipmake_add(struct zipmake *z, const char *name, const void *p, size_t n,
                 struct zipmake_how how)
{
    size_t packed, i = z->entries;
    uint8_t *data = pack(p, n, how.stored, &packed);
    uint32_t crc = libdeflate_crc32(0, p, n);
    uint16_t flags =
        (uint16_t)((how.descriptor ? 8 : 0) | (how.encrypted ? 1 : 0) | (how.utf8 ? 1 << 11 : 0));
    uint16_t method = how.method ? how.method : how.stored ? 0 : 8;
    uint64_t offset = z->n;

    if (how.bad_crc) crc ^= 1;
    if (how.damaged) data[0] |= 0x06; /* a block of the type that there is not */
    u32(z, 0x04034b50);
    u16(z, 20);
    u16(z, flags);
    u16(z, method);
    u32(z, 0x4c213a21);
    u32(z, how.descriptor ? 0 : crc);
    u32(z, how.descriptor ? 0 : (uint32_t)packed);
    u32(z, how.descriptor ? 0 : how.claim ? how.claim : (uint32_t)n);
    u16(z, (uint16_t)strlen(name));
    u16(z, 0);
    zipmake_raw(z, name, strlen(name));
    zipmake_raw(z, data, packed);
    free(data);
    if (how.descriptor) {
        u32(z, 0x08074b50);
        u32(z, crc);
        u32(z, (uint32_t)packed);
        u32(z, (uint32_t)n);
    }
    if (how.unlisted) return;
    if (i == sizeof z->v / sizeof *z->v) abort();
    snprintf(z->v[i].name, sizeof z->v[i].name, "%s", name);
    z->v[i].offset = offset;
    z->v[i].packed = how.cut ? packed + (1 << 20) : packed;
    z->v[i].size = how.claim ? how.claim : n;
    z->v[i].crc = crc;
    z->v[i].method = method;
    z->v[i].flags = flags;
    z->entries++;
}

static void central(struct zipmake *z, size_t i, bool zip64)
{
    u32(z, 0x02014b50);
    u16(z, 20);
    u16(z, 20);
    u16(z, z->v[i].flags);
    u16(z, z->v[i].method);
    u32(z, 0x4c213a21);
    u32(z, z->v[i].crc);
    u32(z, zip64 ? UINT32_MAX : (uint32_t)z->v[i].packed);
    u32(z, zip64 ? UINT32_MAX : (uint32_t)z->v[i].size);
    u16(z, (uint16_t)strlen(z->v[i].name));
    u16(z, zip64 ? 5 + 28 : 0);
    u16(z, 0);
    u16(z, 0);
    u16(z, 0);
    u32(z, 0);
    u32(z, zip64 ? UINT32_MAX : (uint32_t)z->v[i].offset);
    zipmake_raw(z, z->v[i].name, strlen(z->v[i].name));
    if (!zip64) return;
    u16(z, 0x5455); /* another extra field in front */
    u16(z, 1);
    zipmake_raw(z, "x", 1);
    u16(z, 1);
    u16(z, 24);
    u64(z, z->v[i].size);
    u64(z, z->v[i].packed);
    u64(z, z->v[i].offset);
}

void zipmake_end(struct zipmake *z, bool zip64, const char *comment)
{
    uint64_t begin = z->n, size, end;
    for (size_t i = 0; i < z->entries; i++)
        central(z, i, zip64);
    size = z->n - begin;
    end = z->n;
    if (zip64) {
        u32(z, 0x06064b50);
        u64(z, 44);
        u16(z, 45);
        u16(z, 45);
        u32(z, 0);
        u32(z, 0);
        u64(z, z->entries);
        u64(z, z->entries);
        u64(z, size);
        u64(z, begin);
        u32(z, 0x07064b50);
        u32(z, 0);
        u64(z, end);
        u32(z, 1);
    }
    u32(z, 0x06054b50);
    u16(z, 0);
    u16(z, 0);
    u16(z, zip64 ? UINT16_MAX : (uint16_t)z->entries);
    u16(z, zip64 ? UINT16_MAX : (uint16_t)z->entries);
    u32(z, zip64 ? UINT32_MAX : (uint32_t)size);
    u32(z, zip64 ? UINT32_MAX : (uint32_t)begin);
    u16(z, comment ? (uint16_t)strlen(comment) : 0);
    if (comment) zipmake_raw(z, comment, strlen(comment));
}
