#include "train/flight.h"

#include <string.h>

void flight_drop(struct flight *f)
{
    memset(f->flies, 0, sizeof f->flies);
    decoder_drop(f->work);
}

static bool land_one(struct flight *f, int lane, struct err *e)
{
    double loss;

    if (!f->flies[lane]) return true;
    f->flies[lane] = false;
    if (!decoder_settle(f->work, lane, &loss, e)) return false;
    loss_sum_add(f->loss, loss);
    if (f->sync) grad_sync_settle(f->sync, lane);
    return true;
}

static bool queue(struct flight *f, const struct decoder_batch *b, uint64_t key, int lane,
                  struct err *e)
{
    if (!f->sync) return decoder_loss_begin(f->work, b, lane, e) && dev_lane_end(f->d, e);
    return decoder_grad_begin(f->work, b, key, f->grad, lane, e) &&
           grad_sync_add(f->sync, f->grad, lane, e) && dev_lane_end(f->d, e);
}

bool flight_send(struct flight *f, const struct decoder_batch *b, uint64_t dropout_key,
                 struct err *e)
{
    int lane = f->lane;

    if (b->nrows == 0) return true;
    f->lane = (lane + 1) % DEV_LANES;
    f->flies[lane] = land_one(f, lane, e) && queue(f, b, dropout_key, lane, e);
    if (!f->flies[lane]) flight_drop(f);
    return f->flies[lane];
}

bool flight_land(struct flight *f, struct err *e)
{
    bool ok = true;
    for (int i = 0; i < DEV_LANES && ok; i++)
        ok = land_one(f, i, e);
    if (!ok) flight_drop(f);
    return ok;
}
