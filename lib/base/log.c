#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define LINE_MAX_BYTES 4096
#define LIVE_MAX_BYTES 256
/* Marks put in front of the pieces of a format: what follows "key=" is quoted when need be. A value
 * may hold any byte, so the text is made twice with other marks: where the two differ, a piece
 * begins. */
static const char marks[2][2] = {{'\1', '\2'}, {'\3', '\4'}};
enum { MARK_PAIR, MARK_RAW };

static struct {
    pthread_mutex_t lock;
    enum log_level terminal;
    int rank;
    struct fs_append *file;
    bool file_failed;
    char live[LIVE_MAX_BYTES];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .terminal = LOG_INFO};

void log_setup(enum log_level terminal, int rank)
{
    pthread_mutex_lock(&state.lock);
    state.terminal = terminal;
    state.rank = rank;
    pthread_mutex_unlock(&state.lock);
}

bool log_open_file(const char *path, struct err *e)
{
    struct fs_append *f = NULL;
    if (!fs_append_open(path, &f, e)) return false;
    pthread_mutex_lock(&state.lock);
    struct fs_append *old = state.file;
    state.file = f;
    state.file_failed = false;
    pthread_mutex_unlock(&state.lock);
    fs_append_close(old);
    return true;
}

void log_close(void)
{
    pthread_mutex_lock(&state.lock);
    struct fs_append *old = state.file;
    state.file = NULL;
    pthread_mutex_unlock(&state.lock);
    fs_append_close(old);
}

/* ---- building a line: cut with "..." when it is too long, so that logging cannot fail */

struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
    bool cut;
};

static void put(struct line *l, const char *p, size_t n)
{
    size_t room = sizeof l->p - 5 - l->n; /* "..." and a newline */
    if (l->cut) return;
    if (n > room) {
        while (room > 0 && ((unsigned char)p[room] & 0xc0) == 0x80)
            room--;
        memcpy(l->p + l->n, p, room);
        memcpy(l->p + l->n + room, "...", 3);
        l->n += room + 3;
        l->cut = true;
        return;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_escaped(struct line *l, char c)
{
    char esc[8];
    if (c == '\n')
        put(l, "\\n", 2);
    else if (c == '\t')
        put(l, "\\t", 2);
    else if (c == '"' || c == '\\')
        put(l, (char[]){'\\', c}, 2);
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\x%02x", (unsigned)c));
    else
        put(l, &c, 1);
}

static bool is_plain(struct str v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c <= ' ' || c == '"' || c == 0x7f) return false;
    }
    return v.n > 0;
}

static void put_value(struct line *l, struct str v)
{
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"') v = str_sub(v, 1, v.n - 1);
    if (is_plain(v)) {
        put(l, v.p, v.n);
        return;
    }
    put(l, "\"", 1);
    for (size_t i = 0; i < v.n; i++)
        put_escaped(l, v.p[i]);
    put(l, "\"", 1);
}

static void put_raw(struct line *l, struct str v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == '"' || c == '\\')
            put(l, &c, 1);
        else
            put_escaped(l, c);
    }
}

/* Copy fmt with each of its pieces (separated by blanks outside quotes) begun by a mark. */
static void mark_pieces(const char *fmt, const char mark[2], char *out, size_t size)
{
    size_t n = 0;
    while (*fmt && n + 2 < size) {
        bool quoted = false, pair = false;
        size_t len = 0;
        for (; fmt[len] && (quoted || fmt[len] != ' '); len++) {
            if (fmt[len] == '"') quoted = !quoted;
            if (fmt[len] == '=') pair = true;
        }
        if (len > size - n - 2) len = size - n - 2;
        out[n++] = mark[pair ? MARK_PAIR : MARK_RAW];
        memcpy(out + n, fmt, len);
        n += len;
        fmt += len;
        while (*fmt == ' ')
            fmt++;
    }
    out[n] = 0;
}

static void put_pieces(struct line *l, const char *text, const char *other)
{
    while (*text) {
        bool pair = *text == marks[0][MARK_PAIR];
        size_t n = 1;
        while (text[n] && text[n] == other[n])
            n++;
        struct str piece = {text + 1, n - 1};
        size_t equals = pair ? str_find(piece, STR("="), 0) : SIZE_MAX;
        if (piece.n > 0) put(l, " ", 1);
        if (equals != SIZE_MAX) {
            put_raw(l, str_sub(piece, 0, equals + 1));
            put_value(l, str_sub(piece, equals + 1, piece.n));
        } else {
            put_raw(l, piece);
        }
        text += n;
        other += n;
    }
}

__attribute__((format(printf, 3, 0))) static void build(struct line *l, const char *event,
                                                        const char *fmt, va_list ap)
{
    char marked[1024], text[2][LINE_MAX_BYTES];
    for (int i = 0; i < 2; i++) {
        va_list again;
        va_copy(again, ap);
        mark_pieces(fmt, marks[i], marked, sizeof marked);
        /* The attribute above lets the compiler check fmt; marked differs by blanks only. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        vsnprintf(text[i], sizeof text[i], marked, again);
#pragma GCC diagnostic pop
        va_end(again);
    }
    put_raw(l, str_of(event));
    put_pieces(l, text[0], text[1]);
    l->p[l->n] = 0;
}

/* ---- sinks; the lock is held */

static void to_stderr(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put_now = write(2, p, n);
        if (put_now < 0 && errno == EINTR) continue;
        if (put_now <= 0) return; /* nobody listens */
        p += put_now;
        n -= (size_t)put_now;
    }
}

static void to_terminal(const char *level, const struct line *l)
{
    char out[LINE_MAX_BYTES + LIVE_MAX_BYTES + 32];
    int n = snprintf(out, sizeof out, "%s%s %s\n%s", state.live[0] ? "\r\x1b[K" : "", level, l->p,
                     state.live);
    to_stderr(out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}

static void to_file(const char *level, const struct line *l)
{
    char out[LINE_MAX_BYTES + 64], now[21];
    struct err e = {0};
    clock_iso8601(clock_wall_s(), now);
    int n = snprintf(out, sizeof out, "%s rank=%d %s %s", now, state.rank, level, l->p);
    struct str whole = {out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1};
    if (fs_append_line(state.file, whole, &e) || state.file_failed) return;
    state.file_failed = true; /* say so once */
    struct line said = {.n = 0};
    put(&said, "log.failed error=", 17);
    put_value(&said, str_of(e.text));
    said.p[said.n] = 0;
    to_terminal("warn", &said);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    CHECK((unsigned)level <= LOG_ERROR);
    int saved = errno;
    struct line l = {.n = 0};
    va_list ap;
    va_start(ap, fmt);
    build(&l, event, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&state.lock);
    enum log_level least = state.rank == 0 ? state.terminal : LOG_ERROR;
    if (level >= least) to_terminal(names[level], &l);
    if (state.file) to_file(names[level], &l);
    pthread_mutex_unlock(&state.lock);
    errno = saved;
}

bool log_is_live(void)
{
    return state.rank == 0 && isatty(2) == 1;
}

void log_live(const char *line)
{
    if (!log_is_live()) return;
    char out[LIVE_MAX_BYTES + 8];
    pthread_mutex_lock(&state.lock);
    snprintf(state.live, sizeof state.live, "%s", line ? line : "");
    int n = snprintf(out, sizeof out, "\r\x1b[K%s", state.live);
    to_stderr(out, (size_t)n);
    pthread_mutex_unlock(&state.lock);
}
