#include "train/grad_sync.h"

#include <math.h>

#include "base/mem.h"
#include "train/grad_team.h"

enum {
    LIMIT_BITS = 62,  /* |sum| stays below 2^62: dev_accum_fixed's limit, a bit under int64's */
    FIRST_BITS = 12,  /* gradients of a bin are expected below 2^12 before anything is known */
    GROWTH_BITS = 10, /* growth from one step to the next that needs no second try */
    SHIFT_MOST = 400, /* f32 needs no more; dev takes up to 511 */
    PIECE = 1 << 20,  /* elements staged at a time: 8 MiB */
};

static uint32_t bits_for(uint64_t n)
{
    uint32_t k = 0;
    while ((uint64_t)1 << k < n)
        k++;
    return k;
}

/* Whole tensors in order, cut so that at most GRAD_SYNC_SLICES runs of about equal tensor count
 * come out: a function of the tensor list alone. */
static void cut_slices(struct grad_sync *s, const struct lora_tensor *t, size_t n)
{
    s->nslices = n < GRAD_SYNC_SLICES ? n : GRAD_SYNC_SLICES;
    for (size_t i = 0; i < s->nslices; i++) {
        size_t first = i * n / s->nslices, end = (i + 1) * n / s->nslices;
        const struct lora_tensor *last = &t[end - 1];
        s->slices[i].offset = t[first].offset;
        s->slices[i].count = last->offset + (uint64_t)last->rows * last->cols - t[first].offset;
        s->slices[i].shift = LIMIT_BITS - FIRST_BITS - (int32_t)s->spread;
        CHECK(s->slices[i].offset == s->count && s->slices[i].count <= UINT32_MAX);
        s->count += s->slices[i].count;
    }
}

bool grad_sync_init(struct grad_sync *s, struct dev *d, struct comm *c,
                    const struct lora_tensor *tensors, size_t n, uint64_t bins_per_step,
                    struct err *e)
{
    *s = (struct grad_sync){.d = d, .c = c, .spread = bits_for(bins_per_step)};
    CHECK(n > 0 && s->spread < 32);
    cut_slices(s, tensors, n);
    if (!dev_buf_open(d, s->count * sizeof(int64_t), &s->acc, e)) goto out;
    if (!dev_buf_open(d, sizeof(int32_t), &s->overflow, e)) goto out;
    if (comm_size(c) > 1 && dev_team_size(d) == 0) {
        s->stage = mem_alloc((s->count < PIECE ? s->count : PIECE) * sizeof(int64_t), e);
        if (!s->stage) goto out;
    }
    return true;
out:
    grad_sync_free(s);
    return err_wrap(e, "buffers of the gradient sum");
}

void grad_sync_free(struct grad_sync *s)
{
    mem_free(s->stage);
    dev_buf_close(s->overflow);
    dev_buf_close(s->acc);
    *s = (struct grad_sync){0};
}

uint64_t grad_sync_bytes(uint64_t count)
{
    return count * sizeof(int64_t) + sizeof(int32_t);
}

static struct dev_mat slice_of(struct dev_buf *b, enum dev_dtype t, const struct grad_slice *g)
{
    return dev_mat_of(b, g->offset, t, 1, (uint32_t)g->count);
}

static struct dev_mat overflow_of(const struct grad_sync *s)
{
    return dev_mat_of(s->overflow, 0, DEV_I32, 1, 1);
}

bool grad_sync_begin(struct grad_sync *s, struct err *e)
{
    for (size_t i = 0; i < s->nslices; i++) {
        s->slices[i].max = 0;
        if (!dev_zero(s->d, slice_of(s->acc, DEV_I64, &s->slices[i]), e)) return false;
    }
    return dev_zero(s->d, overflow_of(s), e);
}

bool grad_sync_add(struct grad_sync *s, struct dev_buf *grad, int lane, struct err *e)
{
    for (size_t i = 0; i < s->nslices; i++) {
        struct grad_slice *g = &s->slices[i];
        if (!dev_absmax_later(s->d, slice_of(grad, DEV_F32, g), &s->bin_max[lane][i], e))
            return false;
        if (!dev_accum_fixed(s->d, slice_of(grad, DEV_F32, g), g->shift,
                             slice_of(s->acc, DEV_I64, g), overflow_of(s), e))
            return false;
    }
    return true;
}

void grad_sync_settle(struct grad_sync *s, int lane)
{
    const float *max = s->bin_max[lane];
    for (size_t i = 0; i < s->nslices; i++)
        if ((double)max[i] > s->slices[i].max) s->slices[i].max = max[i];
}

/* Would 2^spread values of this size, at this shift, add up to less than 2^LIMIT_BITS? */
static bool fits(const struct grad_sync *s, const struct grad_slice *g)
{
    return ldexp(g->max, g->shift + (int)s->spread) < ldexp(1.0, LIMIT_BITS);
}

/* The shift at which a slice's maximum has GROWTH_BITS to spare. Zero says nothing about the next
 * step: it keeps the shift. */
static void set_shift(const struct grad_sync *s, struct grad_slice *g)
{
    int exp;
    if (g->max == 0) return;
    frexp(g->max, &exp); /* max < 2^exp */
    int shift = LIMIT_BITS - GROWTH_BITS - (int)s->spread - exp;
    g->shift = shift > SHIFT_MOST ? SHIFT_MOST : shift;
}

enum grad_sync_verdict grad_sync_agree(struct grad_sync *s, double *extra, size_t nextra)
{
    double v[GRAD_SYNC_SLICES + GRAD_SYNC_EXTRA];
    bool fit = true, finite = true;

    CHECK(nextra <= GRAD_SYNC_EXTRA);
    for (size_t i = 0; i < s->nslices; i++)
        v[i] = s->slices[i].max;
    for (size_t i = 0; i < nextra; i++)
        v[s->nslices + i] = extra[i];
    comm_max_f64(s->c, v, s->nslices + nextra);
    for (size_t i = 0; i < nextra; i++)
        extra[i] = v[s->nslices + i];

    for (size_t i = 0; i < s->nslices; i++) {
        s->slices[i].max = v[i];
        if (!isfinite(v[i])) finite = false;
        if (!fits(s, &s->slices[i])) fit = false;
    }
    if (!finite) return GRAD_SYNC_NOT_FINITE;
    if (fit) return GRAD_SYNC_FITS;
    for (size_t i = 0; i < s->nslices; i++)
        set_shift(s, &s->slices[i]);
    return GRAD_SYNC_REDO;
}

/* acc = sum over ranks of acc, in pieces through the host. All ranks enter every comm_sum_i64,
 * whatever happened to their device: an early leaver would hang the others. */
static bool sum_staged(struct grad_sync *s, struct err *e)
{
    bool ok = true;

    for (uint64_t at = 0; at < s->count; at += PIECE) {
        size_t n = s->count - at < PIECE ? (size_t)(s->count - at) : PIECE;
        size_t from = (size_t)at * sizeof(int64_t), bytes = n * sizeof(int64_t);
        if (ok) ok = dev_download(s->d, s->acc, from, s->stage, bytes, e);
        if (!ok) memset(s->stage, 0, bytes);
        comm_sum_i64(s->c, s->stage, n);
        if (ok) ok = dev_upload(s->d, s->acc, from, s->stage, bytes, e);
    }
    return ok;
}

/* In a team the error of one rank is everyone's already: nobody is in the next collective. */
static bool sum_ranks(struct grad_sync *s, struct err *e)
{
    if (comm_size(s->c) == 1) return true;
    if (dev_team_size(s->d) == 0) return comm_agree(s->c, sum_staged(s, e), e);
    CHECK(dev_team_size(s->d) == comm_size(s->c));
    return grad_team_sum(s->d, s->c, s->acc, s->count, e);
}

static bool to_floats(struct grad_sync *s, double scale, struct dev_buf *grad, struct err *e)
{
    int32_t overflow;

    for (size_t i = 0; i < s->nslices; i++) {
        struct grad_slice *g = &s->slices[i];
        if (!dev_from_fixed(s->d, slice_of(s->acc, DEV_I64, g), g->shift, scale,
                            slice_of(grad, DEV_F32, g), e))
            return false;
    }
    if (!dev_download(s->d, s->overflow, 0, &overflow, sizeof overflow, e)) return false;
    CHECK(overflow == 0); /* grad_sync_agree saw that everything fits */
    return true;
}

bool grad_sync_finish(struct grad_sync *s, double scale, struct dev_buf *grad, struct err *e)
{
    if (!sum_ranks(s, e) || !comm_agree(s->c, to_floats(s, scale, grad, e), e))
        return err_wrap(e, "sum of gradients");
    for (size_t i = 0; i < s->nslices; i++)
        set_shift(s, &s->slices[i]);
    return true;
}
