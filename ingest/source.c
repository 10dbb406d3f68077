#include "ingest/source.h"

#include <ctype.h>

#include "base/log.h"
#include "base/mem.h"
#include "ingest/dumps.h"
#include "ingest/format.h"
#include "ingest/source_files.h"

enum { MAX_NAME = 64, ARENA_BYTES = 256 << 20 };
/* When loose files are put together, and into groups of what size. */
enum { GROUP_FROM = 64, GROUP_FILE = 256 << 10, GROUP_BYTES = 64 << 20 };
/* Goes into every block's digest: a change of what ingest makes of a text makes new blocks. */
#define CLEANER_VERSION 6u
/* Who is in a trial has nothing to do with who is in which split. */
#define TRIAL_SEED 0x747269616cu

/* ---- options */
static bool check_name(const char *name, size_t index, struct err *e)
{
    size_t n = name ? strlen(name) : 0;

    if (n == 0 || n > MAX_NAME)
        return err_set(e, ERR_CONFIG, "corpus.sources[%zu].name must have 1 to %d characters",
                       index, MAX_NAME);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            return err_set(e, ERR_CONFIG, "corpus.sources[%zu].name: only letters, digits, _ and -",
                           index);
    }
    return true;
}

static bool check_source(const struct ingest_opts *o, size_t i, struct err *e)
{
    const struct ingest_source_opts *all = o->sources.items, *s = &all[i];

    if (!check_name(s->name, i, e)) return false;
    for (size_t k = 0; k < i; k++) {
        if (strcmp(all[k].name, s->name) == 0)
            return err_set(e, ERR_CONFIG, "corpus.sources: two are named %s", s->name);
    }
    if (!s->path) return err_set(e, ERR_CONFIG, "source %s: path is missing", s->name);
    if (s->split != INGEST_SPLIT_AUTO && (s->split == INGEST_SPLIT_LIST) != (s->split_list != NULL))
        return err_set(e, ERR_CONFIG, "source %s: split: list and split_list go together", s->name);
    if (s->terms && strlen(s->terms) >= RECORD_TERMS_BYTES)
        return err_set(e, ERR_CONFIG, "source %s: terms are longer than %d bytes", s->name,
                       RECORD_TERMS_BYTES - 1);
    if (s->modality && record_modality_of(str_of(s->modality)) < 0)
        return err_set(e, ERR_CONFIG,
                       "source %s: modality is not CR, CT, MR, US, NM, PT, XA, MG, RF "
                       "or OT",
                       s->name);
    if (s->custom_rules && s->sections != MODE_MITLCP)
        return err_set(e, ERR_CONFIG, "source %s: custom_rules belong to sections: mitlcp",
                       s->name);
    return true;
}

bool source_check_opts(const struct ingest_opts *o, struct err *e)
{
    if (!o->dir || !*o->dir) return err_set(e, ERR_CONFIG, "corpus.dir is missing");
    if (o->split_dev + o->split_test > 1.0)
        return err_set(e, ERR_CONFIG, "corpus.split_dev and split_test are together above 1");
    if (o->sources.n == 0)
        return err_set(e, ERR_CONFIG, "corpus.sources is empty: name at least one source");
    for (size_t i = 0; i < o->sources.n; i++) {
        if (!check_source(o, i, e)) return false;
    }
    return true;
}

struct split_rules source_split_rules(const struct ingest_opts *o,
                                      const struct ingest_source_opts *s)
{
    static const enum split_kind kinds[] = {SPLIT_BY_LIST, SPLIT_BY_HASH, SPLIT_ALL_TRAIN,
                                            SPLIT_ALL_DEV, SPLIT_ALL_TEST};
    static const enum split_unlisted how[] = {SPLIT_UNLISTED_HASH, SPLIT_UNLISTED_HASH,
                                              SPLIT_UNLISTED_NONE, SPLIT_UNLISTED_EXACT,
                                              SPLIT_UNLISTED_NONE};
    enum split_unlisted unlisted = how[s->unlisted];

    if (s->unlisted == UNLISTED_AUTO && s->sections != MODE_OWN) unlisted = SPLIT_UNLISTED_EXACT;
    return (struct split_rules){
        .kind = s->split == INGEST_SPLIT_AUTO ? (s->split_list ? SPLIT_BY_LIST : SPLIT_BY_HASH)
                                              : kinds[s->split],
        .list_path = s->split_list,
        .unlisted = unlisted,
        .mimic_ids = s->format == FORMAT_MIMIC_CXR || s->format == FORMAT_AUTO,
        .dev = o->split_dev,
        .test = o->split_test,
        .salt = o->split_salt,
    };
}

bool source_is_one_split(const struct source *s)
{
    return s->o->split == INGEST_SPLIT_TRAIN || s->o->split == INGEST_SPLIT_DEV ||
           s->o->split == INGEST_SPLIT_TEST;
}

/* ---- files */
static bool is_loose(struct str path)
{
    static const char *const packed[] = {".gz",  ".tgz", ".bz2",  ".tbz", ".tbz2", ".xz",
                                         ".txz", ".zst", ".tzst", ".tar", ".zip",  ".7z"};

    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        if (format_ends(path, packed[i])) return false;
    }
    return true;
}

/* How many of the files from `first` on are taken together; *bytes: their size. */
static size_t group_of(const struct str *paths, const uint64_t *sizes, size_t first, size_t n,
                       uint64_t *bytes)
{
    size_t end = first + 1;

    *bytes = sizes[first];
    if (n < GROUP_FROM || sizes[first] > GROUP_FILE || !is_loose(paths[first])) return 1;
    while (end < n && end - first < RECORD_BLOCK_ENTRIES && sizes[end] <= GROUP_FILE &&
           *bytes + sizes[end] <= GROUP_BYTES && is_loose(paths[end]))
        *bytes += sizes[end++];
    return end - first;
}

static bool list_files(struct source_set *set, struct source *s, struct err *e)
{
    struct str *paths;
    uint64_t *sizes;
    size_t n;

    if (!fs_glob(s->o->path, &set->arena, &paths, &n, e)) return false;
    s->files = arena_alloc(&set->arena, n * sizeof *s->files, e);
    sizes = s->files ? arena_alloc(&set->arena, n * sizeof *sizes, e) : NULL;
    if (!sizes) return false;
    for (size_t i = 0; i < n; i++) {
        if (!fs_size(paths[i].p, &sizes[i], e)) return false;
    }
    for (size_t i = 0; i < n; i += s->files[s->nfiles++].npaths) {
        struct source_file *f = &s->files[s->nfiles];
        f->paths = &paths[i];
        f->npaths = group_of(paths, sizes, i, n, &f->bytes);
        f->path = f->npaths > 1 ? s->o->path : paths[i].p;
    }
    return true;
}

static void put_text(struct sha256 *h, const char *s)
{
    uint64_t n = s ? strlen(s) : UINT64_MAX;

    sha256_put(h, &n, sizeof n);
    if (s) sha256_put(h, s, strlen(s));
}

/* Everything but the file that a block's bytes depend on. */
static void source_digest(const struct source_set *set, const struct source *s, struct sha256 *h)
{
    const struct ingest_source_opts *o = s->o;
    uint64_t numbers[] = {CLEANER_VERSION,
                          RECORD_BLOCK_ENTRIES,
                          (uint64_t)o->format,
                          (uint64_t)o->sections,
                          (uint64_t)o->encoding,
                          (uint64_t)s->rules.modality,
                          set->o->max_entry,
                          set->o->max_ratio,
                          s->below,
                          own_names_digest(s->headers),
                          (uint64_t)o->no_patient,
                          (uint64_t)o->no_study,
                          o->unlisted == UNLISTED_DROP,
                          set->o->phi == INGEST_PHI_MASK,
                          set->o->phi == INGEST_PHI_OFF};
    uint8_t part[32];

    char ids[IDS_TEXT];

    ids_describe(&set->ids, ids);
    sha256_put(h, numbers, sizeof numbers);
    put_text(h, ids);
    put_text(h, o->name);
    put_text(h, o->members);
    put_text(h, o->names);
    split_digest(s->split, part);
    sha256_put(h, part, sizeof part);
    if (s->map) {
        modality_map_digest(s->map, part);
        sha256_put(h, part, sizeof part);
    }
    if (s->custom) {
        mitlcp_rules_digest(s->custom, part);
        sha256_put(h, part, sizeof part);
    }
    for (int r = 0; r < ROLE_COUNT; r++) {
        uint64_t n = o->columns.role[r].n;
        sha256_put(h, &n, sizeof n);
        for (size_t i = 0; i < n; i++)
            put_text(h, o->columns.role[r].v[i]);
    }
}

static void file_digests(const struct source_set *set, struct source *s)
{
    for (size_t i = 0; i < s->nfiles; i++) {
        struct sha256 h;
        sha256_init(&h);
        source_digest(set, s, &h);
        sha256_put(&h, s->files[i].sha256, 32);
        sha256_end(&h, s->files[i].config);
    }
}

static enum record_modality default_modality(const struct ingest_source_opts *o)
{
    if (o->modality) return (enum record_modality)record_modality_of(str_of(o->modality));
    return MOD_UNKNOWN;
}

static bool open_source(struct source_set *set, size_t i, struct err *e)
{
    const struct ingest_source_opts *all = set->o->sources.items;
    struct source *s = &set->v[i];
    struct split_rules split;
    const char *records;

    s->o = &all[i];
    s->index = (uint32_t)i;
    s->below = UINT64_MAX;
    s->forgotten = set->forgotten;
    s->ids = &set->ids;
    split = source_split_rules(set->o, s->o);
    if (!fs_join(&set->arena, set->o->dir, "records", &records, e)) return false;
    if (!fs_join(&set->arena, records, s->o->name, &s->dir, e)) return false;
    if (!split_open(&split, &s->split, e)) return false;
    if (set->o->modality_map && !modality_map_open(set->o->modality_map, &s->map, e)) return false;
    if (s->o->sections == MODE_MITLCP && !mitlcp_rules_open(s->o->custom_rules, &s->custom, e))
        return false;
    if (!own_names_open(&s->o->headers, &s->headers, e)) return false;
    s->rules = (struct report_rules){
        .mode = (enum record_mode)s->o->sections,
        .modality = default_modality(s->o),
        .map = s->map,
        .split = s->split,
        .custom = s->custom,
        .headers = s->headers,
        .phi = set->o->phi,
    };
    if (fs_is_dir(s->dir) && !fs_list(s->dir, &set->arena, &s->found, &s->nfound, e)) return false;
    return list_files(set, s, e);
}

static bool open_local(const struct ingest_opts *o, struct source_set *set, struct err *e)
{
    if (!ids_open(o, &set->ids, e)) return false;
    if (!forget_list_open(o->dir, &set->ids, &set->forgotten, e)) return false;
    set->v = arena_alloc(&set->arena, o->sources.n * sizeof *set->v, e);
    if (!set->v) return false;
    set->n = o->sources.n;
    for (size_t i = 0; i < set->n; i++) {
        if (!open_source(set, i, e)) return err_wrap(e, "source %s", set->v[i].o->name);
    }
    return true;
}

bool source_set_open(const struct ingest_opts *o, struct comm *c, struct source_set *out,
                     struct err *e)
{
    bool ok;

    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_BYTES);
    out->o = o;
    ok = comm_agree(c, open_local(o, out, e), e) && source_files_open(out, c, e);
    for (size_t i = 0; ok && i < out->n; i++)
        file_digests(out, &out->v[i]);
    ok = ok && comm_agree(c, dumps_number(out, e), e);
    if (!ok) source_set_close(out);
    return ok;
}

void source_set_limit(struct source_set *s, uint64_t limit, uint64_t total)
{
    double share = total > 0 ? (double)limit / (double)total : 1.0;

    for (size_t i = 0; i < s->n; i++) {
        s->v[i].below = share >= 1.0 ? UINT64_MAX : (uint64_t)(share * 0x1p64);
        file_digests(s, &s->v[i]);
    }
}

bool source_wants(const struct source *s, struct str patient, struct str study)
{
    struct str key = patient.n ? patient : study;
    char buf[IDS_TEXT];

    if (s->forgotten && forget_list_has(s->forgotten, ids_of(s->ids, IDS_PATIENT, patient, buf)))
        return false;
    return s->below == UINT64_MAX || hash_xxh64(key.p, key.n, TRIAL_SEED) < s->below;
}

void source_set_close(struct source_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct source *src = &s->v[i];
        for (size_t k = 0; k < src->nfiles; k++)
            source_file_close(&src->files[k]);
        split_close(src->split);
        modality_map_close(src->map);
        mitlcp_rules_close(src->custom);
        own_names_close(src->headers);
    }
    forget_list_close(s->forgotten);
    arena_free(&s->arena);
    memset(s, 0, sizeof *s);
}
