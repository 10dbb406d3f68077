/* From YAML text (libyaml's events) to a tree of struct opt_node. */
#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "base/opt_impl.h"

bool opt_fail(struct err *e, const struct opt_node *at, const char *fmt, ...)
{
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!at->file) return err_set(e, ERR_CONFIG, "%s", text);
    if (at->line == 0) return err_set(e, ERR_CONFIG, "%s: %s", at->file, text);
    return err_set(e, ERR_CONFIG, "%s:%d: %s", at->file, at->line, text);
}

/* ---- nodes */

bool opt_node_new(struct opt_load *l, enum opt_kind kind, const char *file, int line,
                  struct opt_node **out, struct err *e)
{
    if (l->nodes++ >= OPT_NODES_MAX)
        return err_set(e, ERR_CONFIG, "%s:%d: more than %d values", file ? file : "options", line,
                       OPT_NODES_MAX);
    struct opt_node *n = arena_alloc(l->a, sizeof *n, e);
    if (!n) return false;
    n->kind = kind;
    n->file = file;
    n->line = line;
    *out = n;
    return true;
}

/* Arrays of the arena double when their length is a power of two, so no capacity is kept. */
static bool grow(struct arena *a, void **v, size_t n, struct err *e)
{
    if (n > 0 && (n < 4 || (n & (n - 1)) != 0)) return true;
    void *p = arena_alloc(a, (n ? 2 * n : 4) * sizeof(void *), e);
    if (!p) return false;
    if (n) memcpy(p, *v, n * sizeof(void *));
    *v = p;
    return true;
}

bool opt_node_add(struct opt_load *l, struct opt_node *parent, const char *key,
                  struct opt_node *item, struct err *e)
{
    CHECK((parent->kind == OPT_MAPPING) == (key != NULL));
    if (parent->n == OPT_KEYS_MAX) return opt_fail(e, item, "more than %d elements", OPT_KEYS_MAX);
    void *items = parent->items, *keys = (void *)parent->keys;
    if (!grow(l->a, &items, parent->n, e)) return false;
    parent->items = items;
    if (key) {
        if (!grow(l->a, &keys, parent->n, e)) return false;
        parent->keys = keys;
        parent->keys[parent->n] = key;
    }
    parent->items[parent->n++] = item;
    return true;
}

size_t opt_node_find(const struct opt_node *map, struct str key)
{
    size_t i = 0;
    while (i < map->n && !str_eqz(key, map->keys[i]))
        i++;
    return i;
}

bool opt_node_is_null(const struct opt_node *n)
{
    struct str s = n->scalar;
    return n->kind == OPT_SCALAR && !n->quoted &&
           (s.n == 0 || str_eqz(s, "~") || str_eqz(s, "null") || str_eqz(s, "Null") ||
            str_eqz(s, "NULL"));
}

/* ---- ${VAR} */

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Append the value of the variable whose "${" stands at `at`; *end is behind its "}". */
static bool put_variable(struct opt_load *l, const struct opt_node *n, struct str s, size_t at,
                         struct sbuf *b, size_t *end, struct err *e)
{
    char name[OPT_KEY_MAX];
    size_t i = at + 2, len = 0;
    while (i < s.n && is_name_char(s.p[i]) && len < sizeof name - 1)
        name[len++] = s.p[i++];
    name[len] = 0;
    if (len == 0 || i >= s.n || s.p[i] != '}')
        return opt_fail(e, n, "expected ${NAME}; write $${ for a plain ${");
    const char *value = l->env ? l->env(name) : NULL;
    if (!value) return opt_fail(e, n, "the environment variable %s is not set", name);
    if (!str_is_utf8(str_of(value)))
        return opt_fail(e, n, "the environment variable %s is not UTF-8", name);
    *end = i + 1;
    return sbuf_put(b, str_of(value), e);
}

static bool expand(struct opt_load *l, struct opt_node *n, struct err *e)
{
    struct str s = n->scalar;
    struct sbuf b;
    bool ok = false;
    size_t done = 0, at;
    if (str_find(s, STR("${"), 0) == SIZE_MAX) return true;
    sbuf_init(&b, OPT_SCALAR_MAX);
    while ((at = str_find(s, STR("${"), done)) != SIZE_MAX) {
        bool escaped = at > done && s.p[at - 1] == '$';
        if (!sbuf_put(&b, str_sub(s, done, at - escaped), e)) goto out;
        done = at + 2;
        if (escaped) {
            if (!sbuf_put(&b, STR("${"), e)) goto out;
        } else if (!put_variable(l, n, s, at, &b, &done, e)) {
            goto out;
        }
    }
    ok = sbuf_put(&b, str_sub(s, done, s.n), e) && arena_str(l->a, sbuf_str(&b), &n->scalar, e);
out:
    sbuf_free(&b);
    return ok;
}

/* ---- events */

struct frame {
    struct opt_node *node;
    const char *key; /* of the value to come; NULL: a key is to come */
};

struct parse {
    struct opt_load *l;
    const char *name;
    struct opt_node *root;
    bool second; /* a document was already there */
    bool is_set; /* a value of --set: its lines say nothing */
    int depth;
    struct frame stack[OPT_DEPTH_MAX];
};

static bool take_key(struct parse *p, struct frame *f, const struct opt_node *n, struct err *e)
{
    if (n->kind != OPT_SCALAR) return opt_fail(e, n, "a key must be a word");
    if (n->scalar.n == 0) return opt_fail(e, n, "an empty key");
    if (n->scalar.n > OPT_KEY_MAX)
        return opt_fail(e, n, "a key of more than %d bytes", OPT_KEY_MAX);
    size_t i = opt_node_find(f->node, n->scalar);
    if (i < f->node->n)
        return opt_fail(e, n, "key '%s' appears twice, first in line %d", f->node->keys[i],
                        f->node->items[i]->line);
    struct str copy;
    if (!arena_str(p->l->a, n->scalar, &copy, e)) return false;
    f->key = copy.p;
    return true;
}

/* Put a finished scalar or a new collection where it belongs. */
static bool attach(struct parse *p, struct opt_node *n, struct err *e)
{
    if (p->depth == 0) {
        p->root = n;
        return true;
    }
    struct frame *f = &p->stack[p->depth - 1];
    if (f->node->kind == OPT_SEQ) return opt_node_add(p->l, f->node, NULL, n, e);
    if (!f->key) return take_key(p, f, n, e);
    const char *key = f->key;
    f->key = NULL;
    return opt_node_add(p->l, f->node, key, n, e);
}

static bool begin(struct parse *p, enum opt_kind kind, int line, struct err *e)
{
    struct opt_node *n;
    if (!opt_node_new(p->l, kind, p->name, line, &n, e)) return false;
    if (p->depth > 0 && p->stack[p->depth - 1].node->kind == OPT_MAPPING &&
        !p->stack[p->depth - 1].key)
        return opt_fail(e, n, "a key must be a word");
    if (!attach(p, n, e)) return false;
    if (p->depth == OPT_DEPTH_MAX)
        return err_set(e, ERR_CONFIG, "%s:%d: nested deeper than %d", p->name, line, OPT_DEPTH_MAX);
    p->stack[p->depth++] = (struct frame){n, NULL};
    return true;
}

static bool scalar(struct parse *p, const yaml_event_t *v, int line, struct err *e)
{
    struct opt_node *n;
    struct str s = {(const char *)v->data.scalar.value, v->data.scalar.length};
    if (!opt_node_new(p->l, OPT_SCALAR, p->name, line, &n, e)) return false;
    if (s.n > OPT_SCALAR_MAX)
        return err_set(e, ERR_CONFIG, "%s:%d: a value of more than %zu bytes", p->name, line,
                       OPT_SCALAR_MAX);
    if (memchr(s.p, 0, s.n)) return opt_fail(e, n, "a NUL character is not allowed");
    n->quoted = v->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!arena_str(p->l->a, s, &n->scalar, e)) return false;
    bool is_key = p->depth > 0 && p->stack[p->depth - 1].node->kind == OPT_MAPPING &&
                  !p->stack[p->depth - 1].key;
    return (is_key || expand(p->l, n, e)) && attach(p, n, e);
}

/* Anchors and tags would let a file mean something else than what is read. */
static bool check_extras(struct parse *p, const yaml_event_t *v, int line, struct err *e)
{
    const struct opt_node at = {.file = p->name, .line = line};
    const void *anchor = NULL, *tag = NULL;
    if (v->type == YAML_SCALAR_EVENT) {
        anchor = v->data.scalar.anchor;
        tag = v->data.scalar.tag;
    } else if (v->type == YAML_SEQUENCE_START_EVENT) {
        anchor = v->data.sequence_start.anchor;
        tag = v->data.sequence_start.tag;
    } else if (v->type == YAML_MAPPING_START_EVENT) {
        anchor = v->data.mapping_start.anchor;
        tag = v->data.mapping_start.tag;
    }
    if (anchor || v->type == YAML_ALIAS_EVENT)
        return opt_fail(e, &at,
                        "anchors and aliases (& and *) are not allowed; put quotes around "
                        "text that begins so, or use include");
    if (tag) return opt_fail(e, &at, "tags (!) are not allowed; put quotes around such text");
    return true;
}

static bool take_event(struct parse *p, const yaml_event_t *v, struct err *e)
{
    int line = p->is_set ? 0 : (int)v->start_mark.line + 1;
    const struct opt_node at = {.file = p->name, .line = line};
    if (!check_extras(p, v, line, e)) return false;
    switch (v->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (p->second) return opt_fail(e, &at, "a second document (---) is not allowed");
        p->second = true;
        return true;
    case YAML_SCALAR_EVENT:
        return scalar(p, v, line, e);
    case YAML_SEQUENCE_START_EVENT:
        return begin(p, OPT_SEQ, line, e);
    case YAML_MAPPING_START_EVENT:
        return begin(p, OPT_MAPPING, line, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        p->depth--;
        return true;
    default:
        return true;
    }
}

/* The first byte of character `index`, as libyaml counts them; 0: there is none. */
static char char_at(struct str text, size_t index)
{
    for (size_t i = 0; text.p && i < text.n; i++) {
        if (((unsigned char)text.p[i] & 0xC0) == 0x80) continue;
        if (index-- == 0) return text.p[i];
    }
    return 0;
}

static bool parser_error(const yaml_parser_t *y, struct str text, const char *name, bool is_set,
                         struct err *e)
{
    const char *problem = y->problem ? y->problem : "not valid YAML";
    if (y->error == YAML_MEMORY_ERROR) return err_set(e, ERR_NOMEM, "%s: out of memory", name);
    if (y->error == YAML_READER_ERROR)
        return err_set(e, ERR_CONFIG, "%s: at byte %zu: %s", name, y->problem_offset, problem);
    const struct opt_node at = {.file = name, .line = is_set ? 0 : (int)y->problem_mark.line + 1};
    if (char_at(text, y->problem_mark.index) == '\t')
        problem = "a tab where YAML takes spaces alone";
    return opt_fail(e, &at, "%s", problem);
}

bool opt_yaml_parse(struct opt_load *l, struct str text, const char *name, struct opt_node **out,
                    struct err *e)
{
    yaml_parser_t y;
    struct str name_copy;
    bool ok = false, end = false, is_set = strcmp(name, OPT_SET_NAME) == 0;
    *out = NULL;
    if (text.n > OPT_FILE_MAX)
        return err_set(e, ERR_CONFIG, "%s: longer than %zu bytes", name, OPT_FILE_MAX);
    if (!arena_str(l->a, str_of(name), &name_copy, e)) return false;
    struct parse p = {.l = l, .name = name_copy.p, .is_set = is_set};
    if (!yaml_parser_initialize(&y)) return err_set(e, ERR_NOMEM, "%s: out of memory", name);
    yaml_parser_set_input_string(&y, (const unsigned char *)(text.p ? text.p : ""), text.n);
    while (!end) {
        yaml_event_t v;
        if (!yaml_parser_parse(&y, &v)) {
            parser_error(&y, text, name, is_set, e);
            goto out;
        }
        end = v.type == YAML_STREAM_END_EVENT;
        bool taken = take_event(&p, &v, e);
        yaml_event_delete(&v);
        if (!taken) goto out;
    }
    *out = p.root;
    ok = true;
out:
    yaml_parser_delete(&y);
    return ok;
}

bool opt_value_parse(struct opt_load *l, struct str text, const char *file, struct opt_node **out,
                     struct err *e)
{
    if (text.n > 0 && text.p[0] != 0 && strchr("[{\"'", text.p[0])) {
        if (!opt_yaml_parse(l, text, file ? file : OPT_SET_NAME, out, e)) return false;
        CHECK(*out != NULL);
        return true;
    }
    if (!opt_node_new(l, OPT_SCALAR, file, 0, out, e)) return false;
    return arena_str(l->a, text, &(*out)->scalar, e) && expand(l, *out, e);
}
