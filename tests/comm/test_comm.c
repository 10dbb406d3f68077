#include "base/base_test.h"

#include "base/rng.h"
#include "comm/comm_impl.h"

static void shares_tile(void **state)
{
    (void)state;
    for (int size = 1; size <= 9; size++) {
        for (uint64_t n = 0; n < 40; n++) {
            uint64_t next = 0;
            for (int rank = 0; rank < size; rank++) {
                struct comm c = {.rank = rank, .size = size};
                struct comm_range r = comm_share(&c, n);
                assert_true(r.begin == next && r.end >= r.begin);
                uint64_t want = n / (uint64_t)size + ((uint64_t)rank < n % (uint64_t)size);
                assert_true(r.end - r.begin == want);
                next = r.end;
            }
            assert_true(next == n);
        }
    }
    struct comm last = {.rank = 1023, .size = 1024};
    assert_true(comm_share(&last, UINT64_MAX).end == UINT64_MAX);
}

/* The cuts tile [0, n), and no rank has more than its share plus one item. */
static void check_cost_shares(const uint64_t *cost, uint64_t n)
{
    uint64_t total = 0, most = 0;
    for (uint64_t i = 0; i < n; i++) {
        total += cost[i];
        if (cost[i] > most) most = cost[i];
    }
    for (int size = 1; size <= 7; size++) {
        uint64_t next = 0;
        for (int rank = 0; rank < size; rank++) {
            struct comm c = {.rank = rank, .size = size};
            struct comm_range r = comm_share_cost(&c, cost, n);
            uint64_t load = 0;
            assert_true(r.begin <= r.end && r.end <= n);
            if (r.begin < r.end) assert_true(r.begin == next);
            for (uint64_t i = r.begin; i < r.end; i++)
                load += cost[i];
            assert_true(load <= total / (uint64_t)size + most + 1);
            if (r.begin < r.end) next = r.end;
        }
        assert_true(next == n);
    }
}

static void cost_shares_tile_and_balance(void **state)
{
    (void)state;
    uint64_t cost[100];
    struct rng_key k = rng_key(1, RNG_TEST, 0);
    for (uint64_t turn = 0, at = 0; turn < 500; turn++) {
        uint64_t n = rng_below(k, at++, 100);
        uint64_t kind = rng_below(k, at++, 4);
        for (uint64_t i = 0; i < n; i++) {
            cost[i] = rng_below(k, at++, 1000);
            if (kind == 1) cost[i] = cost[i] < 500 ? 0 : cost[i];
            if (kind == 2) cost[i] = i == 3 ? (uint64_t)1 << 60 : 1;
            if (kind == 3) cost[i] = 0;
        }
        check_cost_shares(cost, n);
    }
}

static void cost_share_by_hand(void **state)
{
    (void)state;
    const uint64_t cost[] = {10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct comm c0 = {.rank = 0, .size = 2}, c1 = {.rank = 1, .size = 2};
    assert_true(comm_share_cost(&c0, cost, 11).end == 1);
    assert_true(comm_share_cost(&c1, cost, 11).begin == 1 &&
                comm_share_cost(&c1, cost, 11).end == 11);
    assert_true(comm_share_cost(&c1, cost, 0).end == 0);
}

static void one_rank_does_all(void **state)
{
    (void)state;
    struct err e = {0};
    struct comm *c;
    OK(comm_open_self(&c, &e));
    assert_true(comm_rank(c) == 0 && comm_size(c) == 1 && comm_local_rank(c) == 0 &&
                comm_local_size(c) == 1);
    int64_t i = -5;
    uint64_t u = 6;
    double d = 7;
    comm_barrier(c);
    comm_bcast(c, &u, sizeof u, 0);
    comm_sum_i64(c, &i, 1);
    comm_sum_u64(c, &u, 1);
    comm_max_i64(c, &i, 1);
    comm_max_f64(c, &d, 1);
    assert_true(i == -5 && u == 6 && d == 7);
    uint64_t out = 0;
    comm_allgather(c, &u, sizeof u, &out);
    assert_true(out == 6);
    void *all;
    size_t total, counts[1];
    OK(comm_allgatherv(c, "text", 4, &all, &total, counts, &e));
    assert_true(total == 4 && counts[0] == 4 && memcmp(all, "text", 4) == 0);
    mem_free(all);
    OK(comm_allgatherv(c, NULL, 0, &all, &total, NULL, &e));
    assert_true(total == 0 && all);
    mem_free(all);
    OK(comm_agree(c, true, &e));
    FAILS(comm_agree(c, err_set(&e, ERR_IO, "mine"), &e), ERR_IO, "mine");
    comm_close(c);
    comm_close(NULL);
}

static struct comm *swept;

static bool gather_work(struct err *e)
{
    void *all = NULL;
    size_t total;
    bool ok = comm_allgatherv(swept, "text", 4, &all, &total, NULL, e);
    mem_free(all);
    return ok;
}

static bool open_work(struct err *e)
{
    struct comm *c = NULL;
    bool ok = comm_open_self(&c, e);
    comm_close(c);
    return ok;
}

static void nothing(bool ok)
{
    (void)ok;
}

static void faults(void **state)
{
    (void)state;
    struct err e = {0};
    OK(comm_open_self(&swept, &e));
    for (int forever = 0; forever < 2; forever++) {
        assert_int_equal(sweep(FAULT_MEM, forever, gather_work, nothing, false), 4);
        assert_int_equal(sweep(FAULT_MEM, forever, open_work, nothing, false), 1);
    }
    comm_close(swept);
}

static void agree_without_error(void)
{
    struct err e = {0};
    struct comm *c;
    if (comm_open_self(&c, &e)) (void)!comm_agree(c, false, &e);
}

static void agree_needs_an_error(void **state)
{
    (void)state;
    assert_true(aborts(agree_without_error));
}

/* srun without PMIx: N processes of which each would think itself alone. */
static void lonely_tasks_are_refused(void **state)
{
    (void)state;
    if (strcmp(comm_library(), "none") == 0) skip();
    struct err e = {0};
    struct comm *c;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMIX_RANK");
    unsetenv("PMI_RANK");
    setenv("SLURM_NTASKS", "4", 1);
    FAILS(comm_open(NULL, NULL, &c, &e), ERR_CONFIG, "SLURM_NTASKS is 4");
    assert_null(c);
    unsetenv("SLURM_NTASKS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shares_tile),
        TEST(cost_shares_tile_and_balance),
        TEST(cost_share_by_hand),
        TEST(one_rank_does_all),
        TEST(faults),
        TEST(agree_needs_an_error),
        TEST(lonely_tasks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
