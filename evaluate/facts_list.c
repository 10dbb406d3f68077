#include "evaluate/facts_list.h"

#include <math.h>

#include "base/fs.h"

/* Flags and scratch of one report; and a text of a listing line. */
#define CHECK_BYTES ((size_t)2 << 30)
#define LINE_BYTES  ((size_t)4 << 20)

struct lister {
    struct facts *facts;
    struct arena arena;
    struct sbuf source, line;
    struct fs_writer *w;
    bool with_text;
    size_t clean; /* reports without a flag */
};

static bool put_text(struct sbuf *b, struct str s, struct err *e)
{
    if (!sbuf_put(b, STR(" \""), e)) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!sbuf_putc(b, (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i], e))
            return false;
    return sbuf_putc(b, '"', e);
}

static bool put_place(struct lister *l, const char *field, struct str text, struct facts_span s,
                      struct err *e)
{
    if (s.to == 0) return true;
    return sbuf_printf(&l->line, e, "   %s %u-%u", field, s.from, s.to) &&
           (!l->with_text || put_text(&l->line, str_sub(text, s.from, s.to), e));
}

static bool put_source(struct lister *l, const struct pair *p, struct facts_span s, struct err *e)
{
    bool clinical = facts_in_clinical(p->findings, &s);
    return put_place(l, clinical ? "clinical" : "findings", clinical ? p->clinical : p->findings, s,
                     e);
}

static bool put_flag(struct lister *l, const struct pair *p, const struct facts_flag *f,
                     struct err *e)
{
    struct sbuf *b = &l->line;
    bool unsupported = f->kind == FACTS_ADDED && !f->supported;
    return sbuf_printf(b, e, "    %-14s %-11s %-20s", facts_kind_names[f->kind],
                       facts_significance_names[f->significance],
                       f->concept[0] ? f->concept : "-") &&
           put_place(l, "generated", p->prediction, f->generated, e) &&
           put_place(l, "reference", p->reference, f->reference, e) &&
           put_source(l, p, f->source, e) &&
           sbuf_put(b, unsupported ? STR("   not supported\n") : STR("\n"), e);
}

static bool put_head(struct lister *l, const struct pair *p, size_t number,
                     const struct facts_result *r, struct err *e)
{
    struct sbuf *b = &l->line;
    if (p->id.n ? !sbuf_put(b, p->id, e) : !sbuf_printf(b, e, "pair %zu", number)) return false;
    if (!sbuf_printf(b, e, "  score %.2f", r->score)) return false;
    if (!isnan(r->support) && !sbuf_printf(b, e, "  support %.0f %%", 100 * r->support))
        return false;
    return sbuf_printf(b, e, "  statements %u, in the reference %u\n", r->ngenerated,
                       r->nreference);
}

static bool list_pair(struct lister *l, const struct pair *p, size_t number, struct err *e)
{
    struct facts_result r;
    struct str source;
    sbuf_clear(&l->line);
    if (!facts_source(p->findings, p->clinical, &l->source, &source, e)) return false;
    if (!facts_check(l->facts, p->prediction, p->reference, source, &l->arena, &r, e)) return false;
    l->clean += r.nflags == 0;
    if (r.nflags == 0) return true;
    if (!put_head(l, p, number, &r, e)) return false;
    for (size_t i = 0; i < r.nflags; i++)
        if (!put_flag(l, p, &r.flags[i], e)) return false;
    return sbuf_putc(&l->line, '\n', e) && fs_writer_put(l->w, l->line.p, l->line.n, e);
}

static bool list_all(struct lister *l, const struct pair *pairs, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct arena_mark m = arena_mark(&l->arena);
        if (!list_pair(l, &pairs[i], i + 1, e)) return err_wrap(e, "pair %zu", i + 1);
        arena_reset(&l->arena, m);
    }
    sbuf_clear(&l->line);
    return sbuf_printf(&l->line, e, "%zu reports, %zu without a flag; %s\n", n, l->clean,
                       facts_signature(l->facts)) &&
           fs_writer_put(l->w, l->line.p, l->line.n, e);
}

bool facts_list_write(const char *path, const char *lexicon, const struct pair *pairs, size_t n,
                      bool with_text, struct err *e)
{
    struct lister l = {.with_text = with_text};
    bool ok = false;
    arena_init(&l.arena, CHECK_BYTES);
    sbuf_init(&l.source, 2 * FACTS_MAX_BYTES + 1);
    sbuf_init(&l.line, LINE_BYTES);
    if (!facts_open(lexicon, &l.facts, e)) goto out;
    if (!fs_writer_open(path, &l.w, e)) goto out;
    ok = list_all(&l, pairs, n, e) && fs_writer_commit(l.w, e);
out:
    fs_writer_close(l.w);
    facts_close(l.facts);
    sbuf_free(&l.line);
    sbuf_free(&l.source);
    arena_free(&l.arena);
    if (!ok) err_wrap(e, "%s", path);
    return ok;
}
