/* PEFT's folder: adapter_config.json and adapter_model.safetensors. Which modules are adapted, and
 * with what rank, is read from the tensors: target_modules may be a regular expression, the tensors
 * cannot lie. Only the old stable keys are written, which every PEFT knows (spec/models.md 3.1). */
#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/parts.h"
#include "model/pattern.h"

#define MAX_CONFIG_BYTES (1u << 20)

/* ---- reading */

/* Null, false, "none", empty: the feature is off. */
static bool is_off(const json_t *v)
{
    if (!v || json_is_null(v) || json_is_false(v)) return true;
    if (json_is_string(v)) return strcmp(json_string_value(v), "none") == 0;
    return (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

/* A start from the base's own weights (PiSSA, OLoRA, LoftQ, ...) leaves a changed base: PEFT makes
 * the change again whenever it loads such an adapter, this reader has the base as it is. */
static bool check_start(const json_t *j, struct err *e)
{
    static const char *const pairs_alone[] = {"gaussian", "eva", "orthogonal"};
    const json_t *v = json_object_get(j, "init_lora_weights");
    const char *name = json_string_value(v);
    if (is_off(v) || json_is_true(v)) return true;
    for (size_t i = 0; name && i < sizeof pairs_alone / sizeof *pairs_alone; i++) {
        if (strcmp(name, pairs_alone[i]) == 0) return true;
    }
    return err_set(e, ERR_FORMAT,
                   "init_lora_weights %.40s changes the base's weights, which is not supported: "
                   "save the adapter with PEFT's path_initial_model_for_weight_conversion, or "
                   "merge it there",
                   name ? name : "(no text)");
}

/* What would change the arithmetic and is not implemented must not be passed over in silence. */
static bool check_features(const json_t *j, struct err *e)
{
    static const char *const unknown[] = {
        "bias",
        "lora_bias",
        "modules_to_save",
        "layer_replication",
        "trainable_token_indices",
        "use_qalora",
        "use_bdlora",
        "target_parameters",
        "alora_invocation_tokens",
        "monteclora_config",
        "kasa_config",
        "velora_config",
        "arrow_config",
    };
    const json_t *type = json_object_get(j, "peft_type");
    if (!type || !json_is_string(type) || strcmp(json_string_value(type), "LORA") != 0)
        return err_set(e, ERR_FORMAT, "peft_type is not LORA");
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (!is_off(json_object_get(j, unknown[i])))
            return err_set(e, ERR_FORMAT, "the adapter uses %s, which is not supported",
                           unknown[i]);
    }
    return check_start(j, e);
}

/* A key that neither PEFT 0.21 nor we know may come from a PEFT that is newer than this program. */
static void warn_unknown(json_t *j, const char *dir)
{
    static const char *const known[] = {
        "alora_invocation_tokens",
        "alpha_pattern",
        "arrow_config",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "corda_config",
        "enable_lora",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "kasa_config",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "lora_ga_config",
        "megatron_config",
        "megatron_core",
        "merge_weights",
        "modules_to_save",
        "monteclora_config",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "target_parameters",
        "task_type",
        "trainable_token_indices",
        "use_bdlora",
        "use_dora",
        "use_qalora",
        "use_rslora",
        "velora_config",
    };
    const char *key;
    json_t *v;
    json_object_foreach(j, key, v)
    {
        size_t i = 0, n = sizeof known / sizeof *known;
        while (i < n && strcmp(key, known[i]) != 0)
            i++;
        if (i == n && !is_off(v))
            log_warn("adapter_key", "dir=%s key=%.60s: not known here, passed over", dir, key);
    }
}

static bool get_number(const json_t *j, const char *key, double low, double high, double *out,
                       struct err *e)
{
    const json_t *v = json_object_get(j, key);
    if (!v) return true;
    if (!json_is_number(v) || !(json_number_value(v) >= low && json_number_value(v) <= high))
        return err_set(e, ERR_FORMAT, "%s is not a number from %g to %g", key, low, high);
    *out = json_number_value(v);
    return true;
}

/* Adapters of embeddings or head, whole tensors saved beside the pairs, another model's layers. */
static bool name_foreign(const struct lora *l, const struct safetensors *files, size_t used,
                         struct err *e)
{
    const struct model_spec *s = &l->m->spec;
    size_t n;
    const struct safetensor *t = safetensors_list(files, &n);
    char path[TENSOR_NAME], start[TENSOR_NAME + 48];

    for (size_t k = 0; k < n; k++) {
        bool ours = false;
        for (uint32_t i = 0; i < s->layers * BLOCK_MODULES && !ours; i++) {
            if (!l->ranks[i] || !arch_module_path(s, i, path)) continue;
            snprintf(start, sizeof start, "base_model.model.%s.lora_", path);
            ours = strncmp(t[k].name, start, strlen(start)) == 0;
        }
        if (!ours)
            return err_set(e, ERR_FORMAT,
                           "%zu tensors, but only %zu belong to LoRA pairs of this model's linear "
                           "layers: not %.200s (embeddings, head and norms are not adapted)",
                           n, used, t[k].name);
    }
    return err_set(e, ERR_FORMAT, "%zu tensors, but the LoRA pairs of this model's layers are %zu",
                   n, used);
}

/* Ranks from the shapes of lora_A; every tensor of the file must be one of ours. */
static bool read_ranks(struct lora *l, const struct safetensors *files, struct err *e)
{
    const struct model_spec *s = &l->m->spec;
    char path[TENSOR_NAME], name[TENSOR_NAME + 48];
    size_t have, used = 0;

    safetensors_list(files, &have);
    for (uint32_t i = 0; i < s->layers * BLOCK_MODULES; i++) {
        const struct safetensor *t;
        if (!arch_module_path(s, i, path)) continue;
        snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", path);
        t = safetensors_find(files, name);
        if (!t) continue;
        if (t->ndims != 2 || t->dims[0] == 0 || t->dims[0] > 4096)
            return err_set(e, ERR_FORMAT, "tensor %s has no rank from 1 to 4096", name);
        l->ranks[i] = (uint32_t)t->dims[0];
        used += l->dora ? 3 : 2;
    }
    return used == have || name_foreign(l, files, used, e);
}

/* Keys of alpha_pattern; the first that matches wins. */
static bool read_alpha(struct lora *l, const char *key, double alpha, bool *set, struct err *e)
{
    struct pattern *p = NULL;
    char path[TENSOR_NAME];
    bool ok = true, match;
    if (!pattern_open(key, PATTERN_KEY, &p, e)) return false;
    for (uint32_t i = 0; ok && i < l->m->spec.layers * BLOCK_MODULES; i++) {
        if (!arch_module_path(&l->m->spec, i, path)) continue;
        ok = pattern_matches(p, path, &match, e);
        if (!ok || !match || set[i]) continue;
        l->alphas[i] = alpha;
        set[i] = true;
    }
    pattern_close(p);
    return ok;
}

static bool read_alphas(struct lora *l, const json_t *j, struct err *e)
{
    json_t *pattern = json_object_get(j, "alpha_pattern"), *v;
    uint32_t n = l->m->spec.layers * BLOCK_MODULES;
    bool *set = mem_calloc(n, sizeof *set, e), ok = set != NULL;
    const char *key;
    for (uint32_t i = 0; i < n; i++)
        l->alphas[i] = l->alpha;
    if (ok && json_is_object(pattern)) {
        json_object_foreach(pattern, key, v)
        {
            if (!json_is_number(v)) ok = err_set(e, ERR_FORMAT, "alpha_pattern holds no number");
            ok = ok && read_alpha(l, key, json_number_value(v), set, e);
            if (!ok) break;
        }
    }
    mem_free(set);
    return ok;
}

static bool read_config(struct lora *l, const json_t *j, struct err *e)
{
    double rank = 8;
    l->alpha = 8; /* PEFT's defaults */
    if (!check_features(j, e)) return false;
    if (!get_number(j, "r", 1, 4096, &rank, e) ||
        !get_number(j, "lora_alpha", 1e-6, 1e6, &l->alpha, e) ||
        !get_number(j, "lora_dropout", 0, 0.99, &l->dropout, e))
        return false;
    l->rank = (uint32_t)rank;
    l->rslora = json_is_true(json_object_get(j, "use_rslora"));
    l->dora = json_is_true(json_object_get(j, "use_dora"));
    return read_alphas(l, j, e);
}

/* radmill.json beside an adapter of ours names the weights it was trained on. */
static void warn_other_base(const struct model *m, const char *dir)
{
    char path[4096], hex[65];
    struct err ignored = {0};
    struct str weights;
    uint8_t digest[32];
    json_t *j = NULL;

    int n = snprintf(path, sizeof path, "%s/radmill.json", dir);
    if (n < 0 || (size_t)n >= sizeof path || !fs_exists(path) ||
        !json_read_file(path, MAX_CONFIG_BYTES, &j, &ignored))
        return;
    model_digest(m, digest);
    hash_hex(digest, sizeof digest, hex);
    if (json_get_str(json_object_get(j, "base"), "weights", &weights, &ignored) &&
        !str_eqz(weights, hex))
        log_warn("adapter_base", "dir=%s note=\"it was trained on other base weights than these\"",
                 dir);
    json_decref(j);
}

bool lora_peft_read(struct model *m, const char *dir, struct lora **out, struct safetensors **files,
                    struct err *e)
{
    struct lora *l = NULL;
    json_t *j = NULL;
    char path[4096];
    bool ok = false;
    int n = snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);

    if (n < 0 || (size_t)n >= sizeof path) return err_set(e, ERR_LIMIT, "path too long");
    if (!fs_exists(path)) { /* PEFT before 0.7 */
        snprintf(path, sizeof path, "%s/adapter_model.bin", dir);
        if (!fs_exists(path)) snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    }
    if (!lora_new(m, LORA_LORA, &l, e)) goto out;
    if (!safetensors_open(path, files, e)) goto out;
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    if (!json_read_file(path, MAX_CONFIG_BYTES, &j, e)) goto out;
    if (!read_config(l, j, e)) {
        err_wrap(e, "adapter_config.json");
        goto out;
    }
    warn_unknown(j, dir);
    if (!read_ranks(l, *files, e)) goto out;
    warn_other_base(m, dir);
    *out = l;
    ok = true;
out:
    json_decref(j);
    if (!ok) {
        safetensors_close(*files);
        *files = NULL;
        lora_close(l);
    }
    return ok;
}

bool lora_peft_load(struct model *m, const char *dir, struct lora **out, struct err *e)
{
    struct safetensors *files = NULL;
    struct lora *l = NULL;
    bool ok = lora_peft_read(m, dir, &l, &files, e) && lora_lay(l, e) && lora_fill(l, files, e);
    safetensors_close(files);
    if (ok)
        *out = l;
    else
        lora_close(l);
    return ok;
}

/* ---- writing */

/* Are all modules of this short name adapted? */
static bool all_adapted(const struct lora *l, const char *name)
{
    char path[TENSOR_NAME];
    for (uint32_t i = 0; i < l->m->spec.layers * BLOCK_MODULES; i++) {
        if (arch_module_path(&l->m->spec, i, path) && !l->ranks[i] &&
            strcmp(lora_short_name(path), name) == 0)
            return false;
    }
    return true;
}

static bool is_listed(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), name) == 0) return true;
    }
    return false;
}

/* Short names when all modules of the name are adapted, full names otherwise. */
static json_t *targets_json(const struct lora *l)
{
    json_t *list = json_array();
    char path[TENSOR_NAME];
    int bad = !list;
    for (uint32_t i = 0; i < l->m->spec.layers * BLOCK_MODULES && !bad; i++) {
        if (!l->ranks[i]) continue;
        (void)arch_module_path(&l->m->spec, i, path);
        const char *name = lora_short_name(path);
        if (!all_adapted(l, name)) name = path;
        if (!is_listed(list, name)) bad = json_array_append_new(list, json_string(name));
    }
    if (!bad) return list;
    json_decref(list);
    return NULL;
}

/* {module: value} where it differs from the configuration's own. */
static json_t *pattern_json(const struct lora *l, bool alphas)
{
    json_t *map = json_object();
    char name[TENSOR_NAME];
    int bad = !map;
    for (uint32_t i = 0; i < l->m->spec.layers * BLOCK_MODULES; i++) {
        if (!l->ranks[i]) continue;
        if (alphas ? l->alphas[i] == l->alpha : l->ranks[i] == l->rank) continue;
        (void)arch_module_path(&l->m->spec, i, name);
        bad |= json_object_set_new(map, name,
                                   alphas ? json_real(l->alphas[i]) : json_integer(l->ranks[i]));
    }
    if (!bad) return map;
    json_decref(map);
    return NULL;
}

/* PEFT declares lora_alpha an integer; a whole number is written as one. */
static json_t *number_json(double v)
{
    return v == floor(v) && fabs(v) < 1e9 ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *config_json(const struct lora *l, const char *base_name)
{
    json_t *j = json_object();
    int bad = !j;
    bad |= json_object_set_new(j, "peft_type", json_string("LORA"));
    bad |= json_object_set_new(j, "task_type", json_string(arch_of(&l->m->spec)->peft_task));
    bad |= json_object_set_new(j, "base_model_name_or_path",
                               base_name ? json_string(base_name) : json_null());
    bad |= json_object_set_new(j, "revision", json_null());
    bad |= json_object_set_new(j, "inference_mode", json_true());
    bad |= json_object_set_new(j, "r", json_integer(l->rank));
    bad |= json_object_set_new(j, "lora_alpha", number_json(l->alpha));
    bad |= json_object_set_new(j, "lora_dropout", json_real(l->dropout));
    bad |= json_object_set_new(j, "bias", json_string("none"));
    bad |= json_object_set_new(j, "fan_in_fan_out", json_false());
    bad |= json_object_set_new(j, "target_modules", targets_json(l));
    bad |= json_object_set_new(j, "modules_to_save", json_null());
    bad |= json_object_set_new(j, "init_lora_weights", json_true());
    bad |= json_object_set_new(j, "layers_to_transform", json_null());
    bad |= json_object_set_new(j, "layers_pattern", json_null());
    bad |= json_object_set_new(j, "rank_pattern", pattern_json(l, false));
    bad |= json_object_set_new(j, "alpha_pattern", pattern_json(l, true));
    bad |= json_object_set_new(j, "use_rslora", json_boolean(l->rslora));
    bad |= json_object_set_new(j, "use_dora", json_boolean(l->dora));
    if (!bad) return j;
    json_decref(j);
    return NULL;
}

/* The config last: a folder that has it is whole. */
bool lora_peft_save(struct lora *l, const char *dir, const char *base_name, struct err *e)
{
    json_t *j = NULL;
    char path[4096];
    bool ok = false;
    int n = snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);

    if (n < 0 || (size_t)n >= sizeof path) return err_set(e, ERR_LIMIT, "path too long");
    j = config_json(l, base_name);
    if (!j) return err_set(e, ERR_NOMEM, "adapter_config.json");
    if (!lora_write(l, path, e)) goto out;
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    ok = json_write_file(path, j, e);
out:
    json_decref(j);
    return ok;
}
