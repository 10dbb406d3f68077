#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "shard/corpus_kit.h"
#include "shard/shard_writer.h"
#include "support/testdir.h"

static struct comm *self;
static char corpus[600], shards[600], tok[600];
static uint8_t old_digest[32], new_digest[32];

static struct hash128 first, second;

static void note_text(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)s;
    (void)text;
    if (i == 1) first = r->hash_norm;
    if (i == 2) second = r->hash_norm;
}

/* The two data sets also differ in which texts are nearly one. Before a fault is armed. */
static void prepare(uint32_t min_words)
{
    struct record_near v =
        min_words ? (struct record_near){first, second} : (struct record_near){second, first};
    kit_near(corpus, &v, 1);
}

static bool run(uint32_t min_words, struct err *e)
{
    struct shard_opts o = kit_opts(shards);
    struct shard_summary s;
    o.min_findings_words = min_words;
    return shard_run(corpus, &o, tok, self, &s, e);
}

static void run_well(uint32_t min_words, uint8_t digest[32])
{
    struct err e = {0};
    prepare(min_words);
    KIT(run(min_words, &e), &e);
    kit_digest(shards, digest);
}

/* Two data sets of one folder, told apart by an option. */
static int setup(void **state)
{
    static const struct kit_source source = {"alpha", 60, 25, MODE_OWN, 0};
    struct err e = {0};

    (void)state;
    testdir_make();
    snprintf(corpus, sizeof corpus, "%s", testdir_path("corpus"));
    snprintf(shards, sizeof shards, "%s", testdir_path("shards"));
    snprintf(tok, sizeof tok, "%s", testdir_path("tok"));
    log_setup(LOG_ERROR, 0);
    kit_tokenizer(tok, 0);
    kit_corpus(corpus, &source, 1, note_text);
    KIT(comm_open_self(&self, &e), &e);
    run_well(20, new_digest);
    run_well(0, old_digest);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    testdir_remove();
    return 0;
}

/* The manifest's data set opens whole. */
static void check_loads(void)
{
    struct shard_set *set = NULL;
    struct err e = {0};
    KIT(shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e), &e);
    shard_set_close(set);
}

/* Whatever fails: it is reported, a whole data set loads, and the next run finishes the work. The
 * folder goes to and fro between the two data sets. */
static void sweep(enum fault_point point, bool forever)
{
    uint8_t digest[32];
    bool to_new = true, hit = true;

    for (uint64_t n = 1; hit; n++, to_new = !to_new) {
        uint32_t words = to_new ? 20 : 0;
        struct err e = {0};
        prepare(words);
        size_t blocks = mem_live_blocks();
        fault_arm(point, n, forever);
        bool ok = run(words, &e);
        hit = fault_fired();
        fault_disarm_all();
        if (mem_live_blocks() != blocks) fail_msg("leak after %s", e.text);
        assert_true(hit || ok);
        check_loads();
        run_well(words, digest);
        assert_memory_equal(digest, to_new ? new_digest : old_digest, 32);
    }
    if (!to_new) run_well(0, digest);
}

static void faults_once(void **state)
{
    (void)state;
#ifndef RADMILL_FAULTS
    printf("SKIP: built without fault points\n");
    skip();
#endif
    sweep(FAULT_OPEN, false);
    sweep(FAULT_WRITE, false);
    sweep(FAULT_FSYNC, false);
    sweep(FAULT_RENAME, false);
    sweep(FAULT_READ, false);
    sweep(FAULT_UNLINK, false);
}

static void faults_for_good(void **state)
{
    (void)state;
#ifndef RADMILL_FAULTS
    printf("SKIP: built without fault points\n");
    skip();
#endif
    sweep(FAULT_WRITE, true);
    sweep(FAULT_FSYNC, true);
    sweep(FAULT_RENAME, true);
}

static void put(struct shard_data *d, enum shard_column c, const void *p, size_t n)
{
    struct err e = {0};
    KIT(sbuf_put(&d->col[c], (struct str){p, n}, &e), &e);
}

static void fill_one(struct shard_data *d)
{
    uint64_t z[6] = {0, 1, 1, 0, 1, 0}, one = 1;
    uint32_t u[3] = {1, 0, 0};
    uint16_t t = 5;

    shard_data_init(d);
    d->samples = 1;
    put(d, SHARD_COL_IDS, &t, 2);
    put(d, SHARD_COL_OFFSET, z, 8);
    put(d, SHARD_COL_OFFSET, &one, 8);
    put(d, SHARD_COL_TARGET, u + 1, 4);
    put(d, SHARD_COL_LENGTH, u, 4);
    put(d, SHARD_COL_RECORD, u, 12);
    put(d, SHARD_COL_ENTRY, z, 8);
    put(d, SHARD_COL_TEXT_HASH, z, 16);
    put(d, SHARD_COL_TARGET_HASH, z, 16);
    put(d, SHARD_COL_PATIENT, z, 8);
    put(d, SHARD_COL_SPLIT, z, 48);
}

/* 0 written, 2 the fault was reported, 1 anything else. */
static int write_one(const struct shard_data *d, uint64_t n)
{
    struct shard_head h = {.modality = "CT",
                           .template_name = "t",
                           .inputs = "findings",
                           .vocab_size = 9,
                           .max_tokens = 9,
                           .token_bytes = 2};
    struct shard_fact fact;
    struct err e = {0};

    fault_arm(FAULT_MEM, n, false);
    bool ok = shard_writer_write(testdir_path("one.h5"), &h, d, &fact, &e), hit = fault_fired();
    return ok == hit ? 1 : hit ? 2 : 0;
}

/* HDF5 is swept in children: how it takes a failed allocation is not ours to promise, but no file
 * may be left, and the exit must be an ordinary one. */
static void allocations_in_hdf5_fail_cleanly(void **state)
{
    struct shard_data d;
    int fired = 0;

    (void)state;
#ifndef RADMILL_FAULTS
    printf("SKIP: built without fault points\n");
    skip();
#endif
    fill_one(&d);
    for (uint64_t n = 1; n < 100; n++, fired++) {
        int status;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) exit(write_one(&d, n));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 0) break;
        assert_int_equal(WEXITSTATUS(status), 2);
        assert_int_not_equal(access(testdir_path("one.h5"), F_OK), 0);
    }
    assert_true(fired >= 2);
    assert_int_equal(access(testdir_path("one.h5"), F_OK), 0);
    shard_data_free(&d);
}

/* kill -9 at any moment: a whole data set loads, and the next run ends with the same bytes. */
static void killed_runs_are_finished_by_the_next(void **state)
{
    uint8_t digest[32];

    (void)state;
    for (unsigned k = 0; k < 12; k++) {
        int status;
        prepare(20);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            struct err e = {0};
            exit(!run(20, &e));
        }
        usleep((useconds_t)rng_below(rng_key(5, RNG_TEST, 0), k, 20000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        check_loads();
        run_well(20, digest);
        assert_memory_equal(digest, new_digest, 32);
        run_well(0, digest);
        assert_memory_equal(digest, old_digest, 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(faults_once, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(allocations_in_hdf5_fail_cleanly, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_runs_are_finished_by_the_next, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
