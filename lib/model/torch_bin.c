#include "model/torch_bin.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/torch_pickle.h"

#define MAX_PICKLE_BYTES ((size_t)16 << 20)
enum { MAX_ENTRIES = 1000000, MAX_TENSOR_NAME = 512, LEGACY_VERSION = 1001 };

/* ---- zip: the directory at the end, stored entries only */

struct entry {
    struct str name;
    const uint8_t *data;
    uint64_t size;
};
struct zip {
    const uint8_t *p;
    size_t n;
    const char *what;
    struct entry *entries; /* by name */
    size_t nentries;
};

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static bool broken(const struct zip *z, const char *why, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s: the file is cut short or no PyTorch file", z->what, why);
}

/* The record at the very end, within the longest comment; then the 64-bit one, where there is. */
static bool find_directory(const struct zip *z, uint64_t *at, uint64_t *count, struct err *e)
{
    enum { END = 22, LOCATOR = 20, END64 = 56 };
    size_t low = z->n > END + 65535 ? z->n - END - 65535 : 0;
    const uint8_t *p = NULL;
    if (z->n < END) return broken(z, "no zip directory", e);
    for (size_t i = z->n - END + 1; i-- > low && !p;) {
        if (load(z->p + i, 4) == 0x06054b50) p = z->p + i;
    }
    if (!p) return broken(z, "no zip directory", e);
    *count = load(p + 10, 2);
    *at = load(p + 16, 4);
    if (*count != 0xffff && *at != 0xffffffff) return true;
    if (p - z->p < LOCATOR || load(p - LOCATOR, 4) != 0x07064b50) return true;
    uint64_t far = load(p - LOCATOR + 8, 8);
    if (far > z->n || z->n - far < END64 || load(z->p + far, 4) != 0x06064b50)
        return broken(z, "no 64-bit zip directory", e);
    *count = load(z->p + far + 32, 8);
    *at = load(z->p + far + 48, 8);
    return true;
}

/* 64-bit sizes stand in the extra field, in the order size, packed size, offset, each only when
 * its 32-bit place is all ones. */
static bool wide_fields(const uint8_t *p, size_t n, uint64_t *v[3])
{
    while (n >= 4) {
        size_t id = (size_t)load(p, 2), len = (size_t)load(p + 2, 2);
        if (len > n - 4) return false;
        if (id == 1) {
            const uint8_t *at = p + 4, *end = at + len;
            for (int i = 0; i < 3; i++) {
                if (*v[i] != 0xffffffff) continue;
                if (end - at < 8) return false;
                *v[i] = load(at, 8);
                at += 8;
            }
            return true;
        }
        p += 4 + len;
        n -= 4 + len;
    }
    return true;
}

/* One entry of the directory at *at; moves past it. */
static bool read_entry(const struct zip *z, uint64_t *at, struct entry *out, struct err *e)
{
    enum { CENTRAL = 46, LOCAL = 30 };
    const uint8_t *p;
    if (*at > z->n || z->n - *at < CENTRAL) return broken(z, "zip directory", e);
    p = z->p + *at;
    size_t name = (size_t)load(p + 28, 2), extra = (size_t)load(p + 30, 2),
           comment = (size_t)load(p + 32, 2);
    uint64_t packed = load(p + 20, 4), size = load(p + 24, 4), local = load(p + 42, 4), room, head;
    if (load(p, 4) != 0x02014b50 || z->n - *at - CENTRAL < name + extra + comment)
        return broken(z, "zip directory", e);
    out->name = (struct str){(const char *)p + CENTRAL, name};
    if (!wide_fields(p + CENTRAL + name, extra, (uint64_t *[]){&size, &packed, &local}))
        return broken(z, "zip directory", e);
    if (load(p + 10, 2) != 0 || (load(p + 8, 2) & 1) || packed != size)
        return err_set(e, ERR_FORMAT,
                       "%s: compressed or encrypted: torch.save does neither, unpack it first",
                       z->what);
    if (local > z->n || z->n - local < LOCAL || load(z->p + local, 4) != 0x04034b50)
        return broken(z, "zip entry", e);
    head = LOCAL + load(z->p + local + 26, 2) + load(z->p + local + 28, 2);
    room = z->n - local;
    if (head > room || size > room - head) return broken(z, "zip entry", e);
    out->data = z->p + local + head;
    out->size = size;
    *at += CENTRAL + name + extra + comment;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool zip_open(struct zip *z, struct err *e)
{
    uint64_t at = 0, count = 0;
    if (!find_directory(z, &at, &count, e)) return false;
    if (count == 0 || count > MAX_ENTRIES)
        return err_set(e, ERR_LIMIT, "%s: %llu zip entries, expected 1 to %d", z->what,
                       (unsigned long long)count, MAX_ENTRIES);
    if (count > z->n / 46) return broken(z, "zip directory", e);
    z->entries = mem_calloc((size_t)count, sizeof *z->entries, e);
    if (!z->entries) return false;
    for (; z->nentries < count; z->nentries++) {
        if (!read_entry(z, &at, &z->entries[z->nentries], e)) return false;
    }
    qsort(z->entries, z->nentries, sizeof *z->entries, by_name);
    return true;
}

static const struct entry *zip_find(const struct zip *z, struct str name)
{
    struct entry key = {.name = name};
    return bsearch(&key, z->entries, z->nentries, sizeof key, by_name);
}

/* PREFIX + tail */
static const struct entry *zip_part(const struct zip *z, struct str prefix, const char *mid,
                                    struct str tail)
{
    char name[1024];
    size_t nmid = strlen(mid);
    if (prefix.n + nmid + tail.n > sizeof name) return NULL;
    memcpy(name, prefix.p, prefix.n);
    memcpy(name + prefix.n, mid, nmid);
    if (tail.n) memcpy(name + prefix.n + nmid, tail.p, tail.n);
    return zip_find(z, (struct str){name, prefix.n + nmid + tail.n});
}

/* ---- from values to tensors */

static bool storage_bytes(const struct pickle_storage *s, uint64_t *out)
{
    return !__builtin_mul_overflow(s->count, (uint64_t)dtype_bytes(s->dtype), out);
}

static bool contiguous(const struct pickle_tensor *t, uint64_t *count)
{
    *count = 1;
    for (uint32_t i = t->ndims; i-- > 0;) {
        if (t->dims[i] > 1 && t->strides[i] != *count) return false;
        if (__builtin_mul_overflow(*count, t->dims[i], count)) return false;
    }
    return true;
}

static bool emit(const struct pickle *m, struct str name, const struct pickle_tensor *t,
                 torch_bin_fn add, void *ctx, struct err *e)
{
    char text[MAX_TENSOR_NAME + 1];
    const struct pickle_storage *s = &m->storages[t->storage];
    struct safetensor out = {.name = text, .dtype = s->dtype, .ndims = t->ndims};
    if (name.n == 0 || name.n > MAX_TENSOR_NAME || memchr(name.p, 0, name.n))
        return err_set(e, ERR_LIMIT, "%s: a tensor name is empty or longer than %d bytes", m->what,
                       MAX_TENSOR_NAME);
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (!contiguous(t, &out.count))
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s is not contiguous; save it again after .contiguous()",
                       m->what, text);
    if (t->offset > s->count || out.count > s->count - t->offset)
        return err_set(e, ERR_FORMAT, "%s: tensor %s reaches behind its storage", m->what, text);
    memcpy(out.dims, t->dims, sizeof out.dims);
    out.bytes = out.count * dtype_bytes(s->dtype);
    out.data = s->data + t->offset * dtype_bytes(s->dtype);
    return add(ctx, &out, e);
}

static bool emit_all(const struct pickle *m, const struct pickle_value *top, torch_bin_fn add,
                     void *ctx, struct err *e)
{
    static const char *const wrappers[] = {"state_dict", "model_state_dict", "model"};
    bool any = false, parallel = true;
    if (top->kind != PICKLE_DICT)
        return err_set(e, ERR_FORMAT, "%s: holds no dictionary of tensors", m->what);
    for (size_t k = 0; k < sizeof wrappers / sizeof *wrappers; k++) {
        const struct pickle_value *inner = pickle_get(top, wrappers[k]);
        if (inner && inner->kind == PICKLE_DICT) {
            top = inner;
            break;
        }
    }
    for (const struct pickle_item *i = top->items.first; i; i = i->next) {
        if (i->v->kind == PICKLE_TENSOR && !str_starts(i->key, STR("module."))) parallel = false;
    }
    for (const struct pickle_item *i = top->items.first; i; i = i->next) {
        size_t skip = parallel ? strlen("module.") : 0;
        if (i->v->kind != PICKLE_TENSOR) continue;
        any = true;
        if (!emit(m, str_sub(i->key, skip, i->key.n), i->v->tensor, add, ctx, e)) return false;
    }
    return any || err_set(e, ERR_FORMAT, "%s: holds no tensors", m->what);
}

/* ---- the two containers */

static bool find_storages(struct pickle *m, const struct zip *z, struct str prefix, struct err *e)
{
    for (size_t i = 0; i < m->nstorages; i++) {
        struct pickle_storage *s = &m->storages[i];
        const struct entry *d = zip_part(z, prefix, "data/", s->key);
        uint64_t bytes;
        if (!d || !storage_bytes(s, &bytes) || bytes > d->size)
            return err_set(e, ERR_FORMAT, "%s: storage %zu is missing or too short", z->what, i);
        s->data = d->data;
    }
    return true;
}

static bool read_zip(struct pickle *m, const uint8_t *p, size_t n, torch_bin_fn add, void *ctx,
                     struct err *e)
{
    struct zip z = {.p = p, .n = n, .what = m->what};
    const struct pickle_value *top;
    const struct entry *pkl = NULL, *order;
    struct str prefix;
    bool ok = false;

    if (!zip_open(&z, e)) goto out;
    for (size_t i = 0; i < z.nentries && !pkl; i++) {
        if (str_ends(z.entries[i].name, STR("data.pkl"))) pkl = &z.entries[i];
    }
    if (!pkl || pkl->size > MAX_PICKLE_BYTES) {
        err_set(e, ERR_FORMAT, "%s: %s", z.what,
                pkl ? "data.pkl is larger than 16 MB"
                    : "a zip without data.pkl is no PyTorch file");
        goto out;
    }
    prefix = (struct str){pkl->name.p, pkl->name.n - strlen("data.pkl")};
    order = zip_part(&z, prefix, "byteorder", (struct str){0});
    if (order && !str_eqz((struct str){(const char *)order->data, (size_t)order->size}, "little")) {
        err_set(e, ERR_FORMAT, "%s: big-endian tensors are not supported", z.what);
        goto out;
    }
    ok = pickle_read(m, pkl->data, (size_t)pkl->size, &top, e) && find_storages(m, &z, prefix, e) &&
         emit_all(m, top, add, ctx, e);
out:
    mem_free(z.entries);
    return ok;
}

/* The next pickle of a legacy file. */
static bool next_pickle(struct pickle *m, const uint8_t **p, const uint8_t *end,
                        const struct pickle_value **out, struct err *e)
{
    size_t n = (size_t)(end - *p);
    if (!pickle_read(m, *p, n < MAX_PICKLE_BYTES ? n : MAX_PICKLE_BYTES, out, e)) return false;
    *p = m->p;
    return true;
}

static const uint8_t legacy_magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                         0x20, 0x6a, 0xa8, 0x50, 0x19};

static bool legacy_head(struct pickle *m, const uint8_t **p, const uint8_t *end, struct err *e)
{
    const struct pickle_value *v, *little;
    if (!next_pickle(m, p, end, &v, e)) return false;
    if (v->kind != PICKLE_LONG || v->s.n != sizeof legacy_magic ||
        memcmp(v->s.p, legacy_magic, sizeof legacy_magic) != 0)
        return err_set(e, ERR_FORMAT, "%s: a pickle, but not of torch.save", m->what);
    if (!next_pickle(m, p, end, &v, e)) return false;
    if (v->kind != PICKLE_INT || v->i != LEGACY_VERSION)
        return err_set(e, ERR_FORMAT, "%s: unknown version of torch.save's format", m->what);
    if (!next_pickle(m, p, end, &v, e)) return false;
    little = pickle_get(v, "little_endian");
    if (!little || little->kind != PICKLE_BOOL || !little->i)
        return err_set(e, ERR_FORMAT, "%s: big-endian tensors are not supported", m->what);
    return true;
}

/* u64 count | bytes for each key, in the keys' order */
static bool legacy_storages(struct pickle *m, const struct pickle_value *keys, const uint8_t *p,
                            const uint8_t *end, struct err *e)
{
    if (keys->kind != PICKLE_LIST) return err_set(e, ERR_FORMAT, "%s: no storage keys", m->what);
    for (const struct pickle_item *i = keys->items.first; i; i = i->next) {
        struct pickle_storage *s =
            i->v->kind == PICKLE_STR ? pickle_storage_find(m, i->v->s) : NULL;
        uint64_t bytes;
        if (!s || end - p < 8 || load(p, 8) != s->count || !storage_bytes(s, &bytes) ||
            bytes > (uint64_t)(end - p) - 8)
            return err_set(e, ERR_FORMAT, "%s: a storage is missing or cut short", m->what);
        s->data = p + 8;
        p += 8 + bytes;
    }
    for (size_t i = 0; i < m->nstorages; i++) {
        if (!m->storages[i].data)
            return err_set(e, ERR_FORMAT, "%s: storage %zu is missing", m->what, i);
    }
    return true;
}

static bool read_legacy(struct pickle *m, const uint8_t *p, size_t n, torch_bin_fn add, void *ctx,
                        struct err *e)
{
    const struct pickle_value *top, *keys;
    const uint8_t *end = p + n;
    return legacy_head(m, &p, end, e) && next_pickle(m, &p, end, &top, e) &&
           next_pickle(m, &p, end, &keys, e) && legacy_storages(m, keys, p, end, e) &&
           emit_all(m, top, add, ctx, e);
}

static bool is_zip(const uint8_t *p, size_t n)
{
    return n >= 4 && memcmp(p, "PK\003\004", 4) == 0;
}

/* Other pickles are taken, too, to be refused as such: a safetensors file has a '{' there. */
bool torch_bin_is(const uint8_t *p, size_t n)
{
    return is_zip(p, n) ||
           (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 && (n <= 8 || p[8] != '{'));
}

bool torch_bin_read(const uint8_t *p, size_t n, const char *what, torch_bin_fn add, void *ctx,
                    struct err *e)
{
    struct pickle m;
    bool ok;
    pickle_init(&m, what);
    ok = is_zip(p, n) ? read_zip(&m, p, n, add, ctx, e) : read_legacy(&m, p, n, add, ctx, e);
    pickle_free(&m);
    return ok;
}
