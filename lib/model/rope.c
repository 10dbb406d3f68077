#include "model/rope.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "model/config_json.h"

#define TWO_PI      6.283185307179586
#define MAX_FACTOR  1e6
#define MIN_DIVISOR 1e-3
#define MIN_TURNS   1e-6
#define MAX_TOKENS  (1U << 24)

static const char *const kind_names[] = {
    [ROPE_PLAIN] = "default", [ROPE_LLAMA3] = "llama3",   [ROPE_LINEAR] = "linear",
    [ROPE_YARN] = "yarn",     [ROPE_DYNAMIC] = "dynamic", [ROPE_LONGROPE] = "longrope"};
enum { KINDS = sizeof kind_names / sizeof *kind_names };

bool rope_stretches(const struct model_spec *s)
{
    return s->rope == ROPE_DYNAMIC || s->rope == ROPE_LONGROPE;
}

/* ---- reading */

static bool read_kind(const json_t *r, struct model_spec *s, struct err *e)
{
    const json_t *t = json_object_get(r, "rope_type");
    const char *type;
    if (!t) t = json_object_get(r, "type");
    type = t ? json_string_value(t) : "default";
    if (!type) return err_set(e, ERR_FORMAT, "rope_type is not text");
    for (int k = 0; k < KINDS; k++) {
        if (!kind_names[k] || strcmp(type, kind_names[k]) != 0) continue;
        s->rope = (enum rope_kind)k;
        return true;
    }
    return err_set(e, ERR_FORMAT,
                   "rope_type %.60s is not supported, expected default, linear, llama3, yarn, "
                   "dynamic or longrope",
                   type);
}

static bool check_original(const struct model_spec *s, struct err *e)
{
    if (!(s->rope_original >= 2 && s->rope_original <= MAX_TOKENS) ||
        s->rope_original != floor(s->rope_original))
        return err_set(e, ERR_FORMAT,
                       "rope_type %s: original_max_position_embeddings is not a whole number from "
                       "2 to %u",
                       kind_names[s->rope], MAX_TOKENS);
    return true;
}

/* Null stands for the ratio of the two lengths, as in transformers; longrope may leave it out. */
static bool read_factor(const json_t *r, struct model_spec *s, struct err *e)
{
    const json_t *v = json_object_get(r, "factor");
    if (!v && s->rope != ROPE_LONGROPE)
        return err_set(e, ERR_FORMAT, "rope_type %s: factor is missing", kind_names[s->rope]);
    if (v && !json_is_null(v)) {
        if (!config_f64(r, "factor", &s->rope_factor, e)) return false;
        if (s->rope_factor >= 1 && s->rope_factor <= MAX_FACTOR) return true;
    } else if (s->rope != ROPE_DYNAMIC) {
        s->rope_factor = s->max_positions / s->rope_original;
        if (s->rope_factor >= 1 || s->rope == ROPE_LONGROPE) return true;
    }
    return err_set(e, ERR_FORMAT, "rope_type %s: factor is not a number from 1 to %.0f",
                   kind_names[s->rope], MAX_FACTOR);
}

static bool read_divisors(const json_t *r, const char *key, const struct model_spec *s, float *out,
                          struct err *e)
{
    const json_t *list = json_object_get(r, key);
    size_t n = s->head_dim / 2;
    if (!json_is_array(list) || json_array_size(list) != n)
        return err_set(e, ERR_FORMAT,
                       "rope_type longrope: %s is not a list of %zu numbers (head_dim / 2)", key,
                       n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        double d = json_number_value(v);
        if (!json_is_number(v) || !(d >= MIN_DIVISOR && d <= MAX_FACTOR))
            return err_set(e, ERR_FORMAT,
                           "rope_type longrope: %s[%zu] is not a number from %g to %.0f", key, i,
                           MIN_DIVISOR, MAX_FACTOR);
        out[i] = (float)d;
    }
    return true;
}

/* 0 is none, as in transformers. */
static bool read_mscale(const json_t *r, const char *key, double *out, struct err *e)
{
    const json_t *v = json_object_get(r, key);
    *out = 0;
    return (json_is_number(v) && json_number_value(v) == 0) || config_f64(r, key, out, e);
}

static double yarn_attention(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static bool read_yarn(const json_t *r, struct model_spec *s, struct err *e)
{
    double mscale, all;
    bool truncate = true;
    s->rope_high = 32;
    s->rope_low = 1;
    if (!config_f64(r, "beta_fast", &s->rope_high, e) ||
        !config_f64(r, "beta_slow", &s->rope_low, e) || !read_mscale(r, "mscale", &mscale, e) ||
        !read_mscale(r, "mscale_all_dim", &all, e) || !config_bool(r, "truncate", &truncate, e))
        return false;
    s->rope_exact = !truncate;
    s->rope_attention = rope_attention_default(s);
    if (mscale > 0 && all > 0)
        s->rope_attention =
            yarn_attention(s->rope_factor, mscale) / yarn_attention(s->rope_factor, all);
    return config_f64(r, "attention_factor", &s->rope_attention, e);
}

static bool read_longrope(const json_t *r, struct model_spec *s, struct err *e)
{
    s->rope_attention = rope_attention_default(s);
    return read_divisors(r, "short_factor", s, s->rope_short, e) &&
           read_divisors(r, "long_factor", s, s->rope_long, e) &&
           config_f64(r, "attention_factor", &s->rope_attention, e);
}

static bool read_old(const json_t *r, struct model_spec *s, struct err *e)
{
    s->rope_low = 1;
    s->rope_high = 4;
    if (!config_f64(r, "factor", &s->rope_factor, e) ||
        !config_f64(r, "low_freq_factor", &s->rope_low, e) ||
        !config_f64(r, "high_freq_factor", &s->rope_high, e))
        return false;
    if (s->rope == ROPE_LLAMA3 && !(s->rope_high > s->rope_low))
        return err_set(e, ERR_FORMAT, "high_freq_factor is not above low_freq_factor");
    return true;
}

static bool check_whole(const json_t *j, struct err *e)
{
    double part = 1;
    if (!config_f64(j, "partial_rotary_factor", &part, e)) return false;
    return part == 1 || err_set(e, ERR_FORMAT, "partial_rotary_factor %g is not supported", part);
}

static bool read_scaling(const json_t *r, struct model_spec *s, struct err *e)
{
    if (!check_whole(r, e) || !read_kind(r, s, e)) return false;
    if (s->rope == ROPE_PLAIN) return true;
    s->rope_original = s->max_positions;
    if (s->rope != ROPE_DYNAMIC &&
        !config_f64(r, "original_max_position_embeddings", &s->rope_original, e))
        return false;
    if (s->rope == ROPE_LINEAR || s->rope == ROPE_LLAMA3) return read_old(r, s, e);
    if (!check_original(s, e) || !read_factor(r, s, e)) return false;
    if (s->rope == ROPE_YARN && !read_yarn(r, s, e)) return false;
    if (s->rope == ROPE_LONGROPE && !read_longrope(r, s, e)) return false;
    return rope_check(s, e);
}

/* transformers 4: rope_theta and rope_scaling (or null); 5: both inside rope_parameters. */
bool rope_read(const json_t *config, struct model_spec *s, struct err *e)
{
    const json_t *p = json_object_get(config, "rope_parameters");
    s->rope_theta = 10000;
    s->rope_factor = 1;
    if (!config_f64(config, "rope_theta", &s->rope_theta, e) || !check_whole(config, e))
        return false;
    if (!p || json_is_null(p)) p = json_object_get(config, "rope_scaling");
    if (!p || json_is_null(p)) return true;
    if (!json_is_object(p))
        return err_set(e, ERR_FORMAT, "rope_parameters or rope_scaling is not an object");
    if (!config_f64(p, "rope_theta", &s->rope_theta, e)) return false;
    return read_scaling(p, s, e);
}

bool rope_check(const struct model_spec *s, struct err *e)
{
    if (!check_original(s, e)) return false;
    if (s->rope == ROPE_DYNAMIC && s->head_dim < 4)
        return err_set(e, ERR_FORMAT, "rope_type dynamic: head_dim %u is below 4", s->head_dim);
    if (s->rope == ROPE_YARN && !(s->rope_theta > 1))
        return err_set(e, ERR_FORMAT, "rope_type yarn: rope_theta is not above 1");
    if (s->rope == ROPE_YARN &&
        !(s->rope_high >= s->rope_low && s->rope_low >= MIN_TURNS && s->rope_high <= MAX_FACTOR))
        return err_set(e, ERR_FORMAT,
                       "rope_type yarn: beta_fast and beta_slow are not two numbers from %g to "
                       "%.0f, beta_fast the larger",
                       MIN_TURNS, MAX_FACTOR);
    if (s->rope != ROPE_DYNAMIC && !(s->rope_attention >= 1e-3 && s->rope_attention <= 1e3))
        return err_set(e, ERR_FORMAT,
                       "rope_type %s: attention_factor (or what follows for it) is not from 0.001 "
                       "to 1000",
                       kind_names[s->rope]);
    return true;
}

/* ---- writing */

static json_t *divisors_json(const struct model_spec *s, const float *div)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < s->head_dim / 2; i++) {
        if (json_array_append_new(list, json_real((double)div[i])) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *new_json(const struct model_spec *s)
{
    json_t *j = json_pack("{s:s}", "rope_type", kind_names[s->rope]);
    int bad = 0;
    if (s->rope_factor >= 1) /* below: longrope's ratio, which need not be said */
        bad |= json_object_set_new(j, "factor", json_real(s->rope_factor));
    if (s->rope != ROPE_DYNAMIC)
        bad |= json_object_set_new(j, "original_max_position_embeddings",
                                   json_integer((json_int_t)s->rope_original));
    if (s->rope == ROPE_YARN) {
        bad |= json_object_set_new(j, "beta_fast", json_real(s->rope_high));
        bad |= json_object_set_new(j, "beta_slow", json_real(s->rope_low));
        if (s->rope_exact) bad |= json_object_set_new(j, "truncate", json_false());
    }
    if (s->rope == ROPE_LONGROPE) {
        bad |= json_object_set_new(j, "short_factor", divisors_json(s, s->rope_short));
        bad |= json_object_set_new(j, "long_factor", divisors_json(s, s->rope_long));
    }
    if (s->rope != ROPE_DYNAMIC && s->rope_attention != rope_attention_default(s))
        bad |= json_object_set_new(j, "attention_factor", json_real(s->rope_attention));
    if (!bad) return j;
    json_decref(j);
    return NULL;
}

json_t *rope_json(const struct model_spec *s)
{
    if (s->rope == ROPE_LINEAR)
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", s->rope_factor);
    if (s->rope == ROPE_LLAMA3)
        return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                         s->rope_factor, "low_freq_factor", s->rope_low, "high_freq_factor",
                         s->rope_high, "original_max_position_embeddings",
                         (json_int_t)s->rope_original);
    return s->rope == ROPE_PLAIN || s->rope == ROPE_NONE ? json_null() : new_json(s);
}

/* ---- what follows from it */

double rope_attention_default(const struct model_spec *s)
{
    if (s->rope == ROPE_YARN) return yarn_attention(s->rope_factor, 1);
    if (s->rope == ROPE_LONGROPE && s->rope_factor > 1)
        return sqrt(1 + log(s->rope_factor) / log(s->rope_original));
    return 1;
}

float model_spec_score_factor(const struct model_spec *s)
{
    bool has = s->rope == ROPE_YARN || s->rope == ROPE_LONGROPE;
    return has ? (float)(s->rope_attention * s->rope_attention) : 1.0F;
}

static bool is_long(const struct model_spec *s)
{
    return s->context > s->rope_original;
}

uint32_t model_spec_longest(const struct model_spec *s)
{
    double most = s->max_positions;
    if (s->rope == ROPE_YARN)
        most = fmax(most, fmin(s->rope_original * s->rope_factor, MAX_TOKENS));
    if (s->rope == ROPE_DYNAMIC) most = fmax(most, s->context);
    if (s->rope == ROPE_LONGROPE && !is_long(s)) most = fmin(most, s->rope_original);
    return (uint32_t)most;
}

bool model_spec_check_length(const struct model_spec *s, uint32_t tokens, struct err *e)
{
    uint32_t most = model_spec_longest(s);
    if (!rope_stretches(s) || tokens <= most) return true;
    return err_set(e, ERR_CONFIG,
                   "a sequence of %u tokens is beyond the %u that the model's rope_type %s is set "
                   "for; set model.context to the most tokens a sequence will have, for training "
                   "and generating alike",
                   tokens, most, kind_names[s->rope]);
}

/* The dimension whose pair turns so many times over the original length. */
static double yarn_end(const struct model_spec *s, double turns)
{
    return s->head_dim * log(s->rope_original / (turns * TWO_PI)) / (2 * log(s->rope_theta));
}

/* How much of pair i is divided by the factor: fast pairs not at all, slow ones wholly, a ramp
 * between them. (YaRN, arXiv 2309.00071) */
static double yarn_share(const struct model_spec *s, uint32_t i)
{
    double low = yarn_end(s, s->rope_high), high = yarn_end(s, s->rope_low), t;
    if (!s->rope_exact) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, s->head_dim - 1.0);
    if (low == high) high += 0.001;
    t = (i - low) / (high - low);
    return fmin(fmax(t, 0), 1);
}

static double llama3(const struct model_spec *s, double inv)
{
    double wave = TWO_PI / inv;
    double t = (s->rope_original / wave - s->rope_low) / (s->rope_high - s->rope_low);
    t = t < 0 ? 0 : t > 1 ? 1 : t; /* 0: only scaled, 1: only kept, between: mixed */
    return (1 - t) * inv / s->rope_factor + t * inv;
}

/* The base that spreads `context` tokens over the angles of max_positions. */
static double dynamic_base(const struct model_spec *s)
{
    double n = fmax(s->context, s->max_positions), d = s->head_dim;
    double grown = s->rope_factor * n / s->max_positions - (s->rope_factor - 1);
    return s->rope_theta * pow(grown, d / (d - 2));
}

void model_spec_inv_freq(const struct model_spec *s, float *out)
{
    double theta = s->rope == ROPE_DYNAMIC ? dynamic_base(s) : s->rope_theta;
    for (uint32_t i = 0; i < s->head_dim / 2; i++) {
        double inv = pow(theta, -2.0 * i / s->head_dim), t;
        if (s->rope == ROPE_LINEAR) inv /= s->rope_factor;
        if (s->rope == ROPE_LLAMA3) inv = llama3(s, inv);
        if (s->rope == ROPE_LONGROPE) inv /= (double)(is_long(s) ? s->rope_long : s->rope_short)[i];
        if (s->rope == ROPE_YARN) {
            t = yarn_share(s, i);
            inv = t * inv / s->rope_factor + (1 - t) * inv;
        }
        out[i] = (float)inv;
    }
}

/* Of the parameters, not of what a libm makes of them. */
void rope_digest(const struct model_spec *s, uint8_t digest[32])
{
    char text[256];
    struct sha256 h;
    bool yarn = s->rope == ROPE_YARN, longrope = s->rope == ROPE_LONGROPE;
    bool dynamic = s->rope == ROPE_DYNAMIC && s->context > s->max_positions;
    if (!yarn && !longrope && !dynamic) return;
    int n = snprintf(text, sizeof text, "%s %.9g %.9g %.9g %.9g %.9g %d %.6g %u",
                     kind_names[s->rope], s->rope_theta, s->rope_factor, s->rope_original,
                     yarn ? s->rope_low : 0, yarn ? s->rope_high : 0, yarn && s->rope_exact,
                     dynamic ? 1 : s->rope_attention, dynamic ? s->context : 0);
    sha256_init(&h);
    sha256_put(&h, digest, 32);
    sha256_put(&h, text, (size_t)n);
    if (longrope)
        sha256_put(&h, is_long(s) ? s->rope_long : s->rope_short,
                   s->head_dim / 2 * sizeof *s->rope_long);
    sha256_end(&h, digest);
}
