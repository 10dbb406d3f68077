/*
 * bench_step - one LoRA optimizer step on packed report-like samples, as bench/peers/torch_lora_step.py
 * does it: SmolLM2-135M's shape (or a model folder), random token ids, the last quarter of each
 * sample bears loss. With an encoder: samples of 192 tokens for it and 64 labels.
 *
 *     bench_step MODEL_DIR bf16|f32 [tokens 1024] [steps 6] [rank 16] [threads 1] [device cpu]
 *                [none|int8|nf4] [auto|separate|folded]
 *
 * tokens counts those of the encoder and the labels together. Prints tokens/s by wall and by CPU time,
 * the best step, the achieved FLOP/s counted as the peer counts them, the peak resident set, device
 * memory planned and taken, a GPU's busy share by the host's clock, and the seconds from the start of the
 * process to an open model and to the end of the first step; on a GPU how products with adapters were
 * timed (lora.fold), and what one more step's time went to.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/step.h"

enum { SAMPLE_MEAN = 256, WARMUP = 2, PACKS = 4 };

struct pack {
    uint32_t *tokens, *cu, *rows, *labels;
    struct decoder_batch b;
    double attention; /* sum of squared lengths / 2 */
};

static void die(const struct err *e)
{
    fprintf(stderr, "bench_step: %s\n", e->text);
    exit(1);
}

/* Lengths are log-normal around the mean, cut to [32, n]; the last sample takes what is left. */
static void fill(struct pack *p, uint32_t n, uint32_t vocab, uint64_t seed)
{
    struct rng_key k = rng_key(seed, RNG_TEST, 0);
    uint32_t at = 0, nseq = 0, nrows = 0;

    p->tokens = calloc(n, 4), p->cu = calloc(n + 1, 4), p->rows = calloc(n, 4),
    p->labels = calloc(n, 4);
    for (uint32_t i = 0; i < n; i++)
        p->tokens[i] = (uint32_t)rng_below(k, i, vocab);
    while (at < n) {
        double len = exp(log(SAMPLE_MEAN) - 0.08 + 0.4 * rng_normal(k, (1 << 20) + nseq));
        uint32_t end = at + (uint32_t)fmax(32, fmin(n, len));
        if (end > n || n - end < 32) end = n;
        uint32_t loss = (uint32_t)fmax(1, 0.25 * (end - at));
        for (uint32_t r = end - 1 - loss; r < end - 1; r++) {
            p->rows[nrows] = r;
            p->labels[nrows++] = p->tokens[r + 1];
        }
        p->attention += (double)(end - at) * (end - at) / 2;
        p->cu[++nseq] = at = end;
    }
    p->b = (struct decoder_batch){.tokens = p->tokens,
                                  .ntokens = n,
                                  .cu = p->cu,
                                  .nseq = nseq,
                                  .rows = p->rows,
                                  .labels = p->labels,
                                  .nrows = nrows};
}

/* Samples of one length on each side, as the peer's batches. */
static void fill_both(struct pack *p, uint32_t n, uint32_t vocab, uint64_t seed)
{
    enum { ENC = 192, DEC = 64 };
    struct rng_key k = rng_key(seed, RNG_TEST, 0);
    uint32_t nseq = n / (ENC + DEC) ? n / (ENC + DEC) : 1;

    p->tokens = calloc(nseq, ENC * 4), p->labels = calloc(nseq, DEC * 4);
    p->cu = calloc(nseq + 1, 4), p->rows = calloc(nseq + 1, 4);
    for (uint32_t i = 0; i < nseq * ENC; i++)
        p->tokens[i] = (uint32_t)rng_below(k, i, vocab);
    for (uint32_t i = 0; i < nseq * DEC; i++)
        p->labels[i] = (uint32_t)rng_below(k, nseq * ENC + i, vocab);
    for (uint32_t i = 0; i <= nseq; i++)
        p->cu[i] = i * ENC, p->rows[i] = i * DEC;
    p->b = (struct decoder_batch){.tokens = p->tokens,
                                  .ntokens = nseq * ENC,
                                  .cu = p->cu,
                                  .nseq = nseq,
                                  .labels = p->labels,
                                  .nrows = nseq * DEC,
                                  .label_cu = p->rows};
    p->attention = (double)nseq * (ENC * ENC + DEC * DEC / 2.0 + ENC * DEC);
}

static bool get(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    (void)e;
    *out = ((struct pack *)ctx)[bin % PACKS].b;
    return true;
}

/* Encoder and decoder blocks: four linears of attention each, three of the MLP, four of cross
 * attention, of which k and v see the encoder's tokens. */
static double flops_both(const struct model_spec *s, const struct pack *p, double r)
{
    double q = (double)s->heads * s->head_dim, d = s->d, f = s->ff, te = p->b.ntokens,
           td = p->b.nrows;
    double attn = 4 * q * d + 6 * r * (q + d), mlp = 3 * (4 * f * d + 6 * r * (f + d));
    return s->enc_layers * te * (4 * attn + mlp) +
           (s->layers - s->enc_layers) * (td * (6 * attn + mlp) + te * 2 * attn) +
           s->enc_layers * 12 * p->attention * q + 4.0 * td * s->vocab * d;
}

static double flops(const struct model_spec *s, const struct pack *p, double r)
{
    if (s->enc_layers) return flops_both(s, p, r);
    double h = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, d = s->d, f = s->ff;
    double out[7] = {h, kv, kv, d, f, f, d}, in[7] = {d, d, d, h, d, d, f}, per = 0;
    for (int i = 0; i < 7; i++)
        per += 4 * out[i] * in[i] + 6 * r * (out[i] + in[i]);
    return s->layers * (per * p->b.ntokens + 12 * p->attention * h) +
           4.0 * p->b.nrows * s->vocab * d;
}

/* Lines "profile MS PERCENT CALLS KIND" of one more step, largest first. */
static void print_profile(struct dev *d, double wall_ms)
{
    struct dev_profile p;
    struct err e = {0};
    double sum = 0;

    if (!dev_profile_get(d, &p, &e)) die(&e);
    for (int k = 0; k < DEV_PROFILE_KINDS; k++)
        sum += p.ms[k];
    printf("profiled_ms %.2f in_ops_ms %.2f\n", wall_ms, sum);
    for (;;) {
        int top = 0;
        for (int k = 1; k < DEV_PROFILE_KINDS; k++)
            if (p.ms[k] > p.ms[top]) top = k;
        if (p.ms[top] <= 0) break;
        printf("profile %.3f %.1f %llu %s\n", p.ms[top], 100 * p.ms[top] / sum,
               (unsigned long long)p.calls[top], dev_profile_name(top));
        p.ms[top] = 0;
    }
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct comm *c = NULL;
    struct dev *d = NULL;
    struct model *m = NULL;
    struct lora *l = NULL;
    struct decoder_work *w = NULL;
    struct step st = {0};
    struct pack packs[PACKS] = {{0}};
    struct lora_opts lo = {.method = LORA_LORA, .rank = 16, .alpha = 32};
    const char *all = "all-linear";

    if (argc < 3) {
        fprintf(stderr, "usage: bench_step MODEL_DIR bf16|f32 [tokens] [steps] [rank] [threads] "
                        "[device] [none|int8|nf4] [auto|separate|folded]\n");
        return 2;
    }
    enum dev_dtype dtype = strcmp(argv[2], "f32") == 0 ? DEV_F32 : DEV_BF16;
    uint32_t n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1024;
    int steps = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 6;
    if (argc > 5) lo.rank = (uint32_t)strtoul(argv[5], NULL, 10);
    int threads = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 1;
    const char *device = argc > 7 ? argv[7] : "cpu", *few = argc > 8 ? argv[8] : "none";
    enum dev_quant_kind quant = strcmp(few, "nf4") == 0    ? DEV_QUANT_NF4
                                : strcmp(few, "int8") == 0 ? DEV_QUANT_INT8
                                                           : DEV_QUANT_NONE;
    const char *fold = argc > 9 ? argv[9] : "auto";
    lo.fold = strcmp(fold, "separate") == 0 ? LORA_FOLD_SEPARATE
              : strcmp(fold, "folded") == 0 ? LORA_FOLD_FOLDED
                                            : LORA_FOLD_AUTO;
    double start = clock_mono_s();
    lo.alpha = 2 * lo.rank;
    lo.targets = (struct opt_strs){&all, 1};

    dev_set_place(&(struct dev_place){.plugin = getenv("RADMILL_CUDA_PLUGIN")});
    if (!comm_open_self(&c, &e) || !dev_open(device, threads, &d, &e)) die(&e);
    size_t free0 = dev_bytes_free(d), own0 = dev_bytes_own(d);
    if (!model_open_for(d, argv[1], dtype, quant, &lo, &m, &e)) die(&e);
    double opened = clock_mono_s() - start, first = 0;
    const struct model_spec *spec = model_get_spec(m);
    uint32_t max_rows = 0;
    for (int i = 0; i < PACKS; i++) {
        (spec->enc_layers ? fill_both : fill)(&packs[i], n, spec->vocab, 1 + i);
        if (packs[i].b.nrows > max_rows) max_rows = packs[i].b.nrows;
    }
    if (!lora_open(m, &lo, 1, &l, &e)) die(&e);
    if (!decoder_work_open(m, l, packs[0].b.ntokens, max_rows, true, &w, &e)) die(&e);
    struct step_opts so = {
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1.0, .bins_per_step = 1};
    if (!step_init(&st, &so, m, l, w, c, &e)) die(&e);

    if (dev_tunes(d)) { /* as train does before its first step */
        double sum;
        dev_tune(d, true);
        if (!decoder_grad(w, &packs[0].b, 0, st.grad, &sum, &e)) die(&e);
        dev_tune(d, false);
    }

    struct step_source src = {packs, get};
    struct step_flags flags = {0};
    struct step_result r = {0};
    double best = 1e30, wall = 0, cpu = 0, work = 0, idle = 0;
    for (int i = 0; i < WARMUP + steps; i++) {
        struct step_job j = {.number = i + 1,
                             .first = i,
                             .begin = i,
                             .end = i + 1,
                             .rows = packs[i % PACKS].b.nrows,
                             .lr = 2e-4};
        double t0 = clock_mono_s(), c0 = clock_cpu_s(), i0 = dev_idle_s(d);
        if (!step_run(&st, &src, &j, &flags, &r, &e)) die(&e);
        double dt = clock_mono_s() - t0;
        if (i == 0) first = clock_mono_s() - start;
        if (i < WARMUP) continue;
        wall += dt, idle += dev_idle_s(d) - i0, cpu += clock_cpu_s() - c0,
            work += flops(spec, &packs[i % PACKS], lo.rank);
        if (dt < best) best = dt;
    }
    if (spec->enc_layers) n = packs[0].b.ntokens + packs[0].b.nrows;
    printf("device %s\n", dev_describe(d));
    printf("dtype %s tokens %u loss_rows %u rank %u threads %d steps %d\n", argv[2], n, max_rows,
           lo.rank, threads, steps);
    printf("tokens_per_s %.1f cpu_tokens_per_s %.1f best_ms %.1f ms_per_step %.1f gflops %.1f\n",
           n * steps / wall, n * steps / cpu, best * 1e3, wall / steps * 1e3, work / wall / 1e9);
    printf("planned_mib %.1f taken_mib %.1f open_s %.2f first_step_s %.2f\n",
           (double)(dev_bytes_peak(d) + dev_bytes_own(d) - own0) / 1048576.0,
           (double)(free0 - dev_bytes_free(d)) / 1048576.0, opened, first);
    struct dev_join_times t = dev_join_get(d);
    printf("folded %d pairs %u joined %u one_product_ms %.3f two_products_ms %.3f\n",
           lora_folded(l), t.pairs, t.joined, t.one_ms, t.two_ms);
    printf("loss %.4f device_mib %.1f peak_rss_gib %.3f\n", r.loss, dev_bytes_peak(d) / 1048576.0,
           mem_peak_rss_bytes() / 1073741824.0);
    if (dev_idle_s(d) >= 0) printf("busy_percent %.2f\n", 100 * fmax(0, 1 - idle / wall));
    if (dev_profiles(d)) {
        struct step_job j = {.number = (uint64_t)(WARMUP + steps + 1),
                             .end = 1,
                             .rows = packs[0].b.nrows,
                             .lr = 2e-4};
        if (!dev_profile_set(d, true, &e)) die(&e);
        double t0 = clock_mono_s();
        if (!step_run(&st, &src, &j, &flags, &r, &e)) die(&e);
        print_profile(d, 1e3 * (clock_mono_s() - t0));
        if (!dev_profile_set(d, false, &e)) die(&e);
    }
    step_free(&st);
    decoder_work_close(w);
    lora_close(l);
    model_close(m);
    dev_close(d);
    comm_close(c);
    return 0;
}
