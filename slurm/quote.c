#include "slurm/quote.h"

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_./:=,+@-", c) != NULL);
}

static bool all_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_plain(s.p[i])) return false;
    return s.n > 0;
}

bool quote_shell(struct sbuf *b, struct str s, struct err *e)
{
    if (all_plain(s)) return sbuf_put(b, s, e);
    if (!sbuf_putc(b, '\'', e)) return false;
    for (size_t i = 0; i < s.n; i++) {
        bool ok = s.p[i] == '\'' ? sbuf_put(b, STR("'\\''"), e) : sbuf_putc(b, s.p[i], e);
        if (!ok) return false;
    }
    return sbuf_putc(b, '\'', e);
}

bool quote_check_line(const char *what, struct str s, struct err *e)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_control(s.p[i]))
            return err_set(e, ERR_CONFIG, "%s must be one line without control characters", what);
    return true;
}

/* In double quotes a backslash saves quotes and backslashes (tried on 22.05; outside quotes it does
 * not save a blank). */
static bool put_saved(struct sbuf *b, struct str s, bool is_file, struct err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool saved = c == '"' || c == '\'' || c == '\\';
        if (saved && !sbuf_putc(b, '\\', e)) return false;
        if (is_file && c == '%' && !sbuf_putc(b, '%', e)) return false;
        if (!sbuf_putc(b, c, e)) return false;
    }
    return true;
}

bool quote_sbatch(struct sbuf *b, const char *what, struct str s, struct err *e)
{
    if (!quote_check_line(what, s, e)) return false;
    if (all_plain(s)) return sbuf_put(b, s, e);
    return sbuf_putc(b, '"', e) && put_saved(b, s, false, e) && sbuf_putc(b, '"', e);
}

bool quote_sbatch_file(struct sbuf *b, const char *what, struct str s, const char *pattern,
                       struct err *e)
{
    if (memchr(s.p, '\\', s.n))
        return err_set(e, ERR_CONFIG,
                       "%s holds a backslash, which sbatch would read as its own; choose a folder "
                       "without one",
                       what);
    if (!quote_check_line(what, s, e)) return false;
    bool quotes = !all_plain(s);
    return (!quotes || sbuf_putc(b, '"', e)) && put_saved(b, s, true, e) &&
           sbuf_put(b, str_of(pattern), e) && (!quotes || sbuf_putc(b, '"', e));
}

bool quote_comment(struct sbuf *b, struct str s, struct err *e)
{
    for (size_t i = 0; i < s.n; i++)
        if (!sbuf_putc(b, is_control(s.p[i]) ? '?' : s.p[i], e)) return false;
    return true;
}
