#include "ingest/charset.h"

#include "text/utf8.h"

/* Code points of the bytes 80 to 9f; the five holes stand for themselves (WHATWG Encoding). */
uint32_t charset_windows(uint8_t c)
{
    static const uint16_t high[32] = {
        0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
    };

    return c >= 0x80 && c < 0xA0 ? high[c - 0x80] : c;
}

void charset_init(struct charset *d, struct bytes in, enum charset_as as)
{
    d->in = in;
    d->as = as;
    d->started = d->eof = false;
    d->n = d->at = 0;
}

/* Unused bytes to the front, and more behind them. */
static bool fill(struct charset *d, struct err *e)
{
    size_t got = 0;

    memmove(d->raw, d->raw + d->at, d->n - d->at);
    d->n -= d->at;
    d->at = 0;
    if (!d->eof && !d->in.read(d->in.ctx, d->raw + d->n, sizeof d->raw - d->n, &got, e))
        return false;
    d->eof = got == 0;
    d->n += got;
    return true;
}

static enum charset_as guess(const uint8_t *p, size_t n)
{
    if (n >= 2 && p[0] == 0xFF && p[1] == 0xFE) return CHARSET_UTF16LE;
    if (n >= 2 && p[0] == 0xFE && p[1] == 0xFF) return CHARSET_UTF16BE;
    if (n >= 4 && p[0] && !p[1] && p[2] && !p[3]) return CHARSET_UTF16LE;
    if (n >= 4 && !p[0] && p[1] && !p[2] && p[3]) return CHARSET_UTF16BE;
    return CHARSET_UTF8;
}

/* The first bytes tell the encoding; a mark is none of the text. */
static bool start(struct charset *d, struct err *e)
{
    static const struct str marks[] = {
        [CHARSET_UTF8] = STR_INIT("\xEF\xBB\xBF"),
        [CHARSET_WINDOWS] = STR_INIT("\xEF\xBB\xBF"),
        [CHARSET_UTF16LE] = STR_INIT("\xFF\xFE"),
        [CHARSET_UTF16BE] = STR_INIT("\xFE\xFF"),
    };

    while (!d->eof && d->n < 4) {
        if (!fill(d, e)) return false;
    }
    if (d->as == CHARSET_AUTO) d->as = guess((const uint8_t *)d->raw, d->n);
    if (str_starts((struct str){d->raw, d->n}, marks[d->as])) d->at = marks[d->as].n;
    d->started = true;
    return true;
}

/* One character of UTF-16 at p; 0: its second half is not there yet. */
static size_t take_utf16(const uint8_t *p, size_t n, bool eof, int hi, uint32_t *out)
{
    uint32_t c = (uint32_t)p[hi] << 8 | p[1 - hi];
    size_t used = 2;

    if (c >= 0xD800 && c < 0xDC00) {
        uint32_t low;
        if (n < 4 && !eof) return 0;
        low = n < 4 ? 0 : (uint32_t)p[2 + hi] << 8 | p[3 - hi];
        if (low >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            used = 4;
        }
    }
    *out = c >= 0xD800 && c < 0xE000 ? UTF8_REPLACEMENT : c;
    return used;
}

/* Characters out of raw while there is room for any; the bytes written. */
static size_t convert(struct charset *d, char *buf, size_t cap)
{
    size_t n = 0;

    while (cap - n >= 4 && d->at < d->n) {
        const uint8_t *p = (const uint8_t *)d->raw + d->at;
        uint32_t c;
        size_t used = 1;
        if (d->as == CHARSET_WINDOWS)
            c = charset_windows(*p);
        else if (d->n - d->at < 2)
            break;
        else
            used = take_utf16(p, d->n - d->at, d->eof, d->as == CHARSET_UTF16LE, &c);
        if (used == 0) break;
        d->at += used;
        n += utf8_encode(c, buf + n);
    }
    return n;
}

static bool read_decoded(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct charset *d = ctx;

    *got = 0;
    if (!d->started && !start(d, e)) return false;
    if (d->as == CHARSET_UTF8) {
        if (d->at == d->n) return d->eof || d->in.read(d->in.ctx, buf, cap, got, e);
        *got = d->n - d->at < cap ? d->n - d->at : cap;
        memcpy(buf, d->raw + d->at, *got);
        d->at += *got;
        return true;
    }
    CHECK(cap >= 4);
    for (;;) {
        *got = convert(d, buf, cap);
        if (*got > 0) return true;
        if (d->eof) break;
        if (!fill(d, e)) return false;
    }
    if (d->at < d->n) { /* one byte of UTF-16 */
        d->at = d->n;
        *got = utf8_encode(UTF8_REPLACEMENT, buf);
    }
    return true;
}

struct bytes charset_bytes(struct charset *d)
{
    return (struct bytes){read_decoded, d};
}

struct str charset_head(struct str head, enum charset_as as, char *out, size_t cap)
{
    struct charset d;
    struct err e = {0};
    size_t n = 0, got = 1;

    charset_init(&d, bytes_of(&head), as);
    while (got > 0 && cap - n >= 8 && read_decoded(&d, out + n, cap - n, &got, &e))
        n += got;
    return (struct str){out, n};
}
