#include "train/course.h"

#include <math.h>

#include "base/mem.h"

bool course_plan(const struct course *c, const struct shard_set *s, uint32_t epoch,
                 struct plan *out, struct err *e)
{
    struct plan_params q = {.seed = c->o.seed,
                            .epoch = epoch,
                            .bin_tokens = c->o.bin_tokens,
                            .bin_targets = c->o.bin_targets,
                            .bins_per_step = c->o.bins_per_step,
                            .shuffle = true,
                            .once = c->o.once};
    return plan_init(out, s, &q, e);
}

void course_largest(const struct plan *p, enum shard_layout layout, bool loss_on_all,
                    uint32_t *tokens, uint32_t *rows)
{
    for (size_t i = 0; i < p->nbins; i++) {
        const struct plan_bin *b = &p->bins[i];
        uint32_t t = layout == SHARD_ENCODER_DECODER ? b->tokens - b->targets : b->tokens;
        uint32_t r = loss_on_all ? b->tokens : b->targets;
        if (t > *tokens) *tokens = t;
        if (r > *rows) *rows = r;
    }
}

/* The steps of one epoch that belong to the run. */
static uint64_t steps_of(const struct course *c, uint32_t epoch)
{
    double part = c->o.epochs - epoch;
    uint64_t steps = c->nsteps[epoch];

    if (part < 1.0) steps = (uint64_t)ceil(part * (double)steps);
    if (c->o.max_steps > 0 && steps > c->o.max_steps - c->total) steps = c->o.max_steps - c->total;
    return steps;
}

bool course_init(struct course *c, const struct shard_set *s, const struct course_opts *o,
                 struct err *e)
{
    uint32_t most = (uint32_t)ceil(o->epochs);

    *c = (struct course){.o = *o};
    c->first = mem_calloc((size_t)most + 1, sizeof *c->first, e);
    if (!c->first) goto out;
    c->nsteps = mem_calloc(most, sizeof *c->nsteps, e);
    if (!c->nsteps) goto out;
    while (c->nepochs < most && (o->max_steps == 0 || c->total < o->max_steps)) {
        struct plan p = {0};
        if (!course_plan(c, s, c->nepochs, &p, e)) goto out;
        if (c->nepochs == 0) memcpy(c->digest, p.digest, sizeof c->digest);
        course_largest(&p, shard_set_info(s)->layout, o->loss_on_all, &c->max_tokens, &c->max_rows);
        c->nsteps[c->nepochs] = p.nsteps;
        uint64_t steps = steps_of(c, c->nepochs);
        for (uint64_t k = 0; k < steps; k++)
            c->tokens += plan_step_tokens(&p, k);
        plan_free(&p);
        c->total += steps;
        c->first[++c->nepochs] = c->total;
    }
    return true;
out:
    course_free(c);
    return err_wrap(e, "plan of the training split");
}

void course_free(struct course *c)
{
    mem_free(c->nsteps);
    mem_free(c->first);
    *c = (struct course){0};
}

void course_at(const struct course *c, uint64_t step, uint32_t *epoch, uint64_t *k)
{
    uint32_t lo = 0, hi = c->nepochs - 1;

    CHECK(step >= 1 && step <= c->total);
    while (lo < hi) { /* the last epoch that begins before the step */
        uint32_t mid = hi - (hi - lo) / 2;
        if (c->first[mid] < step)
            lo = mid;
        else
            hi = mid - 1;
    }
    *epoch = lo;
    *k = step - 1 - c->first[lo];
}

double course_epochs(const struct course *c, uint64_t step)
{
    uint32_t epoch;
    uint64_t k;

    if (step == 0) return 0;
    course_at(c, step, &epoch, &k);
    return epoch + (double)(k + 1) / (double)c->nsteps[epoch];
}

bool course_due(const struct course *c, struct opt_every every, uint64_t step)
{
    /* Fractions as 0.1 are not exact: a crossing counts when it is a billionth away. */
    const double slack = 1e-9;

    switch (every.unit) {
    case OPT_STEPS:
        return every.n >= 1 && step % (uint64_t)every.n == 0;
    case OPT_EPOCHS:
        return every.n > 0 && floor(course_epochs(c, step) / every.n + slack) >
                                  floor(course_epochs(c, step - 1) / every.n + slack);
    case OPT_NEVER:
    case OPT_MINUTES:
        return false;
    }
    UNREACHABLE();
}
