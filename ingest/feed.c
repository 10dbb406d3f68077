#include "ingest/feed.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "ingest/block_impl.h"
#include "ingest/walk.h"

uint64_t feed_least = 1 << 20;

/* ---- items as bytes: between our own ranks, so lengths are taken at their word */
enum { TEXTS = 7 + SEC_COUNT, PROGRESS_EVERY = 256 };

struct block_head {
    uint64_t block, first_entry, items, last;
};
struct packed {
    uint64_t entry, offset, member, time, text[TEXTS];
    int32_t kind, reason, split, status, fallback, table;
};

static void texts_of(struct report_input *in, struct str *out[TEXTS])
{
    struct str *const some[] = {&in->text,   &in->patient, &in->study,      &in->reader,
                                &in->column, &in->code,    &in->description};
    size_t n = sizeof some / sizeof *some;

    memcpy(out, some, sizeof some);
    for (size_t i = 0; i < SEC_COUNT; i++)
        out[n + i] = &in->section[i];
}

static bool pack(struct sbuf *to, struct format_item *item, struct err *e)
{
    struct report_input *in = &item->in;
    struct str *texts[TEXTS];
    struct packed p = {
        .entry = in->entry,
        .offset = in->offset,
        .member = in->member,
        .time = in->time,
        .kind = (int32_t)item->kind,
        .reason = (int32_t)item->reason,
        .split = in->split,
        .status = (int32_t)in->status,
        .fallback = (int32_t)in->fallback,
        .table = in->table,
    };

    texts_of(in, texts);
    for (size_t i = 0; i < TEXTS; i++)
        p.text[i] = item->kind == ITEM_REPORT ? texts[i]->n : 0;
    if (!sbuf_put(to, (struct str){(const char *)&p, sizeof p}, e)) return false;
    for (size_t i = 0; i < TEXTS; i++) {
        if (p.text[i] && !sbuf_put(to, *texts[i], e)) return false;
    }
    return true;
}

/* *from moves on behind it; the item borrows. */
static void unpack(struct str *from, struct format_item *out)
{
    struct report_input *in = &out->in;
    struct str *texts[TEXTS];
    struct packed p;

    CHECK(from->n >= sizeof p);
    memcpy(&p, from->p, sizeof p);
    *from = str_sub(*from, sizeof p, from->n);
    *out = (struct format_item){.kind = (enum format_kind)p.kind,
                                .reason = (enum record_reject)p.reason};
    in->entry = p.entry;
    in->offset = p.offset;
    in->member = p.member;
    in->time = p.time;
    in->split = p.split;
    in->status = (enum record_status)p.status;
    in->fallback = (enum record_modality)p.fallback;
    in->table = p.table != 0;
    texts_of(in, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        CHECK(p.text[i] <= from->n);
        *texts[i] = str_sub(*from, 0, p.text[i]);
        *from = str_sub(*from, p.text[i], from->n);
    }
}

static bool make_block(const struct source *s, size_t file, struct block_work *w, struct str bytes,
                       struct err *e)
{
    struct block_head h;
    struct block_maker m;
    struct format_item item;

    CHECK(bytes.n >= sizeof h);
    memcpy(&h, bytes.p, sizeof h);
    bytes = str_sub(bytes, sizeof h, bytes.n);
    if (!block_maker_begin(s, file, h.block, h.first_entry, w, &m, e)) return false;
    for (uint64_t i = 0; i < h.items; i++) {
        unpack(&bytes, &item);
        if (!block_maker_item(&m, &item, e)) return false;
    }
    return block_maker_commit(&m, h.last != 0, e);
}

/* ---- the decoder */
struct posted {
    struct comm_post *post; /* NULL: nothing on its way */
    struct sbuf bytes;
    bool answered; /* the rank has failed: it says so once, before the end or there */
};
struct feeder {
    struct comm *c;
    const struct source *source;
    size_t file;
    struct block_work *work;
    struct sbuf filling; /* a head and items */
    struct block_head head;
    struct posted *posted; /* by rank; the decoder's own is not used */
    int next;              /* whose turn it is */
    bool failed;           /* some other rank has */
};

static bool begin_block(struct feeder *f, struct err *e)
{
    f->head.items = 0;
    sbuf_clear(&f->filling);
    return sbuf_put(&f->filling, (struct str){(const char *)&f->head, sizeof f->head}, e);
}

/* Take back what was received, see who failed; how many bytes are still on their way? */
static size_t look_around(struct feeder *f)
{
    size_t waiting = 0, n;

    for (int r = 0; r < comm_size(f->c); r++) {
        struct posted *p = &f->posted[r];
        uint8_t answer;
        if (r == comm_rank(f->c)) continue;
        if (p->post && comm_post_done(f->c, p->post)) {
            comm_post_close(f->c, p->post);
            p->post = NULL;
        }
        if (p->post) waiting += p->bytes.n;
        if (p->answered || !comm_peek(f->c, r, &n)) continue;
        CHECK(n == sizeof answer);
        comm_receive(f->c, &answer, n, r);
        p->answered = true;
        f->failed = true; /* nobody answers before the end otherwise */
    }
    return waiting;
}

/* -1: nobody is free. */
static int free_rank(struct feeder *f)
{
    int size = comm_size(f->c);

    for (int i = 0; i < size; i++) {
        int r = (f->next + i) % size;
        if (r == comm_rank(f->c) || f->posted[r].post) continue;
        f->next = (r + 1) % size;
        return r;
    }
    return -1;
}

static bool end_block(struct feeder *f, bool last, struct err *e)
{
    struct posted *p;
    int to = -1;

    f->head.last = last;
    memcpy(f->filling.p, &f->head, sizeof f->head);
    if (look_around(f) < FEED_POSTED) to = free_rank(f);
    if (f->failed) return true;
    if (to < 0) return make_block(f->source, f->file, f->work, sbuf_str(&f->filling), e);
    p = &f->posted[to];
    struct sbuf swap = p->bytes;
    p->bytes = f->filling;
    f->filling = swap;
    p->post = comm_post_open(f->c, p->bytes.p, p->bytes.n, to);
    return true;
}

static bool take(void *ctx, struct format_item *item, struct err *e)
{
    struct feeder *f = ctx;

    if (f->head.items == RECORD_BLOCK_ENTRIES) {
        if (stop_requested())
            return err_set(e, ERR_STOPPED, "stopped as asked; finished blocks are kept");
        if (!end_block(f, false, e)) return false;
        /* Its own error comes with comm_agree; here it is enough to end. */
        if (f->failed) return err_set(e, ERR_LIB, "another rank failed");
        f->head.block++;
        f->head.first_entry += f->head.items;
        if (!begin_block(f, e)) return false;
    } else if (f->head.items % PROGRESS_EVERY == 0) {
        (void)look_around(f); /* bytes on their way may wait for us */
    }
    if (item->kind == ITEM_REJECT && item->line > 0)
        log_warn("bad-row", "source=%s file=%u line=%llu reason=%s", f->source->o->name,
                 f->source->files[f->file].number, (unsigned long long)item->line,
                 record_reject_names[item->reason]);
    item->in.entry = f->head.first_entry + f->head.items++;
    return pack(&f->filling, item, e);
}

/* An empty message ends every rank's work; each answers once. */
static void end_others(struct feeder *f)
{
    for (int r = 0; r < comm_size(f->c); r++) {
        struct posted *p = &f->posted[r];
        struct comm_post *end;
        uint8_t answer;
        if (r == comm_rank(f->c)) continue;
        comm_post_close(f->c, p->post);
        end = comm_post_open(f->c, "", 0, r);
        if (!p->answered) comm_receive(f->c, &answer, comm_await(f->c, r), r);
        comm_post_close(f->c, end);
        sbuf_free(&p->bytes);
    }
}

static bool decode(struct comm *c, const struct source_set *set, const struct source *s,
                   size_t file, struct block_work *w, struct err *e)
{
    struct feeder f = {.c = c, .source = s, .file = file, .work = w};
    bool ok;

    f.posted = mem_alloc_or_abort((size_t)comm_size(c) * sizeof *f.posted);
    memset(f.posted, 0, (size_t)comm_size(c) * sizeof *f.posted);
    sbuf_init(&f.filling, COMM_POST_BYTES - 1);
    for (int r = 0; r < comm_size(c); r++)
        sbuf_init(&f.posted[r].bytes, COMM_POST_BYTES - 1);
    ok = block_builder(set, w, e) && begin_block(&f, e) &&
         walk_file(set->o, s, file, take, &f, e) && end_block(&f, true, e);
    end_others(&f);
    if (f.failed && !ok) {
        err_clear(e); /* the other rank's error is the one to tell */
        ok = true;
    }
    sbuf_free(&f.filling);
    mem_free(f.posted);
    return ok;
}

/* ---- the others */
static void answer(struct comm *c, int decoder)
{
    comm_post_close(c, comm_post_open(c, &(uint8_t){0}, 1, decoder));
}

static bool serve(struct comm *c, const struct source_set *set, const struct source *s, size_t file,
                  int decoder, struct block_work *w, struct err *e)
{
    bool ok = block_builder(set, w, e), told = !ok;
    char *bytes = NULL;
    size_t cap = 0, n;

    if (told) answer(c, decoder);
    while ((n = comm_await(c, decoder)) > 0) {
        if (n > cap) {
            mem_free(bytes);
            cap = n + n / 4;
            bytes = mem_alloc_or_abort(cap); /* what is not taken would hold up the decoder */
        }
        comm_receive(c, bytes, n, decoder);
        if (ok) ok = make_block(s, file, w, (struct str){bytes, n}, e);
        if (!ok && !told) answer(c, decoder);
        told = !ok;
    }
    comm_receive(c, bytes, 0, decoder);
    if (!told) answer(c, decoder);
    mem_free(bytes);
    return ok;
}

bool feed_stream(struct comm *c, const struct source_set *set, const struct source *s, size_t file,
                 int decoder, struct block_work *w, struct err *e)
{
    bool ok = true, found = false;
    uint8_t there;

    if (comm_rank(c) == decoder) ok = block_reuse_stream(s, file, &w->list, &found, e);
    if (!comm_agree(c, ok, e)) return false;
    there = found;
    comm_bcast(c, &there, 1, decoder);
    if (there) return true;
    ok = comm_rank(c) == decoder ? decode(c, set, s, file, w, e)
                                 : serve(c, set, s, file, decoder, w, e);
    if (!ok) err_wrap(e, "source %s, %s", s->o->name, s->files[file].path);
    return comm_agree(c, ok, e);
}
