#include "model/gguf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/gguf_quant.h"

enum {
    MAX_TENSORS = 100000,
    MAX_PAIRS = 100000,
    MAX_KEY = 65535,
    MAX_DEPTH = 4,
    MAX_ALIGN = 65536
};

struct gguf {
    struct fs_map map; /* unset for memory */
    struct gguf_kv *kv;
    struct gguf_tensor *tensors;
    size_t nkv, ntensors;
};

/* ---- a cursor that cannot leave the file */
struct cursor {
    const uint8_t *p, *end, *start;
    const char *what;
};

static bool need(const struct cursor *c, uint64_t n, struct err *e)
{
    if (n <= (uint64_t)(c->end - c->p)) return true;
    return err_set(e, ERR_FORMAT, "%s: cut short at byte %zu", c->what, (size_t)(c->p - c->start));
}

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static bool take(struct cursor *c, size_t n, uint64_t *out, struct err *e)
{
    if (!need(c, n, e)) return false;
    *out = load(c->p, n);
    c->p += n;
    return true;
}

static bool take_str(struct cursor *c, uint64_t max, struct str *out, struct err *e)
{
    uint64_t n;
    if (!take(c, 8, &n, e)) return false;
    if (n > max)
        return err_set(e, ERR_LIMIT, "%s: a text of %llu bytes at byte %zu, at most %llu", c->what,
                       (unsigned long long)n, (size_t)(c->p - c->start), (unsigned long long)max);
    if (!need(c, n, e)) return false;
    *out = (struct str){(const char *)c->p, (size_t)n};
    c->p += n;
    return true;
}

/* ---- metadata */
static const uint8_t type_bytes[GGUF_TYPES] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};

static bool take_type(struct cursor *c, enum gguf_type *out, struct err *e)
{
    uint64_t v;
    if (!take(c, 4, &v, e)) return false;
    if (v >= GGUF_TYPES)
        return err_set(e, ERR_FORMAT, "%s: unknown value type %llu at byte %zu", c->what,
                       (unsigned long long)v, (size_t)(c->p - c->start));
    *out = (enum gguf_type)v;
    return true;
}

/* Pass over n values of a type; arrays of arrays carry their own heads. */
static bool skip(struct cursor *c, enum gguf_type type, uint64_t n, int depth, struct err *e)
{
    struct str s;
    if (type_bytes[type]) {
        if (n > (uint64_t)(c->end - c->p) / type_bytes[type]) return need(c, UINT64_MAX, e);
        c->p += n * type_bytes[type];
        return true;
    }
    if (depth >= MAX_DEPTH)
        return err_set(e, ERR_LIMIT, "%s: arrays nested deeper than %d", c->what, MAX_DEPTH);
    for (uint64_t i = 0; i < n; i++) {
        enum gguf_type item;
        uint64_t count;
        if (type == GGUF_STRING) {
            if (!take_str(c, UINT32_MAX, &s, e)) return false;
        } else if (!take_type(c, &item, e) || !take(c, 8, &count, e) ||
                   !skip(c, item, count, depth + 1, e)) {
            return false;
        }
    }
    return true;
}

static bool take_kv(struct cursor *c, struct gguf_kv *kv, struct err *e)
{
    if (!take_str(c, MAX_KEY, &kv->key, e) || !take_type(c, &kv->type, e)) return false;
    kv->item = kv->type;
    kv->n = 1;
    if (kv->type == GGUF_ARRAY && (!take_type(c, &kv->item, e) || !take(c, 8, &kv->n, e)))
        return false;
    kv->data = c->p;
    if (!skip(c, kv->item, kv->n, kv->type == GGUF_ARRAY, e)) return false;
    kv->end = c->p;
    return true;
}

static bool read_pairs(struct gguf *g, struct cursor *c, uint64_t n, struct err *e)
{
    if (n > MAX_PAIRS)
        return err_set(e, ERR_LIMIT, "%s: %llu metadata pairs, at most %d", c->what,
                       (unsigned long long)n, MAX_PAIRS);
    g->kv = mem_calloc((size_t)n + 1, sizeof *g->kv, e);
    if (!g->kv) return false;
    for (; g->nkv < n; g->nkv++) {
        if (!take_kv(c, &g->kv[g->nkv], e)) return false;
    }
    return true;
}

/* ---- tensors */
static bool take_dims(struct cursor *c, struct gguf_tensor *t, struct err *e)
{
    uint64_t v, total;
    if (!take(c, 4, &v, e)) return false;
    if (v == 0 || v > 4)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %llu dimensions, expected 1 to 4", c->what,
                       t->name, (unsigned long long)v);
    t->ndims = (uint32_t)v;
    t->rows = 1;
    for (uint32_t i = 0; i < t->ndims; i++) {
        if (!take(c, 8, &t->dims[i], e)) return false;
        if (t->dims[i] == 0 || (i && __builtin_mul_overflow(t->rows, t->dims[i], &t->rows)))
            return err_set(e, ERR_FORMAT, "%s: tensor %s has an impossible shape", c->what,
                           t->name);
    }
    if (__builtin_mul_overflow(t->rows, t->dims[0], &total) || total > (uint64_t)1 << 40)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has an impossible shape", c->what, t->name);
    return true;
}

/* at: offset of the data from the start of the data section. */
static bool take_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *at, struct err *e)
{
    struct str name;
    uint64_t v;
    const struct gguf_quant *q;
    if (!take_str(c, sizeof t->name - 1, &name, e)) return false;
    memcpy(t->name, name.p, name.n);
    if (!take_dims(c, t, e) || !take(c, 4, &v, e) || !take(c, 8, at, e)) return false;
    t->type = (uint32_t)v;
    q = gguf_quant_of(t->type);
    if (!q)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s is stored as %s; supported are F32, F16, BF16, Q4_0, Q4_1, "
                       "Q5_0, Q5_1, Q8_0, Q4_K, Q6_K",
                       c->what, t->name, gguf_type_name(t->type));
    if (t->dims[0] % q->values)
        return err_set(e, ERR_FORMAT, "%s: tensor %s: rows of %llu values do not fill blocks of %u",
                       c->what, t->name, (unsigned long long)t->dims[0], q->values);
    t->bytes = t->dims[0] / q->values * t->rows * q->bytes;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

static bool place_tensors(struct gguf *g, struct cursor *c, const uint64_t *at, uint64_t align,
                          struct err *e)
{
    uint64_t used = (uint64_t)(c->p - c->start), start = (used + align - 1) / align * align;
    uint64_t size = (uint64_t)(c->end - c->start);
    for (size_t i = 0; i < g->ntensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        if (at[i] % align)
            return err_set(e, ERR_FORMAT, "%s: tensor %s is not aligned to %llu bytes", c->what,
                           t->name, (unsigned long long)align);
        if (start > size || at[i] > size - start || t->bytes > size - start - at[i])
            return err_set(e, ERR_FORMAT, "%s: tensor %s ends behind the file: cut short?", c->what,
                           t->name);
        t->data = c->start + start + at[i];
    }
    if (g->ntensors) qsort(g->tensors, g->ntensors, sizeof *g->tensors, by_name);
    for (size_t i = 1; i < g->ntensors; i++) {
        if (strcmp(g->tensors[i - 1].name, g->tensors[i].name) == 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s is there twice", c->what,
                           g->tensors[i].name);
    }
    return true;
}

static bool read_tensors(struct gguf *g, struct cursor *c, uint64_t n, struct err *e)
{
    uint64_t align = 32, *at = NULL;
    bool ok = false;

    if (n > MAX_TENSORS)
        return err_set(e, ERR_LIMIT, "%s: %llu tensors, at most %d", c->what, (unsigned long long)n,
                       MAX_TENSORS);
    if (gguf_find(g, "general.alignment") && !gguf_u64(g, "general.alignment", &align, e))
        return err_wrap(e, "%s", c->what);
    if (align == 0 || align > MAX_ALIGN || align & (align - 1))
        return err_set(e, ERR_FORMAT, "%s: alignment %llu is no power of two up to %d", c->what,
                       (unsigned long long)align, MAX_ALIGN);
    g->tensors = mem_calloc((size_t)n + 1, sizeof *g->tensors, e);
    if (!g->tensors) return false;
    at = mem_calloc((size_t)n + 1, sizeof *at, e);
    if (!at) return false;
    for (; g->ntensors < n; g->ntensors++) {
        if (!take_tensor(c, &g->tensors[g->ntensors], &at[g->ntensors], e)) goto out;
    }
    ok = place_tensors(g, c, at, align, e);
out:
    mem_free(at);
    return ok;
}

/* ---- files */
static bool read_all(struct gguf *g, const uint8_t *p, size_t n, const char *what, struct err *e)
{
    struct cursor c = {p, p + n, p, what};
    uint64_t version, tensors, pairs;

    if (n < 4 || memcmp(p, "GGUF", 4) != 0)
        return err_set(e, ERR_FORMAT, "%s is no GGUF file: it does not start with GGUF%s", what,
                       n > 8 && memcmp(p, "version ", 8) == 0 ? " (a git-LFS pointer: fetch the "
                                                                "file with `git lfs pull`)"
                                                              : "");
    c.p += 4;
    if (!take(&c, 4, &version, e)) return false;
    if (version != 3)
        return err_set(e, ERR_FORMAT, "%s: GGUF version %llu, supported is 3", what,
                       (unsigned long long)version);
    return take(&c, 8, &tensors, e) && take(&c, 8, &pairs, e) && read_pairs(g, &c, pairs, e) &&
           read_tensors(g, &c, tensors, e);
}

bool gguf_open_memory(const uint8_t *p, size_t n, const char *what, struct gguf **out,
                      struct err *e)
{
    struct gguf *g = mem_calloc(1, sizeof *g, e);
    if (!g) return false;
    if (!read_all(g, p, n, what, e)) {
        gguf_close(g);
        return false;
    }
    *out = g;
    return true;
}

bool gguf_open(const char *path, struct gguf **out, struct err *e)
{
    struct fs_map map = {0};
    if (!fs_map_open(path, &map, e)) return false;
    if (!gguf_open_memory(map.p, map.n, path, out, e)) {
        fs_map_close(&map);
        return false;
    }
    (*out)->map = map;
    return true;
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    fs_map_close(&g->map);
    mem_free(g->tensors);
    mem_free(g->kv);
    mem_free(g);
}

const struct gguf_tensor *gguf_tensors(const struct gguf *g, size_t *n)
{
    *n = g->ntensors;
    return g->tensors;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    struct gguf_tensor key = {0};
    if (strlen(name) >= sizeof key.name || !g->ntensors) return NULL;
    memcpy(key.name, name, strlen(name));
    return bsearch(&key, g->tensors, g->ntensors, sizeof key, by_name);
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    for (size_t i = 0; i < g->nkv; i++) {
        if (str_eqz(g->kv[i].key, key)) return &g->kv[i];
    }
    return NULL;
}

/* ---- values */

/* One scalar, or an array whose items are all alike (some writers repeat a number for each
 * block). */
static bool scalar(const struct gguf *g, const char *key, const struct gguf_kv **out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv) return err_set(e, ERR_FORMAT, "metadata key %s is missing", key);
    size_t n = type_bytes[kv->item];
    if (!n || kv->n == 0) return err_set(e, ERR_FORMAT, "metadata key %s is not a number", key);
    for (uint64_t i = 1; i < kv->n; i++) {
        if (memcmp(kv->data, kv->data + i * n, n) != 0)
            return err_set(e, ERR_FORMAT,
                           "metadata key %s differs from block to block, which is not "
                           "supported",
                           key);
    }
    *out = kv;
    return true;
}

bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e)
{
    const struct gguf_kv *kv;
    if (!scalar(g, key, &kv, e)) return false;
    size_t n = type_bytes[kv->item];
    bool is_signed =
        kv->item == GGUF_I8 || kv->item == GGUF_I16 || kv->item == GGUF_I32 || kv->item == GGUF_I64;
    if (kv->item == GGUF_F32 || kv->item == GGUF_F64 || (is_signed && kv->data[n - 1] & 0x80))
        return err_set(e, ERR_FORMAT, "metadata key %s is not a whole number from 0 on", key);
    *out = load(kv->data, n);
    return true;
}

bool gguf_f64(const struct gguf *g, const char *key, double *out, struct err *e)
{
    const struct gguf_kv *kv;
    float f;
    if (!scalar(g, key, &kv, e)) return false;
    if (kv->item == GGUF_F64) {
        memcpy(out, kv->data, sizeof *out);
    } else if (kv->item == GGUF_F32) {
        memcpy(&f, kv->data, sizeof f);
        *out = (double)f;
    } else {
        return err_set(e, ERR_FORMAT, "metadata key %s is not a floating-point number", key);
    }
    return true;
}

bool gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv) return err_set(e, ERR_FORMAT, "metadata key %s is missing", key);
    if (kv->type != GGUF_STRING) return err_set(e, ERR_FORMAT, "metadata key %s is not text", key);
    *out = (struct str){(const char *)kv->data + 8, (size_t)(kv->end - kv->data - 8)};
    return true;
}
