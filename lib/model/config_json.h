/*
 * model/config_json - members of an HF config.json: typed, bounded, often left out.
 *
 * A member that is missing or null leaves *out as it is; one of another type or out of range is
 * ERR_FORMAT naming the key. The inside of lib/model.
 */
#pragma once
#include "base/json.h"

/* Read a config.json of at most 1 MB; the caller owns *out. */
MUST_CHECK bool config_read(const char *path, json_t **out, struct err *e);
MUST_CHECK bool config_u32(const json_t *j, const char *key, uint32_t max, uint32_t *out,
                           struct err *e);
/* Must be there and above 0. */
MUST_CHECK bool config_need_u32(const json_t *j, const char *key, uint32_t max, uint32_t *out,
                                struct err *e);
/* Above 0. */
MUST_CHECK bool config_f64(const json_t *j, const char *key, double *out, struct err *e);
MUST_CHECK bool config_bool(const json_t *j, const char *key, bool *out, struct err *e);
/* For writing: a float has 7 digits worth keeping, 1e-05, not 9.999999747378752e-06. NULL: no
 * memory. */
json_t *config_float(float v);
/* An activation by transformers' name: *out is an enum dev_act. */
MUST_CHECK bool config_act(const json_t *j, const char *key, int *out, struct err *e);
