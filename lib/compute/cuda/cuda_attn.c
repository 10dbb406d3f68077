/* Attention: the tables of tiles that its kernels walk, and their operands. */
#include <string.h>

#include "base/mem.h"
#include "compute/cuda/cuda.h"
#include "compute/cuda/kernels.h"

/* The table of tiles on the GPU. It is made anew for each call, which costs microseconds, and sent
 * only when it is another than the last ones: layer after layer it is the same. */
static bool tiles_of(struct cuda *c, const struct dev_attn *a, bool of_keys,
                     const struct kernel_tile **out, uint32_t *count, struct err *e)
{
    size_t need, bytes;
    const void *there;

    *count = kernel_attn_tiles(a->cu, a->cu_k, a->nseq, of_keys, NULL);
    bytes = *count * sizeof(struct kernel_tile);
    need = bytes / sizeof *c->tiles;
    if (!mem_grow((void **)&c->tiles, &c->cap_tiles, need, sizeof *c->tiles, e)) return false;
    kernel_attn_tiles(a->cu, a->cu_k, a->nseq, of_keys, c->tiles);
    if (!cuda_array(c, c->tiles, bytes, &there, e)) return false;
    *out = there;
    return true;
}

static struct kernel_attn operands(const struct dev_call *call)
{
    const struct dev_attn *a = &call->attn.a;
    return (struct kernel_attn){.q = cuda_mat(call->m[0]),
                                .k = cuda_mat(call->m[1]),
                                .v = cuda_mat(call->m[2]),
                                .out = cuda_mat(call->m[3]),
                                .heads = a->heads,
                                .kv_heads = a->kv_heads,
                                .head_dim = a->head_dim,
                                .scale = a->scale,
                                .window = a->window,
                                .bidirectional = a->bidirectional,
                                .bias = cuda_mat(a->bias)};
}

bool cuda_attn_fwd(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct kernel_attn k = operands(call);

    k.lse = cuda_mat(call->m[4]);
    if (!tiles_of(c, &call->attn.a, false, &k.tiles, &k.ntiles, e)) return false;
    if (k.ntiles > 0) kernel_attn_fwd(&k, c->s);
    return true;
}

bool cuda_attn_bwd(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct kernel_attn k = operands(call);
    void *scratch;

    k.lse = cuda_mat(call->m[4]);
    k.dout = cuda_mat(call->m[5]);
    k.dq = cuda_mat(call->m[6]);
    k.dk = cuda_mat(call->m[7]);
    k.dv = cuda_mat(call->m[8]);
    k.dbias = cuda_mat(call->attn.a.dbias);
    if (!tiles_of(c, &call->attn.a, false, &k.tiles, &k.ntiles, e) ||
        !tiles_of(c, &call->attn.a, true, &k.key_tiles, &k.nkey_tiles, e) ||
        !cuda_scratch(c, kernel_attn_bwd_scratch(&k), &scratch, e))
        return false;
    kernel_attn_bwd(&k, scratch, c->s);
    return true;
}

bool cuda_attn_cached(struct cuda *c, const struct dev_call *call, struct err *e)
{
    struct kernel_attn k = operands(call);
    const void *slot, *pos;
    size_t bytes = k.q.rows * sizeof(uint32_t);
    void *scratch;

    if (k.q.rows == 0) return true;
    if (!cuda_array(c, call->attn.slot, bytes, &slot, e) ||
        !cuda_array(c, call->attn.pos, bytes, &pos, e))
        return false;
    k.slot = slot;
    k.pos = pos;
    k.max_len = call->attn.max_len;
    for (uint32_t i = 0; i < k.q.rows; i++)
        if (call->attn.pos[i] > k.max_pos) k.max_pos = call->attn.pos[i];
    if (!cuda_scratch(c, kernel_attn_cached_scratch(&k), &scratch, e)) return false;
    kernel_attn_cached(&k, scratch, c->s);
    return true;
}
