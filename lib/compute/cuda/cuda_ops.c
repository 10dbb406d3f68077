/* Every op but products: from a dev_call to its launcher in kernels.h. */
#include "compute/cuda/cuda.h"
#include "compute/cuda/kernels.h"

struct kernel_mat cuda_mat(struct dev_mat m)
{
    struct kernel_mat k = {.t = m.dtype, .rows = m.rows, .cols = m.cols, .ld = m.ld};
    if (m.buf) k.p = dev_mat_ptr(m);
    return k;
}

static void *row(struct dev_mat m)
{
    return m.buf ? dev_mat_ptr(m) : NULL;
}

bool cuda_zero(struct cuda *c, struct dev_mat m, struct err *e)
{
    kernel_zero(cuda_mat(m), c->s);
    return gpu_stream_ok(c->s, e);
}

bool cuda_scale_cast(struct cuda *c, float alpha, struct dev_mat src, struct dev_mat dst,
                     struct err *e)
{
    kernel_scale_cast(alpha, cuda_mat(src), cuda_mat(dst), c->s);
    return gpu_stream_ok(c->s, e);
}

/* ---- ops that need more than their operands */
static bool op_rmsnorm_bwd(struct cuda *c, const struct dev_call *call, struct err *e)
{
    const struct dev_mat *m = call->m;
    struct kernel_rmsnorm_grad g = {cuda_mat(m[0]), cuda_mat(m[1]), row(m[2]),
                                    row(m[3]),      cuda_mat(m[4]), row(m[5])};
    void *scratch = NULL;

    if (g.dw && !cuda_scratch(c, kernel_rmsnorm_bwd_scratch(m[1].rows, m[1].cols), &scratch, e))
        return false;
    kernel_rmsnorm_bwd(&g, scratch, c->s);
    return true;
}

static bool op_col_dot(struct cuda *c, const struct dev_call *call, struct err *e)
{
    const struct dev_mat *m = call->m;
    void *scratch;

    if (!cuda_scratch(c, kernel_col_dot_scratch(m[0].rows, m[0].cols), &scratch, e)) return false;
    kernel_col_dot(cuda_mat(m[0]), cuda_mat(m[1]), row(m[2]), scratch, c->s);
    return true;
}

static bool op_reduce(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct kernel_mat g = cuda_mat(call->m[0]);
    struct cuda_result to = {0};
    void *scratch, *out;

    if (call->op == DEV_ABSMAX)
        to.f32 = call->host_f32;
    else
        to.f64 = call->host_f64;
    if (g.rows == 0 || g.cols == 0) return true; /* dev.c has set the result to 0 */
    if (!cuda_scratch(c, kernel_reduce_scratch(g.rows, g.cols), &scratch, e) ||
        !cuda_result(c, to, &out, e))
        return false;
    if (call->op == DEV_ABSMAX)
        kernel_absmax(g, out, scratch, c->s);
    else
        kernel_sumsq(g, out, scratch, c->s);
    return true;
}

static bool op_sample(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct dev_mat logits = call->m[0];
    const void *draws;

    if (!cuda_array(c, call->draws, logits.rows * sizeof *call->draws, &draws, e)) return false;
    kernel_sample(cuda_mat(logits), draws, row(call->m[1]), c->s);
    return true;
}

static void run_dequant(struct cuda *c, const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    if (call->quant == DEV_QUANT_INT8)
        kernel_dequant_int8(cuda_mat(m[0]), row(m[1]), cuda_mat(m[4]), c->s);
    else
        kernel_dequant_nf4(row(m[0]), row(m[1]), row(m[2]), row(m[3]), cuda_mat(m[4]), c->s);
}

static void run_rmsnorm_back(struct cuda *c, const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    struct kernel_rmsnorm_back g = {cuda_mat(m[0]), cuda_mat(m[1]), row(m[2]),     call->eps,
                                    cuda_mat(m[3]), cuda_mat(m[4]), cuda_mat(m[5])};
    kernel_rmsnorm_back(&g, c->s);
}

/* ---- the others, one line each */
static void run_rows(struct cuda *c, const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    switch (call->op) {
    case DEV_ZERO:
        kernel_zero(cuda_mat(m[0]), c->s);
        break;
    case DEV_SCALE_CAST:
        kernel_scale_cast(call->alpha, cuda_mat(m[0]), cuda_mat(m[1]), c->s);
        break;
    case DEV_GATHER_ROWS:
        kernel_gather_rows(cuda_mat(m[0]), row(m[1]), cuda_mat(m[2]), c->s);
        break;
    case DEV_SCATTER_ROWS:
        kernel_scatter_rows(cuda_mat(m[0]), row(m[1]), cuda_mat(m[2]), c->s);
        break;
    case DEV_SCATTER_ADD_ROWS:
        kernel_scatter_add_rows(cuda_mat(m[0]), row(m[1]), cuda_mat(m[2]), c->s);
        break;
    case DEV_ADD:
        kernel_add(cuda_mat(m[0]), cuda_mat(m[1]), c->s);
        break;
    case DEV_DEQUANT:
        run_dequant(c, call);
        break;
    case DEV_ROW_NORMS:
        kernel_row_norms(cuda_mat(m[0]), row(m[1]), c->s);
        break;
    case DEV_SCALE_COLS:
        kernel_scale_cols(cuda_mat(m[0]), row(m[1]), cuda_mat(m[2]), c->s);
        break;
    case DEV_RATIO:
        kernel_ratio(row(m[0]), row(m[1]), row(m[2]), m[2].cols, c->s);
        break;
    default:
        UNREACHABLE();
    }
}

static void run_blocks(struct cuda *c, const struct dev_call *call)
{
    const struct dev_mat *m = call->m;
    switch (call->op) {
    case DEV_RMSNORM:
        kernel_rmsnorm(cuda_mat(m[0]), row(m[1]), call->eps, cuda_mat(m[2]), row(m[3]),
                       cuda_mat(m[4]), c->s);
        break;
    case DEV_RMSNORM_BACK:
        run_rmsnorm_back(c, call);
        break;
    case DEV_LAYERNORM:
        kernel_layernorm(cuda_mat(m[0]), row(m[1]), row(m[2]), call->eps, cuda_mat(m[3]), c->s);
        break;
    case DEV_ROPE:
        kernel_rope(cuda_mat(m[0]), call->rope.heads, row(m[1]), row(m[2]), call->rope.inverse,
                    c->s);
        break;
    case DEV_ACT:
        kernel_act(call->act, cuda_mat(m[0]), cuda_mat(m[1]), c->s);
        break;
    case DEV_ACT_BWD:
        kernel_act_bwd(call->act, cuda_mat(m[0]), cuda_mat(m[1]), cuda_mat(m[2]), cuda_mat(m[3]),
                       c->s);
        break;
    case DEV_DROPOUT:
        kernel_dropout(cuda_mat(m[0]), call->dropout.p, call->dropout.key, call->dropout.base,
                       cuda_mat(m[1]), c->s);
        break;
    case DEV_XENT:
        kernel_xent(cuda_mat(m[0]), row(m[1]), row(m[2]), cuda_mat(m[m[3].buf ? 3 : 0]),
                    call->xent.grad, call->xent.scale, c->s);
        break;
    case DEV_ARGMAX:
        kernel_argmax(cuda_mat(m[0]), row(m[1]), c->s);
        break;
    case DEV_ACCUM_FIXED:
        kernel_accum_fixed(row(m[0]), call->fixed.shift, row(m[1]), row(m[2]), m[0].cols, c->s);
        break;
    case DEV_FROM_FIXED:
        kernel_from_fixed(row(m[0]), call->fixed.shift, call->fixed.scale, row(m[1]), m[0].cols,
                          c->s);
        break;
    case DEV_ADAMW:
        kernel_adamw(&call->adamw, row(m[0]), row(m[1]), row(m[2]), row(m[3]), m[0].cols, c->s);
        break;
    default:
        UNREACHABLE();
    }
}

static bool run_op(struct cuda *c, const struct dev_call *call, struct err *e)
{
    switch (call->op) {
    case DEV_GEMM:
        return cuda_gemm(c, call, e);
    case DEV_RMSNORM_BWD:
        return op_rmsnorm_bwd(c, call, e);
    case DEV_COL_DOT:
        return op_col_dot(c, call, e);
    case DEV_ABSMAX:
    case DEV_SUMSQ:
        return op_reduce(c, call, e);
    case DEV_SAMPLE:
        return op_sample(c, call, e);
    case DEV_ATTN_FWD:
        return cuda_attn_fwd(c, call, e);
    case DEV_ATTN_BWD:
        return cuda_attn_bwd(c, call, e);
    case DEV_ATTN_CACHED:
        return cuda_attn_cached(c, call, e);
    case DEV_RMSNORM:
    case DEV_RMSNORM_BACK:
    case DEV_LAYERNORM:
    case DEV_ROPE:
    case DEV_ACT:
    case DEV_ACT_BWD:
    case DEV_DROPOUT:
    case DEV_XENT:
    case DEV_ARGMAX:
    case DEV_ACCUM_FIXED:
    case DEV_FROM_FIXED:
    case DEV_ADAMW:
        run_blocks(c, call);
        return true;
    default:
        run_rows(c, call);
        return true;
    }
}

bool cuda_run(struct cuda *c, const struct dev_call *call, struct err *e)
{
    return cuda_profile_begin(c, call, e) && run_op(c, call, e) && cuda_profile_end(c, e) &&
           gpu_stream_ok(c->s, e);
}
