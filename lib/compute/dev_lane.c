/* Lanes of dev.h: their order is checked here, once for all devices. */
#include "base/pulse.h"
#include "compute/dev_ops.h"

void dev_lane_begin(struct dev *d, int lane)
{
    CHECK(lane >= 0 && lane < DEV_LANES && d->open_lane == 0 && !d->lane_ended[lane]);
    d->open_lane = 1 + lane;
}

bool dev_upload_ahead(struct dev *d, struct dev_buf *b, size_t offset, const void *host,
                      size_t bytes, struct err *e)
{
    CHECK(d->open_lane > 0);
    if (!d->ops->lanes || bytes == 0) return dev_upload(d, b, offset, host, bytes, e);
    CHECK(b->d == d && offset <= b->bytes && bytes <= b->bytes - offset);
    pulse_beat();
    return d->ops->lanes->upload(d, b->mem + offset, host, bytes, e);
}

bool dev_download_later(struct dev *d, const struct dev_buf *b, size_t offset, void *host,
                        size_t bytes, struct err *e)
{
    CHECK(d->open_lane > 0);
    if (!d->ops->lanes || bytes == 0) return dev_download(d, b, offset, host, bytes, e);
    CHECK(b->d == d && offset <= b->bytes && bytes <= b->bytes - offset);
    return d->ops->lanes->download(d, d->open_lane - 1, b->mem + offset, host, bytes, e);
}

bool dev_lane_end(struct dev *d, struct err *e)
{
    int lane = d->open_lane - 1;
    CHECK(lane >= 0);
    d->open_lane = 0;
    d->lane_ended[lane] = true;
    return !d->ops->lanes || d->ops->lanes->end(d, lane, e);
}

bool dev_lane_wait(struct dev *d, int lane, struct err *e)
{
    CHECK(lane >= 0 && lane < DEV_LANES && d->open_lane != 1 + lane);
    if (!d->lane_ended[lane]) return true;
    d->lane_ended[lane] = false;
    return d->ops->lanes ? d->ops->lanes->wait(d, lane, e) : dev_sync(d, e);
}

void dev_lanes_drop(struct dev *d)
{
    struct err ignored = {0}; /* the one that counts came before */

    d->open_lane = 0;
    for (int i = 0; i < DEV_LANES; i++)
        d->lane_ended[i] = false;
    if (d->ops->lanes)
        d->ops->lanes->drop(d);
    else if (!d->ops->sync(d, &ignored))
        err_clear(&ignored);
}
