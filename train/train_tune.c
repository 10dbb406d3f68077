/*
 * The choices of the device, kept with the run: timed once, on rank 0, before the first step.
 *
 *     device_choices.bin   XXH3-128 of the rest, then what dev_choices_get gave
 *
 * Another GPU or library: the choices are made again and replaced; bits then change, as
 * train_state_get has already said.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/train_run.h"

enum { CHOICES_BYTES = 4 << 20, SAMPLE_TOKENS = 256 };

/* ---- a bin as large as the largest, of samples of usual length */
struct made_bin {
    uint32_t *ints; /* one block */
    struct decoder_batch b;
};

static void spread(uint32_t *cu, uint32_t nseq, uint32_t n)
{
    for (uint32_t i = 0; i <= nseq; i++)
        cu[i] = (uint32_t)((uint64_t)n * i / nseq);
}

static bool make_bin(const struct train_run *r, struct made_bin *out, struct err *e)
{
    const struct model_spec *s = model_get_spec(r->model);
    uint32_t tokens = r->tune_tokens, rows = r->tune_rows;
    uint32_t most = tokens > rows ? tokens : rows, nseq = most / SAMPLE_TOKENS;
    struct rng_key key = rng_key(r->o->seed, RNG_TEST, 0);

    if (nseq == 0) nseq = 1;
    if (nseq > tokens) nseq = tokens;
    if (nseq > rows) nseq = rows;
    out->ints = mem_calloc((size_t)tokens + 2 * (size_t)rows + 2 * (nseq + 1), 4, e);
    if (!out->ints) return false;
    uint32_t *tok = out->ints, *row = tok + tokens, *label = row + rows, *cu = label + rows,
             *label_cu = cu + nseq + 1;
    for (uint32_t i = 0; i < tokens; i++)
        tok[i] = (uint32_t)rng_below(key, i, s->vocab);
    for (uint32_t i = 0; i < rows; i++) {
        row[i] = (uint32_t)((uint64_t)tokens * i / rows); /* increasing: rows <= tokens */
        label[i] = (uint32_t)rng_below(key, (uint64_t)tokens + i, s->vocab);
    }
    spread(cu, nseq, tokens);
    spread(label_cu, nseq, rows);
    out->b = (struct decoder_batch){.tokens = tok,
                                    .ntokens = tokens,
                                    .cu = cu,
                                    .nseq = nseq,
                                    .rows = s->enc_layers ? NULL : row,
                                    .labels = label,
                                    .nrows = rows,
                                    .label_cu = s->enc_layers ? label_cu : NULL};
    return true;
}

/* Behind the largest bin: what the plan said, beside what the GPU has less. Others on the same GPU
 * count, too. */
static void compare_memory(struct train_run *r)
{
    double mib = 1024.0 * 1024.0, planned = (double)memory_plan_total(&r->memory) / mib;
    double used = (double)dev_bytes_taken(r->dev) / mib;

    r->memory_used = dev_bytes_taken(r->dev);
    if (r->memory_used > 0)
        log_info("memory", "part=used mib=%.1f planned_mib=%.1f off_percent=%.2f", used, planned,
                 100 * (used - planned) / used);
}

/* Every rank of every start: what the largest bin would take beside the plan (scratch, kernels that
 * are loaded at their first call) is taken now, not in the middle of an epoch. */
static bool run_largest(struct train_run *r, bool tune, struct err *e)
{
    struct made_bin bin = {0};
    double sum, t0 = clock_mono_s();

    bool ok = make_bin(r, &bin, e);
    dev_tune(r->dev, tune);
    ok = ok && decoder_grad(r->work, &bin.b, 0, r->step.grad, &sum, e);
    dev_tune(r->dev, false);
    mem_free(bin.ints);
    if (!ok) return err_wrap(e, "the largest bin, before the first step");
    log_info("tuned", "timed=%s tokens=%u rows=%u choices_bytes=%zu seconds=%.2f",
             tune ? "yes" : "no", bin.b.ntokens, bin.b.nrows, dev_choices_bytes(r->dev),
             clock_mono_s() - t0);
    struct dev_join_times t = dev_join_get(r->dev);
    if (t.pairs > 0)
        log_info("folded", "pairs=%u joined=%u one_product_ms=%.3f two_products_ms=%.3f", t.pairs,
                 t.joined, t.one_ms, t.two_ms);
    return true;
}

/* ---- the file; rank 0 */
static bool load_choices(struct train_run *r, bool *taken, struct err *e)
{
    struct arena a;
    struct str s;
    struct hash128 h;
    bool ok;

    *taken = false;
    if (!fs_exists(r->paths.choices)) return true;
    arena_init(&a, CHOICES_BYTES + 4096);
    ok = fs_read_file(r->paths.choices, CHOICES_BYTES, &a, &s, e);
    if (ok && s.n >= sizeof h) {
        h = hash_xxh128(s.p + sizeof h, s.n - sizeof h);
        ok = memcmp(&h, s.p, sizeof h) == 0 &&
             dev_choices_set(r->dev, s.p + sizeof h, s.n - sizeof h, taken, e);
    } else {
        ok = false;
    }
    if (!ok && e->code == ERR_NONE)
        err_set(e, ERR_FORMAT,
                "%s is damaged; remove it: the choices are then made again, and the last bits of "
                "what follows change",
                r->paths.choices);
    arena_free(&a);
    if (ok && !*taken)
        log_warn("choices_dropped", "what=\"made on another GPU or library; made again\"");
    return ok;
}

static bool save_choices(const struct train_run *r, const char *blob, size_t n, struct err *e)
{
    struct hash128 h = hash_xxh128(blob, n);
    struct fs_writer *w = NULL;
    bool ok = fs_writer_open(r->paths.choices, &w, e) && fs_writer_put(w, &h, sizeof h, e) &&
              fs_writer_put(w, blob, n, e) && fs_writer_commit(w, e);
    fs_writer_close(w);
    return ok;
}

/* Rank 0's part: *blob is mem_alloc'ed. */
static bool choose(struct train_run *r, char **blob, uint64_t *n, struct err *e)
{
    bool taken;

    if (!load_choices(r, &taken, e)) return false;
    if (!run_largest(r, !taken, e)) return false;
    *n = dev_choices_bytes(r->dev);
    *blob = mem_alloc((size_t)*n, e);
    if (!*blob) return false;
    dev_choices_get(r->dev, *blob);
    return taken || save_choices(r, *blob, (size_t)*n, e);
}

bool train_run_tune(struct train_run *r, struct err *e)
{
    bool first = comm_rank(r->c) == 0, taken, ok = true;
    uint64_t tunes = dev_tunes(r->dev), n = 0;
    char *blob = NULL;

    comm_bcast(r->c, &tunes, sizeof tunes, 0);
    if (!tunes) return true;
    if (first) ok = choose(r, &blob, &n, e);
    if (!comm_agree(r->c, ok, e)) goto out;
    comm_bcast(r->c, &n, sizeof n, 0);
    if (!first) {
        blob = mem_alloc((size_t)n, e);
        ok = blob != NULL;
    }
    if (!comm_agree(r->c, ok, e)) goto out;
    comm_bcast(r->c, blob, (size_t)n, 0);
    ok = first || (dev_choices_set(r->dev, blob, (size_t)n, &taken, e) && run_largest(r, false, e));
    ok = comm_agree(r->c, ok, e);
    mem_free(blob);
    if (ok) compare_memory(r);
    return ok;
out:
    mem_free(blob);
    return false;
}
