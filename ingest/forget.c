#include "ingest/forget.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ingest/manifest.h"
#include "ingest/split.h"

enum { DIGEST = 16, MAX_LIST_BYTES = 1 << 30, MAX_ID = 256, LINE_FIELDS = 3 };
#define LIST_NAME "forgotten.list"
static const size_t arena_bytes = (size_t)4 << 30;

struct entry {
    uint8_t id[DIGEST];
    uint32_t modality, split; /* bits */
    uint32_t given;           /* by this run */
};
struct forget_list {
    struct entry *v; /* sorted by id, each once */
    size_t n, cap;
    struct ids ids;
};

/* ---- the list */
static void digest_of(struct str patient, uint8_t out[DIGEST])
{
    struct sha256 h;
    uint8_t full[32];

    sha256_init(&h);
    sha256_put(&h, "radmill forget", 15);
    sha256_put(&h, patient.p, patient.n);
    sha256_end(&h, full);
    memcpy(out, full, DIGEST);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return memcmp(x->id, y->id, DIGEST);
}

static struct entry *find(const struct forget_list *l, struct str patient)
{
    struct entry key = {.given = 0};

    if (!l || l->n == 0 || patient.n == 0) return NULL;
    digest_of(patient, key.id);
    return bsearch(&key, l->v, l->n, sizeof *l->v, compare_entries);
}

bool forget_list_has(const struct forget_list *l, struct str patient)
{
    return find(l, patient) != NULL;
}

void forget_list_close(struct forget_list *l)
{
    if (!l) return;
    mem_free(l->v);
    mem_free(l);
}

static bool put_entry(struct forget_list *l, const struct entry *x, struct err *e)
{
    if (!mem_grow((void **)&l->v, &l->cap, l->n + 1, sizeof *l->v, e)) return false;
    l->v[l->n++] = *x;
    return true;
}

static void unite(struct forget_list *l)
{
    size_t kept = 0;

    if (l->n == 0) return;
    qsort(l->v, l->n, sizeof *l->v, compare_entries);
    for (size_t i = 0; i < l->n; i++) {
        if (kept > 0 && compare_entries(&l->v[i], &l->v[kept - 1]) == 0) {
            l->v[kept - 1].modality |= l->v[i].modality;
            l->v[kept - 1].split |= l->v[i].split;
            l->v[kept - 1].given |= l->v[i].given;
        } else {
            l->v[kept++] = l->v[i];
        }
    }
    l->n = kept;
}

/* "<32 hex> <modality bits> <split bits>" */
static bool read_line(struct forget_list *l, struct str line, struct err *e)
{
    struct entry x = {.given = 0};
    struct str field[LINE_FIELDS];
    uint64_t bits[2];

    for (size_t i = 0; i < LINE_FIELDS; i++) {
        if (!str_split(&line, ' ', &field[i])) return err_set(e, ERR_FORMAT, "a line is cut short");
    }
    if (!hash_unhex(field[0], x.id, DIGEST, e)) return false;
    if (!parse_u64(field[1], &bits[0], e) || !parse_u64(field[2], &bits[1], e)) return false;
    x.modality = (uint32_t)bits[0];
    x.split = (uint32_t)bits[1];
    return put_entry(l, &x, e);
}

/* The first line: whose ids these are digests of. */
static bool read_kind(const struct forget_list *l, struct str line, struct err *e)
{
    char want[IDS_TEXT];

    ids_describe(&l->ids, want);
    return str_eqz(str_trim(str_sub(line, 4, line.n)), want) ||
           err_set(e, ERR_CONFIG,
                   "made with other corpus.ids or another id_key_file: its patients would come "
                   "back. Use those again, or remove the list and forget all of them anew");
}

static bool read_list(const char *corpus_dir, struct forget_list *l, struct err *e)
{
    struct str text, line;
    const char *path;
    struct arena a;
    bool ok;

    arena_init(&a, arena_bytes);
    ok = fs_join(&a, corpus_dir, LIST_NAME, &path, e);
    if (ok && fs_exists(path)) {
        ok = fs_read_file(path, MAX_LIST_BYTES, &a, &text, e);
        while (ok && str_split(&text, '\n', &line))
            ok = line.n == 0 ||
                 (str_starts(line, STR("ids ")) ? read_kind(l, line, e) : read_line(l, line, e));
        if (!ok) err_wrap(e, "%s", path);
    }
    unite(l);
    arena_free(&a);
    return ok;
}

bool forget_list_open(const char *corpus_dir, const struct ids *ids, struct forget_list **out,
                      struct err *e)
{
    struct forget_list *l = mem_calloc(1, sizeof *l, e);
    bool ok = l != NULL;

    *out = NULL;
    if (ok) {
        l->ids = *ids;
        ok = read_list(corpus_dir, l, e);
    }
    if (ok && l->n > 0)
        *out = l;
    else
        forget_list_close(l);
    return ok;
}

static bool write_list(const char *corpus_dir, const struct forget_list *l, struct err *e)
{
    char hex[2 * DIGEST + 1], kind[IDS_TEXT];
    const char *path;
    struct sbuf b;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 10);
    sbuf_init(&b, MAX_LIST_BYTES);
    ids_describe(&l->ids, kind);
    ok = sbuf_printf(&b, e, "ids %s\n", kind);
    for (size_t i = 0; ok && i < l->n; i++) {
        hash_hex(l->v[i].id, DIGEST, hex);
        ok = sbuf_printf(&b, e, "%s %u %u\n", hex, l->v[i].modality, l->v[i].split);
    }
    ok = ok && fs_join(&a, corpus_dir, LIST_NAME, &path, e) && fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    arena_free(&a);
    return ok;
}

/* ---- who is given */
static bool is_header(struct str line)
{
    static const char *const names[] = {"patient_id", "subject_id", "patient", "mrn"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eqz(line, names[i])) return true;
    }
    return false;
}

static bool put_id(struct forget_list *l, struct str id, struct err *e)
{
    struct entry x = {.given = 1};
    struct str digits = split_digits(id, 'p');
    char buf[IDS_TEXT];

    digest_of(ids_of(&l->ids, IDS_PATIENT, id, buf), x.id);
    if (!put_entry(l, &x, e)) return false;
    if (digits.n == id.n) return true;
    digest_of(ids_of(&l->ids, IDS_PATIENT, digits, buf), x.id);
    return put_entry(l, &x, e);
}

static bool read_ids(struct forget_list *l, struct str text, uint64_t *count, struct err *e)
{
    struct str line;

    if (str_starts(text, STR("\xef\xbb\xbf"))) text = str_sub(text, 3, text.n);
    for (uint64_t number = 1; str_split(&text, '\n', &line); number++) {
        line = str_trim(line);
        if (line.n == 0 || (number == 1 && is_header(line))) continue;
        if (line.n > MAX_ID || memchr(line.p, ',', line.n) || memchr(line.p, '\t', line.n))
            return err_set(e, ERR_CONFIG, "line %llu: one patient id a line",
                           (unsigned long long)number);
        if (!put_id(l, line, e)) return false;
        ++*count;
    }
    return *count > 0 || err_set(e, ERR_CONFIG, "the list names no patient");
}

/* ---- the corpus */
struct purge {
    const struct record_corpus *corpus;
    struct forget_list *list;
    struct forget_summary *sum;
    struct block_list blocks; /* all of them, as they are afterwards */
    struct arena arena;
};

/* Which records of the block go; what they were is noted in the list. */
static size_t mark(struct purge *p, const struct record_reader *r, uint8_t *drop)
{
    size_t n = 0;

    for (size_t i = 0; i < record_reader_count(r); i++) {
        struct record rec;
        struct entry *x;
        record_reader_get(r, i, &rec);
        x = find(p->list, rec.patient);
        drop[i] = x != NULL;
        if (!x) continue;
        x->modality |= 1u << rec.modality;
        x->split |= 1u << rec.split;
        n++;
    }
    return n;
}

/* Another name in the same place of the order: the old file stands until the manifest is new. */
static void new_name(const char *old, const uint8_t *drop, size_t n, char out[BLOCK_NAME_BYTES])
{
    struct sha256 h;
    uint8_t digest[32];
    char key[13];
    size_t stem = (size_t)(strrchr(old, '-') - old) + 1;

    sha256_init(&h);
    sha256_put(&h, old, strlen(old));
    sha256_put(&h, drop, n);
    sha256_end(&h, digest);
    hash_hex(digest, 6, key);
    (void)snprintf(out, BLOCK_NAME_BYTES, "%.*s%s.h5", (int)stem, old, key);
}

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

static bool rewrite(struct purge *p, const struct record_block *b, const struct record_reader *r,
                    const uint8_t *drop, struct block_fact *f, struct err *e)
{
    struct str dir = str_sub(str_of(b->path), 0, (size_t)(base_name(b->path) - b->path) - 1);
    struct record_reader *made = NULL;
    const char *path;
    bool ok;

    new_name(base_name(b->path), drop, record_reader_count(r), f->name);
    ok = arena_str(&p->arena, dir, &dir, e) && fs_join(&p->arena, dir.p, f->name, &path, e) &&
         block_copy(r, path, drop, e) && record_reader_open(path, &made, e);
    if (ok) block_count(made, f);
    record_reader_close(made);
    return ok;
}

/* Keys of what stays. */
static bool put_keys(struct purge *p, const struct record_block *b, const struct record_reader *r,
                     const uint8_t *drop, struct err *e)
{
    struct record rec;

    for (size_t i = 0; i < record_reader_count(r); i++) {
        struct block_key k;
        if (drop[i]) continue;
        record_reader_get(r, i, &rec);
        k = block_key_of((struct block_place){b->source, b->site, b->versions}, &rec);
        if (!block_put_key(&p->blocks, &k, e)) return false;
    }
    return true;
}

static bool purge_block(struct purge *p, const struct record_block *b, struct err *e)
{
    struct block_fact f = {.source = b->source_index, .file = b->file};
    struct record_reader *r = NULL;
    uint8_t *drop = NULL;
    size_t n;
    bool ok = false;

    if (!record_reader_open(b->path, &r, e)) goto out; /* without late flags: they are made anew */
    drop = mem_calloc(record_reader_count(r) + 1, 1, e);
    if (!drop) goto out;
    n = mark(p, r, drop);
    if (n > 0) {
        ok = rewrite(p, b, r, drop, &f, e);
        p->sum->records += n;
        p->sum->blocks++;
    } else {
        ok = strlen(base_name(b->path)) < BLOCK_NAME_BYTES ||
             err_set(e, ERR_FORMAT, "%s: the name is too long for a block", b->path);
        if (ok) memcpy(f.name, base_name(b->path), strlen(base_name(b->path)) + 1);
        block_count(r, &f);
    }
    ok = ok && put_keys(p, b, r, drop, e) && block_put_fact(&p->blocks, &f, e);
out:
    mem_free(drop);
    record_reader_close(r);
    return ok;
}

/* Names and folders of the sources that have blocks. */
static bool see_corpus(struct purge *p, const char *dir, struct late_corpus *out, struct err *e)
{
    const struct record_corpus *c = p->corpus;
    size_t n = c->nblocks ? c->blocks[c->nblocks - 1].source_index + 1 : 0;
    const char **names = arena_alloc(&p->arena, (2 * n + 1) * sizeof *names, e);

    if (!names) return false;
    for (size_t i = 0; i < 2 * n; i++)
        names[i] = "";
    for (size_t i = 0; i < c->nblocks; i++) {
        const struct record_block *b = &c->blocks[i];
        struct str folder = str_sub(str_of(b->path), 0, (size_t)(base_name(b->path) - b->path) - 1);
        if (names[b->source_index][0]) continue;
        names[b->source_index] = b->source;
        if (!arena_str(&p->arena, folder, &folder, e)) return false;
        names[n + b->source_index] = folder.p;
    }
    *out = (struct late_corpus){dir, names, names + n, c->near_duplicates};
    return true;
}

/* The new state: what is duplicate or superseded among the rest, then the manifest. */
static bool publish(struct purge *p, const char *dir, struct err *e)
{
    struct block_list *l = &p->blocks;
    struct comm *self = NULL;
    struct late late = {0};
    struct late_corpus corpus;
    struct block_order o = {0};
    bool ok = comm_open_self(&self, e) && see_corpus(p, dir, &corpus, e) &&
              order_open(self, l, &o, e) && late_find(self, &corpus, &o, l, &late, e) &&
              late_write(&corpus, o.facts, o.n, &late, e) &&
              manifest_replace(dir, o.facts, o.n, &late, e) && late_sweep(dir, late.name, e);

    order_close(&o);
    late_free(&late);
    comm_close(self);
    return ok;
}

static bool purge_corpus(const char *dir, struct forget_list *l, struct forget_summary *sum,
                         struct err *e)
{
    struct record_corpus corpus;
    struct purge p = {.corpus = &corpus, .list = l, .sum = sum};
    bool ok = false;

    arena_init(&p.arena, arena_bytes);
    if (!record_corpus_open(dir, &p.arena, &corpus, e)) goto out;
    for (size_t i = 0; i < corpus.nblocks; i++) {
        if (!purge_block(&p, &corpus.blocks[i], e)) goto out;
    }
    if (!write_list(dir, l, e)) goto out; /* with what their reports were */
    if (sum->blocks > 0 && !publish(&p, dir, e)) goto out;
    /* Whatever the manifest does not name may hold them too. */
    ok = manifest_sweep_dir(dir, &corpus, p.blocks.facts, p.blocks.n, e);
out:
    mem_free(p.blocks.facts);
    mem_free(p.blocks.keys);
    arena_free(&p.arena);
    return ok;
}

static void sum_up(const struct forget_list *l, struct forget_summary *out)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct entry *x = &l->v[i];
        if (!x->given) continue;
        out->known += x->split != 0;
        for (int m = 0; m < MOD_COUNT; m++)
            out->modality[m] = out->modality[m] || (x->modality >> m & 1);
        for (int s = 0; s < SPLIT_COUNT; s++)
            out->split[s] = out->split[s] || (x->split >> s & 1);
    }
}

static bool run(const char *dir, struct str ids, struct forget_list *l, struct forget_summary *out,
                struct err *e)
{
    const char *path;
    struct arena a;
    bool ok;

    arena_init(&a, 64 << 10);
    ok = read_list(dir, l, e) && read_ids(l, ids, &out->patients, e);
    unite(l);
    ok = ok && write_list(dir, l, e) && fs_join(&a, dir, "manifest.json", &path, e);
    if (ok && fs_exists(path)) ok = purge_corpus(dir, l, out, e);
    if (ok) sum_up(l, out);
    arena_free(&a);
    return ok;
}

bool forget_run(const struct ingest_opts *o, struct str ids, struct forget_summary *out,
                struct err *e)
{
    struct forget_list l = {0};
    const char *corpus_dir = o->dir;
    const char *path;
    struct arena a;
    int lock = -1;
    bool ok;

    memset(out, 0, sizeof *out);
    arena_init(&a, 64 << 10);
    ok = ids_open(o, &l.ids, e) && fs_mkdirs(corpus_dir, e) &&
         fs_join(&a, corpus_dir, ".ingest.lock", &path, e) && fs_lock(path, &lock, e);
    if (ok) {
        ok = run(corpus_dir, ids, &l, out, e);
        fs_unlock(lock);
    }
    mem_free(l.v);
    arena_free(&a);
    return ok;
}
