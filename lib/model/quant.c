#include "model/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"

/* Where the normal distribution's quantiles lie, as bitsandbytes publishes them. */
static const float book[DEV_NF4_BOOK] = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

void quant_nf4_book(float out[DEV_NF4_BOOK])
{
    for (int i = 0; i < DEV_NF4_BOOK; i++)
        out[i] = book[i];
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Signed dynamic map of 8 bits (Dettmers and others, arXiv 2110.02861): decades 1e-6 .. 1, the i-th
 * cut into 2^i equal steps between 0.1 and 1 of it, their middles with both signs; and 0 and 1. */
void quant_dynamic_map(float out[DEV_NF4_MAP])
{
    int n = 0;
    for (int i = 0; i < 7; i++) {
        int steps = 1 << i;
        float decade = (float)pow(10, i - 6);
        for (int k = 0; k < steps; k++) {
            float low = (float)(0.1 + 0.9 * k / steps), high = (float)(0.1 + 0.9 * (k + 1) / steps);
            float middle = (low + high) / 2 * decade;
            out[n++] = middle;
            out[n++] = -middle;
        }
    }
    out[n++] = 0;
    out[n++] = 1;
    qsort(out, (size_t)n, sizeof *out, by_value);
}

struct quant_size quant_size(enum dev_quant_kind kind, uint64_t rows, uint64_t cols)
{
    uint64_t n = rows * cols, blocks = (n + DEV_NF4_BLOCK - 1) / DEV_NF4_BLOCK;
    if (kind == DEV_QUANT_INT8) return (struct quant_size){n, 0, rows};
    return (struct quant_size){(n + 1) / 2, blocks,
                               (blocks + DEV_NF4_OUTER - 1) / DEV_NF4_OUTER + DEV_NF4_TABLE};
}

/* Index of the nearest of n increasing values. */
static uint8_t nearest(const float *map, int n, float x)
{
    int low = 0, high = n - 1;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (map[mid] <= x)
            low = mid;
        else
            high = mid;
    }
    return (uint8_t)(x - map[low] <= map[high] - x ? low : high);
}

/* From these values on the next code is nearer: found by bisection, so that codes are those that
 * `nearest` gives, without its branches. */
static void find_steps(float step[DEV_NF4_BOOK - 1])
{
    for (int k = 0; k < DEV_NF4_BOOK - 1; k++) {
        float low = book[k], high = book[k + 1]; /* low has code k, high k + 1 */
        for (;;) {
            float mid = low + (high - low) / 2;
            if (!(mid > low && mid < high)) break;
            if (nearest(book, DEV_NF4_BOOK, mid) > k)
                high = mid;
            else
                low = mid;
        }
        step[k] = high;
    }
}

/* Codes of a whole block: a count of the steps passed. The sixty-four go side by side. */
static void codes_of(const float step[DEV_NF4_BOOK - 1], const float *x, float inv,
                     uint8_t code[DEV_NF4_BLOCK])
{
    float v[DEV_NF4_BLOCK];
    int32_t n[DEV_NF4_BLOCK] = {0};
    for (int i = 0; i < DEV_NF4_BLOCK; i++)
        v[i] = x[i] * inv;
    for (int k = 0; k < DEV_NF4_BOOK - 1; k++) {
        for (int i = 0; i < DEV_NF4_BLOCK; i++)
            n[i] += v[i] >= step[k];
    }
    for (int i = 0; i < DEV_NF4_BLOCK; i++)
        code[i] = (uint8_t)n[i];
}

/* ---- many weights side by side: jobs of some milliseconds */
enum { JOB_WEIGHTS = 1 << 20, PIECE = 64 * DEV_NF4_BLOCK };

struct packing {
    const struct quant_source *src;
    uint8_t *codes;
    float *scales; /* int8: of the rows; nf4: the blocks' largest values */
    float *rows;   /* int8: a row for each worker */
    float step[DEV_NF4_BOOK - 1];
};

static void load_f32(const struct quant_source *s, uint64_t from, uint64_t n, float *out)
{
    dtype_to_f32(s->dtype, (const uint8_t *)s->data + from * dtype_bytes(s->dtype), (size_t)n, out);
}

static uint64_t job_rows(const struct quant_source *s)
{
    uint64_t n = JOB_WEIGHTS / s->cols;
    return n ? n : 1;
}

static bool int8_job(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    const struct packing *p = ctx;
    uint64_t cols = p->src->cols, r = job * job_rows(p->src), end = r + job_rows(p->src);
    float *x = p->rows + worker * cols;
    (void)e;
    if (end > p->src->rows) end = p->src->rows;
    for (; r < end; r++) {
        float most = 0, inv;
        load_f32(p->src, r * cols, cols, x);
        for (uint64_t c = 0; c < cols; c++)
            most = fmaxf(most, fabsf(x[c]));
        p->scales[r] = most / 127;
        inv = most > 0 ? 127 / most : 0;
        for (uint64_t c = 0; c < cols; c++)
            p->codes[r * cols + c] = (uint8_t)(int8_t)rintf(x[c] * inv);
    }
    return true;
}

static bool pack_int8(const struct quant_source *s, uint8_t *codes, float *scales, struct err *e)
{
    struct packing p = {.src = s, .codes = codes, .scales = scales};
    uint32_t threads = s->threads ? s->threads : 1;
    bool ok;
    p.rows = mem_alloc((size_t)(threads * s->cols) * sizeof *p.rows, e);
    if (!p.rows) return false;
    ok = threads_run(threads, (s->rows + job_rows(s) - 1) / job_rows(s), int8_job, &p, e);
    mem_free(p.rows);
    return ok;
}

/* One block of n values; x is zero behind them. The largest value is returned. */
static float nf4_block(const float step[DEV_NF4_BOOK - 1], const float x[DEV_NF4_BLOCK], uint64_t n,
                       uint8_t *out)
{
    uint8_t code[DEV_NF4_BLOCK];
    float top = 0;
    for (int i = 0; i < DEV_NF4_BLOCK; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    codes_of(step, x, top > 0 ? 1 / top : 0, code);
    for (uint64_t i = 0; i < n; i += 2) {
        uint8_t second = i + 1 < n ? code[i + 1] : 0;
        out[i / 2] = (uint8_t)(code[i] << 4 | second);
    }
    return top;
}

static bool nf4_job(void *ctx, uint32_t worker, uint64_t job, struct err *e)
{
    const struct packing *p = ctx;
    uint64_t n = p->src->rows * p->src->cols, at = job * JOB_WEIGHTS, end = at + JOB_WEIGHTS;
    float x[PIECE];
    (void)worker;
    (void)e;
    if (end > n) end = n;
    for (; at < end; at += PIECE) {
        uint64_t have = end - at < PIECE ? end - at : PIECE;
        load_f32(p->src, at, have, x);
        for (uint64_t i = have; i % DEV_NF4_BLOCK; i++)
            x[i] = 0;
        for (uint64_t i = 0; i < have; i += DEV_NF4_BLOCK) {
            uint64_t left = have - i < DEV_NF4_BLOCK ? have - i : DEV_NF4_BLOCK;
            p->scales[(at + i) / DEV_NF4_BLOCK] =
                nf4_block(p->step, x + i, left, p->codes + (at + i) / 2);
        }
    }
    return true;
}

/* The blocks' largest values to 8 bits: less their mean, in blocks of 256 with a scale each. */
static void pack_scales(float *most, uint64_t blocks, uint8_t *scales, float *floats)
{
    uint64_t outer = (blocks + DEV_NF4_OUTER - 1) / DEV_NF4_OUTER;
    float *table = floats + outer, *map = table + DEV_NF4_BOOK;
    double sum = 0;
    quant_nf4_book(table);
    quant_dynamic_map(map);
    for (uint64_t i = 0; i < blocks; i++)
        sum += (double)most[i];
    map[DEV_NF4_MAP] = (float)(sum / (double)blocks);
    for (uint64_t o = 0; o < outer; o++) {
        uint64_t from = o * DEV_NF4_OUTER, to = from + DEV_NF4_OUTER;
        float top = 0;
        if (to > blocks) to = blocks;
        for (uint64_t i = from; i < to; i++) {
            most[i] -= map[DEV_NF4_MAP];
            top = fmaxf(top, fabsf(most[i]));
        }
        floats[o] = top;
        for (uint64_t i = from; i < to; i++)
            scales[i] = nearest(map, DEV_NF4_MAP, top > 0 ? most[i] / top : 0);
    }
}

static bool pack_nf4(const struct quant_source *s, uint8_t *codes, uint8_t *scales, float *floats,
                     struct err *e)
{
    uint64_t n = s->rows * s->cols, blocks = (n + DEV_NF4_BLOCK - 1) / DEV_NF4_BLOCK;
    struct packing p = {.src = s, .codes = codes};
    bool ok;
    p.scales = mem_alloc((size_t)blocks * sizeof *p.scales, e);
    if (!p.scales) return false;
    find_steps(p.step);
    ok = threads_run(s->threads ? s->threads : 1, (n + JOB_WEIGHTS - 1) / JOB_WEIGHTS, nf4_job, &p,
                     e);
    if (ok) pack_scales(p.scales, blocks, scales, floats);
    mem_free(p.scales);
    return ok;
}

bool quant_pack(enum dev_quant_kind kind, const struct quant_source *src, uint8_t *bytes,
                float *floats, struct err *e)
{
    struct quant_size s = quant_size(kind, src->rows, src->cols);
    if (kind == DEV_QUANT_NF4) return pack_nf4(src, bytes, bytes + s.codes, floats, e);
    CHECK(kind == DEV_QUANT_INT8);
    return pack_int8(src, bytes, floats, e);
}
