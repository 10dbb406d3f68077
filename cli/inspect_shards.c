#include "cli/inspect_shards.h"

#include <stdlib.h>

#include "base/audit.h"
#include "base/hash.h"
#include "base/mem.h"
#include "shard/plan.h"
#include "shard/shard_groups.h"
#include "shard/shard_manifest.h"
#include "text/tokenizer.h"

enum { PLAN_STEPS_SHOWN = 4, TOKENS_SHOWN = 64 };
#define LLU(n) (unsigned long long)(n)

static void print_digest(const struct cmd_call *call, const char *label, const uint8_t d[32])
{
    char hex[65];
    hash_hex(d, 32, hex);
    cmd_print(call, "  %-10s %s\n", label, hex);
}

static bool split_of(struct cmd_call *call, enum shard_split *out)
{
    const char *name = cmd_value(call, "--split");

    for (int s = 0; s < SHARD_SPLITS; s++) {
        *out = (enum shard_split)s;
        if (str_eqz(str_of(shard_split_names[s]), name ? name : "train")) return true;
    }
    return err_set(&call->err, ERR_CONFIG, "--split is train, dev or test");
}

/* ---- one sample */
static void print_tokens(const struct cmd_call *call, const struct sample *x)
{
    cmd_print(call, "  tokens    ");
    for (uint32_t i = 0; i < x->length && i < TOKENS_SHOWN; i++)
        cmd_print(call, "%s%u", i == x->target ? " | " : i ? " " : "", (unsigned)x->tokens[i]);
    cmd_print(call, "%s\n", x->length > TOKENS_SHOWN ? " ..." : "");
}

static bool print_text(struct cmd_call *call, const char *label, const struct tokenizer *t,
                       const uint32_t *ids, size_t n)
{
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 64 << 20);
    ok = tokenizer_decode(t, ids, n, false, &b, &call->err);
    if (ok) cmd_print(call, "  -- %s\n%.*s\n", label, STR_ARG(sbuf_str(&b)));
    sbuf_free(&b);
    return ok;
}

/* The words of a sample: only with the tokenizer that the shards were made with. */
static bool show_text(struct cmd_call *call, const char *dir, const struct shard_info *i,
                      const struct sample *x)
{
    const char *path = cmd_value(call, "--tokenizer");
    struct tokenizer *t = NULL;
    bool ok;

    if (!path)
        return err_set(&call->err, ERR_CONFIG,
                       "--show-text of a sample needs --tokenizer: the model's folder or file");
    if (!tokenizer_open(path, &t, &call->err)) return false;
    ok = shard_check_tokenizer(i, tokenizer_info(t).digest, NULL, path, &call->err) &&
         audit_note(dir, "show", "text of one sample of the shards", &call->err) &&
         print_text(call, "prompt", t, x->tokens, x->target) &&
         print_text(call, "target", t, x->tokens + x->target, x->length - x->target);
    tokenizer_close(t);
    return ok;
}

static bool inspect_sample(struct cmd_call *call, const char *dir)
{
    struct shard_set *s = NULL;
    struct sample x;
    enum shard_split split;
    uint64_t i = 0;
    bool ok = false;

    if (!split_of(call, &split) || !cmd_number(call, "--sample", UINT32_MAX, &i)) return false;
    if (!shard_set_open(dir, split, NULL, 0, true, &s, &call->err)) return false;
    if (i >= shard_set_count(s)) {
        err_set(&call->err, ERR_CONFIG, "--sample %llu: %s has %zu samples", LLU(i),
                shard_split_names[split], shard_set_count(s));
        goto out;
    }
    if (!shard_set_get(s, (size_t)i, &x, &call->err)) goto out;
    cmd_print(call, "%s: sample %llu of %s, %s\n", dir, LLU(i), shard_split_names[split],
              shard_set_modality(s, (size_t)i));
    cmd_print(call, "  from       source %s, block %u, row %u, entry %llu\n",
              shard_set_source(s, (size_t)i), x.block, x.row, LLU(x.entry));
    cmd_print(call, "  length     %u tokens, %u of them targets\n", x.length, x.length - x.target);
    print_tokens(call, &x);
    ok = !cmd_value(call, "--show-text") || show_text(call, dir, shard_set_info(s), &x);
out:
    shard_set_close(s);
    return ok;
}

/* ---- the plan of an epoch */
static void print_steps(const struct cmd_call *call, const struct plan *p)
{
    for (uint64_t k = 0; k < p->nsteps && k < PLAN_STEPS_SHOWN; k++) {
        uint64_t begin, end;
        plan_rank_bins(p, k, 0, 1, &begin, &end);
        cmd_print(call, "  step %-5llu bins %llu..%llu, %llu tokens, %llu targets; first samples",
                  LLU(k), LLU(begin), LLU(end - 1), LLU(plan_step_tokens(p, k)),
                  LLU(plan_step_targets(p, k)));
        for (uint64_t i = p->bins[begin].first, n = 0; n < 6 && n < p->bins[begin].samples;
             i++, n++)
            cmd_print(call, " %u", (unsigned)p->order[i]);
        cmd_print(call, "\n");
    }
    if (p->nsteps > PLAN_STEPS_SHOWN) cmd_print(call, "  ... %llu steps in all\n", LLU(p->nsteps));
}

static bool read_params(struct cmd_call *call, struct plan_params *q)
{
    uint64_t epoch = 0, tokens = 8192, targets = 0, bins = 8;

    q->seed = 1;
    if (!cmd_number(call, "--plan", UINT32_MAX, &epoch) ||
        !cmd_number(call, "--seed", UINT64_MAX, &q->seed) ||
        !cmd_number(call, "--bin-tokens", 1 << 24, &tokens) ||
        !cmd_number(call, "--bin-targets", 1 << 24, &targets) ||
        !cmd_number(call, "--bins-per-step", 1 << 24, &bins))
        return false;
    q->epoch = (uint32_t)epoch;
    q->bin_tokens = (uint32_t)tokens;
    q->bin_targets = (uint32_t)targets;
    q->bins_per_step = (uint32_t)bins;
    q->shuffle = true;
    q->once = cmd_value(call, "--once") != NULL;
    return true;
}

static bool inspect_plan(struct cmd_call *call, const char *dir)
{
    struct plan_params q;
    struct shard_set *s = NULL;
    struct plan p = {0};
    enum shard_split split;
    uint64_t tokens = 0, targets = 0;
    bool ok;

    if (!split_of(call, &split) || !read_params(call, &q)) return false;
    ok = shard_set_open(dir, split, NULL, 0, false, &s, &call->err) &&
         plan_init(&p, s, &q, &call->err);
    if (ok) {
        bool apart = shard_set_info(s)->layout == SHARD_ENCODER_DECODER;
        for (size_t b = 0; b < p.nbins; b++) {
            tokens += p.bins[b].tokens;
            targets += p.bins[b].targets;
        }
        if (apart) tokens -= targets;
        cmd_print(call, "%s: plan of epoch %u of %s, seed %llu\n", dir, q.epoch,
                  shard_split_names[split], LLU(q.seed));
        print_digest(call, "digest", p.digest);
        cmd_print(call,
                  "  %zu samples in %zu bins of %u %stokens, %.2f %% full; %llu steps of %u\n",
                  p.nsamples, p.nbins, q.bin_tokens, apart ? "input " : "",
                  100.0 * (double)tokens / ((double)p.nbins * q.bin_tokens), LLU(p.nsteps),
                  q.bins_per_step);
        print_steps(call, &p);
    }
    plan_free(&p);
    shard_set_close(s);
    return ok;
}

/* ---- files and folders */
static bool begins_with(const char *path, const char magic[8])
{
    struct fs_map map;
    struct err e = {0};
    bool is;

    if (!fs_map_open(path, &map, &e)) return false;
    is = map.n >= 8 && memcmp(map.p, magic, 8) == 0;
    fs_map_close(&map);
    return is;
}

static int by_hash(const void *a, const void *b)
{
    const struct hash128 *x = a, *y = b;

    if (x->hi != y->hi) return x->hi < y->hi ? -1 : 1;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

bool inspect_is_shard_file(const char *path)
{
    return begins_with(path, SHARD_MAGIC);
}

bool inspect_shard_file(struct cmd_call *call, const char *path)
{
    struct shard_fact fact;
    struct shard_file f;

    if (!shard_file_open(path, true, &f, &call->err)) return false;
    const struct shard_head *h = &f.head;
    shard_file_fact(&f, &fact);
    cmd_print(call, "%s: %s token shard, %s %llu of source %llu, template %s, input %s\n", path,
              shard_layout_names[h->layout], h->modality, LLU(h->number), LLU(h->source),
              h->template_name, h->inputs);
    print_digest(call, "tokenizer", h->tokenizer_sha256);
    print_digest(call, "template", h->template_sha256);
    print_digest(call, "records", h->inputs_sha256);
    print_digest(call, "options", h->config_sha256);
    cmd_print(call, "  tokens     %llu of %u bytes, contiguous at byte %llu; all checksums hold\n",
              LLU(f.rows[SHARD_COL_IDS]), h->token_bytes, LLU(f.block.token_offset));
    for (int s = 0; s < SHARD_SPLITS; s++)
        cmd_print(call, "  %-10s %llu samples, %llu tokens, %llu of them targets\n",
                  shard_split_names[s], LLU(fact.samples[s]), LLU(fact.tokens[s]),
                  LLU(fact.targets[s]));
    cmd_print(call, "  of %llu records; %llu inputs cut by %llu tokens, %llu tokens unknown\n",
              LLU(h->records), LLU(h->cut), LLU(h->cut_tokens), LLU(h->unknown));
    for (int d = 0; d < SHARD_DROPS; d++)
        if (h->dropped[d])
            cmd_print(call, "  left out   %s %llu\n", shard_drop_names[d], LLU(h->dropped[d]));
    shard_file_close(&f);
    return true;
}

/* A group has one head. */
static bool print_groups(struct cmd_call *call, const char *label, const struct shard_groups *g)
{
    size_t n = (size_t)g->n, groups = 0;
    struct hash128 *heads = mem_alloc((n + 1) * sizeof *heads, &call->err);

    if (!heads) return false;
    for (size_t i = 0; i < n; i++)
        heads[i] = shard_groups_at(g, i).head;
    qsort(heads, n, sizeof *heads, by_hash);
    for (size_t i = 0; i < n; i++)
        groups += i == 0 || by_hash(&heads[i - 1], &heads[i]) != 0;
    mem_free(heads);
    cmd_print(call, "%s%zu texts that are nearly another's, in %zu groups\n", label, n, groups);
    return true;
}

bool inspect_is_groups_file(const char *path)
{
    return begins_with(path, SHARD_GROUPS_MAGIC);
}

bool inspect_groups_file(struct cmd_call *call, const char *path)
{
    struct shard_groups g;
    bool ok;

    if (!shard_groups_open(path, &g, &call->err)) return false;
    cmd_print(call, "%s: texts that are nearly one; all checksums hold\n", path);
    ok = print_groups(call, "  ", &g);
    shard_groups_close(&g);
    return ok;
}

static bool check_groups(struct cmd_call *call, const char *dir, const struct shard_manifest *m)
{
    struct shard_groups g;
    const char *path;
    bool ok;

    if (!m->groups) return true;
    if (!fs_join(&call->arena, dir, m->groups, &path, &call->err)) return false;
    if (!shard_groups_open(path, &g, &call->err)) return false;
    ok = memcmp(g.sha256, m->groups_sha256, 32) == 0 ||
         err_set(&call->err, ERR_FORMAT, "%s is not the file the manifest names: run radmill shard",
                 path);
    ok = ok && print_groups(call, "  groups     ", &g);
    shard_groups_close(&g);
    return ok;
}

static void print_modality(const struct cmd_call *call, const struct shard_manifest *m, size_t k)
{
    const struct shard_manifest_modality *x = &m->modalities[k];
    uint64_t samples[SHARD_SPLITS] = {0}, files = 0;

    for (size_t i = 0; i < m->nfiles; i++) {
        if (!str_eqz(str_of(m->files[i].modality), x->name)) continue;
        files++;
        for (int s = 0; s < SHARD_SPLITS; s++)
            samples[s] += m->files[i].fact.samples[s];
    }
    cmd_print(call, "  %-10s %llu records in %llu files: train %llu dev %llu test %llu, cut %llu",
              x->name, LLU(x->records), LLU(files), LLU(samples[0]), LLU(samples[1]),
              LLU(samples[2]), LLU(x->cut));
    for (int d = 0; d < SHARD_DROPS; d++)
        if (x->dropped[d]) cmd_print(call, ", %s %llu", shard_drop_names[d], LLU(x->dropped[d]));
    cmd_print(call, "\n");
}

static bool print_folder(struct cmd_call *call, const char *dir, const struct shard_manifest *m)
{
    const struct shard_info *i = &m->info;
    uint64_t sum[SHARD_SPLITS][3] = {{0}};

    cmd_print(
        call, "%s: %s token shards, template %s, input %s, vocabulary %u, at most %u tokens\n", dir,
        shard_layout_names[i->layout], i->template_name, i->inputs, i->vocab_size, i->max_tokens);
    print_digest(call, "dataset", i->dataset_digest);
    print_digest(call, "tokenizer", i->tokenizer_digest);
    print_digest(call, "template", i->template_digest);
    for (size_t k = 0; k < m->nfiles; k++) {
        struct shard_file f;
        const char *path;
        if (!fs_join(&call->arena, dir, m->files[k].path, &path, &call->err)) return false;
        if (!shard_file_open(path, true, &f, &call->err)) return false;
        shard_file_close(&f);
        for (int s = 0; s < SHARD_SPLITS; s++) {
            sum[s][0] += m->files[k].fact.samples[s];
            sum[s][1] += m->files[k].fact.tokens[s];
            sum[s][2] += m->files[k].fact.targets[s];
        }
    }
    for (int s = 0; s < SHARD_SPLITS; s++)
        cmd_print(call, "  %-10s %llu samples, %llu tokens, %llu of them targets\n",
                  shard_split_names[s], LLU(sum[s][0]), LLU(sum[s][1]), LLU(sum[s][2]));
    for (size_t k = 0; k < m->nmodalities; k++)
        print_modality(call, m, k);
    if (!check_groups(call, dir, m)) return false;
    cmd_print(call, "  %zu files, all checksums hold\n", m->nfiles);
    return true;
}

bool inspect_shards(struct cmd_call *call, const char *dir)
{
    struct shard_manifest m;
    enum shard_split split;

    if (!split_of(call, &split)) return false;
    if (cmd_value(call, "--plan")) return inspect_plan(call, dir);
    if (cmd_value(call, "--sample")) return inspect_sample(call, dir);
    return shard_manifest_read(dir, &call->arena, &m, &call->err) && print_folder(call, dir, &m);
}
