/* A judge at work: pairs files graded, and how it does on further labels. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "evaluate/metric_judge.h"
#include "generate/pairs.h"
#include "judge/judge_apart.h"

/* ---- a judge from its folder */
struct judge_open {
    struct judge_run r;
    struct judge_opts opts; /* as the card says */
    struct judge_job job;
    struct judge_card card;
    struct arena arena; /* of the card */
    const char *adapter;
};

static void judge_shut(struct judge_open *j)
{
    judge_run_close(&j->r);
    judge_card_free(&j->card);
    arena_free(&j->arena);
}

/* The adapter must be the one the card speaks of. */
static bool check_adapter(struct judge_open *j, struct err *e)
{
    char digest[65];

    if (!judge_read_digest(j->adapter, digest, e)) return false;
    return strcmp(digest, j->card.adapter) == 0 ||
           err_set(e, ERR_CONFIG,
                   "%s is not the adapter that judge.json was made for: train the judge again",
                   j->adapter);
}

static bool read_card(struct judge_open *j, struct err *e)
{
    const char *path;

    if (!fs_join(&j->arena, j->opts.dir, "judge.json", &path, e)) return false;
    if (!fs_exists(path))
        return err_set(e, ERR_CONFIG, "%s is not there: run radmill judge train first", path);
    if (!judge_card_read(path, &j->arena, &j->card, e) ||
        !fs_join(&j->arena, j->opts.dir, j->card.folder, &j->adapter, e))
        return false;
    j->opts.template = j->card.template;
    j->opts.max_tokens = j->card.max_tokens;
    j->opts.list = j->card.list;
    j->opts.check = j->card.check;
    return check_adapter(j, e);
}

/* Collective. On failure shut all the same. */
static bool judge_open(struct judge_open *j, const struct judge_job *job, struct comm *c,
                       struct err *e)
{
    *j = (struct judge_open){.opts = *job->judge, .job = *job};
    arena_init(&j->arena, 64 << 20);
    j->job.judge = &j->opts;
    if (!comm_agree(c, read_card(j, e), e)) return false;
    return judge_run_open(&j->r, &j->job, c, e);
}

static bool read_all(struct judge_open *j, const struct judge_fields *v, size_t n,
                     struct judge_reading *out, struct err *e)
{
    char base[65], digest[65];

    if (!judge_run_read(&j->r, j->adapter, v, n, out, base, digest, e)) return false;
    return strcmp(base, j->card.base) == 0 ||
           err_set(e, ERR_CONFIG, "%s are not the weights this judge was trained on",
                   j->job.model->base);
}

static bool put_line(const struct judge_card *c, struct judge_summary *s, struct err *e)
{
    struct sbuf b;
    bool ok;

    sbuf_init(&b, sizeof s->line - 1);
    ok = judge_card_line(c, &b, e);
    if (ok) memcpy(s->line, b.p, b.n + 1);
    s->validated = c->v.validated;
    s->held = c->v.tau.n;
    sbuf_free(&b);
    return ok;
}

/* ---- pairs */
static bool put_grade(const struct judge_card *c, const struct pair *p,
                      const struct judge_reading *r, double rule, struct sbuf *b, struct err *e)
{
    struct judge_grade g = judge_card_grade(c, r->value, r->spread, rule);

    return sbuf_put(b, STR("{\"id\": "), e) && json_put_str(b, p->id, false, e) &&
           sbuf_printf(b, e, ", \"key\": \"%016llx\"",
                       (unsigned long long)metric_judge_key(p->prediction, p->reference)) &&
           sbuf_printf(b, e,
                       ", \"judge\": {\"score\": %.4f, \"lo\": %.4f, \"hi\": %.4f, \"abstains\": "
                       "%s, \"raw\": %.6f, \"spread\": %.6f, \"errors\": ",
                       g.value, g.lo, g.hi, g.abstains ? "true" : "false", r->value, r->spread) &&
           judge_prompt_put_errors(str_of(r->list), b, e) && sbuf_put(b, STR("}}\n"), e);
}

/* Pairs on their way to grades. */
struct graded {
    struct pair *pair; /* [n], in the run's arena */
    size_t n;
    struct judge_fields *fields;
    struct judge_reading *reading;
    double *rule; /* the rule check's score */
};

static bool write_grades(const struct judge_open *j, const struct graded *g, const char *line,
                         const char *path, struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf b;
    bool ok;

    sbuf_init(&b, 1 << 20);
    ok = fs_writer_open(path, &w, e) && sbuf_put(&b, STR("{\"signature\": "), e) &&
         json_put_str(&b, str_of(line), false, e) && sbuf_put(&b, STR("}\n"), e) &&
         fs_writer_put(w, b.p, b.n, e);
    for (size_t i = 0; ok && i < g->n; i++) {
        sbuf_clear(&b);
        ok = put_grade(&j->card, &g->pair[i], &g->reading[i], g->rule[i], &b, e) &&
             fs_writer_put(w, b.p, b.n, e);
    }
    ok = ok && fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&b);
    return ok;
}

static bool fill_fields(struct judge_open *j, struct graded *g, struct err *e)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct pair *p = &g->pair[i];
        struct judge_fields *v = &g->fields[i];
        *v = (struct judge_fields){.clinical = p->clinical,
                                   .findings = p->findings,
                                   .reference = p->reference,
                                   .generated = p->prediction};
        if ((j->opts.check || j->card.blend.rule > 0) &&
            !judge_set_rule(j->r.facts, v, &j->r.arena, &g->rule[i],
                            j->opts.check ? &v->check : NULL, e))
            return err_wrap(e, "pair %zu", i);
    }
    return true;
}

static bool read_pairs(struct judge_open *j, const char *path, struct graded *g, struct err *e)
{
    if (!pairs_read(path, &j->r.arena, &g->pair, &g->n, e)) return false;
    g->fields = mem_calloc(g->n + 1, sizeof *g->fields, e);
    if (!g->fields) return false;
    g->reading = mem_calloc(g->n + 1, sizeof *g->reading, e);
    if (!g->reading) return false;
    g->rule = mem_calloc(g->n + 1, sizeof *g->rule, e);
    return g->rule && fill_fields(j, g, e);
}

static bool score(struct judge_open *j, const char *pairs, const char *out, struct judge_summary *s,
                  struct err *e)
{
    struct graded g = {0};
    bool ok = comm_agree(j->r.c, read_pairs(j, pairs, &g, e), e) &&
              read_all(j, g.fields, g.n, g.reading, e);

    if (ok) {
        ok = put_line(&j->card, s, e) &&
             (comm_rank(j->r.c) != 0 || write_grades(j, &g, s->line, out, e));
        ok = comm_agree(j->r.c, ok, e);
    }
    s->labels = g.n;
    mem_free(g.rule);
    mem_free(g.reading);
    mem_free(g.fields);
    return ok;
}

bool judge_score(const struct judge_job *job, const char *pairs, const char *out, struct comm *c,
                 struct judge_summary *s, struct err *e)
{
    struct judge_open j;

    *s = (struct judge_summary){.alpha = (double)NAN};
    bool ok = judge_open(&j, job, c, e) && score(&j, pairs, out, s, e);
    judge_shut(&j);
    return ok;
}

/* ---- further labels */
static bool validate(struct judge_open *j, const char *path, struct judge_summary *s, struct err *e)
{
    struct judge_card card = {.truth = "readers, further labels"};
    struct judge_set set;
    struct judge_apart h;
    struct factlabel *v;
    size_t n;
    bool *all = NULL;
    bool ok = factlabel_read(path, &j->r.arena, &v, &n, e) && factlabel_latest(v, &n, e) &&
              judge_set_make(v, n, j->r.facts, j->opts.check, &j->r.arena, &set, e) &&
              judge_apart_init(&j->r, &set, &h, e);

    if (ok) all = arena_alloc(&j->r.arena, set.n + 1, e);
    if (!comm_agree(j->r.c, all != NULL, e)) return false;
    for (size_t i = 0; i < set.n; i++)
        all[i] = true;
    ok = judge_apart_read(&j->r, &set, all, j->adapter, &h, &card, e) &&
         comm_agree(j->r.c,
                    judge_apart_card(&j->r, &set, &h, &j->card.blend, &card, e) &&
                        put_line(&card, s, e),
                    e);
    s->labels = n;
    judge_card_free(&card);
    return ok;
}

bool judge_validate(const struct judge_job *job, const char *labels, struct comm *c,
                    struct judge_summary *s, struct err *e)
{
    struct judge_open j;

    *s = (struct judge_summary){.alpha = (double)NAN};
    bool ok = judge_open(&j, job, c, e) && validate(&j, labels, s, e);
    judge_shut(&j);
    return ok;
}
