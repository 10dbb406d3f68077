#include "checkpoint/ckpt_format.h"

#define MAGIC       "RMCKPT\x1a\n"
#define VERSION     1u
#define ENTRY_BYTES 40u
#define ALIGN       64u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "arrays are written as they lie in memory");

uint64_t ckpt_dtype_bytes(enum ckpt_dtype t)
{
    static const uint64_t bytes[] = {1, 4, 4, 8, 8};
    CHECK((unsigned)t <= CKPT_F64);
    return bytes[t];
}

const char *ckpt_dtype_name(enum ckpt_dtype t)
{
    static const char *const names[] = {"u8", "f32", "i32", "i64", "f64"};
    CHECK((unsigned)t <= CKPT_F64);
    return names[t];
}

/* ---- writing */

static bool put(struct sbuf *b, uint64_t v, int bytes, struct err *e)
{
    char le[8];
    for (int i = 0; i < bytes; i++)
        le[i] = (char)(v >> (8 * i));
    return sbuf_put(b, (struct str){le, (size_t)bytes}, e);
}

static bool put_sum(struct sbuf *b, struct hash128 h, struct err *e)
{
    return put(b, h.lo, 8, e) && put(b, h.hi, 8, e);
}

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static bool put_entry(struct sbuf *b, const struct ckpt_item *it, uint64_t offset, struct err *e)
{
    size_t bytes = (size_t)(it->count * ckpt_dtype_bytes(it->dtype));
    return put(b, strlen(it->name), 4, e) && put(b, it->dtype, 4, e) && put(b, it->count, 8, e) &&
           put(b, offset, 8, e) && put_sum(b, hash_xxh128(it->data, bytes), e) &&
           sbuf_put(b, str_of(it->name), e);
}

/* Names and sizes come from our own code. */
static void check_items(const struct ckpt_item *items, size_t n)
{
    CHECK(n <= CKPT_ITEMS_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(items[i].name);
        CHECK(len > 0 && len <= CKPT_NAME_MAX);
        CHECK(items[i].count < UINT64_MAX / 16 / (n + 1));
        CHECK(items[i].count == 0 || items[i].data);
    }
}

bool ckpt_head_build(uint64_t step, const struct ckpt_item *items, size_t n, struct str meta,
                     struct sbuf *b, uint64_t *file_bytes, struct err *e)
{
    struct sbuf body;
    bool ok = false;
    check_items(items, n);
    if (meta.n > CKPT_META_MAX)
        return err_set(e, ERR_LIMIT, "%zu bytes of scalars are too many", meta.n);
    uint64_t table = 0;
    for (size_t i = 0; i < n; i++)
        table += ENTRY_BYTES + strlen(items[i].name);
    sbuf_init(&body, CKPT_HEAD_MAX);
    uint64_t at = CKPT_FIXED_BYTES + table + meta.n, end = at;
    for (size_t i = 0; i < n; i++) {
        at = aligned(end);
        end = at + items[i].count * ckpt_dtype_bytes(items[i].dtype);
        if (!put_entry(&body, &items[i], at, e)) goto out;
    }
    if (!sbuf_put(&body, meta, e)) goto out;
    size_t start = b->n;
    if (!sbuf_put(b, STR(MAGIC), e) || !put(b, VERSION, 4, e) || !put(b, n, 4, e) ||
        !put(b, step, 8, e) || !put(b, table, 8, e) || !put(b, meta.n, 8, e) ||
        !put(b, end, 8, e) || !put_sum(b, hash_xxh128(body.p, body.n), e))
        goto out;
    if (!put(b, hash_xxh64(b->p + start, b->n - start, 0), 8, e)) goto out;
    ok = sbuf_put(b, sbuf_str(&body), e);
    *file_bytes = end;
out:
    sbuf_free(&body);
    return ok;
}

/* ---- reading */

static uint64_t get(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static struct hash128 get_sum(const char *p)
{
    return (struct hash128){get(p, 8), get(p + 8, 8)};
}

static bool same_sum(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

bool ckpt_head_size(struct str fixed, uint64_t *head_bytes, struct err *e)
{
    if (fixed.n < CKPT_FIXED_BYTES || memcmp(fixed.p, MAGIC, 8) != 0)
        return err_set(e, ERR_FORMAT, "not a checkpoint");
    if (get(fixed.p + 8, 4) != VERSION)
        return err_set(e, ERR_FORMAT, "version %llu of the format, version %u was expected",
                       (unsigned long long)get(fixed.p + 8, 4), VERSION);
    if (get(fixed.p + 64, 8) != hash_xxh64(fixed.p, 64, 0))
        return err_set(e, ERR_FORMAT, "checksum of the header does not hold");
    uint64_t table = get(fixed.p + 24, 8), meta = get(fixed.p + 32, 8);
    if (table > CKPT_HEAD_MAX || meta > CKPT_META_MAX)
        return err_set(e, ERR_LIMIT, "head of the checkpoint is too long");
    *head_bytes = CKPT_FIXED_BYTES + table + meta;
    return true;
}

/* One entry at *p, of which `left` bytes remain; *end is where the arrays before it end. */
static bool get_entry(const char **p, uint64_t *left, uint64_t *end, struct ckpt_entry *out,
                      struct err *e)
{
    if (*left < ENTRY_BYTES) return err_set(e, ERR_FORMAT, "the table ends early");
    uint64_t len = get(*p, 4), dtype = get(*p + 4, 4);
    if (len == 0 || len > CKPT_NAME_MAX || len > *left - ENTRY_BYTES || dtype > CKPT_F64)
        return err_set(e, ERR_FORMAT, "an entry of the table is damaged");
    out->dtype = (enum ckpt_dtype)dtype;
    out->count = get(*p + 8, 8);
    out->offset = get(*p + 16, 8);
    out->sum = get_sum(*p + 24);
    out->name = (struct str){*p + ENTRY_BYTES, (size_t)len};
    if (out->count > (uint64_t)INT64_MAX / 8 || out->offset != aligned(*end))
        return err_set(e, ERR_FORMAT, "an entry of the table is damaged");
    out->bytes = out->count * ckpt_dtype_bytes(out->dtype);
    if (out->offset + out->bytes > (uint64_t)INT64_MAX / 2)
        return err_set(e, ERR_FORMAT, "an entry of the table is damaged");
    *end = out->offset + out->bytes;
    *p += ENTRY_BYTES + len;
    *left -= ENTRY_BYTES + len;
    return true;
}

bool ckpt_head_parse(struct str head, uint64_t file_bytes, struct arena *a, struct ckpt_head *out,
                     struct err *e)
{
    uint64_t head_bytes;
    if (!ckpt_head_size(head, &head_bytes, e)) return false;
    if (head.n != head_bytes) return err_set(e, ERR_FORMAT, "the head ends early");
    const char *body = head.p + CKPT_FIXED_BYTES;
    if (!same_sum(get_sum(head.p + 48), hash_xxh128(body, head.n - CKPT_FIXED_BYTES)))
        return err_set(e, ERR_FORMAT, "checksum of the table does not hold");
    uint64_t n = get(head.p + 12, 4), table = get(head.p + 24, 8), end = head_bytes;
    if (n > CKPT_ITEMS_MAX || n * ENTRY_BYTES > table)
        return err_set(e, ERR_FORMAT, "the table ends early");
    struct ckpt_head h = {.step = get(head.p + 16, 8), .file_bytes = get(head.p + 40, 8)};
    h.n = (size_t)n;
    h.entries = arena_alloc(a, h.n * sizeof *h.entries, e);
    if (!h.entries) return false;
    const char *p = body;
    for (size_t i = 0; i < h.n; i++)
        if (!get_entry(&p, &table, &end, &h.entries[i], e)) return false;
    if (table != 0) return err_set(e, ERR_FORMAT, "something follows the table");
    if (h.file_bytes != end || h.file_bytes != file_bytes)
        return err_set(e, ERR_FORMAT, "the file has %llu bytes, %llu were expected",
                       (unsigned long long)file_bytes, (unsigned long long)end);
    h.meta = (struct str){p, (size_t)(head.p + head.n - p)};
    *out = h;
    return true;
}
