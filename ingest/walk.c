#include "ingest/walk.h"

#include <fnmatch.h>

#include "base/mem.h"
#include "base/pulse.h"
#include "ingest/archive.h"

enum { MAX_NAME = 4096 };

struct walk {
    const struct ingest_opts *o;
    const struct source *s;
    walk_fn fn;
    void *ctx;
    uint64_t member;
    struct format_scratch scratch;
    struct sbuf whole; /* a file of a format that takes it whole */
};

/* One file on its way down. */
struct level {
    struct str name;
    struct bytes in;
    bool lone;      /* no archive gave it: it is wanted whatever its name */
    unsigned depth; /* archives around it */
};

static bool give(struct walk *w, struct format_item *item, struct err *e)
{
    pulse_beat();
    item->in.member = w->member;
    return w->fn(w->ctx, item, e);
}

static bool ignore(struct walk *w, struct err *e)
{
    return give(w, &(struct format_item){.kind = ITEM_IGNORE}, e);
}

static bool reject(struct walk *w, enum record_reject why, struct err *e)
{
    return give(w, &(struct format_item){.kind = ITEM_REJECT, .reason = why}, e);
}

/* ---- one file in its format */
static bool take_whole(struct walk *w, const struct format *f, const struct level *l, struct err *e)
{
    struct format_item item = {.kind = ITEM_IGNORE};
    bool over;

    sbuf_clear(&w->whole);
    if (!bytes_all(l->in, w->o->max_entry, &w->whole, &over, e)) return false;
    if (over) return reject(w, REJECT_TOO_LARGE, e);
    return f->one(&w->scratch, w->s->o, l->name, w->whole.n ? sbuf_str(&w->whole) : STR(""), &item,
                  e) &&
           give(w, &item, e);
}

static bool take_stream(struct walk *w, const struct format *f, const struct level *l,
                        struct err *e)
{
    struct format_input in = {l->in, w->s->o, w->o->max_entry};
    void *reader = NULL;
    bool more = true, ok = f->open(&in, &reader, e);

    while (ok && more) {
        struct format_item item;
        ok = f->next(reader, &item, &more, e);
        if (ok && more) ok = give(w, &item, e);
    }
    f->close(reader);
    return ok || err_wrap(e, "member %llu", (unsigned long long)w->member);
}

static bool is_wanted(const struct walk *w, const struct level *l)
{
    const char *pattern = w->s->o->members;
    char name[MAX_NAME];

    if (l->lone || !pattern || !*pattern) return true;
    if (l->name.n >= sizeof name) return false;
    memcpy(name, l->name.p, l->name.n);
    name[l->name.n] = 0;
    return fnmatch(pattern, name, 0) == 0;
}

static bool take_archive(struct walk *w, struct archive_stream *a, const struct level *outer,
                         struct err *e);

static bool take_packed(struct walk *w, const struct level *l, struct str head, struct err *e)
{
    const struct ingest_opts *o = w->o;
    struct archive_limits limits = {o->max_total, o->max_entries, o->max_ratio};
    struct archive_stream *a = NULL;
    bool ok;

    if (l->depth > 2) return reject(w, REJECT_NESTED, e);
    ok = archive_stream_open_bytes(l->in, head, &limits, &a, e) && take_archive(w, a, l, e);
    archive_stream_close(a);
    return ok;
}

static bool take_file(struct walk *w, const struct level *l, struct err *e)
{
    const struct format *f = format_of(w->s->o->format);
    struct bytes_peek peek;
    struct str head;
    struct level inner = *l;

    if (!l->lone && (format_is_litter(l->name) || !is_wanted(w, l))) return ignore(w, e);
    if (!bytes_peek_init(&peek, l->in, e)) return false;
    inner.in = bytes_peeked(&peek);
    head = (struct str){peek.head, peek.n};
    if (head.n == 0) return ignore(w, e);
    if (archive_is_packed(l->name, head)) return take_packed(w, &inner, head, e);
    if (f && !l->lone && !f->owns(l->name, format_last(l->name))) return ignore(w, e);
    if (!f) f = format_guess(w->s->o, l->name, head);
    if (!f) return ignore(w, e);
    return f->one ? take_whole(w, f, &inner, e) : take_stream(w, f, &inner, e);
}

/* ---- containers */
/* "a/b.csv.gz" -> "a/b.csv" */
static struct str unpacked_name(struct str name)
{
    static const char *const ends[] = {".gz", ".bz2", ".xz", ".zst", ".Z"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (format_ends(name, ends[i])) return str_sub(name, 0, name.n - strlen(ends[i]));
    }
    return name;
}

static bool take_member(struct walk *w, struct archive_stream *a, const struct archive_member *m,
                        const struct level *outer, struct err *e)
{
    struct level l = {
        .name = m->alone ? unpacked_name(outer->name) : m->name,
        .in = archive_stream_bytes(a),
        .lone = m->alone && outer->lone,
        .depth = outer->depth + 1,
    };

    pulse_beat();
    if (!m->named) return reject(w, REJECT_NO_NAME, e);
    if (m->encrypted) return reject(w, REJECT_ENCRYPTED, e);
    return take_file(w, &l, e);
}

static bool take_archive(struct walk *w, struct archive_stream *a, const struct level *outer,
                         struct err *e)
{
    struct archive_member m;
    bool more;

    for (;;) {
        if (!archive_stream_next(a, &m, &more, e)) return false;
        if (!more) return true;
        /* A packed file is all right as deep as this, an archive is not. */
        if (outer->depth > 1 && !m.alone) return reject(w, REJECT_NESTED, e);
        if (!take_member(w, a, &m, outer, e)) return false;
        w->member++; /* an archive in it counts as one more, behind its members */
    }
}

static bool take_path(struct walk *w, const char *path, struct err *e)
{
    struct fs_map map = {0};
    struct str bytes;
    struct level l = {.name = format_last(str_of(path)), .lone = true};
    bool ok;

    if (!fs_map_open(path, &map, e)) return false;
    bytes = (struct str){map.n ? (const char *)map.p : "", map.n};
    if (archive_is_packed(l.name, str_sub(bytes, 0, BYTES_HEAD))) {
        const struct ingest_opts *o = w->o;
        struct archive_limits limits = {o->max_total, o->max_entries, o->max_ratio};
        struct archive_stream *a = NULL;
        ok = archive_stream_open(path, &limits, &a, e) && take_archive(w, a, &l, e);
        archive_stream_close(a);
    } else {
        l.in = bytes_of(&bytes);
        ok = take_file(w, &l, e);
    }
    fs_map_close(&map);
    return ok;
}

bool walk_file(const struct ingest_opts *o, const struct source *s, size_t file, walk_fn fn,
               void *ctx, struct err *e)
{
    const struct source_file *f = &s->files[file];
    struct walk w = {.o = o, .s = s, .fn = fn, .ctx = ctx};
    bool ok = true;

    format_scratch_init(&w.scratch, o->max_entry);
    sbuf_init(&w.whole, o->max_entry + 64);
    for (size_t i = 0; ok && i < f->npaths; i++) {
        w.member = f->npaths > 1 ? i : 0;
        ok = take_path(&w, f->paths[i].p, e);
        /* A loose file's name may say whose report it is. */
        if (!ok && f->npaths > 1) err_wrap(e, "file %zu of a group of %zu", i, f->npaths);
    }
    format_scratch_free(&w.scratch);
    sbuf_free(&w.whole);
    return ok;
}
