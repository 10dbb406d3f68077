#include "train/schedule.h"

#include <math.h>
#include <stddef.h>

const char *const schedule_names[] = {"cosine", "linear", "constant", NULL};

static const double pi = 3.14159265358979323846;

bool schedule_init(struct schedule *s, enum schedule_kind kind, double peak, double min,
                   double warmup, uint64_t total, struct err *e)
{
    double steps = warmup < 1.0 ? ceil(warmup * (double)total) : floor(warmup);

    if (min > peak)
        return err_set(e, ERR_CONFIG, "train.min_lr %g is above train.lr %g", min, peak);
    if (steps > (double)total)
        return err_set(e, ERR_CONFIG,
                       "train.warmup asks for %.0f steps, the whole run has %llu; use a fraction "
                       "below 1 or fewer steps",
                       steps, (unsigned long long)total);
    s->kind = kind;
    s->peak = peak;
    s->min = min;
    s->total = total;
    s->warmup = (uint64_t)steps;
    return true;
}

double schedule_lr(const struct schedule *s, uint64_t step)
{
    CHECK(step >= 1 && step <= s->total);
    if (step <= s->warmup) return s->peak * (double)step / (double)(s->warmup + 1);

    double p = (double)(step - 1 - s->warmup) / (double)(s->total - s->warmup);
    switch (s->kind) {
    case SCHEDULE_CONSTANT:
        return s->peak;
    case SCHEDULE_LINEAR:
        return s->min + (s->peak - s->min) * (1.0 - p);
    case SCHEDULE_COSINE:
        return s->min + (s->peak - s->min) * 0.5 * (1.0 + cos(pi * p));
    }
    UNREACHABLE();
}
