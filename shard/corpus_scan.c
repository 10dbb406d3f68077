#include "shard/corpus_scan.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"

enum { NEAR_ROUND = 1 << 20 };

/* What one rank saw. */
struct seen {
    struct audit_words patients, texts, ids, groups;
};

/* A record as it stands in its block: where, and of how many of each modality. */
struct place {
    const struct record_corpus *corpus;
    const struct record_block *block;
    uint32_t row;
    uint32_t *taken;
    uint64_t *late;
};

/* Its group, where texts were compared at all. */
static bool scan_group(struct corpus_scan *s, struct seen *x, const struct record_corpus *corpus,
                       const struct record *r, bool taken, struct err *e)
{
    struct hash128 group = r->hash_norm;
    size_t at;

    if (corpus->nnear == 0) return true;
    at = record_corpus_near(corpus, r->hash_norm);
    if (at < corpus->nnear) {
        s->near[at] = 1;
        group = corpus->near[at].head;
    }
    return !taken || audit_put(&x->groups, group.lo ^ group.hi, (enum shard_split)r->split, e);
}

static bool scan_record(struct corpus_scan *s, struct seen *x, const struct builder *b,
                        const struct record *r, struct place at, struct err *e)
{
    int reason = builder_screen(b, r), late = builder_screen_late(b, r);
    int dropped = late == SHARD_DROP_SUPERSEDED ? late : reason;
    enum shard_split split = (enum shard_split)r->split;

    /* Every record that belongs to a split counts in the audit, taken or not: a patient must not
     * come to stand in two splits when options change. */
    if (r->split < SHARD_SPLITS) {
        if (!audit_put(&x->patients, builder_patient(b, at.block->source, r), split, e))
            return false;
        if (r->patient.n &&
            !audit_put(&x->ids, hash_xxh64(r->patient.p, r->patient.n, 0), split, e))
            return false;
    }
    bool taken = reason == BUILDER_TAKEN && late == BUILDER_TAKEN && s->wanted[r->modality];
    if (reason == BUILDER_TAKEN && !scan_group(s, x, at.corpus, r, taken, e)) return false;
    if (!s->wanted[r->modality]) return true;
    s->records[r->modality]++;
    if (reason != BUILDER_TAKEN) {
        s->dropped[r->modality][dropped]++;
        return true;
    }
    at.taken[r->modality]++;
    if (late != BUILDER_TAKEN) {
        uint64_t what[2] = {at.row, (uint64_t)late};
        s->dropped[r->modality][late]++;
        at.late[r->modality] += hash_xxh64(what, sizeof what, 1);
        return true;
    }
    return audit_put(&x->texts, r->hash_norm.lo ^ r->hash_norm.hi, split, e);
}

static bool scan_block(struct corpus_scan *s, struct seen *x, const struct builder *b,
                       const struct record_corpus *corpus, size_t number, struct err *e)
{
    const struct record_block *block = &corpus->blocks[number];
    struct record_reader *r = NULL;
    struct record rec;
    struct place at = {corpus, block, 0, &s->taken[number * MOD_COUNT],
                       &s->late[number * MOD_COUNT]};
    bool ok = record_block_open(block, &r, e);

    if (ok) s->ends[number] = record_reader_info(r)->last;
    for (size_t i = 0; ok && i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        at.row = (uint32_t)i;
        ok = scan_record(s, x, b, &rec, at, e);
    }
    record_reader_close(r);
    return ok;
}

static bool scan_local(struct corpus_scan *s, struct seen *x, const struct record_corpus *corpus,
                       const struct builder *b, struct comm_range range, struct err *e)
{
    for (uint64_t i = range.begin; i < range.end; i++) {
        if (stop_requested())
            return err_set(e, ERR_STOPPED, "stopped while reading records; run it again");
        if (!scan_block(s, x, b, corpus, i, e)) return false;
    }
    return true;
}

/* The counts of all ranks, through 64 bits: the only sum there is. Collective. */
static bool exchange(struct corpus_scan *s, size_t nblocks, struct comm *c, struct err *e)
{
    size_t ncells = nblocks * MOD_COUNT;
    uint64_t *wide = mem_calloc(ncells + nblocks + 1, sizeof *wide, e);

    if (!comm_agree(c, wide != NULL, e)) {
        mem_free(wide);
        return false;
    }
    for (size_t i = 0; i < ncells; i++)
        wide[i] = s->taken[i];
    for (size_t i = 0; i < nblocks; i++)
        wide[ncells + i] = s->ends[i];
    comm_sum_u64(c, wide, ncells + nblocks);
    for (size_t i = 0; i < ncells; i++)
        s->taken[i] = (uint32_t)wide[i];
    for (size_t i = 0; i < nblocks; i++)
        s->ends[i] = wide[ncells + i] > 0;
    mem_free(wide);
    comm_sum_u64(c, s->late, ncells);
    comm_sum_u64(c, s->records, MOD_COUNT);
    comm_sum_u64(c, &s->dropped[0][0], (size_t)MOD_COUNT * SHARD_DROPS);
    return true;
}

/* Which texts some rank saw. Collective. */
static bool exchange_near(struct corpus_scan *s, size_t n, struct comm *c, struct err *e)
{
    uint64_t *wide = mem_alloc(NEAR_ROUND * sizeof *wide, e);
    bool ok = comm_agree(c, wide != NULL, e);

    for (size_t from = 0; ok && from < n; from += NEAR_ROUND) {
        size_t count = n - from < NEAR_ROUND ? n - from : NEAR_ROUND;
        for (size_t i = 0; i < count; i++)
            wide[i] = s->near[from + i];
        comm_sum_u64(c, wide, count);
        for (size_t i = 0; i < count; i++)
            s->near[from + i] = wide[i] > 0;
    }
    mem_free(wide);
    return ok;
}

/* Collective. */
static bool audit(struct corpus_scan *s, struct seen *x, struct comm *c, struct err *e)
{
    struct audit_result patients, texts, ids, groups;

    if (!audit_run(c, &x->patients, AUDIT_ROUND, &patients, e)) return false;
    if (!audit_run(c, &x->texts, AUDIT_ROUND, &texts, e)) return false;
    if (!audit_run(c, &x->ids, AUDIT_ROUND, &ids, e)) return false;
    if (!audit_run(c, &x->groups, AUDIT_ROUND, &groups, e)) return false;
    if (patients.crossing)
        return err_set(e, ERR_FORMAT,
                       "%llu of %llu patients have reports in more than one split; no shards were "
                       "written. Mend the split list, or use split: hash, and run radmill ingest",
                       (unsigned long long)patients.crossing, (unsigned long long)patients.keys);
    s->patients = patients.keys;
    s->shared_ids = ids.crossing;
    memcpy(s->seen, texts.seen, sizeof s->seen);
    memcpy(s->near_seen, groups.seen, sizeof s->near_seen);
    if (s->shared_ids)
        log_warn("shard_audit",
                 "shared_ids=%llu note=\"patient ids of two sources stand in "
                 "different splits\"",
                 (unsigned long long)s->shared_ids);
    return true;
}

bool corpus_scan_run(struct corpus_scan *s, const struct record_corpus *corpus,
                     const struct builder *b, struct comm *c, struct err *e)
{
    struct seen x = {0};
    bool ok;

    s->taken = mem_calloc(corpus->nblocks * MOD_COUNT + 1, sizeof *s->taken, e);
    s->ends = s->taken ? mem_calloc(corpus->nblocks + 1, 1, e) : NULL;
    s->late = s->ends ? mem_calloc(corpus->nblocks * MOD_COUNT + 1, sizeof *s->late, e) : NULL;
    s->near = s->late ? mem_calloc(corpus->nnear + 1, 1, e) : NULL;
    ok = s->near && scan_local(s, &x, corpus, b, comm_share(c, corpus->nblocks), e);
    ok = comm_agree(c, ok, e) && exchange(s, corpus->nblocks, c, e) &&
         exchange_near(s, corpus->nnear, c, e) && audit(s, &x, c, e);
    audit_free(&x.patients);
    audit_free(&x.texts);
    audit_free(&x.ids);
    audit_free(&x.groups);
    return ok;
}

void corpus_scan_free(struct corpus_scan *s)
{
    mem_free(s->taken);
    mem_free(s->ends);
    mem_free(s->late);
    mem_free(s->near);
    s->near = NULL;
    s->late = NULL;
    s->taken = NULL;
    s->ends = NULL;
}
