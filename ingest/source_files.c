#include "ingest/source_files.h"

#include "base/mem.h"
#include "ingest/format.h"

enum { HASH_WINDOW = 4 << 20 };

/* ---- what it is */
/* A file that says it is a zip is one, or damaged; no other reader guesses at it. */
static bool looks_like_zip(const struct source_file *f)
{
    struct str path = str_of(f->path), head = {(const char *)f->map.p, f->map.n};

    return str_ends(path, STR(".zip")) || str_starts(head, STR("PK\x03\x04")) ||
           str_starts(head, STR("PK\x05\x06"));
}

/* The map of what looks like a zip stays. */
static bool look_at(const struct source *s, struct source_file *f, struct err *e)
{
    f->format = format_of(s->o->format);
    if (f->npaths > 1 || (s->o->format != FORMAT_AUTO && !f->format->one)) return true;
    if (!fs_map_open(f->path, &f->map, e)) return false;
    f->zip = looks_like_zip(f);
    if (!f->zip) fs_map_close(&f->map);
    return true;
}

/* ---- the directory of a zip */
/* As most archives are written. Then no name comes twice. */
static bool names_ascend(const struct zip_dir *d)
{
    for (size_t i = 1; i < d->n; i++) {
        if (str_cmp(zip_dir_name(d, i - 1), zip_dir_name(d, i)) >= 0) return false;
    }
    return true;
}

/* Entries whose name comes again later: as every unzip program has it, the last one counts. */
static bool find_shadowed(struct source_file *f, struct err *e)
{
    size_t size = 16, mask;
    uint32_t *slot;

    f->shadowed = mem_calloc(f->dir.n + 1, 1, e);
    if (!f->shadowed) return false;
    if (names_ascend(&f->dir)) return true;
    while (size < 2 * f->dir.n)
        size *= 2;
    mask = size - 1;
    slot = mem_calloc(size, sizeof *slot, e);
    if (!slot) return false;
    for (size_t i = 0; i < f->dir.n; i++) {
        struct str name = zip_dir_name(&f->dir, i);
        size_t at = hash_xxh64(name.p, name.n, 0) & mask;
        while (slot[at] && !str_eq(zip_dir_name(&f->dir, slot[at] - 1), name))
            at = (at + 1) & mask;
        if (slot[at]) f->shadowed[slot[at] - 1] = 1;
        slot[at] = (uint32_t)i + 1;
    }
    mem_free(slot);
    return true;
}

/* The one format, of one report a file, that all names in the zip tell; NULL: none. */
static const struct format *common_format(const struct zip_dir *d)
{
    const struct format *common = NULL;

    for (size_t i = 0; i < d->n; i++) {
        struct str name = zip_dir_name(d, i);
        const struct format *f;
        if (format_is_litter(name)) continue;
        f = format_by_name(name);
        if (!f || (common && f != common)) return NULL;
        common = f;
    }
    return common;
}

static bool read_dir(const struct ingest_opts *o, struct source_file *f, struct err *e)
{
    struct str bytes = {(const char *)f->map.p, f->map.n};

    if (!zip_dir_read(bytes, o->max_entries, &f->dir, e)) return false;
    if (!f->format) f->format = common_format(&f->dir);
    f->zip = f->format != NULL; /* else it is read as a stream */
    if (!f->zip) return true;
    if (f->dir.size_bytes > o->max_total)
        return err_set(e, ERR_LIMIT, "unpacks to %llu bytes, more than corpus.max_total = %llu",
                       (unsigned long long)f->dir.size_bytes, (unsigned long long)o->max_total);
    return find_shadowed(f, e);
}

/* ---- digests */
static void hash_map(const struct fs_map *m, uint8_t out[32])
{
    struct sha256 h;

    sha256_init(&h);
    for (size_t at = 0; at < m->n; at += HASH_WINDOW) {
        sha256_put(&h, m->p + at, m->n - at < HASH_WINDOW ? m->n - at : HASH_WINDOW);
        fs_map_drop(m, at, at + HASH_WINDOW);
    }
    sha256_end(&h, out);
}

static bool hash_file(struct source_file *f, struct err *e)
{
    struct sha256 h;

    if (f->map.p) {
        hash_map(&f->map, f->sha256);
        return true;
    }
    if (f->npaths == 1) return sha256_file(f->path, f->sha256, e);
    sha256_init(&h);
    for (size_t i = 0; i < f->npaths; i++) {
        uint8_t digest[32];
        if (!sha256_file(f->paths[i].p, digest, e)) return false;
        sha256_put(&h, digest, sizeof digest);
    }
    sha256_end(&h, f->sha256);
    return true;
}

/* ---- over the ranks */
/* Files in turn: one rank hashes it, the next one reads its directory. */
static int hasher_of(const struct comm *c, size_t turn)
{
    return (int)(turn % (size_t)comm_size(c));
}

static int reader_of(const struct comm *c, size_t turn)
{
    return hasher_of(c, turn + 1);
}

/* A byte hashed, an entry of a directory read, against a packed byte of a zip inflated and made
 * records of: measured, about. */
enum { HASHED_BYTES = 32, ENTRY_COST = 5 };

static bool count_done(struct source_set *set, const struct comm *c, struct err *e)
{
    size_t turn = 0, size = (size_t)comm_size(c) * sizeof *set->done;

    set->done = arena_alloc(&set->arena, size, e);
    if (!set->done) return false;
    memset(set->done, 0, size);
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].nfiles; k++, turn++) {
            const struct source_file *f = &set->v[i].files[k];
            set->done[hasher_of(c, turn)] += f->bytes / HASHED_BYTES;
            set->done[reader_of(c, turn)] += f->dir.n * ENTRY_COST;
        }
    }
    return true;
}

static bool do_mine(const struct comm *c, const struct source_set *set, size_t *turn,
                    struct source *s, struct err *e)
{
    for (size_t k = 0; k < s->nfiles; k++, ++*turn) {
        struct source_file *f = &s->files[k];
        bool ok = look_at(s, f, e);
        if (ok && hasher_of(c, *turn) == comm_rank(c)) ok = hash_file(f, e);
        if (ok && f->zip && reader_of(c, *turn) == comm_rank(c)) ok = read_dir(set->o, f, e);
        if (!ok) return err_wrap(e, "source %s: %s", s->o->name, f->path);
    }
    return true;
}

/* A sum of digests and zeros is the digest. Collective. */
static bool share_digests(struct source_set *set, struct comm *c, size_t files, struct err *e)
{
    uint64_t *words = mem_calloc(files + 1, 32, e);
    size_t n = 0;

    if (!comm_agree(c, words != NULL, e)) {
        mem_free(words);
        return false;
    }
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].nfiles; k++)
            memcpy(words + 4 * n++, set->v[i].files[k].sha256, 32);
    }
    comm_sum_u64(c, words, 4 * n);
    n = 0;
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].nfiles; k++)
            memcpy(set->v[i].files[k].sha256, words + 4 * n++, 32);
    }
    mem_free(words);
    return true;
}

/* What the reader of a zip tells the others first. */
struct dir_head {
    uint64_t zip, n, data_end, size_bytes;
    int64_t format; /* enum ingest_format */
};

static struct dir_head head_of(const struct source_file *f)
{
    struct dir_head h = {f->zip, f->dir.n, f->dir.data_end, f->dir.size_bytes, FORMAT_AUTO};

    while (f->zip && format_of((int)h.format) != f->format)
        h.format--;
    return h;
}

static bool take_head(const struct dir_head *h, struct source_file *f, struct err *e)
{
    f->zip = h->zip != 0;
    f->format = format_of((int)h->format);
    f->dir.file = (struct str){(const char *)f->map.p, f->map.n};
    f->dir.data_end = h->data_end;
    f->dir.size_bytes = h->size_bytes;
    f->dir.n = f->dir.cap = h->n;
    f->dir.v = mem_alloc((h->n + 1) * sizeof *f->dir.v, e);
    f->shadowed = f->dir.v ? mem_alloc(h->n + 1, e) : NULL;
    return f->shadowed != NULL;
}

/* Collective. */
static bool share_dir(struct comm *c, struct source_file *f, int reader, struct err *e)
{
    struct dir_head h = head_of(f);
    bool ok = true;

    if (comm_size(c) == 1) return true;
    comm_bcast(c, &h, sizeof h, reader);
    if (!h.zip) {
        f->zip = false;
        return true;
    }
    if (comm_rank(c) != reader) ok = take_head(&h, f, e);
    if (!comm_agree(c, ok, e)) return false;
    comm_bcast(c, f->dir.v, h.n * sizeof *f->dir.v, reader);
    comm_bcast(c, f->shadowed, h.n, reader);
    return true;
}

bool source_files_open(struct source_set *set, struct comm *c, struct err *e)
{
    size_t turn = 0;
    bool ok = true;

    for (size_t i = 0; ok && i < set->n; i++)
        ok = do_mine(c, set, &turn, &set->v[i], e);
    if (!comm_agree(c, ok, e) || !share_digests(set, c, turn, e)) return false;
    turn = 0;
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].nfiles; k++, turn++) {
            struct source_file *f = &set->v[i].files[k];
            if (!f->map.p) continue;
            if (!share_dir(c, f, reader_of(c, turn), e)) return false;
            f->blocks = (f->dir.n + RECORD_BLOCK_ENTRIES - 1) / RECORD_BLOCK_ENTRIES;
            if (!f->zip) source_file_close(f);
        }
    }
    return comm_agree(c, count_done(set, c, e), e);
}

void source_file_close(struct source_file *f)
{
    zip_dir_free(&f->dir);
    mem_free(f->shadowed);
    f->shadowed = NULL;
    fs_map_close(&f->map);
}
