#include "model/config_json.h"

#include <stdio.h>

#include "compute/dev.h"

#define MAX_CONFIG_BYTES (1u << 20)

bool config_read(const char *path, json_t **out, struct err *e)
{
    if (!json_read_file(path, MAX_CONFIG_BYTES, out, e)) return false;
    if (json_is_object(*out)) return true;
    json_decref(*out);
    *out = NULL;
    return err_set(e, ERR_FORMAT, "%s is not a JSON object", path);
}

static const json_t *member(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_null(v) ? NULL : v;
}

bool config_u32(const json_t *j, const char *key, uint32_t max, uint32_t *out, struct err *e)
{
    const json_t *v = member(j, key);
    if (!v) return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return err_set(e, ERR_FORMAT, "%s is not a number from 0 to %u", key, max);
    *out = (uint32_t)json_integer_value(v);
    return true;
}

bool config_need_u32(const json_t *j, const char *key, uint32_t max, uint32_t *out, struct err *e)
{
    *out = 0;
    if (!config_u32(j, key, max, out, e)) return false;
    if (*out == 0) return err_set(e, ERR_FORMAT, "%s is missing or 0", key);
    return true;
}

bool config_f64(const json_t *j, const char *key, double *out, struct err *e)
{
    const json_t *v = member(j, key);
    if (!v) return true;
    if (!json_is_number(v) || !(json_number_value(v) > 0))
        return err_set(e, ERR_FORMAT, "%s is not a positive number", key);
    *out = json_number_value(v);
    return true;
}

bool config_bool(const json_t *j, const char *key, bool *out, struct err *e)
{
    const json_t *v = member(j, key);
    if (!v) return true;
    if (!json_is_boolean(v)) return err_set(e, ERR_FORMAT, "%s is not true or false", key);
    *out = json_is_true(v);
    return true;
}

bool config_act(const json_t *j, const char *key, int *out, struct err *e)
{
    static const struct {
        const char *name;
        enum dev_act act;
    } acts[] = {{"gelu", DEV_GELU},
                {"gelu_new", DEV_GELU_TANH},
                {"gelu_pytorch_tanh", DEV_GELU_TANH},
                {"relu", DEV_RELU},
                {"silu", DEV_SILU}};
    const json_t *v = member(j, key);
    const char *name = json_string_value(v);
    if (!v) return true;
    for (size_t i = 0; name && i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(name, acts[i].name) != 0) continue;
        *out = acts[i].act;
        return true;
    }
    return err_set(e, ERR_FORMAT,
                   "%s %.40s is not supported, expected gelu, gelu_new, relu or silu", key,
                   name ? name : "(no text)");
}

json_t *config_float(float v)
{
    char text[32];
    double d;
    struct err ignored = {0};
    int n = snprintf(text, sizeof text, "%.7g", (double)v);
    if (!parse_f64((struct str){text, (size_t)n}, &d, &ignored)) d = (double)v;
    return json_real(d);
}
