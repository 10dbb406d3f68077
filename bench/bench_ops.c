/*
 * bench_ops [device] [threads]: time of every op at SmolLM2-135M's training shapes (one bin of
 * 1,024 tokens), beside what the processor can do: the multiply-add rate of a loop that stays in
 * registers, and the copy rate of memory.
 */
#include "base/clock.h"
#include "compute/dev.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        struct err must_e = {0};                                                                   \
        struct err *e = &must_e;                                                                   \
        if (!(call)) {                                                                             \
            fprintf(stderr, "bench_ops: %s\n", must_e.text);                                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { T = 1024, D = 576, FF = 1536, HEADS = 9, KV = 3, HD = 64, VOCAB = 49152, ROWS = 256 };

static struct dev *d;

static struct dev_mat mat(enum dev_dtype t, uint32_t rows, uint32_t cols)
{
    struct dev_buf *b;
    size_t n = (size_t)rows * cols, bytes = n * dev_dtype_bytes(t);
    unsigned char *raw = calloc(1, bytes);
    for (size_t i = 0; i < n; i++) {
        float f = (float)((i * 2654435761u >> 7) % 2001) * 1e-3f - 1.0f;
        uint32_t u;
        memcpy(&u, &f, 4);
        if (t == DEV_F32) memcpy(raw + 4 * i, &f, 4);
        if (t == DEV_BF16) memcpy(raw + 2 * i, (unsigned char *)&u + 2, 2);
    }
    MUST(dev_buf_open(d, bytes, &b, e));
    MUST(dev_upload(d, b, 0, raw, bytes, e));
    free(raw);
    return dev_mat_of(b, 0, t, rows, cols);
}

/* Best of five repetitions, each of at least 20 ms. */
#define BEST(seconds, call)                                                                        \
    do {                                                                                           \
        int turns = 1;                                                                             \
        double took = 0;                                                                           \
        (seconds) = 1e9;                                                                           \
        MUST(call);                                                                                \
        for (int rep = 0; rep < 5; rep++) {                                                        \
            do {                                                                                   \
                double t0 = clock_cpu_s();                                                         \
                for (int turn = 0; turn < turns; turn++)                                           \
                    MUST(call);                                                                    \
                MUST(dev_sync(d, e));                                                              \
                took = clock_cpu_s() - t0;                                                         \
                if (took < 0.02) turns *= 2;                                                       \
            } while (took < 0.02);                                                                 \
            if (took / turns < (seconds)) (seconds) = took / turns;                                \
        }                                                                                          \
    } while (0)

static void gemm(const char *what, enum dev_dtype t, enum dev_dtype out, bool ta, bool tb,
                 uint32_t m, uint32_t n, uint32_t k)
{
    struct dev_mat a = ta ? mat(t, k, m) : mat(t, m, k), b = tb ? mat(t, n, k) : mat(t, k, n);
    struct dev_mat c = mat(out, m, n);
    struct dev_gemm g = {ta, tb, 1.0f, 0.0f};
    double s;
    BEST(s, dev_gemm(d, g, a, b, c, e));
    printf("gemm %-4s->%-4s %c%c %5u %5u %5u %8.1f GF/s %9.3f ms  %s\n", dev_dtype_names[t],
           dev_dtype_names[out], ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k,
           2e-9 * m * (double)n * k / s, s * 1e3, what);
    dev_buf_close(a.buf);
    dev_buf_close(b.buf);
    dev_buf_close(c.buf);
}

static void gemms(enum dev_dtype t)
{
    gemm("qkv", t, t, false, true, T, 960, D);
    gemm("qkv dX", t, t, false, false, T, D, 960);
    gemm("o", t, DEV_F32, false, true, T, D, D);
    gemm("o dX", t, t, false, false, T, D, D);
    gemm("gate_up", t, t, false, true, T, 2 * FF, D);
    gemm("gate_up dX", t, t, false, false, T, D, 2 * FF);
    gemm("down", t, DEV_F32, false, true, T, D, FF);
    gemm("down dX", t, t, false, false, T, FF, D);
    gemm("qkv, A inside", t, t, false, true, T, 960, D + 64);
    gemm("lora h = x A^T", t, t, false, true, T, 48, D);
    gemm("lora dh = dY B", t, t, false, false, T, 16, D);
    gemm("lora y = h B^T", t, DEV_F32, false, true, T, D, 16);
    gemm("lora dA = dh^T x", t, DEV_F32, true, false, 48, D, T);
    gemm("lora dB = dY^T h", t, DEV_F32, true, false, 2 * FF, 16, T);
    gemm("head", t, DEV_F32, false, true, ROWS, VOCAB, D);
    gemm("head dX", t, DEV_F32, false, false, ROWS, D, VOCAB);
    gemm("decode gate_up", t, t, false, true, 8, 2 * FF, D);
    gemm("decode head", t, DEV_F32, false, true, 8, VOCAB, D);
}

static void line(const char *what, enum dev_dtype t, double s, double bytes)
{
    printf("%-28s %-4s %9.3f ms %8.1f GB/s\n", what, dev_dtype_names[t], s * 1e3, bytes / s / 1e9);
}

static void rows(enum dev_dtype t)
{
    double s, z = (double)dev_dtype_bytes(t);
    struct dev_mat x = mat(DEV_F32, T, D), w = mat(DEV_F32, 1, D), y = mat(t, T, D);
    struct dev_mat rstd = mat(DEV_F32, 1, T), dx = mat(DEV_F32, T, D), none = {0};
    struct dev_mat gu = mat(t, T, 2 * FF), f = mat(t, T, FF), qk = mat(t, T, (HEADS + KV) * HD);
    struct dev_mat pos = mat(DEV_I32, 1, T), freq = mat(DEV_F32, 1, HD / 2);
    struct dev_mat lt = mat(DEV_F32, ROWS, VOCAB), lb = mat(DEV_I32, 1, ROWS);
    struct dev_mat ls = mat(DEV_F32, 1, ROWS), lt_t = mat(t, ROWS, VOCAB);
    BEST(s, dev_rmsnorm(d, x, w, 1e-5f, y, rstd, e));
    line("rmsnorm", t, s, T * D * (4 + z));
    BEST(s, dev_rmsnorm_bwd(d, y, x, w, rstd, dx, none, e));
    line("rmsnorm_bwd", t, s, T * D * (12 + z));
    BEST(s, dev_add(d, dx, y, e));
    line("add", t, s, T * D * (8 + z));
    BEST(s, dev_rope(d, qk, HEADS + KV, pos, freq, false, e));
    line("rope q and k", t, s, 2.0 * T * (HEADS + KV) * HD * z);
    BEST(s, dev_swiglu(d, gu, f, e));
    line("swiglu", t, s, 3.0 * T * FF * z);
    BEST(s, dev_swiglu_bwd(d, f, gu, gu, e));
    line("swiglu_bwd", t, s, 5.0 * T * FF * z);
    BEST(s, dev_dropout(d, x, 0.1f, 7, 0, y, e));
    line("dropout", t, s, T * D * (4 + z));
    BEST(s, dev_xent(d, lt, lb, ls, true, 1.0f, e));
    line("xent with gradient", DEV_F32, s, 5.0 * ROWS * VOCAB * 4);
    BEST(s, dev_cast(d, lt, lt_t, e));
    line("cast of the logits", t, s, ROWS * (double)VOCAB * (4 + z));
    BEST(s, dev_argmax(d, lt, lb, e));
    line("argmax", DEV_F32, s, ROWS * (double)VOCAB * 4);
    struct dev_mat all[] = {x, w, y, rstd, dx, gu, f, qk, pos, freq, lt, lb, ls, lt_t};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        dev_buf_close(all[i].buf);
}

static void attention(enum dev_dtype t)
{
    static const uint32_t cu[] = {0, 180, 460, 700, 1024};
    struct dev_attn a = {
        .heads = HEADS, .kv_heads = KV, .head_dim = HD, .scale = 0.125f, .cu = cu, .nseq = 4};
    struct dev_mat qkv = mat(t, T, (HEADS + 2 * KV) * HD), dqkv = mat(t, T, (HEADS + 2 * KV) * HD);
    struct dev_mat out = mat(t, T, D), dout = mat(t, T, D), lse = mat(DEV_F32, HEADS, T);
    struct dev_mat m[2][3];
    for (int i = 0; i < 2; i++) {
        m[i][0] = dev_mat_part(i ? dqkv : qkv, 0, T, 0, HEADS * HD);
        m[i][1] = dev_mat_part(i ? dqkv : qkv, 0, T, HEADS * HD, KV * HD);
        m[i][2] = dev_mat_part(i ? dqkv : qkv, 0, T, (HEADS + KV) * HD, KV * HD);
    }
    double s, work = 0;
    for (int i = 0; i < 4; i++)
        work += (cu[i + 1] - cu[i]) * (double)(cu[i + 1] - cu[i]);
    work *= 2.0 * HEADS * HD * 1e-9; /* causal half of two products */
    BEST(s, dev_attn_fwd(d, &a, m[0][0], m[0][1], m[0][2], out, lse, e));
    printf("attn_fwd %-4s %9.3f ms %8.1f GF/s\n", dev_dtype_names[t], s * 1e3, work / s);
    BEST(s, dev_attn_bwd(d, &a, m[0][0], m[0][1], m[0][2], out, lse, dout, m[1][0], m[1][1],
                         m[1][2], e));
    printf("attn_bwd %-4s %9.3f ms %8.1f GF/s\n", dev_dtype_names[t], s * 1e3, 2.5 * work / s);
    struct dev_mat all[] = {qkv, dqkv, out, dout, lse};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        dev_buf_close(all[i].buf);
}

static void optimizer(void)
{
    enum { N = 4900000 };
    struct dev_mat g = mat(DEV_F32, 1, N), p = mat(DEV_F32, 1, N), m = mat(DEV_F32, 1, N);
    struct dev_mat v = mat(DEV_F32, 1, N), acc = mat(DEV_I64, 1, N), over = mat(DEV_I32, 1, 1);
    struct dev_adamw o = {1e-4f, 0.9f, 0.999f, 1e-8f, 0.0f, 1.0f, 1};
    double s, sum;
    float top;
    BEST(s, dev_accum_fixed(d, g, 20, acc, over, e));
    line("accum_fixed", DEV_F32, s, N * 20.0);
    BEST(s, dev_from_fixed(d, acc, 20, 1.0, m, e));
    line("from_fixed", DEV_F32, s, N * 12.0);
    BEST(s, dev_absmax(d, g, &top, e));
    line("absmax", DEV_F32, s, N * 4.0);
    BEST(s, dev_sumsq(d, g, &sum, e));
    line("sumsq", DEV_F32, s, N * 4.0);
    MUST(dev_zero(d, v, e));
    BEST(s, dev_adamw(d, &o, g, p, m, v, e));
    line("adamw", DEV_F32, s, N * 28.0);
    struct dev_mat all[] = {g, p, m, v, acc, over};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        dev_buf_close(all[i].buf);
}

/* What a register tile does with both operands in the first-level cache. */
static void floors(void)
{
    double s;
    struct dev_gemm g = {false, false, 1.0f, 0.0f};
    for (int i = 0; i < 2; i++) {
        enum dev_dtype t = i ? DEV_BF16 : DEV_F32;
        struct dev_mat a = mat(t, 448, 256), b = mat(t, 256, 32), c = mat(DEV_F32, 448, 32);
        BEST(s, dev_gemm(d, g, a, b, c, e));
        printf("one panel in cache %-4s %8.1f GF/s\n", dev_dtype_names[t],
               2e-9 * 448 * 32 * 256 / s);
        dev_buf_close(a.buf);
        dev_buf_close(b.buf);
        dev_buf_close(c.buf);
    }
}

int main(int argc, char **argv)
{
    MUST(
        dev_open(argc > 1 ? argv[1] : "cpu", argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1, &d, e));
    printf("%s %s\n", dev_name(d), dev_describe(d));
    floors();
    for (int i = 0; i < 2; i++) {
        enum dev_dtype t = i ? DEV_BF16 : DEV_F32;
        gemms(t);
        attention(t);
        rows(t);
    }
    optimizer();
    dev_close(d);
    return 0;
}
