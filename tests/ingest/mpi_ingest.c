/*
 * A corpus of zip blocks and tables dealt over the ranks has the bytes that one rank gives; a file
 * that breaks on one rank is one error on all; duplicates are found across ranks.
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
#include "base/json.h"
#include "base/log.h"
#include "base/stop.h"
#include "comm/comm.h"
#include "ingest/ingest.h"
#include "ingest/mpi_same.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

enum { REPORTS = 8998, ROWS = 4500, TABLES = 5 };
static struct err e;
static char dir[512];

static const char *in_dir(const char *name)
{
    static char buf[8][700];
    static int next;
    char *out = buf[next++ % 8];
    snprintf(out, sizeof buf[0], "%s/%s", dir, name);
    return out;
}

/* A number in letters: digits count as equal when texts are compared. */
static const char *letters(unsigned v)
{
    static char buf[9];
    for (int i = 0; i < 8; i++)
        buf[i] = (char)('a' + (v >> (4 * i) & 15));
    return buf;
}

static void write_zip(const char *path)
{
    static struct zipmake z;
    char name[100], text[200];
    zipmake_init(&z);
    zipmake_add(&z, "files/", "", 0, (struct zipmake_how){.stored = true});
    for (unsigned i = 0; i < REPORTS; i++) {
        snprintf(name, sizeof name, "files/p10/p%08u/s%08u.txt", 10000000 + i / 3, 50000000 + i);
        /* Every 100th repeats a text of another block. */
        snprintf(text, sizeof text, "x\n FINDINGS: Seen %s.\n IMPRESSION: Thing.\n",
                 letters(i % 100 == 99 ? 0xabc : 0x10000 + i));
        zipmake_add(&z, name, text, strlen(text),
                    (struct zipmake_how){.bad_crc = i % 3000 == 1500});
    }
    zipmake_end(&z, false, NULL);
    testdir_write(path, z.p, z.n);
    zipmake_free(&z);
}

static void write_table(const char *path, int table)
{
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fprintf(f, "mrn,accession,modality,findings,impression\n");
    for (int i = 0; i < (table == 2 ? ROWS : 50); i++)
        fprintf(f, "M%d,A%d-%d,CT,\"Seen\n%s.\",Thing.\n", i / 2, table, i,
                letters(i % 10 == 9 ? 0xabc : (unsigned)(i + 0x100000 * (table + 1))));
    REQUIRE(fclose(f) == 0);
}

static bool make(struct comm *c, const char *corpus, struct ingest_summary *sum)
{
    struct ingest_source_opts sources[2] = {
        {.name = "zip", .path = in_dir("a.zip"), .split = INGEST_SPLIT_HASH},
        {.name = "tables",
         .format = FORMAT_CSV,
         .path = in_dir("t*.csv"),
         .split = INGEST_SPLIT_HASH},
    };
    struct arena a;
    struct ingest_opts o;
    bool ok;
    arena_init(&a, 1 << 20);
    REQUIRE(opt_defaults(ingest_table, &a, &o, &e));
    o.dir = corpus;
    o.near_duplicates = 0.6;
    o.sources = (struct opt_list){sources, 2};
    ok = ingest_run(&o, c, sum, &e);
    arena_free(&a);
    return ok;
}

static void expect_summary(const struct ingest_summary *s)
{
    uint64_t rows = ROWS + 50 * (TABLES - 1);
    REQUIRE(s->reports == REPORTS - 3 + rows);
    REQUIRE(s->rejected[REJECT_CRC] == 3);
    REQUIRE(s->modality[MOD_CT] == rows && s->modality[MOD_CR] == REPORTS - 3);
    REQUIRE(s->split[SPLIT_TRAIN] + s->split[SPLIT_DEV] + s->split[SPLIT_TEST] == s->reports);
    /* All texts 0xabc but the very first. */
    REQUIRE(s->flags[4] == REPORTS / 100 + rows / 10 - 1);
}

/* Fewer files than ranks, so rank 0, which shows the progress, may have nothing to do: what it says
 * in the end is still all of it. */
static void expect_all_counted(struct comm *c)
{
    struct ingest_source_opts source = {
        .name = "one", .format = FORMAT_CSV, .path = in_dir("t0.csv"), .split = INGEST_SPLIT_HASH};
    struct ingest_summary sum;
    struct ingest_opts o;
    uint64_t done, total;
    json_t *status;
    struct arena a;

    arena_init(&a, 1 << 20);
    REQUIRE(opt_defaults(ingest_table, &a, &o, &e));
    o.dir = in_dir("one");
    o.sources = (struct opt_list){&source, 1};
    REQUIRE(ingest_run(&o, c, &sum, &e));
    if (comm_rank(c) == 0) {
        REQUIRE(json_read_file(in_dir("one/status.json"), 4096, &status, &e));
        REQUIRE(json_get_u64(status, "done", &done, &e));
        REQUIRE(json_get_u64(status, "total", &total, &e));
        REQUIRE(done == 1 && total == 1);
        json_decref(status);
    }
    arena_free(&a);
}

/* A table that is no gzip after all: whoever reads it, everybody hears of it. */
static void expect_one_error_on_all(struct comm *c)
{
    struct ingest_summary sum;
    char text[sizeof e.text], *all = malloc(sizeof text * (size_t)comm_size(c));
    struct err gone = {0};
    REQUIRE(all);
    if (comm_rank(c) == 0) testdir_write(in_dir("t9.csv"), "\x1f\x8b\x08\0\0\0\0\0\0\0zzz", 13);
    comm_barrier(c);
    if (make(c, in_dir("corpus"), &sum)) abort();
    memcpy(text, e.text, sizeof text);
    comm_allgather(c, text, sizeof text, all);
    for (int r = 0; r < comm_size(c); r++) {
        if (strcmp(all + (size_t)r * sizeof text, all) != 0 || !strstr(all, "t9.csv")) abort();
    }
    free(all);
    e = gone;
}

int main(int argc, char **argv)
{
    struct comm *c, *self;
    struct ingest_summary sum;

    REQUIRE(comm_open(&argc, &argv, &c, &e));
    log_setup(LOG_ERROR, comm_rank(c));
    if (comm_rank(c) == 0) {
        snprintf(dir, sizeof dir, "%s", testdir_make());
        write_zip(in_dir("a.zip"));
        for (int i = 0; i < TABLES; i++) {
            char name[32];
            snprintf(name, sizeof name, "t%d.csv", i);
            write_table(in_dir(name), i);
        }
    }
    comm_bcast(c, dir, sizeof dir, 0);
    /* Asked to stop: every rank does, and what is finished is not made again. */
    if (comm_rank(c) == comm_size(c) - 1) stop_request();
    REQUIRE(!make(c, in_dir("corpus"), &sum));
    REQUIRE(e.code == ERR_STOPPED);
    stop_reset();
    err_clear(&e);
    REQUIRE(make(c, in_dir("corpus"), &sum));
    expect_summary(&sum);
    if (comm_rank(c) == 0) {
        REQUIRE(comm_open_self(&self, &e));
        REQUIRE(make(self, in_dir("alone"), &sum));
        expect_summary(&sum);
        REQUIRE(sum.blocks == 3 + TABLES + 1 && sum.blocks_made == sum.blocks);
        expect_same_corpus(in_dir("corpus"), in_dir("alone"));
        comm_close(self);
    }
    expect_all_counted(c);
    comm_barrier(c);
    expect_one_error_on_all(c);
    comm_barrier(c);
    if (comm_rank(c) == 0) {
        expect_same_corpus(in_dir("corpus"), in_dir("alone")); /* the old one is whole */
        testdir_remove();
    }
    comm_close(c);
    return 0;
}
