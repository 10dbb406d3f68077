#include "base/base_test.h"

#include "base/fs.h"
#include "base/pulse.h"
#include "base/rng.h"
#include "comm/comm_impl.h"
#include "comm/hang_signs.h"

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

    /* rank 0 has done 6 before, in all 26: 7 are left of its 13; the third rank has done too much */
    const uint64_t ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const uint64_t done[] = {6, 0}, most[] = {0, 0, 50};
    assert_true(comm_share_cost_of(0, 2, ones, 20, done).end == 7);
    assert_true(comm_share_cost_of(1, 2, ones, 20, done).begin == 7 &&
                comm_share_cost_of(1, 2, ones, 20, done).end == 20);
    assert_true(comm_share_cost_of(0, 3, ones, 20, most).end == 20);
    assert_true(comm_share_cost_of(2, 3, ones, 20, most).begin == 20);
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

#define SIGN(waits, entered_, quiet, age)                                                          \
    {                                                                                              \
        .known = true, .waiting = waits, .entered = entered_, .quiet_s = quiet, .age_s = age       \
    }
/* Who hangs, by hand: three ranks, a limit of 100 s. */
static void hanging_ranks(void **state)
{
    static const struct {
        struct hang_sign v[3];
        bool hangs;
        const char *who; /* 'x': suspected */
    } cases[] = {
        /* rank 2 was stopped in its own work, one collective behind */
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), SIGN(false, 7, 3, 100)}, true, "..x"},
        /* its thread still writes: stuck in its own work */
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), SIGN(false, 7, 101, 5)}, true, "..x"},
        /* it left no line at all */
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), {.known = false}}, true, "..x"},
        /* stopped within the same collective: only the age of its line tells */
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), SIGN(true, 8, 1, 100)}, true, "..x"},
        {{SIGN(true, 8, 100, 0), SIGN(false, 7, 4, 98), SIGN(false, 7, 3, 99)}, true, ".xx"},
        /* the collective let rank 0 go; rank 1 still waits in it for rank 2 */
        {{SIGN(true, 9, 100, 0), SIGN(true, 8, 95, 9), SIGN(false, 7, 3, 100)}, true, "..x"},
        {{SIGN(true, 9, 100, 0), SIGN(true, 8, 95, 9), SIGN(true, 8, 3, 100)}, true, "..x"},
        {{SIGN(true, 9, 100, 0), SIGN(true, 8, 95, 9), SIGN(false, 9, 90, 9)}, true, "..x"},
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), SIGN(true, 9, 3, 100)}, true, "..x"},
        /* all alive in collectives: the one that entered fewer */
        {{SIGN(true, 9, 100, 0), SIGN(true, 8, 95, 9), SIGN(true, 9, 97, 3)}, true, ".x."},
        /* all wait, all alive: a collective that does not come back */
        {{SIGN(true, 8, 100, 0), SIGN(true, 8, 95, 9), SIGN(true, 8, 99, 2)}, true, "..."},
        /* rank 2 works, however long */
        {{SIGN(true, 8, 5000, 0), SIGN(true, 8, 5000, 9), SIGN(false, 7, 2, 10)}, false, NULL},
        /* something has just moved */
        {{SIGN(true, 8, 100, 0), SIGN(true, 9, 1, 3), SIGN(false, 7, 3, 100)}, false, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool suspect[3] = {false};
        assert_int_equal(hang_signs_judge(cases[i].v, 3, 100, suspect), cases[i].hangs);
        for (int r = 0; cases[i].who && r < 3; r++)
            assert_int_equal(suspect[r], cases[i].who[r] == 'x');
    }
}

/* Lines are read back; those of another job, torn ones and nonsense are not believed. */
static void signs_on_disk(void **state)
{
    const char *dir = testdir_path("stage");
    struct hang_sign s = SIGN(true, 41, 12.5, 0), got[4];
    struct err e = {0};
    char path[600];
    (void)state;

    hang_signs_put(dir, 0, 7, &s); /* the stage has no folder yet */
    assert_false(fs_exists(dir));
    OK(fs_mkdirs(dir, &e));
    snprintf(s.what, sizeof s.what, "bin of the dev split");
    s.n = 33;
    hang_signs_put(dir, 0, 7, &s);
    s.entered = 42;
    hang_signs_put(dir, 0, 7, &s);
    hang_signs_put(dir, 1, 6, &s);
    snprintf(path, sizeof path, "%s/.alive/2", dir);
    testdir_write(path, "7 1 5 100 3 bin\n7 0 9", 22);
    snprintf(path, sizeof path, "%s/.alive/3", dir);
    testdir_write(path, "7 1 x 100 3 bin\n", 16);
    hang_signs_get(dir, 0, 7, got, 4);
    assert_true(got[0].known && got[0].waiting && got[0].entered == 42 && got[0].n == 33);
    assert_true(got[0].quiet_s == 12.5 && got[0].age_s == 0);
    assert_string_equal(got[0].what, "bin of the dev split");
    assert_false(got[1].known);
    assert_true(got[2].known && got[2].entered == 5);
    assert_false(got[3].known);
    for (int i = 0; i < 3000; i++) /* the file does not grow for ever */
        hang_signs_put(dir, 0, 7, &s);
    uint64_t size;
    snprintf(path, sizeof path, "%s/.alive/0", dir);
    OK(fs_size(path, &size, &e));
    assert_true(size < 40000);
    hang_signs_get(dir, 0, 7, got, 1);
    assert_true(got[0].known);
    hang_signs_drop(dir, 0);
    assert_false(fs_exists(path));
    hang_signs_clear(dir);
    snprintf(path, sizeof path, "%s/.alive", dir);
    assert_false(fs_exists(path));
}

static void pulses(void **state)
{
    struct pulse before = pulse_read(), now;
    (void)state;
    pulse_beat();
    pulse_at("bin", 5);
    now = pulse_read();
    assert_true(now.beats == before.beats + 2 && now.n == 5);
    assert_string_equal(now.what, "bin");
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
        TEST(hanging_ranks),
        TEST(signs_on_disk),
        TEST(pulses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
