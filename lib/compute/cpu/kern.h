/*
 * compute/cpu/kern - the inner loops of the cpu device, once for each instruction set.
 *
 * kern_body.h is compiled by kern_generic.c, kern_avx2.c and kern_avx512.c with the flags of that
 * instruction set; cpu.c picks a table when the device opens. Everything works on contiguous f32
 * rows; bf16 is widened and narrowed at the edges. Sums run in 16 fixed lanes that are added
 * pairwise at the end. Multiplications and additions are fused where the instruction set has that
 * (not in generic): so results hold bit for bit at one instruction set, and nearly at the others.
 *
 * Pure functions of their arguments. Pointers need no alignment; outputs overlap no input unless
 * said. n may be 0.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kern_adamw {
    float lr_t;  /* lr / (1 - beta1^t) */
    float decay; /* 1 - lr * weight_decay */
    float beta1, beta2, eps, grad_scale;
    float inv_sqrt_bc2; /* 1 / sqrt(1 - beta2^t) */
};

struct cpu_kern {
    const char *isa;
    /* bf16 <-> f32, round to nearest even, NaN stays NaN. */
    void (*widen)(const uint16_t *x, float *y, size_t n);
    void (*narrow)(const float *x, uint16_t *y, size_t n);
    void (*scale)(float a, const float *x, float *y, size_t n); /* y = a x */
    void (*axpy)(float a, const float *x, float *y, size_t n);  /* y += a x */
    float (*dot)(const float *x, const float *y, size_t n);
    float (*dot3)(const float *x, const float *y, const float *z, size_t n); /* sum of x y z */
    float (*max)(const float *x, size_t n);                                  /* -inf for n = 0 */
    /* y = exp(a x - b), also as bf16; returns the sum. y may be x; each may be NULL. */
    float (*exp_sum)(const float *x, float a, float b, float *y, uint16_t *y16, size_t n);
    /* x = exp(a x - b), also as bf16 (or NULL); returns the sum of x z. */
    float (*exp_dot)(float *x, float a, float b, const float *z, uint16_t *y16, size_t n);
    void (*norm)(const float *x, const float *w, float rstd, float *y, size_t n);
    /* dx += rstd (dy w - x c) */
    void (*norm_bwd)(const float *dy, const float *x, const float *w, float rstd, float c,
                     float *dx, size_t n);
    void (*mul_add)(const float *x, const float *y, float a, float *z, size_t n); /* z += a x y */
    /* cos, sin of pos * inv_freq[j] */
    void (*angles)(float pos, const float *inv_freq, float *cs, float *sn, size_t n);
    /* (a, b) = (a cs - b sn, b cs + a sn) */
    void (*rotate)(float *a, float *b, const float *cs, const float *sn, size_t n);
    /* One row: mean and variance over all n. */
    void (*layernorm)(const float *x, const float *w, const float *b, float eps, float *y,
                      size_t n);
    /* act: enum dev_act. y = act(g) u; u NULL: y = act(g). */
    void (*act)(int act, const float *g, const float *u, float *y, size_t n);
    /* dg = dy u act'(g), du = dy act(g); u NULL: dg = dy act'(g), du is not touched. */
    void (*act_bwd)(int act, const float *dy, const float *g, const float *u, float *dg, float *du,
                    size_t n);
    /* dp = p a (dp - d), also as bf16 (or NULL) */
    void (*softmax_bwd)(const float *p, float a, float d, float *dp, uint16_t *y16, size_t n);
    /* Elements start at counter `base`; kept when hash >= threshold (of 2^24). */
    void (*dropout)(const float *x, uint64_t key, uint64_t base, uint32_t threshold, float scale,
                    float *y, size_t n);
    /* dst[c, r] = src[r, c], 32-bit elements; strides in elements; src at any address. */
    void (*transpose)(const void *src, size_t ld, size_t rows, size_t cols, uint32_t *dst,
                      size_t ld_dst);
    /* dst[p, j] = src[2 p, j] | src[2 p + 1, j] << 16 for pairs of rows; rows is even. */
    void (*pair)(const uint16_t *src, size_t ld, size_t rows, size_t cols, uint32_t *dst,
                 size_t ld_dst);
    /* dst = alpha src + beta dst; beta 0: dst is not read. */
    void (*put)(const float *src, size_t ld, size_t rows, size_t cols, float alpha, float beta,
                float *dst, size_t ld_dst);
    void (*put_bf16)(const float *src, size_t ld, size_t rows, size_t cols, float alpha, float beta,
                     uint16_t *dst, size_t ld_dst);
    void (*adamw)(const struct kern_adamw *o, const float *g, float *p, float *m, float *v,
                  size_t n);
};

extern const struct cpu_kern cpu_kern_generic, cpu_kern_avx2, cpu_kern_avx512;
