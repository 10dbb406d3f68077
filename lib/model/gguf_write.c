#include "model/gguf_write.h"

#include <math.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/dtype.h"
#include "model/gguf_quant.h"

#define MAX_META ((size_t)512 << 20)
enum { ALIGN = 32, QK = 32, Q8_BYTES = 34, Q4_BYTES = 18 };

struct gguf_writer {
    struct sbuf meta;
    uint64_t pairs, owed; /* owed: items of the array begun */
    struct fs_writer *file;
    const struct gguf_entry *list;
    size_t n, at; /* tensors; the one being written */
    uint64_t put; /* of it */
};

/* ---- values */

uint64_t gguf_row_bytes(uint32_t type, uint64_t cols)
{
    const struct gguf_quant *q = gguf_quant_of(type);
    CHECK(q && cols % q->values == 0);
    return cols / q->values * q->bytes;
}

/* As ggml's reference: the scale is rounded to f16 only when it is stored. */
static void pack_q8(const float *f, uint8_t *out)
{
    float most = 0, d, inv;
    uint16_t half;
    for (int i = 0; i < QK; i++)
        most = fmaxf(most, fabsf(f[i]));
    d = most / 127;
    inv = d > 0 ? 1 / d : 0;
    half = dtype_f32_to_f16(d);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
    for (int i = 0; i < QK; i++)
        out[2 + i] = (uint8_t)(int8_t)roundf(f[i] * inv);
}

/* The value of largest size, with its sign, becomes -8. ggml's C code rounds in f32, and its result
 * depends on fused multiplication; this is what the package gguf does, in doubles. */
static void pack_q4(const float *f, uint8_t *out)
{
    float most = 0, d, inv;
    uint16_t half;
    uint8_t q[QK];
    for (int i = 0; i < QK; i++)
        most = fabsf(f[i]) > fabsf(most) ? f[i] : most;
    d = most / -8;
    inv = d != 0 ? 1 / d : 0;
    half = dtype_f32_to_f16(d);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
    for (int i = 0; i < QK; i++) {
        double v = (double)f[i] * (double)inv + 8.5;
        q[i] = (uint8_t)(v >= 15 ? 15 : v > 0 ? v : 0);
    }
    for (int i = 0; i < QK / 2; i++)
        out[2 + i] = (uint8_t)(q[i] | q[i + QK / 2] << 4);
}

void gguf_pack(uint32_t type, const float *f, uint64_t n, void *out)
{
    uint8_t *to = out;
    switch (type) {
    case GGML_Q8_0:
        for (uint64_t i = 0; i < n / QK; i++)
            pack_q8(f + i * QK, to + i * Q8_BYTES);
        return;
    case GGML_Q4_0:
        for (uint64_t i = 0; i < n / QK; i++)
            pack_q4(f + i * QK, to + i * Q4_BYTES);
        return;
    default:
        dtype_from_f32(type == GGML_F32   ? DTYPE_F32
                       : type == GGML_F16 ? DTYPE_F16
                                          : DTYPE_BF16,
                       f, (size_t)n, out);
    }
}

void gguf_unpack(uint32_t type, const void *row, uint64_t n, float *out)
{
    const struct gguf_quant *q = gguf_quant_of(type);
    for (uint64_t i = 0; i < n / q->values; i++)
        q->block((const uint8_t *)row + i * q->bytes, out + i * q->values);
}

/* ---- metadata */

static bool put_le(struct sbuf *b, uint64_t v, size_t n, struct err *e)
{
    char p[8];
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(v >> (8 * i));
    return sbuf_put(b, (struct str){p, n}, e);
}

static bool put_text(struct sbuf *b, struct str s, struct err *e)
{
    return put_le(b, s.n, 8, e) && sbuf_put(b, s, e);
}

static bool put_key(struct gguf_writer *w, const char *key, enum gguf_type t, struct err *e)
{
    CHECK(w->owed == 0 && !w->file);
    w->pairs++;
    return put_text(&w->meta, str_of(key), e) && put_le(&w->meta, t, 4, e);
}

static uint32_t bits_of(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

bool gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, struct err *e)
{
    return put_key(w, key, GGUF_U32, e) && put_le(&w->meta, v, 4, e);
}

bool gguf_put_f32(struct gguf_writer *w, const char *key, float v, struct err *e)
{
    return put_key(w, key, GGUF_F32, e) && put_le(&w->meta, bits_of(v), 4, e);
}

bool gguf_put_bool(struct gguf_writer *w, const char *key, bool v, struct err *e)
{
    return put_key(w, key, GGUF_BOOL, e) && put_le(&w->meta, v, 1, e);
}

bool gguf_put_str(struct gguf_writer *w, const char *key, struct str v, struct err *e)
{
    return put_key(w, key, GGUF_STRING, e) && put_text(&w->meta, v, e);
}

bool gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type item, uint64_t n,
                    struct err *e)
{
    if (!put_key(w, key, GGUF_ARRAY, e)) return false;
    w->owed = n;
    return put_le(&w->meta, item, 4, e) && put_le(&w->meta, n, 8, e);
}

static void pay(struct gguf_writer *w)
{
    CHECK(w->owed > 0);
    w->owed--;
}

bool gguf_item_str(struct gguf_writer *w, struct str v, struct err *e)
{
    pay(w);
    return put_text(&w->meta, v, e);
}

bool gguf_item_i32(struct gguf_writer *w, int32_t v, struct err *e)
{
    pay(w);
    return put_le(&w->meta, (uint32_t)v, 4, e);
}

bool gguf_item_f32(struct gguf_writer *w, float v, struct err *e)
{
    pay(w);
    return put_le(&w->meta, bits_of(v), 4, e);
}

/* ---- the file */

bool gguf_writer_open(struct gguf_writer **out, struct err *e)
{
    struct gguf_writer *w = mem_calloc(1, sizeof *w, e);
    if (!w) return false;
    sbuf_init(&w->meta, MAX_META);
    *out = w;
    return true;
}

void gguf_writer_close(struct gguf_writer *w)
{
    if (!w) return;
    fs_writer_close(w->file);
    sbuf_free(&w->meta);
    mem_free(w);
}

static uint64_t entry_bytes(const struct gguf_entry *t)
{
    return gguf_row_bytes(t->type, t->dims[0]) * (t->ndims == 2 ? t->dims[1] : 1);
}

static uint64_t padded(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static bool put_table(const struct gguf_entry *list, size_t n, struct sbuf *b, struct err *e)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct gguf_entry *t = &list[i];
        CHECK(t->ndims == 1 || t->ndims == 2);
        if (!put_text(b, str_of(t->name), e) || !put_le(b, t->ndims, 4, e)) return false;
        for (uint32_t k = 0; k < t->ndims; k++) {
            if (!put_le(b, t->dims[k], 8, e)) return false;
        }
        if (!put_le(b, t->type, 4, e) || !put_le(b, at, 8, e)) return false;
        at += padded(entry_bytes(t));
    }
    return true;
}

static bool put_zeros(struct gguf_writer *w, uint64_t n, struct err *e)
{
    static const char zeros[ALIGN];
    return n == 0 || fs_writer_put(w->file, zeros, (size_t)n, e);
}

bool gguf_writer_start(struct gguf_writer *w, const char *path, const struct gguf_entry *list,
                       size_t n, struct err *e)
{
    struct sbuf head, table;
    bool ok = false;

    CHECK(w->owed == 0);
    sbuf_init(&head, 64);
    sbuf_init(&table, MAX_META);
    w->list = list;
    w->n = n;
    if (!sbuf_put(&head, STR("GGUF"), e) || !put_le(&head, 3, 4, e) || !put_le(&head, n, 8, e) ||
        !put_le(&head, w->pairs, 8, e) || !put_table(list, n, &table, e))
        goto out;
    if (!fs_writer_open(path, &w->file, e)) goto out;
    if (!fs_writer_put(w->file, head.p, head.n, e) ||
        (w->meta.n && !fs_writer_put(w->file, w->meta.p, w->meta.n, e)) ||
        (table.n && !fs_writer_put(w->file, table.p, table.n, e)))
        goto out;
    uint64_t used = head.n + w->meta.n + table.n;
    ok = put_zeros(w, padded(used) - used, e);
out:
    sbuf_free(&table);
    sbuf_free(&head);
    return ok;
}

bool gguf_writer_put(struct gguf_writer *w, const void *p, size_t n, struct err *e)
{
    uint64_t want;
    CHECK(w->at < w->n);
    want = entry_bytes(&w->list[w->at]);
    w->put += n;
    CHECK(w->put <= want);
    if (!fs_writer_put(w->file, p, n, e)) return false;
    if (w->put < want) return true;
    w->at++;
    w->put = 0;
    return put_zeros(w, padded(want) - want, e);
}

bool gguf_writer_commit(struct gguf_writer *w, struct err *e)
{
    CHECK(w->at == w->n && w->put == 0);
    return fs_writer_commit(w->file, e);
}
