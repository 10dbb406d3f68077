/* Memorization as a metric: words of an answer that stand in a training report and not in what the
 * model was shown; and how much more probable planted canaries are than their like.
 *
 * evaluate.training is a JSON-lines file of the reports that were trained on (`radmill export
 * --format jsonl --split train`): every text member counts, `patient` says whose it is. A span is
 * RUN or more consecutive words (letters and digits, lower-cased) of the prediction that stand in
 * the same order in a training text, and whose run is not in the findings, the clinical information
 * or the reference of the pair. A span that only one patient's reports have ("personal") is what
 * privacy is about; one of many patients is a hospital's phrase.
 *
 * Exposure (Carlini et al., "The secret sharer", USENIX Security 2019): of a canary, log2 of the
 * number of candidates + 1, minus log2 of its rank among them by nll a token. evaluate.canaries is
 * a pairs file of radmill generate: source `canary` was planted in training, other sources are
 * candidates that were not. A model that has not memorised has a mean of about 1.44 (1 / ln 2).
 *
 * Not found: paraphrase, spans shorter than RUN words, training data beyond this file. */
#include <math.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/jsonl.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"
#include "generate/pairs.h"

enum {
    COL_SPAN = 0, /* words in spans; words */
    COL_PERSONAL = 2,
    COL_ANY = 4, /* 1 with a personal span */
    COL_LONGEST,
    COLUMNS,
    RUN = 8,
    LINE_BYTES = 16 << 20,
    WORDS_MAX = 1 << 20,
};
#define RUNS_MAX    ((size_t)1 << 29)
#define ARENA_BYTES ((size_t)4 << 30)
static const char canary_source[] = "canary";

static const struct metric_value values[] = {
    {.name = "memorization.words",
     .label = "Memorised: words in verbatim training spans of 8 or more",
     .scale = 100,
     .flags = METRIC_LOWER,
     .column = COL_SPAN,
     .columns = 2,
     .stat = metric_ratio},
    {.name = "memorization.personal",
     .label = "Memorised: words in spans of a single training patient",
     .scale = 100,
     .flags = METRIC_LOWER | METRIC_HEADLINE,
     .column = COL_PERSONAL,
     .columns = 2,
     .stat = metric_ratio},
    {.name = "memorization.answers",
     .label = "Memorised: answers with such a span",
     .scale = 100,
     .flags = METRIC_LOWER,
     .column = COL_ANY,
     .columns = 1},
    {.name = "memorization.longest",
     .label = "Memorised: longest span, words",
     .scale = 1,
     .flags = METRIC_LOWER,
     .column = COL_LONGEST,
     .columns = 1},
};

/* A run of RUN words of a training text; many: of more than one patient. */
struct run {
    uint64_t hash;
    uint32_t owner;
    bool many;
};
struct scorer {
    struct arena arena;
    struct run *runs;
    size_t nruns, cap;
    uint64_t *words; /* hashes of the words of one text */
    size_t nwords, words_cap;
    uint64_t *own; /* runs of the pair's own texts */
    size_t nown, own_cap;
    uint64_t reports;
    uint32_t owner; /* of the report at hand */
    double exposure, highest;
    size_t canaries, candidates;
};

/* ---- words and runs */
static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static uint64_t word_hash(struct str w)
{
    uint64_t h = UINT64_C(1469598103934665603); /* FNV-1a, so that no copy is lower-cased */

    for (size_t i = 0; i < w.n; i++) {
        unsigned char c = (unsigned char)w.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * UINT64_C(1099511628211);
    }
    return h;
}

static bool read_words(struct scorer *s, struct str text, struct err *e)
{
    s->nwords = 0;
    for (size_t i = 0; i < text.n;) {
        size_t from = i;
        void *p = s->words;
        while (i < text.n && is_word((unsigned char)text.p[i]))
            i++;
        if (i == from) {
            i++;
            continue;
        }
        if (s->nwords == WORDS_MAX)
            return err_set(e, ERR_LIMIT, "a text of more than %d words", WORDS_MAX);
        if (!mem_grow(&p, &s->words_cap, s->nwords + 1, sizeof *s->words, e)) return false;
        s->words = p;
        s->words[s->nwords++] = word_hash(str_sub(text, from, i));
    }
    return true;
}

static uint64_t run_at(const struct scorer *s, size_t i)
{
    return hash_xxh64(s->words + i, RUN * sizeof *s->words, 0);
}

static size_t run_count(const struct scorer *s)
{
    return s->nwords < RUN ? 0 : s->nwords - RUN + 1;
}

/* ---- the training texts */
static bool add_text(struct scorer *s, struct str text, struct err *e)
{
    void *p = s->runs;

    if (!read_words(s, text, e)) return false;
    if (s->nruns + run_count(s) > RUNS_MAX)
        return err_set(e, ERR_LIMIT, "more than %zu runs of words", RUNS_MAX);
    if (!mem_grow(&p, &s->cap, s->nruns + run_count(s) + 1, sizeof *s->runs, e)) return false;
    s->runs = p;
    for (size_t i = 0; i < run_count(s); i++)
        s->runs[s->nruns++] = (struct run){run_at(s, i), s->owner, false};
    return true;
}

static bool is_text(const char *key)
{
    static const char *const keys[] = {"findings",  "impression", "clinical",   "examination",
                                       "technique", "comparison", "background", "reference"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (str_eqz(str_of(key), keys[i])) return true;
    return false;
}

static bool take_report(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    struct scorer *s = ctx;
    const json_t *patient = json_object_get(obj, "patient");
    const char *key;
    json_t *v;

    if (!patient) patient = json_object_get(obj, "group");
    s->owner = (uint32_t)index;
    if (json_string_length(patient) > 0)
        s->owner = (uint32_t)hash_xxh64(json_string_value(patient), json_string_length(patient), 0);
    s->reports++;
    json_object_foreach((json_t *)obj, key, v)
    {
        struct str text = {json_string_value(v), json_string_length(v)};
        if (json_is_string(v) && is_text(key) && !add_text(s, text, e)) return false;
    }
    return true;
}

static int by_hash(const void *x, const void *y)
{
    const struct run *a = x, *b = y;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

static void fold_runs(struct scorer *s)
{
    size_t n = 0;

    if (s->nruns > 0) qsort(s->runs, s->nruns, sizeof *s->runs, by_hash);
    for (size_t i = 0; i < s->nruns; i++) {
        if (n > 0 && s->runs[n - 1].hash == s->runs[i].hash)
            s->runs[n - 1].many |= s->runs[n - 1].owner != s->runs[i].owner;
        else
            s->runs[n++] = s->runs[i];
    }
    s->nruns = n;
}

static bool read_training(struct scorer *s, const char *path, struct err *e)
{
    struct fs_map map;

    if (!fs_map_open(path, &map, e)) return false;
    bool ok =
        jsonl_each((struct str){(const char *)map.p, map.n}, path, LINE_BYTES, take_report, s, e);
    fs_map_close(&map);
    if (ok && s->nruns == 0)
        ok = err_set(e, ERR_FORMAT, "%s: no text of %d words in it", path, RUN);
    if (ok) fold_runs(s);
    return ok;
}

/* ---- canaries */
static double per_token(const struct pair *p)
{
    return p->nll / (double)p->tokens;
}

static bool read_canaries(struct scorer *s, const char *path, struct err *e)
{
    struct pair *p;
    size_t n;

    if (!path) return true;
    if (!pairs_read(path, &s->arena, &p, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i].tokens == 0)
            return err_set(e, ERR_FORMAT, "%s: pair %zu has no nll: radmill generate writes it",
                           path, i);
        s->candidates += !str_eqz(p[i].source, canary_source);
    }
    if (s->candidates == 0 || s->candidates == n)
        return err_set(e, ERR_CONFIG, "%s: sources `%s` and others are needed", path,
                       canary_source);
    for (size_t i = 0; i < n; i++) {
        size_t rank = 1;
        if (!str_eqz(p[i].source, canary_source)) continue;
        for (size_t k = 0; k < n; k++)
            rank += !str_eqz(p[k].source, canary_source) && per_token(&p[k]) < per_token(&p[i]);
        double exposure = log2((double)s->candidates + 1) - log2((double)rank);
        s->exposure += exposure;
        s->highest = fmax(s->highest, exposure);
        s->canaries++;
    }
    s->exposure /= (double)s->canaries;
    return true;
}

/* ---- a pair */
static int by_u64(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static bool add_own(struct scorer *s, struct str text, struct err *e)
{
    void *p = s->own;

    if (!read_words(s, text, e) ||
        !mem_grow(&p, &s->own_cap, s->nown + run_count(s) + 1, sizeof *s->own, e))
        return false;
    s->own = p;
    for (size_t i = 0; i < run_count(s); i++)
        s->own[s->nown++] = run_at(s, i);
    return true;
}

/* The training run at word i, unless the pair's own texts have it too. */
static const struct run *foreign_run(const struct scorer *s, size_t i)
{
    const struct run want = {.hash = run_at(s, i)};

    if (s->nown > 0 && bsearch(&want.hash, s->own, s->nown, sizeof *s->own, by_u64)) return NULL;
    return bsearch(&want, s->runs, s->nruns, sizeof *s->runs, by_hash);
}

static void count_spans(const struct scorer *s, double *v)
{
    size_t end = 0, personal_end = 0, length = 0; /* covered so far */

    for (size_t i = 0; i < run_count(s); i++) {
        const struct run *r = foreign_run(s, i);
        if (!r) continue;
        size_t from = i > end ? i : end;
        length = i >= end ? RUN : length + i + RUN - end; /* spans that only touch are two */
        v[COL_SPAN] += (double)(i + RUN - from);
        v[COL_LONGEST] = fmax(v[COL_LONGEST], (double)length);
        end = i + RUN;
        if (r->many) continue;
        from = i > personal_end ? i : personal_end;
        v[COL_PERSONAL] += (double)(i + RUN - from);
        personal_end = i + RUN;
        v[COL_ANY] = 1;
    }
}

static bool score(void *scorer, const struct metric_text *t, size_t n, double *rows, size_t stride,
                  struct err *e)
{
    struct scorer *s = scorer;

    for (size_t i = 0; i < n; i++) {
        double *v = rows + i * stride;
        s->nown = 0;
        if (!add_own(s, t[i].findings, e) || !add_own(s, t[i].clinical, e) ||
            !add_own(s, t[i].reference, e) || !read_words(s, t[i].prediction, e))
            return false;
        if (s->nown > 0) qsort(s->own, s->nown, sizeof *s->own, by_u64);
        count_spans(s, v);
        v[COL_SPAN + 1] = v[COL_PERSONAL + 1] = (double)s->nwords;
    }
    return true;
}

/* ---- */
static void close_memory(void *scorer)
{
    struct scorer *s = scorer;
    if (!s) return;
    mem_free(s->own);
    mem_free(s->words);
    mem_free(s->runs);
    arena_free(&s->arena);
    mem_free(s);
}

static bool open_memory(const struct metric_env *env, void **out, struct err *e)
{
    struct scorer *s = mem_calloc(1, sizeof *s, e);

    *out = NULL;
    if (!s) return false;
    arena_init(&s->arena, ARENA_BYTES);
    if (!read_training(s, env->opts->training, e) || !read_canaries(s, env->opts->canaries, e)) {
        close_memory(s);
        return false;
    }
    *out = s;
    return true;
}

static bool check(const struct evaluate_opts *o, struct err *e)
{
    return o->training ||
           err_set(e, ERR_CONFIG,
                   "metric memorization needs evaluate.training: the reports trained on (radmill "
                   "export --format jsonl --split train)");
}

static bool signature(void *scorer, struct sbuf *b, struct err *e)
{
    const struct scorer *s = scorer;

    if (!sbuf_printf(b, e, "memorization|run:%d|training reports:%llu|v:2", RUN,
                     (unsigned long long)s->reports))
        return false;
    return s->canaries == 0 ||
           sbuf_printf(b, e,
                       "|canaries:%zu of %zu candidates|exposure mean %.2f, most %.2f bits "
                       "(by chance 1.44)",
                       s->canaries, s->candidates, s->exposure, s->highest);
}

const struct metric metric_memorization = {
    .name = "memorization",
    .help = "verbatim spans of training reports in answers, and exposure of planted canaries",
    .values = values,
    .nvalues = sizeof values / sizeof values[0],
    .ncolumns = COLUMNS,
    .whole = true,
    .check = check,
    .open = open_memory,
    .score = score,
    .close = close_memory,
    .signature = signature,
};
