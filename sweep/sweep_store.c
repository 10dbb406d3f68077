#include "sweep/sweep_store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "sweep/alive.h"

enum { NAME_MAX_BYTES = 200, SWEEP_JSON_MAX = 8 << 20, PIECE = 1 << 20 };

/* How far one worker's journal was read. */
struct journal_file {
    char name[NAME_MAX_BYTES];
    uint64_t offset;
    bool torn;
};
struct sweep_store {
    char *dir;
    char name[NAME_MAX_BYTES], card[PATH_MAX];
    struct fs_append *log; /* NULL: only reading */
    struct sbuf line;
    uint64_t claim_dir; /* last one made, + 1 */
    bool prepare_dir;
    struct journal_file *files;
    size_t nfiles, cap_files;
    char *piece; /* PIECE bytes for reading */
    struct sweep_damage damage;
};

static bool path_to(const struct sweep_store *s, char out[PATH_MAX], struct err *e, const char *fmt,
                    ...) PRINTF_LIKE(4, 5);
static bool path_to(const struct sweep_store *s, char out[PATH_MAX], struct err *e, const char *fmt,
                    ...)
{
    va_list ap;
    int n = snprintf(out, PATH_MAX, "%s/", s->dir), m = 0;

    if (n > 0 && n < PATH_MAX) {
        va_start(ap, fmt);
        m = vsnprintf(out + n, (size_t)(PATH_MAX - n), fmt, ap);
        va_end(ap);
        if (m > 0 && m < PATH_MAX - n) return true;
    }
    return err_set(e, ERR_LIMIT, "the path of sweep.dir is too long");
}

/* ---- making and opening */

bool sweep_store_make(const char *dir, struct str text, struct arena *a, struct str *stands,
                      struct err *e)
{
    static const char *const folders[] = {"worker", "log", "claim", "trials", NULL};
    const char *path, *mine;
    char name[64];
    uint64_t r;
    bool won = false, ok;

    for (size_t i = 0; folders[i]; i++)
        if (!fs_join(a, dir, folders[i], &path, e) || !fs_mkdirs(path, e)) return false;
    if (!fs_join(a, dir, "sweep.json", &path, e)) return false;
    if (!fs_exists(path)) {
        if (!alive_random(&r, e)) return false;
        snprintf(name, sizeof name, "worker/sweep-%016" PRIx64, r);
        if (!fs_join(a, dir, name, &mine, e)) return false;
        ok = fs_replace(mine, text, e) && fs_link_once(mine, path, &won, e) && fs_sync_dir(dir, e);
        if (!ok || !fs_remove(mine, e)) return false;
    }
    return fs_read_file(path, SWEEP_JSON_MAX, a, stands, e);
}

bool sweep_store_open(const char *dir, struct sweep_store **out, struct err *e)
{
    struct sweep_store *s = mem_calloc(1, sizeof *s, e);

    if (!s) return false;
    sbuf_init(&s->line, 2 * SWEEP_LINE_MAX);
    s->dir = mem_strdup(dir, e);
    if (s->dir) s->piece = mem_alloc(PIECE, e);
    if (!s->dir || !s->piece) {
        sweep_store_close(s);
        return false;
    }
    *out = s;
    return true;
}

bool sweep_store_join(struct sweep_store *s, const char *job, struct err *e)
{
    char log[PATH_MAX];
    struct sbuf b;
    uint64_t r;
    bool ok = false;

    if (!alive_random(&r, e)) return false;
    snprintf(s->name, sizeof s->name, "%.100s%s%016" PRIx64, job ? job : "", job ? "-" : "", r);
    for (char *c = s->name; *c; c++)
        if (*c == '/' || *c == '.') *c = '_';
    sbuf_init(&b, ALIVE_CARD_MAX);
    if (!path_to(s, s->card, e, "worker/%s.json", s->name)) goto out;
    if (!path_to(s, log, e, "log/%s.jsonl", s->name)) goto out;
    if (!alive_put(s->name, job, &b, e) || !fs_replace(s->card, sbuf_str(&b), e)) goto out;
    ok = fs_append_open(log, &s->log, e);
out:
    sbuf_free(&b);
    return ok;
}

void sweep_store_close(struct sweep_store *s)
{
    if (!s) return;
    fs_append_close(s->log);
    sbuf_free(&s->line);
    mem_free(s->files);
    mem_free(s->piece);
    mem_free(s->dir);
    mem_free(s);
}

const char *sweep_store_name(const struct sweep_store *s)
{
    return s->name;
}

/* ---- writing */

bool sweep_store_put(struct sweep_store *s, const struct space *space, const struct sweep_record *r,
                     struct err *e)
{
    CHECK(s->log != NULL);
    sbuf_clear(&s->line);
    if (!sweep_journal_put(space, r, &s->line, e)) return false;
    struct str line = {s->line.p, s->line.n - 1}; /* the newline is fs_append's */
    return fs_append_line(s->log, line, e) && fs_append_sync(s->log, e);
}

bool sweep_store_touch(struct sweep_store *s, struct err *e)
{
    return fs_touch(s->card, e);
}

/* ---- reading */

struct reading {
    struct sweep_store *s;
    const struct space *space;
    sweep_store_fn fn;
    void *ctx;
    struct journal_file *f;
    uint64_t offset; /* of the line in its file */
};

static void damaged(struct reading *r)
{
    struct sweep_damage *d = &r->s->damage;

    if (d->lines++ > 0) return;
    snprintf(d->first, sizeof d->first, "log/%s", r->f->name);
    d->first_offset = r->offset;
    log_warn("journal_damaged", "file=%s offset=%" PRIu64 " what=\"record skipped\"", r->f->name,
             r->offset);
}

/* False: not a record, and *e is clean; or fn failed. */
static bool one_record(struct reading *r, struct str line, struct err *e)
{
    struct sweep_record rec;
    struct err why = {0};
    char worker[NAME_MAX_BYTES];
    json_t *keep = NULL;

    if (!sweep_journal_get(r->space, line, &rec, &keep, &why)) return false;
    snprintf(worker, sizeof worker, "%.*s", (int)(strlen(r->f->name) - strlen(".jsonl")),
             r->f->name);
    bool ok = r->fn(r->ctx, &rec, worker, e);
    json_decref(keep);
    return ok;
}

/* A line that does not hold: its newline may be the flipped byte, so whole records may stand before
 * and behind the place where one begins. */
static bool salvage(struct reading *r, struct str line, struct err *e)
{
    static const struct str head = STR_INIT("{\"op\":\"");
    struct str ignored;
    size_t from = 0;

    damaged(r);
    for (size_t at = str_find(line, head, 1); at != SIZE_MAX; at = str_find(line, head, at + 1)) {
        struct str left = str_sub(line, from, at - 1), right = str_sub(line, at, line.n);
        if (sweep_journal_check(left, &ignored) && !one_record(r, left, e) && e->code) return false;
        if (sweep_journal_check(right, &ignored)) return one_record(r, right, e) || !e->code;
        from = at;
    }
    return true;
}

static bool one_line(struct reading *r, struct str line, struct err *e)
{
    if (one_record(r, line, e)) return true;
    return e->code ? false : salvage(r, line, e);
}

/* The whole lines of what is new in a journal. */
static bool read_file(struct reading *r, const struct fs_file *file, struct err *e)
{
    struct journal_file *f = r->f;

    while (f->offset < file->size_bytes) {
        uint64_t left = file->size_bytes - f->offset;
        size_t n = left < PIECE ? (size_t)left : PIECE, at = 0;
        if (!fs_file_read(file, f->offset, r->s->piece, n, e)) return false;
        for (;;) {
            const char *end = memchr(r->s->piece + at, '\n', n - at);
            if (!end) break;
            size_t len = (size_t)(end - r->s->piece) - at;
            r->offset = f->offset + at;
            if (!one_line(r, (struct str){r->s->piece + at, len}, e)) return false;
            at += len + 1;
        }
        if (at == 0 && n == PIECE) { /* no newline in a megabyte: nothing of ours */
            r->offset = f->offset;
            damaged(r);
            at = n;
        }
        f->offset += at;
        f->torn = at < n && n == left;
        if (f->torn) return true;
    }
    f->torn = false;
    return true;
}

static bool file_of(struct sweep_store *s, struct str name, struct journal_file **out,
                    struct err *e)
{
    for (size_t i = 0; i < s->nfiles; i++)
        if (str_eqz(name, s->files[i].name)) {
            *out = &s->files[i];
            return true;
        }
    if (!mem_grow((void **)&s->files, &s->cap_files, s->nfiles + 1, sizeof *s->files, e))
        return false;
    *out = &s->files[s->nfiles++];
    **out = (struct journal_file){.offset = 0};
    snprintf((*out)->name, sizeof(*out)->name, "%.*s", STR_ARG(name));
    return true;
}

static bool read_one(struct reading *r, struct str name, struct err *e)
{
    struct fs_file file;
    char path[PATH_MAX];

    if (name.n >= NAME_MAX_BYTES || !str_ends(name, STR(".jsonl"))) return true; /* not ours */
    if (!file_of(r->s, name, &r->f, e)) return false;
    if (!path_to(r->s, path, e, "log/%s", r->f->name)) return false;
    if (!fs_file_open(path, &file, e)) return false; /* opening is what makes NFS look again */
    bool ok = read_file(r, &file, e);
    fs_file_close(&file);
    return ok || err_wrap(e, "%s", path);
}

bool sweep_store_read(struct sweep_store *s, const struct space *space, sweep_store_fn fn,
                      void *ctx, struct err *e)
{
    struct reading r = {.s = s, .space = space, .fn = fn, .ctx = ctx};
    char path[PATH_MAX];
    struct str *names;
    struct arena a;
    size_t n;
    bool ok = false;

    arena_init(&a, (size_t)64 << 20);
    if (!path_to(s, path, e, "log")) goto out;
    if (!fs_list(path, &a, &names, &n, e)) goto out;
    for (size_t i = 0; i < n; i++)
        if (!read_one(&r, names[i], e)) goto out;
    s->damage.torn = 0;
    for (size_t i = 0; i < s->nfiles; i++)
        s->damage.torn += s->files[i].torn;
    ok = true;
out:
    arena_free(&a);
    return ok;
}

struct sweep_damage sweep_store_damage(const struct sweep_store *s)
{
    return s->damage;
}

/* ---- claims */

static bool claim_path(const struct sweep_store *s, const struct sweep_unit *u, char out[PATH_MAX],
                       struct err *e)
{
    if (u->prepare) return path_to(s, out, e, "claim/prepare/%" PRIu64 ".%u", u->trial, u->attempt);
    return path_to(s, out, e, "claim/%" PRIu64 "/%" PRIu64 ".%u.%u", u->trial / 256, u->trial,
                   u->rung, u->attempt);
}

static bool make_claim_dir(struct sweep_store *s, const struct sweep_unit *u, struct err *e)
{
    char path[PATH_MAX];

    if (u->prepare ? s->prepare_dir : s->claim_dir == u->trial / 256 + 1) return true;
    if (!(u->prepare ? path_to(s, path, e, "claim/prepare")
                     : path_to(s, path, e, "claim/%" PRIu64, u->trial / 256)) ||
        !fs_mkdirs(path, e))
        return false;
    if (u->prepare)
        s->prepare_dir = true;
    else
        s->claim_dir = u->trial / 256 + 1;
    return true;
}

bool sweep_store_claim(struct sweep_store *s, const struct sweep_unit *u, bool *won, struct err *e)
{
    char path[PATH_MAX];

    CHECK(s->log != NULL);
    return make_claim_dir(s, u, e) && claim_path(s, u, path, e) &&
           fs_link_once(s->card, path, won, e);
}

/* Seconds since path changed, by the clock of its file server; our card, just touched, is the
 * server's present. */
static bool silence(struct sweep_store *s, const char *path, double *out, bool *found,
                    struct err *e)
{
    double now, then;
    bool mine;

    if (!fs_mtime(path, &then, found, e)) return false;
    if (!*found) return true;
    if (!fs_touch(s->card, e) || !fs_mtime(s->card, &now, &mine, e)) return false;
    *out = mine ? now - then : 0;
    return true;
}

static bool silent_for(struct sweep_store *s, const char *claim, const char *sign, double lease_s,
                       bool *out, struct err *e)
{
    double since = 0, work = 0;
    bool found, worked = false;

    if (!silence(s, claim, &since, &found, e)) return false;
    if (sign && !silence(s, sign, &work, &worked, e)) return false;
    *out = found && since > lease_s && (!worked || work > lease_s);
    return true;
}

bool sweep_store_gone(struct sweep_store *s, const struct sweep_unit *u, const char *sign,
                      double lease_s, const struct sweep_jobs *jobs, bool *gone, struct err *e)
{
    char path[PATH_MAX];
    struct alive_card card = {.state = ALIVE_ELSEWHERE};
    struct err why = {0};
    struct str text;
    struct arena a;

    *gone = true;
    if (!claim_path(s, u, path, e)) return false;
    if (!fs_exists(path)) return true;
    arena_init(&a, 2 * ALIVE_CARD_MAX);
    if (fs_read_file(path, ALIVE_CARD_MAX, &a, &text, &why)) alive_read(text, &card);
    arena_free(&a);
    *gone = card.state == ALIVE_GONE;
    if (card.state != ALIVE_ELSEWHERE) return true;
    if (!silent_for(s, path, sign, lease_s, gone, e)) return false;
    if (*gone && card.job[0] && jobs && jobs->ask)
        *gone = jobs->ask(jobs->ctx, card.job) != SWEEP_JOB_THERE;
    return true;
}
