#include "judge/judge_apart.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "judge/folds.h"

enum { DEV_PARTS = 10 };

/* Patients of some answers, numbered anew: a resample draws no patient without an answer. */
static size_t renumber(uint32_t *group, size_t n, uint32_t *fresh)
{
    size_t groups = 0;

    for (size_t i = 0; i < n; i++) {
        if (fresh[group[i]] == 0) fresh[group[i]] = (uint32_t)++groups;
        group[i] = fresh[group[i]] - 1;
    }
    return groups;
}

bool judge_apart_parts(struct judge_run *r, const struct judge_set *s, uint32_t k, uint64_t salt,
                       uint32_t **out, struct err *e)
{
    uint32_t *group = arena_alloc(&r->arena, (s->n + 1) * sizeof *group, e);

    if (!group) return false;
    *out = arena_alloc(&r->arena, (s->n + 1) * sizeof **out, e);
    if (!*out) return false;
    for (size_t i = 0; i < s->n; i++)
        group[i] = s->items[i].group;
    return folds_make(group, s->n, s->ngroups, k, r->o->seed + salt, *out, e);
}

bool judge_apart_split(struct judge_run *r, const struct judge_set *s, const bool *held,
                       uint8_t *split, struct err *e)
{
    uint32_t *group = mem_calloc(2 * s->n + s->ngroups + 1, sizeof *group, e);
    uint32_t *part = group ? group + s->n : NULL, parts;
    size_t n = 0, groups, at = 0;
    bool ok = false;

    if (!group) return false;
    for (size_t i = 0; i < s->n; i++)
        if (!held[i]) group[n++] = s->items[i].group;
    groups = renumber(group, n, part + s->n);
    parts = groups < DEV_PARTS ? (uint32_t)groups : DEV_PARTS;
    if (parts < 2) {
        err_set(e, ERR_CONFIG, "judgements of %zu patients are left to train on: two at least",
                groups);
        goto out;
    }
    ok = folds_make(group, n, groups, parts, r->o->seed + 1, part, e);
    for (size_t i = 0; ok && i < s->n; i++)
        split[i] = held[i] ? JUDGE_APART : part[at++] == parts - 1 ? SHARD_DEV : SHARD_TRAIN;
out:
    mem_free(group);
    return ok;
}

bool judge_apart_init(struct judge_run *r, const struct judge_set *s, struct judge_apart *h,
                      struct err *e)
{
    h->reading = arena_alloc(&r->arena, (s->n + 1) * sizeof *h->reading, e);
    if (!h->reading) return false;
    h->is_held = arena_alloc(&r->arena, (s->n + 1) * sizeof *h->is_held, e);
    return h->is_held && judge_apart_parts(r, s, r->o->folds, 0, &h->part, e);
}

bool judge_apart_read(struct judge_run *r, const struct judge_set *s, const bool *which,
                      const char *adapter, struct judge_apart *h, struct judge_card *card,
                      struct err *e)
{
    struct judge_fields *v = mem_calloc(s->n + 1, sizeof *v, e);
    struct judge_reading *got = v ? mem_calloc(s->n + 1, sizeof *got, e) : NULL;
    size_t n = 0;
    bool ok = comm_agree(r->c, got != NULL, e);

    for (size_t i = 0; ok && i < s->n; i++)
        if (which[i]) v[n++] = s->items[i].fields;
    ok = ok && judge_run_read(r, adapter, v, n, got, card->base, card->adapter, e);
    n = 0;
    for (size_t i = 0; ok && i < s->n; i++) {
        if (!which[i]) continue;
        h->reading[i] = got[n++];
        h->is_held[i] = true;
    }
    mem_free(got);
    mem_free(v);
    return ok;
}

bool judge_apart_write(struct judge_run *r, const struct judge_set *s, const struct judge_apart *h,
                       struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf b;
    const char *path;
    bool ok;

    sbuf_init(&b, 1 << 16);
    ok = fs_join(&r->arena, r->o->dir, "held.jsonl", &path, e) && fs_writer_open(path, &w, e);
    for (size_t i = 0; ok && i < s->n; i++) {
        const struct judge_item *it = &s->items[i];
        if (!h->is_held[i]) continue;
        sbuf_clear(&b);
        ok = sbuf_put(&b, STR("{\"id\": "), e) && json_put_str(&b, it->id, false, e) &&
             sbuf_printf(&b, e,
                         ", \"part\": %u, \"truth\": %.4f, \"raw\": %.6f, \"spread\": %.6f, "
                         "\"rule\": %.4f}\n",
                         h->part[i], it->truth, h->reading[i].value, h->reading[i].spread,
                         it->rule) &&
             fs_writer_put(w, b.p, b.n, e);
    }
    ok = ok && fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&b);
    return ok;
}

bool judge_apart_card(struct judge_run *r, const struct judge_set *s, const struct judge_apart *h,
                      const struct blend *weights, struct judge_card *card, struct err *e)
{
    enum { COLS = 4 };
    double *v = mem_calloc(COLS * s->n + 1, sizeof *v, e);
    uint32_t *id = v ? mem_calloc(2 * s->n + s->ngroups + 1, sizeof *id, e) : NULL;
    size_t n = 0;
    bool ok = id != NULL;

    if (!ok) goto out;
    for (size_t i = 0; i < s->n; i++) {
        if (!h->is_held[i]) continue;
        v[n] = s->items[i].truth;
        v[s->n + n] = h->reading[i].value;
        v[2 * s->n + n] = h->reading[i].spread;
        v[3 * s->n + n] = s->items[i].rule;
        id[n] = s->items[i].group;
        id[s->n + n++] = h->part[i];
    }
    struct judge_held held = {.truth = v,
                              .value = v + s->n,
                              .spread = v + 2 * s->n,
                              .rule = v + 3 * s->n,
                              .group = id,
                              .part = id + s->n,
                              .n = n,
                              .ngroups = renumber(id, n, id + 2 * s->n),
                              .parts = r->o->folds,
                              .weights = weights};
    ok = judge_card_make(&held, r->o->seed, r->o->bootstrap, card, e);
out:
    mem_free(id);
    mem_free(v);
    return ok;
}
