#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "train/train_run.h"

/* What a step took. */
struct cost {
    uint64_t tokens;
    double seconds, idle; /* idle: of a GPU, below 0: not known */
};
/* What a step asks for once it is done. */
struct due {
    bool stop, save, eval, last;
};

/* ---- the bins of a step */
static bool get_bin(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    pulse_at("bin", bin);
    return loader_get(ctx, bin, out, e);
}

/* Collective when the epoch changes. */
static bool enter_epoch(struct train_run *r, uint32_t epoch, struct err *e)
{
    if (r->plan_open && r->plan_epoch == epoch) return true;
    if (r->plan_open) plan_free(&r->plan);
    r->plan_open = false;
    r->plan = (struct plan){0};
    if (!comm_agree(r->c, course_plan(&r->course, r->set, epoch, &r->plan, e), e))
        return err_wrap(e, "plan of epoch %u", epoch);
    r->plan_open = true;
    r->plan_epoch = epoch;
    loader_plan(&r->loader, &r->plan);
    return true;
}

static struct step_job job_of(const struct train_run *r, uint64_t step, uint64_t k)
{
    const struct plan *p = &r->plan;
    struct step_job job = {
        .number = step, .first = k * p->bins_per_step, .lr = schedule_lr(&r->schedule, step)};
    uint64_t end = job.first + p->bins_per_step;

    plan_rank_bins(p, k, comm_rank(r->c), comm_size(r->c), &job.begin, &job.end);
    job.rows = loader_rows(&r->loader, job.first, end < p->nbins ? end : p->nbins);
    return job;
}

/* ---- wishes */
static bool minutes_over(const struct train_run *r, struct opt_every every, double since_s)
{
    return comm_rank(r->c) == 0 && every.unit == OPT_MINUTES &&
           clock_mono_s() - since_s >= every.n * 60.0;
}

static struct step_flags wishes(const struct train_run *r)
{
    uint64_t after = r->o->stop_after_steps;
    struct step_flags f = {.stop = stop_requested() || (after > 0 && r->steps_done + 1 >= after),
                           .save = minutes_over(r, r->o->save_every, r->last_save_s),
                           .eval = minutes_over(r, r->o->eval_every, r->last_eval_s)};
    return f;
}

static struct due due_after(const struct train_run *r, const struct step_flags *f)
{
    uint64_t step = r->state.step;
    bool last = step >= r->course.total;
    bool evaluates = r->dev_set != NULL;
    struct due d = {.stop = f->stop, .last = last};

    d.eval = evaluates && (last || f->eval || course_due(&r->course, r->o->eval_every, step));
    d.save = last || f->stop || f->save || course_due(&r->course, r->o->save_every, step);
    return d;
}

/* ---- one step */
static double busy_share(double idle, double seconds)
{
    return idle < 0 ? -1 : fmax(0, 1 - idle / fmax(seconds, 1e-9));
}

static bool report_step(struct train_run *r, const struct step_job *job,
                        const struct step_result *res, const struct cost *k, struct err *e)
{
    struct metrics_step m = {.step = job->number,
                             .epoch = course_epochs(&r->course, job->number),
                             .loss = res->loss,
                             .lr = job->lr,
                             .grad_norm = res->grad_norm,
                             .tokens = k->tokens,
                             .targets = job->rows,
                             .tokens_per_s = (double)k->tokens / fmax(k->seconds, 1e-9),
                             .targets_per_s = (double)job->rows / fmax(k->seconds, 1e-9),
                             .gpu_busy = busy_share(k->idle, k->seconds)};
    char detail[128];

    snprintf(detail, sizeof detail, "loss=%.4f lr=%.3g tokens_s=%.0f targets_s=%.0f", m.loss, m.lr,
             m.tokens_per_s, m.targets_per_s);
    progress_update(&r->progress, job->number, detail);
    return metrics_log_step(&r->metrics, &m, e);
}

static bool one_step(struct train_run *r, struct due *due, struct err *e)
{
    uint64_t step = r->state.step + 1, k;
    uint32_t epoch;
    struct step_source src = {&r->loader, get_bin};
    struct step_flags flags = wishes(r);
    struct step_result res = {0};

    course_at(&r->course, step, &epoch, &k);
    if (!enter_epoch(r, epoch, e)) return false;
    struct step_job job = job_of(r, step, k);
    double start_s = clock_mono_s(), start_idle = dev_idle_s(r->dev);
    if (!step_run(&r->step, &src, &job, &flags, &res, e)) return false;
    *due = (struct due){.stop = true, .save = true};
    if (res.abandoned) return true;
    double idle = dev_idle_s(r->dev);
    struct cost cost = {plan_step_tokens(&r->plan, k), clock_mono_s() - start_s,
                        idle < 0 ? -1 : idle - start_idle};

    r->state.step = step;
    r->state.tokens += cost.tokens;
    r->state.targets += job.rows;
    r->state.train_loss = res.loss;
    r->state.seconds += cost.seconds;
    r->step_seconds += cost.seconds;
    r->idle_seconds += cost.idle;
    r->steps_done++;
    r->tokens_done += cost.tokens;
    r->targets_done += job.rows;
    *due = due_after(r, &flags);
    return comm_agree(r->c, report_step(r, &job, &res, &cost, e), e);
}

/* ---- between steps */
static bool evaluate(struct train_run *r, struct due *due, struct err *e)
{
    struct dev_loss d;

    if (!evaluate_dev(r->work, &r->dev_loader, r->c, &d, e)) return false;
    r->state.eval_owed = d.abandoned;
    if (d.abandoned) {
        due->stop = due->save = true;
        return true;
    }
    bool best = train_state_scored(&r->state, &d);
    r->last_eval_s = clock_mono_s();
    log_info("evaluation", "step=%" PRIu64 " dev_loss=%.6f best=%s", r->state.step, d.mean,
             best ? "yes" : "no");
    if (best && train_run_wants_best(r)) due->save = true; /* it may become the adapter */
    if (r->o->patience > 0 && r->state.bad >= r->o->patience && !due->last) {
        r->state.early_stopped = true;
        due->last = due->save = true;
        log_info("early_stop", "step=%" PRIu64 " evaluations_without_gain=%u", r->state.step,
                 r->state.bad);
    }
    bool ok = metrics_log_dev(&r->metrics, r->state.step, course_epochs(&r->course, r->state.step),
                              d.mean, d.rows, e);
    return comm_agree(r->c, ok, e);
}

static bool wants_pause(const struct train_run *r)
{
    const struct train_job *j = r->j;
    uint64_t at = j->pause_at_step, total = r->course.total;

    if (j->pause_den > 0)
        at = total / j->pause_den * j->pause_num +
             (total % j->pause_den * j->pause_num + j->pause_den - 1) / j->pause_den;
    return at > 0 && r->state.step >= at && !r->state.finished;
}

static bool stopped(const struct train_run *r, struct err *e)
{
    return err_set(e, ERR_STOPPED,
                   "stopped as asked after step %" PRIu64 " of %" PRIu64
                   "; the state is saved, the same command goes on",
                   r->state.step, r->course.total);
}

/* What a step leaves to do: evaluation, checkpoint, end. */
static bool settle(struct train_run *r, struct due *due, struct err *e)
{
    if (due->eval && !evaluate(r, due, e)) return false;
    r->state.finished = due->last && !r->state.eval_owed;
    if (wants_pause(r)) due->save = true;
    /* A step abandoned as the first, or right after a checkpoint, left nothing new. */
    bool old = r->state.step == r->saved_step && !due->eval;
    if (due->save && !old) {
        if (!train_run_save(r, e)) return false;
        progress_saved(&r->progress, r->saved_step);
    }
    return !due->stop || r->state.finished || stopped(r, e);
}

static bool loop(struct train_run *r, struct err *e)
{
    struct due due = {.eval = true, .save = true, .last = r->state.step >= r->course.total};

    r->last_save_s = r->last_eval_s = clock_mono_s();
    if (r->state.eval_owed && !settle(r, &due, e)) return false;
    while (!r->state.finished && !wants_pause(r)) {
        if (!one_step(r, &due, e)) return false;
        if (!settle(r, &due, e)) return false;
    }
    return true;
}

/* ---- the whole */
static void summarize(const struct train_run *r, struct train_summary *out)
{
    const struct train_state *s = &r->state;

    *out = (struct train_summary){
        .steps = s->step,
        .total_steps = r->course.total,
        .samples = shard_set_count(r->set),
        .run_tokens = r->course.tokens,
        .tokens = r->tokens_done,
        .targets = r->targets_done,
        .train_loss = s->step > 0 ? s->train_loss : (double)NAN,
        .dev_loss = s->last.rows > 0 ? s->last.mean : (double)NAN,
        .best_dev_loss = s->best.rows > 0 ? s->best.mean : (double)NAN,
        .best_step = s->best_step,
        .seconds = r->step_seconds,
        .tokens_per_s = r->step_seconds > 0 ? (double)r->tokens_done / r->step_seconds : 0,
        .targets_per_s = r->step_seconds > 0 ? (double)r->targets_done / r->step_seconds : 0,
        .memory_bytes = memory_plan_total(&r->memory),
        .memory_used = r->memory_used,
        .gpu_busy = r->steps_done > 0 ? busy_share(r->idle_seconds, r->step_seconds) : -1,
        .recompute = recompute_names[r->again.kind],
        .recompute_blocks = r->again.blocks,
        .early_stopped = s->early_stopped};
    memcpy(out->plan_digest, r->course.digest, sizeof out->plan_digest);
}

/* At a pause, the score of this very step, without a trace in the state. */
static bool score_pause(struct train_run *r, struct train_summary *out, struct err *e)
{
    struct dev_loss d;

    out->paused = true;
    if (!r->dev_set || r->state.last_step == r->state.step) return true;
    if (!evaluate_dev(r->work, &r->dev_loader, r->c, &d, e)) return false;
    if (d.abandoned) return stopped(r, e);
    out->dev_loss = d.mean;
    return true;
}

static bool run(struct train_run *r, struct train_summary *out, struct err *e)
{
    if (!train_run_resume(r, e)) return false;
    progress_start(&r->progress, comm_rank(r->c), "train", "steps", r->course.total, r->o->dir);
    progress_update(&r->progress, r->state.step, NULL);
    progress_saved(&r->progress, r->saved_step);
    bool ok = loop(r, e);
    summarize(r, out);
    if (ok && !r->state.finished)
        ok = score_pause(r, out, e);
    else if (ok) {
        ok = train_run_export(r, out, e);
        out->finished = ok;
        snprintf(out->adapter, sizeof out->adapter, "%s", r->paths.adapter);
    }
    progress_end(&r->progress, ok && out->finished            ? "done"
                               : ok || e->code == ERR_STOPPED ? "stopped"
                                                              : "failed");
    return ok;
}

bool train_run(const struct train_job *j, struct comm *c, struct train_summary *out, struct err *e)
{
    struct train_run r;

    *out = (struct train_summary){0};
    bool ok = train_run_open(&r, j, c, e);
    if (ok && j->dry_run)
        summarize(&r, out);
    else if (ok)
        ok = run(&r, out, e);
    if (!ok && e->code != ERR_STOPPED) train_run_forget(&r);
    train_run_close(&r);
    return ok;
}
