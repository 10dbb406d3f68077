/* radmill job: what the scripts of `radmill submit` ask before and after a stage. It prints the
 * nodes to avoid, and exits 0 (done), 75 (back into the queue) or 1 (failed). */
#include <stdio.h>

#include "cli/config.h"

static bool take_words(struct cmd_call *call, struct slurm_attempt *t, const char *stage)
{
    struct str config = str_of(call->pos[0]), dir = {".", 1};

    for (size_t i = config.n; i-- > 0;)
        if (config.p[i] == '/') {
            dir = str_sub(config, 0, i);
            break;
        }
    if (!arena_str(&call->arena, dir, &dir, &call->err)) return false;
    t->dir = dir.p;
    t->name = cmd_value(call, "--name") ? cmd_value(call, "--name") : stage;
    t->job = cmd_value(call, "--job");
    t->nodes = cmd_value(call, "--nodes") ? cmd_value(call, "--nodes") : "";
    if (!t->job) return err_set(&call->err, ERR_CONFIG, "job needs --job ID");
    return cmd_number(call, "--restart", UINT32_MAX, &t->restart);
}

static bool end(struct cmd_call *call, const struct slurm_attempt *t)
{
    struct sbuf avoid, reason;
    enum slurm_verdict verdict;
    uint64_t code = 0;

    sbuf_init(&avoid, 1 << 16);
    sbuf_init(&reason, 1 << 16);
    bool ok = cmd_number(call, "--code", 255, &code) &&
              slurm_attempt_end(t, (int)(code & 255), &verdict, &avoid, &reason, &call->err);
    if (ok) {
        cmd_print(call, "%s\n", avoid.n ? avoid.p : "");
        fprintf(stderr, "radmill: job %s: %s\n", t->job, reason.p);
        if (verdict == SLURM_REQUEUE)
            ok = err_set(&call->err, ERR_STOPPED, "another attempt is wanted");
        else if (verdict == SLURM_FAIL)
            ok = err_set(&call->err, ERR_LIB, "stage %s ends here", t->name);
    }
    sbuf_free(&reason);
    sbuf_free(&avoid);
    return ok;
}

bool cmd_job(struct cmd_call *call)
{
    const char *verb = call->pos[0], *stage = cmd_value(call, "--stage");
    struct slurm_attempt t = {0};
    struct slurm_opts o;
    struct config c;
    const struct cmd *known = stage ? cmd_find(stage) : NULL;
    bool begins = str_eqz(str_of(verb), "begin");

    if (!begins && !str_eqz(str_of(verb), "end"))
        return err_set(&call->err, ERR_CONFIG, "job knows begin and end, not %.40s", verb);
    if (!stage) return err_set(&call->err, ERR_CONFIG, "job needs --stage NAME");
    struct slurm_stage s = {.name = stage, .ranks = known && known->ranks};
    call->pos[0] = call->pos[1]; /* where config_load looks */
    if (!take_words(call, &t, stage) || !config_load(call, &c) ||
        !slurm_stage_opts(&c.slurm, &s, &call->arena, &o, &call->err))
        return false;
    t.opts = &o;
    t.status_dir = config_stage_dir(&c, stage);
    return begins ? slurm_attempt_begin(&t, &call->err) : end(call, &t);
}
