/* From the `lora:` section to a rank and an alpha for every linear layer of a model. */
#include <stdio.h>

#include "base/mem.h"
#include "model/parts.h"
#include "model/pattern.h"

static const char *const methods[] = {"lora", "full", NULL};
static const char *const folds[] = {"auto", "separate", "folded", NULL};
const struct opt lora_table[] = {
    OPT_ENUM(struct lora_opts, method, "lora", methods,
             "lora: adapters on a frozen base; full: all weights of a small model"),
    OPT_U32(struct lora_opts, rank, 16, 1, 1024, "rank of the adapters"),
    OPT_F64(struct lora_opts, alpha, 32, 1e-6, 1e6, "adapters are scaled by alpha / rank"),
    OPT_F64(struct lora_opts, dropout, 0, 0, 0.95, "dropout on the adapters' input"),
    OPT_STRS(struct lora_opts, targets, "all-linear",
             "adapted layers: all-linear, or a list of q_proj, k_proj, v_proj, o_proj, gate_proj, "
             "up_proj, down_proj (T5: q, k, v, o, wi_0, wi_1, wo), ends of paths "
             "(self_attn.q_proj), regular expressions of whole paths"),
    OPT_STRS(struct lora_opts, exclude, NULL, "layers left out of targets, named alike"),
    OPT_STRS(struct lora_opts, layers, NULL,
             "blocks that are adapted, e.g. [0-3, 15]; all when empty"),
    OPT_NODE(struct lora_opts, rank_pattern,
             "other ranks: {down_proj: 8, layers.0.mlp.up_proj: 4}"),
    OPT_NODE(struct lora_opts, alpha_pattern, "other alphas, likewise"),
    OPT_BOOL(struct lora_opts, rslora, false, "scale by alpha / sqrt(rank) (rsLoRA)"),
    OPT_BOOL(struct lora_opts, dora, false,
             "also train each output's magnitude (DoRA): slower; vLLM and GGUF adapters refuse it"),
    OPT_F64(struct lora_opts, loraplus_lr_ratio, 1, 1e-3, 1e3,
            "learning rate of B over that of A (LoRA+; 16 is usual, 1 is plain LoRA)"),
    OPT_PATH(struct lora_opts, init_from, NULL,
             "a PEFT adapter of the same shape to go on from (method full: a model folder)"),
    OPT_ENUM(struct lora_opts, fold, "auto", folds,
             "adapters laid out with their base, one product for both: auto lets a GPU time it "
             "before the first step, the CPU keeps them separate"),
    OPT_END,
};

bool lora_folds(const struct lora_opts *o, const struct dev *d)
{
    if (o->method != LORA_LORA || o->dora || o->fold == LORA_FOLD_SEPARATE) return false;
    return o->fold == LORA_FOLD_FOLDED || dev_joins(d);
}

/* ---- names of modules */

const char *lora_short_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

bool lora_module_of(const struct model_spec *s, const struct model_tensor *t, uint32_t *module)
{
    char path[TENSOR_NAME];
    size_t n = strlen(t->name) - strlen(".weight");
    if (t->place != AT_ROW || t->row->kind != ROW_LINEAR) return false;
    for (uint32_t k = 0; k < BLOCK_MODULES; k++) {
        *module = t->layer * BLOCK_MODULES + k;
        if (arch_module_path(s, *module, path) && strlen(path) == n &&
            memcmp(path, t->name, n) == 0)
            return true;
    }
    return false;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word)) {
        if ((at == list || at[-1] == ' ') && (at[n] == ',' || !at[n])) return true;
    }
    return false;
}

/* "q_proj, k_proj, ..." of a model's modules, each once. */
static void list_names(const struct model_spec *s, char *out, size_t size)
{
    char path[TENSOR_NAME];
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < s->layers * BLOCK_MODULES && at < size; i++) {
        if (!arch_module_path(s, i, path) || has_word(out, lora_short_name(path))) continue;
        at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", lora_short_name(path));
    }
}

/* ---- lists of patterns */

/* hit[i] = true for the modules that the pattern means; *any: there was one. */
static bool mark_modules(const struct model_spec *s, const char *text, bool *hit, bool *any,
                         struct err *e)
{
    struct pattern *p = NULL;
    char path[TENSOR_NAME];
    bool ok = false, all = strcmp(text, "all-linear") == 0;

    *any = false;
    if (!all && !pattern_open(text, PATTERN_TARGET, &p, e)) goto out;
    for (uint32_t i = 0; i < s->layers * BLOCK_MODULES; i++) {
        bool match = all;
        if (!arch_module_path(s, i, path)) continue;
        if (p && !pattern_matches(p, path, &match, e)) goto out;
        hit[i] = hit[i] || match;
        *any = *any || match;
    }
    ok = true;
out:
    pattern_close(p);
    return ok;
}

static bool mark_targets(const struct model_spec *s, const struct lora_opts *o, bool *hit,
                         struct err *e)
{
    char names[256], path[TENSOR_NAME];
    bool any;
    if (o->targets.n == 0) return err_set(e, ERR_CONFIG, "lora.targets is empty");
    for (size_t i = 0; i < o->targets.n; i++) {
        if (!mark_modules(s, o->targets.v[i], hit, &any, e)) return err_wrap(e, "lora.targets");
        if (any) continue;
        list_names(s, names, sizeof names);
        (void)arch_module_path(s, 0, path);
        return err_set(e, ERR_CONFIG,
                       "lora.targets: %.60s means no layer of this model, expected all-linear, "
                       "%s, or a regular expression that matches %s and the like",
                       o->targets.v[i], names, path);
    }
    return true;
}

static bool unmark_excluded(const struct model_spec *s, const struct lora_opts *o, bool *hit,
                            bool *out_of, struct err *e)
{
    bool any;
    for (size_t i = 0; i < o->exclude.n; i++) {
        if (!mark_modules(s, o->exclude.v[i], out_of, &any, e)) return err_wrap(e, "lora.exclude");
        if (!any)
            return err_set(e, ERR_CONFIG, "lora.exclude: %.60s means no layer of this model",
                           o->exclude.v[i]);
    }
    for (uint32_t i = 0; i < s->layers * BLOCK_MODULES; i++)
        hit[i] = hit[i] && !out_of[i];
    return true;
}

/* "7" or "0-3" */
static bool parse_range(const char *text, uint32_t layers, uint32_t *from, uint32_t *to,
                        struct err *e)
{
    struct str rest = str_of(text), a, b;
    struct err ignored = {0};
    uint64_t x = 0, y;
    bool ok = str_split(&rest, '-', &a) && parse_u64(str_trim(a), &x, &ignored);
    y = x;
    if (ok && str_split(&rest, '-', &b)) ok = parse_u64(str_trim(b), &y, &ignored) && rest.n == 0;
    if (!ok || x > y || y >= layers)
        return err_set(e, ERR_CONFIG,
                       "lora.layers: %.40s is no block or range of blocks from 0 to %u", text,
                       layers - 1);
    *from = (uint32_t)x;
    *to = (uint32_t)y;
    return true;
}

static bool keep_layers(const struct model_spec *s, const struct lora_opts *o, bool *hit,
                        bool *keep, struct err *e)
{
    uint32_t from = 0, to = 0;
    if (o->layers.n == 0) return true;
    for (size_t i = 0; i < o->layers.n; i++) {
        if (!parse_range(o->layers.v[i], s->layers, &from, &to, e)) return false;
        for (uint32_t k = from; k <= to; k++)
            keep[k] = true;
    }
    for (uint32_t i = 0; i < s->layers * BLOCK_MODULES; i++)
        hit[i] = hit[i] && keep[i / BLOCK_MODULES];
    return true;
}

/* ---- patterns with values: the first key that matches wins */

struct values {
    const char *key; /* of the configuration, for errors */
    const struct opt_node *map;
    double low, high;
    bool whole;
};

static bool value_at(const struct values *v, size_t i, double *out, struct err *e)
{
    const struct opt_node *item = v->map->items[i];
    struct err ignored = {0};
    if (item->kind == OPT_SCALAR && parse_f64(item->scalar, out, &ignored) && *out >= v->low &&
        *out <= v->high && (!v->whole || *out == (double)(uint32_t)*out))
        return true;
    return err_set(e, ERR_CONFIG, "%s:%d: %s: %.60s is not a number from %g to %g", item->file,
                   item->line, v->key, v->map->keys[i], v->low, v->high);
}

static bool apply_values(const struct model_spec *s, const struct values *v, const bool *hit,
                         double *out, struct err *e)
{
    struct pattern *p = NULL;
    char path[TENSOR_NAME];
    bool ok = false;

    if (!v->map) return true;
    if (v->map->kind != OPT_MAPPING)
        return err_set(e, ERR_CONFIG, "%s:%d: %s is not a mapping of layers to numbers",
                       v->map->file, v->map->line, v->key);
    for (size_t k = v->map->n; k-- > 0;) { /* backwards: the first key has the last word */
        double value;
        bool any = false, match;
        if (!value_at(v, k, &value, e)) goto out;
        if (!pattern_open(v->map->keys[k], PATTERN_KEY, &p, e)) goto out;
        for (uint32_t i = 0; i < s->layers * BLOCK_MODULES; i++) {
            if (!arch_module_path(s, i, path)) continue;
            if (!pattern_matches(p, path, &match, e)) goto out;
            if (match) out[i] = value;
            any = any || (match && hit[i]);
        }
        if (!any) {
            err_set(e, ERR_CONFIG, "%s:%d: %s: %.60s means no adapted layer", v->map->file,
                    v->map->line, v->key, v->map->keys[k]);
            goto out;
        }
        pattern_close(p);
        p = NULL;
    }
    ok = true;
out:
    pattern_close(p);
    return ok;
}

bool lora_resolve(const struct model_spec *s, const struct lora_opts *o, uint32_t *ranks,
                  double *alphas, struct err *e)
{
    struct values rank = {"lora.rank_pattern", o->rank_pattern, 1, 1024, true};
    struct values alpha = {"lora.alpha_pattern", o->alpha_pattern, 1e-6, 1e6, false};
    uint32_t n = s->layers * BLOCK_MODULES;
    bool *marks = mem_calloc(3 * (size_t)n, sizeof *marks, e), ok = false;
    double *value = marks ? mem_calloc(n, sizeof *value, e) : NULL;

    if (!value) goto out;
    if (!mark_targets(s, o, marks, e) || !unmark_excluded(s, o, marks, marks + n, e) ||
        !keep_layers(s, o, marks, marks + 2 * (size_t)n, e))
        goto out;
    for (uint32_t i = 0; i < n; i++) {
        value[i] = o->rank;
        alphas[i] = o->alpha;
    }
    if (!apply_values(s, &rank, marks, value, e) || !apply_values(s, &alpha, marks, alphas, e))
        goto out;
    for (uint32_t i = 0; i < n; i++)
        ranks[i] = marks[i] ? (uint32_t)value[i] : 0;
    ok = true;
out:
    mem_free(value);
    mem_free(marks);
    return ok;
}
