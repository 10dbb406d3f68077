/*
 * base/hash - digests and checksums.
 *
 * sha256 names things (manifests, configuration, files); xxh3-128 checks blocks and finds
 * duplicates; crc32c ends journal records; xxh64 serves tables. All little-endian, all independent
 * of the machine.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t buf[64];
};
void sha256_init(struct sha256 *s);
void sha256_put(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, uint8_t out[32]);
void sha256_of(struct str s, uint8_t out[32]);
/* HMAC-SHA256 (RFC 2104). */
void sha256_hmac(struct str key, struct str msg, uint8_t out[32]);
/* The same for many messages: the key's own share is done once. It is as secret as the key. */
struct sha256_mac {
    struct sha256 inner, outer;
};
void sha256_mac_init(struct sha256_mac *m, struct str key);
void sha256_mac_of(const struct sha256_mac *m, struct str msg, uint8_t out[32]);
/* Digest of a whole file. */
MUST_CHECK bool sha256_file(const char *path, uint8_t out[32], struct err *e);
/* Digest of a secret kept in a file, blanks around it aside; 16 bytes to 4 KiB, else ERR_CONFIG. */
MUST_CHECK bool sha256_key_file(const char *path, uint8_t out[32], struct err *e);
/* Over the names and contents of a folder's files, sorted; folders in it, names that begin with a
 * dot and audit.jsonl (an export changes nothing) do not count. */
MUST_CHECK bool sha256_folder(const char *dir, uint8_t out[32], struct err *e);

struct hash128 {
    uint64_t lo, hi;
};
struct hash128 hash_xxh128(const void *p, size_t n);
uint64_t hash_xxh64(const void *p, size_t n, uint64_t seed);
uint32_t hash_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */

/* Tests: do without the processor's own SHA-256 and CRC instructions; both ways must agree. */
void hash_use_plain(bool on);
bool hash_is_plain(void);

/* Lower-case hexadecimal with NUL: out holds 2 n + 1. */
void hash_hex(const uint8_t *p, size_t n, char *out);
/* Exactly n bytes from 2 n hexadecimal digits. */
MUST_CHECK bool hash_unhex(struct str hex, uint8_t *out, size_t n, struct err *e);
