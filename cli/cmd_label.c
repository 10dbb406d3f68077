/* radmill label: judgements of generated impressions by people. */
#include "base/mem.h"
#include "cli/cmd.h"
#include "label/agreement.h"

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

bool cmd_label(struct cmd_call *call)
{
    if (!str_eqz(str_of(call->pos[0]), "stats") || call->npos < 2)
        return err_set(&call->err, ERR_CONFIG, "usage: radmill label stats LABELS.jsonl...");
    return stats(call);
}
