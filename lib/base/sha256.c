/* SHA-256 (FIPS 180-4) of base/hash, with the processor's own instructions where it has them. */
#include <stdatomic.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

static const uint32_t round_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t load_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void blocks_plain(uint32_t h[8], const uint8_t *p, size_t count)
{
    uint32_t w[64], v[8];
    for (; count > 0; count--, p += 64) {
        for (int i = 0; i < 16; i++)
            w[i] = load_be(p + 4 * (size_t)i);
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
            uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
            uint32_t t1 = v[7] + s1 + choice + round_k[i] + w[i];
            uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
            uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t1;
            v[0] = t1 + s0 + majority;
        }
        for (int i = 0; i < 8; i++)
            h[i] += v[i];
    }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static bool has_sha_ni(void)
{
    unsigned a, b, c, d; /* __builtin_cpu_supports learnt "sha" only in later compilers */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) &&
           __builtin_cpu_supports("sse4.1");
}

/* The state lives in two registers, ABEF and CDGH, as sha256rnds2 wants it. */
__attribute__((target("sha,sse4.1"))) static void blocks_ni(uint32_t h[8], const uint8_t *p,
                                                            size_t count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; count > 0; count--, p += 64) {
        __m128i w[4], abef_in = abef, cdgh_in = cdgh;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * (size_t)i)),
                                    big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) { /* four rounds a turn; w is a ring of four groups */
            __m128i now = w[i & 3];
            __m128i k = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(round_k + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            if (i >= 12) continue;
            __m128i last = w[(i + 3) & 3];
            __m128i next = _mm_sha256msg1_epu32(now, w[(i + 1) & 3]);
            next = _mm_add_epi32(next, _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
            w[i & 3] = _mm_sha256msg2_epu32(next, last);
        }
        abef = _mm_add_epi32(abef, abef_in);
        cdgh = _mm_add_epi32(cdgh, cdgh_in);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void blocks(uint32_t h[8], const uint8_t *p, size_t count)
{
#if defined(__x86_64__)
    static atomic_int ni = -1; /* every thread computes the same value */
    int use = atomic_load_explicit(&ni, memory_order_relaxed);
    if (use < 0) {
        use = has_sha_ni();
        atomic_store_explicit(&ni, use, memory_order_relaxed);
    }
    if (use && !hash_is_plain()) {
        blocks_ni(h, p, count);
        return;
    }
#endif
    blocks_plain(h, p, count);
}

void sha256_init(struct sha256 *s)
{
    *s = (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                               0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_put(struct sha256 *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t have = s->bytes % 64;
    s->bytes += n;
    if (have > 0 && n >= 64 - have) {
        memcpy(s->buf + have, p, 64 - have);
        blocks(s->h, s->buf, 1);
        p += 64 - have;
        n -= 64 - have;
        have = 0;
    }
    if (n >= 64) {
        blocks(s->h, p, n / 64);
        p += n / 64 * 64;
        n %= 64;
    }
    if (n > 0) memcpy(s->buf + have, p, n);
}

void sha256_end(struct sha256 *s, uint8_t out[32])
{
    static const uint8_t pad[64] = {0x80};
    uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_put(s, pad, 1 + (119 - s->bytes % 64) % 64);
    sha256_put(s, length, 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_of(struct str text, uint8_t out[32])
{
    struct sha256 s;
    sha256_init(&s);
    sha256_put(&s, text.p, text.n);
    sha256_end(&s, out);
}

void sha256_mac_init(struct sha256_mac *m, struct str key)
{
    uint8_t k[64] = {0}, pad[64];
    if (key.n > 64)
        sha256_of(key, k);
    else if (key.n > 0)
        memcpy(k, key.p, key.n);
    for (int i = 0; i < 64; i++)
        pad[i] = k[i] ^ 0x36;
    sha256_init(&m->inner);
    sha256_put(&m->inner, pad, 64);
    for (int i = 0; i < 64; i++)
        pad[i] = k[i] ^ 0x5c;
    sha256_init(&m->outer);
    sha256_put(&m->outer, pad, 64);
    explicit_bzero(k, sizeof k); /* the key of the pseudonyms */
    explicit_bzero(pad, sizeof pad);
}

void sha256_mac_of(const struct sha256_mac *m, struct str msg, uint8_t out[32])
{
    struct sha256 s = m->inner;
    sha256_put(&s, msg.p, msg.n);
    sha256_end(&s, out);
    s = m->outer;
    sha256_put(&s, out, 32);
    sha256_end(&s, out);
}

void sha256_hmac(struct str key, struct str msg, uint8_t out[32])
{
    struct sha256_mac m;
    sha256_mac_init(&m, key);
    sha256_mac_of(&m, msg, out);
    explicit_bzero(&m, sizeof m);
}

bool sha256_file(const char *path, uint8_t out[32], struct err *e)
{
    enum { CHUNK = 1 << 18 };
    struct fs_file f;
    struct sha256 s;
    bool ok = false;
    if (!fs_file_open(path, &f, e)) return false;
    uint8_t *buf = mem_alloc(CHUNK, e);
    if (!buf) goto out;
    sha256_init(&s);
    for (uint64_t at = 0; at < f.size_bytes;) {
        size_t n = f.size_bytes - at < CHUNK ? (size_t)(f.size_bytes - at) : CHUNK;
        if (!fs_file_read(&f, at, buf, n, e)) goto out;
        sha256_put(&s, buf, n);
        at += n;
    }
    sha256_end(&s, out);
    ok = true;
out:
    mem_free(buf);
    fs_file_close(&f);
    if (!ok) err_wrap(e, "%s", path);
    return ok;
}

bool sha256_key_file(const char *path, uint8_t out[32], struct err *e)
{
    enum { LEAST = 16, MOST = 4096 };
    struct str key;
    struct arena a;
    bool ok;

    arena_init(&a, 2 * (size_t)MOST);
    ok = fs_read_file(path, MOST, &a, &key, e);
    if (ok) key = str_trim(key);
    if (ok && key.n < LEAST)
        ok = err_set(e, ERR_CONFIG, "%s: the key is shorter than %d bytes", path, LEAST);
    if (ok) sha256_of(key, out);
    arena_free(&a);
    return ok;
}

bool sha256_folder(const char *dir, uint8_t out[32], struct err *e)
{
    struct arena a;
    struct str *names;
    struct sha256 h;
    size_t n = 0;
    arena_init(&a, 1 << 20);
    sha256_init(&h);
    bool ok = fs_list(dir, &a, &names, &n, e);
    for (size_t i = 0; ok && i < n; i++) {
        const char *path;
        uint8_t one[32];
        ok = fs_join(&a, dir, names[i].p, &path, e);
        if (!ok || fs_is_dir(path) || str_eqz(names[i], "audit.jsonl")) continue;
        ok = sha256_file(path, one, e);
        sha256_put(&h, names[i].p, names[i].n + 1);
        sha256_put(&h, one, sizeof one);
    }
    sha256_end(&h, out);
    arena_free(&a);
    return ok;
}
