#include "shard/source_text.h"

#include "base/mem.h"
#include "shard/field_text.h"

#define CORPUS_ARENA_BYTES ((size_t)1 << 30)

struct source_text {
    const char *dir;
    struct arena arena;
    struct record_corpus corpus;
    const struct record_block *block; /* the open one */
    struct record_reader *reader;
};

bool source_text_open(const char *corpus_dir, struct source_text **out, struct err *e)
{
    struct source_text *t = mem_calloc(1, sizeof *t, e);
    struct str dir;

    *out = NULL;
    if (!t) return false;
    arena_init(&t->arena, CORPUS_ARENA_BYTES);
    if (arena_str(&t->arena, str_of(corpus_dir), &dir, e) &&
        record_corpus_open(corpus_dir, &t->arena, &t->corpus, e)) {
        t->dir = dir.p;
        *out = t;
        return true;
    }
    source_text_close(t);
    return false;
}

void source_text_close(struct source_text *t)
{
    if (!t) return;
    record_reader_close(t->reader);
    arena_free(&t->arena);
    mem_free(t);
}

/* Blocks stand by source, then number. */
static const struct record_block *find_block(const struct source_text *t, const struct sample *s)
{
    size_t lo = 0, hi = t->corpus.nblocks;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct record_block *b = &t->corpus.blocks[mid];
        if (b->source_index == s->source && b->block_index == s->block) return b;
        if (b->source_index < s->source ||
            (b->source_index == s->source && b->block_index < s->block))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool open_block(struct source_text *t, const struct record_block *b, struct err *e)
{
    if (b == t->block) return true;
    record_reader_close(t->reader);
    t->reader = NULL;
    t->block = NULL;
    if (!record_block_open(b, &t->reader, e)) return false;
    t->block = b;
    return true;
}

static bool find_record(struct source_text *t, const struct sample *s, struct record *out,
                        struct err *e)
{
    const struct record_block *b = find_block(t, s);

    if (b && !open_block(t, b, e)) return false;
    if (b && s->row < record_reader_count(t->reader)) {
        record_reader_get(t->reader, s->row, out);
        if (out->entry == s->entry && out->hash_norm.lo == s->text_hash.lo &&
            out->hash_norm.hi == s->text_hash.hi)
            return true;
    }
    return err_set(e, ERR_CONFIG,
                   "%s is not the corpus the shards were made from (source %u, block %u, row %u): "
                   "run radmill shard",
                   t->dir, s->source, s->block, s->row);
}

bool source_text_get(struct source_text *t, const struct sample *s, enum prompt_field field,
                     struct sbuf *out, struct err *e)
{
    struct record r;
    return find_record(t, s, &r, e) && field_text(&r, field, out, e);
}

bool source_text_target(struct source_text *t, const struct sample *s, struct sbuf *out,
                        struct err *e)
{
    struct record r;
    return find_record(t, s, &r, e) && field_text_target(&r, out, e);
}
