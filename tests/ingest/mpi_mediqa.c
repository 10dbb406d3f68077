/*
 * The MEDIQA-2021 split from a MIMIC-CXR-shaped zip, byte for byte, and the same corpus for any
 * number of ranks: rank 0 also makes it alone, and both must be equal to the last byte.
 *
 * The expected files were written by the published scripts themselves (see the data's README).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/log.h"
#include "comm/comm.h"
#include "ingest/export.h"
#include "ingest/mpi_same.h"
#include "support/testdir.h"

static struct err e;

static struct ingest_source_opts source_of(const char *zip, const char *list)
{
    return (struct ingest_source_opts){
        .name = "mimic",
        .format = FORMAT_MIMIC_CXR,
        .path = zip,
        .split = INGEST_SPLIT_LIST,
        .split_list = list,
        .sections = MODE_MEDIQA,
    };
}

static void make(struct comm *c, const char *dir, struct ingest_source_opts *source,
                 struct ingest_summary *sum)
{
    struct arena a;
    struct ingest_opts o;
    arena_init(&a, 1 << 20);
    REQUIRE(opt_defaults(ingest_table, &a, &o, &e));
    o.dir = dir;
    o.sources = (struct opt_list){source, 1};
    REQUIRE(ingest_run(&o, c, sum, &e));
    arena_free(&a);
}

static void expect_export(const char *dir, struct ingest_source_opts *source, const char *split,
                          const char *golden)
{
    size_t n, want_n;
    char *want = testdir_gunzip(golden, &want_n), *got;
    const char *path = testdir_path("out.json");
    struct export_opts o = {.corpus_dir = dir,
                            .source = source,
                            .format = EXPORT_MEDIQA,
                            .split = record_split_of(str_of(split)),
                            .path = path};
    struct export_counts counts;
    REQUIRE(export_run(&o, &counts, &e));
    got = testdir_read(path, &n);
    REQUIRE(n == want_n);
    REQUIRE(memcmp(got, want, n) == 0);
    free(got);
    free(want);
}

int main(int argc, char **argv)
{
    struct comm *c, *self;
    struct ingest_summary sum;
    struct ingest_source_opts source;
    char dir[512] = {0}, corpus[600];
    const char *zip, *list, *train, *dev;

    REQUIRE(comm_open(&argc, &argv, &c, &e));
    log_setup(LOG_WARN, comm_rank(c));
    zip = testdir_shared("data/mimic-like/mimic-cxr-reports.zip");
    list = testdir_shared("data/mimic-like/mimic_split_train_dev.csv");
    train = testdir_shared("data/mimic-like/expected_train.json.gz");
    dev = testdir_shared("data/mimic-like/expected_dev.json.gz");
    if (!zip || !list || !train || !dev) {
        comm_close(c);
        return 77;
    }
    if (comm_rank(c) == 0) snprintf(dir, sizeof dir, "%s", testdir_make());
    comm_bcast(c, dir, sizeof dir, 0);
    snprintf(corpus, sizeof corpus, "%s/corpus", dir);
    source = source_of(zip, list);

    make(c, corpus, &source, &sum);
    REQUIRE(sum.reports == 3049);
    REQUIRE(sum.split[SPLIT_TRAIN] == 2050 && sum.split[SPLIT_DEV] == 145);
    REQUIRE(sum.split[SPLIT_NONE] == 3049 - 2195);
    REQUIRE(sum.modality[MOD_CR] == 3049);
    REQUIRE(sum.blocks == sum.blocks_made);
    if (comm_rank(c) == 0) {
        const char *alone = testdir_path("alone");
        expect_export(corpus, &source, "train", train);
        expect_export(corpus, &source, "dev", dev);
        REQUIRE(comm_open_self(&self, &e));
        make(self, alone, &source, &sum);
        expect_same_corpus(corpus, alone);
        comm_close(self);
    }
    comm_barrier(c);
    /* Nothing changed: nothing is made. */
    make(c, corpus, &source, &sum);
    REQUIRE(sum.reports == 3049 && sum.blocks_made == 0);
    comm_barrier(c);
    if (comm_rank(c) == 0) testdir_remove();
    comm_close(c);
    return 0;
}
