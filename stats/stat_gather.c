#include "stats/stat_gather.h"

#include "base/mem.h"
#include "base/stop.h"
#include "stats/stat_phrase.h"

#define ARENA_BYTES ((size_t)4 << 30)
enum { TEXT_MAX_BYTES = 64 << 20 };

const char *const stat_group_names[STAT_GROUPS + 1] = {"1", "2", "3-5", "6-10", "11-100", "101+"};

int stat_group_of(uint64_t n)
{
    return n <= 1 ? 0 : n == 2 ? 1 : n <= 5 ? 2 : n <= 10 ? 3 : n <= 100 ? 4 : 5;
}

/* What one rank reads. */
struct gather {
    const struct stats_job *j;
    struct comm *c;
    struct stat_result *r;
    struct stat_sink sink;
    struct stat_items patients, texts, phrases[TEXT_COUNT];
    uint64_t below; /* of the text hash: reports whose phrases are counted */
    struct sbuf scratch;
    struct stat_item item; /* of the phrase that comes next */
    enum stat_text kind;
    struct progress progress;
};

/* ---- one record */
static bool put_phrase(void *ctx, struct str phrase, struct err *e)
{
    struct gather *g = ctx;

    g->item.key = hash_xxh64(phrase.p, phrase.n, (uint64_t)g->kind);
    return stat_items_put(&g->phrases[g->kind], g->item, e);
}

static uint64_t id_hash(struct str id, uint64_t source, char kind)
{
    return hash_xxh64(id.p, id.n, source << 8 | (uint8_t)kind);
}

/* Whoever stands for the patient: the study, else the entry, where none is named. */
static uint64_t person(const struct record *r, uint64_t source)
{
    struct str entry = {(const char *)&r->entry, sizeof r->entry};

    if (r->patient.n) return id_hash(r->patient, source, 'p');
    return r->study.n ? id_hash(r->study, source, 's') : id_hash(entry, source, 'e');
}

static bool put_texts(struct gather *g, const struct record *r, struct err *e)
{
    g->r->counts->phrase_reports++;
    for (int k = 0; k < TEXT_COUNT; k++) {
        g->kind = (enum stat_text)k;
        bool ok =
            k == TEXT_HEADER
                ? stat_headers(r->text, &g->scratch, put_phrase, g, e)
                : stat_phrases(stat_section(r, k == TEXT_FINDINGS ? SEC_FINDINGS : SEC_IMPRESSION),
                               &g->scratch, put_phrase, g, e);
        if (!ok) return false;
    }
    return true;
}

static bool put_record(struct gather *g, const struct record *r, struct stat_long place,
                       uint64_t where, struct err *e)
{
    struct stat_item text = {r->hash_norm.lo ^ r->hash_norm.hi,
                             (uint64_t)place.source << 8 | r->split, where};
    struct stat_item patient = {id_hash(r->patient, place.source, 'p'),
                                (uint64_t)r->split << 8 | r->modality, place.source};

    if (!stat_count_record(&g->sink, r, place, e)) return false;
    if (r->patient.n && !stat_items_put(&g->patients, patient, e)) return false;
    if (text.key && !stat_items_put(&g->texts, text, e)) return false;
    if ((r->flags & RECORD_SUPERSEDED) || r->hash_raw.lo >= g->below) return true;
    g->item = (struct stat_item){0, person(r, place.source), where};
    return put_texts(g, r, e);
}

static bool read_block(struct gather *g, size_t b, struct err *e)
{
    const struct record_block *block = &g->r->corpus.blocks[b];
    struct record_reader *in = NULL;
    struct record_rejected lost;
    struct record rec;
    bool ok = record_block_open(block, &in, e);

    if (!ok) return false;
    g->sink.source = &g->r->sources[block->source_index];
    g->sink.source->entries += record_reader_info(in)->entries;
    g->sink.source->ignored += record_reader_info(in)->ignored;
    for (size_t i = 0; i < record_reader_rejects(in); i++) {
        record_reader_rejected(in, i, &lost);
        g->sink.source->rejected[lost.reason]++;
    }
    for (size_t i = 0; ok && i < record_reader_count(in); i++) {
        record_reader_get(in, i, &rec);
        struct stat_long at = {0, block->source_index, block->block_index, (uint32_t)i,
                               rec.modality};
        ok = put_record(g, &rec, at, (uint64_t)b << 32 | i, e);
    }
    record_reader_close(in);
    return ok;
}

static bool read_share(struct gather *g, struct err *e)
{
    struct comm_range mine = comm_share(g->c, g->r->corpus.nblocks);
    uint64_t total = 0, done = 0;
    bool ok = true;

    for (uint64_t b = mine.begin; b < mine.end; b++)
        total += g->r->corpus.blocks[b].records;
    progress_start(&g->progress, comm_rank(g->c), "stats", "reports", total, NULL);
    progress_update(&g->progress, 0, NULL);
    for (uint64_t b = mine.begin; ok && b < mine.end; b++) {
        ok = stop_requested() ? err_set(e, ERR_STOPPED, "stopped; nothing was written")
                              : read_block(g, (size_t)b, e);
        done += g->r->corpus.blocks[b].records;
        progress_update(&g->progress, done, NULL);
    }
    progress_end(&g->progress, ok ? "done" : e->code == ERR_STOPPED ? "stopped" : "failed");
    return ok;
}

/* ---- groups; called on every rank alike */
static void count_patient(void *ctx, const struct stat_item *v, size_t n)
{
    struct stat_result *r = ctx;
    unsigned splits = 0, modalities = 0;

    for (size_t i = 0; i < n; i++) {
        splits |= 1u << (v[i].who >> 8);
        modalities |= 1u << (v[i].who & 255);
    }
    r->patients++;
    r->source_patients[v[0].where]++; /* the source is part of the key */
    r->per_patient[stat_group_of(n)]++;
    for (unsigned s = 0; s < SPLIT_COUNT; s++)
        r->patient_split[s] += splits >> s & 1;
    for (unsigned m = 0; m < MOD_COUNT; m++)
        r->patient_modality[m] += modalities >> m & 1;
    splits &= ~(1u << SPLIT_NONE);
    r->crossing += (splits & (splits - 1)) != 0;
}

static void count_text(void *ctx, const struct stat_item *v, size_t n)
{
    struct stat_result *r = ctx;
    uint64_t in[SPLIT_COUNT] = {0};

    for (size_t i = 0; i < n; i++)
        in[v[i].who & 255]++;
    r->texts++;
    r->group_texts[stat_group_of(n)]++;
    r->group_reports[stat_group_of(n)] += n;
    r->across_sources += v[0].who >> 8 != v[n - 1].who >> 8;
    for (int s = SPLIT_DEV; s <= SPLIT_TEST && in[SPLIT_TRAIN]; s++)
        r->seen[s] += in[s];
}

struct phrase_count {
    struct stat_phrases *out;
    uint32_t min_patients;
};

static bool phrase_before(const struct stat_phrase *a, const struct stat_phrase *b)
{
    if (a->patients != b->patients) return a->patients > b->patients;
    if (a->reports != b->reports) return a->reports > b->reports;
    return a->key < b->key;
}

static void count_phrase(void *ctx, const struct stat_item *v, size_t n)
{
    struct phrase_count *p = ctx;
    struct stat_phrases *o = p->out;
    struct stat_phrase x = {.key = v[0].key, .where = v[0].where};
    size_t i;

    for (size_t k = 0; k < n; k++) {
        bool same_person = k > 0 && v[k].who == v[k - 1].who;
        x.patients += !same_person;
        x.reports += !same_person || v[k].where != v[k - 1].where;
        if (v[k].where < x.where) x.where = v[k].where;
    }
    o->distinct++;
    if (x.patients < p->min_patients) return;
    o->shown++;
    i = o->n;
    if (o->n == o->most && (i == 0 || !phrase_before(&x, &o->v[--i]))) return;
    if (o->n < o->most) o->n++;
    for (; i > 0 && phrase_before(&x, &o->v[i - 1]); i--)
        o->v[i] = o->v[i - 1];
    o->v[i] = x;
}

/* Collective. */
static bool group_all(struct gather *g, struct err *e)
{
    struct stat_result *r = g->r;

    if (!stat_group(g->c, &g->patients, STAT_ROUND, count_patient, r, e)) return false;
    if (!stat_group(g->c, &g->texts, STAT_ROUND, count_text, r, e)) return false;
    for (int k = 0; k < TEXT_COUNT; k++) {
        struct phrase_count p = {&r->phrases[k], g->j->stats->min_patients};
        r->phrases[k].most = g->j->stats->phrases;
        if (!stat_group(g->c, &g->phrases[k], STAT_ROUND, count_phrase, &p, e)) return false;
    }
    return true;
}

/* ---- the words of the phrases: found again where they first stood; rank 0 */
struct search {
    struct stat_phrase *p;
    uint64_t seed;
    struct arena *a;
};

static bool match_phrase(void *ctx, struct str phrase, struct err *e)
{
    struct search *s = ctx;

    if (s->p->text.n || hash_xxh64(phrase.p, phrase.n, s->seed) != s->p->key) return true;
    return arena_str(s->a, phrase, &s->p->text, e);
}

static bool find_phrase(struct gather *g, enum stat_text kind, struct stat_phrase *p, struct err *e)
{
    struct search s = {p, (uint64_t)kind, &g->r->arena};
    struct record_reader *in = NULL;
    struct record rec;
    bool ok = record_block_open(&g->r->corpus.blocks[p->where >> 32], &in, e);

    if (!ok) return false;
    record_reader_get(in, (size_t)(p->where & UINT32_MAX), &rec);
    if (kind == TEXT_HEADER)
        ok = stat_headers(rec.text, &g->scratch, match_phrase, &s, e);
    else
        ok = stat_phrases(stat_section(&rec, kind == TEXT_FINDINGS ? SEC_FINDINGS : SEC_IMPRESSION),
                          &g->scratch, match_phrase, &s, e);
    record_reader_close(in);
    return ok;
}

static bool find_phrases(struct gather *g, struct err *e)
{
    for (int k = 0; k < TEXT_COUNT; k++) {
        struct stat_phrases *p = &g->r->phrases[k];
        for (size_t i = 0; i < p->n; i++)
            if (!find_phrase(g, (enum stat_text)k, &p->v[i], e)) return false;
    }
    return true;
}

/* ---- all of it */
static bool list_sources(struct stat_result *r, struct err *e)
{
    const struct record_corpus *k = &r->corpus;

    for (size_t i = 0; i < k->nblocks; i++)
        if (k->blocks[i].source_index >= r->nsources) r->nsources = k->blocks[i].source_index + 1;
    r->names = arena_alloc(&r->arena, (r->nsources + 1) * sizeof *r->names, e);
    if (!r->names) return false;
    for (size_t i = 0; i < r->nsources; i++)
        r->names[i] = "";
    for (size_t i = 0; i < k->nblocks; i++)
        r->names[k->blocks[i].source_index] = k->blocks[i].source;
    return true;
}

static bool start(struct gather *g, const struct tokenizer *tok, struct err *e)
{
    struct stat_result *r = g->r;
    uint64_t total = 0;

    if (!record_corpus_open(g->j->corpus_dir, &r->arena, &r->corpus, e) || !list_sources(r, e))
        return false;
    for (size_t i = 0; i < r->corpus.nblocks; i++)
        total += r->corpus.blocks[i].records;
    g->below = UINT64_MAX;
    if (total > g->j->stats->phrase_reports)
        g->below =
            (uint64_t)((double)UINT64_MAX * ((double)g->j->stats->phrase_reports / (double)total));
    r->counts = mem_calloc(1, sizeof *r->counts, e);
    if (!r->counts) return false;
    r->sources = mem_calloc(r->nsources + 1, sizeof *r->sources, e);
    if (!r->sources) return false;
    r->source_patients = mem_calloc(r->nsources + 1, sizeof *r->source_patients, e);
    if (!r->source_patients) return false;
    r->tokens = tok != NULL;
    g->sink.counts = r->counts;
    g->sink.top = r->top;
    sbuf_init(&g->sink.text, TEXT_MAX_BYTES);
    sbuf_init(&g->scratch, TEXT_MAX_BYTES);
    return !tok || tok_cache_open(tok, &g->sink.cache, e);
}

/* The counters of all ranks, and the longest reports. Collective. */
static bool sum_up(struct gather *g, struct err *e)
{
    struct stat_result *r = g->r;
    struct stat_top *all = NULL;
    void *got = NULL;
    size_t bytes;

    _Static_assert(sizeof *r->counts % 8 == 0 && sizeof *r->sources % 8 == 0, "64-bit numbers");
    comm_sum_u64(g->c, (uint64_t *)r->counts, sizeof *r->counts / 8);
    comm_sum_u64(g->c, (uint64_t *)r->sources, r->nsources * (sizeof *r->sources / 8));
    if (!comm_allgatherv(g->c, r->top, sizeof r->top, &got, &bytes, NULL, e)) return false;
    all = got;
    memset(r->top, 0, sizeof r->top);
    for (size_t i = 0; i < bytes / sizeof *all; i++)
        for (size_t k = 0; k < all[i].n; k++)
            stat_top_put(&r->top[i % STAT_SECTIONS], all[i].v[k]);
    mem_free(got);
    return true;
}

static void gather_free(struct gather *g)
{
    stat_items_free(&g->patients);
    stat_items_free(&g->texts);
    for (int k = 0; k < TEXT_COUNT; k++)
        stat_items_free(&g->phrases[k]);
    tok_cache_close(g->sink.cache);
    tok_ids_free(&g->sink.ids);
    sbuf_free(&g->sink.text);
    sbuf_free(&g->scratch);
}

bool stat_gather(const struct stats_job *j, const struct tokenizer *tok, struct comm *c,
                 struct stat_result *out, struct err *e)
{
    struct gather g = {.j = j, .c = c, .r = out};
    bool ok;

    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_BYTES);
    ok = start(&g, tok, e) && read_share(&g, e);
    ok = comm_agree(c, ok, e) && sum_up(&g, e) && group_all(&g, e);
    if (ok) ok = comm_agree(c, comm_rank(c) != 0 || find_phrases(&g, e), e);
    gather_free(&g);
    return ok;
}

void stat_result_free(struct stat_result *r)
{
    mem_free(r->counts);
    mem_free(r->sources);
    mem_free(r->source_patients);
    arena_free(&r->arena);
    memset(r, 0, sizeof *r);
}
