/*
 * train/grad_sync - the sum of gradients over bins and ranks, exact: its order cannot matter.
 *
 * The main idea: every bin's gradient becomes round(g * 2^shift) in 64-bit integers; integers add
 * up to the same bits in any order and any grouping, on 1 rank or 1,000. The one thing all must
 * agree on is the shift, so it comes only from values that do not depend on who computed what:
 *
 *     slices    the flat gradient is cut into at most GRAD_SYNC_SLICES runs of whole tensors, each
 *               with a shift of its own (in small models a slice is a tensor)
 *     step 1    a generous static shift: sums up to 2^12 fit, with 2^-47 as the unit for 8 bins
 *     later     from the largest |g| of any bin in the step before (maximum over all ranks), with
 *               room to grow 2^10-fold
 *     overflow  largest |g| * 2^shift * bins would not fit: all ranks see it in the agreed maximum,
 *               take shifts from this step's maximum, and the step is done again; now it fits
 *
 * The shifts are part of the checkpoint. The unit is at least 2^30 times finer than the largest
 * element of its slice for up to 2^20 bins a step: rounding is below that of the f32 result.
 *
 * The only place where device and comm meet, with train/grad_team: sums go from GPU to GPU where
 * the device is in a team of all ranks, else through host memory. Not thread-safe.
 */
#pragma once
#include "comm/comm.h"
#include "compute/dev.h"
#include "model/lora.h"

enum { GRAD_SYNC_SLICES = 64 };

struct grad_slice {
    uint64_t offset, count; /* elements of the flat gradient */
    int32_t shift;          /* values are held as g * 2^shift */
    double max;             /* largest |g| of a bin in this step; infinite when not a number */
};
struct grad_sync {
    struct dev *d;  /* borrowed */
    struct comm *c; /* borrowed */
    uint64_t count;
    uint32_t spread; /* 2^spread bins of a step fit into the sum */
    size_t nslices;
    struct grad_slice slices[GRAD_SYNC_SLICES];
    float bin_max[DEV_LANES][GRAD_SYNC_SLICES]; /* of bins in flight */
    int32_t seen_overflow;
    struct dev_buf *acc;      /* i64 [count] */
    struct dev_buf *overflow; /* i32 [1] */
    int64_t *stage;           /* host, one piece; NULL on a single rank and in a team */
};

/* For gradients laid out as tensors[n]; bins_per_step: most bins of one step, over all ranks. */
MUST_CHECK bool grad_sync_init(struct grad_sync *s, struct dev *d, struct comm *c,
                               const struct lora_tensor *tensors, size_t n, uint64_t bins_per_step,
                               struct err *e);
void grad_sync_free(struct grad_sync *s);
/* Device bytes that grad_sync_init takes. */
uint64_t grad_sync_bytes(uint64_t count);

/* Start a sum: all zeros. */
MUST_CHECK bool grad_sync_begin(struct grad_sync *s, struct err *e);
/* Add one bin's gradient (f32 [count]), inside of the device's open lane; and once that has been
 * waited for, take note of its maxima. */
MUST_CHECK bool grad_sync_add(struct grad_sync *s, struct dev_buf *grad, int lane, struct err *e);
void grad_sync_settle(struct grad_sync *s, int lane);

enum grad_sync_verdict { GRAD_SYNC_FITS, GRAD_SYNC_REDO, GRAD_SYNC_NOT_FINITE };
/* All ranks learn the largest |g| of each slice, and the maximum of extra[nextra] (flags that ride
 * along; nextra <= GRAD_SYNC_EXTRA). On REDO the shifts have been set anew: begin and add again.
 * Collective. */
enum { GRAD_SYNC_EXTRA = 8 };
enum grad_sync_verdict grad_sync_agree(struct grad_sync *s, double *extra, size_t nextra);
/* grad (f32 [count]) = sum over all ranks * scale; then the shifts of the next step. Only after
 * FITS. Collective: an error of one rank becomes everyone's. */
MUST_CHECK bool grad_sync_finish(struct grad_sync *s, double scale, struct dev_buf *grad,
                                 struct err *e);
