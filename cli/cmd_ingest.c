/* radmill ingest: archives and dumps to records. */
#include "base/fs.h"
#include "cli/config.h"
#include "ingest/phi.h"
#include "model/spec.h"
#include "synth/planted.h"

static void print_counts(const struct cmd_call *call, const char *label, const char *const *names,
                         const uint64_t *counts, size_t n)
{
    cmd_print(call, "  %-11s", label);
    for (size_t i = 0; i < n; i++)
        if (counts[i]) cmd_print(call, " %s %llu", names[i], (unsigned long long)counts[i]);
    cmd_print(call, "\n");
}

static uint64_t total(const uint64_t *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

/* corpus.limit: what the whole would take, from what the trial took. */
static bool print_projection(struct cmd_call *call, const struct config *c,
                             const struct ingest_summary *s)
{
    /* Bytes of English report text a token stands for; a GPU's useful rate (an A100's 312 TFLOP/s
     * in bf16, 40 % of it); LoRA's cost a token and parameter (forward 2, backward 2). */
    const double token_bytes = 4.2, gpu_flops = 0.4 * 312e12, lora_flops = 4;
    double times = s->reports ? (double)s->total / (double)s->reports : 0;
    double text = (double)s->text_bytes * times, pairs = (double)s->pairs * times;
    double tokens =
        s->reports ? pairs * (double)s->text_bytes / (double)s->reports / token_bytes : 0;
    double params = 1e9, epochs = c->train.epochs > 0 ? c->train.epochs : 1;
    const char *path = NULL, *named = "a model of 1e9 parameters";
    struct model_spec spec;

    if (c->model.base) {
        if (!fs_join(&call->arena, c->model.base, "config.json", &path, &call->err)) return false;
        if (fs_exists(path)) {
            if (!model_spec_read(path, &spec, &call->err)) return false;
            params = (double)model_spec_params(&spec);
            named = c->model.base;
        }
    }
    cmd_print(call, "projected for all %llu reports, by arithmetic from this trial:\n",
              (unsigned long long)s->total);
    if (s->blocks_made == s->blocks)
        cmd_print(call, "  ingest     %.0f s on these %d ranks\n",
                  s->seconds + (s->report_seconds + s->near_seconds) * (times - 1),
                  comm_size(call->comm));
    else
        cmd_print(call, "  ingest     not measured: blocks of this trial were there before\n");
    cmd_print(call, "  disk       records %.2f GB, shards up to %.2f GB\n",
              (text + 260.0 * (double)s->total) / 1e9, 4 * tokens / 1e9);
    cmd_print(call, "  pairs      %.0f, about %.1f million tokens\n", pairs, tokens / 1e6);
    cmd_print(
        call,
        "  GPU-hours  %.2f for %g epochs of %s (%.2e parameters, LoRA; an A100 at 40 %% of its "
        "312 TFLOP/s)\n",
        lora_flops * params * tokens * epochs / gpu_flops / 3600, epochs, named, params);
    return true;
}

enum { PLANTED = 2000, PLANTED_SEED = 1 };

/* Share of planted identifiers of each kind that the look finds whole. */
static bool measure_phi(struct cmd_call *call, double share[PHI_KINDS])
{
    uint64_t found[PHI_KINDS] = {0}, planted[PHI_KINDS] = {0};
    struct sbuf text;
    bool ok = true;

    sbuf_init(&text, 4096);
    for (uint64_t i = 0; ok && i < PLANTED; i++) {
        struct planted p;
        struct phi_hit h;
        sbuf_clear(&text);
        ok = planted_put(PLANTED_SEED, i, &text, &p, &call->err);
        planted[p.kind]++;
        for (size_t at = 0; ok && phi_next(sbuf_str(&text), &at, &h);)
            found[p.kind] += h.begin <= p.begin && h.end >= p.end;
    }
    for (int k = 0; ok && k < PHI_KINDS; k++)
        share[k] = (double)found[k] / (double)planted[k];
    sbuf_free(&text);
    return ok;
}

static bool print_phi(struct cmd_call *call, int policy, const struct ingest_summary *s)
{
    double share[PHI_KINDS];

    if (policy == INGEST_PHI_OFF) return true;
    if (!measure_phi(call, share)) return false;
    cmd_print(call, "  %s, in reports:", policy == INGEST_PHI_MASK ? "masked" : "identifiers left");
    for (int k = 0; k < PHI_KINDS; k++)
        cmd_print(call, "%s %s %llu", k ? "," : "", phi_kind_names[k],
                  (unsigned long long)s->flags[PHI_FIRST_FLAG + k]);
    cmd_print(call, "\n    (finds of planted ones:");
    for (int k = 0; k < PHI_KINDS; k++)
        cmd_print(call, "%s %.0f %%", k ? "," : "", 100 * share[k]);
    cmd_print(call, "; sees no name without a title, no address: this is not de-identification)\n");
    return true;
}

static void print_empty(struct cmd_call *call, const struct ingest_summary *s)
{
    for (size_t i = 0; i < s->nempty && i < INGEST_EMPTY_MAX; i++) {
        const struct ingest_empty *x = &s->empty[i];
        cmd_print(
            call,
            "  source %s gave no report: %llu files, %llu entries, %llu ignored, %llu rejected; "
            "look at its path, format, members and columns\n",
            x->name, (unsigned long long)x->files, (unsigned long long)x->entries,
            (unsigned long long)x->ignored, (unsigned long long)x->rejected);
    }
    if (s->nempty > INGEST_EMPTY_MAX)
        cmd_print(call, "  and %zu more sources\n", s->nempty - INGEST_EMPTY_MAX);
}

bool cmd_ingest(struct cmd_call *call)
{
    struct ingest_summary s = {0};
    struct config c;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!ingest_run(&c.corpus, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu reports in %llu blocks (%llu made now), %.1f MB of text, %.1f s\n",
              c.corpus.dir, (unsigned long long)s.reports, (unsigned long long)s.blocks,
              (unsigned long long)s.blocks_made, (double)s.text_bytes / 1e6, s.seconds);
    cmd_print(call, "  usable pairs %llu\n", (unsigned long long)s.pairs);
    if (s.near_seconds > 0)
        cmd_print(call, "  near-duplicates %llu, in %.1f s of these\n",
                  (unsigned long long)s.flags[8], s.near_seconds);
    print_counts(call, "split", record_split_names, s.split, SPLIT_COUNT);
    print_counts(call, "modality", record_modality_names, s.modality, MOD_COUNT);
    if (total(s.rejected, REJECT_COUNT))
        print_counts(call, "left out", record_reject_names, s.rejected, REJECT_COUNT);
    print_empty(call, &s);
    if (!print_phi(call, c.corpus.phi, &s)) return false;
    return !c.corpus.limit || s.total <= s.reports || print_projection(call, &c, &s);
}
