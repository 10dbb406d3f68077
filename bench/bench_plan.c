/*
 * An epoch's plan and random samples of a shards folder: bench_plan SHARDS [BIN_TOKENS]
 *
 * CPU time of one thread, train split, nanoseconds a sample: the plan (best of five epochs), then
 * samples in the order of a permutation, one by one as a reader that does not know the next one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "shard/plan.h"

static struct err e;

static void must(bool ok)
{
    if (ok) return;
    fprintf(stderr, "bench_plan: %s\n", e.text);
    exit(1);
}

static double plan_ns(const struct shard_set *s, uint32_t bin_tokens)
{
    double best = 1e300;

    for (uint32_t epoch = 0; epoch < 5; epoch++) {
        struct plan_params q = {.seed = 1,
                                .epoch = epoch,
                                .bin_tokens = bin_tokens,
                                .bins_per_step = 8,
                                .shuffle = true};
        struct plan p;
        double t = clock_cpu_s();
        must(plan_init(&p, s, &q, &e));
        t = clock_cpu_s() - t;
        if (t < best) best = t;
        plan_free(&p);
    }
    return best / (double)shard_set_count(s) * 1e9;
}

static double get_ns(struct shard_set *s, uint64_t *order, size_t n)
{
    double best = 1e300;
    uint64_t sum = 0;

    for (int round = 0; round < 5; round++) {
        double t = clock_cpu_s();
        for (size_t i = 0; i < n; i++) {
            struct sample x;
            must(shard_set_get(s, order[i], &x, &e));
            sum += x.tokens[x.length - 1];
        }
        t = clock_cpu_s() - t;
        if (t < best) best = t;
    }
    if (sum == 0) printf(" ");
    return best / (double)n * 1e9;
}

int main(int argc, char **argv)
{
    struct shard_set *s;
    uint64_t tokens = 0, *order, bin_tokens = 2048;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_plan SHARDS [BIN_TOKENS]\n");
        return 2;
    }
    if (argc > 2) must(parse_u64(str_of(argv[2]), &bin_tokens, &e));
    must(shard_set_open(argv[1], SHARD_TRAIN, NULL, 0, false, &s, &e));
    size_t n = shard_set_count(s);
    order = mem_alloc(n * sizeof *order, &e);
    must(order != NULL);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        tokens += shard_set_lengths(s)[i];
    }
    rng_permute_all(rng_key(2, RNG_TEST, 0), n, order, n);
    printf("%zu samples of %.0f tokens\n", n, (double)tokens / (double)n);
    printf("plan: %.0f ns a sample\n", plan_ns(s, (uint32_t)bin_tokens));
    printf("random sample: %.0f ns\n", get_ns(s, order, n));
    mem_free(order);
    shard_set_close(s);
    return 0;
}
