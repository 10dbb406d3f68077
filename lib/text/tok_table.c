/*
 * The big tables of a tokenizer, and the one that spares the engines most of their work: about half
 * of the words of a text, counted once each, are pieces as they stand. Which pieces come out of
 * their engine as themselves is found once, when the tokenizer is opened, by asking it (15 to
 * 40 ms); so the table cannot say anything else than the engine would.
 */
#include <sys/mman.h>

#include "base/mem.h"
#include "text/tok_impl.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM (HUGE_PAGE / 8)

/* Memory that malloc has had before lies in small pages, whatever is asked for later: so all of it
 * is given back before it is touched. */
void *tok_pages(size_t bytes, struct err *e)
{
    bool huge = bytes >= HUGE_FROM;
    size_t n = huge ? (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : bytes;
    void *p = mem_aligned(huge ? HUGE_PAGE : 64, n, e);

    if (!p) return NULL;
    if (huge) {
        (void)madvise(p, n, MADV_DONTNEED);
        (void)madvise(p, n, MADV_HUGEPAGE);
    }
    return memset(p, 0, n);
}

void *tok_table(struct tokenizer *t, size_t bytes, struct err *e)
{
    size_t room = (bytes + 63) / 64 * 64;

    if (room > t->table_left) {
        CHECK(t->ntables < TOK_TABLES);
        void *p = tok_pages(room, e);
        if (!p) return NULL;
        t->table[t->ntables++] = p;
        size_t left = room < HUGE_FROM ? 0 : (HUGE_PAGE - room % HUGE_PAGE) % HUGE_PAGE;
        if (left < t->table_left) return p;
        t->table_rest = (char *)p + room;
        t->table_left = left;
        return p;
    }
    void *p = t->table_rest;
    t->table_rest += room;
    t->table_left -= room;
    return p;
}

static uint64_t line_of(const struct tokenizer *t, struct tok_key key)
{
    return ((key.lo ^ key.hi * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u >> 32) & t->whole_mask;
}

uint32_t tok_find_whole(const struct tokenizer *t, struct tok_key key)
{
    if (!t->whole) return TOK_NO_ID;
    for (uint64_t i = line_of(t, key);; i = (i + 1) & t->whole_mask) {
        const struct tok_whole *line = &t->whole[i];
        for (int k = 0; k < 3; k++)
            if (line->key[k].lo == key.lo && line->key[k].hi == key.hi) return line->id[k];
        if (line->n < 3) return TOK_NO_ID;
    }
}

void tok_fetch_whole(const struct tokenizer *t, struct tok_key key)
{
    if (t->whole) __builtin_prefetch(&t->whole[line_of(t, key)]);
}

static void put_whole(struct tokenizer *t, struct str s, uint32_t id)
{
    uint64_t w[2] = {0, 0};

    memcpy(w, s.p, s.n);
    struct tok_key key = {w[0], w[1] | (uint64_t)s.n << TOK_LAST_BYTE};
    uint64_t i = line_of(t, key);
    while (t->whole[i].n == 3)
        i = (i + 1) & t->whole_mask;
    struct tok_whole *line = &t->whole[i];
    line->key[line->n] = key;
    line->id[line->n++] = id;
}

static bool is_short(const struct tok_piece *p)
{
    return (p->flags & TOK_P_VOCAB) && (p->flags & TOK_P_MAPPED) && !(p->flags & TOK_P_SPECIAL) &&
           p->bytes.n <= TOK_SHORT;
}

bool tok_whole_build(struct tokenizer *t, struct err *e)
{
    struct tok_bpe bpe;
    struct tok_ids ids = {0};
    uint64_t n = 0, lines = 16;
    bool ok = false;

    if (t->engine == TOK_WORDPIECE)
        return true; /* a word begins with its blank, a piece does not */
    tok_bpe_init(&bpe);
    for (uint32_t i = 0; i < t->n; i++)
        n += is_short(&t->piece[i]);
    while (lines * 2 < n)
        lines *= 2;
    struct tok_whole *whole = tok_table(t, lines * sizeof(*whole), e);
    if (!whole) goto out;
    t->whole_mask = lines - 1;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!is_short(&t->piece[i])) continue;
        ids.n = 0;
        if (!tok_word(t, &bpe, t->piece[i].bytes, true, &ids, e)) goto out;
        if (ids.n != 1) continue;
        t->whole = whole;
        put_whole(t, t->piece[i].bytes, ids.ids[0]);
        t->whole = NULL; /* the engine is asked without it */
    }
    t->whole = whole;
    ok = true;
out:
    tok_bpe_free(&bpe);
    tok_ids_free(&ids);
    return ok;
}
