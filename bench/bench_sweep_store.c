/*
 * bench_sweep_store - what a claim costs when a sweep is large: bench_sweep_store DIR [TRIALS]
 *
 * One worker fills a fresh DIR with TRIALS (10,000) random trials that take no time, then the last
 * 1,000 turns are reported: CPU and wall time of a whole turn (look at the journals, decide, claim,
 * note the start, note the report). DIR on the file system in question.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "sweep/sweep.h"

static double wall_s, cpu_s;
static uint64_t count, last = 1000, trials = 10000;

static bool no_work(void *ctx, const struct sweep *s, const struct sweep_unit *u,
                    const struct space_point *p, struct sweep_result *out, struct comm *c,
                    struct err *e)
{
    (void)ctx, (void)s, (void)u, (void)c, (void)e;
    out->value[SWEEP_DEV_LOSS] = p->v[0];
    out->total_steps = 1;
    if (++count == trials - last) {
        wall_s = clock_mono_s();
        cpu_s = clock_cpu_s();
    }
    return true;
}

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct str text =
        STR_INIT("sweep: {method: random, params: {a.x: {uniform: [0, 1]}, a.y: [1, 2, 3]}}");
    struct sweep_runner r = {.trial = no_work, .poll_s = 1};
    struct sweep_opts o;
    struct opt_doc doc;
    struct err e = {0};
    struct arena a;
    struct comm *c;
    struct sweep s;

    if (argc < 2) return 2;
    if (argc > 2) trials = strtoull(argv[2], NULL, 10);
    if (last > trials / 2) last = trials / 2;
    log_setup(LOG_ERROR, 0);
    arena_init(&a, 1 << 24);
    if (!opt_doc_parse(text, "bench", NULL, 0, no_env, &a, &doc, &e) ||
        !opt_bind(&doc, "sweep", sweep_table, &o, &e) || !comm_open_self(&c, &e))
        return 1;
    o.dir = argv[1];
    o.trials = trials;
    if (!sweep_open(&o, STR("sweep: {}\n"), &r, true, &s, &e) || !sweep_work(&s, &r, c, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    printf("%llu trials: a turn takes %.3f ms wall, %.3f ms CPU\n", (unsigned long long)trials,
           (clock_mono_s() - wall_s) * 1e3 / (double)last,
           (clock_cpu_s() - cpu_s) * 1e3 / (double)last);
    sweep_close(&s);
    comm_close(c);
    arena_free(&a);
    return 0;
}
