/* Pairs files, the pairs they share, where they are from, and the rows they make. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "evaluate/board_impl.h"
#include "evaluate/text_numbers.h"

enum { META_MAX_BYTES = 4 << 20 };

/* ---- where the files are */

static bool find_pairs(struct arena *a, const char *path, const char **out, struct err *e)
{
    static const char *const names[] = {"pairs.jsonl", "pairs/pairs.jsonl"};
    *out = path;
    if (!fs_exists(path)) return err_set(e, ERR_CONFIG, "%s is not there", path);
    if (!fs_is_dir(path)) return true;
    for (size_t i = 0; i < 2; i++) {
        if (!fs_join(a, path, names[i], out, e)) return false;
        if (fs_exists(*out)) return true;
    }
    return err_set(e, ERR_CONFIG,
                   "%s holds no pairs.jsonl: expected a folder of radmill generate (generate.dir), "
                   "one that holds it as pairs/, or a pairs file",
                   path);
}

/* ---- what they say of themselves */

static double number_of(const json_t *obj, const char *key)
{
    double v = json_number_value(json_object_get(obj, key));
    return isfinite(v) && v > 0 ? v : 0;
}

static void copy_text(char *out, size_t cap, const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    if (s) eval_put_name(out, cap, s);
}

/* All of a configuration but folders, the seed and what the machine was like. */
static void hash_config(struct sha256 *h, struct str config)
{
    static const char *const skip[] = {
        "  dir:",  "  seed:",       "  base:",    "  threads:",   "  device:",  "  save_every:",
        "  keep:", "  memory_gib:", "  hang_min", "  stop_after", "  verify_t", "  init_from:"};
    struct str line;
    while (str_split(&config, '\n', &line)) {
        bool skipped = false;
        for (size_t i = 0; i < sizeof skip / sizeof *skip; i++)
            skipped |= str_starts(line, str_of(skip[i]));
        if (skipped) continue;
        sha256_put(h, line.p, line.n);
        sha256_put(h, "\n", 1);
    }
}

/* The generation's own identity, but for the adapter (it differs with the seed) and seeds. */
static bool hash_identity(struct sha256 *h, const json_t *meta, struct err *e)
{
    json_t *copy = json_deep_copy(json_object_get(meta, "inputs"));
    struct sbuf b;
    bool ok = copy != NULL;
    const char *key;
    void *next;
    json_t *value;

    if (!ok) return err_set(e, ERR_FORMAT, "pairs.meta.json lacks inputs");
    sbuf_init(&b, META_MAX_BYTES);
    json_object_foreach_safe(copy, next, key, value)
    {
        if (str_find(str_of(key), STR("adapter"), 0) != SIZE_MAX ||
            str_find(str_of(key), STR("seed"), 0) != SIZE_MAX)
            json_object_del(copy, key);
    }
    ok = json_put(&b, copy, e);
    if (ok) sha256_put(h, b.p, b.n);
    sbuf_free(&b);
    json_decref(copy);
    return ok;
}

static bool read_json(struct arena *a, const char *dir, const char *name, json_t **out,
                      struct err *e)
{
    const char *path;
    *out = NULL;
    if (!fs_join(a, dir, name, &path, e)) return false;
    return !fs_exists(path) || json_read_file(path, META_MAX_BYTES, out, e);
}

/* The adapter's provenance and the summary of its training. */
static bool read_training(struct arena *a, struct board_source *s, const json_t *meta,
                          struct err *e)
{
    const char *adapter = json_string_value(json_object_get(meta, "adapter")), *run;
    json_t *from = NULL, *summary = NULL;
    bool ok = false;

    if (!adapter || !fs_exists(adapter)) return true;
    if (!read_json(a, adapter, "radmill.json", &from, e) || !fs_dir_of(a, adapter, &run, e) ||
        !read_json(a, run, "summary.json", &summary, e))
        goto out;
    s->times.train_s = number_of(summary, "seconds");
    s->times.train_ranks = (int)number_of(summary, "ranks");
    copy_text(s->times.train_device, sizeof s->times.train_device, from, "device");
    const json_t *config = json_object_get(from, "config");
    const json_t *data = json_object_get(json_object_get(from, "shards"), "dataset");
    const json_t *base = json_object_get(json_object_get(from, "base"), "weights");
    const json_t *seed = json_object_get(json_object_get(from, "plan"), "seed");
    ok = true;
    if (!json_is_string(config) || !json_is_string(data) || !json_is_string(base)) goto out;
    struct sha256 h;
    sha256_init(&h);
    hash_config(&h, str_of(json_string_value(config)));
    sha256_put(&h, json_string_value(data), json_string_length(data));
    sha256_put(&h, json_string_value(base), json_string_length(base));
    ok = hash_identity(&h, meta, e);
    sha256_end(&h, s->key);
    s->has_key = ok;
    s->seed = (uint64_t)json_integer_value(seed);
out:
    json_decref(summary);
    json_decref(from);
    return ok;
}

static bool read_meta(struct arena *a, struct board_source *s, struct err *e)
{
    const char *dir;
    json_t *meta = NULL;

    if (!fs_dir_of(a, s->path, &dir, e)) return false;
    if (!str_eqz(fs_name(s->path), "pairs.jsonl")) return true; /* anyone's */
    if (!read_json(a, dir, "pairs.meta.json", &meta, e)) return false;
    const json_t *m = json_object_get(meta, "measured");
    double made = number_of(m, "pairs"), all = number_of(meta, "pairs");
    s->times.generate_s = number_of(m, "wall_s");
    /* a resumed run measured its own share alone */
    if (made > 0 && made < all) s->times.generate_s *= all / made;
    s->times.generate_ranks = (int)number_of(m, "ranks");
    copy_text(s->times.generate_device, sizeof s->times.generate_device, meta, "device");
    copy_text(s->name, sizeof s->name, meta, "name");
    bool ok = !meta || read_training(a, s, meta, e);
    json_decref(meta);
    return ok || err_wrap(e, "%s", dir);
}

static bool name_source(struct arena *a, struct board_source *s, const struct board_input *in,
                        struct err *e)
{
    struct str part = fs_name(s->path);
    const char *dir;
    char name[BOARD_NAME];

    if (in->name) {
        eval_put_name(s->name, sizeof s->name, in->name);
        return true;
    }
    if (s->name[0]) return true;
    if (str_eqz(part, "pairs.jsonl")) {
        if (!fs_dir_of(a, s->path, &dir, e)) return false;
        part = fs_name(dir);
    } else if (str_ends(part, STR(".jsonl")))
        part.n -= 6;
    (void)snprintf(name, sizeof name, "%.*s", STR_ARG(part));
    eval_put_name(s->name, sizeof s->name, name);
    return true;
}

/* ---- the pairs all have */

static bool have_ids(const struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].id.n == 0) return false;
    return true;
}

static bool differ(const struct board_source *s, size_t i, size_t j, struct err *e)
{
    return err_set(e, ERR_FORMAT,
                   "%s: its pair %zu and pair %zu of the first file have different references",
                   s->path, j + 1, i + 1);
}

/* s->at of every pair of the first file, by id: its number here, or UINT32_MAX. */
static bool match_ids(const struct board_source *first, struct board_source *s, struct err *e)
{
    struct text_numbers t;
    bool ok = text_numbers_init(&t, s->n, e);

    for (size_t j = 0; ok && j < s->n; j++) {
        uint32_t *number = text_numbers_at(&t, s->pairs[j].id);
        if (*number)
            ok = err_set(e, ERR_FORMAT, "%s: its pairs %u and %zu have the same id", s->path,
                         *number, j + 1);
        *number = (uint32_t)j + 1;
    }
    for (size_t i = 0; ok && i < first->n; i++) {
        uint32_t number = *text_numbers_at(&t, first->pairs[i].id);
        s->at[i] = number ? number - 1 : UINT32_MAX;
        if (number && !str_eq(first->pairs[i].reference, s->pairs[number - 1].reference))
            ok = differ(s, i, number - 1, e);
    }
    text_numbers_free(&t);
    return ok;
}

static bool match_lines(const struct board_source *first, struct board_source *s, struct err *e)
{
    if (s->n != first->n)
        return err_set(
            e, ERR_FORMAT,
            "%s has %zu pairs, the first file %zu; ids in all files would let them match", s->path,
            s->n, first->n);
    for (size_t i = 0; i < s->n; i++) {
        s->at[i] = (uint32_t)i;
        if (!str_eq(first->pairs[i].reference, s->pairs[i].reference)) return differ(s, i, i, e);
    }
    return true;
}

static bool in_all(const struct board *b, size_t i)
{
    for (size_t k = 0; k < b->nsources; k++)
        if (b->source[k].at[i] == UINT32_MAX) return false;
    return true;
}

static bool find_common(struct board *b, struct err *e)
{
    struct board_source *first = &b->source[0];
    struct eval_run *r = &b->run;

    b->by_line = false;
    for (size_t k = 0; k < b->nsources; k++)
        b->by_line |= !have_ids(b->source[k].pairs, b->source[k].n);
    for (size_t k = 0; k < b->nsources; k++) {
        struct board_source *s = &b->source[k];
        s->at = arena_alloc(&r->arena, (first->n + 1) * sizeof *s->at, e);
        if (!s->at || !(b->by_line ? match_lines(first, s, e) : match_ids(first, s, e)))
            return false;
    }
    r->pairs = arena_alloc(&r->arena, (first->n + 1) * sizeof *r->pairs, e);
    if (!r->pairs) return false;
    for (size_t i = 0; i < first->n; i++) {
        if (!in_all(b, i)) continue;
        for (size_t k = 0; k < b->nsources; k++)
            b->source[k].at[r->n] = b->source[k].at[i];
        r->pairs[r->n++] = first->pairs[i];
    }
    for (size_t k = 0; k < b->nsources; k++)
        if (b->source[k].n - r->n > b->left_out) b->left_out = b->source[k].n - r->n;
    return r->n > 0 || err_set(e, ERR_FORMAT, "the files share no pair: their ids differ");
}

/* ---- rows */

static bool has_run_of(const struct board *b, const struct board_row *row, uint64_t seed)
{
    for (uint32_t k = 0; k < row->nsources; k++)
        if (b->source[row->source[k]].seed == seed) return true;
    return false;
}

/* The row whose runs differ from this one in their seeds alone, or a new one. */
static struct board_row *row_of(struct board *b, const struct board_source *s)
{
    for (size_t i = 0; s->has_key && i < b->nrows; i++) {
        const struct board_source *other = &b->source[b->row[i].source[0]];
        if (other->has_key && memcmp(other->key, s->key, sizeof s->key) == 0 &&
            !has_run_of(b, &b->row[i], s->seed))
            return &b->row[i];
    }
    struct board_row *row = &b->row[b->nrows++];
    memcpy(row->name, s->name, sizeof row->name);
    return row;
}

static void sum_loss(struct board *b, struct board_row *row)
{
    for (uint32_t k = 0; k < row->nsources; k++) {
        const struct board_source *s = &b->source[row->source[k]];
        for (size_t i = 0; i < b->run.n; i++) {
            row->loss.per_token += s->pairs[s->at[i]].nll;
            row->loss.tokens += s->pairs[s->at[i]].tokens;
        }
        row->times.train_s += s->times.train_s / row->nsources;
        row->times.generate_s += s->times.generate_s / row->nsources;
    }
    if (row->loss.tokens) row->loss.per_token /= (double)row->loss.tokens;
}

static void make_rows(struct board *b)
{
    for (size_t k = 0; k < b->nsources; k++) {
        struct board_row *row = row_of(b, &b->source[k]);
        if (row->nsources == 0) {
            row->times = b->source[k].times;
            row->times.train_s = row->times.generate_s = 0;
        }
        row->source[row->nsources++] = (uint32_t)k;
    }
    for (size_t i = 0; i < b->nrows; i++)
        sum_loss(b, &b->row[i]);
}

static bool load_source(struct board *b, const struct board_input *in, struct err *e)
{
    struct board_source *s = &b->source[b->nsources++];
    struct arena *a = &b->run.arena;

    return find_pairs(a, in->path, &s->path, e) && read_meta(a, s, e) && name_source(a, s, in, e) &&
           sha256_file(s->path, s->digest, e) && pairs_read(s->path, a, &s->pairs, &s->n, e) &&
           (s->n < UINT32_MAX || err_set(e, ERR_LIMIT, "%s: %zu pairs", s->path, s->n));
}

bool board_load(struct board *b, const struct board_input *in, size_t n, struct err *e)
{
    if (n == 0) return err_set(e, ERR_CONFIG, "evaluate needs a run or a pairs file");
    if (n > BOARD_INPUTS_MAX)
        return err_set(e, ERR_CONFIG, "%zu runs to compare, at most %d", n, BOARD_INPUTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!load_source(b, &in[i], e)) return false;
    if (!find_common(b, e)) return false;
    make_rows(b);
    return true;
}
