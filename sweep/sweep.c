#include "sweep/sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/json.h"

enum { ARENA_BYTES = 256 << 20, CONFIG_BYTES = 4 << 20 };

/* What may change on a sweep that was begun: how much is done, and by how many. */
static const char *const free_keys[] = {"sweep.trials",
                                        "sweep.steps",
                                        "sweep.gpu_hours",
                                        "sweep.retries",
                                        "sweep.workers",
                                        "sweep.dir",
                                        "sweep.lease_min",
                                        "sweep.tokens_per_s",
                                        "slurm",
                                        "serve",
                                        "model.threads",
                                        "files",
                                        NULL};

double sweep_loss(const struct sweep_opts *o, const struct sweep_result *r)
{
    double v = r->value[o->goal.metric];
    bool max = o->goal.mode == SWEEP_MAX ||
               (o->goal.mode == SWEEP_MODE_AUTO && o->goal.metric == SWEEP_ROUGE_L);
    return max ? -v : v;
}

bool sweep_trial_dir(const struct sweep_opts *o, uint64_t trial, struct arena *a, const char **out,
                     struct err *e)
{
    char name[40];
    snprintf(name, sizeof name, "trials/%05" PRIu64, trial);
    return fs_join(a, o->dir, name, out, e);
}

/* ---- the same sweep? */

static bool is_free(struct str key)
{
    for (size_t i = 0; free_keys[i]; i++) {
        struct str f = str_of(free_keys[i]);
        if (str_eq(key, f)) return true;
        if (str_starts(key, f) && (key.p[f.n] == '.' || key.p[f.n] == '[')) return true;
    }
    return false;
}

static bool compare(const struct sweep_opts *o, struct str stands, struct str config,
                    struct arena *a, struct err *e)
{
    struct sbuf keys, changed;
    struct str rest, key;
    bool ok = false;

    sbuf_init(&keys, CONFIG_BYTES);
    sbuf_init(&changed, CONFIG_BYTES);
    if (!opt_diff(stands, config, a, &keys, e)) goto out;
    rest = sbuf_str(&keys);
    while (str_split(&rest, ',', &key)) {
        key = str_trim(key);
        if (key.n == 0 || is_free(key)) continue;
        if (changed.n && !sbuf_put(&changed, STR(", "), e)) goto out;
        if (!sbuf_put(&changed, key, e)) goto out;
    }
    ok = changed.n == 0 ||
         err_set(e, ERR_CONFIG,
                 "%s was begun with other options: %s; restore them, or give the sweep another "
                 "folder (trials, steps and gpu_hours may change)",
                 o->dir, changed.p);
out:
    sbuf_free(&changed);
    sbuf_free(&keys);
    return ok;
}

/* sweep.json: {"format": 1, "config": "..."} */
static bool settle_config(struct sweep *s, struct str config, const struct sweep_runner *r,
                          bool create, struct err *e)
{
    const struct sweep_opts *o = s->o;
    struct arena *a = &s->arena;
    struct sbuf b;
    struct str stands, text;
    const char *path;
    json_t *j = NULL;
    uint64_t format;
    bool ok = false;

    sbuf_init(&b, 2 * CONFIG_BYTES);
    if (!fs_join(a, o->dir, "sweep.json", &path, e)) goto out;
    if (!create && !fs_exists(path)) {
        err_set(e, ERR_CONFIG, "%s: no sweep was begun there; radmill sweep run begins one",
                o->dir);
        goto out;
    }
    if (!sbuf_put(&b, STR("{\"format\": 1, \"config\": "), e)) goto out;
    if (!json_put_str(&b, config, true, e) || !sbuf_put(&b, STR("}\n"), e)) goto out;
    if (!sweep_store_make(o->dir, sbuf_str(&b), a, &stands, e)) goto out;
    if (!json_parse(stands, path, &j, e)) goto out;
    if (!json_get_u64(j, "format", &format, e) || !json_get_str(j, "config", &text, e)) goto out;
    if (!arena_str(a, text, &s->config, e)) goto out;
    if (format != 1) {
        err_set(e, ERR_FORMAT, "%s: format %" PRIu64 " is not known", path, format);
        goto out;
    }
    text = s->config;
    if (r->settle && !r->settle(r->ctx, text, a, &text, e)) {
        err_wrap(e, "%s was begun by another version of radmill", path);
        goto out;
    }
    ok = compare(o, text, config, a, e);
out:
    json_decref(j);
    sbuf_free(&b);
    return ok;
}

/* ---- options */

static bool has_rungs(const struct sweep_opts *o)
{
    return o->method == SWEEP_ASHA || o->method == SWEEP_HYPERBAND || o->method == SWEEP_MEDIAN;
}

static bool check_opts(const struct sweep_opts *o, struct err *e)
{
    if (!o->dir) return err_set(e, ERR_CONFIG, "sweep.dir is not set");
    if (o->trials == 0 && o->steps == 0 && o->gpu_hours <= 0 && o->method != SWEEP_GRID)
        return err_set(e, ERR_CONFIG,
                       "the sweep has no end: set sweep.trials, sweep.steps or sweep.gpu_hours");
    if (o->goal.metric == SWEEP_ROUGE_L && !o->generate)
        return err_set(e, ERR_CONFIG, "sweep.goal rougeL needs sweep.generate: true");
    if (has_rungs(o) && o->goal.metric == SWEEP_ROUGE_L)
        return err_set(e, ERR_CONFIG,
                       "sweep.goal rougeL is known only when a trial has ended: use sweep.method "
                       "grid, random or tpe, or judge by dev_loss or dev_bits_per_byte");
    return true;
}

static bool make_plan(struct sweep *s, struct err *e)
{
    const struct sweep_opts *o = s->o;
    size_t n;

    if (!space_parse(o->params, &s->arena, &s->space, e)) return false;
    if (!has_rungs(o))
        rungs_single(&s->rungs);
    else if (!rungs_init(&s->rungs, o->min, o->max, o->eta, e))
        return false;
    s->limit = o->trials > 0 ? o->trials : 1000000;
    if (o->method != SWEEP_GRID) return true;
    if (!space_grid(&s->space, &s->arena, &s->grid, &n, e)) return false;
    if (n < s->limit) s->limit = n;
    return true;
}

bool sweep_lay_out(const struct sweep_opts *o, struct sweep *out, struct err *e)
{
    out->o = o;
    return check_opts(o, e) && make_plan(out, e);
}

bool sweep_open(const struct sweep_opts *o, struct str config, const struct sweep_runner *r,
                bool create, struct sweep *out, struct err *e)
{
    *out = (struct sweep){.o = o};
    arena_init(&out->arena, ARENA_BYTES);
    if (!sweep_lay_out(o, out, e)) goto fail;
    if (!settle_config(out, config, r, create, e)) goto fail;
    if (!sweep_state_init(&out->state, &out->space, &out->rungs, (size_t)r->nprepare, o->retries,
                          e))
        goto fail;
    if (!sweep_store_open(o->dir, &out->store, e)) goto fail;
    if (sweep_refresh(out, e)) return true;
fail:
    sweep_close(out);
    return false;
}

void sweep_close(struct sweep *s)
{
    sweep_store_close(s->store);
    sweep_state_free(&s->state);
    arena_free(&s->arena);
    *s = (struct sweep){0};
}

bool sweep_refresh(struct sweep *s, struct err *e)
{
    return sweep_store_read(s->store, &s->space, sweep_state_apply, &s->state, e);
}
