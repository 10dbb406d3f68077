/* Whole configurations: includes, overrides, paths. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/opt_impl.h"

#define INCLUDE_DEPTH_MAX 8
#define FILES_MAX         64

/* ---- paths */

static struct str dir_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash) return (struct str){NULL, 0};
    return (struct str){file, slash == file ? 1 : (size_t)(slash - file)};
}

/* Drop empty and "." components; ".." stays, since a link may stand before it. */
static size_t tidy(char *p)
{
    size_t n = 0, i = 0;
    while (p[i]) {
        size_t len = strcspn(p + i, "/");
        bool skip = len == 0 || (len == 1 && p[i] == '.');
        if (!skip) {
            p[n++] = '/';
            memmove(p + n, p + i, len);
            n += len;
        }
        i += len;
        if (p[i]) i++;
    }
    if (n == 0) p[n++] = '/';
    p[n] = 0;
    return n;
}

bool opt_path_resolve(struct arena *a, const char *file, struct str text, const char **out,
                      struct err *e)
{
    char cwd[PATH_MAX] = "", full[PATH_MAX * 2];
    struct str dir = {NULL, 0}, copy;
    bool absolute = text.n > 0 && text.p[0] == '/';
    if (!absolute && file && strcmp(file, OPT_SET_NAME) != 0) dir = dir_of(file);
    if (!absolute && !(dir.n > 0 && dir.p[0] == '/') && !getcwd(cwd, sizeof cwd))
        return err_sys(e, "cannot tell the working directory");
    int n = snprintf(full, sizeof full, "%s/%.*s/%.*s", cwd, (int)dir.n, dir.n ? dir.p : "",
                     (int)text.n, text.n ? text.p : "");
    if (n >= PATH_MAX) return err_set(e, ERR_CONFIG, "a path of %d bytes is too long", n);
    if (!arena_str(a, (struct str){full, tidy(full)}, &copy, e)) return false;
    *out = copy.p;
    return true;
}

/* ---- includes */

/* Lay src over dst: mappings key by key, all else replaced. */
static bool merge(struct opt_load *l, struct opt_node *dst, const struct opt_node *src,
                  struct err *e)
{
    for (size_t i = 0; i < src->n; i++) {
        size_t at = opt_node_find(dst, str_of(src->keys[i]));
        if (at == dst->n) {
            if (!opt_node_add(l, dst, src->keys[i], src->items[i], e)) return false;
        } else if (dst->items[at]->kind == OPT_MAPPING && src->items[i]->kind == OPT_MAPPING) {
            if (!merge(l, dst->items[at], src->items[i], e)) return false; /* depth: the parser's */
        } else {
            dst->items[at] = src->items[i];
        }
    }
    return true;
}

static bool load_text(struct opt_load *l, struct str text, const char *name, int depth,
                      struct opt_node **out, struct err *e);

static bool read_text(struct opt_load *l, const char *path, struct str *text, struct err *e)
{
    if (fs_read_file(path, OPT_FILE_MAX, l->a, text, e)) return true;
    /* naming a file that is not there, or is no configuration by its size: exit 2 */
    if (e->code == ERR_IO || e->code == ERR_LIMIT) e->code = ERR_CONFIG;
    return false;
}

static bool include_one(struct opt_load *l, const struct opt_node *n, int depth,
                        struct opt_node *base, struct err *e)
{
    const char *path;
    struct str text;
    struct opt_node *root;
    if (n->kind != OPT_SCALAR || n->scalar.n == 0)
        return opt_fail(e, n, "include: a file name was expected");
    if (depth == INCLUDE_DEPTH_MAX || l->files++ == FILES_MAX)
        return opt_fail(e, n, "include: nested deeper than %d or more than %d files (a circle?)",
                        INCLUDE_DEPTH_MAX, FILES_MAX);
    if (!opt_path_resolve(l->a, n->file, n->scalar, &path, e)) return false;
    if (!read_text(l, path, &text, e)) return err_wrap(e, "%s:%d: include", n->file, n->line);
    return load_text(l, text, path, depth + 1, &root, e) && merge(l, base, root, e);
}

/* Root of one file with its includes laid below it. */
static bool load_text(struct opt_load *l, struct str text, const char *name, int depth,
                      struct opt_node **out, struct err *e)
{
    struct opt_node *root, *base;
    struct str file;
    if (!opt_yaml_parse(l, text, name, &root, e)) return false;
    if (!arena_str(l->a, str_of(name), &file, e)) return false;
    if (!opt_node_new(l, OPT_MAPPING, file.p, 1, &base, e)) return false;
    *out = base;
    if (!root || opt_node_is_null(root)) return true;
    if (root->kind != OPT_MAPPING) return opt_fail(e, root, "sections (name: ...) were expected");
    size_t at = opt_node_find(root, STR("include"));
    if (at < root->n) {
        const struct opt_node *list = root->items[at];
        size_t n = list->kind == OPT_SEQ ? list->n : 1;
        if (list->kind == OPT_MAPPING) return opt_fail(e, list, "include: a list was expected");
        for (size_t i = 0; i < n; i++) {
            const struct opt_node *one = list->kind == OPT_SEQ ? list->items[i] : list;
            if (!include_one(l, one, depth, base, e)) return false;
        }
        for (size_t i = at + 1; i < root->n; i++) {
            root->keys[i - 1] = root->keys[i];
            root->items[i - 1] = root->items[i];
        }
        root->n--;
    }
    return merge(l, base, root, e);
}

/* ---- --set */

/* Where a step of a path leads: the slot of an existing item, or none. */
struct step {
    struct str name;
    struct opt_node **slot;
    struct str rest; /* behind the dot; p is NULL at the end */
};

static bool is_step(struct str path, struct str name, struct str *rest)
{
    if (!str_starts(path, name)) return false;
    if (path.n == name.n) {
        *rest = (struct str){NULL, 0};
        return true;
    }
    if (path.p[name.n] != '.') return false;
    *rest = str_sub(path, name.n + 1, path.n);
    return true;
}

/* The name up to the next dot, or up to the closing quote. */
static bool cut_step(struct str path, struct step *s)
{
    if (path.n > 0 && path.p[0] == '"') {
        size_t end = str_find(path, STR("\""), 1);
        if (end == SIZE_MAX) return false;
        s->name = str_sub(path, 1, end);
        path = str_sub(path, end + 1, path.n);
        s->rest = path.n > 0 ? str_sub(path, 1, path.n) : (struct str){NULL, 0};
        return s->name.n > 0 && (path.n == 0 || path.p[0] == '.');
    }
    s->rest = path;
    return str_split(&s->rest, '.', &s->name) && s->name.n > 0;
}

/* Keys may hold dots themselves (sweep.params has "train.lr"): the longest that fits wins. */
static void step_in_mapping(struct opt_node *map, struct str path, struct step *s)
{
    struct str rest;
    size_t exact = opt_node_find(map, s->name);
    if (exact < map->n) s->slot = &map->items[exact];
    for (size_t i = 0; i < map->n; i++) {
        struct str key = str_of(map->keys[i]);
        if (key.n <= s->name.n || !is_step(path, key, &rest)) continue;
        *s = (struct step){key, &map->items[i], rest};
    }
}

static bool step_in_list(struct opt_load *l, struct opt_node *list, struct str path, struct step *s,
                         struct err *e)
{
    struct err ignored = {0};
    struct str rest;
    uint64_t index;
    struct opt_node *fresh;
    for (size_t i = 0; i < list->n; i++) {
        const struct opt_node *name = opt_node_get(list->items[i], "name");
        if (!name || name->kind != OPT_SCALAR || !is_step(path, name->scalar, &rest)) continue;
        *s = (struct step){name->scalar, &list->items[i], rest};
        return true;
    }
    if (!parse_u64(s->name, &index, &ignored))
        return err_set(e, ERR_CONFIG, "no element is named '%.*s'", STR_ARG(s->name));
    if (index > list->n)
        return err_set(e, ERR_CONFIG, "element %llu of a list of %zu", (unsigned long long)index,
                       list->n);
    if (index == list->n) {
        if (!opt_value_parse(l, STR("null"), OPT_SET_NAME, &fresh, e)) return false;
        if (!opt_node_add(l, list, NULL, fresh, e)) return false;
    }
    s->slot = &list->items[index];
    return true;
}

static bool add_key(struct opt_load *l, struct opt_node *map, struct step *s, struct err *e)
{
    struct opt_node *fresh;
    struct str key;
    if (s->name.n > OPT_KEY_MAX)
        return err_set(e, ERR_CONFIG, "a key of more than %d bytes", OPT_KEY_MAX);
    if (!opt_value_parse(l, STR("null"), OPT_SET_NAME, &fresh, e)) return false;
    if (!arena_str(l->a, s->name, &key, e)) return false;
    if (!opt_node_add(l, map, key.p, fresh, e)) return false;
    s->slot = &map->items[map->n - 1];
    return true;
}

static bool set_at(struct opt_load *l, struct opt_node *root, struct str path,
                   struct opt_node *value, struct err *e)
{
    struct opt_node **slot = &root;
    for (int depth = 0; path.p; depth++) {
        struct step s = {.slot = NULL};
        if (depth == OPT_DEPTH_MAX)
            return err_set(e, ERR_CONFIG, "nested deeper than %d", OPT_DEPTH_MAX);
        if (!cut_step(path, &s)) return err_set(e, ERR_CONFIG, "an empty or unclosed key");
        if (opt_node_is_null(*slot) && !opt_node_new(l, OPT_MAPPING, OPT_SET_NAME, 0, slot, e))
            return false;
        if ((*slot)->kind == OPT_SCALAR)
            return err_set(e, ERR_CONFIG, "'%.*s' lies below a plain value", STR_ARG(s.name));
        if ((*slot)->kind == OPT_SEQ) {
            if (!step_in_list(l, *slot, path, &s, e)) return false;
        } else {
            step_in_mapping(*slot, path, &s);
            if (!s.slot && !add_key(l, *slot, &s, e)) return false;
        }
        slot = s.slot;
        path = s.rest;
    }
    if (*slot && (*slot)->kind == OPT_MAPPING && (*slot)->n > 0 && opt_node_is_null(value))
        return err_set(e, ERR_CONFIG, "this would drop all that is set below it; {} says so");
    *slot = value;
    return true;
}

static bool apply_set(struct opt_load *l, struct opt_node *root, const char *set, struct err *e)
{
    struct str value = str_of(set), path;
    struct opt_node *node;
    if (!str_is_utf8(value)) return err_set(e, ERR_CONFIG, "--set: text that is not UTF-8");
    if (!str_split(&value, '=', &path) || !value.p || path.n == 0)
        return err_set(e, ERR_CONFIG, "--set %s: key.path=value was expected", set);
    if (!opt_value_parse(l, value, OPT_SET_NAME, &node, e) || !set_at(l, root, path, node, e))
        return err_wrap(e, "--set %.*s", STR_ARG(path));
    return true;
}

/* ---- documents */

static bool finish(struct opt_load *l, struct opt_node *root, const char *const *sets, size_t nsets,
                   struct opt_doc *out, struct err *e)
{
    for (size_t i = 0; i < nsets; i++)
        if (!apply_set(l, root, sets[i], e)) return false;
    *out = (struct opt_doc){root, l->a};
    return true;
}

bool opt_doc_load(const char *path, const char *const *sets, size_t nsets, opt_env_fn env,
                  struct arena *a, struct opt_doc *out, struct err *e)
{
    struct opt_load l = {.a = a, .env = env, .files = 1};
    struct opt_node *root;
    struct str text;
    return read_text(&l, path, &text, e) && load_text(&l, text, path, 0, &root, e) &&
           finish(&l, root, sets, nsets, out, e);
}

bool opt_doc_parse(struct str text, const char *name, const char *const *sets, size_t nsets,
                   opt_env_fn env, struct arena *a, struct opt_doc *out, struct err *e)
{
    struct opt_load l = {.a = a, .env = env, .files = 1};
    struct opt_node *root;
    return load_text(&l, text, name, 0, &root, e) && finish(&l, root, sets, nsets, out, e);
}

void opt_nearest(struct str key, const char *const *names, size_t n, char *out, size_t size)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t d = str_distance(key, str_of(names[i]));
        if (d >= least) continue;
        least = d;
        best = names[i];
    }
    out[0] = 0;
    if (best) snprintf(out, size, "; the nearest is '%s'", best);
}

bool opt_doc_sections(const struct opt_doc *d, const char *const *names, struct err *e)
{
    size_t n = 0;
    char nearest[OPT_KEY_MAX + 32];
    while (names[n])
        n++;
    for (size_t i = 0; i < d->root->n; i++) {
        size_t k = 0;
        while (k < n && strcmp(names[k], d->root->keys[i]) != 0)
            k++;
        if (k < n) continue;
        opt_nearest(str_of(d->root->keys[i]), names, n, nearest, sizeof nearest);
        return opt_fail(e, d->root->items[i], "unknown section '%s'%s", d->root->keys[i], nearest);
    }
    return true;
}

const struct opt_node *opt_node_get(const struct opt_node *map, const char *key)
{
    if (!map || map->kind != OPT_MAPPING) return NULL;
    size_t i = opt_node_find(map, str_of(key));
    return i < map->n ? map->items[i] : NULL;
}

const struct opt_node *opt_doc_section(const struct opt_doc *d, const char *section)
{
    return opt_node_get(d->root, section);
}
