/*
 * train/flight - bins on their way through the device, two at a time (lanes of compute/dev.h).
 *
 *     host     lay out 3 | queue 3       | lay out 4 | queue 4        | wait for 3 ..
 *     device   1 ........| 2 ............| 2 ........| 3 .............| 4 ..
 *
 * The main idea: a bin is laid out, uploaded and queued while the one before it is computed; its
 * loss and largest gradients are looked at once the bin after it is queued. Sums are exact
 * (loss_sum, grad_sync), so that nobody can tell.
 *
 * After a failure of flight_send or flight_land nothing is in flight. Not thread-safe.
 */
#pragma once
#include "model/decoder.h"
#include "train/grad_sync.h"
#include "train/loss_sum.h"

struct flight {
    struct dev *d; /* borrowed, as the next four */
    struct decoder_work *work;
    struct loss_sum *loss;  /* of all bins that have landed */
    struct grad_sync *sync; /* NULL: losses alone */
    struct dev_buf *grad;   /* of one bin */
    bool flies[DEV_LANES];
    int lane; /* of the next bin */
};

/* Queue a bin; one without loss rows is left out. b is not needed after the call. */
MUST_CHECK bool flight_send(struct flight *f, const struct decoder_batch *b, uint64_t dropout_key,
                            struct err *e);
/* Wait for all. */
MUST_CHECK bool flight_land(struct flight *f, struct err *e);
/* Give up what is in flight. */
void flight_drop(struct flight *f);
