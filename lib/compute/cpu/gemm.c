#include "compute/cpu/gemm.h"

#include "base/mem.h"

struct gemm {
    int threads;
};

bool gemm_open(const struct cpu *c, struct gemm **out, struct err *e)
{
    struct gemm *g = mem_calloc(1, sizeof *g, e);
    if (!g) return false;
    g->threads = c->threads;
    *out = g;
    return true;
}

void gemm_close(struct gemm *g)
{
    mem_free(g);
}

const char *gemm_describe(const struct gemm *g)
{
    (void)g;
    return "naive";
}

bool cpu_gemm(struct cpu *c, const struct dev_call *call, struct err *e)
{
    (void)c;
    (void)e;
    gemm_naive(call->gemm, call->m[0], call->m[1], call->m[2]);
    return true;
}
