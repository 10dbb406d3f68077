#include "train/memory_plan.h"

#include "base/log.h"

const char *const memory_part_names[] = {"weights",     "adapter", "optimizer",
                                         "activations", "device",  NULL};

static const double mib = 1024.0 * 1024.0, gib = 1024.0 * 1024.0 * 1024.0;

uint64_t memory_plan_total(const struct memory_plan *p)
{
    uint64_t total = 0;
    for (int i = 0; i < MEMORY_PARTS; i++)
        total += p->bytes[i];
    return total;
}

/* ---- how much is made again */
static bool try_room(struct memory_plan *p, const struct memory_question *q, struct recompute r,
                     bool *fits, struct err *e)
{
    struct decoder_room room = {q->tokens, q->rows, true, r, q->folded};
    uint64_t *bytes = p->bytes;

    if (!decoder_room_bytes(q->spec, q->dtype, q->lora, &room, &bytes[MEMORY_ACTIVATIONS], e))
        return false;
    *fits = (q->limit_gib <= 0 || (double)memory_plan_total(p) / gib <= q->limit_gib) &&
            (q->left == 0 || bytes[MEMORY_OPTIMIZER] + bytes[MEMORY_ACTIVATIONS] <= q->left);
    return true;
}

/* The fewest blocks of a kind that fit; all of them where none does. */
static bool fewest_blocks(struct memory_plan *p, const struct memory_question *q,
                          enum recompute_kind kind, struct recompute *out, bool *fits,
                          struct err *e)
{
    uint32_t most = recompute_most(q->spec);

    *fits = false;
    for (uint32_t n = 1; n <= most && !*fits; n++) {
        *out = (struct recompute){kind, n};
        if (!try_room(p, q, *out, fits, e)) return false;
    }
    return true;
}

static bool cheapest(struct memory_plan *p, const struct memory_question *q,
                     struct recompute *again, struct err *e)
{
    struct recompute some = {0}, all = {0};
    bool fits, some_fit, all_fit;

    *again = (struct recompute){0};
    if (!try_room(p, q, *again, &fits, e)) return false;
    if (fits || recompute_most(q->spec) == 0) return true;
    if (!fewest_blocks(p, q, RECOMPUTE_SELECTIVE, &some, &some_fit, e) ||
        !fewest_blocks(p, q, RECOMPUTE_FULL, &all, &all_fit, e))
        return false;
    bool cheaper = recompute_cost(q->spec, some) <= recompute_cost(q->spec, all);
    *again = some_fit && (!all_fit || cheaper) ? some : all;
    return true;
}

bool memory_plan_recompute(struct memory_plan *p, const struct memory_question *q,
                           struct recompute *again, struct err *e)
{
    bool fits;

    if (q->asked) {
        bool none = *q->asked == RECOMPUTE_NONE;
        *again = (struct recompute){*q->asked, none ? 0 : recompute_most(q->spec)};
    } else if (!cheapest(p, q, again, e)) {
        return false;
    }
    if (again->blocks == 0) *again = (struct recompute){0};
    return try_room(p, q, *again, &fits, e);
}

bool memory_plan_check(const struct memory_plan *p, double limit_gib, struct err *e)
{
    double total = (double)memory_plan_total(p) / gib;

    for (int i = 0; i < MEMORY_PARTS; i++)
        log_info("memory", "part=%s mib=%.1f", memory_part_names[i], (double)p->bytes[i] / mib);
    log_info("memory", "part=total mib=%.1f", (double)memory_plan_total(p) / mib);
    if (limit_gib <= 0 || total <= limit_gib) return true;
    return err_set(e, ERR_LIMIT,
                   "training needs %.3f GiB on the device of each rank (%.3f of it activations), "
                   "train.memory_gib allows %.3f; lower train.bin_tokens or lora.rank, let "
                   "train.recompute be auto, or take model.dtype bf16 or model.quant nf4",
                   total, (double)p->bytes[MEMORY_ACTIVATIONS] / gib, limit_gib);
}

bool memory_plan_fits(const struct memory_plan *p, uint64_t left, struct err *e)
{
    uint64_t need = p->bytes[MEMORY_OPTIMIZER] + p->bytes[MEMORY_ACTIVATIONS];

    if (left == 0 || need <= left) return true;
    return err_set(
        e, ERR_LIMIT,
        "training needs %.3f GiB more on the device (%.3f of it activations), %.3f are "
        "free; lower train.bin_tokens or lora.rank, let train.recompute be auto, or take "
        "model.dtype bf16 or model.quant nf4",
        (double)need / gib, (double)p->bytes[MEMORY_ACTIVATIONS] / gib, (double)left / gib);
}
