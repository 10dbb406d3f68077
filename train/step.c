#include "train/step.h"

#include <math.h>

#include "base/log.h"
#include "base/rng.h"
#include "base/stop.h"
#include "train/flight.h"

static struct dev_mat range_of(struct dev_buf *b, uint64_t offset, uint64_t n)
{
    return dev_mat_of(b, offset, DEV_F32, 1, (uint32_t)n);
}

/* Runs of elements that share the rule for weight decay and the learning rate's ratio:
 * [offset, offset + count). False at the end. */
struct run {
    size_t tensor;
    uint64_t offset, count;
    bool decays;
    float lr_ratio;
};
static bool next_run(const struct step *s, struct run *r)
{
    size_t n;
    const struct lora_tensor *t = lora_tensors(s->lora, &n);

    r->offset += r->count;
    r->count = 0;
    for (; r->tensor < n; r->tensor++) {
        bool decays = s->o.decay_vectors || t[r->tensor].rows > 1;
        uint64_t count = (uint64_t)t[r->tensor].rows * t[r->tensor].cols;
        if (r->count > 0 && (decays != r->decays || t[r->tensor].lr_ratio != r->lr_ratio ||
                             r->count + count > UINT32_MAX))
            return true;
        r->decays = decays;
        r->lr_ratio = t[r->tensor].lr_ratio;
        r->count += count;
    }
    return r->count > 0;
}

static bool zero_all(struct step *s, struct dev_buf *b, struct err *e)
{
    for (struct run r = {0}; next_run(s, &r);)
        if (!dev_zero(s->d, range_of(b, r.offset, r.count), e)) return false;
    return true;
}

bool step_init(struct step *s, const struct step_opts *o, struct model *m, struct lora *l,
               struct decoder_work *w, struct comm *c, struct err *e)
{
    size_t n, bytes = (size_t)lora_count(l) * sizeof(float);
    const struct lora_tensor *t = lora_tensors(l, &n);

    *s = (struct step){.o = *o, .d = model_dev(m), .c = c, .lora = l, .work = w};
    s->count = lora_count(l);
    if (!grad_sync_init(&s->sync, s->d, c, t, n, o->bins_per_step, e)) goto out;
    CHECK(s->sync.count == s->count);
    if (!dev_buf_open(s->d, bytes, &s->grad, e)) goto out;
    if (!dev_buf_open(s->d, bytes, &s->m, e)) goto out;
    if (!dev_buf_open(s->d, bytes, &s->v, e)) goto out;
    if (!zero_all(s, s->m, e) || !zero_all(s, s->v, e)) goto out;
    return true;
out:
    step_free(s);
    return err_wrap(e, "optimizer state");
}

void step_free(struct step *s)
{
    dev_buf_close(s->v);
    dev_buf_close(s->m);
    dev_buf_close(s->grad);
    grad_sync_free(&s->sync);
    *s = (struct step){0};
}

uint64_t step_bytes(uint64_t count)
{
    return 3 * count * sizeof(float) + grad_sync_bytes(count);
}

/* This rank's bins, once, or until asked to stop. */
static bool add_bins(struct step *s, const struct step_source *src, const struct step_job *j,
                     struct loss_sum *loss, bool *abandoned, struct err *e)
{
    struct rng_key key = rng_key(s->o.seed, RNG_DROPOUT, j->number);
    struct flight f = {.d = s->d, .work = s->work, .loss = loss, .sync = &s->sync, .grad = s->grad};

    if (!grad_sync_begin(&s->sync, e)) return false;
    for (uint64_t bin = j->begin; bin < j->end; bin++) {
        struct decoder_batch b;
        *abandoned = stop_requested();
        if (*abandoned) break;
        if (!src->get(src->ctx, bin, &b, e)) {
            flight_drop(&f);
            return false;
        }
        if (!flight_send(&f, &b, rng_u64(key, bin - j->first), e)) return false;
    }
    return flight_land(&f, e);
}

static bool diverged(const struct step_job *j, struct err *e)
{
    return err_set(
        e, ERR_DIVERGED,
        "loss or gradient of step %llu is not a finite number; lower train.lr (%g at this "
        "step), or look at the data; checkpoints up to here are untouched",
        (unsigned long long)j->number, j->lr);
}

/* One try. extra: stop, save, eval, abandoned. */
static bool try_gradient(struct step *s, const struct step_source *src, const struct step_job *j,
                         struct loss_sum *loss, double extra[4], enum grad_sync_verdict *verdict,
                         struct err *e)
{
    bool abandoned = false;

    *loss = (struct loss_sum){0};
    bool ok = add_bins(s, src, j, loss, &abandoned, e);
    if (!comm_agree(s->c, ok, e)) return false;
    extra[3] = abandoned;
    loss_sum_ranks(loss, s->c);
    *verdict = grad_sync_agree(&s->sync, extra, 4);
    if (extra[3] > 0) return true;
    if (loss->bad || *verdict == GRAD_SYNC_NOT_FINITE) return diverged(j, e);
    if (*verdict == GRAD_SYNC_REDO)
        log_info("gradient_shift", "step=%llu what=\"did not fit, step done again\"",
                 (unsigned long long)j->number);
    return true;
}

bool step_gradient(struct step *s, const struct step_source *src, const struct step_job *j,
                   struct step_flags *flags, struct step_result *out, struct err *e)
{
    double extra[4] = {flags->stop, flags->save, flags->eval, 0};
    enum grad_sync_verdict verdict;
    struct loss_sum loss;
    struct grad_slice before[GRAD_SYNC_SLICES];

    memcpy(before, s->sync.slices, sizeof before);
    *out = (struct step_result){0};
    do {
        if (!try_gradient(s, src, j, &loss, extra, &verdict, e)) return false;
        out->tries++;
        out->abandoned = extra[3] > 0;
        /* The second try has the same gradients and shifts made for them. */
        CHECK(out->abandoned || verdict == GRAD_SYNC_FITS || out->tries == 1);
    } while (!out->abandoned && verdict != GRAD_SYNC_FITS);

    *flags = (struct step_flags){extra[0] > 0, extra[1] > 0, extra[2] > 0};
    if (out->abandoned) {
        memcpy(s->sync.slices, before, sizeof before); /* shifts are state: none of this was */
        return true;
    }
    double scale = j->rows > 0 ? 1.0 / (double)j->rows : 0.0;
    out->loss = loss_sum_value(&loss) * scale;
    return grad_sync_finish(&s->sync, scale, s->grad, e);
}

static bool grad_norm(struct step *s, double *norm, struct err *e)
{
    double sum = 0, part[GRAD_SYNC_SLICES];

    for (size_t i = 0; i < s->sync.nslices; i++) {
        const struct grad_slice *g = &s->sync.slices[i];
        if (!dev_sumsq_later(s->d, range_of(s->grad, g->offset, g->count), &part[i], e)) goto drop;
    }
    if (!dev_sync(s->d, e)) goto drop; /* once a step, not once a slice */
    for (size_t i = 0; i < s->sync.nslices; i++)
        sum += part[i];
    *norm = sqrt(sum);
    return true;
drop:
    dev_lanes_drop(s->d);
    return false;
}

bool step_apply(struct step *s, uint64_t number, double lr, struct step_result *out, struct err *e)
{
    struct dev_buf *p = lora_params(s->lora);
    struct dev_adamw o = {.lr = (float)lr,
                          .beta1 = (float)s->o.beta1,
                          .beta2 = (float)s->o.beta2,
                          .eps = (float)s->o.eps,
                          .grad_scale = 1.0f,
                          .step = number};

    if (!grad_norm(s, &out->grad_norm, e)) return false;
    double factor = s->o.clip > 0 ? s->o.clip / (out->grad_norm + 1e-6) : 1.0;
    if (factor < 1.0) o.grad_scale = (float)factor;
    for (struct run r = {0}; next_run(s, &r);) {
        o.weight_decay = r.decays ? (float)s->o.weight_decay : 0.0f;
        o.lr = (float)(lr * (double)r.lr_ratio);
        if (!dev_adamw(s->d, &o, range_of(s->grad, r.offset, r.count),
                       range_of(p, r.offset, r.count), range_of(s->m, r.offset, r.count),
                       range_of(s->v, r.offset, r.count), e))
            return false;
    }
    return lora_refresh(s->lora, e); /* runs while the host reports and lays out the next bin */
}

bool step_run(struct step *s, const struct step_source *src, const struct step_job *j,
              struct step_flags *flags, struct step_result *out, struct err *e)
{
    if (!step_gradient(s, src, j, flags, out, e)) return false;
    if (out->abandoned) return true;
    bool ok = step_apply(s, j->number, j->lr, out, e);
    if (comm_agree(s->c, ok, e)) return true;
    return err_wrap(e, "update of step %llu", (unsigned long long)j->number);
}

bool step_get(struct step *s, float *params, float *m, float *v, struct err *e)
{
    size_t bytes = (size_t)s->count * sizeof(float);

    if (!dev_download(s->d, lora_params(s->lora), 0, params, bytes, e)) return false;
    if (m && !dev_download(s->d, s->m, 0, m, bytes, e)) return false;
    return !v || dev_download(s->d, s->v, 0, v, bytes, e);
}

bool step_set(struct step *s, const float *params, const float *m, const float *v, struct err *e)
{
    size_t bytes = (size_t)s->count * sizeof(float);

    if (!dev_upload(s->d, lora_params(s->lora), 0, params, bytes, e)) return false;
    if (m && !dev_upload(s->d, s->m, 0, m, bytes, e)) return false;
    if (v && !dev_upload(s->d, s->v, 0, v, bytes, e)) return false;
    return lora_refresh(s->lora, e);
}
