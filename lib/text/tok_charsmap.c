/*
 * SentencePiece's precompiled character map (T5): u32 size of a Darts double array, the array,
 * then a pool of NUL-ended replacements. A unit: label in the low 8 bits and bit 31, bit 8 "a
 * value lies behind", offset (u >> 10) << ((u & 0x200) >> 6), a value's own 31 bits.
 *
 * tokenizers applies it to each extended grapheme cluster (UAX 29) of under 6 bytes as a whole: the
 * *shortest* key that the cluster begins with replaces all of it; other clusters go character by
 * character (src/normalizers/precompiled.rs). SentencePiece itself takes the longest key at each
 * place and goes on behind it (src/normalizer.cc).
 */
#include <utf8proc.h>

#include "text/tok_impl.h"
#include "text/uniclass.h"
#include "text/utf8.h"

#define CLUSTER 6 /* bytes from which on a cluster is not looked up as a whole */

struct map {
    const uint8_t *unit;
    uint32_t units;
    struct str pool;
};

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static struct map map_of(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    uint32_t size = le32(p);

    return (struct map){p + 4, size / 4, str_sub(s, 4 + (size_t)size, s.n)};
}

/* Places beyond the array read as a unit that no label fits. */
static uint32_t unit_at(const struct map *m, uint32_t i)
{
    return i < m->units ? le32(m->unit + 4 * (size_t)i) : 0x80000000u;
}

static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 0x200) >> 6);
}

/* The replacement of the shortest key that s begins with. */
static bool find(const struct map *m, struct str s, struct str *to)
{
    uint32_t unit = unit_at(m, 0), at = offset_of(unit);

    for (size_t i = 0; i < s.n && s.p[i]; i++) {
        at ^= (uint8_t)s.p[i];
        unit = unit_at(m, at);
        if ((unit & 0x800000FF) != (uint8_t)s.p[i]) break;
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        size_t value = unit_at(m, at) & 0x7FFFFFFF;
        if (value >= m->pool.n || ((uint8_t)m->pool.p[value] & 0xC0) == 0x80) return false;
        *to = str_sub(m->pool, value, str_find(m->pool, (struct str){"", 1}, value));
        return true;
    }
    return false;
}

static bool all_space(struct str s)
{
    size_t len;

    for (; s.n > 0; s = str_sub(s, len, s.n))
        if (!(uniclass(utf8_decode(s, &len)) & UNI_SPACE)) return false;
    return true;
}

bool tok_charsmap_check(struct str map, struct err *e)
{
    static const struct str blanks[] = {STR_INIT(" "), STR_INIT("\t"), STR_INIT("\n"),
                                        STR_INIT("\r"), STR_INIT("\r\n")};
    struct str to;

    if (map.n < 8 || le32((const uint8_t *)map.p) % 4 != 0 ||
        le32((const uint8_t *)map.p) > map.n - 4)
        return err_set(e, ERR_FORMAT, "the precompiled charsmap is cut short");
    struct map m = map_of(map);
    if (!utf8_valid(m.pool))
        return err_set(e, ERR_FORMAT, "the precompiled charsmap's replacements are not UTF-8");
    for (size_t i = 0; i < sizeof(blanks) / sizeof(*blanks); i++)
        if (find(&m, blanks[i], &to) && !all_space(to))
            return err_set(
                e, ERR_FORMAT,
                "the precompiled charsmap makes text of a blank, which is not supported");
    return true;
}

/* Bytes of the extended grapheme cluster that s begins with. */
static size_t cluster(struct str s)
{
    utf8proc_int32_t state = 0;
    size_t len, n;
    uint32_t a = utf8_decode(s, &n), b;

    for (; n < s.n; n += len, a = b) {
        if ((uint8_t)s.p[n] < 0x80 && a < 0x80 && !(a == '\r' && s.p[n] == '\n')) return n;
        b = utf8_decode(str_sub(s, n, s.n), &len);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)a, (utf8proc_int32_t)b, &state))
            return n;
    }
    return n;
}

bool tok_charsmap_apply(struct str map, struct str text, struct sbuf *out, struct err *e)
{
    struct map m = map_of(map);
    struct str to;
    size_t len;

    while (text.n > 0) {
        size_t n = cluster(text);
        struct str c = str_sub(text, 0, n);
        text = str_sub(text, n, text.n);
        if (n < CLUSTER && find(&m, c, &to)) {
            if (!sbuf_put(out, to, e)) return false;
            continue;
        }
        for (; c.n > 0; c = str_sub(c, len, c.n)) {
            utf8_decode(c, &len);
            struct str one = str_sub(c, 0, len);
            if (!sbuf_put(out, find(&m, one, &to) ? to : one, e)) return false;
        }
    }
    return true;
}
