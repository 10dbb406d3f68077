/* Between gpu_fake.c and gpu_fake_team.c: jobs that wait for other processes. */
#pragma once
#include "compute/cuda/gpu.h"

/* A job that is over when try(context) says so; asked again and again, and no more after that. */
void gpu_fake_push_try(struct gpu_stream *s, const char *name, bool (*try)(void *), void *context);
/* Run what is queued as far as it goes without waiting; is nothing left? */
bool gpu_fake_go(struct gpu_stream *s);
/* Do these bytes lie in one block of the GPU's memory? */
bool gpu_fake_holds(const struct gpu *g, const void *p, size_t bytes);
struct gpu *gpu_fake_of(struct gpu_stream *s);
