#include "checkpoint/ckpt_kit.h"

#include <string.h>

static void set_items(struct kit *k)
{
    const struct ckpt_item items[KIT_ITEMS] = {
        {"flags", CKPT_U8, 3, k->u8},  {"lora.a", CKPT_F32, 1000, k->f32},
        {"none", CKPT_F32, 0, NULL},   {"counts", CKPT_I32, 17, k->i32},
        {"sums", CKPT_I64, 5, k->i64}, {"moments", CKPT_F64, 33, k->f64},
    };
    memcpy(k->items, items, sizeof items);
}

void kit_clear(struct kit *k)
{
    memset(k, 0, sizeof *k);
    set_items(k);
}

void kit_fill(struct kit *k, uint64_t step)
{
    kit_clear(k);
    for (int i = 0; i < 3; i++)
        k->u8[i] = (uint8_t)(step + (uint64_t)i);
    for (int i = 0; i < 1000; i++)
        k->f32[i] = (float)step + (float)i / 7;
    for (int i = 0; i < 17; i++)
        k->i32[i] = (int32_t)(uint32_t)(step * (uint64_t)i);
    for (int i = 0; i < 5; i++)
        k->i64[i] = (int64_t)(step << (8 * i));
    for (int i = 0; i < 33; i++)
        k->f64[i] = (double)step / (i + 1);
}

bool kit_is(const struct kit *k, uint64_t step)
{
    struct kit want;
    kit_fill(&want, step);
    return memcmp(k->u8, want.u8, sizeof want.u8) == 0 &&
           memcmp(k->f32, want.f32, sizeof want.f32) == 0 &&
           memcmp(k->i32, want.i32, sizeof want.i32) == 0 &&
           memcmp(k->i64, want.i64, sizeof want.i64) == 0 &&
           memcmp(k->f64, want.f64, sizeof want.f64) == 0;
}
