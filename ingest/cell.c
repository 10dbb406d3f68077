#include "ingest/cell.h"

#include <strings.h>

#include "ingest/charset.h"
#include "ingest/record.h"
#include "text/utf8.h"

enum { EXCEL_CELL = 32767 };

/* Bytes of the line break mark at the beginning of s; 0: none. */
static size_t mark_bytes(struct str s)
{
    static const struct str tags[] = {STR_INIT("<br>"), STR_INIT("<br/>"), STR_INIT("<br />")};

    if (str_starts(s, STR("\\r\\n"))) return 4;
    if (str_starts(s, STR("\\n")) || str_starts(s, STR("\\r"))) return 2;
    if (str_starts(s, STR("_x000D_"))) return 7;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (s.n >= tags[i].n && strncasecmp(s.p, tags[i].p, tags[i].n) == 0) return tags[i].n;
    }
    return 0;
}

static bool has_real_break(struct str s)
{
    return s.n > 0 && (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n));
}

static bool may_begin_mark(char c)
{
    return c == '\\' || c == '<' || c == '_';
}

static bool has_marks(struct str s)
{
    /* Excel writes _x000D_ beside the line feed that it belongs to. */
    if (has_real_break(s)) return str_find(s, STR("_x000D_"), 0) != SIZE_MAX;
    for (size_t i = 0; i < s.n; i++) {
        if (may_begin_mark(s.p[i]) && mark_bytes(str_sub(s, i, s.n)) > 0) return true;
    }
    return false;
}

/* Marks are ASCII: they can be looked for in bytes of either encoding. */
static bool put_cell(struct str s, bool windows, struct sbuf *out, struct err *e)
{
    bool real = has_real_break(s);

    while (s.n > 0) {
        size_t n = may_begin_mark(s.p[0]) ? mark_bytes(s) : 0;
        bool ok = true;
        if (n > 0 && real && s.p[0] != '_') n = 0;
        if (n > 0)
            ok = real || sbuf_putc(out, '\n', e);
        else if (windows)
            ok = utf8_put(out, charset_windows((uint8_t)s.p[0]), e);
        else
            ok = sbuf_putc(out, s.p[0], e);
        if (!ok) return false;
        s = str_sub(s, n > 0 ? n : 1, s.n);
    }
    return true;
}

static size_t count_code_points(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    return n;
}

bool cell_text(struct str raw, struct sbuf *buf, struct str *out, uint32_t *flags, struct err *e)
{
    bool windows = !utf8_valid(raw);
    size_t begin = buf->n;

    *out = raw;
    if (windows) *flags |= RECORD_REPAIRED_UTF8;
    if (windows || has_marks(raw)) {
        if (!put_cell(raw, windows, buf, e)) return false;
        *out = str_sub(sbuf_str(buf), begin, buf->n);
    }
    if (raw.n >= EXCEL_CELL && (windows ? raw.n : count_code_points(raw)) == EXCEL_CELL)
        *flags |= RECORD_TRUNCATED;
    return true;
}
