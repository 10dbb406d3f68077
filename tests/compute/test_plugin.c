/*
 * Device "cuda" as a plug-in: found, refused, given up for the CPU or not; memory, errors that come late,
 * products whose algorithm is chosen by timing and handed on as bytes. Over the stand-in for CUDA.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"
#include "compute/dev_ops.h"

#include <unistd.h>

static struct dev_place fake = {.plugin = RADMILL_CUDA_FAKE, .gpus = DEV_GPUS_HIDDEN};

static bool opens(const char *name, const char **why)
{
    static struct err bad;
    struct dev *d = NULL;
    bad = (struct err){0};
    bool ok = dev_open(name, 1, &d, &bad);
    *why = bad.text;
    if (ok) dev_close(d);
    return ok;
}

static void refused(const char *name, const char *what)
{
    const char *why;
    if (opens(name, &why)) fail_msg("%s opens", name);
    if (!strstr(why, what)) fail_msg("%s: '%s' does not say '%s'", name, why, what);
}

/* The first test: nothing has been loaded yet. */
static void test_not_found(void **state)
{
    struct dev_place p = {.gpus = DEV_GPUS_HIDDEN};
    const char *why;
    (void)state;
    dev_set_place(&p);
    refused("cuda", "no CUDA plug-in");
    refused("cuda:1", "no CUDA plug-in");
    assert_true(opens("auto", &why));
    p.plugin = "/nonexistent/radmill_cuda.so";
    dev_set_place(&p);
    refused("cuda", "/nonexistent/radmill_cuda.so");
    p.plugin = "/proc/self/exe"; /* no plug-in */
    dev_set_place(&p);
    refused("cuda", "does not load");
    p.plugin = RADMILL_CUDA_OTHER;
    dev_set_place(&p);
    refused("cuda", "another version of radmill");
}

/* auto: a job that was given a GPU must not compute on the CPU; a workstation may. */
static void test_auto(void **state)
{
    struct dev_place p = {.plugin = "/nonexistent/radmill_cuda.so", .gpus = DEV_GPUS_GIVEN};
    struct dev *d;
    (void)state;
    dev_set_place(&p);
    refused("auto", "was given a GPU");
    p.plugin = RADMILL_CUDA_FAKE;
    dev_set_place(&p);
    MUST(dev_open("auto", 1, &d, e));
    assert_string_equal(dev_name(d), "cuda");
    assert_true(dev_prefers_bf16(d));
    assert_non_null(strstr(dev_describe(d), "gpu=stand-in sm=90"));
    dev_close(d);
    setenv("RADMILL_FAKE_GPUS", "0", 1);
    refused("auto", "was given a GPU");
    refused("cuda", "told to have none");
    char why[256] = "";
    assert_int_equal(dev_count_gpus(why, sizeof why), 0);
    assert_non_null(strstr(why, "told to have none"));
    unsetenv("RADMILL_FAKE_GPUS");
    dev_set_place(&fake);
    MUST(dev_open("auto", 1, &d, e));
    assert_string_equal(dev_name(d), "cpu");
    assert_string_equal(dev_unit(d), "");
    dev_close(d);
}

static void test_which_gpu(void **state)
{
    struct dev_place p = fake;
    (void)state;
    setenv("RADMILL_FAKE_GPUS", "3", 1);
    assert_int_equal(dev_count_gpus((char[8]){0}, 8), 3);
    for (int rank = 0; rank < 5; rank++) {
        struct dev *d;
        char want[32];
        p.local_rank = rank;
        dev_set_place(&p);
        MUST(dev_open("cuda", 1, &d, e));
        snprintf(want, sizeof want, "GPU-stand-in-%d", rank % 3);
        assert_string_equal(dev_unit(d), want);
        dev_close(d);
        MUST(dev_open("cuda:2", 1, &d, e));
        assert_string_equal(dev_unit(d), "GPU-stand-in-2");
        dev_close(d);
    }
    refused("cuda:3", "this process sees 3");
    refused("cuda:", "missing");
    refused("cuda:1x", "no number");
    refused("cuda:99999", "no number");
    unsetenv("RADMILL_FAKE_GPUS");
    dev_set_place(&fake);
}

/* Much more than the pinned ring holds, up and down, in odd pieces. */
static void test_copies(void **state)
{
    enum { N = (80 << 20) + 12345 };
    unsigned char *x = malloc(N), *y = malloc(N);
    struct dev *d;
    struct dev_buf *b;
    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = (unsigned char)(i * 2654435761u >> 24);
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, N, &b, e));
    for (size_t at = 0, n; at < N; at += n) {
        n = at % 3 == 0 ? 7777777 : 33333;
        if (n > N - at) n = N - at;
        unsigned char *copy = malloc(n); /* reused on return */
        memcpy(copy, x + at, n);
        MUST(dev_upload(d, b, at, copy, n, e));
        memset(copy, 0, n);
        free(copy);
    }
    MUST(dev_download(d, b, 0, y, N, e));
    assert_memory_equal(x, y, N);
    MUST(dev_download(d, b, 5, y, 3, e));
    assert_memory_equal(x + 5, y, 3);
    dev_buf_close(b);
    dev_close(d);
    free(x);
    free(y);
}

static void test_memory_ends(void **state)
{
    struct dev *d;
    struct dev_buf *a, *b;
    struct err bad = {0};
    (void)state;
    setenv("RADMILL_FAKE_GPU_MIB", "100", 1);
    MUST(dev_open("cuda", 1, &d, e));
    size_t left = dev_bytes_free(d);
    assert_true(left < 100u << 20 && left > 60u << 20);
    assert_true(dev_bytes_own(d) >= 32u << 20);
    MUST(dev_buf_open(d, left - 1000, &a, e));
    assert_false(dev_buf_open(d, 2000, &b, &bad));
    assert_int_equal(bad.code, ERR_NOMEM);
    dev_buf_close(a);
    dev_close(d);
    unsetenv("RADMILL_FAKE_GPU_MIB");
}

/* Idle is what passes between a wait and the next call, and nothing while work is queued. */
static void test_idle(void **state)
{
    enum { PAUSE_US = 20000 };
    struct dev *d, *cpu;
    struct dev_buf *b;
    (void)state;
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, 1 << 20, &b, e));
    assert_true(dev_bytes_taken(d) >= dev_bytes_own(d) + (1 << 20));
    MUST(dev_sync(d, e));
    double before = dev_idle_s(d);
    usleep(PAUSE_US);
    assert_true(dev_idle_s(d) - before >= PAUSE_US * 1e-6);
    MUST(dev_zero(d, dev_mat_of(b, 0, DEV_U8, 1, 100), e));
    double queued = dev_idle_s(d);
    usleep(PAUSE_US);
    MUST(dev_zero(d, dev_mat_of(b, 0, DEV_U8, 1, 100), e));
    assert_true(dev_idle_s(d) == queued);
    MUST(dev_sync(d, e));
    dev_buf_close(b);
    dev_close(d);
    MUST(dev_open("cpu", 1, &cpu, e));
    assert_true(dev_idle_s(cpu) < 0);
    assert_int_equal(dev_bytes_taken(cpu), 0);
    dev_close(cpu);
}

static void come_through(struct dev *d)
{
    enum dev_team_state now = DEV_TEAM_WAITS;
    while (now != DEV_TEAM_OVER)
        MUST(dev_team_poll(d, &now, e));
}

/* In a sum over GPUs nothing is computed, however long it takes. */
static void test_idle_in_a_team(void **state)
{
    enum { PAUSE_US = 20000 };
    char id[DEV_TEAM_ID];
    int64_t x = 5, back = 0;
    struct dev *d;
    struct dev_buf *b;
    (void)state;
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, sizeof x, &b, e));
    MUST(dev_team_id(d, id, e));
    MUST(dev_team_open(d, id, 0, 1, e));
    come_through(d);
    MUST(dev_upload(d, b, 0, &x, sizeof x, e));
    double before = dev_idle_s(d);
    MUST(dev_team_sum_i64(d, b, 0, 1, e));
    usleep(PAUSE_US);
    come_through(d);
    assert_true(dev_idle_s(d) - before >= PAUSE_US * 1e-6);
    MUST(dev_download(d, b, 0, &back, sizeof back, e));
    assert_int_equal(back, x);
    dev_buf_close(b);
    dev_close(d);
}

/* A failure on the device comes back from whatever is called later, and stays. */
static void test_late_failure(void **state)
{
    struct dev *d;
    struct dev_buf *b;
    struct err bad = {0}, again = {0};
    float x[4] = {1, 2, 3, 4};
    (void)state;
    setenv("RADMILL_FAKE_FAIL", "2", 1);
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, sizeof x, &b, e));
    MUST(dev_upload(d, b, 0, x, sizeof x, e));
    MUST(dev_upload(d, b, 0, x, sizeof x, e));
    assert_false(dev_sync(d, &bad));
    assert_int_equal(bad.code, ERR_LIB);
    assert_non_null(strstr(bad.text, "copy to the GPU"));
    assert_false(dev_download(d, b, 0, x, sizeof x, &again));
    dev_buf_close(b);
    dev_close(d);
    unsetenv("RADMILL_FAKE_FAIL");
}

/* ---- choices */
struct trio {
    struct hmat a, b, c;
};

static struct trio trio_of(struct dev *d, uint32_t m, uint32_t n, uint32_t k)
{
    double *a = help_values(1, (size_t)m * k, 1, DEV_BF16);
    double *b = help_values(2, (size_t)n * k, 1, DEV_BF16);
    struct trio t = {help_mat(d, DEV_BF16, m, k, k, a), help_mat(d, DEV_BF16, n, k, k, b),
                     help_mat(d, DEV_F32, m, n, n, NULL)};
    free(a);
    free(b);
    return t;
}

static double *product(struct dev *d, struct trio *t)
{
    MUST(dev_gemm(d, (struct dev_gemm){false, true, 1, 0}, t->a.m, t->b.m, t->c.m, e));
    return help_get(&t->c);
}

static void drop(struct trio *t)
{
    help_drop(&t->a);
    help_drop(&t->b);
    help_drop(&t->c);
}

static void test_choices(void **state)
{
    enum { M = 33, N = 48, K = 400 };
    struct dev *d, *other;
    bool taken;
    struct err bad = {0};
    (void)state;
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_open("cuda", 1, &other, e));
    assert_true(dev_tunes(d));
    struct trio t = trio_of(d, M, N, K), u = trio_of(other, M, N, K);
    double *guessed = product(other, &u);
    dev_tune(d, true);
    free(product(d, &t));
    dev_tune(d, false);
    double *timed = product(d, &t);
    /* the stand-in's fastest way is not its first guess, and sums in another order */
    assert_true(memcmp(timed, guessed, M * N * sizeof *timed) != 0);
    assert_true(help_distance(timed, guessed, M * N) < 1e-6);

    size_t bytes = dev_choices_bytes(d);
    unsigned char *blob = malloc(bytes + 1), *back = malloc(bytes);
    dev_choices_get(d, blob);
    MUST(dev_choices_set(other, blob, bytes, &taken, e));
    assert_true(taken);
    double *same = product(other, &u);
    assert_memory_equal(timed, same, M * N * sizeof *same);
    assert_int_equal(dev_choices_bytes(other), bytes);
    dev_choices_get(other, back);
    assert_memory_equal(blob, back, bytes);

    assert_false(dev_choices_set(other, blob, bytes - 1, &taken, &bad));
    err_clear(&bad);
    assert_false(dev_choices_set(other, blob, 3, &taken, &bad));
    err_clear(&bad);
    blob[0] ^= 1;
    assert_false(dev_choices_set(other, blob, bytes, &taken, &bad));
    blob[0] ^= 1;
    blob[8] ^= 1; /* another GPU's */
    MUST(dev_choices_set(other, blob, bytes, &taken, e));
    assert_false(taken);
    drop(&t);
    drop(&u);
    dev_close(d);
    dev_close(other);
    free(blob);
    free(back);
    free(guessed);
    free(timed);
    free(same);
}

/* More calls than pairs of events; times are the stand-in's made-up costs of products. */
static void test_profile(void **state)
{
    enum { M = 80, N = 96, K = 100, CALLS = 700 };
    struct dev_profile p;
    struct dev *d;
    (void)state;
    MUST(dev_open("cuda", 1, &d, e));
    assert_true(dev_profiles(d));
    struct trio t = trio_of(d, M, N, K), narrow = trio_of(d, M, N, 8);
    free(product(d, &t));
    MUST(dev_profile_get(d, &p, e));
    assert_true(p.calls[DEV_GEMM] == 0);
    MUST(dev_profile_set(d, true, e));
    for (int i = 0; i < CALLS; i++)
        MUST(dev_gemm(d, (struct dev_gemm){false, true, 1, 0}, t.a.m, t.b.m, t.c.m, e));
    free(product(d, &narrow));
    MUST(dev_zero(d, t.c.m, e));
    MUST(dev_profile_get(d, &p, e));
    assert_int_equal(p.calls[DEV_GEMM], CALLS);
    assert_int_equal(p.calls[DEV_PROFILE_NARROW], 1);
    assert_int_equal(p.calls[DEV_ZERO], 1);
    assert_true(p.ms[DEV_GEMM] == 3.0 * CALLS && p.ms[DEV_PROFILE_NARROW] == 3.0);
    assert_string_equal(dev_profile_name(DEV_GEMM), "product");
    for (int k = 0; k < DEV_OPS_COUNT; k++)
        assert_non_null(dev_profile_name(k));
    MUST(dev_profile_set(d, false, e));
    drop(&t);
    drop(&narrow);
    dev_close(d);
    MUST(dev_open("cpu", 1, &d, e));
    assert_false(dev_profiles(d));
    dev_close(d);
}

static void test_cpu_has_no_choices(void **state)
{
    struct dev *d;
    bool taken = true;
    (void)state;
    MUST(dev_open("cpu", 1, &d, e));
    assert_false(dev_tunes(d));
    dev_tune(d, true);
    assert_int_equal(dev_choices_bytes(d), 0);
    MUST(dev_choices_set(d, "x", 1, &taken, e));
    assert_false(taken);
    assert_int_equal(dev_bytes_free(d), 0);
    dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_found),      cmocka_unit_test(test_auto),
        cmocka_unit_test(test_which_gpu),      cmocka_unit_test(test_copies),
        cmocka_unit_test(test_memory_ends),    cmocka_unit_test(test_late_failure),
        cmocka_unit_test(test_idle),           cmocka_unit_test(test_choices),
        cmocka_unit_test(test_profile),        cmocka_unit_test(test_cpu_has_no_choices),
        cmocka_unit_test(test_idle_in_a_team),
    };
    if (access(RADMILL_CUDA_FAKE, R_OK) != 0) {
        printf("SKIP: %s was not built\n", RADMILL_CUDA_FAKE);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
