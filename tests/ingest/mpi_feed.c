/*
 * ingest/feed: one packed stream, decoded by one rank and made into blocks by all, gives the bytes
 * that one rank alone makes; a failure on any rank ends it on all, and a rerun finishes the work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/feed.h"
#include "ingest/mpi_same.h"
#include "support/testdir.h"

static struct err e;
static char dir[512];

enum { ROWS = 5 * RECORD_BLOCK_ENTRIES + 77, OTHERS = 2 * RECORD_BLOCK_ENTRIES };

/* A table with broken rows and corrections in a tar.gz, and JSON lines of exactly two blocks. */
static void write_dumps(void)
{
    char path[700], cmd[1500];
    FILE *f;

    snprintf(path, sizeof path, "%s/t.csv", dir);
    f = fopen(path, "w");
    REQUIRE(f);
    fprintf(f, "accession,mrn,status,findings,impression\n");
    for (int i = 0; i < ROWS; i++) {
        if (i % 5000 == 17)
            fprintf(f, "A%d,P%d,too,many,cells,here\n", i, i);
        else
            fprintf(f, "A%d,P%d,F,\"Finding %c%c,\nand\n%d.\",Thing %c.\n", i - (i % 999 == 0),
                    i / 3, 'a' + i % 26, 'a' + i / 26 % 26, i, 'a' + i / 7 % 26);
    }
    REQUIRE(fclose(f) == 0);
    snprintf(path, sizeof path, "%s/j.jsonl", dir);
    f = fopen(path, "w");
    REQUIRE(f);
    for (int i = 0; i < OTHERS; i++)
        fprintf(f, "{\"accession\": \"B%d\", \"mrn\": \"Q%d\", \"findings\": \"Seen %c%c%c\"}\n", i,
                i / 2, 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26);
    REQUIRE(fclose(f) == 0);
    snprintf(cmd, sizeof cmd, "cd '%s' && tar czf t.tar.gz t.csv && gzip j.jsonl", dir);
    REQUIRE(system(cmd) == 0);
    snprintf(cmd, sizeof cmd, "cd '%s' && head -c 60000 t.tar.gz >cut.tar.gz", dir);
    REQUIRE(system(cmd) == 0);
}

static bool make(struct comm *c, const char *corpus, const char *table, struct ingest_summary *sum)
{
    char paths[2][700];
    struct ingest_source_opts sources[2] = {
        {.name = "t", .format = FORMAT_CSV, .path = paths[0], .split = INGEST_SPLIT_HASH},
        {.name = "j", .format = FORMAT_AUTO, .path = paths[1], .split = INGEST_SPLIT_HASH}};
    struct arena a;
    struct ingest_opts o;
    bool ok;

    snprintf(paths[0], sizeof paths[0], "%s/%s", dir, table);
    snprintf(paths[1], sizeof paths[1], "%s/j.jsonl.gz", dir);
    arena_init(&a, 1 << 20);
    REQUIRE(opt_defaults(ingest_table, &a, &o, &e));
    o.dir = corpus;
    o.sources = (struct opt_list){sources, 2};
    ok = ingest_run(&o, c, sum, &e);
    arena_free(&a);
    return ok;
}

/* No write of one rank works; all hear of it. */
static void fail_on(struct comm *c, int rank, const char *corpus)
{
    struct ingest_summary sum;

    if (comm_rank(c) == 0) REQUIRE(fs_remove_tree(corpus, &e)); /* else blocks may all be there */
    comm_barrier(c);
    if (comm_rank(c) == rank) fault_arm(FAULT_WRITE, 1, true);
    if (make(c, corpus, "t.tar.gz", &sum))
        err_set(&e, ERR_LIB, "rank %d of %d wrote nothing", rank, comm_size(c));
    REQUIRE(e.code == ERR_IO);
    fault_disarm_all();
    REQUIRE(e.code == ERR_IO && e.rank == rank);
    err_clear(&e);
    REQUIRE(!fs_exists(testdir_path("together/manifest.json")) || comm_rank(c) != 0);
}

int main(int argc, char **argv)
{
    struct comm *c, *self;
    struct ingest_summary sum;
    char together[600], alone[600];

    REQUIRE(comm_open(&argc, &argv, &c, &e));
    log_setup(LOG_ERROR, comm_rank(c));
    if (comm_rank(c) == 0) {
        snprintf(dir, sizeof dir, "%s", testdir_make());
        write_dumps();
    }
    comm_bcast(c, dir, sizeof dir, 0);
    snprintf(together, sizeof together, "%s/together", dir);
    snprintf(alone, sizeof alone, "%s/alone", dir);
    feed_least = 1;
    REQUIRE(!make(c, together, "cut.tar.gz", &sum));
    REQUIRE(e.code == ERR_FORMAT && strstr(e.text, "cut.tar.gz"));
    err_clear(&e);
    for (int rank = 0; comm_size(c) > 1 && rank < comm_size(c); rank++)
        fail_on(c, rank, together);
    REQUIRE(make(c, together, "t.tar.gz", &sum));
    REQUIRE(sum.reports == ROWS - 5 + OTHERS);
    REQUIRE(sum.rejected[REJECT_ROW_FIELDS] == 5);
    REQUIRE(sum.blocks == 8 && sum.blocks_made > 0);
    REQUIRE(make(c, together, "t.tar.gz", &sum));
    REQUIRE(sum.blocks == 8 && sum.blocks_made == 0);
    if (comm_rank(c) == 0) {
        REQUIRE(comm_open_self(&self, &e));
        REQUIRE(make(self, alone, "t.tar.gz", &sum));
        expect_same_corpus(together, alone);
        comm_close(self);
        testdir_remove();
    }
    comm_barrier(c);
    REQUIRE(mem_live_blocks() == 1); /* the communicator */
    comm_close(c);
    return 0;
}
