/*
 * Devices and their memory: opening, refusing, counting; the strict device's promises; failing
 * allocations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "compute/dev_help.h"
#include "compute/dev_ops.h"

#include <sys/wait.h>
#include <unistd.h>

static void refused(const char *name, const char *why)
{
    struct dev *d = NULL;
    struct err e = {0};
    assert_false(dev_open(name, 1, &d, &e));
    assert_null(d);
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.text, why)) fail_msg("%s: '%s' does not say '%s'", name, e.text, why);
}

static void test_names(void **state)
{
    struct dev *d;
    (void)state;
    MUST(dev_open("auto", 0, &d, e));
    assert_string_equal(dev_name(d), "cpu");
    assert_non_null(strstr(dev_describe(d), "isa="));
    assert_non_null(strstr(dev_describe(d), "threads=1"));
    dev_close(d);
    MUST(dev_open("cpu:generic", 2, &d, e));
    assert_non_null(strstr(dev_describe(d), "isa=generic"));
    assert_non_null(strstr(dev_describe(d), "threads=2"));
    assert_false(dev_prefers_bf16(d));
    dev_close(d);
    refused("tpu", "not known");
    refused("cpu:mmx", "not known");
    refused("", "not known");
    refused("cpux", "not known");
}

static void test_memory_is_counted(void **state)
{
    static const char *const names[] = {
        "cpu",
        "strict",
#ifdef RADMILL_STAND_IN
        "cuda",
#endif
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t before = mem_live_blocks();
        struct dev *d;
        struct dev_buf *a, *b;
        MUST(dev_open(names[i], 1, &d, e));
        MUST(dev_buf_open(d, 1000, &a, e));
        MUST(dev_buf_open(d, 500, &b, e));
        assert_int_equal(dev_buf_bytes(a), 1000);
        assert_int_equal(dev_bytes_live(d), 1500);
        dev_buf_close(a);
        assert_int_equal(dev_bytes_live(d), 500);
        assert_int_equal(dev_bytes_peak(d), 1500);
        dev_buf_close(b);
        dev_buf_close(NULL);
        dev_close(d);
        dev_close(NULL);
        assert_int_equal(mem_live_blocks(), before);
    }
}

static void test_views(void **state)
{
    struct dev *d;
    float x[12], y[2];
    (void)state;
    for (int i = 0; i < 12; i++)
        x[i] = (float)i;
    MUST(dev_open("cpu", 1, &d, e));
    struct dev_buf *b;
    MUST(dev_buf_open(d, sizeof x + sizeof y, &b, e));
    MUST(dev_upload(d, b, 0, x, sizeof x, e));
    struct dev_mat m = dev_mat_of(b, 0, DEV_F32, 3, 4), p = dev_mat_part(m, 1, 2, 2, 1);
    MUST(dev_cast(d, p, dev_mat_of(b, 12, DEV_F32, 2, 1), e));
    MUST(dev_download(d, b, sizeof x, y, sizeof y, e));
    assert_true(y[0] == 6 && y[1] == 10);
    dev_buf_close(b);
    dev_close(d);
}

/* How does a child end that does this? 0, or the signal. */
static int child(void (*what)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit instead */
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(3);
        what();
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static struct dev *strict_with(struct dev_buf **b)
{
    struct dev *d;
    MUST(dev_open("strict", 1, &d, e));
    MUST(dev_buf_open(d, 4096, b, e));
    return d;
}

static void host_reads_device_memory(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    MUST(dev_zero(d, dev_mat_of(b, 0, DEV_F32, 1, 8), e));
    MUST(dev_sync(d, e));
    volatile unsigned char c = b->mem[0];
    (void)c;
}

static void host_writes_after_download(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    float x[8];
    MUST(dev_download(d, b, 0, x, sizeof x, e));
    *(volatile unsigned char *)b->mem = 1;
}

static void wrong_shape(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    MUST(dev_cast(d, dev_mat_of(b, 0, DEV_F32, 2, 8), dev_mat_of(b, 0, DEV_F32, 2, 9), e));
}

static void view_past_the_end(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    MUST(dev_zero(d, dev_mat_of(b, 1000, DEV_F32, 1, 25), e));
}

static void index_out_of_range(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    int32_t idx = 4;
    MUST(dev_upload(d, b, 0, &idx, sizeof idx, e));
    MUST(dev_gather_rows(d, dev_mat_of(b, 8, DEV_F32, 4, 4), dev_mat_of(b, 0, DEV_I32, 1, 1),
                         dev_mat_of(b, 80, DEV_F32, 1, 4), e));
    MUST(dev_sync(d, e));
}

static void in_order(void)
{
    struct dev_buf *b;
    struct dev *d = strict_with(&b);
    MUST(dev_zero(d, dev_mat_of(b, 0, DEV_F32, 1, 8), e));
    MUST(dev_sync(d, e));
    dev_buf_close(b);
    dev_close(d);
}

static void test_mixing_host_and_device_crashes(void **state)
{
    (void)state;
    assert_int_equal(child(in_order), 0);
    assert_int_equal(child(host_reads_device_memory), SIGSEGV);
    assert_int_equal(child(host_writes_after_download), SIGSEGV);
    assert_int_equal(child(wrong_shape), SIGABRT);
    assert_int_equal(child(view_past_the_end), SIGABRT);
    assert_int_equal(child(index_out_of_range), SIGABRT);
}

/* Ops wait for a sync; arrays of the host are copied; unwritten memory is NaN. */
static void test_strict_runs_late(void **state)
{
    struct dev_buf *b;
    (void)state;
    struct dev *d = strict_with(&b);
    float x[16];
    double sum;
    MUST(dev_sumsq(d, dev_mat_of(b, 0, DEV_F32, 1, 8), &sum, e));
    assert_true(isnan(sum));
    uint32_t *cu = malloc(2 * sizeof *cu);
    cu[0] = 0, cu[1] = 4;
    struct dev_attn a = {
        .heads = 1, .kv_heads = 1, .head_dim = 4, .scale = 0.5f, .cu = cu, .nseq = 1};
    for (int i = 0; i < 16; i++)
        x[i] = (float)i * 0.1f;
    MUST(dev_upload(d, b, 0, x, sizeof x, e));
    struct dev_mat m = dev_mat_of(b, 0, DEV_F32, 4, 4), o = dev_mat_of(b, 16, DEV_F32, 4, 4);
    MUST(dev_attn_fwd(d, &a, m, m, m, o, (struct dev_mat){0}, e));
    cu[0] = 77, cu[1] = 99999;
    free(cu);
    MUST(dev_download(d, b, 64, x, sizeof x, e));
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(x[i] - (float)i * 0.1f) < 1e-6f);
    dev_buf_close(b); /* with calls that still name it */
    MUST(dev_buf_open(d, 64, &b, e));
    MUST(dev_zero(d, dev_mat_of(b, 0, DEV_F32, 1, 4), e));
    dev_buf_close(b);
    dev_close(d);
}

static bool work(struct err *e)
{
    static const uint32_t cu[] = {0, 5, 30}, slot[] = {0, 0}, pos[] = {3, 4};
    struct dev_attn a = {
        .heads = 2, .kv_heads = 1, .head_dim = 4, .scale = 0.5f, .cu = cu, .nseq = 2};
    struct dev *d = NULL;
    struct dev_buf *b = NULL;
    bool ok = false;
    if (!dev_open("strict", 2, &d, e)) goto out;
    if (!dev_buf_open(d, 1 << 16, &b, e)) goto out;
    struct dev_mat q = dev_mat_of(b, 0, DEV_F32, 30, 8), k = dev_mat_of(b, 240, DEV_F32, 30, 4);
    struct dev_mat o = dev_mat_of(b, 360, DEV_F32, 30, 8), l = dev_mat_of(b, 600, DEV_F32, 2, 30);
    struct dev_mat h = dev_mat_of(b, 2000, DEV_BF16, 30, 30), two = dev_mat_part(q, 0, 2, 0, 8);
    if (!dev_zero(d, dev_mat_of(b, 0, DEV_F32, 1, 1 << 14), e)) goto out;
    if (!dev_attn_fwd(d, &a, q, k, k, o, l, e)) goto out;
    if (!dev_attn_bwd(d, &a, q, k, k, o, l, o, q, k, k, e)) goto out;
    if (!dev_attn_cached(d, &a, two, k, k, 10, slot, pos, dev_mat_part(o, 0, 2, 0, 8), e)) goto out;
    if (!dev_gemm(d, (struct dev_gemm){true, false, 1.0f, 0.0f}, q, k,
                  dev_mat_of(b, 3000, DEV_BF16, 8, 4), e))
        goto out;
    if (!dev_gemm(d, (struct dev_gemm){false, true, 1.0f, 0.0f}, h, h,
                  dev_mat_of(b, 9000, DEV_F32, 30, 30), e))
        goto out;
    ok = dev_sync(d, e);
out:
    dev_buf_close(b);
    dev_close(d);
    return ok;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    size_t before = mem_live_blocks();
    uint64_t n = 1;
    for (;; n++) {
        struct err e = {0};
        fault_arm(FAULT_MEM, n, false);
        bool ok = work(&e);
        fault_arm(FAULT_MEM, 0, false);
        assert_int_equal(mem_live_blocks(), before);
        if (ok) break;
        assert_int_equal(e.code, ERR_NOMEM);
    }
#ifdef RADMILL_FAULTS
    assert_true(n > 8);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_memory_is_counted),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_mixing_host_and_device_crashes),
        cmocka_unit_test(test_strict_runs_late),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
