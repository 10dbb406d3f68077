#include "model/torch_pickle.h"

#include "base/hash.h"
#include "base/mem.h"

enum {
    MAX_MEMO = 1000000,
    MAX_STACK = 1000000,
    MAX_STORAGES = 200000,
    TABLE = 1 << 19, /* slots, a power of two well above the storages */
    ARENA_CAP = 256 << 20,
    MAX_SHOWN = 60
};

static const struct pickle_value none = {.kind = PICKLE_NONE}, mark = {.kind = PICKLE_MARK};

void pickle_init(struct pickle *m, const char *what)
{
    *m = (struct pickle){.what = what};
    arena_init(&m->arena, ARENA_CAP);
}

void pickle_free(struct pickle *m)
{
    mem_free(m->memo);
    mem_free(m->stack);
    mem_free(m->table);
    mem_free(m->storages);
    arena_free(&m->arena);
    *m = (struct pickle){0};
}

const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    if (dict->kind != PICKLE_DICT) return NULL;
    for (const struct pickle_item *i = dict->items.first; i; i = i->next) {
        if (str_eqz(i->key, key)) return i->v;
    }
    return NULL;
}

/* ---- errors, bytes, the stack */

static bool bad(const struct pickle *m, const char *why, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: pickle, byte %zu: %s", m->what, (size_t)(m->p - m->start),
                   why);
}

static bool take(struct pickle *m, size_t n, uint64_t *out, struct err *e)
{
    *out = 0;
    if (n > (size_t)(m->end - m->p)) return bad(m, "cut short", e);
    for (size_t i = n; i-- > 0;)
        *out = *out << 8 | m->p[i];
    m->p += n;
    return true;
}

static bool take_bytes(struct pickle *m, uint64_t n, struct str *out, struct err *e)
{
    *out = (struct str){(const char *)m->p, 0};
    if (n > (uint64_t)(m->end - m->p)) return bad(m, "cut short", e);
    out->n = (size_t)n;
    m->p += n;
    return true;
}

/* Length of `bytes` bytes, then text. */
static bool take_text(struct pickle *m, size_t bytes, struct str *out, struct err *e)
{
    uint64_t n;
    return take(m, bytes, &n, e) && take_bytes(m, n, out, e);
}

static bool take_line(struct pickle *m, struct str *out, struct err *e)
{
    const uint8_t *nl = memchr(m->p, '\n', (size_t)(m->end - m->p));
    if (!nl) return bad(m, "cut short", e);
    *out = (struct str){(const char *)m->p, (size_t)(nl - m->p)};
    m->p = nl + 1;
    return true;
}

static bool push(struct pickle *m, const struct pickle_value *v, struct err *e)
{
    if (m->depth >= MAX_STACK) return bad(m, "more than 1000000 values at once", e);
    if (!mem_grow((void **)&m->stack, &m->cap_stack, m->depth + 1, sizeof(void *), e)) return false;
    m->stack[m->depth++] = v;
    return true;
}

static bool pop(struct pickle *m, const struct pickle_value **out, struct err *e)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == PICKLE_MARK)
        return bad(m, "a value is missing", e);
    *out = m->stack[--m->depth];
    return true;
}

/* Everything above the topmost mark, which goes, too; valid until the next push. */
static bool pop_mark(struct pickle *m, const struct pickle_value ***v, size_t *n, struct err *e)
{
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1]->kind != PICKLE_MARK)
        i--;
    if (i == 0) return bad(m, "a mark is missing", e);
    *v = m->stack + i;
    *n = m->depth - i;
    m->depth = i - 1;
    return true;
}

static struct pickle_value *fresh(struct pickle *m, enum pickle_kind kind, struct err *e)
{
    struct pickle_value *v = arena_alloc(&m->arena, sizeof *v, e);
    if (v) v->kind = kind;
    return v;
}

static bool push_int(struct pickle *m, enum pickle_kind kind, int64_t i, struct err *e)
{
    struct pickle_value *v = fresh(m, kind, e);
    if (!v) return false;
    v->i = i;
    return push(m, v, e);
}

static bool push_str(struct pickle *m, enum pickle_kind kind, struct str s, struct err *e)
{
    struct pickle_value *v = fresh(m, kind, e);
    if (!v) return false;
    v->s = s;
    return push(m, v, e);
}

static bool push_fresh(struct pickle *m, enum pickle_kind kind, struct err *e)
{
    struct pickle_value *v = fresh(m, kind, e);
    return v && push(m, v, e);
}

static bool push_tuple(struct pickle *m, const struct pickle_value **items, size_t n, struct err *e)
{
    struct pickle_value *v = fresh(m, PICKLE_TUPLE, e);
    if (!v) return false;
    v->tuple.v = arena_alloc(&m->arena, (n + 1) * sizeof *items, e);
    if (!v->tuple.v) return false;
    for (size_t i = 0; i < n; i++)
        v->tuple.v[i] = items[i];
    v->tuple.n = n;
    return push(m, v, e);
}

/* TUPLE1, TUPLE2, TUPLE3 */
static bool short_tuple(struct pickle *m, size_t n, struct err *e)
{
    const struct pickle_value *v[3];
    for (size_t i = n; i-- > 0;) {
        if (!pop(m, &v[i], e)) return false;
    }
    return push_tuple(m, v, n, e);
}

/* ---- names */

static bool find_global(struct str module, struct str name, struct pickle_value *out)
{
    static const struct {
        const char *module, *name;
        enum pickle_global what;
        enum dtype dtype;
    } known[] = {
        {"collections", "OrderedDict", GLOBAL_DICT, 0},
        {"torch._utils", "_rebuild_tensor", GLOBAL_TENSOR, 0},
        {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TENSOR, 0},
        {"torch._utils", "_rebuild_parameter", GLOBAL_PARAMETER, 0},
        {"torch", "FloatStorage", GLOBAL_STORAGE, DTYPE_F32},
        {"torch", "HalfStorage", GLOBAL_STORAGE, DTYPE_F16},
        {"torch", "BFloat16Storage", GLOBAL_STORAGE, DTYPE_BF16},
        {"torch", "DoubleStorage", GLOBAL_STORAGE, DTYPE_F64},
        {"torch", "LongStorage", GLOBAL_STORAGE, DTYPE_I64},
        {"torch", "IntStorage", GLOBAL_STORAGE, DTYPE_I32},
        {"torch", "ShortStorage", GLOBAL_STORAGE, DTYPE_I16},
        {"torch", "CharStorage", GLOBAL_STORAGE, DTYPE_I8},
        {"torch", "ByteStorage", GLOBAL_STORAGE, DTYPE_U8},
        {"torch", "BoolStorage", GLOBAL_STORAGE, DTYPE_BOOL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!str_eqz(module, known[i].module) || !str_eqz(name, known[i].name)) continue;
        out->global.what = known[i].what;
        out->global.dtype = known[i].dtype;
        return true;
    }
    return false;
}

/* Names come from the file: shown cut and without what a terminal would obey. */
static void shown(struct str s, char out[MAX_SHOWN + 1])
{
    size_t n = s.n < MAX_SHOWN ? s.n : MAX_SHOWN;
    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] > ' ' && s.p[i] < 127 ? s.p[i] : '?';
    out[n] = 0;
}

static bool push_global(struct pickle *m, struct str module, struct str name, struct err *e)
{
    char a[MAX_SHOWN + 1], b[MAX_SHOWN + 1];
    struct pickle_value *v = fresh(m, PICKLE_GLOBAL, e);
    if (!v) return false;
    if (find_global(module, name, v)) return push(m, v, e);
    shown(module, a);
    shown(name, b);
    return err_set(e, ERR_FORMAT,
                   "%s asks for %s.%s, which a file of tensors does not need: refused, nothing of "
                   "it was run",
                   m->what, a, b);
}

static bool stack_global(struct pickle *m, struct err *e)
{
    const struct pickle_value *name, *module;
    if (!pop(m, &name, e) || !pop(m, &module, e)) return false;
    if (name->kind != PICKLE_STR || module->kind != PICKLE_STR) return bad(m, "no global name", e);
    return push_global(m, module->s, name->s, e);
}

static bool line_global(struct pickle *m, struct err *e)
{
    struct str module, name;
    return take_line(m, &module, e) && take_line(m, &name, e) && push_global(m, module, name, e);
}

/* ---- memo */

static bool memo_put(struct pickle *m, uint64_t at, struct err *e)
{
    if (m->depth == 0) return bad(m, "a value is missing", e);
    if (at >= MAX_MEMO) return bad(m, "more than 1000000 memo slots", e);
    if (!mem_grow((void **)&m->memo, &m->cap_memo, (size_t)at + 1, sizeof(void *), e)) return false;
    while (m->nmemo <= at)
        m->memo[m->nmemo++] = NULL;
    m->memo[at] = m->stack[m->depth - 1];
    return true;
}

static bool memo_get(struct pickle *m, uint64_t at, struct err *e)
{
    if (at >= m->nmemo || !m->memo[at]) return bad(m, "an unset memo slot", e);
    return push(m, m->memo[at], e);
}

static bool memo_take(struct pickle *m, size_t bytes, bool put, struct err *e)
{
    uint64_t at;
    return take(m, bytes, &at, e) && (put ? memo_put(m, at, e) : memo_get(m, at, e));
}

/* ---- lists and dictionaries: the value on the stack is changed in place */

static bool add_item(struct pickle *m, const struct pickle_value *to, struct str key,
                     const struct pickle_value *v, struct err *e)
{
    struct pickle_value *t = (struct pickle_value *)(uintptr_t)to;
    struct pickle_item *i = arena_alloc(&m->arena, sizeof *i, e);
    if (!i) return false;
    i->key = key;
    i->v = v;
    if (t->items.last)
        t->items.last->next = i;
    else
        t->items.first = i;
    t->items.last = i;
    return true;
}

/* dict[key] = value for the pairs; keys that are no text name no tensor. */
static bool set_items(struct pickle *m, const struct pickle_value **v, size_t n, struct err *e)
{
    const struct pickle_value *to = m->depth ? m->stack[m->depth - 1] : &none;
    if (to->kind != PICKLE_DICT || n % 2) return bad(m, "no dictionary to set in", e);
    for (size_t i = 0; i < n; i += 2) {
        if (v[i]->kind == PICKLE_STR && !add_item(m, to, v[i]->s, v[i + 1], e)) return false;
    }
    return true;
}

static bool append_items(struct pickle *m, const struct pickle_value **v, size_t n, struct err *e)
{
    const struct pickle_value *to = m->depth ? m->stack[m->depth - 1] : &none;
    if (to->kind != PICKLE_LIST) return bad(m, "no list to append to", e);
    for (size_t i = 0; i < n; i++) {
        if (!add_item(m, to, (struct str){0}, v[i], e)) return false;
    }
    return true;
}

static bool set_pair(struct pickle *m, struct err *e)
{
    const struct pickle_value *v[2];
    return pop(m, &v[1], e) && pop(m, &v[0], e) && set_items(m, v, 2, e);
}

static bool append_one(struct pickle *m, struct err *e)
{
    const struct pickle_value *v;
    return pop(m, &v, e) && append_items(m, &v, 1, e);
}

static bool many(struct pickle *m, uint8_t op, struct err *e)
{
    const struct pickle_value **v = NULL;
    size_t n = 0;
    if (!pop_mark(m, &v, &n, e)) return false;
    if (op == 't') return push_tuple(m, v, n, e);
    return op == 'u' ? set_items(m, v, n, e) : append_items(m, v, n, e);
}

/* ---- what means a tensor */

static uint32_t *slot_of(const struct pickle *m, struct str key)
{
    size_t at = hash_xxh64(key.p, key.n, 0) & (TABLE - 1);
    while (m->table[at] && !str_eq(m->storages[m->table[at] - 1].key, key))
        at = (at + 1) & (TABLE - 1);
    return &m->table[at];
}

struct pickle_storage *pickle_storage_find(const struct pickle *m, struct str key)
{
    uint32_t i = m->table ? *slot_of(m, key) : 0;
    return i ? &m->storages[i - 1] : NULL;
}

static bool add_storage(struct pickle *m, struct str key, enum dtype t, uint64_t count,
                        size_t *number, struct err *e)
{
    uint32_t *slot;
    if (!m->table && !(m->table = mem_calloc(TABLE, sizeof *m->table, e))) return false;
    slot = slot_of(m, key);
    if (!*slot) {
        if (m->nstorages >= MAX_STORAGES) return bad(m, "more than 200000 storages", e);
        if (!mem_grow((void **)&m->storages, &m->cap_storages, m->nstorages + 1,
                      sizeof *m->storages, e))
            return false;
        m->storages[m->nstorages++] = (struct pickle_storage){key, t, count, NULL};
        *slot = (uint32_t)m->nstorages;
    }
    *number = *slot - 1;
    return true;
}

/* ('storage', class, key, location, count[, None]) */
static bool persistent(struct pickle *m, struct err *e)
{
    const struct pickle_value *id, **v;
    struct pickle_value *out;
    if (!pop(m, &id, e)) return false;
    v = id->tuple.v;
    if (id->kind != PICKLE_TUPLE || id->tuple.n < 5 || v[0]->kind != PICKLE_STR ||
        !str_eqz(v[0]->s, "storage") || v[1]->kind != PICKLE_GLOBAL ||
        v[1]->global.what != GLOBAL_STORAGE || v[2]->kind != PICKLE_STR ||
        v[4]->kind != PICKLE_INT || v[4]->i < 0)
        return bad(m, "a reference that is no storage", e);
    if (id->tuple.n > 5 && v[5]->kind != PICKLE_NONE)
        return bad(m, "views of storages, as torch before 0.4 wrote them, are not supported", e);
    out = fresh(m, PICKLE_STORAGE, e);
    return out &&
           add_storage(m, v[2]->s, v[1]->global.dtype, (uint64_t)v[4]->i, &out->storage, e) &&
           push(m, out, e);
}

static bool sizes_of(const struct pickle_value *v, uint64_t *out, uint32_t *n)
{
    if (v->kind != PICKLE_TUPLE || v->tuple.n > SAFETENSORS_MAX_DIMS) return false;
    for (size_t i = 0; i < v->tuple.n; i++) {
        if (v->tuple.v[i]->kind != PICKLE_INT || v->tuple.v[i]->i < 0) return false;
        out[i] = (uint64_t)v->tuple.v[i]->i;
    }
    *n = (uint32_t)v->tuple.n;
    return true;
}

/* (storage, offset, size, strides, ...) */
static bool push_tensor(struct pickle *m, const struct pickle_value *args, struct err *e)
{
    const struct pickle_value **a = args->tuple.v;
    struct pickle_value *v = fresh(m, PICKLE_TENSOR, e);
    struct pickle_tensor *t = v ? arena_alloc(&m->arena, sizeof *t, e) : NULL;
    uint32_t nstrides;
    if (!t) return false;
    if (args->tuple.n < 4 || a[0]->kind != PICKLE_STORAGE || a[1]->kind != PICKLE_INT ||
        a[1]->i < 0 || !sizes_of(a[2], t->dims, &t->ndims) ||
        !sizes_of(a[3], t->strides, &nstrides) || nstrides != t->ndims)
        return bad(m, "a tensor that says neither storage nor shape", e);
    t->storage = a[0]->storage;
    t->offset = (uint64_t)a[1]->i;
    v->tensor = t;
    return push(m, v, e);
}

static bool reduce(struct pickle *m, struct err *e)
{
    const struct pickle_value *args, *f;
    if (!pop(m, &args, e) || !pop(m, &f, e)) return false;
    if (f->kind != PICKLE_GLOBAL || args->kind != PICKLE_TUPLE)
        return bad(m, "a call of what is no known name", e);
    if (f->global.what == GLOBAL_TENSOR) return push_tensor(m, args, e);
    if (f->global.what == GLOBAL_PARAMETER && args->tuple.n >= 1 &&
        args->tuple.v[0]->kind == PICKLE_TENSOR)
        return push(m, args->tuple.v[0], e);
    if (f->global.what == GLOBAL_DICT && args->tuple.n == 0) return push_fresh(m, PICKLE_DICT, e);
    return bad(m, "a call with arguments that make no tensor", e);
}

/* The state of a dictionary (torch notes versions of modules there) says nothing about tensors. */
static bool build(struct pickle *m, struct err *e)
{
    const struct pickle_value *state;
    if (!pop(m, &state, e)) return false;
    if (m->depth == 0 || m->stack[m->depth - 1]->kind != PICKLE_DICT)
        return bad(m, "a state for what is no dictionary", e);
    return true;
}

/* ---- instructions */

static bool take_int(struct pickle *m, size_t bytes, bool is_signed, struct err *e)
{
    uint64_t v;
    if (!take(m, bytes, &v, e)) return false;
    if (is_signed && bytes && v >> (8 * bytes - 1)) v |= UINT64_MAX << (8 * bytes - 1);
    return push_int(m, PICKLE_INT, (int64_t)v, e);
}

static bool take_long(struct pickle *m, struct err *e)
{
    uint64_t n;
    struct str s;
    if (!take(m, 1, &n, e)) return false;
    if (n <= 8) return take_int(m, (size_t)n, true, e);
    return take_bytes(m, n, &s, e) && push_str(m, PICKLE_LONG, s, e);
}

static bool take_str(struct pickle *m, size_t bytes, struct err *e)
{
    struct str s;
    return take_text(m, bytes, &s, e) && push_str(m, PICKLE_STR, s, e);
}

static bool skip_float(struct pickle *m, struct err *e)
{
    uint64_t v;
    return take(m, 8, &v, e) && push_fresh(m, PICKLE_FLOAT, e);
}

/* Numbers, text, memo. *known: false when op is none of these. */
static bool simple(struct pickle *m, uint8_t op, bool *known, struct err *e)
{
    uint64_t ignored;
    *known = true;
    switch (op) {
    case 0x80:
        return take(m, 1, &ignored, e); /* PROTO */
    case 0x95:
        return take(m, 8, &ignored, e); /* FRAME */
    case 'N':
        return push(m, &none, e);
    case '(':
        return push(m, &mark, e);
    case 0x88:
        return push_int(m, PICKLE_BOOL, 1, e);
    case 0x89:
        return push_int(m, PICKLE_BOOL, 0, e);
    case 'J':
        return take_int(m, 4, true, e);
    case 'K':
        return take_int(m, 1, false, e);
    case 'M':
        return take_int(m, 2, false, e);
    case 0x8a:
        return take_long(m, e);
    case 'G':
        return skip_float(m, e);
    case 'X':
    case 'T':
        return take_str(m, 4, e);
    case 'U':
    case 0x8c:
        return take_str(m, 1, e);
    case 'q':
        return memo_take(m, 1, true, e);
    case 'r':
        return memo_take(m, 4, true, e);
    case 'h':
        return memo_take(m, 1, false, e);
    case 'j':
        return memo_take(m, 4, false, e);
    case 0x94:
        return memo_put(m, m->nmemo, e);
    default:
        *known = false;
        return true;
    }
}

static bool compound(struct pickle *m, uint8_t op, struct err *e)
{
    switch (op) {
    case ')':
        return push_tuple(m, NULL, 0, e);
    case 0x85:
    case 0x86:
    case 0x87:
        return short_tuple(m, op - 0x84U, e);
    case 't':
    case 'u':
    case 'e':
        return many(m, op, e);
    case '}':
        return push_fresh(m, PICKLE_DICT, e);
    case ']':
        return push_fresh(m, PICKLE_LIST, e);
    case 's':
        return set_pair(m, e);
    case 'a':
        return append_one(m, e);
    case 'c':
        return line_global(m, e);
    case 0x93:
        return stack_global(m, e);
    case 'Q':
        return persistent(m, e);
    case 'R':
        return reduce(m, e);
    case 'b':
        return build(m, e);
    default:
        return err_set(e, ERR_FORMAT,
                       "%s: pickle, byte %zu: instruction 0x%02x is none that tensors need: "
                       "refused, nothing of it was run",
                       m->what, (size_t)(m->p - m->start) - 1, op);
    }
}

bool pickle_read(struct pickle *m, const uint8_t *p, size_t n, const struct pickle_value **out,
                 struct err *e)
{
    m->p = m->start = p;
    m->end = p + n;
    m->depth = m->nmemo = 0;
    for (;;) {
        uint64_t op;
        bool known;
        if (!take(m, 1, &op, e)) return false;
        if (op == '.') break;
        if (!simple(m, (uint8_t)op, &known, e)) return false;
        if (!known && !compound(m, (uint8_t)op, e)) return false;
    }
    return pop(m, out, e);
}
