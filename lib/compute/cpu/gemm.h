/*
 * compute/cpu/gemm - matrix products of the cpu device.
 */
#pragma once
#include "compute/cpu/cpu.h"

struct gemm;
MUST_CHECK bool gemm_open(const struct cpu *c, struct gemm **out, struct err *e);
void gemm_close(struct gemm *g);
const char *gemm_describe(const struct gemm *g);

/* The triple loop, f32 sums in increasing k: the reference, and what is left without AVX2. */
void gemm_naive(struct dev_gemm g, struct dev_mat a, struct dev_mat b, struct dev_mat c);
