/* Grades of a judge as a metric: from the file that `radmill judge score` wrote for these pairs.
 *
 * A grade belongs to a prediction and its reference, whatever their order; answers that the file
 * does not have (other systems, baselines) have no value. What the judge says of its own validity
 * is the signature, and stands beside every number. */
#include <stdlib.h>

#include "base/fs.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "evaluate/metric_judge.h"

enum {
    COL_SCORE = 0, /* and whether there is any: so each of these */
    COL_WIDTH = 2,
    COL_ABSTAINS = 4,
    COLUMNS = 6,
    LINE_BYTES = 1 << 20,
    KEY_DIGITS = 16,
};
#define ARENA_BYTES ((size_t)1 << 30)

static const struct metric_value values[] = {
    {.name = "judge.width",
     .label = "Judge: width of the 90 % interval, grades",
     .scale = 1,
     .flags = METRIC_LOWER,
     .column = COL_WIDTH,
     .columns = 2,
     .stat = metric_ratio},
    {.name = "judge.abstained",
     .label = "Judge: abstained",
     .scale = 100,
     .flags = METRIC_LOWER,
     .column = COL_ABSTAINS,
     .columns = 2,
     .stat = metric_ratio},
    {.name = "judge.score",
     .label = "Judge, grade 1-5 (its validity: see the signature)",
     .scale = 1,
     .flags = METRIC_HEADLINE,
     .column = COL_SCORE,
     .columns = 2,
     .stat = metric_ratio},
};

struct grade {
    uint64_t key;
    double score, width, abstains;
};
struct scorer {
    struct arena arena;
    struct grade *v;
    size_t n;
    struct str signature;
};

static bool take(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    struct scorer *s = ctx;
    struct grade *g = &s->v[s->n];
    struct str text;
    json_t *j;
    uint8_t key[8];
    double lo, hi;

    if (index == 0)
        return json_get_str(obj, "signature", &text, e) &&
               arena_str(&s->arena, text, &s->signature, e);
    if (!json_get_obj(obj, "judge", &j, e) || !json_get_str(obj, "key", &text, e) ||
        !hash_unhex(text, key, sizeof key, e) || !json_get_f64(j, "score", &g->score, e) ||
        !json_get_f64(j, "lo", &lo, e) || !json_get_f64(j, "hi", &hi, e))
        return false;
    for (size_t i = 0; i < sizeof key; i++)
        g->key = g->key << 8 | key[i];
    g->width = hi - lo;
    g->abstains = json_is_true(json_object_get(j, "abstains"));
    s->n++;
    return true;
}

static int by_key(const void *x, const void *y)
{
    const struct grade *a = x, *b = y;
    return (a->key > b->key) - (a->key < b->key);
}

static bool read_grades(struct scorer *s, const char *path, struct err *e)
{
    struct fs_map map;

    if (!fs_map_open(path, &map, e)) return false;
    struct str text = {(const char *)map.p, map.n};
    s->v = arena_alloc(&s->arena, (jsonl_count(text) + 1) * sizeof *s->v, e);
    bool ok = s->v && jsonl_each(text, path, LINE_BYTES, take, s, e);
    fs_map_close(&map);
    if (ok && s->n > 0) qsort(s->v, s->n, sizeof *s->v, by_key);
    return ok && (s->signature.n > 0 ||
                  err_set(e, ERR_FORMAT, "%s: no grades of radmill judge score", path));
}

static void close_judge(void *scorer)
{
    struct scorer *s = scorer;
    if (!s) return;
    arena_free(&s->arena);
    mem_free(s);
}

static bool open_judge(const struct metric_env *env, void **out, struct err *e)
{
    struct scorer *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (!s) return false;
    arena_init(&s->arena, ARENA_BYTES);
    if (!read_grades(s, env->opts->judge, e)) {
        close_judge(s);
        return false;
    }
    *out = s;
    return true;
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    const struct scorer *s = scorer;

    (void)e;
    for (size_t i = 0; i < n; i++) {
        const struct grade want = {.key = metric_judge_key(t[i].prediction, t[i].reference)};
        const struct grade *g = s->n ? bsearch(&want, s->v, s->n, sizeof *s->v, by_key) : NULL;
        double *v = rows + i * stride;
        if (!g) continue;
        v[COL_SCORE] = g->score;
        v[COL_WIDTH] = g->width;
        v[COL_ABSTAINS] = g->abstains;
        v[COL_SCORE + 1] = v[COL_WIDTH + 1] = v[COL_ABSTAINS + 1] = 1;
    }
    return true;
}

static bool check(const struct evaluate_opts *o, struct err *e)
{
    return o->judge || err_set(e, ERR_CONFIG,
                               "metric judge needs evaluate.judge (grades of radmill judge score), "
                               "or judge.dir of a trained judge");
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    return sbuf_put(b, ((const struct scorer *)scorer)->signature, e);
}

const struct metric metric_judge = {
    .name = "judge",
    .help = "a learned factual grade, with what it says of its own validity",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .whole = true,
    .check = check,
    .open = open_judge,
    .score = score,
    .close = close_judge,
    .signature = signature,
};
