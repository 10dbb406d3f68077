/* radmill evaluate: predictions to scores; a table on the terminal, the report on disk. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/audit.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/build_info.h"
#include "cli/config.h"
#include "cli/evaluate_runs.h"
#include "cli/train_split.h"
#include "evaluate/facts_list.h"
#include "generate/pairs.h"

/* The headline values, four to a table so that a terminal holds it. WIDTH: of a column whose label
 * is no longer. */
enum { COLUMNS = 4, NAME_WIDTH = 18, WIDTH = 24 };

struct table {
    size_t v[METRIC_VALUES_MAX], n;
};

static void pick(const struct evaluate_summary *s, struct table *t)
{
    t->n = 0;
    for (size_t v = 0; v < s->set.nvalues; v++)
        if (s->set.value[v]->flags & METRIC_HEADLINE) t->v[t->n++] = v;
}

static int width_of(const struct metric_value *v)
{
    size_t n = strlen(v->label);
    return n > WIDTH ? (int)n : WIDTH;
}

static void print_ci(const struct cmd_call *call, const struct boot_ci *c,
                     const struct metric_value *v)
{
    char cell[64];

    (void)snprintf(cell, sizeof cell, "%.2f [%.2f, %.2f]", v->scale * c->mean, v->scale * c->lo,
                   v->scale * c->hi);
    cmd_print(call, "  %-*s", width_of(v), cell);
}

static void print_loss(const struct cmd_call *call, const struct evaluate_loss *loss)
{
    if (loss->tokens)
        cmd_print(call, "  %6.3f", loss->per_token);
    else
        cmd_print(call, "  %6s", "-");
}

static void print_row(const struct cmd_call *call, const struct evaluate_summary *s,
                      const struct table *t, size_t first, const struct boot_ci *values)
{
    for (size_t i = first; i < t->n && i < first + COLUMNS; i++)
        print_ci(call, &values[t->v[i]], s->set.value[t->v[i]]);
    cmd_print(call, "\n");
}

static void print_part(const struct cmd_call *call, const struct evaluate_summary *s,
                       const struct table *t, size_t first)
{
    cmd_print(call, "  %-*s  %6s", NAME_WIDTH, "", "loss");
    for (size_t i = first; i < t->n && i < first + COLUMNS; i++)
        cmd_print(call, "  %-*s", width_of(s->set.value[t->v[i]]), s->set.value[t->v[i]]->label);
    cmd_print(call, "\n  %-*.*s", NAME_WIDTH, NAME_WIDTH, "this system");
    print_loss(call, &s->loss);
    print_row(call, s, t, first, s->value);
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_compared *c = &s->compared[i];
        cmd_print(call, "  %-*.*s", NAME_WIDTH, NAME_WIDTH, c->name);
        print_loss(call, &c->loss);
        print_row(call, s, t, first, c->value);
    }
}

/* The differences to the other systems by the first headline value that has the most use: ROUGE-L
 * where it is there. */
static size_t main_value(const struct evaluate_summary *s, const struct table *t)
{
    size_t v = metric_set_find(&s->set, "rougeL.f");
    return v != SIZE_MAX ? v : t->v[0];
}

/* A difference as it is printed: one that rounds to zero has no sign. */
static double difference(double v)
{
    return fabs(v) < 0.005 ? 0.0 : v;
}

static void print_deltas(const struct cmd_call *call, const struct evaluate_summary *s, size_t v)
{
    const struct metric_value *value = s->set.value[v];
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_delta *d = &s->compared[i].delta[v];
        cmd_print(call, "  %s over %s: %+.2f [%+.2f, %+.2f], p = %.4f, by Holm %.4f\n",
                  value->label, s->compared[i].name, difference(value->scale * d->ci.mean),
                  difference(value->scale * d->ci.lo), difference(value->scale * d->ci.hi), d->p,
                  d->holm);
    }
}

static void print_table(const struct cmd_call *call, const struct evaluate_summary *s)
{
    struct table t;
    pick(s, &t);
    cmd_print(call, "%zu pairs; values with 95 %% intervals, 0 to 100\n", s->pairs);
    for (size_t m = 0; m < s->set.n; m++)
        cmd_print(call, "  %s: %s\n", s->set.metric[m]->name, s->signature[m]);
    for (size_t first = 0; first < t.n; first += COLUMNS)
        print_part(call, s, &t, first);
    if (t.n > 0) print_deltas(call, s, main_value(s, &t));
    for (size_t i = 0; i < s->nleft_out; i++)
        cmd_print(call, "  baseline %s is left out: %s\n", s->left_out[i].name, s->left_out[i].why);
}

static void print_strata(const struct cmd_call *call, const struct evaluate_summary *s)
{
    struct table table;
    pick(s, &table);
    if (table.n == 0) return;
    size_t v = main_value(s, &table);
    double scale = s->set.value[v]->scale;
    for (size_t i = 0; i < s->nstrata; i++) {
        const struct evaluate_stratum *t = &s->strata[i];
        const struct boot_ci *own = &t->number[v], *over = &t->over_constant[v];
        cmd_print(call, "  %-10s %-18s %6zu pairs   %s %6.2f [%5.2f, %5.2f]", t->by, t->value,
                  t->pairs, s->set.value[v]->label, scale * own->mean, scale * own->lo,
                  scale * own->hi);
        if (t->has_constant)
            cmd_print(call, "   over constant %+.2f [%+.2f, %+.2f]", difference(scale * over->mean),
                      difference(scale * over->lo), difference(scale * over->hi));
        cmd_print(call, "\n");
    }
}

/* Spread over the file, so that they are no choice of ours. */
static bool show_samples(struct cmd_call *call, const char *path, const char *audit_dir,
                         uint64_t want)
{
    struct sbuf what;
    struct pair *pairs;
    size_t n;
    bool ok = false;

    sbuf_init(&what, 1024);
    if (!pairs_read(path, &call->arena, &pairs, &n, &call->err)) goto out;
    if (want > n) want = n;
    if (!sbuf_printf(&what, &call->err, "%llu predictions and references on the terminal",
                     (unsigned long long)want))
        goto out;
    if (!audit_note(audit_dir, "show", what.p, &call->err)) goto out;
    for (uint64_t i = 0; i < want; i++) {
        const struct pair *p = &pairs[(2 * i + 1) * n / (2 * want)];
        cmd_print(call, "\n  %.*s %.*s\n    reference   %.*s\n    prediction  %.*s\n",
                  STR_ARG(p->modality), STR_ARG(p->id), STR_ARG(p->reference),
                  STR_ARG(p->prediction));
    }
    ok = true;
out:
    sbuf_free(&what);
    return ok;
}

static bool list_facts(struct cmd_call *call, const char *path, const char *audit_dir,
                       const struct evaluate_opts *o)
{
    bool text = cmd_value(call, "--show-text") != NULL;
    struct pair *pairs;
    size_t n;
    if (text && !audit_note(audit_dir, "show",
                            "words of predictions, references and findings in the listing of "
                            "evaluate --facts",
                            &call->err))
        return false;
    return pairs_read(path, &call->arena, &pairs, &n, &call->err) &&
           facts_list_write(cmd_value(call, "--facts"), o->lexicon, pairs, n, text, &call->err);
}

/* "NAME=FILE", or a file alone. */
static bool set_other(struct cmd_call *call, struct evaluate_other *out, size_t *n)
{
    struct str rest = str_of(cmd_value(call, "--against")), name;

    *n = rest.n > 0;
    *out = (struct evaluate_other){"compared", rest.p};
    if (str_find(rest, STR("="), 0) == SIZE_MAX || fs_exists(rest.p)) return true;
    str_split(&rest, '=', &name);
    out->path = rest.p;
    return arena_str(&call->arena, name, &name, &call->err) && (out->name = name.p) != NULL;
}

static bool set_paths(struct cmd_call *call, struct config *c, const char **pairs)
{
    *pairs = cmd_value(call, "--pairs");
    c->evaluate.per_pair =
        cmd_value(call, "--per-pair") ? cmd_value(call, "--per-pair") : c->evaluate.per_pair;
    c->evaluate.report =
        cmd_value(call, "--output") ? cmd_value(call, "--output") : c->evaluate.report;
    if (*pairs) return true;
    if (call->npos == 0)
        return err_set(&call->err, ERR_CONFIG, "evaluate needs CONFIG.yaml or --pairs FILE");
    return config_need(call, c->generate.dir, "generate.dir") &&
           fs_join(&call->arena, c->generate.dir, "pairs.jsonl", pairs, &call->err);
}

/* Metric judge without a file of grades: the judge of judge.dir grades these pairs first. */
static bool grade_first(struct cmd_call *call, struct config *c, const char *pairs)
{
    const struct judge_job job = {.judge = &c->judge,
                                  .train = &c->train,
                                  .lora = &c->lora,
                                  .model = &c->model,
                                  .version = build_info_version,
                                  .commit = build_info_commit};
    struct judge_summary s;
    bool wanted = false;

    for (size_t i = 0; i < c->evaluate.metrics.n; i++)
        wanted = wanted || str_eqz(str_of(c->evaluate.metrics.v[i]), "judge");
    if (!wanted || c->evaluate.judge || !c->judge.dir || !c->model.base || !c->evaluate.dir)
        return true;
    if (!fs_join(&call->arena, c->evaluate.dir, "judge_scores.jsonl", &c->evaluate.judge,
                 &call->err) ||
        !comm_agree(call->comm, fs_mkdirs(c->evaluate.dir, &call->err), &call->err))
        return false;
    return judge_score(&job, pairs, c->evaluate.judge, call->comm, &s, &call->err);
}

/* No result replaces an input or another result: the report's old file goes before work begins. */
static bool check_apart(struct cmd_call *call, const struct config *c, const char *pairs,
                        const struct evaluate_other *other, size_t nothers)
{
    const char *from[] = {pairs,
                          nothers ? other->path : NULL,
                          call->npos ? call->pos[0] : NULL,
                          c->evaluate.judge,
                          c->evaluate.training,
                          c->evaluate.canaries};
    const char *to[] = {c->evaluate.report, c->evaluate.per_pair, cmd_value(call, "--facts")};

    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        for (size_t k = 0; k < sizeof from / sizeof from[0]; k++)
            if (!cmd_apart(call, to[i], from[k])) return false;
        for (size_t k = 0; k < i; k++)
            if (!cmd_apart(call, to[i], to[k])) return false;
    }
    return true;
}

/* A pairs file that the configuration names is what generate leaves. */
static bool check_there(struct cmd_call *call, const char *pairs)
{
    return cmd_value(call, "--pairs") || fs_exists(pairs) ||
           err_set(&call->err, ERR_CONFIG,
                   "%s is not there: run radmill generate first, or name a pairs file by --pairs",
                   pairs);
}

/* Where the text that is shown comes from, for the audit log. */
static bool audit_home(struct cmd_call *call, const struct config *c, const char *pairs,
                       const char **out)
{
    *out = c->evaluate.dir;
    return *out || fs_dir_of(&call->arena, pairs, out, &call->err);
}

static bool run(struct cmd_call *call, struct config *c, struct evaluate_summary *s)
{
    struct evaluate_other other;
    struct train_split *train = NULL;
    const char *pairs, *home;
    uint64_t samples = 0;
    size_t nothers;

    if (!cmd_number(call, "--samples", UINT32_MAX, &samples) || !set_paths(call, c, &pairs) ||
        !set_other(call, &other, &nothers) ||
        !comm_agree(call->comm,
                    check_there(call, pairs) && check_apart(call, c, pairs, &other, nothers),
                    &call->err) ||
        !audit_home(call, c, pairs, &home) || !grade_first(call, c, pairs))
        return false;
    bool ok = !train_split_wanted(c) ||
              train_split_open(c, &call->arena, &train, &c->evaluate.no_train, &call->err);
    ok = comm_agree(call->comm, ok, &call->err);
    if (train) c->evaluate.train = train_split_texts(train);
    if (ok) ok = evaluate_run(&c->evaluate, pairs, &other, nothers, call->comm, s, &call->err);
    train_split_close(train);
    if (!ok) return false;
    print_table(call, s);
    print_strata(call, s);
    if (comm_rank(call->comm) != 0) return true;
    if (cmd_value(call, "--facts") && !list_facts(call, pairs, home, &c->evaluate)) return false;
    return samples == 0 || show_samples(call, pairs, home, samples);
}

bool cmd_evaluate(struct cmd_call *call)
{
    struct config c;
    bool stop;

    bool config = call->npos > 0 && evaluate_is_config(call->pos[0]);
    if (config ? !config_load(call, &c) : !config_defaults(call, &c)) return false;
    if (!config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (call->npos > config) return evaluate_runs(call, &c, config);
    struct evaluate_summary *s = mem_calloc(1, sizeof *s, &call->err);
    if (!s) return false;
    bool ok = run(call, &c, s);
    mem_free(s);
    return ok;
}
