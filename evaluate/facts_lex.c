#include "evaluate/facts_lex.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "evaluate/facts_lex_impl.h"

#define FILE_MAX ((size_t)4 << 20)

static const struct {
    const char *name;
    lex_line_fn *line;
    size_t columns;
} files[] = {
    {"plurals.tsv", lex_line_plural, 2},  {"words.tsv", lex_line_word, 3},
    {"anatomy.tsv", lex_line_anatomy, 3}, {"findings.tsv", lex_line_finding, 6},
    {"compose.tsv", lex_line_compose, 3},
};
#define NFILES (sizeof files / sizeof *files)

struct lex_slot *lex_slot_at(const struct lex_table *t, uint64_t key)
{
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (t->cap - 1);
    while (t->v[i].key && t->v[i].key != key)
        i = (i + 1) & (t->cap - 1);
    return &t->v[i];
}

bool lex_table_put(struct lex_table *t, uint64_t key, uint32_t value, struct err *e)
{
    if (2 * (t->n + 1) > t->cap) {
        struct lex_table big = {.cap = t->cap ? 2 * t->cap : 1024, .n = t->n};
        big.v = mem_calloc(big.cap, sizeof *big.v, e);
        if (!big.v) return false;
        for (size_t i = 0; i < t->cap; i++)
            if (t->v[i].key) *lex_slot_at(&big, t->v[i].key) = t->v[i];
        mem_free(t->v);
        *t = big;
    }
    struct lex_slot *s = lex_slot_at(t, key);
    t->n += s->key == 0;
    *s = (struct lex_slot){key, value};
    return true;
}

static uint32_t table_get(const struct lex_table *t, uint64_t key)
{
    return t->cap ? lex_slot_at(t, key)->value : 0;
}

uint64_t lex_key(struct str word)
{
    return hash_xxh64(word.p, word.n, 0) | 1;
}

static bool ends(const char *p, size_t n, const char *suffix, size_t len)
{
    return n >= len && memcmp(p + n - len, suffix, len) == 0;
}

/* Singular by rule: the ends of words that are no plural (-ss, -us, -is) stay. */
static size_t singular(char *p, size_t n)
{
    if (n > 4 && ends(p, n, "ies", 3)) {
        p[n - 3] = 'y';
        return n - 2;
    }
    if (n > 5 && (ends(p, n, "sses", 4) || ends(p, n, "xes", 3) || ends(p, n, "ches", 4) ||
                  ends(p, n, "shes", 4)))
        return n - 2;
    if (n > 3 && p[n - 1] == 's' && p[n - 2] != 's' && p[n - 2] != 'u' && p[n - 2] != 'i')
        return n - 1;
    return n;
}

uint64_t lex_hash(const struct lex *l, struct str word)
{
    char low[LEX_WORD_MAX];
    if (word.n > LEX_WORD_MAX) return lex_key(word);
    for (size_t i = 0; i < word.n; i++)
        low[i] = (char)(word.p[i] | (word.p[i] >= 'A' && word.p[i] <= 'Z' ? 0x20 : 0));
    uint64_t key = lex_key((struct str){low, word.n});
    if (l->plurals.cap) {
        const struct lex_slot *s = lex_slot_at(&l->plurals, key);
        if (s->key) return lex_plural_key(l, s->value);
    }
    return lex_key((struct str){low, singular(low, word.n)});
}

uint32_t lex_word_of(const struct lex *l, uint64_t hash)
{
    return table_get(&l->words, hash);
}

static uint64_t edge_key(uint32_t node, uint32_t word)
{
    return ((uint64_t)node << 32 | word) + 1;
}

uint32_t lex_step(const struct lex *l, uint32_t node, uint32_t word)
{
    return word ? table_get(&l->edges, edge_key(node, word)) : 0;
}

uint32_t lex_grow_node(struct lex *l, uint32_t node, uint32_t word, struct err *e)
{
    uint32_t next = lex_step(l, node, word);
    if (next) return next;
    if (!mem_grow((void **)&l->node_role, &l->node_cap, l->nnodes + 1, sizeof *l->node_role, e) ||
        !lex_table_put(&l->edges, edge_key(node, word), l->nnodes, e))
        return 0;
    l->node_role[l->nnodes] = 0;
    return l->nnodes++;
}

uint16_t lex_composed(const struct lex *l, uint32_t what, uint32_t pred)
{
    for (uint16_t i = 0; i < l->ncompose; i++) {
        const struct lex_compose *c = &l->compose[i];
        if (c->what != what) continue;
        if (c->pred == pred || (c->pred == LEX_PRED_ANY && pred != LEX_PRED_NORMAL))
        return c->concept;
    }
    return UINT16_MAX;
}

const struct lex_role *lex_role_of(const struct lex *l, uint32_t role, enum lex_class cls)
{
    for (; role; role = l->roles[role].next)
        if (l->roles[role].cls == cls) return &l->roles[role];
    return NULL;
}

/* Columns end at tabs, lines that begin with # are comments. Errors name file and line. */
static bool read_lines(struct lex *l, size_t file, struct str text, struct err *e)
{
    struct str rest = text, line, col[8];
    for (size_t n = 1; str_split(&rest, '\n', &line); n++) {
        size_t k = 0;
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (line.n == 0 || line.p[0] == '#') continue;
        while (k < 8 && str_split(&line, '\t', &col[k]))
            k++;
        if (k != files[file].columns)
            return err_set(e, ERR_FORMAT, "lexicon %s line %zu: %zu columns, expected %zu",
                           files[file].name, n, k, files[file].columns);
        if (!files[file].line(l, col, e))
            return err_wrap(e, "lexicon %s line %zu", files[file].name, n);
    }
    return true;
}

static bool read_file(struct lex *l, const char *dir, size_t file, struct sha256 *sum,
                      struct err *e)
{
    struct str text = lex_builtin(files[file].name);
    struct sbuf path;
    bool ok = false;
    sbuf_init(&path, 4096);
    if (dir) {
        if (!sbuf_printf(&path, e, "%s/%s", dir, files[file].name)) goto out;
        if (!fs_read_file(path.p, FILE_MAX, &l->a, &text, e)) goto out;
    }
    sha256_put(sum, text.p, text.n);
    ok = read_lines(l, file, text, e);
out:
    sbuf_free(&path);
    return ok;
}

static bool init(struct lex *l, struct err *e)
{
    arena_init(&l->a, (size_t)64 << 20);
    l->nwords = 1;
    l->nroles = 1;
    l->nnodes = 1;
    if (!mem_grow((void **)&l->node_role, &l->node_cap, 1, sizeof *l->node_role, e)) return false;
    if (!mem_grow((void **)&l->roles, &l->role_cap, 1, sizeof *l->roles, e)) return false;
    l->node_role[0] = 0;
    l->roles[0] = (struct lex_role){0};
    for (size_t i = 0; i < LEX_PARTS; i++)
        l->part_mask[i] = (uint64_t)1 << i;
    return true;
}

bool lex_open(const char *dir, struct lex **out, struct err *e)
{
    struct sha256 sum;
    uint8_t digest[32];
    bool ok = false;
    *out = NULL;
    struct lex *l = mem_calloc(1, sizeof *l, e);
    if (!l) return false;
    if (!init(l, e)) goto out;
    sha256_init(&sum);
    for (size_t i = 0; i < NFILES; i++) {
        if (strcmp(files[i].name, "compose.tsv") == 0 && !lex_add_parts(l, e)) goto out;
        if (!read_file(l, dir, i, &sum, e)) goto out;
    }
    sha256_end(&sum, digest);
    hash_hex(digest, sizeof digest, l->digest);
    ok = true;
out:
    if (ok)
        *out = l;
    else
        lex_close(l);
    return ok;
}

void lex_close(struct lex *l)
{
    if (!l) return;
    struct lex_names *names[] = {&l->parts, &l->families,   &l->preds,
                                 &l->zones, &l->modalities, &l->units};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        mem_free(names[i]->v);
    mem_free(l->words.v);
    mem_free(l->edges.v);
    mem_free(l->plurals.v);
    mem_free(l->plural_keys);
    mem_free(l->node_role);
    mem_free(l->roles);
    mem_free(l->concepts);
    mem_free(l->anatomy);
    mem_free(l->compose);
    arena_free(&l->a);
    mem_free(l);
}
