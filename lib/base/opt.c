#include "base/opt.h"

#include <math.h>
#include <stdio.h>

#include "base/opt_impl.h"

/* Where a value goes: the option, its full name for errors, its place in the struct. */
struct target {
    struct opt_load *l;
    const struct opt *o;
    const char *name;
    void *p;
};

static bool bind_table(struct opt_load *l, const struct opt *table, const struct opt_node *node,
                       const char *prefix, const char *file, void *out, struct err *e);

size_t opt_table_size(const struct opt *table)
{
    size_t n = 0;
    while (table[n].type != OPT_T_END)
        n++;
    return n;
}

/* "train.lr must be WHAT, not 'VALUE'", at the value's place. */
static bool refuse(const struct target *t, const struct opt_node *n, const char *what,
                   struct err *e)
{
    if (n->kind != OPT_SCALAR)
        return opt_fail(e, n, "%s must be %s, not a %s", t->name, what,
                        n->kind == OPT_SEQ ? "list" : "mapping");
    int shown = n->scalar.n > 60 ? 60 : (int)n->scalar.n;
    return opt_fail(e, n, "%s must be %s, not '%.*s'", t->name, what, shown, n->scalar.p);
}

static bool bind_bool(const struct target *t, const struct opt_node *n, struct err *e)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; n->kind == OPT_SCALAR && i < sizeof words / sizeof *words; i++) {
        if (!str_eqz(n->scalar, words[i])) continue;
        *(bool *)t->p = i % 2 == 1;
        return true;
    }
    return refuse(t, n, "true or false", e);
}

static bool in_range(const struct opt *o, double v)
{
    return v >= o->min && v <= o->max;
}

static bool bind_whole(const struct target *t, const struct opt_node *n, struct err *e)
{
    struct err bad = {0};
    uint64_t v = 0;
    bool small = t->o->type == OPT_T_U32;
    if (n->kind != OPT_SCALAR || !parse_u64(n->scalar, &v, &bad) || (small && v > UINT32_MAX) ||
        !in_range(t->o, (double)v)) {
        char what[96];
        snprintf(what, sizeof what, "a whole number from %.0f to %.0f", t->o->min, t->o->max);
        return refuse(t, n, what, e);
    }
    if (small)
        *(uint32_t *)t->p = (uint32_t)v;
    else
        *(uint64_t *)t->p = v;
    return true;
}

static bool bind_f64(const struct target *t, const struct opt_node *n, struct err *e)
{
    struct err bad = {0};
    double v = 0.0;
    if (n->kind != OPT_SCALAR || !parse_f64(n->scalar, &v, &bad) || !in_range(t->o, v)) {
        char what[96];
        snprintf(what, sizeof what, "a number from %g to %g", t->o->min, t->o->max);
        return refuse(t, n, what, e);
    }
    *(double *)t->p = v;
    return true;
}

/* Is the value of a path one of the words that stand for themselves? */
static bool is_word(const struct opt *o, struct str s)
{
    for (size_t i = 0; o->names && o->names[i]; i++)
        if (str_eqz(s, o->names[i])) return true;
    return false;
}

static bool bind_text(const struct target *t, const struct opt_node *n, struct err *e)
{
    const char **out = t->p;
    if (opt_node_is_null(n)) {
        *out = NULL;
        return true;
    }
    if (n->kind != OPT_SCALAR) return refuse(t, n, "text", e);
    if (t->o->type == OPT_T_PATH && n->scalar.n > 0 && !is_word(t->o, n->scalar))
        return opt_path_resolve(t->l->a, n->file, n->scalar, out, e);
    *out = n->scalar.p; /* NUL-terminated by arena_str */
    return true;
}

static bool bind_enum(const struct target *t, const struct opt_node *n, struct err *e)
{
    struct sbuf list;
    size_t count = 0;
    for (; t->o->names[count]; count++) {
        if (n->kind != OPT_SCALAR || !str_eqz(n->scalar, t->o->names[count])) continue;
        *(int *)t->p = (int)count;
        return true;
    }
    sbuf_init(&list, 400);
    struct err full = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = sbuf_printf(&list, &full, "%s%s", i ? ", " : "one of ", t->o->names[i]);
    refuse(t, n, list.p ? list.p : "a known word", e);
    sbuf_free(&list);
    return false;
}

static bool bind_strs(const struct target *t, const struct opt_node *n, struct err *e)
{
    struct opt_strs *out = t->p;
    *out = (struct opt_strs){NULL, 0};
    if (opt_node_is_null(n)) return true;
    if (n->kind == OPT_MAPPING) return refuse(t, n, "a list of words", e);
    size_t count = n->kind == OPT_SEQ ? n->n : 1;
    const char **v = arena_alloc(t->l->a, count * sizeof *v, e);
    if (!v) return false;
    for (size_t i = 0; i < count; i++) {
        const struct opt_node *item = n->kind == OPT_SEQ ? n->items[i] : n;
        if (item->kind != OPT_SCALAR || opt_node_is_null(item))
            return refuse(t, item, "a list of words", e);
        v[i] = item->scalar.p;
    }
    *out = (struct opt_strs){v, count};
    return true;
}

bool opt_every_parse(struct str s, struct opt_every *out)
{
    static const struct {
        const char *name;
        enum opt_unit unit;
    } units[] = {{"step", OPT_STEPS},     {"steps", OPT_STEPS}, {"epoch", OPT_EPOCHS},
                 {"epochs", OPT_EPOCHS},  {"min", OPT_MINUTES}, {"minute", OPT_MINUTES},
                 {"minutes", OPT_MINUTES}};
    struct err bad = {0};
    struct str rest = s, number;
    if (str_eqz(s, "never")) {
        *out = (struct opt_every){0.0, OPT_NEVER};
        return true;
    }
    struct opt_every v = {0.0, OPT_STEPS};
    if (!str_split(&rest, ' ', &number) || !parse_f64(number, &v.n, &bad) || v.n <= 0.0)
        return false;
    if (rest.p) {
        struct str unit = str_trim(rest);
        size_t i = 0, n = sizeof units / sizeof *units;
        while (i < n && !str_eqz(unit, units[i].name))
            i++;
        if (i == n) return false;
        v.unit = units[i].unit;
    }
    if (v.unit == OPT_STEPS && (v.n != floor(v.n) || v.n > 0x1p53)) return false;
    *out = v;
    return true;
}

static bool bind_every(const struct target *t, const struct opt_node *n, struct err *e)
{
    if (n->kind == OPT_SCALAR && opt_every_parse(n->scalar, t->p)) return true;
    return refuse(t, n, "'500 steps', '0.25 epoch', '10 min' or 'never'", e);
}

static bool bind_list(const struct target *t, const struct opt_node *n, struct err *e)
{
    struct opt_list *out = t->p;
    *out = (struct opt_list){NULL, 0};
    if (opt_node_is_null(n)) return true;
    if (n->kind != OPT_SEQ) return refuse(t, n, "a list", e);
    char *items = arena_alloc(t->l->a, n->n * t->o->sub_size, e);
    if (!items) return false;
    for (size_t i = 0; i < n->n; i++) {
        char name[OPT_KEY_MAX * 2];
        snprintf(name, sizeof name, "%s[%zu]", t->name, i);
        if (!bind_table(t->l, t->o->sub, n->items[i], name, n->items[i]->file,
                        items + i * t->o->sub_size, e))
            return false;
    }
    *out = (struct opt_list){items, n->n};
    return true;
}

static bool bind_value(const struct target *t, const struct opt_node *n, struct err *e)
{
    switch (t->o->type) {
    case OPT_T_BOOL:
        return bind_bool(t, n, e);
    case OPT_T_U32:
    case OPT_T_U64:
        return bind_whole(t, n, e);
    case OPT_T_F64:
        return bind_f64(t, n, e);
    case OPT_T_STR:
    case OPT_T_PATH:
        return bind_text(t, n, e);
    case OPT_T_ENUM:
        return bind_enum(t, n, e);
    case OPT_T_STRS:
        return bind_strs(t, n, e);
    case OPT_T_EVERY:
        return bind_every(t, n, e);
    case OPT_T_LIST:
        return bind_list(t, n, e);
    case OPT_T_MAP:
        return bind_table(t->l, t->o->sub, n, t->name, n->file, t->p, e);
    case OPT_T_NODE:
        *(const struct opt_node **)t->p = opt_node_is_null(n) ? NULL : n;
        return true;
    case OPT_T_END:
        break;
    }
    UNREACHABLE();
}

/* Default of an option that the file leaves out; `file` is what a relative path is relative to. */
static bool bind_default(const struct target *t, const char *file, struct err *e)
{
    const struct opt *o = t->o;
    if (o->type == OPT_T_MAP) return bind_table(t->l, o->sub, NULL, t->name, file, t->p, e);
    if (!o->def) return true; /* zeroed */
    struct opt_node *n;
    if (o->type == OPT_T_STR || o->type == OPT_T_PATH) { /* word for word: "" is not null */
        if (!opt_node_new(t->l, OPT_SCALAR, file, 0, &n, e)) return false;
        n->quoted = true;
        if (!arena_str(t->l->a, str_of(o->def), &n->scalar, e)) return false;
    } else if (!opt_value_parse(t->l, str_of(o->def), file, &n, e)) {
        return err_wrap(e, "default of %s", t->name);
    }
    return bind_value(t, n, e) || err_wrap(e, "default of %s", t->name);
}

static bool check_keys(const struct opt *table, const struct opt_node *node, const char *prefix,
                       struct err *e)
{
    size_t n = opt_table_size(table);
    for (size_t i = 0; i < node->n; i++) {
        size_t k = 0, least = SIZE_MAX;
        const char *best = NULL;
        for (; k < n && strcmp(table[k].key, node->keys[i]) != 0; k++) {
            size_t d = str_distance(str_of(table[k].key), str_of(node->keys[i]));
            if (d >= least) continue;
            least = d;
            best = table[k].key;
        }
        if (k < n) continue;
        if (!best) return opt_fail(e, node->items[i], "unknown key '%s.%s'", prefix, node->keys[i]);
        return opt_fail(e, node->items[i], "unknown key '%s.%s'; the nearest is '%s.%s'", prefix,
                        node->keys[i], prefix, best);
    }
    return true;
}

static bool bind_table(struct opt_load *l, const struct opt *table, const struct opt_node *node,
                       const char *prefix, const char *file, void *out, struct err *e)
{
    if (node && opt_node_is_null(node)) node = NULL;
    if (node && node->kind != OPT_MAPPING)
        return opt_fail(e, node, "%s must be a mapping (key: value)", prefix);
    if (node && !check_keys(table, node, prefix, e)) return false;
    for (const struct opt *o = table; o->type != OPT_T_END; o++) {
        char name[OPT_KEY_MAX * 2];
        snprintf(name, sizeof name, "%s.%s", prefix, o->key);
        struct target t = {l, o, name, (char *)out + o->offset};
        const struct opt_node *v = opt_node_get(node, o->key);
        if (!(v ? bind_value(&t, v, e) : bind_default(&t, file, e))) return false;
    }
    return true;
}

bool opt_bind_over(const struct opt_node *map, const char *prefix, const struct opt *table,
                   struct arena *a, void *inout, struct err *e)
{
    struct opt_load l = {.a = a};
    if (!map || opt_node_is_null(map)) return true;
    if (map->kind != OPT_MAPPING)
        return opt_fail(e, map, "%s must be a mapping (key: value)", prefix);
    if (!check_keys(table, map, prefix, e)) return false;
    for (const struct opt *o = table; o->type != OPT_T_END; o++) {
        const struct opt_node *v = opt_node_get(map, o->key);
        char name[OPT_KEY_MAX * 2];
        if (!v) continue;
        snprintf(name, sizeof name, "%s.%s", prefix, o->key);
        struct target t = {&l, o, name, (char *)inout + o->offset};
        if (!bind_value(&t, v, e)) return false;
    }
    return true;
}

/* Zero the fields the table names: the struct's size is not known here, its tables are. */
static void zero_fields(const struct opt *table, void *out)
{
    static const size_t sizes[] = {
        [OPT_T_BOOL] = sizeof(bool),
        [OPT_T_U32] = sizeof(uint32_t),
        [OPT_T_U64] = sizeof(uint64_t),
        [OPT_T_F64] = sizeof(double),
        [OPT_T_STR] = sizeof(const char *),
        [OPT_T_PATH] = sizeof(const char *),
        [OPT_T_ENUM] = sizeof(int),
        [OPT_T_STRS] = sizeof(struct opt_strs),
        [OPT_T_EVERY] = sizeof(struct opt_every),
        [OPT_T_LIST] = sizeof(struct opt_list),
        [OPT_T_NODE] = sizeof(const struct opt_node *),
    };
    for (const struct opt *o = table; o->type != OPT_T_END; o++) {
        char *p = (char *)out + o->offset;
        if (o->type == OPT_T_MAP)
            zero_fields(o->sub, p);
        else
            memset(p, 0, sizes[o->type]);
    }
}

bool opt_bind(const struct opt_doc *d, const char *section, const struct opt *table, void *out,
              struct err *e)
{
    struct opt_load l = {.a = d->arena};
    zero_fields(table, out);
    return bind_table(&l, table, opt_doc_section(d, section), section, d->root->file, out, e);
}

bool opt_defaults(const struct opt *table, struct arena *a, void *out, struct err *e)
{
    struct opt_load l = {.a = a};
    zero_fields(table, out);
    return bind_table(&l, table, NULL, "options", NULL, out, e);
}
