#include "base/mem.h"
#include "shard/shard_groups.h"
#include "shard/shard_manifest.h"
#include "shard/shard_reader.h"

const char *const shard_split_names[SHARD_SPLITS + 1] = {"train", "dev", "test"};

#define SET_ARENA_BYTES ((size_t)1 << 30)

/* The part of a file that belongs to the set: its samples [first, first + count). */
struct part {
    struct shard_file file;
    uint64_t first, count;
    size_t begin; /* number of its first sample in the set */
    const char *modality;
};

struct shard_set {
    struct arena arena;
    struct shard_manifest m;
    enum shard_split split;
    struct part *parts;
    size_t nparts, count;
    uint32_t *lengths, *targets;
    uint32_t *tokens;           /* of one sample */
    struct shard_groups groups; /* zeroed: there are none */
};

static bool wanted(const char *modality, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(modality, names[i]) == 0) return true;
    return n == 0;
}

/* "train, dev" of what the manifest has for these modalities. */
static bool no_samples(const struct shard_set *s, const char *dir, const char *const *names,
                       size_t n, struct err *e)
{
    uint64_t have[SHARD_SPLITS] = {0};
    char list[64] = "";
    size_t at = 0;

    for (size_t i = 0; i < s->m.nfiles; i++)
        for (int k = 0; k < SHARD_SPLITS && wanted(s->m.files[i].modality, names, n); k++)
            have[k] += s->m.files[i].fact.samples[k];
    for (int k = 0; k < SHARD_SPLITS; k++) {
        if (!have[k]) continue;
        struct str name = str_of(shard_split_names[k]);
        memcpy(list + at, ", ", 2);
        memcpy(list + at + 2, name.p, name.n + 1);
        at += name.n + 2;
    }
    return err_set(e, ERR_CONFIG, "%s has no %s samples%s; splits with samples: %s", dir,
                   shard_split_names[s->split], n ? " of the chosen modalities" : "",
                   at ? list + 2 : "none");
}

static bool check_names(const struct shard_set *s, const char *dir, const char *const *names,
                        size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; k < s->m.nmodalities; k++)
            found |= strcmp(s->m.modalities[k].name, names[i]) == 0;
        if (!found)
            return err_set(e, ERR_CONFIG, "%s has no modality '%s': run radmill shard for it", dir,
                           names[i]);
    }
    return true;
}

/* The file must be the one the manifest means. */
static bool check_part(const struct shard_set *s, const struct shard_manifest_file *f,
                       const struct part *p, struct err *e)
{
    const struct shard_head *h = &p->file.head;
    const struct shard_info *i = &s->m.info;

    if (memcmp(p->file.block.sha256, f->fact.sha256, 32) != 0)
        return err_set(e, ERR_FORMAT, "%s is not the file the manifest names: run radmill shard",
                       f->path);
    if (memcmp(h->tokenizer_sha256, i->tokenizer_digest, 32) != 0 ||
        memcmp(h->template_sha256, i->template_digest, 32) != 0)
        return err_set(e, ERR_CONFIG,
                       "%s was made with another tokenizer or template than the "
                       "manifest says: run radmill shard",
                       f->path);
    if (h->vocab_size != i->vocab_size || h->layout != (uint32_t)i->layout ||
        h->max_tokens > i->max_tokens || h->max_input_tokens > i->max_input_tokens ||
        h->max_target_tokens > i->max_target_tokens || strcmp(h->modality, f->modality) != 0 ||
        h->source != f->source || h->number != f->number || p->count != f->fact.samples[s->split])
        return err_set(e, ERR_FORMAT, "%s contradicts the manifest: run radmill shard", f->path);
    for (uint64_t k = p->first; k < p->first + p->count; k++)
        if (shard_file_u32(&p->file, SHARD_COL_RECORD, 3 * k) >= s->m.nsources)
            return err_set(e, ERR_FORMAT, "%s: sample %llu has an unknown source", f->path,
                           (unsigned long long)k);
    return true;
}

static bool open_parts(struct shard_set *s, const char *dir, const char *const *names, size_t n,
                       bool verify, struct err *e)
{
    s->parts = mem_calloc(s->m.nfiles + 1, sizeof *s->parts, e);
    if (!s->parts) return false;
    for (size_t i = 0; i < s->m.nfiles; i++) {
        const struct shard_manifest_file *f = &s->m.files[i];
        struct part *p = &s->parts[s->nparts];
        const char *path;
        if (!wanted(f->modality, names, n) || f->fact.samples[s->split] == 0) continue;
        if (!fs_join(&s->arena, dir, f->path, &path, e)) return false;
        if (!shard_file_open(path, verify, &p->file, e)) return false;
        s->nparts++;
        p->first = p->file.split[s->split][0];
        p->count = p->file.split[s->split][1];
        p->begin = s->count;
        p->modality = f->modality;
        if (!check_part(s, f, p, e)) return false;
        s->count += p->count;
    }
    return s->count > 0 || no_samples(s, dir, names, n, e);
}

static bool open_groups(struct shard_set *s, const char *dir, struct err *e)
{
    const char *path;

    if (!s->m.groups) return true;
    if (!fs_join(&s->arena, dir, s->m.groups, &path, e)) return false;
    if (!fs_exists(path)) return err_set(e, ERR_CONFIG, "%s is not there: run radmill shard", path);
    if (!shard_groups_open(path, &s->groups, e)) return false;
    return (memcmp(s->groups.sha256, s->m.groups_sha256, 32) == 0 &&
            s->groups.n == s->m.groups_texts) ||
           err_set(e, ERR_FORMAT, "%s is not the file the manifest names: run radmill shard", path);
}

static bool load_lengths(struct shard_set *s, struct err *e)
{
    if (s->count > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "more than %u samples in one split", UINT32_MAX);
    s->lengths = mem_calloc(s->count, sizeof *s->lengths, e);
    if (!s->lengths) return false;
    s->targets = mem_calloc(s->count, sizeof *s->targets, e);
    if (!s->targets) return false;
    s->tokens = mem_calloc(s->m.info.max_tokens, sizeof *s->tokens, e);
    if (!s->tokens) return false;
    for (size_t k = 0; k < s->nparts; k++) {
        const struct part *p = &s->parts[k];
        for (uint64_t i = 0; i < p->count; i++) {
            s->lengths[p->begin + i] = shard_file_u32(&p->file, SHARD_COL_LENGTH, p->first + i);
            s->targets[p->begin + i] = shard_file_u32(&p->file, SHARD_COL_TARGET, p->first + i);
        }
    }
    return true;
}

bool shard_set_open(const char *dir, enum shard_split split, const char *const *modalities,
                    size_t nmodalities, bool verify_tokens, struct shard_set **out, struct err *e)
{
    struct shard_set *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (!s) return false;
    arena_init(&s->arena, SET_ARENA_BYTES);
    s->split = split;
    if (shard_manifest_read(dir, &s->arena, &s->m, e) &&
        check_names(s, dir, modalities, nmodalities, e) &&
        open_parts(s, dir, modalities, nmodalities, verify_tokens, e) && open_groups(s, dir, e) &&
        load_lengths(s, e)) {
        *out = s;
        return true;
    }
    shard_set_close(s);
    return false;
}

void shard_set_close(struct shard_set *s)
{
    if (!s) return;
    for (size_t k = 0; k < s->nparts; k++)
        shard_file_close(&s->parts[k].file);
    shard_groups_close(&s->groups);
    mem_free(s->parts);
    mem_free(s->tokens);
    mem_free(s->targets);
    mem_free(s->lengths);
    arena_free(&s->arena);
    mem_free(s);
}

const struct shard_info *shard_set_info(const struct shard_set *s)
{
    return &s->m.info;
}

size_t shard_set_count(const struct shard_set *s)
{
    return s->count;
}

const uint32_t *shard_set_lengths(const struct shard_set *s)
{
    return s->lengths;
}

const uint32_t *shard_set_targets(const struct shard_set *s)
{
    return s->targets;
}

/* The part that holds sample i. */
static const struct part *part_of(const struct shard_set *s, size_t i)
{
    size_t lo = 0, hi = s->nparts;

    CHECK(i < s->count);
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->parts[mid].begin <= i)
            lo = mid;
        else
            hi = mid;
    }
    return &s->parts[lo];
}

static struct hash128 hash_at(const struct shard_file *f, enum shard_column c, uint64_t k)
{
    return (struct hash128){shard_file_u64(f, c, 2 * k), shard_file_u64(f, c, 2 * k + 1)};
}

struct hash128 shard_set_text_hash(const struct shard_set *s, size_t i)
{
    const struct part *p = part_of(s, i);

    return hash_at(&p->file, SHARD_COL_TEXT_HASH, p->first + (i - p->begin));
}

struct hash128 shard_set_group(const struct shard_set *s, size_t i)
{
    return shard_groups_of(&s->groups, shard_set_text_hash(s, i));
}

const uint8_t *shard_set_groups_digest(const struct shard_set *s)
{
    return s->groups.n ? s->groups.sha256 : NULL;
}

/* What a random sample needs lies in nine places: ask for all at once instead of waiting for one
 * after the other. */
static void fetch(const struct shard_set *s, size_t i, const struct shard_file *f, uint64_t k)
{
    __builtin_prefetch(f->col[SHARD_COL_OFFSET] + k * 8);
    __builtin_prefetch(s->lengths + i);
    __builtin_prefetch(s->targets + i);
    __builtin_prefetch(f->col[SHARD_COL_RECORD] + k * 12);
    __builtin_prefetch(f->col[SHARD_COL_ENTRY] + k * 8);
    __builtin_prefetch(f->col[SHARD_COL_TEXT_HASH] + k * 16);
    __builtin_prefetch(f->col[SHARD_COL_TARGET_HASH] + k * 16);
    __builtin_prefetch(f->col[SHARD_COL_PATIENT] + k * 8);
}

/* The lines of the tokens; those of a long sample follow by themselves. */
static void fetch_tokens(const struct shard_file *f, uint64_t from, uint32_t n)
{
    enum { LINE = 64, LINES = 8 };
    const uint8_t *p = f->col[SHARD_COL_IDS] + from * f->head.token_bytes;
    size_t bytes = (size_t)n * f->head.token_bytes;

    for (size_t at = 0; at < bytes && at < (size_t)LINE * LINES; at += LINE)
        __builtin_prefetch(p + at);
}

bool shard_set_get(struct shard_set *s, size_t i, struct sample *out, struct err *e)
{
    const struct part *p = part_of(s, i);
    const struct shard_file *f = &p->file;
    uint64_t k = p->first + (i - p->begin), from;

    fetch(s, i, f, k);
    from = shard_file_u64(f, SHARD_COL_OFFSET, k);
    fetch_tokens(f, from, s->lengths[i]);
    *out = (struct sample){
        .tokens = s->tokens,
        .length = s->lengths[i],
        .target = s->targets[i],
        .source = shard_file_u32(f, SHARD_COL_RECORD, 3 * k),
        .block = shard_file_u32(f, SHARD_COL_RECORD, 3 * k + 1),
        .row = shard_file_u32(f, SHARD_COL_RECORD, 3 * k + 2),
        .entry = shard_file_u64(f, SHARD_COL_ENTRY, k),
        .text_hash = hash_at(f, SHARD_COL_TEXT_HASH, k),
        .target_hash = hash_at(f, SHARD_COL_TARGET_HASH, k),
        .patient_key = shard_file_u64(f, SHARD_COL_PATIENT, k),
    };
    return shard_file_tokens(f, from, out->length, s->tokens) ||
           err_set(e, ERR_FORMAT,
                   "shard %s/%llu, sample %llu: a token is not of the "
                   "vocabulary: the file is damaged",
                   p->modality, (unsigned long long)f->head.number, (unsigned long long)k);
}

const char *shard_set_modality(const struct shard_set *s, size_t i)
{
    return part_of(s, i)->modality;
}

const char *shard_set_source(const struct shard_set *s, size_t i)
{
    const struct part *p = part_of(s, i);
    return s->m
        .sources[shard_file_u32(&p->file, SHARD_COL_RECORD, 3 * (p->first + (i - p->begin)))];
}

size_t shard_set_sources(const struct shard_set *s)
{
    return s->m.nsources;
}

const char *shard_set_source_name(const struct shard_set *s, size_t k)
{
    return s->m.sources[k];
}

const char *shard_set_terms(const struct shard_set *s, size_t k)
{
    return s->m.terms[k];
}

static bool refuse(const char *thing, const uint8_t then[32], const uint8_t now[32],
                   const char *what, struct err *e)
{
    char a[13], b[13];

    hash_hex(then, 6, a);
    hash_hex(now, 6, b);
    return err_set(e, ERR_CONFIG,
                   "the shards were made with %s %s, %s has %s: run radmill shard "
                   "with it",
                   thing, a, what, b);
}

bool shard_check_tokenizer(const struct shard_info *i, const uint8_t *tokenizer_digest,
                           const uint8_t *template_digest, const char *what, struct err *e)
{
    if (tokenizer_digest && memcmp(tokenizer_digest, i->tokenizer_digest, 32) != 0)
        return refuse("tokenizer", i->tokenizer_digest, tokenizer_digest, what, e);
    if (template_digest && memcmp(template_digest, i->template_digest, 32) != 0)
        return refuse("template", i->template_digest, template_digest, what, e);
    return true;
}
