#include "sweep/sweep.h"

static const char *const method_names[] = {"grid",      "random", "tpe", "asha",
                                           "hyperband", "median", NULL};
static const char *const sampler_names[] = {"random", "tpe", NULL};
static const char *const mode_names[] = {"auto", "min", "max", NULL};

static const struct opt goal_table[] = {
    OPT_ENUM(struct sweep_goal, metric, "dev_loss", sweep_metric_names,
             "dev_loss; dev_bits_per_byte, which compares tokenizers too; rougeL on the dev split"),
    OPT_ENUM(struct sweep_goal, mode, "auto", mode_names, "auto: max for rougeL, else min"),
    OPT_END,
};

const struct opt sweep_table[] = {
    OPT_PATH(struct sweep_opts, dir, NULL,
             "folder of the sweep, on a file system that all workers share"),
    OPT_ENUM(struct sweep_opts, method, "asha", method_names,
             "which trials, and who goes on: grid, random, tpe (whole runs), asha, hyperband, "
             "median (judged at rungs)"),
    OPT_ENUM(struct sweep_opts, sampler, "random", sampler_names,
             "of asha, hyperband and median: how new trials get their values"),
    OPT_U64(struct sweep_opts, trials, 0, 0, 1000000,
            "at most this many; 0: as many as the other budgets allow, or all of the grid"),
    OPT_U64(struct sweep_opts, steps, 0, 0, 1e15, "optimizer steps of all trials; 0: no limit"),
    OPT_F64(struct sweep_opts, gpu_hours, 0, 0, 1e9,
            "wall time x devices of all workers; 0: no limit"),
    OPT_MAP(struct sweep_opts, goal, struct sweep_goal, goal_table, "what is compared"),
    OPT_NODE(struct sweep_opts, params,
             "keys to vary: [a, b], or {choice, uniform, log_uniform, integers, log_integers or "
             "steps: [...], when: {KEY: [...]}, points: N}"),
    OPT_U64(struct sweep_opts, seed, 1, 0, 9e18, "of the trials' values"),
    OPT_U64(struct sweep_opts, min, 1, 1, 1000000,
            "first rung: a trial is first judged after min / max of its run"),
    OPT_U64(struct sweep_opts, max, 16, 1, 1000000,
            "the whole run in the same units: min x a power of eta"),
    OPT_U32(struct sweep_opts, eta, 4, 2, 100,
            "one in eta goes on to the next rung, which is eta times as long"),
    OPT_U32(struct sweep_opts, startup, 5, 0, 10000,
            "median: trials at a rung before any is stopped there"),
    OPT_U32(struct sweep_opts, retries, 3, 0, 100,
            "tries again after a node or a worker was lost; errors that stay are not tried again"),
    OPT_U32(struct sweep_opts, workers, 1, 1, 256, "of sweep run on one machine"),
    OPT_F64(struct sweep_opts, lease_min, 30, 0.01, 10000,
            "minutes without a sign of life after which a worker on another machine counts as "
            "gone, unless SLURM still knows its job"),
    OPT_BOOL(struct sweep_opts, generate, false,
             "trials that end their run also generate the dev split and are scored by ROUGE-L"),
    OPT_F64(struct sweep_opts, tokens_per_s, 0, 0, 1e9,
            "speed of one device, for the cost that --dry-run prints; 0: measured so far"),
    OPT_END,
};

const char *sweep_method_name(const struct sweep_opts *o)
{
    return method_names[o->method];
}
