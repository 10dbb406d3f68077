/* What the time goes to, by kind of op: dev.h. */
#include "compute/dev_ops.h"

static const char *const kind_names[DEV_PROFILE_KINDS] = {
    [DEV_ZERO] = "zero",
    [DEV_SCALE_CAST] = "scale cast",
    [DEV_GATHER_ROWS] = "gather rows",
    [DEV_SCATTER_ROWS] = "scatter rows",
    [DEV_SCATTER_ADD_ROWS] = "scatter add rows",
    [DEV_ADD] = "add",
    [DEV_GEMM] = "product",
    [DEV_RMSNORM] = "rmsnorm",
    [DEV_RMSNORM_BWD] = "rmsnorm bwd",
    [DEV_RMSNORM_BACK] = "rmsnorm back",
    [DEV_LAYERNORM] = "layernorm",
    [DEV_ROPE] = "rope",
    [DEV_ATTN_FWD] = "attn fwd",
    [DEV_ATTN_BWD] = "attn bwd",
    [DEV_ATTN_CACHED] = "attn cached",
    [DEV_ACT] = "act",
    [DEV_ACT_BWD] = "act bwd",
    [DEV_DROPOUT] = "dropout",
    [DEV_XENT] = "xent",
    [DEV_ARGMAX] = "argmax",
    [DEV_DEQUANT] = "dequant",
    [DEV_ROW_NORMS] = "row norms",
    [DEV_SCALE_COLS] = "scale cols",
    [DEV_COL_DOT] = "col dot",
    [DEV_RATIO] = "ratio",
    [DEV_ACCUM_FIXED] = "accum fixed",
    [DEV_FROM_FIXED] = "from fixed",
    [DEV_ABSMAX] = "absmax",
    [DEV_SUMSQ] = "sumsq",
    [DEV_ADAMW] = "adamw",
    [DEV_KV_PUT] = "kv put",
    [DEV_KV_COPY] = "kv copy",
    [DEV_ATTN_KV] = "attn kv",
    [DEV_SAMPLE] = "sample",
    [DEV_PROFILE_NARROW] = "product of low rank",
};
_Static_assert((int)DEV_OPS_COUNT <= (int)DEV_PROFILE_NARROW, "more ops than kinds");

const char *dev_profile_name(int kind)
{
    return kind >= 0 && kind < DEV_PROFILE_KINDS ? kind_names[kind] : NULL;
}
bool dev_profiles(const struct dev *d)
{
    return d->ops->profile_set != NULL;
}
bool dev_profile_set(struct dev *d, bool on, struct err *e)
{
    return !d->ops->profile_set || d->ops->profile_set(d, on, e);
}
bool dev_profile_get(struct dev *d, struct dev_profile *out, struct err *e)
{
    *out = (struct dev_profile){{0}, {0}};
    return !d->ops->profile_get || d->ops->profile_get(d, out, e);
}
