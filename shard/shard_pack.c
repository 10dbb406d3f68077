#include "shard/shard_pack.h"

void shard_pack_init(struct shard_pack *p, uint32_t token_bytes)
{
    *p = (struct shard_pack){.token_bytes = token_bytes};
    for (int s = 0; s < SHARD_SPLITS; s++)
        shard_data_init(&p->data[s]);
}

void shard_pack_free(struct shard_pack *p)
{
    for (int s = 0; s < SHARD_SPLITS; s++)
        shard_data_free(&p->data[s]);
}

void shard_pack_reset(struct shard_pack *p)
{
    p->fact = (struct shard_fact){0};
    for (int s = 0; s < SHARD_SPLITS; s++) {
        for (int c = 0; c < SHARD_COLS; c++)
            sbuf_clear(&p->data[s].col[c]);
        p->data[s].samples = 0;
    }
}

static bool put(struct shard_data *d, enum shard_column c, const void *p, size_t n, struct err *e)
{
    return sbuf_put(&d->col[c], (struct str){p, n}, e);
}

static bool put_tokens(const struct shard_pack *p, struct shard_data *d, const struct sample *s,
                       struct err *e)
{
    if (p->token_bytes == 4)
        return put(d, SHARD_COL_IDS, s->tokens, s->length * sizeof *s->tokens, e);
    uint16_t *ids =
        (uint16_t *)(void *)sbuf_space(&d->col[SHARD_COL_IDS], s->length * sizeof *ids, e);
    if (!ids) return false;
    for (uint32_t i = 0; i < s->length; i++)
        ids[i] = (uint16_t)s->tokens[i];
    return true;
}

bool shard_pack_put(struct shard_pack *p, enum shard_split split, const struct sample *s,
                    struct err *e)
{
    struct shard_data *d = &p->data[split];
    uint32_t place[3] = {s->source, s->block, s->row};
    uint64_t offset = d->col[SHARD_COL_IDS].n / p->token_bytes;
    uint64_t text[2] = {s->text_hash.lo, s->text_hash.hi};
    uint64_t answer[2] = {s->target_hash.lo, s->target_hash.hi};

    CHECK(s->target < s->length);
    d->samples++;
    p->fact.samples[split]++;
    p->fact.tokens[split] += s->length;
    p->fact.targets[split] += s->length - s->target;
    return put_tokens(p, d, s, e) && put(d, SHARD_COL_OFFSET, &offset, sizeof offset, e) &&
           put(d, SHARD_COL_TARGET, &s->target, sizeof s->target, e) &&
           put(d, SHARD_COL_LENGTH, &s->length, sizeof s->length, e) &&
           put(d, SHARD_COL_RECORD, place, sizeof place, e) &&
           put(d, SHARD_COL_ENTRY, &s->entry, sizeof s->entry, e) &&
           put(d, SHARD_COL_TEXT_HASH, text, sizeof text, e) &&
           put(d, SHARD_COL_TARGET_HASH, answer, sizeof answer, e) &&
           put(d, SHARD_COL_PATIENT, &s->patient_key, sizeof s->patient_key, e);
}

/* Append `from` to `to`; its offsets move behind the tokens that are there. */
static bool append(struct shard_data *to, const struct shard_data *from, uint32_t token_bytes,
                   struct err *e)
{
    uint64_t base = to->col[SHARD_COL_IDS].n / token_bytes;

    for (uint64_t i = 0; i < from->samples; i++) {
        uint64_t offset;
        memcpy(&offset, from->col[SHARD_COL_OFFSET].p + i * sizeof offset, sizeof offset);
        offset += base;
        if (!put(to, SHARD_COL_OFFSET, &offset, sizeof offset, e)) return false;
    }
    for (int c = 0; c < SHARD_COLS; c++)
        if (c != SHARD_COL_OFFSET && from->samples &&
            !sbuf_put(&to->col[c], sbuf_str(&from->col[c]), e))
            return false;
    to->samples += from->samples;
    return true;
}

bool shard_pack_join(struct shard_pack *p, const struct shard_data **out, struct shard_head *head,
                     struct err *e)
{
    struct shard_data *d = &p->data[0];
    uint64_t first = 0, end;

    *out = NULL;
    memcpy(head->dropped, p->fact.dropped, sizeof head->dropped);
    head->cut = p->fact.cut;
    head->cut_tokens = p->fact.cut_tokens;
    head->unknown = p->fact.unknown;
    head->records = p->fact.records;
    for (int s = 1; s < SHARD_SPLITS; s++)
        if (!append(d, &p->data[s], p->token_bytes, e)) return false;
    if (d->samples == 0) return true;
    end = d->col[SHARD_COL_IDS].n / p->token_bytes;
    if (!put(d, SHARD_COL_OFFSET, &end, sizeof end, e)) return false;
    for (int s = 0; s < SHARD_SPLITS; s++) {
        uint64_t slice[2] = {first, p->fact.samples[s]};
        if (!put(d, SHARD_COL_SPLIT, slice, sizeof slice, e)) return false;
        first += slice[1];
    }
    *out = d;
    return true;
}
