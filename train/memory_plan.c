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

bool memory_plan_check(const struct memory_plan *p, double limit_gib, struct err *e)
{
    double total = (double)memory_plan_total(p) / gib;

    for (int i = 0; i < MEMORY_PARTS; i++)
        log_info("memory", "part=%s mib=%.1f", memory_part_names[i], (double)p->bytes[i] / mib);
    log_info("memory", "part=total mib=%.1f", (double)memory_plan_total(p) / mib);
    if (limit_gib <= 0 || total <= limit_gib) return true;
    return err_set(e, ERR_LIMIT,
                   "training needs %.3f GiB on the device of each rank (%.3f of it activations), "
                   "train.memory_gib allows %.3f; lower train.bin_tokens or lora.rank, or take "
                   "model.dtype bf16 or model.quant nf4",
                   total, (double)p->bytes[MEMORY_ACTIVATIONS] / gib, limit_gib);
}

bool memory_plan_fits(const struct memory_plan *p, uint64_t left, struct err *e)
{
    uint64_t need = p->bytes[MEMORY_OPTIMIZER] + p->bytes[MEMORY_ACTIVATIONS];

    if (left == 0 || need <= left) return true;
    return err_set(e, ERR_LIMIT,
                   "training needs %.3f GiB more on the device (%.3f of it activations), %.3f are "
                   "free; lower train.bin_tokens or lora.rank, or take model.dtype bf16 or "
                   "model.quant nf4",
                   (double)need / gib, (double)p->bytes[MEMORY_ACTIVATIONS] / gib,
                   (double)left / gib);
}
