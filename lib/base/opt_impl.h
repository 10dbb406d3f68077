/*
 * base/opt_impl - shared by base/opt*.c and by nobody else.
 */
#pragma once
#include "base/opt.h"

#define OPT_FILE_MAX   ((size_t)4 << 20)
#define OPT_SCALAR_MAX ((size_t)64 << 10)
#define OPT_KEY_MAX    256
#define OPT_KEYS_MAX   4096   /* of one mapping; also the bound on a list's elements */
#define OPT_NODES_MAX  100000 /* of one configuration, includes and --set together */
#define OPT_DEPTH_MAX  32
#define OPT_SET_NAME   "--set"

/* What a load carries along. */
struct opt_load {
    struct arena *a;
    opt_env_fn env;
    size_t nodes, files;
};

/* Parse one YAML text into nodes of l->a; *out is NULL for an empty text. `name` is copied. */
MUST_CHECK bool opt_yaml_parse(struct opt_load *l, struct str text, const char *name,
                               struct opt_node **out, struct err *e);
/* A value of --set or of a table's default: YAML when it begins with one of [ { " ', else a plain
 * scalar word for word, so that "*.csv" and "a: b" need no quotes. `file` is borrowed. */
MUST_CHECK bool opt_value_parse(struct opt_load *l, struct str text, const char *file,
                                struct opt_node **out, struct err *e);
MUST_CHECK bool opt_node_new(struct opt_load *l, enum opt_kind kind, const char *file, int line,
                             struct opt_node **out, struct err *e);
/* Append an item; key is NULL in a sequence and borrowed in a mapping. */
MUST_CHECK bool opt_node_add(struct opt_load *l, struct opt_node *parent, const char *key,
                             struct opt_node *item, struct err *e);
/* Position of key in a mapping, or n. */
size_t opt_node_find(const struct opt_node *map, struct str key);
/* A plain scalar that says "nothing": empty, ~ or null. */
bool opt_node_is_null(const struct opt_node *n);
/* ERR_CONFIG at the node's file and line. Always returns false. */
bool opt_fail(struct err *e, const struct opt_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Append "; the nearest is 'X'" for the candidate nearest to key, if there is one. */
void opt_nearest(struct str key, const char *const *names, size_t n, char *out, size_t size);
/* "500 steps", "0.25 epoch", "10 min", "never", "500". */
bool opt_every_parse(struct str s, struct opt_every *out);
size_t opt_table_size(const struct opt *table);
