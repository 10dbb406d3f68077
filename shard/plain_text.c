#include "shard/plain_text.h"

/* Bits of each byte: what plain_clean and plain_fold make of it. */
enum { COPY, BLANK, LINE, LOOK, STOP };

struct squeeze {
    char *out;
    size_t n;
    bool gap; /* the last byte put is a blank, or there is none yet */
};

/* Put c unless it is a blank behind a blank. No branch: words are short. */
static inline void put(struct squeeze *q, char c)
{
    bool blank = c == ' ';

    q->out[q->n] = c;
    q->n += !(blank & q->gap);
    q->gap = blank;
}

static struct str finish(const struct squeeze *q)
{
    return (struct str){q->out, q->n - (q->n > 0 && q->gap)};
}

static int kind_of(unsigned char c)
{
    switch (c) {
    case ' ':
        return BLANK;
    case '\r':
    case '_':
    case 'X':
    case '[':
    case '<':
        return LOOK;
    case '\n':
        return LINE;
    default:
        return c > ' ' && c < 0x7F ? COPY : STOP;
    }
}

static const unsigned char *kinds(void)
{
    static unsigned char table[256];

    if (!table['\n'])
        for (int c = 0; c < 256; c++)
            table[c] = (unsigned char)kind_of((unsigned char)c);
    return table;
}

/* Does a line that begins at i begin with what may be a rule or a list mark? */
static bool begins_list(struct str s, size_t i)
{
    if (i < s.n && s.p[i] == '=') return true;
    while (i < s.n && s.p[i] == ' ')
        i++;
    return i < s.n && (s.p[i] == '-' || s.p[i] == '*' || (s.p[i] >= '0' && s.p[i] <= '9'));
}

/* Bytes from i on that may be a mark, but are none and stay as they are; 0: ask clean_own. A
 * de-identification mark of three _ stays what it is. */
static size_t harmless(struct str s, size_t i)
{
    char next = i + 1 < s.n ? s.p[i + 1] : ' ';
    size_t run = 1;

    switch (s.p[i]) {
    case '_':
        while (i + run < s.n && s.p[i + run] == '_')
            run++;
        return run == 1 || run == 3 ? run : 0;
    case 'X':
        return next != 'X';
    case '[':
        return next != '*' && next != 'R';
    case '<':
        return next != '_' && !(next >= 'A' && next <= 'Z');
    default:
        return next == '\n'; /* CR */
    }
}

/* All of s; false where it meets something that is not plain. */
static bool squeeze_plain(struct str s, struct squeeze *q)
{
    const unsigned char *kind = kinds();

    if (begins_list(s, 0)) return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char k = kind[(unsigned char)s.p[i]];
        if (k <= BLANK) {
            put(q, s.p[i]);
        } else if (k == LINE) {
            if (begins_list(s, i + 1)) return false;
            put(q, ' ');
        } else {
            size_t n = k == LOOK ? harmless(s, i) : 0;
            if (n == 0) return false;
            if (s.p[i] == '\r') continue; /* of CR LF */
            for (; n > 1; n--)
                put(q, s.p[i++]);
            put(q, s.p[i]);
        }
    }
    return true;
}

bool plain_clean(struct str s, struct sbuf *out, bool *plain, struct err *e)
{
    struct squeeze q = {.gap = true};

    sbuf_clear(out);
    *plain = true;
    if (s.n == 0) return true;
    q.out = sbuf_space(out, s.n, e);
    if (!q.out) return false;
    *plain = squeeze_plain(s, &q);
    sbuf_cut(out, *plain ? finish(&q).n : 0);
    return true;
}

static const char *folds(void)
{
    static char table[256];

    if (!table['a'])
        for (int c = 0; c < 256; c++)
            table[c] = (char)(c <= ' ' ? ' ' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return table;
}

bool plain_fold(struct str s, struct sbuf *out, struct err *e)
{
    struct squeeze q = {.gap = true};
    const char *fold = folds();

    sbuf_clear(out);
    if (s.n == 0) return true;
    q.out = sbuf_space(out, s.n, e);
    if (!q.out) return false;
    for (size_t i = 0; i < s.n; i++)
        put(&q, fold[(unsigned char)s.p[i]]);
    sbuf_cut(out, finish(&q).n);
    return true;
}

/* Eight bytes at once: the high bit of each byte of a word. A byte is a word's when it has its high
 * bit, or its other bits plus 0x5f carry into it: 0x21 and above. */
size_t plain_words(struct str s)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu, add = 0x5f5f5f5f5f5f5f5fu;
    uint64_t before = 0; /* the byte in front was of a word: bit 7 */
    size_t n = 0, i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t v, word;
        memcpy(&v, s.p + i, 8);
        word = (((v & low) + add) | v) & ~low;
        n += (size_t)__builtin_popcountll(word & ~(word << 8 | before));
        before = word >> 56;
    }
    for (; i < s.n; i++) {
        bool in = (unsigned char)s.p[i] > ' ';
        n += in && !before;
        before = in;
    }
    return n;
}
