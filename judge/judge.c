#include "judge/judge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "judge/judge_apart.h"
#include "judge/judge_made.h"
#include "label/agreement.h"

static const char *const template_names[] = {"judge", NULL};

const struct opt judge_table[] = {
    OPT_PATH(struct judge_opts, dir, NULL,
             "folder of the judge: trainings, held-out answers, card"),
    OPT_PATH(struct judge_opts, reports, NULL,
             "a pairs file: errors are made in its references (stage A)"),
    OPT_U32(struct judge_opts, made, 5000, 0, 10000000,
            "judgements to make from judge.reports; 0: no stage A"),
    OPT_PATH(struct judge_opts, labels, NULL,
             "label file of readers, or a pattern of several (stage B)"),
    OPT_U32(struct judge_opts, folds, 5, 2, 100, "parts of the cross-validation: whole patients"),
    OPT_F64(struct judge_opts, held, 0.3, 0.05, 0.8,
            "without labels: share of patients held out of stage A, to validate on"),
    OPT_PATH_OR(struct judge_opts, template, "judge", template_names,
                "prompt: judge, or a file (judge/judge_prompt)"),
    OPT_U32(struct judge_opts, max_tokens, 768, 32, 1048576, "of prompt and answer"),
    OPT_BOOL(struct judge_opts, list, true,
             "the judge lists the errors before it grades; false: faster, the grade alone"),
    OPT_BOOL(struct judge_opts, check, true, "the judge is shown what the rule check says"),
    OPT_BOOL(struct judge_opts, blend, true,
             "the grade weighs the model's reading and the rule check's score; false: the reading "
             "alone"),
    OPT_F64(struct judge_opts, made_epochs, 1, 0.001, 1000, "epochs of stage A"),
    OPT_F64(struct judge_opts, made_lr, 2e-4, 0, 1, "peak learning rate of stage A"),
    OPT_F64(struct judge_opts, least_alpha, 0.4, -1, 1,
            "least agreement of the readers (Krippendorff's alpha) to train on"),
    OPT_BOOL(struct judge_opts, force, false, "train on labels of less or unknown agreement"),
    OPT_BOOL(struct judge_opts, shuffle, false,
             "a control: every answer gets another's label; must come out not validated"),
    OPT_U64(struct judge_opts, seed, 1, 0, 9e18, "of what is made, folds and resamples"),
    OPT_U32(struct judge_opts, bootstrap, 2000, 10, 1000000, "resamples of the intervals"),
    OPT_PATH(struct judge_opts, lexicon, NULL, "of the rule check; default: the one built in"),
    OPT_END,
};

/* ---- labels */
static bool read_labels(struct judge_run *r, struct factlabel **out, size_t *n, struct err *e)
{
    struct str *files;
    size_t nfiles;

    *out = NULL;
    *n = 0;
    if (!r->o->labels) return true;
    if (!fs_glob(r->o->labels, &r->arena, &files, &nfiles, e)) return false;
    for (size_t i = 0; i < nfiles; i++) {
        struct factlabel *v, *all;
        size_t k;
        if (!factlabel_read(files[i].p, &r->arena, &v, &k, e)) return false;
        all = arena_alloc(&r->arena, (*n + k + 1) * sizeof *all, e);
        if (!all) return false;
        if (*n > 0) memcpy(all, *out, *n * sizeof *all);
        if (k > 0) memcpy(all + *n, v, k * sizeof *all);
        *out = all;
        *n += k;
    }
    return factlabel_latest(*out, n, e);
}

/* Collective. */
static bool check_agreement(struct judge_run *r, const struct factlabel *v, size_t n, double *alpha,
                            struct err *e)
{
    struct boot_opts o = {.seed = r->o->seed, .replicates = 200};
    struct agreement *a = mem_calloc(1, sizeof *a, e);
    bool ok = comm_agree(r->c, a != NULL, e) && agreement_of(v, n, &o, r->c, a, e);

    *alpha = ok && a->doubled > 0 ? a->alpha.mean : (double)NAN;
    if (ok && !r->o->force && isnan(*alpha))
        ok = err_set(e, ERR_CONFIG,
                     "no answer was read by two readers: their agreement is unknown; have some "
                     "read twice, or judge.force");
    else if (ok && !r->o->force && *alpha < r->o->least_alpha)
        ok =
            err_set(e, ERR_CONFIG,
                    "the readers agree with alpha %.2f, less than judge.least_alpha %.2f: no judge "
                    "can be better than its labels; settle the disagreements, or judge.force",
                    *alpha, r->o->least_alpha);
    mem_free(a);
    return ok;
}

static bool new_flags(struct judge_run *r, size_t n, bool **out, uint8_t **split, struct err *e)
{
    *out = arena_alloc(&r->arena, n + 1, e);
    *split = *out ? arena_alloc(&r->arena, n + 1, e) : NULL;
    return *split != NULL;
}

static bool make_set(struct judge_run *r, const struct factlabel *v, size_t n,
                     struct judge_set *out, struct err *e)
{
    return judge_set_make(v, n, r->facts, r->o->check, &r->arena, out, e) &&
           (!r->o->shuffle || judge_set_shuffle(out, r->o->seed, e));
}

/* Made judgements of patients whose answers readers judged stay out of training. */
static size_t without_patients(struct factlabel *made, size_t n, const struct factlabel *labels,
                               size_t nlabels)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        bool named = false;
        for (size_t k = 0; labels && k < nlabels && !named && made[i].subject.n > 0; k++)
            named = str_eq(made[i].subject, labels[k].subject);
        if (!named) made[kept++] = made[i];
    }
    return kept;
}

static const struct blend *weights_of(const struct judge_run *r)
{
    static const struct blend reading = BLEND_READING_INIT;
    return r->o->blend ? NULL : &reading;
}

/* ---- stage A: errors made on purpose */
enum { TENTHS = 10 };

/* The labels to train stage A on; judge.dir/made.jsonl keeps all that were made. */
static bool made_set(struct judge_run *r, const struct factlabel *labels, size_t nlabels,
                     struct judge_set *out, struct err *e)
{
    const struct judge_made_opts o = {.reports = r->o->reports,
                                      .count = r->o->made,
                                      .seed = r->o->seed,
                                      .lexicon = r->o->lexicon};
    struct factlabel *v;
    const char *path;
    size_t n;

    if (!judge_made_labels(&o, &r->arena, &v, &n, e)) return false;
    if (comm_rank(r->c) == 0 &&
        !(fs_join(&r->arena, r->o->dir, "made.jsonl", &path, e) && judge_made_write(path, v, n, e)))
        return false;
    n = without_patients(v, n, labels, nlabels);
    return make_set(r, v, n, out, e);
}

/* So many tenths of the patients are not trained on. */
static bool split_made(struct judge_run *r, const struct judge_set *s, double share,
                       uint8_t **split, bool **held, struct err *e)
{
    uint32_t *part, apart = (uint32_t)lround(share * TENTHS);

    if (share > 0 && apart == 0) apart = 1;
    if (!judge_apart_parts(r, s, TENTHS, 1, &part, e) || !new_flags(r, s->n, held, split, e))
        return false;
    for (size_t i = 0; i < s->n; i++)
        (*held)[i] = part[i] < apart;
    return judge_apart_split(r, s, *held, *split, e);
}

/* *adapter of stage A; without labels its validation too. Collective. */
static bool stage_a(struct judge_run *r, const struct factlabel *labels, size_t nlabels,
                    const char **adapter, struct judge_card *card, struct judge_summary *out,
                    struct err *e)
{
    bool alone = nlabels == 0, *held = NULL;
    struct judge_set s;
    struct judge_apart h;
    struct judge_stage stage = {
        .name = "made", .epochs = r->o->made_epochs, .lr = r->o->made_lr, .set = &s};
    uint8_t *split = NULL;
    bool ok = made_set(r, labels, nlabels, &s, e) &&
              split_made(r, &s, alone ? r->o->held : 0, &split, &held, e);

    if (!comm_agree(r->c, ok, e)) return err_wrap(e, "stage made");
    out->made = s.n;
    stage.split = split;
    if (!judge_run_stage(r, &stage, adapter, e)) return false;
    if (!alone) return true;
    card->truth = "errors made on purpose";
    ok = judge_apart_init(r, &s, &h, e);
    if (!comm_agree(r->c, ok, e) || !judge_apart_read(r, &s, held, *adapter, &h, card, e))
        return false;
    ok = (comm_rank(r->c) != 0 || judge_apart_write(r, &s, &h, e)) &&
         judge_apart_card(r, &s, &h, weights_of(r), card, e);
    return comm_agree(r->c, ok, e);
}

/* ---- stage B: readers' labels, each part held out once */
struct stage_b {
    struct judge_set s;
    struct judge_apart h;
    bool *held;
    uint8_t *split;
};

/* part: held out; judge.folds: none. Collective. */
static bool train_part(struct judge_run *r, struct stage_b *b, uint32_t part, const char *from,
                       const char **adapter, struct err *e)
{
    char name[32] = "final";
    struct judge_stage stage = {.name = name,
                                .init_from = from,
                                .epochs = r->j->train->epochs,
                                .lr = r->j->train->lr,
                                .set = &b->s,
                                .split = b->split};

    if (part < r->o->folds) snprintf(name, sizeof name, "fold%u", part);
    for (size_t i = 0; i < b->s.n; i++)
        b->held[i] = b->h.part[i] == part;
    return comm_agree(r->c, judge_apart_split(r, &b->s, b->held, b->split, e), e) &&
           judge_run_stage(r, &stage, adapter, e);
}

static bool stage_b_init(struct judge_run *r, const struct factlabel *v, size_t n,
                         struct stage_b *b, struct err *e)
{
    return make_set(r, v, n, &b->s, e) && judge_apart_init(r, &b->s, &b->h, e) &&
           new_flags(r, b->s.n, &b->held, &b->split, e);
}

/* *adapter: stage A's or NULL on the way in, the final one on the way out. Collective. */
static bool stage_b(struct judge_run *r, const struct factlabel *v, size_t n, const char **adapter,
                    struct judge_card *card, struct err *e)
{
    const char *from = *adapter;
    struct stage_b b;
    bool ok = stage_b_init(r, v, n, &b, e);

    if (!comm_agree(r->c, ok, e)) return err_wrap(e, "stage labels");
    for (uint32_t part = 0; part < r->o->folds; part++) {
        if (!train_part(r, &b, part, from, adapter, e) ||
            !judge_apart_read(r, &b.s, b.held, *adapter, &b.h, card, e))
            return false;
    }
    card->truth = "readers";
    ok = (comm_rank(r->c) != 0 || judge_apart_write(r, &b.s, &b.h, e)) &&
         judge_apart_card(r, &b.s, &b.h, weights_of(r), card, e);
    return comm_agree(r->c, ok, e) && train_part(r, &b, r->o->folds, from, adapter, e);
}

/* ---- the whole */
static bool check_opts(const struct judge_opts *o, struct err *e)
{
    return o->labels || (o->reports && o->made > 0) ||
           err_set(e, ERR_CONFIG,
                   "neither judge.labels nor judge.reports is set: nothing to learn from");
}

static bool finish(struct judge_run *r, const char *adapter, struct judge_card *card,
                   struct judge_summary *out, struct err *e)
{
    struct sbuf line;
    const char *path;
    bool ok;

    sbuf_init(&line, sizeof out->line - 1);
    card->template = r->o->template;
    card->max_tokens = r->o->max_tokens;
    card->list = r->o->list;
    card->check = r->o->check;
    card->shuffled = r->o->shuffle;
    card->folder = r->o->labels ? "final/run/adapter" : "made/run/adapter";
    ok = judge_read_digest(adapter, card->adapter, e) &&
         fs_join(&r->arena, r->o->dir, "judge.json", &path, e) &&
         (comm_rank(r->c) != 0 || judge_card_write(path, card, e)) &&
         judge_card_line(card, &line, e);
    if (ok) memcpy(out->line, line.p, line.n + 1);
    out->held = card->v.tau.n;
    out->validated = card->v.validated;
    out->cut = r->cut;
    sbuf_free(&line);
    return comm_agree(r->c, ok, e);
}

static bool train_all(struct judge_run *r, struct judge_summary *out, struct err *e)
{
    struct judge_card card = {0};
    const char *adapter = NULL;
    struct factlabel *v = NULL;
    size_t n = 0;
    bool ok = comm_agree(r->c, fs_mkdirs(r->o->dir, e) && read_labels(r, &v, &n, e), e);

    out->labels = ok ? n : 0;
    if (ok && r->o->labels) ok = check_agreement(r, v, n, &out->alpha, e);
    if (ok && r->o->reports && r->o->made > 0) ok = stage_a(r, v, n, &adapter, &card, out, e);
    if (ok && r->o->labels) ok = stage_b(r, v, n, &adapter, &card, e);
    ok = ok && finish(r, adapter, &card, out, e);
    judge_card_free(&card);
    return ok;
}

bool judge_train(const struct judge_job *j, struct comm *c, struct judge_summary *out,
                 struct err *e)
{
    struct judge_run r;

    *out = (struct judge_summary){.alpha = (double)NAN};
    if (!check_opts(j->judge, e)) return false;
    bool ok = judge_run_open(&r, j, c, e) && train_all(&r, out, e);
    judge_run_close(&r);
    return ok;
}
