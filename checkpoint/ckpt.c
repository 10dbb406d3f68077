#include "checkpoint/ckpt.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "checkpoint/ckpt_dir.h"
#include "checkpoint/ckpt_format.h"

/* Room for a table of CKPT_ITEMS_MAX entries, or for the names of very many folders. */
#define WORK_ARENA_MAX ((size_t)64 << 20)

/* ---- reading, on one rank */

struct opened {
    struct fs_file file;
    struct str head; /* mem_alloc'ed */
    struct ckpt_head h;
};

static void close_arrays(struct opened *o)
{
    mem_free((void *)(uintptr_t)o->head.p);
    fs_file_close(&o->file);
    *o = (struct opened){.file = {.fd = -1}};
}

static bool read_head(struct opened *o, struct arena *a, struct err *e)
{
    char fixed[CKPT_FIXED_BYTES];
    uint64_t head_bytes;
    if (!fs_file_read(&o->file, 0, fixed, sizeof fixed, e)) return false;
    if (!ckpt_head_size((struct str){fixed, sizeof fixed}, &head_bytes, e)) return false;
    if (head_bytes > o->file.size_bytes) return err_set(e, ERR_FORMAT, "the file ends early");
    char *p = mem_alloc((size_t)head_bytes, e);
    if (!p) return false;
    o->head = (struct str){p, (size_t)head_bytes};
    return fs_file_read(&o->file, 0, p, o->head.n, e) &&
           ckpt_head_parse(o->head, o->file.size_bytes, a, &o->h, e);
}

/* Does COMPLETE speak of this very file? */
static bool check_mark(const struct ckpt_paths *p, const struct opened *o, struct err *e)
{
    struct ckpt_mark marks[2];
    size_t n;
    struct hash128 digest = hash_xxh128(o->head.p, o->head.n);
    if (!ckpt_mark_read(p, marks, &n, e)) return false;
    if (n == 0) return err_set(e, ERR_FORMAT, "no COMPLETE marker");
    for (size_t i = 0; i < n; i++)
        if (marks[i].file_bytes == o->file.size_bytes && marks[i].digest.lo == digest.lo &&
            marks[i].digest.hi == digest.hi)
            return true;
    return err_set(e, ERR_FORMAT, "arrays.rmck is not the file that COMPLETE names");
}

static bool open_arrays(const struct ckpt_paths *p, uint64_t step, struct arena *a,
                        struct opened *o, struct err *e)
{
    *o = (struct opened){.file = {.fd = -1}};
    if (!fs_exists(p->arrays)) return err_set(e, ERR_FORMAT, "%s is missing", p->arrays);
    if (!fs_file_open(p->arrays, &o->file, e)) return false;
    if (!read_head(o, a, e) || !check_mark(p, o, e)) return err_wrap(e, "%s", p->arrays);
    if (o->h.step == step) return true;
    return err_set(e, ERR_FORMAT, "%s: holds step %llu", p->arrays, (unsigned long long)o->h.step);
}

/* The zeros between what ends at *end and the array, then the array, which moves *end. */
static bool read_array(const struct opened *o, const struct ckpt_entry *entry, uint64_t *end,
                       void *to, struct err *e)
{
    static const char zeros[64];
    char pad[64];
    size_t gap = (size_t)(entry->offset - *end);
    CHECK(gap < sizeof pad); /* ckpt_head_parse saw to it */
    *end = entry->offset + entry->bytes;
    if (!fs_file_read(&o->file, entry->offset - gap, pad, gap, e)) return false;
    if (entry->bytes && !fs_file_read(&o->file, entry->offset, to, (size_t)entry->bytes, e))
        return false;
    struct hash128 sum = hash_xxh128(to, (size_t)entry->bytes);
    if (sum.lo == entry->sum.lo && sum.hi == entry->sum.hi && memcmp(pad, zeros, gap) == 0)
        return true;
    return err_set(e, ERR_FORMAT, "checksum of '%.*s' does not hold", STR_ARG(entry->name));
}

/* ---- save */

static bool put_arrays(struct fs_writer *w, struct str head, const struct ckpt_item *items,
                       size_t n, struct err *e)
{
    static const char zeros[64];
    if (!fs_writer_put(w, head.p, head.n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        size_t pad = (size_t)(-fs_writer_bytes(w) % 64);
        size_t bytes = (size_t)(items[i].count * ckpt_dtype_bytes(items[i].dtype));
        if (!fs_writer_put(w, zeros, pad, e) || !fs_writer_put(w, items[i].data, bytes, e))
            return false;
    }
    return true;
}

static bool write_arrays(const struct ckpt_paths *p, struct str head, const struct ckpt_item *items,
                         size_t n, uint64_t file_bytes, struct err *e)
{
    struct fs_writer *w = NULL;
    bool ok = false;
    if (!fs_writer_open(p->arrays, &w, e)) goto out;
    if (!put_arrays(w, head, items, n, e)) goto out;
    CHECK(fs_writer_bytes(w) == file_bytes);
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    return ok;
}

/* The mark of the file that is there now, if it is a checkpoint. Its arrays are not read: they are
 * about to be replaced. */
static bool old_mark(const struct ckpt_paths *p, uint64_t step, struct ckpt_mark *out, bool *found,
                     struct err *e)
{
    struct arena a;
    struct opened o;
    *found = false;
    if (!fs_exists(p->mark)) return true;
    arena_init(&a, WORK_ARENA_MAX);
    bool ok = open_arrays(p, step, &a, &o, e);
    if (ok) {
        *found = true;
        *out = (struct ckpt_mark){o.file.size_bytes, hash_xxh128(o.head.p, o.head.n)};
    } else if (e->code == ERR_FORMAT) { /* damaged: nothing to keep */
        err_clear(e);
        ok = true;
    }
    close_arrays(&o);
    arena_free(&a);
    return ok;
}

/* Write arrays and marker so that at every moment the step's folder holds no checkpoint, the old
 * one or the new one. */
static bool write_step(const struct ckpt_paths *p, uint64_t step, struct str head,
                       const struct ckpt_item *items, size_t n, uint64_t file_bytes, struct err *e)
{
    struct ckpt_mark marks[2] = {0}; /* old, new */
    bool old;
    if (!fs_mkdirs(p->dir, e) || !fs_gc_tmp(p->dir, e)) return false;
    if (!old_mark(p, step, &marks[0], &old, e)) return false;
    marks[1] = (struct ckpt_mark){file_bytes, hash_xxh128(head.p, head.n)};
    if (old) {
        if (!ckpt_mark_write(p, marks, 2, e)) return false;
    } else if (fs_exists(p->mark)) {
        if (!fs_remove(p->mark, e) || !fs_sync_dir(p->dir, e)) return false;
    }
    return write_arrays(p, head, items, n, file_bytes, e) && ckpt_mark_write(p, &marks[1], 1, e);
}

static bool save_local(const char *dir, uint64_t step, const struct ckpt_item *items, size_t n,
                       struct str meta, struct err *e)
{
    struct ckpt_paths p;
    struct sbuf head;
    uint64_t file_bytes;
    sbuf_init(&head, CKPT_HEAD_MAX + CKPT_META_MAX + CKPT_FIXED_BYTES);
    bool ok = ckpt_paths(dir, step, &p, e) &&
              ckpt_head_build(step, items, n, meta, &head, &file_bytes, e) &&
              write_step(&p, step, sbuf_str(&head), items, n, file_bytes, e);
    sbuf_free(&head);
    return ok || err_wrap(e, "checkpoint of step %llu", (unsigned long long)step);
}

bool ckpt_save(struct comm *c, const char *dir, uint64_t step, const struct ckpt_item *items,
               size_t nitems, struct str meta_json, uint32_t keep, const uint64_t *pinned,
               size_t npinned, struct err *e)
{
    bool ok = true;
    CHECK(keep > 0);
    if (comm_rank(c) == 0) {
        ok = save_local(dir, step, items, nitems, meta_json, e);
        if (ok && !ckpt_retain(dir, step, keep, pinned, npinned, e))
            ok = err_wrap(e, "step %llu is saved, but older ones cannot be dropped",
                          (unsigned long long)step);
    }
    return comm_agree(c, ok, e);
}

/* ---- find */

/* Read everything once and check every sum. */
static bool verify(const char *dir, uint64_t step, struct err *e)
{
    struct arena a;
    struct ckpt_paths p;
    struct opened o = {.file = {.fd = -1}};
    void *buf = NULL;
    size_t cap = 0;
    bool ok = false;
    arena_init(&a, WORK_ARENA_MAX);
    if (!ckpt_paths(dir, step, &p, e) || !open_arrays(&p, step, &a, &o, e)) goto out;
    uint64_t end = o.head.n;
    for (size_t i = 0; i < o.h.n; i++) {
        if (!mem_grow(&buf, &cap, (size_t)o.h.entries[i].bytes, 1, e)) goto out;
        if (!read_array(&o, &o.h.entries[i], &end, buf, e)) {
            err_wrap(e, "%s", p.arrays);
            goto out;
        }
    }
    ok = true;
out:
    mem_free(buf);
    close_arrays(&o);
    arena_free(&a);
    return ok;
}

static bool find_local(const char *dir, uint64_t *step, bool *found, struct err *e)
{
    struct arena a;
    struct ckpt_paths p;
    uint64_t *steps;
    size_t n;
    bool ok = false;
    *found = false;
    *step = 0;
    arena_init(&a, WORK_ARENA_MAX);
    if (!ckpt_steps(dir, &a, &steps, &n, e)) goto out;
    for (size_t i = 0; i < n && !*found; i++) {
        if (!ckpt_paths(dir, steps[i], &p, e)) goto out;
        if (!fs_exists(p.mark)) continue;
        *found = verify(dir, steps[i], e);
        if (*found) {
            *step = steps[i];
        } else if (e->code == ERR_FORMAT) { /* damaged: an older one is the best there is */
            log_warn("checkpoint.damaged", "step=%llu error=%s", (unsigned long long)steps[i],
                     e->text);
            err_clear(e);
        } else {
            goto out; /* may well be there when the disk or the memory is */
        }
    }
    ok = true;
out:
    arena_free(&a);
    return ok;
}

bool ckpt_find(struct comm *c, const char *dir, uint64_t *step, bool *found, struct err *e)
{
    uint64_t answer[2] = {0, 0};
    bool ok = true, here = false;
    if (comm_rank(c) == 0) {
        ok = find_local(dir, &answer[0], &here, e);
        answer[1] = here;
    }
    if (!comm_agree(c, ok, e)) return err_wrap(e, "checkpoints in %s", dir);
    comm_bcast(c, answer, sizeof answer, 0);
    *step = answer[0];
    *found = answer[1] != 0;
    return true;
}

/* ---- load */

/* The first difference between what the caller has and what the file has. */
static bool match(const struct ckpt_head *h, const struct ckpt_item *items, size_t n, struct err *e)
{
    for (size_t i = 0; i < n && i < h->n; i++) {
        const struct ckpt_entry *x = &h->entries[i];
        if (!str_eqz(x->name, items[i].name))
            return err_set(e, ERR_FORMAT,
                           "array %zu is '%.*s' in the checkpoint, '%s' was expected", i,
                           STR_ARG(x->name), items[i].name);
        if (x->dtype != items[i].dtype || x->count != items[i].count)
            return err_set(e, ERR_FORMAT,
                           "'%s' is %s[%llu] in the checkpoint, %s[%llu] was expected",
                           items[i].name, ckpt_dtype_name(x->dtype), (unsigned long long)x->count,
                           ckpt_dtype_name(items[i].dtype), (unsigned long long)items[i].count);
    }
    if (h->n > n)
        return err_set(e, ERR_FORMAT, "the checkpoint also has '%.*s', which was not expected",
                       STR_ARG(h->entries[n].name));
    if (h->n < n) return err_set(e, ERR_FORMAT, "the checkpoint has no '%s'", items[h->n].name);
    return true;
}

/* Every rank gets rank 0's head and compares it with its own items. */
static bool share_head(struct comm *c, struct opened *o, struct ckpt_item *items, size_t n,
                       struct arena *a, struct err *e)
{
    bool ok = true, first = comm_rank(c) == 0;
    uint64_t sizes[2] = {o->head.n, o->file.size_bytes};
    char *p = (char *)(uintptr_t)o->head.p;
    comm_bcast(c, sizes, sizeof sizes, 0);
    if (!first) {
        p = mem_alloc((size_t)sizes[0], e);
        ok = p != NULL;
        o->head = (struct str){p, (size_t)sizes[0]};
    }
    if (!comm_agree(c, ok, e)) return false;
    comm_bcast(c, p, o->head.n, 0);
    if (!first) ok = ckpt_head_parse(o->head, sizes[1], a, &o->h, e);
    return comm_agree(c, ok && match(&o->h, items, n, e), e);
}

static bool load_arrays(const struct opened *o, struct ckpt_item *items, struct err *e)
{
    uint64_t end = o->head.n;
    for (size_t i = 0; i < o->h.n; i++)
        if (!read_array(o, &o->h.entries[i], &end, items[i].data, e)) return false;
    return true;
}

bool ckpt_load(struct comm *c, const char *dir, uint64_t step, struct ckpt_item *items,
               size_t nitems, struct arena *a, struct str *meta_json, struct err *e)
{
    struct arena work;
    struct ckpt_paths p;
    struct opened o = {.file = {.fd = -1}};
    bool first = comm_rank(c) == 0;
    arena_init(&work, WORK_ARENA_MAX);
    bool ok = !first || (ckpt_paths(dir, step, &p, e) && open_arrays(&p, step, &work, &o, e));
    ok = comm_agree(c, ok, e) && share_head(c, &o, items, nitems, &work, e);
    if (!ok) goto out;
    ok = arena_str(a, o.h.meta, meta_json, e) && (!first || load_arrays(&o, items, e));
    ok = comm_agree(c, ok, e);
    if (!ok) goto out;
    for (size_t i = 0; i < nitems; i++)
        comm_bcast(c, items[i].data, (size_t)(items[i].count * ckpt_dtype_bytes(items[i].dtype)),
                   0);
out:
    close_arrays(&o);
    arena_free(&work);
    if (!ok) err_wrap(e, "checkpoint of step %llu in %s", (unsigned long long)step, dir);
    return ok;
}
