/*
 * sweep/space - what a sweep varies: any configuration keys, their values, and which of them matter
 * when. From `sweep.params`:
 *
 *     train.lr: {log_uniform: [1.0e-5, 1.0e-3]}
 *     lora.rank: [4, 8, 16, 32]                       choice; the same as {choice: [...]}
 *     lora.dropout: {steps: [0.0, 0.2, 0.05]}         from, to, step
 *     train.epochs: {integers: [1, 4]}                both ends included; log_integers too
 *     train.warmup: {uniform: [0.0, 0.1], points: 3}  points: of a grid (default 5)
 *     lora.alpha: {choice: [8, 16], when: {lora.rank: [4, 8]}}     else left at its default
 *
 * The main idea: a point is one number a parameter (the position of a choice, else the value), and
 * a value's text is what --set would be given. Numbers are rounded to what their text reads back
 * as, so a point from the journal is the same point.
 *
 * `when` names one choice further up; a parameter that is off has no part in the point. Memory
 * belongs to the arena given to space_parse.
 */
#pragma once
#include "base/opt.h"
#include "base/rng.h"

enum { SPACE_MAX = 32, SPACE_CHOICES_MAX = 64, SPACE_GRID_MAX = 100000 };
enum space_kind { SPACE_CHOICE, SPACE_UNIFORM, SPACE_INTEGERS, SPACE_STEPS };

struct space_param {
    const char *key;
    enum space_kind kind;
    bool log;            /* of uniform and integers */
    double lo, hi, step; /* step: 0 for uniform, 1 for integers */
    const char *const *choices;
    size_t n;        /* choices */
    uint64_t points; /* of a grid, for uniform and long integers */
    int parent;      /* the choice it depends on, or -1 */
    uint64_t when;   /* bit i: on when the parent is choice i */
};
struct space {
    struct space_param p[SPACE_MAX];
    size_t n;
};
struct space_point {
    double v[SPACE_MAX];
    uint32_t on; /* bit d: parameter d has a part; v of the others is 0 */
};

/* node: sweep.params. Values of keys that are paths must be full paths already. */
MUST_CHECK bool space_parse(const struct opt_node *node, struct arena *a, struct space *out,
                            struct err *e);
/* The parameters that `wants` says yes to, and the choices that these depend on; a grid of it has
 * every whole number. */
void space_part(const struct space *s, bool (*wants)(const char *key), struct space *out);
/* The parameter of this key, or -1. */
int space_find(const struct space *s, struct str key);
/* Set `on` from the choices, zero what is off. */
void space_settle(const struct space *s, struct space_point *p);
/* Nearest value of the parameter: into its range, on its step, and through its text. */
double space_round(const struct space_param *p, double v);
/* Point number `trial` of the random search: a function of (seed, trial) alone. */
void space_random(const struct space *s, uint64_t seed, uint64_t trial, struct space_point *out);
/* The same, but n trials from a multiple of n on are spread evenly along every axis: one in each
 * n-th of its range (a Latin hypercube). */
void space_spread(const struct space *s, uint64_t seed, uint64_t trial, uint64_t n,
                  struct space_point *out);
/* All points of the grid, first parameter slowest, in the arena; more than SPACE_GRID_MAX is
 * ERR_LIMIT. */
MUST_CHECK bool space_grid(const struct space *s, struct arena *a, struct space_point **out,
                           size_t *n, struct err *e);
/* Values a grid gives to a parameter, and number i of them. */
uint64_t space_points(const struct space_param *p);
double space_point_at(const struct space_param *p, uint64_t i);
/* "0.0003", "[clinical, findings]": as --set reads it. */
MUST_CHECK bool space_put_text(const struct space_param *p, double v, struct sbuf *b,
                               struct err *e);
/* Back from the text; anything that is not exactly a value of the parameter is ERR_FORMAT. */
MUST_CHECK bool space_get_text(const struct space_param *p, struct str text, double *out,
                               struct err *e);
/* "key=value" of all that is on, in the arena. */
MUST_CHECK bool space_sets(const struct space *s, const struct space_point *p, struct arena *a,
                           const char ***sets, size_t *n, struct err *e);
bool space_equal(const struct space *s, const struct space_point *a, const struct space_point *b);
