/*
 * A corpus of every format and packing has the same bytes on any number of ranks: the seven dumps
 * of institutional-like, MIMIC-like reports in a zip, and loose messages.
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
#include "ingest/ingest.h"
#include "ingest/mpi_same.h"
#include "support/testdir.h"

enum { SOURCES = 9, LOOSE = 150 };
static struct err e;
static char dir[512], shared[SOURCES][600];
static const char *const files[SOURCES - 1] = {
    "institutional-like/site_a_ris_csv.tar.gz", "institutional-like/site_b_tsv.7z",
    "institutional-like/site_c_excel_csv.zip",  "institutional-like/site_d_jsonl.tar.zst",
    "institutional-like/site_e_hl7.tar.xz",     "institutional-like/site_f_fhir.ndjson.gz",
    "institutional-like/site_g_openi_xml.tgz",  "mimic-like/mimic-cxr-reports.zip"};

static void write_loose(void)
{
    char path[600], text[300];
    for (int i = 0; i < LOOSE; i++) {
        snprintf(path, sizeof path, "%s/m%03d.hl7", dir, i);
        snprintf(text, sizeof text,
                 "MSH|^~\\&|R|S|C|H|2011||ORU^R01|1\rPID|1||M%d\rOBR|1||A%d|71046^XR|||||\r"
                 "OBX|1|TX|||FINDINGS: seen %d.||||||F\r",
                 i / 2, i, i);
        testdir_write(path, text, strlen(text));
    }
}

static void make(struct comm *c, const char *corpus, struct ingest_summary *sum)
{
    static const char *const names[SOURCES] = {"a", "b", "c", "d", "e", "f", "g", "mimic", "loose"};
    struct ingest_source_opts sources[SOURCES];
    struct arena a;
    struct ingest_opts o;
    memset(sources, 0, sizeof sources);
    for (int i = 0; i < SOURCES; i++)
        sources[i] = (struct ingest_source_opts){
            .name = names[i], .format = FORMAT_AUTO, .path = shared[i], .split = INGEST_SPLIT_HASH};
    snprintf(shared[SOURCES - 1], sizeof shared[0], "%s/*.hl7", dir);
    arena_init(&a, 1 << 20);
    REQUIRE(opt_defaults(ingest_table, &a, &o, &e));
    o.dir = corpus;
    o.max_bad = 0.1;
    o.sources = (struct opt_list){sources, SOURCES};
    REQUIRE(ingest_run(&o, c, sum, &e));
    arena_free(&a);
}

int main(int argc, char **argv)
{
    struct comm *c, *self;
    struct ingest_summary sum;
    char together[600], alone[600];

    REQUIRE(comm_open(&argc, &argv, &c, &e));
    log_setup(LOG_ERROR, comm_rank(c));
    for (int i = 0; i < SOURCES - 1; i++) {
        char name[200];
        const char *path;
        snprintf(name, sizeof name, "data/%s", files[i]);
        path = testdir_shared(name);
        if (!path) {
            comm_close(c);
            return 77;
        }
        snprintf(shared[i], sizeof shared[i], "%s", path);
    }
    if (comm_rank(c) == 0) {
        snprintf(dir, sizeof dir, "%s", testdir_make());
        write_loose();
    }
    comm_bcast(c, dir, sizeof dir, 0);
    snprintf(together, sizeof together, "%s/together", dir);
    snprintf(alone, sizeof alone, "%s/alone", dir);
    make(c, together, &sum);
    REQUIRE(sum.reports == 727 + 3049 + LOOSE);
    if (comm_rank(c) == 0) {
        REQUIRE(comm_open_self(&self, &e));
        make(self, alone, &sum);
        expect_same_corpus(together, alone);
        comm_close(self);
        testdir_remove();
    }
    comm_barrier(c);
    comm_close(c);
    return 0;
}
