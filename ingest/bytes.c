#include "ingest/bytes.h"

#include "base/mem.h"

enum { PIECE = 16 << 10, CHUNK = 64 << 10 };

static bool read_memory(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct str *rest = ctx;
    (void)e;
    *got = rest->n < cap ? rest->n : cap;
    if (*got) memcpy(buf, rest->p, *got);
    *rest = str_sub(*rest, *got, rest->n);
    return true;
}

struct bytes bytes_of(struct str *rest)
{
    return (struct bytes){read_memory, rest};
}

bool bytes_peek_init(struct bytes_peek *p, struct bytes in, struct err *e)
{
    size_t got = 1;

    p->in = in;
    p->n = p->at = 0;
    while (got > 0 && p->n < BYTES_HEAD) {
        if (!in.read(in.ctx, p->head + p->n, BYTES_HEAD - p->n, &got, e)) return false;
        p->n += got;
    }
    return true;
}

static bool read_peeked(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct bytes_peek *p = ctx;

    if (p->at == p->n) return p->in.read(p->in.ctx, buf, cap, got, e);
    *got = p->n - p->at < cap ? p->n - p->at : cap;
    memcpy(buf, p->head + p->at, *got);
    p->at += *got;
    return true;
}

struct bytes bytes_peeked(struct bytes_peek *p)
{
    return (struct bytes){read_peeked, p};
}

bool bytes_all(struct bytes in, size_t max, struct sbuf *out, bool *over, struct err *e)
{
    char buf[PIECE];
    size_t got = 1, n = 0;

    *over = false;
    while (got > 0) {
        if (!in.read(in.ctx, buf, sizeof buf, &got, e)) return false;
        *over = got > max - n;
        if (*over) return true;
        if (got && !sbuf_put(out, (struct str){buf, got}, e)) return false;
        n += got;
    }
    return true;
}

/* ---- a window */
void bytes_window_init(struct bytes_window *w, struct bytes in)
{
    *w = (struct bytes_window){.in = in};
}

void bytes_window_free(struct bytes_window *w)
{
    mem_free(w->p);
    w->p = NULL;
}

bool bytes_window_fill(struct bytes_window *w, struct err *e)
{
    size_t got;

    if (w->at > 0) memmove(w->p, w->p + w->at, w->end - w->at);
    w->end -= w->at;
    w->at = 0;
    if (!mem_grow((void **)&w->p, &w->cap, w->end + CHUNK, 1, e)) return false;
    if (!w->in.read(w->in.ctx, w->p + w->end, CHUNK, &got, e)) return false;
    w->eof = got == 0;
    w->end += got;
    return true;
}

/* A CR LF is one line end, told by its LF; a CR alone is one too, told by what follows. */
void bytes_window_advance(struct bytes_window *w, size_t n)
{
    for (size_t i = w->at; i < w->at + n; i++) {
        w->ended += w->p[i] == '\n' || w->cr; /* of CR LF: once */
        w->cr = w->p[i] == '\r';
    }
    w->offset += n;
    w->at += n;
}

uint64_t bytes_window_line(const struct bytes_window *w)
{
    return 1 + w->ended + (w->cr && (w->at == w->end || w->p[w->at] != '\n'));
}
