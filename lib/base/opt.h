/*
 * base/opt - options: one table a section is the truth for the YAML file, --set, --help, range
 * checks, the dumped run.yaml and the docs.
 *
 * A configuration is a YAML mapping of sections (corpus, shards, model, lora, train, ...).
 * opt_doc_load reads it (include: lists, ${VAR} from the environment the caller passes, --set
 * overrides on top) and keeps file and line of every node; opt_bind fills a struct from one section
 * by its table. An unknown key is an error that names the nearest known one; a value out of range
 * names file and line. Everything lives in the arena given to opt_doc_load.
 *
 *     struct train_opts { double lr; uint32_t rank; const char *dir; };
 *     static const struct opt train_table[] = {
 *         OPT_F64(struct train_opts, lr, 2e-4, 0.0, 1.0, "peak learning rate"),
 *         OPT_U32(struct train_opts, rank, 16, 1, 1024, "rank of the adapters"),
 *         OPT_PATH(struct train_opts, dir, NULL, "run folder"),
 *         OPT_END,
 *     };
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum opt_type {
    OPT_T_END,
    OPT_T_BOOL,  /* bool */
    OPT_T_U32,   /* uint32_t */
    OPT_T_U64,   /* uint64_t */
    OPT_T_F64,   /* double */
    OPT_T_STR,   /* const char *, NULL when left out without default */
    OPT_T_PATH,  /* const char *, relative to the file that names it; globs allowed. A word of
                    names[], where there are any, is no path and stays as it is */
    OPT_T_ENUM,  /* int, index into names[] */
    OPT_T_STRS,  /* struct opt_strs; a single value counts as a list of one */
    OPT_T_EVERY, /* struct opt_every: "500", "500 steps", "0.25 epoch", "10 min", "never" */
    OPT_T_LIST,  /* struct opt_list of structs by the sub-table; items[i] of sub_size bytes */
    OPT_T_MAP,   /* an embedded struct filled by the sub-table */
    OPT_T_NODE,  /* const struct opt_node *: the raw subtree (sweep.params, rank patterns) */
};

struct opt_strs {
    const char *const *v;
    size_t n;
};
struct opt_list {
    void *items;
    size_t n;
};
enum opt_unit { OPT_NEVER, OPT_STEPS, OPT_EPOCHS, OPT_MINUTES };
struct opt_every {
    double n;
    enum opt_unit unit;
};

struct opt {
    const char *key;
    enum opt_type type;
    size_t offset;
    const char *help;
    const char *def;          /* default as YAML text; NULL: zero / NULL / empty */
    double min, max;          /* numbers only */
    const char *const *names; /* OPT_T_ENUM, OPT_T_PATH; NULL-terminated */
    const struct opt *sub;    /* OPT_T_LIST, OPT_T_MAP */
    size_t sub_size;
};

#define OPT_STRINGIFY_(x) #x
/* Defaults are written as YAML text by the macros, so that help, dump and parser agree. */
#define OPT_BOOL(S, f, d, h)                                                                       \
    {                                                                                              \
        .key = #f, .type = OPT_T_BOOL, .offset = offsetof(S, f), .help = h, .def = #d              \
    }
#define OPT_U32(S, f, d, lo, hi, h)                                                                \
    {                                                                                              \
        .key = #f, .type = OPT_T_U32, .offset = offsetof(S, f), .help = h, .def = #d, .min = lo,   \
        .max = hi                                                                                  \
    }
#define OPT_U64(S, f, d, lo, hi, h)                                                                \
    {                                                                                              \
        .key = #f, .type = OPT_T_U64, .offset = offsetof(S, f), .help = h, .def = #d, .min = lo,   \
        .max = hi                                                                                  \
    }
#define OPT_F64(S, f, d, lo, hi, h)                                                                \
    {                                                                                              \
        .key = #f, .type = OPT_T_F64, .offset = offsetof(S, f), .help = h, .def = #d, .min = lo,   \
        .max = hi                                                                                  \
    }
#define OPT_STRING(S, f, d, h)                                                                     \
    {                                                                                              \
        .key = #f, .type = OPT_T_STR, .offset = offsetof(S, f), .help = h, .def = d                \
    }
#define OPT_PATH(S, f, d, h)                                                                       \
    {                                                                                              \
        .key = #f, .type = OPT_T_PATH, .offset = offsetof(S, f), .help = h, .def = d               \
    }
#define OPT_PATH_OR(S, f, d, ns, h)                                                                \
    {                                                                                              \
        .key = #f, .type = OPT_T_PATH, .offset = offsetof(S, f), .help = h, .def = d, .names = ns  \
    }
#define OPT_ENUM(S, f, d, ns, h)                                                                   \
    {                                                                                              \
        .key = #f, .type = OPT_T_ENUM, .offset = offsetof(S, f), .help = h, .def = d, .names = ns  \
    }
#define OPT_STRS(S, f, d, h)                                                                       \
    {                                                                                              \
        .key = #f, .type = OPT_T_STRS, .offset = offsetof(S, f), .help = h, .def = d               \
    }
#define OPT_EVERY(S, f, d, h)                                                                      \
    {                                                                                              \
        .key = #f, .type = OPT_T_EVERY, .offset = offsetof(S, f), .help = h, .def = d              \
    }
#define OPT_LIST(S, f, T, tab, h)                                                                  \
    {                                                                                              \
        .key = #f, .type = OPT_T_LIST, .offset = offsetof(S, f), .help = h, .sub = tab,            \
        .sub_size = sizeof(T)                                                                      \
    }
#define OPT_MAP(S, f, T, tab, h)                                                                   \
    {                                                                                              \
        .key = #f, .type = OPT_T_MAP, .offset = offsetof(S, f), .help = h, .sub = tab,             \
        .sub_size = sizeof(T)                                                                      \
    }
#define OPT_NODE(S, f, h)                                                                          \
    {                                                                                              \
        .key = #f, .type = OPT_T_NODE, .offset = offsetof(S, f), .help = h                         \
    }
#define OPT_END                                                                                    \
    {                                                                                              \
        .key = NULL, .type = OPT_T_END                                                             \
    }

/* ---- the tree */
enum opt_kind { OPT_SCALAR, OPT_SEQ, OPT_MAPPING };
struct opt_node {
    enum opt_kind kind;
    struct str scalar; /* OPT_SCALAR, unquoted text */
    bool quoted;
    const char *file; /* where it stands; "--set" for overrides */
    int line;
    const char **keys;       /* OPT_MAPPING */
    struct opt_node **items; /* OPT_SEQ, OPT_MAPPING */
    size_t n;
};
struct opt_doc {
    struct opt_node *root;
    struct arena *arena; /* borrowed */
};
/* Returns the value of a variable or NULL; cli passes getenv, tests a table. */
typedef const char *(*opt_env_fn)(const char *name);

/* sets[]: "key.path=value" in order; list elements by index or by their `name:` member. */
MUST_CHECK bool opt_doc_load(const char *path, const char *const *sets, size_t nsets,
                             opt_env_fn env, struct arena *a, struct opt_doc *out, struct err *e);
/* From text (tests); `name` stands for the file. */
MUST_CHECK bool opt_doc_parse(struct str text, const char *name, const char *const *sets,
                              size_t nsets, opt_env_fn env, struct arena *a, struct opt_doc *out,
                              struct err *e);
/* Every top-level key must be one of names[] (NULL-terminated). */
MUST_CHECK bool opt_doc_sections(const struct opt_doc *d, const char *const *names, struct err *e);
/* The section's node or NULL. */
const struct opt_node *opt_doc_section(const struct opt_doc *d, const char *section);
const struct opt_node *opt_node_get(const struct opt_node *map, const char *key);

/* Fill `out` (zeroed first): defaults, then the section's values. A missing section is all
 * defaults. */
MUST_CHECK bool opt_bind(const struct opt_doc *d, const char *section, const struct opt *table,
                         void *out, struct err *e);
/* Put the values of a mapping on top of a struct already filled; other fields stay as they are.
 * prefix names the mapping in errors ("slurm.stages.train"). */
MUST_CHECK bool opt_bind_over(const struct opt_node *map, const char *prefix,
                              const struct opt *table, struct arena *a, void *inout, struct err *e);
/* Only defaults. */
MUST_CHECK bool opt_defaults(const struct opt *table, struct arena *a, void *out, struct err *e);

/* "section:\n  key: value\n..." complete and reloadable: opt_bind of the dump gives the same
 * struct. */
MUST_CHECK bool opt_dump(const char *section, const struct opt *table, const void *opts,
                         struct sbuf *b, struct err *e);
/* Help text: key, type, default, range, help; one option a paragraph. */
MUST_CHECK bool opt_help(const char *section, const struct opt *table, struct sbuf *b,
                         struct err *e);
/* Keys whose values differ between two dumps, as "train.lr, lora.rank", into b (empty: same). */
MUST_CHECK bool opt_diff(struct str dump_a, struct str dump_b, struct arena *a, struct sbuf *b,
                         struct err *e);
/* Full path of text as the file `file` means it: relative to its folder, or to the working
 * directory for --set and NULL. */
MUST_CHECK bool opt_path_resolve(struct arena *a, const char *file, struct str text,
                                 const char **out, struct err *e);
