/*
 * compute/cuda/kernels - the CUDA kernels behind the ops of dev.h, one launcher an op.
 *
 * The main idea: a launcher takes device addresses, shapes and a stream, puts its kernels into the
 * stream and returns; semantics are those of dev.h, operand for operand, and the shapes were
 * checked there. It knows neither buffers nor the device table (gpu.h, the plug-in): so the same
 * .cu files are compiled for the CPU by the tests (tests/support/cuda_shim.h), which compare each
 * launcher with the cpu device.
 *
 * Result: 0, or the cudaError_t of the launch; 1 (invalid value) for a shape beyond the limits
 * below. A row index that is out of range traps: the stream is dead from there on, as after CHECK.
 *
 * Bits: every result is a function of the inputs alone: no sum depends on the size of the grid, on
 * the GPU's model or on what ran before; there are no floating-point atomics. "exact" below = the
 * same bits as the cpu device; else the tests' tolerance is named there.
 *
 * Speed: all but attention are bound by memory. "B/el" = bytes of device memory read and written
 * for each element of the largest matrix, by design (f32 counts 4, bf16 2); second reads of a row
 * that the caches hold are not counted. 16-byte accesses where the base address is a multiple of
 * 16 and the row length of 16 bytes; else slower ones, the same result.
 *
 * Scratch: device memory, aligned to 16, of at least the bytes that the function of the same name
 * with _scratch says; contents do not matter before or after. Free to be reused by the next launch
 * on the same stream.
 *
 * Limits: a matrix of at most 2^31 - 1 chunks of 8 (2^34 values); head_dim <= 256.
 *
 * Does not do: matrix products (gpu.h), copies between host and device, waiting.
 */
#pragma once
#ifdef __cplusplus
extern "C" {
#endif

#include "compute/dev.h"

struct CUstream_st; /* cudaStream_t points to it */

/* As struct dev_mat, with an address. p NULL: left out, where dev.h allows that. */
struct kernel_mat {
    void *p;
    enum dev_dtype t;
    uint32_t rows, cols, ld;
};

/* ---- copies */
/* 1 to 8 B/el written; any dtype. */
int kernel_zero(struct kernel_mat m, struct CUstream_st *stream);
/* Exact. B/el: size of both dtypes. dst may be src. */
int kernel_scale_cast(float alpha, struct kernel_mat src, struct kernel_mat dst,
                      struct CUstream_st *stream);
/* Exact. idx: I32, on the device. B/el: size of both dtypes. */
int kernel_gather_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                       struct CUstream_st *stream);
int kernel_scatter_rows(struct kernel_mat src, const int32_t *idx, struct kernel_mat dst,
                        struct CUstream_st *stream);
/* Exact: the block of the first row with an id adds all its rows, in order. B/el of src: its size,
 * and 8 for each distinct id's row. Rows of one id are added one after the other: slow when half of
 * all rows have the same. */
int kernel_scatter_add_rows(struct kernel_mat src, const int32_t *ids, struct kernel_mat table,
                            struct CUstream_st *stream);
/* Exact. B/el: twice x and once y (one row: none). */
int kernel_add(struct kernel_mat x, struct kernel_mat y, struct CUstream_st *stream);

#ifdef __cplusplus
}
#endif
