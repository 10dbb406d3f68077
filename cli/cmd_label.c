/* radmill label: judgements of generated impressions by people. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/build_info.h"
#include "cli/config.h"
#include "label/agreement.h"
#include "label/label_server.h"

#define LABELS_ARENA_BYTES ((size_t)4 << 30)
enum { BOOTSTRAP = 2000 };

static void print_ci(const struct cmd_call *call, const char *name, const struct boot_ci *ci)
{
    cmd_print(call, "%s %.3f [%.3f, %.3f]", name, ci->mean, ci->lo, ci->hi);
}

static void print_pair(const struct cmd_call *call, const struct agreement *a,
                       const struct agreement_pair *p)
{
    cmd_print(call, "  %.*s and %.*s: %llu pairs, ", STR_ARG(a->raters[p->a]),
              STR_ARG(a->raters[p->b]), (unsigned long long)p->n);
    print_ci(call, "kappa (quadratic)", &p->kappa);
    cmd_print(call, ", equal %.0f %%, at most one apart %.0f %%\n", 100 * p->exact,
              100 * p->within_one);
    for (int k = 0; k < FACTLABEL_TYPES; k++) {
        const struct agreement_type *t = &p->types[k];
        if (t->a + t->b == 0) continue;
        cmd_print(call, "    %-20s %5llu and %5llu, in common %5llu, ", factlabel_types[k],
                  (unsigned long long)t->a, (unsigned long long)t->b, (unsigned long long)t->both);
        print_ci(call, "F1", &t->f1);
        cmd_print(call, "\n");
    }
}

static void print_agreement(const struct cmd_call *call, const struct agreement *a)
{
    cmd_print(call, "%llu labels of %llu answers by %zu readers; %llu answers read by two or more",
              (unsigned long long)a->labels, (unsigned long long)a->items, a->nraters,
              (unsigned long long)a->doubled);
    if (a->subjects)
        cmd_print(call, "; %llu patients, resampled whole", (unsigned long long)a->subjects);
    cmd_print(call, "\n");
    if (a->doubled == 0) return;
    print_ci(call, "  Krippendorff's alpha (ordinal)", &a->alpha);
    cmd_print(call, "; 95 %% intervals of %d resamples\n", BOOTSTRAP);
    for (size_t i = 0; i < a->npairs; i++)
        print_pair(call, a, &a->pairs[i]);
}

/* All files' labels, one after the other. */
static bool read_all(struct cmd_call *call, struct arena *arena, struct factlabel **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    for (int i = 1; i < call->npos; i++) {
        struct factlabel *v, *all;
        size_t k;
        if (!factlabel_read(call->pos[i], arena, &v, &k, &call->err)) return false;
        all = arena_alloc(arena, (*n + k + 1) * sizeof *all, &call->err);
        if (!all) return false;
        for (size_t j = 0; j < *n; j++)
            all[j] = (*out)[j];
        for (size_t j = 0; j < k; j++)
            all[*n + j] = v[j];
        *out = all;
        *n += k;
    }
    return true;
}

static bool stats(struct cmd_call *call)
{
    const struct boot_opts o = {.seed = 1, .replicates = BOOTSTRAP};
    struct agreement *a = mem_calloc(1, sizeof *a, &call->err);
    struct factlabel *v;
    struct arena arena;
    size_t n;

    if (!a) return false;
    arena_init(&arena, LABELS_ARENA_BYTES);
    bool ok = read_all(call, &arena, &v, &n) && factlabel_latest(v, &n, &call->err) &&
              agreement_of(v, n, &o, call->comm, a, &call->err);
    if (ok) print_agreement(call, a);
    arena_free(&arena);
    mem_free(a);
    return ok;
}

static void show(void *ctx, const char *text)
{
    cmd_print(ctx, "%s", text);
    fflush(stdout);
}

/* Where label.systems names none: what this configuration generated. */
static bool own_system(struct cmd_call *call, struct config *c, struct label_system *own)
{
    if (c->label.systems.n > 0) return true;
    if (!config_need(call, c->generate.dir, "generate.dir (or label.systems)") ||
        !fs_join(&call->arena, c->generate.dir, "pairs.jsonl", &own->path, &call->err))
        return false;
    own->name = c->generate.name ? c->generate.name : "this";
    c->label.systems = (struct opt_list){own, 1};
    return true;
}

static bool serve(struct cmd_call *call)
{
    static const char tool[] = "radmill label ";
    struct label_system own;
    struct str name;
    struct config c;
    struct sbuf b;
    bool stop, ok;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!config_need(call, c.label.dir, "label.dir") || !own_system(call, &c, &own)) return false;
    sbuf_init(&b, 256);
    ok = sbuf_printf(&b, &call->err, "%s%s", tool, build_info_version) &&
         arena_str(&call->arena, sbuf_str(&b), &name, &call->err);
    sbuf_free(&b);
    const struct label_job job = {
        .label = &c.label, .tool = ok ? name.p : NULL, .show = show, .show_ctx = call};
    return ok && label_serve(&job, &call->err);
}

bool cmd_label(struct cmd_call *call)
{
    if (!str_eqz(str_of(call->pos[0]), "stats")) return serve(call);
    if (call->npos < 2)
        return err_set(&call->err, ERR_CONFIG, "usage: radmill label stats LABELS.jsonl...");
    return stats(call);
}
