#include "label/rating.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "generate/pairs.h"

#define RATING_ARENA_BYTES ((size_t)8 << 30)

#define S struct label_system
static const struct opt system_table[] = {
    OPT_STRING(S, name, NULL, "name of the system: in the label file, never on the page"),
    OPT_PATH(S, path, NULL, "its pairs file, or anyone's with prediction and reference"),
    OPT_END,
};
#undef S
const struct opt label_table[] = {
    OPT_PATH(struct label_opts, dir, NULL, "folder of the rating: labels.jsonl"),
    OPT_LIST(struct label_opts, systems, struct label_system, system_table,
             "whose answers are judged; left out: those of generate.dir"),
    OPT_STRS(struct label_opts, raters, "r1", "names of the readers, as the label file has them"),
    OPT_U32(struct label_opts, reports, 100, 1, 1000000, "reports to draw; a task a system each"),
    OPT_F64(struct label_opts, twice, 0.3, 0, 1, "share of the reports that two readers judge"),
    OPT_BOOL(struct label_opts, scales, false,
             "also ask for understandability, coherence, relevance, conciseness and clinical "
             "utility, 1 to 5"),
    OPT_U64(struct label_opts, seed, 1, 0, 9e18, "of the draw and the readers' orders"),
    OPT_U32(struct label_opts, port, 0, 0, 65535, "on 127.0.0.1; 0: a free one"),
    OPT_PATH(struct label_opts, socket, NULL, "a Unix socket of mode 0600 instead of a port"),
    OPT_U32(struct label_opts, idle_min, 60, 1, 1440, "a session ends when unused for so long"),
    OPT_END,
};

struct task {
    const struct pair *pair;
    struct str id;
    uint32_t system;
};
struct rating {
    const struct label_opts *o;
    const char *tool;
    struct arena arena;
    pthread_mutex_t lock;
    bool has_lock;
    struct pair *pairs[RATING_SYSTEMS];
    size_t npairs[RATING_SYSTEMS];
    struct task *tasks; /* report by report, systems in order */
    size_t ntasks;
    uint32_t *order[RATING_RATERS];  /* task numbers in the reader's order */
    struct str *said[RATING_RATERS]; /* [place] the label's line; empty: not judged */
    size_t n[RATING_RATERS];
    struct fs_append *file;
    int flock;
};

static const struct label_system *system_at(const struct rating *r, size_t i)
{
    return (const struct label_system *)r->o->systems.items + i;
}

/* ---- drawing */
static struct str id_of(struct rating *r, size_t system, size_t i, struct err *e)
{
    struct str id = r->pairs[system][i].id;
    struct sbuf b;

    if (id.n > 0) return id;
    sbuf_init(&b, 32);
    if (!sbuf_printf(&b, e, "line:%zu", i + 1) || !arena_str(&r->arena, sbuf_str(&b), &id, e))
        id = (struct str){0};
    sbuf_free(&b);
    return id;
}

static int by_id(const void *x, const void *y)
{
    return str_cmp(((const struct pair *)x)->id, ((const struct pair *)y)->id);
}

static bool read_system(struct rating *r, size_t k, struct err *e)
{
    const struct label_system *s = system_at(r, k);

    if (!s->name || !s->path)
        return err_set(e, ERR_CONFIG, "label.systems[%zu] has no name or no path", k);
    for (size_t i = 0; i < k; i++)
        if (str_eqz(str_of(s->name), system_at(r, i)->name))
            return err_set(e, ERR_CONFIG, "label.systems: two are named %s", s->name);
    if (!pairs_read(s->path, &r->arena, &r->pairs[k], &r->npairs[k], e)) return false;
    for (size_t i = 0; i < r->npairs[k]; i++) {
        r->pairs[k][i].id = id_of(r, k, i, e);
        if (r->pairs[k][i].id.n == 0) return false;
    }
    qsort(r->pairs[k], r->npairs[k], sizeof *r->pairs[k], by_id);
    return true;
}

/* The task of every system for pair i of the first; false: one did not answer it. */
static bool match(struct rating *r, size_t i)
{
    const struct pair *p = &r->pairs[0][i];
    size_t at = r->ntasks;

    for (size_t k = 0; k < r->o->systems.n; k++) {
        const struct pair *q =
            k == 0 ? p : bsearch(p, r->pairs[k], r->npairs[k], sizeof *r->pairs[k], by_id);
        if (!q) return false;
        r->tasks[at++] = (struct task){q, p->id, (uint32_t)k};
    }
    r->ntasks = at;
    return true;
}

static bool draw(struct rating *r, struct err *e)
{
    struct rng_key key = rng_key(r->o->seed, RNG_LABEL, 0);
    size_t systems = r->o->systems.n, drawn = 0;

    for (size_t k = 0; k < systems; k++)
        if (!read_system(r, k, e)) return false;
    r->tasks = arena_alloc(&r->arena, ((size_t)r->o->reports + 1) * systems * sizeof *r->tasks, e);
    if (!r->tasks) return false;
    for (size_t i = 0; i < r->npairs[0] && drawn < r->o->reports; i++)
        drawn += match(r, (size_t)rng_permute(key, i, r->npairs[0]));
    return drawn > 0 ||
           err_set(e, ERR_CONFIG, "no report was answered by all systems: their ids differ");
}

/* ---- dealing */
/* Does this reader judge drawn report j? */
static bool deals(const struct rating *r, size_t rater, size_t j, size_t reports)
{
    size_t raters = r->o->raters.n;
    bool twice = (double)j < r->o->twice * (double)reports;

    return j % raters == rater || (twice && raters > 1 && (j + 1) % raters == rater);
}

static bool deal_to(struct rating *r, size_t rater, struct err *e)
{
    struct rng_key key = rng_key(r->o->seed, RNG_LABEL, rater + 1);
    size_t systems = r->o->systems.n, n = 0;
    uint32_t *mine = mem_calloc(r->ntasks + 1, sizeof *mine, e);

    if (!mine) return false;
    for (size_t t = 0; t < r->ntasks; t++)
        if (deals(r, rater, t / systems, r->ntasks / systems)) mine[n++] = (uint32_t)t;
    uint32_t *order = arena_alloc(&r->arena, (n + 1) * sizeof *order, e);
    if (order) r->said[rater] = arena_alloc(&r->arena, (n + 1) * sizeof **r->said, e);
    bool ok = order && r->said[rater];
    for (size_t i = 0; ok && i < n; i++)
        order[i] = mine[rng_permute(key, i, n)];
    r->order[rater] = order;
    r->n[rater] = n;
    mem_free(mine);
    return ok;
}

/* ---- what has been judged */
static bool keep_line(struct rating *r, size_t rater, size_t place, const struct factlabel *l,
                      struct sbuf *b, struct err *e)
{
    sbuf_clear(b);
    return factlabel_put(b, l, e) && arena_str(&r->arena, sbuf_str(b), &r->said[rater][place], e);
}

static bool recall(struct rating *r, const struct factlabel *l, struct sbuf *b, struct err *e)
{
    size_t rater = rating_rater_of(r, l->rater);

    for (size_t i = 0; rater != SIZE_MAX && i < r->n[rater]; i++) {
        const struct task *t = &r->tasks[r->order[rater][i]];
        if (str_eq(t->id, l->id) && str_eqz(l->system, system_at(r, t->system)->name))
            return keep_line(r, rater, i, l, b, e);
    }
    return true; /* of an earlier draw: it stays in the file */
}

static bool recall_all(struct rating *r, const char *path, struct err *e)
{
    struct factlabel *v;
    struct sbuf b;
    size_t n;
    bool ok;

    if (!fs_exists(path)) return true;
    sbuf_init(&b, FACTLABEL_LINE_MAX_BYTES);
    ok = factlabel_read(path, &r->arena, &v, &n, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = recall(r, &v[i], &b, e);
    sbuf_free(&b);
    return ok;
}

static bool open_file(struct rating *r, struct err *e)
{
    const char *path, *lock;

    return fs_mkdirs(r->o->dir, e) && fs_join(&r->arena, r->o->dir, "labels.jsonl", &path, e) &&
           fs_join(&r->arena, r->o->dir, ".labels.lock", &lock, e) && fs_lock(lock, &r->flock, e) &&
           fs_append_open(path, &r->file, e) && recall_all(r, path, e);
}

static bool check_opts(const struct label_opts *o, struct err *e)
{
    if (o->systems.n == 0 || o->systems.n > RATING_SYSTEMS)
        return err_set(e, ERR_CONFIG, "label.systems names %zu systems, 1 to %d can be judged",
                       o->systems.n, RATING_SYSTEMS);
    if (o->raters.n == 0 || o->raters.n > RATING_RATERS)
        return err_set(e, ERR_CONFIG, "label.raters names %zu readers, 1 to %d can judge",
                       o->raters.n, RATING_RATERS);
    for (size_t i = 0; i < o->raters.n; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eqz(str_of(o->raters.v[i]), o->raters.v[k]))
                return err_set(e, ERR_CONFIG, "label.raters: two are named alike");
    return true;
}

bool rating_open(const struct label_opts *o, const char *tool, struct rating **out, struct err *e)
{
    struct rating *r = mem_calloc(1, sizeof *r, e);

    *out = NULL;
    if (!r) return false;
    r->o = o;
    r->tool = tool;
    r->flock = -1;
    arena_init(&r->arena, RATING_ARENA_BYTES);
    CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
    bool ok = check_opts(o, e) && draw(r, e);
    for (size_t i = 0; ok && i < o->raters.n; i++)
        ok = deal_to(r, i, e);
    if (!ok || !open_file(r, e)) {
        rating_close(r);
        return false;
    }
    *out = r;
    return true;
}

void rating_close(struct rating *r)
{
    if (!r) return;
    fs_append_close(r->file);
    fs_unlock(r->flock);
    (void)pthread_mutex_destroy(&r->lock);
    arena_free(&r->arena);
    mem_free(r);
}

/* ---- asking */
size_t rating_raters(const struct rating *r)
{
    return r->o->raters.n;
}

const char *rating_rater_name(const struct rating *r, size_t rater)
{
    return r->o->raters.v[rater];
}

size_t rating_rater_of(const struct rating *r, struct str name)
{
    for (size_t i = 0; i < r->o->raters.n; i++)
        if (str_eqz(name, r->o->raters.v[i])) return i;
    return SIZE_MAX;
}

bool rating_scales(const struct rating *r)
{
    return r->o->scales;
}

void rating_count(struct rating *r, size_t rater, size_t *done, size_t *all)
{
    (void)pthread_mutex_lock(&r->lock);
    *all = r->n[rater];
    *done = 0;
    for (size_t i = 0; i < r->n[rater]; i++)
        *done += r->said[rater][i].n > 0;
    (void)pthread_mutex_unlock(&r->lock);
}

size_t rating_next(struct rating *r, size_t rater)
{
    size_t i = 0;

    (void)pthread_mutex_lock(&r->lock);
    while (i < r->n[rater] && r->said[rater][i].n > 0)
        i++;
    (void)pthread_mutex_unlock(&r->lock);
    return i;
}

static bool put_text(struct sbuf *b, const char *key, struct str text, struct err *e)
{
    return sbuf_printf(b, e, ", \"%s\": ", key) && json_put_str(b, text, false, e);
}

bool rating_task_json(struct rating *r, size_t rater, size_t place, struct sbuf *out, struct err *e)
{
    CHECK(place < r->n[rater]);
    const struct task *t = &r->tasks[r->order[rater][place]];
    const struct pair *p = t->pair;
    const struct pair *from = p->findings.n || t->system == 0
                                  ? p
                                  : bsearch(p, r->pairs[0], r->npairs[0], sizeof *p, by_id);
    bool ok =
        sbuf_printf(out, e, "{\"place\": %zu", place) &&
        put_text(out, "modality", p->modality, e) && put_text(out, "clinical", from->clinical, e) &&
        put_text(out, "findings", from->findings, e) &&
        put_text(out, "reference", p->reference, e) &&
        put_text(out, "generated", p->prediction, e) && sbuf_put(out, STR(", \"label\": "), e);

    (void)pthread_mutex_lock(&r->lock);
    struct str said = r->said[rater][place];
    json_t *j = NULL;
    if (ok && said.n > 0) {
        ok = json_parse(said, "label", &j, e);
        if (ok) (void)json_object_del(j, "system"); /* blind to the reader's own past too */
        ok = ok && json_put(out, j, e);
        json_decref(j);
    } else if (ok) {
        ok = sbuf_put(out, STR("null"), e);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return ok && sbuf_putc(out, '}', e);
}

/* ---- keeping */
/* A line of the label file from what was shown and what the reader says. */
static bool compose(const struct rating *r, size_t rater, const struct task *t,
                    const struct pair *from, const json_t *body, struct sbuf *b, struct err *e)
{
    static const char *const taken[] = {"errors", "overall", "scales", "seconds"};
    const struct pair *p = t->pair;
    bool ok =
        sbuf_put(b, STR("{\"format\": \"" FACTLABEL_FORMAT "\""), e) &&
        put_text(b, "id", t->id, e) && put_text(b, "subject", p->group, e) &&
        put_text(b, "modality", p->modality, e) && put_text(b, "clinical", from->clinical, e) &&
        put_text(b, "findings", from->findings, e) && put_text(b, "reference", p->reference, e) &&
        put_text(b, "generated", p->prediction, e) &&
        put_text(b, "system", str_of(system_at(r, t->system)->name), e) &&
        put_text(b, "rater", str_of(r->o->raters.v[rater]), e) &&
        put_text(b, "tool", str_of(r->tool), e) &&
        sbuf_printf(b, e, ", \"order_seed\": %llu", (unsigned long long)r->o->seed);

    for (size_t i = 0; ok && i < sizeof taken / sizeof taken[0]; i++) {
        const json_t *v = json_object_get(body, taken[i]);
        if (v) ok = sbuf_printf(b, e, ", \"%s\": ", taken[i]) && json_put(b, v, e);
    }
    return ok && sbuf_putc(b, '}', e);
}

static bool keep(struct rating *r, size_t rater, size_t place, const struct factlabel *l,
                 struct sbuf *b, struct err *e)
{
    bool ok;

    (void)pthread_mutex_lock(&r->lock);
    sbuf_clear(b);
    ok = factlabel_put(b, l, e) && fs_append_line(r->file, sbuf_str(b), e) &&
         fs_append_sync(r->file, e) && keep_line(r, rater, place, l, b, e);
    (void)pthread_mutex_unlock(&r->lock);
    return ok;
}

bool rating_put(struct rating *r, size_t rater, size_t place, const json_t *body, bool *refused,
                struct err *e)
{
    const struct task *t = &r->tasks[r->order[rater][place]];
    const struct pair *from =
        t->pair->findings.n || t->system == 0
            ? t->pair
            : bsearch(t->pair, r->pairs[0], r->npairs[0], sizeof *from, by_id);
    struct factlabel *v;
    struct arena a;
    struct sbuf b;
    size_t n;
    bool ok;

    CHECK(place < r->n[rater]);
    arena_init(&a, 64 << 20);
    sbuf_init(&b, FACTLABEL_LINE_MAX_BYTES);
    *refused = false;
    ok = compose(r, rater, t, from, body, &b, e);
    if (ok) {
        ok = factlabel_parse(sbuf_str(&b), "judgement", &a, &v, &n, e);
        *refused = !ok && e->code != ERR_NOMEM;
    }
    ok = ok && keep(r, rater, place, &v[0], &b, e);
    sbuf_free(&b);
    arena_free(&a);
    return ok;
}
