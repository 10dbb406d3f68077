/*
 * tests/model/tiny - the tiny models of golden/tiny.json, from the same counter hash as
 * tests/support/golden/counter.py.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "model/decoder.h"
#include "support/test_device.h"

/* Calls that must succeed; print the error otherwise. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err e_ = {0};                                                                       \
        struct err *e = &e_;                                                                       \
        if (!(call)) fail_msg("%s", e_.text);                                                      \
    } while (0)

/* Calls that must fail with this code and a text that holds `part`. */
#define FAILS(call, want, part)                                                                    \
    do {                                                                                           \
        struct err e_ = {0};                                                                       \
        struct err *e = &e_;                                                                       \
        assert_false(call);                                                                        \
        if (e_.code != (want) || !strstr(e_.text, part))                                           \
            fail_msg("%s: %s (wanted %s: %s)", err_code_name(e_.code), e_.text,                    \
                     err_code_name(want), part);                                                   \
    } while (0)

/* First in main of a test that fails allocations: jansson 2.14 itself does not survive one that fails
 * (its lexer passes over it and then reads behind its buffer), so it gets a heap of its own. */
void tiny_spare_jansson(void);

/* n values in [-0.5, 0.5). */
void tiny_hash(uint64_t tag, size_t n, float *out);

enum tiny_case { TINY_LLAMA, TINY_MISTRAL, TINY_LLAMA3, TINY_CASES };
extern const char *const tiny_names[TINY_CASES];
struct model_spec tiny_spec(enum tiny_case c);
/* An HF folder below the test folder; returns its path. */
const char *tiny_write(enum tiny_case c);
/* A LoRA of the golden's rank and alpha with the golden's values, B included. */
struct lora *tiny_lora(struct model *m, double dropout);
/* Fills an adapter's masters: scale times the hash of 2000 + the factor's number. tiny_factor counts
 * as golden/tiny.json does. */
typedef uint64_t tiny_factor_fn(const char *name, const void *arg);
tiny_factor_fn tiny_factor;
void tiny_lora_fill(struct model *m, struct lora *l, tiny_factor_fn *number, const void *arg,
                    float scale);

/* A model of folder dir on a device; the caller opens its adapter (r->l), then the workspace. */
struct tiny_rig {
    struct dev *d;
    struct model *m;
    struct lora *l;
    struct decoder_work *w;
    struct dev_buf *grad;
    float *host; /* the last gradient */
};
void tiny_rig_model(struct tiny_rig *r, const char *device, const char *dir, enum dev_dtype t);
void tiny_rig_work(struct tiny_rig *r, uint32_t tokens, uint32_t rows);
void tiny_rig_close(struct tiny_rig *r);
/* The batch's loss; its gradient in r->host. */
double tiny_rig_grad(struct tiny_rig *r, const struct decoder_batch *b);

/* The golden's four packed samples. */
enum { TINY_TOKENS = 39, TINY_SEQS = 4, TINY_ROWS = 17 };
struct tiny_batch {
    uint32_t tokens[TINY_TOKENS], cu[TINY_SEQS + 1], rows[TINY_ROWS], labels[TINY_ROWS];
    struct decoder_batch b;
};
void tiny_batch(struct tiny_batch *t);
/* Sample i alone. */
void tiny_single(const struct tiny_batch *t, uint32_t i, struct tiny_batch *out);

/* golden/tiny.json: cases.<name>; borrowed from *root, which the caller releases. */
json_t *tiny_golden(enum tiny_case c, json_t **root);
/* cmocka's set-up and tear-down for golden/t5.json, which is tiny_t5 in between, and a test folder. */
extern json_t *tiny_t5;
int tiny_t5_setup(void **state);
int tiny_t5_teardown(void **state);
/* A folder `dir` below the test folder from a golden case: config.json of its "config", and weights
 * of its "tensors" ([name, shape] each), values from the hash (tag = number) passed through value.
 * rename may change a name, or be NULL. Returns the path, good until the next call. */
typedef float tiny_value_fn(const char *name, uint32_t ndims, float h);
typedef void tiny_rename_fn(char *name);
const char *tiny_write_golden(const char *dir, const json_t *c, tiny_value_fn *value,
                              tiny_rename_fn *rename);
/* A member that must be a number. */
double tiny_number(const json_t *j, const char *key);
/* Norm, projection on a hash vector and single entries of g against a golden summary; tol is
 * relative to the tensor's norm. */
void tiny_summary(const float *g, size_t n, uint64_t tag, const json_t *gold, double tol,
                  const char *what);
/* A cache whose slots go through l (NULL: the base model); max_memory is max_len. */
bool tiny_cache_open(struct model *m, struct lora *l, uint32_t slots, uint32_t max_len,
                     uint32_t max_rows, struct decoder_cache **out, struct err *e);
uint64_t tiny_cache_bytes(const struct model *m, uint32_t slots, uint32_t max_len,
                          uint32_t max_rows);
/* decoder_step of rows of the cache that was opened last, with all logits asked for when logits is not NULL. */
bool tiny_step(struct decoder_cache *c, const struct decoder_rows *r, const uint32_t *want,
               uint32_t nwant, uint32_t *next, float *logits, struct err *e);
/* sqrt(mean((a-b)^2) / mean(b^2)) */
double rel_rms(const float *a, const float *b, size_t n);

/* ---- memory: what a call takes, in a child whose peak is its own */
struct tiny_peak {
    const char *what;
    uint64_t file; /* bytes of the model's files */
    bool (*call)(const struct tiny_peak *p, uint64_t *device, struct err *e);
    const char *from, *to;
    enum dev_quant_kind quant;
};
/* Passes where the peak grows by at most 1.1 times the files, the device's copy and 4 MB of the
 * process's own, which count beside so small a file. Sanitizers keep books of their own: they pass
 * without a look. */
void tiny_peak(const struct tiny_peak *p);
/* A model of `from` onto the CPU, bf16. */
bool tiny_peak_open(const struct tiny_peak *p, uint64_t *device, struct err *e);
/* Bytes of all files of a folder whose names begin so. */
uint64_t tiny_folder_bytes(const char *dir, const char *start);
