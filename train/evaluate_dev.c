#include "train/evaluate_dev.h"

#include <math.h>

#include "base/pulse.h"
#include "base/stop.h"
#include "train/flight.h"

static bool add_bins(struct flight *f, struct loader *l, uint64_t begin, uint64_t end,
                     bool *abandoned, struct err *e)
{
    for (uint64_t bin = begin; bin < end; bin++) {
        struct decoder_batch b;
        *abandoned = stop_requested();
        if (*abandoned) break;
        pulse_at("bin of the dev split", bin);
        if (!loader_get(l, bin, &b, e)) {
            flight_drop(f);
            return false;
        }
        if (!flight_send(f, &b, 0, e)) return false;
    }
    return flight_land(f, e);
}

double dev_loss_mean(const struct dev_loss *d)
{
    return loss_sum_value(&(struct loss_sum){.fixed = d->fixed}) / (double)d->rows;
}

bool evaluate_dev(struct decoder_work *w, struct loader *l, struct comm *c, struct dev_loss *out,
                  struct err *e)
{
    struct loss_sum sum = {0};
    struct flight f = {.d = decoder_work_dev(w), .work = w, .loss = &sum};
    uint64_t begin, end;
    bool abandoned = false;

    CHECK(l->plan->nsteps == 1);
    plan_rank_bins(l->plan, 0, comm_rank(c), comm_size(c), &begin, &end);
    bool ok = add_bins(&f, l, begin, end, &abandoned, e);
    if (!comm_agree(c, ok, e)) return err_wrap(e, "evaluation on the dev split");
    int64_t any = abandoned;
    comm_max_i64(c, &any, 1);
    loss_sum_ranks(&sum, c);
    out->abandoned = any != 0;
    out->rows = loader_rows(l, 0, l->plan->nbins);
    out->fixed = sum.fixed;
    out->mean = sum.bad || out->rows == 0 ? (double)NAN : dev_loss_mean(out);
    return true;
}
