/*
 * tests/support/test_device - which device a test computes on: "cpu", or what RADMILL_TEST_DEVICE names. The
 * same test programs so run on the CPU, on device "cuda" over the stand-in for CUDA (compute/gpu_fake.c), and
 * on a GPU: RADMILL_CUDA_PLUGIN names the real plug-in (tests/gpu/acceptance). RADMILL_TEST_FILTER: only
 * tests whose name matches (the stand-in is some hundred times slower than the CPU).
 */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "compute/dev.h"

static inline const char *test_device(void)
{
    const char *name = getenv("RADMILL_TEST_DEVICE");
    return name && name[0] ? name : "cpu";
}

/* Not bit for bit what the CPU computes. */
static inline bool test_device_is_cuda(void)
{
    return strncmp(test_device(), "cuda", 4) == 0;
}

/* cmocka's, for the part of a long program that is run again on another device */
void cmocka_set_test_filter(const char *pattern);

/* Programs of several ranks say which one they are, as cli does. */
static inline void test_device_rank(int local_rank)
{
    const char *real = getenv("RADMILL_CUDA_PLUGIN");
    struct dev_place p = {
        .plugin = RADMILL_CUDA_FAKE, .gpus = DEV_GPUS_HIDDEN, .local_rank = local_rank};
    if (real && real[0]) p.plugin = real;
    dev_set_place(&p);
}

__attribute__((constructor)) static inline void test_device_place(void)
{
    test_device_rank(0);
    const char *filter = getenv("RADMILL_TEST_FILTER");
    if (filter && filter[0]) cmocka_set_test_filter(filter);
}
