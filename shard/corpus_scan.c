#include "shard/corpus_scan.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"

/* What one rank saw. */
struct seen {
    struct audit_words patients, texts, ids;
};

bool corpus_scan_open(const struct record_block *block, struct record_reader **out, struct err *e)
{
    uint8_t sha256[32];

    if (!record_reader_open(block->path, out, e)) return false;
    record_reader_sha256(*out, sha256);
    if (memcmp(sha256, block->sha256, 32) == 0) return true;
    record_reader_close(*out);
    *out = NULL;
    return err_set(e, ERR_FORMAT, "%s is not the block the manifest names: run radmill ingest",
                   block->path);
}

static bool scan_record(struct corpus_scan *s, struct seen *x, const struct builder *b,
                        const struct record_block *block, const struct record *r,
                        uint32_t taken[MOD_COUNT], struct err *e)
{
    int reason = builder_screen(b, r);
    enum shard_split split = (enum shard_split)r->split;

    /* Every record that belongs to a split counts in the audit, taken or not: a patient must not
     * come to stand in two splits when options change. */
    if (r->split < SHARD_SPLITS) {
        if (!audit_put(&x->patients, builder_patient(b, block->source, r), split, e)) return false;
        if (r->patient.n &&
            !audit_put(&x->ids, hash_xxh64(r->patient.p, r->patient.n, 0), split, e))
            return false;
    }
    if (!s->wanted[r->modality]) return true;
    s->records[r->modality]++;
    if (reason != BUILDER_TAKEN) {
        s->dropped[r->modality][reason]++;
        return true;
    }
    taken[r->modality]++;
    return audit_put(&x->texts, r->hash_norm.lo ^ r->hash_norm.hi, split, e);
}

static bool scan_block(struct corpus_scan *s, struct seen *x, const struct builder *b,
                       const struct record_block *block, uint32_t taken[MOD_COUNT], uint8_t *ends,
                       struct err *e)
{
    struct record_reader *r = NULL;
    struct record rec;
    bool ok = corpus_scan_open(block, &r, e);

    if (ok) *ends = record_reader_info(r)->last;
    for (size_t i = 0; ok && i < record_reader_count(r); i++) {
        record_reader_get(r, i, &rec);
        ok = scan_record(s, x, b, block, &rec, taken, e);
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
        if (!scan_block(s, x, b, &corpus->blocks[i], &s->taken[i * MOD_COUNT], &s->ends[i], e))
            return false;
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
    comm_sum_u64(c, s->records, MOD_COUNT);
    comm_sum_u64(c, &s->dropped[0][0], (size_t)MOD_COUNT * SHARD_DROPS);
    return true;
}

/* Collective. */
static bool audit(struct corpus_scan *s, struct seen *x, struct comm *c, struct err *e)
{
    struct audit_result patients, texts, ids;

    if (!audit_run(c, &x->patients, AUDIT_ROUND, &patients, e)) return false;
    if (!audit_run(c, &x->texts, AUDIT_ROUND, &texts, e)) return false;
    if (!audit_run(c, &x->ids, AUDIT_ROUND, &ids, e)) return false;
    if (patients.crossing)
        return err_set(e, ERR_FORMAT,
                       "%llu of %llu patients have reports in more than one split; no shards were "
                       "written. Mend the split list, or use split: hash, and run radmill ingest",
                       (unsigned long long)patients.crossing, (unsigned long long)patients.keys);
    s->patients = patients.keys;
    s->shared_ids = ids.crossing;
    memcpy(s->seen, texts.seen, sizeof s->seen);
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
    ok = s->ends && scan_local(s, &x, corpus, b, comm_share(c, corpus->nblocks), e);
    ok = comm_agree(c, ok, e) && exchange(s, corpus->nblocks, c, e) && audit(s, &x, c, e);
    audit_free(&x.patients);
    audit_free(&x.texts);
    audit_free(&x.ids);
    return ok;
}

void corpus_scan_free(struct corpus_scan *s)
{
    mem_free(s->taken);
    mem_free(s->ends);
    s->taken = NULL;
    s->ends = NULL;
}
