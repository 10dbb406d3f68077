/*
 * bench/bench_rouge - pairs a second of evaluate/rouge (all four kinds, with and without stems) and
 * evaluate/bleu (13a) of CPU time. Usage: bench_rouge PAIRS.jsonl (prediction and reference on each
 * line).
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "evaluate/bleu.h"
#include "evaluate/rouge.h"
#include "generate/pairs.h"

static bool run(const struct pair *p, size_t n, bool stem, struct err *e)
{
    struct rouge *r;
    struct rouge_scores s;
    double sum = 0, t0 = clock_cpu_s(), t;
    size_t done = 0;
    bool ok = rouge_open(stem, &r, e);
    do {
        for (size_t i = 0; ok && i < n; i++, done++) {
            ok = rouge_pair(r, p[i].prediction, p[i].reference, &s, e);
            sum += s.v[ROUGE_L].f;
        }
        t = clock_cpu_s() - t0;
    } while (ok && t < 2.0);
    rouge_close(r);
    if (ok)
        printf("stem=%d pairs=%zu us_per_pair=%.3f pairs_per_s=%.0f rougeL=%.6f\n", stem, done,
               t / (double)done * 1e6, (double)done / t, sum / (double)done);
    return ok;
}

static bool run_bleu(const struct pair *p, size_t n, struct err *e)
{
    struct bleu *b;
    struct bleu_stats s;
    double sum = 0, t0 = clock_cpu_s(), t;
    size_t done = 0;
    bool ok = bleu_open(&b, e);
    do {
        for (size_t i = 0; ok && i < n; i++, done++) {
            ok = bleu_pair(b, BLEU_13A, p[i].prediction, p[i].reference, &s, e);
            sum += bleu_score(&s, BLEU_EXP, true);
        }
        t = clock_cpu_s() - t0;
    } while (ok && t < 2.0);
    bleu_close(b);
    if (ok)
        printf("bleu=13a pairs=%zu us_per_pair=%.3f pairs_per_s=%.0f mean=%.6f\n", done,
               t / (double)done * 1e6, (double)done / t, sum / (double)done);
    return ok;
}

int main(int argc, char **argv)
{
    struct arena a;
    struct pair *p;
    struct err e = {0};
    size_t n;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_rouge PAIRS.jsonl\n");
        return 2;
    }
    arena_init(&a, (size_t)1 << 32);
    bool ok = pairs_read(argv[1], &a, &p, &n, &e) && run(p, n, false, &e) && run(p, n, true, &e) &&
              run_bleu(p, n, &e);
    if (!ok) fprintf(stderr, "bench_rouge: %s\n", e.text);
    arena_free(&a);
    return ok ? 0 : 1;
}
