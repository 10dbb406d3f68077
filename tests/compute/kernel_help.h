/*
 * tests/compute/kernel_help - a launcher of kernels.h beside the op of dev.h that it stands for.
 *
 * A trial holds matrices twice: on the device cpu:generic, and as plain memory for the kernels. The
 * op runs once, the kernels run on the CPU (cuda_shim.h) in each thread order; outputs are compared
 * with the op's, and with their own bits in the first order. Everything beside the output (gaps
 * between rows, other matrices) must keep its bits.
 */
#pragma once
#include "compute/cuda/kernels.h"
#include "compute/dev_help.h"
#include "compute/dev_ops.h"
#include "support/cuda_shim.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIAL_MATS = 12, TRIAL_MOST = 1024, TRIAL_SITES = 64 };

/* Which barriers each trial met, by its number; the one that is taken away, or -1. */
static struct {
    int count, without;
    uint64_t met[TRIAL_MOST];
} trial_log = {.without = -1};

struct trial {
    struct dev *d;
    const char *name;
    int n;
    struct dev_buf *buf[TRIAL_MATS];
    struct dev_mat ref[TRIAL_MATS];
    unsigned char *start[TRIAL_MATS], *got[TRIAL_MATS], *first[TRIAL_MATS];
    size_t bytes[TRIAL_MATS];
    bool out[TRIAL_MATS];
    double tolerance[TRIAL_MATS]; /* relative, root mean square; 0: the same bits */
    void *scratch;
    const void *args;
};

typedef void trial_dev_fn(struct trial *t);
typedef void trial_kernel_fn(struct trial *t);

static inline size_t trial_elem(const struct trial *t, int i, uint32_t r, uint32_t c)
{
    return t->ref[i].offset + (size_t)r * t->ref[i].ld + c;
}

/* Add a matrix: offset elements into its memory, rows ld apart; x: rows * cols values, or NULL. */
static inline int trial_add(struct trial *t, enum dev_dtype type, uint32_t rows, uint32_t cols,
                            uint32_t ld, uint32_t offset, const double *x)
{
    int i = t->n++;
    size_t z = dev_dtype_bytes(type), n = rows && cols ? (size_t)(rows - 1) * ld + cols : 0;
    if (i >= TRIAL_MATS) abort();
    t->bytes[i] = (offset + n) * z;
    MUST(dev_buf_open(t->d, t->bytes[i] + 1, &t->buf[i], e));
    t->ref[i] = (struct dev_mat){t->buf[i], offset, type, rows, cols, ld};
    t->start[i] = malloc(t->bytes[i] + 1);
    t->got[i] = malloc(t->bytes[i] + 1);
    t->first[i] = malloc(t->bytes[i] + 1);
    memset(t->start[i], 0xFF, t->bytes[i] + 1);
    for (uint32_t r = 0; x && r < rows; r++)
        for (uint32_t c = 0; c < cols; c++) {
            unsigned char *p = t->start[i] + trial_elem(t, i, r, c) * z;
            double v = x[(size_t)r * cols + c];
            float f = (float)v;
            uint16_t h = help_bf16(v);
            int32_t s = (int32_t)v;
            int64_t l = (int64_t)v;
            unsigned char b = type == DEV_U8 ? (unsigned char)v : 0;
            const void *from[DEV_DTYPES] = {&f, &h, &s, &l, &b};
            memcpy(p, from[type], z);
        }
    return i;
}

/* The same with reproducible values in [-scale, scale). */
static inline int trial_random(struct trial *t, enum dev_dtype type, uint32_t rows, uint32_t cols,
                               uint32_t ld, uint32_t offset, double scale)
{
    size_t n = (size_t)rows * cols;
    double *x = calloc(n + 1, sizeof *x);
    for (size_t k = 0; k < n; k++)
        x[k] = help_round(scale * help_random((uint64_t)t->n + 1, k), type);
    int i = trial_add(t, type, rows, cols, ld, offset, x);
    free(x);
    return i;
}

static inline void trial_out(struct trial *t, int i, double tolerance)
{
    t->out[i] = true;
    t->tolerance[i] = tolerance;
}

/* Matrix i as the kernels see it; i < 0: left out. */
static inline struct kernel_mat trial_mat(const struct trial *t, int i)
{
    if (i < 0) return (struct kernel_mat){0};
    struct dev_mat m = t->ref[i];
    return (struct kernel_mat){t->got[i] + m.offset * dev_dtype_bytes(m.dtype), m.dtype, m.rows,
                               m.cols, m.ld};
}
static inline void *trial_ptr(const struct trial *t, int i)
{
    return trial_mat(t, i).p;
}
static inline struct dev_mat trial_ref(const struct trial *t, int i)
{
    return i < 0 ? (struct dev_mat){0} : t->ref[i];
}

static inline double trial_value(const unsigned char *p, enum dev_dtype type)
{
    float f;
    uint16_t h;
    int32_t s;
    int64_t l;
    switch (type) {
    case DEV_F32:
        memcpy(&f, p, sizeof f);
        return f;
    case DEV_BF16:
        memcpy(&h, p, sizeof h);
        return help_from_bf16(h);
    case DEV_I32:
        memcpy(&s, p, sizeof s);
        return s;
    case DEV_I64:
        memcpy(&l, p, sizeof l);
        return (double)l;
    default:
        return *p;
    }
}

static inline double *trial_values(const struct trial *t, int i, const unsigned char *raw)
{
    struct dev_mat m = t->ref[i];
    double *x = malloc(((size_t)m.rows * m.cols + 1) * sizeof *x);
    for (uint32_t r = 0; r < m.rows; r++)
        for (uint32_t c = 0; c < m.cols; c++)
            x[(size_t)r * m.cols + c] =
                trial_value(raw + trial_elem(t, i, r, c) * dev_dtype_bytes(m.dtype), m.dtype);
    return x;
}

static inline bool trial_say(const struct trial *t, const char *what, int i, const char *order,
                             double far)
{
    fprintf(stderr, "%s: matrix %d, order %s: %s (%g)\n", t->name, i, order, what, far);
    return false;
}

/* Matrix i after the kernels against `want`, the op's bytes. */
static inline bool trial_same(const struct trial *t, int i, const unsigned char *want,
                              const char *order)
{
    struct dev_mat m = t->ref[i];
    if (!t->out[i] || t->tolerance[i] == 0)
        return memcmp(t->got[i], want, t->bytes[i]) == 0 ||
               trial_say(t, t->out[i] ? "not the same bits" : "an input was written", i, order, 0);
    double *x = trial_values(t, i, t->got[i]), *y = trial_values(t, i, want);
    double far = help_distance(x, y, (size_t)m.rows * m.cols);
    free(x);
    free(y);
    if (far > t->tolerance[i]) return trial_say(t, "too far from the cpu device", i, order, far);
    size_t z = dev_dtype_bytes(m.dtype), gap = m.ld - m.cols;
    for (uint32_t r = 0; r + 1 < m.rows; r++)
        if (memcmp(t->got[i] + trial_elem(t, i, r, m.cols) * z,
                   t->start[i] + trial_elem(t, i, r, m.cols) * z, gap * z) != 0)
            return trial_say(t, "written beyond a row", i, order, r);
    return memcmp(t->got[i], t->start[i], m.offset * z) == 0 ||
           trial_say(t, "written before the matrix", i, order, 0);
}

static inline bool trial_order(struct trial *t, enum shim_order o, trial_kernel_fn *run,
                               unsigned char *const *want)
{
    static const char *const names[SHIM_ORDERS] = {"forward", "reverse", "shuffled"};
    bool ok = true;
    for (int i = 0; i < t->n; i++)
        memcpy(t->got[i], t->start[i], t->bytes[i]);
    shim_set_order(o, 12345);
    run(t);
    for (int i = 0; i < t->n; i++) {
        ok = trial_same(t, i, want[i], names[o]) && ok;
        if (o == SHIM_FORWARD)
            memcpy(t->first[i], t->got[i], t->bytes[i]);
        else if (memcmp(t->first[i], t->got[i], t->bytes[i]) != 0)
            ok = trial_say(t, "bits depend on the order of threads", i, names[o], 0);
    }
    return ok;
}

/* Frees the matrices; the trial can be filled again. */
static inline void trial_drop(struct trial *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->start[i]);
        free(t->got[i]);
        free(t->first[i]);
        dev_buf_close(t->buf[i]);
        t->out[i] = false;
    }
    t->n = 0;
}

/* Runs both, then drops. */
static inline bool trial_compare(struct trial *t, trial_dev_fn *op, trial_kernel_fn *run)
{
    unsigned char *want[TRIAL_MATS] = {0};
    bool ok = true;
    for (int i = 0; i < t->n; i++)
        MUST(dev_upload(t->d, t->buf[i], 0, t->start[i], t->bytes[i], e));
    op(t);
    for (int i = 0; i < t->n; i++) {
        want[i] = malloc(t->bytes[i] + 1);
        MUST(dev_download(t->d, t->buf[i], 0, want[i], t->bytes[i], e));
    }
    for (int o = 0; o < SHIM_ORDERS; o++)
        ok = trial_order(t, (enum shim_order)o, run, want) && ok;
    for (int i = 0; i < t->n; i++)
        free(want[i]);
    trial_drop(t);
    return ok;
}

static inline bool trial_run(struct trial *t, const char *name, trial_dev_fn *op,
                             trial_kernel_fn *run)
{
    uint64_t hits[TRIAL_SITES] = {0}, *met = &trial_log.met[trial_log.count++];
    if (trial_log.count == TRIAL_MOST) abort();
    t->name = name;
    if (trial_log.without >= 0) {
        if (*met >> trial_log.without & 1 && !trial_compare(t, op, run)) _exit(1);
        trial_drop(t);
        return true;
    }
    for (int i = 0; i < shim_barriers(); i++)
        hits[i] = shim_barrier_hits(i);
    bool ok = trial_compare(t, op, run);
    if (shim_barriers() > TRIAL_SITES) abort();
    for (int i = 0; i < shim_barriers(); i++)
        if (shim_barrier_hits(i) > hits[i]) *met |= (uint64_t)1 << i;
    return ok;
}

/* After all(state) ran as tests, trial by trial: run it once more without each barrier that was met,
 * in a process of its own. A barrier without which nothing fails is not needed, or not tested. */
static inline void trial_without_barriers(void (*all)(void **state), void **state)
{
    int unneeded = 0;
    for (int i = 0; i < shim_barriers(); i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            struct rlimit none = {0, 0};
            int quiet = open("/dev/null", O_WRONLY);
            setrlimit(RLIMIT_CORE, &none);
            dup2(quiet, 1);
            dup2(quiet, 2);
            shim_barrier_skip(i);
            trial_log.without = i;
            trial_log.count = 0;
            all(state);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child) abort();
        if (status != 0) continue;
        fprintf(stderr, "barrier at %s: nothing fails without it\n", shim_barrier_name(i));
        unneeded++;
    }
    assert_int_equal(unneeded, 0);
    assert_true(shim_barriers() > 0);
}
