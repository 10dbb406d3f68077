#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* End a text that vsnprintf cut with "...", without leaving half of a UTF-8 sequence. */
static void mark_cut(char *text, size_t size)
{
    size_t n = size - 4;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(text + n, "...", 4);
}

__attribute__((format(printf, 2, 0))) static void put_text(struct err *e, const char *fmt,
                                                           va_list ap)
{
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    if (n >= (int)sizeof e->text) mark_cut(e->text, sizeof e->text);
}

/* Put "sep text" behind what is there. */
static void append(struct err *e, const char *sep, const char *text)
{
    size_t at = strlen(e->text);
    int n = snprintf(e->text + at, sizeof e->text - at, "%s%s", sep, text);
    if (n >= (int)(sizeof e->text - at)) mark_cut(e->text, sizeof e->text);
}

bool(err_set)(struct err *e, enum err_code code, const char *fmt, ...)
{
    CHECK(e->code == ERR_NONE);
    CHECK(code != ERR_NONE);
    va_list ap;
    va_start(ap, fmt);
    put_text(e, fmt, ap);
    va_end(ap);
    e->code = code;
    return false;
}

bool(err_sys)(struct err *e, const char *fmt, ...)
{
    int no = errno;
    CHECK(e->code == ERR_NONE);
    va_list ap;
    va_start(ap, fmt);
    put_text(e, fmt, ap);
    va_end(ap);
    char buf[128];
    append(e, ": ", strerror_r(no, buf, sizeof buf));
    e->code = no == ENOMEM ? ERR_NOMEM : ERR_IO;
    return false;
}

bool(err_wrap)(struct err *e, const char *fmt, ...)
{
    CHECK(e->code != ERR_NONE);
    char old[sizeof e->text];
    memcpy(old, e->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    put_text(e, fmt, ap);
    va_end(ap);
    append(e, ": ", old);
    return false;
}

void err_clear(struct err *e)
{
    *e = (struct err){0};
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {"none",   "io",  "format",   "limit",  "nomem",
                                        "config", "lib", "diverged", "stopped"};
    CHECK((size_t)code < sizeof names / sizeof *names);
    return names[code];
}
