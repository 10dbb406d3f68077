/* radmill judge: train, score, validate a learned factual score. */
#include <math.h>

#include "base/fs.h"
#include "cli/build_info.h"
#include "cli/config.h"

static void print_trained(const struct cmd_call *call, const struct judge_opts *o,
                          const struct judge_summary *s)
{
    cmd_print(call, "%s: %llu made judgements, %llu labels of readers, %llu answers held out\n",
              o->dir, (unsigned long long)s->made, (unsigned long long)s->labels,
              (unsigned long long)s->held);
    if (!isnan(s->alpha)) cmd_print(call, "  readers agree with alpha %.3f\n", s->alpha);
    if (s->cut)
        cmd_print(call, "  %llu texts were shortened to judge.max_tokens\n",
                  (unsigned long long)s->cut);
    cmd_print(call, "  %s\n", s->line);
}

static bool score(struct cmd_call *call, const struct config *c, const struct judge_job *job)
{
    const char *pairs = cmd_value(call, "--pairs"), *out = cmd_value(call, "--output");
    struct judge_summary s;

    if (!pairs && !(config_need(call, c->generate.dir, "generate.dir") &&
                    fs_join(&call->arena, c->generate.dir, "pairs.jsonl", &pairs, &call->err)))
        return false;
    if (!out && !fs_join(&call->arena, c->judge.dir, "scores.jsonl", &out, &call->err))
        return false;
    if (!comm_agree(call->comm, cmd_apart(call, out, pairs) && cmd_apart(call, out, call->pos[0]),
                    &call->err))
        return false;
    if (!judge_score(job, pairs, out, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu pairs\n  %s\n", out, (unsigned long long)s.labels, s.line);
    return true;
}

static bool validate(struct cmd_call *call, const struct judge_job *job)
{
    const char *labels = cmd_value(call, "--labels");
    struct judge_summary s;

    if (!labels)
        return err_set(&call->err, ERR_CONFIG,
                       "judge validate needs --labels FILE: labels that "
                       "this judge was not trained on");
    if (!judge_validate(job, labels, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu labels\n  %s\n", labels, (unsigned long long)s.labels, s.line);
    return true;
}

static bool train(struct cmd_call *call, const struct config *c, const struct judge_job *job)
{
    struct judge_summary s;

    if (!judge_train(job, call->comm, &s, &call->err)) return false;
    print_trained(call, &c->judge, &s);
    return true;
}

bool cmd_judge(struct cmd_call *call)
{
    struct str verb = str_of(call->pos[0]);
    struct config c;
    bool stop;

    call->pos[0] = call->pos[1]; /* where config_load looks */
    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (cmd_value(call, "--force")) c.judge.force = true;
    if (!config_need(call, c.judge.dir, "judge.dir") ||
        !config_need(call, c.model.base, "model.base"))
        return false;
    const struct judge_job job = {.judge = &c.judge,
                                  .train = &c.train,
                                  .lora = &c.lora,
                                  .model = &c.model,
                                  .version = build_info_version,
                                  .commit = build_info_commit};
    if (str_eqz(verb, "train")) return train(call, &c, &job);
    if (str_eqz(verb, "score")) return score(call, &c, &job);
    if (str_eqz(verb, "validate")) return validate(call, &job);
    return err_set(&call->err, ERR_CONFIG, "judge knows train, score and validate, not %.40s",
                   verb.p);
}
