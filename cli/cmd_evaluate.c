/* radmill evaluate: predictions to scores; a table on the terminal, the report on disk. */
#include "base/audit.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/config.h"
#include "generate/pairs.h"

static const char *const columns[] = {"ROUGE-1", "ROUGE-2", "ROUGE-L"};
static const enum rouge_kind kinds[] = {ROUGE_1, ROUGE_2, ROUGE_L};
enum { COLUMNS = sizeof kinds / sizeof kinds[0] };

static void print_system(const struct cmd_call *call, const char *name,
                         const struct evaluate_metric *m, const struct evaluate_loss *loss)
{
    cmd_print(call, "  %-16.16s", name);
    if (loss->tokens)
        cmd_print(call, "  %6.3f", loss->per_token);
    else
        cmd_print(call, "  %6s", "-");
    for (int i = 0; i < COLUMNS; i++)
        cmd_print(call, "  %6.2f [%5.2f, %5.2f]", 100 * m[kinds[i]].f.mean, 100 * m[kinds[i]].f.lo,
                  100 * m[kinds[i]].f.hi);
    cmd_print(call, "\n");
}

static void print_table(const struct cmd_call *call, const struct evaluate_summary *s)
{
    cmd_print(call, "%zu pairs; F in per cent with 95 %% interval; %s\n", s->pairs, s->signature);
    cmd_print(call, "  %-16s  %6s", "", "loss");
    for (int i = 0; i < COLUMNS; i++)
        cmd_print(call, "  %-22s", columns[i]);
    cmd_print(call, "\n");
    print_system(call, "this system", s->m, &s->loss);
    for (size_t i = 0; i < s->ncompared; i++)
        print_system(call, s->compared[i].name, s->compared[i].m, &s->compared[i].loss);
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_delta *d = &s->compared[i].delta[ROUGE_L];
        cmd_print(call, "  ROUGE-L over %s: %+.2f [%+.2f, %+.2f], p = %.4f\n", s->compared[i].name,
                  100 * d->ci.mean, 100 * d->ci.lo, 100 * d->ci.hi, d->p);
    }
}

static void print_strata(const struct cmd_call *call, const struct evaluate_summary *s)
{
    for (size_t i = 0; i < s->nstrata; i++) {
        const struct evaluate_stratum *t = &s->strata[i];
        cmd_print(call, "  %-10s %-18s %6zu pairs   ROUGE-L %6.2f [%5.2f, %5.2f]", t->by, t->value,
                  t->pairs, 100 * t->f[ROUGE_L].mean, 100 * t->f[ROUGE_L].lo,
                  100 * t->f[ROUGE_L].hi);
        if (t->has_constant)
            cmd_print(call, "   over constant %+.2f [%+.2f, %+.2f]",
                      100 * t->over_constant[ROUGE_L].mean, 100 * t->over_constant[ROUGE_L].lo,
                      100 * t->over_constant[ROUGE_L].hi);
        cmd_print(call, "\n");
    }
}

/* Spread over the file, so that they are no choice of ours. */
static bool show_samples(struct cmd_call *call, const char *path, const char *audit_dir)
{
    struct sbuf what;
    struct pair *pairs;
    uint64_t want;
    size_t n;
    bool ok = false;

    sbuf_init(&what, 1024);
    if (!parse_u64(str_of(cmd_value(call, "--samples")), &want, &call->err)) goto out;
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

bool cmd_evaluate(struct cmd_call *call)
{
    struct evaluate_other other;
    const char *pairs;
    size_t nothers;
    struct evaluate_summary *s = NULL;
    struct config c;
    bool stop, ok = false;

    if (call->npos ? !config_load(call, &c) : !config_defaults(call, &c)) return false;
    if (!config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!set_paths(call, &c, &pairs) || !set_other(call, &other, &nothers)) return false;
    s = mem_calloc(1, sizeof *s, &call->err);
    if (!s) return false;
    if (!evaluate_run(&c.evaluate, pairs, &other, nothers, call->comm, s, &call->err)) goto out;
    print_table(call, s);
    print_strata(call, s);
    ok = !cmd_value(call, "--samples") ||
         show_samples(call, pairs, c.evaluate.dir ? c.evaluate.dir : ".");
out:
    mem_free(s);
    return ok;
}
