/*
 * Lanes: two pieces of work in flight. The same numbers on every device (a GPU, too: tests/gpu/acceptance); on
 * "cuda" over the stand-in in many orders of its three streams, and wrong ones in some order as soon as one
 * stream forgets to wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/dev_help.h"

#include <unistd.h>

enum { TURNS = 6, CALLS = 9, N = 300, HEAD = 16, TOKENS = 24 };

/* What one run leaves at the host, turn by turn. */
struct out {
    float x[TURNS][N], most[TURNS], attn[TURNS][TOKENS * HEAD];
    double squares[TURNS];
};

struct bench {
    struct dev *d;
    struct dev_buf *lane, *sum,
        *qkv; /* a row a lane, and what comes of it; of all turns; attention's */
    bool attends;
    struct out *out;
};

static struct dev_mat row(struct dev_buf *b, int i)
{
    return dev_mat_of(b, (size_t)i * N, DEV_F32, 1, N);
}

/* Samples of a call: other ones each time, so that their table is another. */
static uint32_t cut(int call, uint32_t cu[4])
{
    cu[0] = 0;
    cu[1] = 1 + (uint32_t)(call % 7);
    cu[2] = cu[1] + 1 + (uint32_t)(call % 15);
    cu[3] = TOKENS;
    return 3;
}

/* More tables a turn than two turns in flight have room for. */
static void attend(struct bench *b, int turn, int lane)
{
    uint32_t cu[4];
    struct dev_mat q = dev_mat_of(b->qkv, 0, DEV_F32, TOKENS, HEAD), none = {0};
    struct dev_mat one = dev_mat_of(b->qkv, (size_t)TOKENS * HEAD, DEV_F32, TOKENS, HEAD);
    struct dev_mat to =
        dev_mat_of(b->qkv, (size_t)(2 + lane) * TOKENS * HEAD, DEV_F32, TOKENS, HEAD);
    struct dev_attn a = {.heads = 1, .kv_heads = 1, .head_dim = HEAD, .scale = 0.2F, .cu = cu};

    MUST(dev_zero(b->d, to, e));
    for (int i = 0; i < CALLS; i++) {
        a.nseq = cut(turn * CALLS + i, cu);
        MUST(dev_attn_fwd(b->d, &a, q, q, q, one, none, e));
        memset(cu, 0xEE, sizeof cu); /* the call is over */
        MUST(dev_add(b->d, to, one, e));
    }
    MUST(dev_download_later(b->d, b->qkv, to.offset * sizeof(float), b->out->attn[turn],
                            sizeof b->out->attn[turn], e));
}

/* sum += what is uploaded; what comes back is 2 sum, its largest number and its squares. */
static void one_turn(struct bench *b, int turn)
{
    int lane = turn % DEV_LANES;
    float x[N];

    for (int i = 0; i < N; i++)
        x[i] = (float)((turn * 37 + i * 11) % 101 - 50) / 8;
    MUST(dev_lane_wait(b->d, lane, e));
    dev_lane_begin(b->d, lane);
    MUST(dev_upload_ahead(b->d, b->lane, (size_t)lane * sizeof x, x, sizeof x, e));
    memset(x, 0xEE, sizeof x); /* reused on return */
    MUST(dev_add(b->d, row(b->sum, 0), row(b->lane, lane), e));
    MUST(dev_scale_cast(b->d, 2, row(b->sum, 0), row(b->lane, DEV_LANES + lane), e));
    MUST(dev_absmax_later(b->d, row(b->sum, 0), &b->out->most[turn], e));
    MUST(dev_sumsq_later(b->d, row(b->sum, 0), &b->out->squares[turn], e));
    MUST(dev_download_later(b->d, b->lane, (size_t)(DEV_LANES + lane) * sizeof x, b->out->x[turn],
                            sizeof x, e));
    if (b->attends) attend(b, turn, lane);
    MUST(dev_lane_end(b->d, e));
}

static struct out *turns(const char *device, bool attends)
{
    struct bench b = {.attends = attends, .out = malloc(sizeof *b.out)};
    float *q = malloc(sizeof(float) * TOKENS * HEAD);

    memset(b.out, 0xFF, sizeof *b.out);
    for (int i = 0; i < TOKENS * HEAD; i++)
        q[i] = (float)(i * 29 % 67 - 33) / 16;
    MUST(dev_open(device, 1, &b.d, e));
    MUST(dev_buf_open(b.d, 2 * DEV_LANES * N * sizeof(float), &b.lane, e));
    MUST(dev_buf_open(b.d, N * sizeof(float), &b.sum, e));
    MUST(dev_buf_open(b.d, (2 + DEV_LANES) * TOKENS * HEAD * sizeof(float), &b.qkv, e));
    MUST(dev_zero(b.d, row(b.sum, 0), e));
    MUST(dev_upload(b.d, b.qkv, 0, q, sizeof(float) * TOKENS * HEAD, e));
    for (int t = 0; t < TURNS; t++)
        one_turn(&b, t);
    MUST(dev_lane_wait(b.d, (TURNS - 2) % DEV_LANES, e));
    MUST(dev_lane_wait(b.d, (TURNS - 1) % DEV_LANES, e));
    dev_buf_close(b.qkv);
    dev_buf_close(b.sum);
    dev_buf_close(b.lane);
    dev_close(b.d);
    free(q);
    return b.out;
}

static bool same(const struct out *a, const struct out *b)
{
    bool ok = memcmp(a->x, b->x, sizeof a->x) == 0 && memcmp(a->most, b->most, sizeof a->most) == 0;
    for (int t = 0; t < TURNS && ok; t++)
        ok = a->squares[t] > 0 && fabs(a->squares[t] / b->squares[t] - 1) < 1e-12;
    for (int t = 0; t < TURNS && ok; t++)
        for (int i = 0; i < TOKENS * HEAD && ok; i++)
            ok = isnan(b->attn[t][i]) || fabsf(a->attn[t][i] - b->attn[t][i]) < 1e-4F;
    return ok;
}

static const char *const orders[] = {"late", "early", "1", "2"};
enum { ORDERS = sizeof orders / sizeof orders[0] };

/* How many of the orders give the numbers of the CPU? */
static int right(const struct out *want, bool attends)
{
    int n = 0;
    for (int i = 0; i < ORDERS; i++) {
        setenv("RADMILL_FAKE_ORDER", orders[i], 1);
        struct out *got = turns("cuda", attends);
        n += same(got, want);
        free(got);
    }
    unsetenv("RADMILL_FAKE_ORDER");
    return n;
}

static void test_processors(void **state)
{
    struct out *cpu = turns("cpu", true), *strict = turns("strict", true);
    (void)state;
    assert_memory_equal(cpu, strict, sizeof *cpu);
    free(strict);
    free(cpu);
}

static void test_any_order_of_streams(void **state)
{
    struct out *cpu = turns("cpu", true);
    (void)state;
    assert_int_equal(right(cpu, true), ORDERS);
    free(cpu);
}

/* Not a GPU, whose streams are ahead as they like. */
static bool stand_in(void)
{
    const char *real = getenv("RADMILL_CUDA_PLUGIN");
    return !real || !real[0] || strstr(real, "fake");
}

/* 0: ops do not wait for what is uploaded; 2: downloads do not wait for the ops. */
static void test_a_missing_wait_shows(void **state)
{
    struct out *cpu = turns("cpu", false);
    (void)state;
    if (!stand_in()) {
        free(cpu);
        skip();
    }
    setenv("RADMILL_FAKE_FORGET", "0", 1);
    assert_true(right(cpu, false) < ORDERS);
    setenv("RADMILL_FAKE_FORGET", "2", 1);
    assert_true(right(cpu, false) < ORDERS);
    unsetenv("RADMILL_FAKE_FORGET");
    free(cpu);
}

/* A lane that was given up brings nothing any more, and can be used again. */
static void test_given_up(void **state)
{
    float x[N], back[N], most = -1;
    struct dev *d;
    struct dev_buf *b;
    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, sizeof x, &b, e));
    dev_lane_begin(d, 0);
    MUST(dev_upload_ahead(d, b, 0, x, sizeof x, e));
    MUST(dev_absmax_later(d, row(b, 0), &most, e));
    memset(back, 0, sizeof back);
    MUST(dev_download_later(d, b, 0, back, sizeof back, e));
    dev_lanes_drop(d);
    most = -1;
    MUST(dev_sync(d, e));
    assert_true(most == -1 && back[5] == 0);
    dev_lane_begin(d, 0);
    MUST(dev_download_later(d, b, 0, back, sizeof back, e));
    MUST(dev_absmax_later(d, row(b, 0), &most, e));
    MUST(dev_lane_end(d, e));
    MUST(dev_lane_wait(d, 0, e));
    assert_true(most == N - 1 && back[5] == 5);
    dev_buf_close(b);
    dev_close(d);
}

/* More numbers than are on their way at a time; a download brings what was asked for before it. */
static void test_many_numbers(void **state)
{
    enum { MANY = 1100 };
    float x[4] = {1, -7, 3, 2}, *most = calloc(MANY, sizeof *most), y;
    struct dev *d;
    struct dev_buf *b;
    (void)state;
    MUST(dev_open("cuda", 1, &d, e));
    MUST(dev_buf_open(d, sizeof x, &b, e));
    MUST(dev_upload(d, b, 0, x, sizeof x, e));
    for (int i = 0; i < MANY; i++)
        MUST(dev_absmax_later(d, dev_mat_of(b, (size_t)(i % 4), DEV_F32, 1, 1), &most[i], e));
    MUST(dev_download(d, b, 0, &y, sizeof y, e));
    for (int i = 0; i < MANY; i++)
        assert_true(most[i] == fabsf(x[i % 4]));
    dev_buf_close(b);
    dev_close(d);
    free(most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processors),           cmocka_unit_test(test_any_order_of_streams),
        cmocka_unit_test(test_a_missing_wait_shows), cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_many_numbers),
    };
    if (stand_in() && access(RADMILL_CUDA_FAKE, R_OK) != 0) {
        printf("SKIP: %s was not built\n", RADMILL_CUDA_FAKE);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
