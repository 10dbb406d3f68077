/*
 * compute/cuda/gpu_stream - the queue that kernels are launched into: the part of gpu.h that is C
 * and C++ alike, and all of it that a kernel file sees.
 *
 * The same launchers serve two builds. In the plug-in (gpu_cuda.c) nvcc compiles them and a launch
 * goes to gpu_stream_native(). In the stand-in (gpu_fake.c) the shim compiles them for the CPU and
 * hands each launch to gpu_fake_push(): it runs later, in the order of its stream, when somebody
 * waits. A launcher therefore never touches device memory itself and never waits.
 *
 * A launcher is a plain function that cannot fail: it ends each launch with gpu_launched(), which
 * keeps the first failure; the caller of launchers asks gpu_stream_ok() (gpu.h).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gpu_stream;

/* Plug-in: the cudaStream_t. */
void *gpu_stream_native(struct gpu_stream *s);
/* Plug-in: looks at cudaGetLastError after a launch. kernel: a literal. */
void gpu_launched(struct gpu_stream *s, const char *kernel);
/* Plug-in: for launchers that find something wrong before a launch (shared memory refused). */
void gpu_stream_fail(struct gpu_stream *s, const char *kernel, const char *why);

/* Stand-in: run(context) in the order of the stream, then drop(context), which is called in any
 * case. kernel: a literal. */
void gpu_fake_push(struct gpu_stream *s, const char *kernel, void (*run)(void *context),
                   void (*drop)(void *context), void *context);

#ifdef __cplusplus
}
#endif
