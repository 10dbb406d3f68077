/*
 * tests/checkpoint/ckpt_kit - a small state to save, whose every byte follows from the step.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/ckpt.h"

enum { KIT_ITEMS = 6 };
struct kit {
    uint8_t u8[3];
    float f32[1000];
    int32_t i32[17];
    int64_t i64[5];
    double f64[33];
    struct ckpt_item items[KIT_ITEMS]; /* the five, and one of no elements */
};
void kit_fill(struct kit *k, uint64_t step);
/* Zero the arrays, keep the items. */
void kit_clear(struct kit *k);
bool kit_is(const struct kit *k, uint64_t step);
