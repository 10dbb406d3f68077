/* radmill synth: a synthetic corpus, or with --model a tiny random model to train from scratch. */
#include "base/fs.h"
#include "cli/cmd.h"
#include "cli/tiny_model.h"
#include "synth/canaries.h"
#include "synth/planted.h"
#include "synth/synth.h"

static bool planted(struct cmd_call *call, const char *path)
{
    uint64_t n = 0, seed = 1;

    if (!cmd_number(call, "--planted", UINT64_MAX, &n) ||
        !cmd_number(call, "--seed", UINT64_MAX, &seed))
        return false;
    if (!planted_write(path, seed, n, &call->err)) return false;
    cmd_print(call, "%s: %llu sentences with an invented identifier in each\n", path,
              (unsigned long long)n);
    return true;
}

static bool canaries(struct cmd_call *call, const char *dir)
{
    const char *modality = cmd_value(call, "--modality");
    struct canaries_opts o = {.dir = dir,
                              .seed = 1,
                              .modality = modality ? modality : "CR",
                              .config = cmd_value(call, "--config")};
    struct err *e = &call->err;

    if (!cmd_number(call, "--canaries", UINT64_MAX, &o.planted) ||
        !cmd_number(call, "--seed", UINT64_MAX, &o.seed))
        return false;
    o.others = 50 * o.planted;
    if (!cmd_number(call, "--others", UINT64_MAX, &o.others) || !canaries_write(&o, e))
        return false;
    cmd_print(call,
              "%s: %llu reports to plant, %llu like them that stay out\n"
              "1. to corpus.sources:  - {name: canary, format: csv, path: %s/planted.csv, split: "
              "train, modality: %s}\n"
              "2. ingest, shard, train as ever\n"
              "3. radmill ingest, shard, generate %s/probe.yaml%s\n"
              "4. evaluate --metrics memorization --set evaluate.canaries=%s/pairs/pairs.jsonl\n",
              dir, (unsigned long long)o.planted, (unsigned long long)o.others, dir, o.modality,
              dir, o.config ? "" : " (set its include: first)", dir);
    return true;
}

static bool corpus(struct cmd_call *call, const char *dir)
{
    struct synth_summary s = {0};
    struct synth_opts o;
    struct err *e = &call->err;

    if (!opt_defaults(synth_table, &call->arena, &o, e)) return false;
    o.dir = dir;
    if (!cmd_number(call, "--reports", UINT64_MAX, &o.reports) ||
        !cmd_number(call, "--seed", UINT64_MAX, &o.seed))
        return false;
    if (cmd_value(call, "--reports")) o.institution = o.reports;
    if (!cmd_number(call, "--dump-reports", UINT64_MAX, &o.institution)) return false;
    if (!synth_run(&o, &s, e)) return false;
    cmd_print(call, "%s: %llu reports of %llu patients in mimic-cxr-reports.zip (%.1f MB)", dir,
              (unsigned long long)s.reports, (unsigned long long)s.patients,
              (double)s.zip_bytes / 1e6);
    if (s.rows)
        cmd_print(call, ", %llu rows in institution.tar.gz (%.1f MB)", (unsigned long long)s.rows,
                  (double)s.tar_bytes / 1e6);
    cmd_print(call, "\n");
    return true;
}

bool cmd_synth(struct cmd_call *call)
{
    const char *model = cmd_value(call, "--model"), *dir = cmd_value(call, "--output");
    uint64_t seed = 1;

    if (model) {
        if (!cmd_number(call, "--seed", UINT64_MAX, &seed)) return false;
        const char *arch = cmd_value(call, "--arch");
        if (!tiny_model_make(model, arch ? arch : "llama", seed, &call->err)) return false;
        cmd_print(call, "%s: a tiny model of random weights\n", model);
        return true;
    }
    if (!dir) return err_set(&call->err, ERR_CONFIG, "synth needs -o DIR (or --model DIR)");
    if (cmd_value(call, "--canaries")) return canaries(call, dir);
    if (cmd_value(call, "--planted")) return planted(call, dir);
    return corpus(call, dir);
}
