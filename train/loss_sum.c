#include "train/loss_sum.h"

#include <math.h>

static const double unit = 1.0 / 16777216.0;
static const double most = 1073741824.0;

void loss_sum_add(struct loss_sum *s, double loss)
{
    if (!(fabs(loss) < most) ||
        __builtin_add_overflow(s->fixed, (int64_t)llrint(loss / unit), &s->fixed))
        s->bad = true;
}

void loss_sum_ranks(struct loss_sum *s, struct comm *c)
{
    int64_t v[2] = {s->fixed, s->bad};
    comm_sum_i64(c, v, 2);
    s->fixed = v[0];
    s->bad = v[1] != 0;
}

double loss_sum_value(const struct loss_sum *s)
{
    return (double)s->fixed * unit;
}
