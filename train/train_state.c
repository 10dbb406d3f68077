#include "train/train_state.h"

#include <math.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"

static const uint64_t format = 1;

bool train_state_scored(struct train_state *s, const struct dev_loss *d)
{
    bool best = isfinite(d->mean) && (s->best.rows == 0 || d->fixed < s->best.fixed);

    s->evaluations++;
    s->last = *d;
    s->last_step = s->step;
    s->bad = best ? 0 : s->bad + 1;
    if (best) {
        s->best = *d;
        s->best_step = s->step;
    }
    return best;
}

/* ---- to JSON */
static json_t *score_json(const struct dev_loss *d, uint64_t step)
{
    return json_pack("{s:I, s:I, s:I, s:b}", "step", (json_int_t)step, "fixed",
                     (json_int_t)d->fixed, "rows", (json_int_t)d->rows, "finite",
                     isfinite(d->mean));
}

static json_t *identity_json(const struct train_identity *id)
{
    char dataset[65], base[65], plan[65], config[65];

    hash_hex(id->dataset, 32, dataset);
    hash_hex(id->base, 32, base);
    hash_hex(id->plan, 32, plan);
    hash_hex(id->config, 32, config);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "dataset", dataset, "base", base, "plan", plan,
                     "config", config, "device", id->describe);
}

bool train_state_put(const struct train_state *s, const struct train_identity *id,
                     struct sbuf *meta, struct err *e)
{
    json_t *j = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:b, s:b, s:b, s:I, s:o, s:o, s:o}", "format",
        (json_int_t)format, "step", (json_int_t)s->step, "tokens", (json_int_t)s->tokens, "targets",
        (json_int_t)s->targets, "train_loss", s->train_loss, "seconds", s->seconds, "evaluations",
        (json_int_t)s->evaluations, "bad", (json_int_t)s->bad, "finished", s->finished,
        "early_stopped", s->early_stopped, "eval_owed", s->eval_owed, "metrics_bytes",
        (json_int_t)s->metrics_bytes, "last", score_json(&s->last, s->last_step), "best",
        score_json(&s->best, s->best_step), "identity", identity_json(id));
    if (!j) return err_set(e, ERR_NOMEM, "state of the run");
    bool ok = json_put(meta, j, e);
    json_decref(j);
    return ok;
}

/* ---- from JSON */
static bool get_bool(const json_t *j, const char *key, bool *out, struct err *e)
{
    const json_t *v = json_object_get(j, key);
    if (!json_is_boolean(v)) return err_set(e, ERR_FORMAT, "\"%s\" is not true or false", key);
    *out = json_is_true(v);
    return true;
}

static bool get_score(const json_t *j, const char *key, struct dev_loss *d, uint64_t *step,
                      struct err *e)
{
    json_t *o;
    bool finite = false;

    if (!json_get_obj(j, key, &o, e) || !json_get_u64(o, "step", step, e) ||
        !json_get_u64(o, "rows", &d->rows, e) || !get_bool(o, "finite", &finite, e))
        return false;
    const json_t *fixed = json_object_get(o, "fixed");
    if (!json_is_integer(fixed)) return err_set(e, ERR_FORMAT, "\"fixed\" is not an integer");
    d->fixed = json_integer_value(fixed);
    d->mean = finite && d->rows > 0 ? dev_loss_mean(d) : (double)NAN;
    return true;
}

static bool same(const json_t *j, const char *key, const uint8_t want[32], const char *what,
                 const char *name, struct err *e)
{
    struct str hex;
    uint8_t got[32];
    char now[65];

    if (!json_get_str(j, key, &hex, e) || !hash_unhex(hex, got, 32, e)) return false;
    if (memcmp(got, want, 32) == 0) return true;
    hash_hex(want, 32, now);
    return err_set(e, ERR_CONFIG,
                   "%s was made with another %s: %.12s then, %.12s now; put it back, or train into "
                   "another train.dir",
                   what, name, hex.p, now);
}

static bool check_identity(const json_t *j, const char *what, const struct train_identity *id,
                           struct err *e)
{
    json_t *o;
    struct str device;

    if (!json_get_obj(j, "identity", &o, e) || !json_get_str(o, "device", &device, e)) return false;
    if (!same(o, "dataset", id->dataset, what, "dataset (shards)", e)) return false;
    if (!same(o, "base", id->base, what, "base model (weights)", e)) return false;
    if (!same(o, "plan", id->plan, what, "plan of bins (modalities, seed or bin sizes)", e))
        return false;
    if (!str_eqz(device, id->describe))
        log_warn("device_changed", "then=\"%.*s\" now=\"%s\" what=\"the last bits will differ\"",
                 STR_ARG(device), id->describe);
    return true;
}

static bool get_numbers(const json_t *j, struct train_state *s, struct err *e)
{
    uint64_t version, evaluations, bad;

    if (!json_get_u64(j, "format", &version, e)) return false;
    if (version != format)
        return err_set(e, ERR_FORMAT, "state of format %llu, this program reads %llu",
                       (unsigned long long)version, (unsigned long long)format);
    if (!json_get_u64(j, "step", &s->step, e) || !json_get_u64(j, "tokens", &s->tokens, e) ||
        !json_get_u64(j, "targets", &s->targets, e) ||
        !json_get_f64(j, "train_loss", &s->train_loss, e) ||
        !json_get_f64(j, "seconds", &s->seconds, e) ||
        !json_get_u64(j, "evaluations", &evaluations, e) || !json_get_u64(j, "bad", &bad, e) ||
        !json_get_u64(j, "metrics_bytes", &s->metrics_bytes, e))
        return false;
    s->evaluations = (uint32_t)evaluations;
    s->bad = (uint32_t)bad;
    return get_bool(j, "finished", &s->finished, e) &&
           get_bool(j, "early_stopped", &s->early_stopped, e) &&
           get_bool(j, "eval_owed", &s->eval_owed, e);
}

bool train_state_get(struct str meta, const char *what, const struct train_identity *id,
                     struct train_state *out, struct err *e)
{
    json_t *j = NULL;

    *out = (struct train_state){0};
    bool ok = json_parse(meta, what, &j, e) && check_identity(j, what, id, e) &&
              get_numbers(j, out, e) && get_score(j, "last", &out->last, &out->last_step, e) &&
              get_score(j, "best", &out->best, &out->best_step, e);
    json_decref(j);
    return ok;
}
