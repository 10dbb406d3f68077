/*
 * bench/bench_facts - pairs a second of evaluate/facts, of CPU time on one core. Usage: bench_facts
 * PAIRS.jsonl (prediction and reference on each line; findings and clinical are the source).
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "evaluate/facts.h"
#include "generate/pairs.h"

static bool run(const struct facts *f, const struct pair *p, size_t n, bool with_source,
                struct err *e)
{
    struct arena a;
    double sum = 0, t0 = clock_cpu_s(), t;
    size_t done = 0, flags = 0, bytes = 0;
    bool ok = true;
    arena_init(&a, (size_t)1 << 30);
    do {
        for (size_t i = 0; ok && i < n; i++, done++) {
            struct facts_result r;
            struct arena_mark m = arena_mark(&a);
            struct str source = with_source ? p[i].findings : (struct str){"", 0};
            ok = facts_check(f, p[i].prediction, p[i].reference, source, &a, &r, e);
            arena_reset(&a, m);
            sum += ok ? r.score : 0;
            flags += ok ? r.nflags : 0;
            bytes += p[i].prediction.n + p[i].reference.n + source.n;
        }
        t = clock_cpu_s() - t0;
    } while (ok && t < 2.0);
    arena_free(&a);
    if (ok)
        printf("source=%d pairs=%zu us_per_pair=%.3f pairs_per_s=%.0f MB_per_s=%.1f score=%.4f "
               "flags_per_pair=%.3f\n",
               with_source, done, t / (double)done * 1e6, (double)done / t,
               (double)bytes / t * 1e-6, sum / (double)done, (double)flags / (double)done);
    return ok;
}

int main(int argc, char **argv)
{
    struct facts *f = NULL;
    struct arena a;
    struct pair *p;
    struct err e = {0};
    size_t n;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_facts PAIRS.jsonl\n");
        return 2;
    }
    arena_init(&a, (size_t)1 << 32);
    bool ok = pairs_read(argv[1], &a, &p, &n, &e) && facts_open(NULL, &f, &e) &&
              run(f, p, n, false, &e) && run(f, p, n, true, &e);
    if (!ok) fprintf(stderr, "bench_facts: %s\n", e.text);
    facts_close(f);
    arena_free(&a);
    return ok ? 0 : 1;
}
