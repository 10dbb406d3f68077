/* generate_run on this many ranks gives the pairs file of one rank, byte for byte: at once, and
 * when it failed on the way and went on with another number of ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "gen_kit.h"
#include "support/testdir.h"

#define MPI_CHECK(cond) ((cond) ? (void)0 : broken(__LINE__, #cond))
static struct comm *world, *self;
static char root[512];

static void broken(int line, const char *what)
{
    fprintf(stderr, "rank %d: mpi_generate.c:%d: %s\n", comm_rank(world), line, what);
    comm_abort(world, 1);
}

static bool run(struct comm *c, const char *name, uint32_t slots, struct generate_summary *s,
                struct err *e)
{
    struct kit_job k;
    char out[600];
    snprintf(out, sizeof out, "%s/%s", root, name);
    kit_job(&k, root, out);
    k.opts.slots = slots;
    return generate_run(&k.job, c, s, e);
}

static void run_ok(struct comm *c, const char *name, uint32_t slots)
{
    struct generate_summary s;
    struct err e = {0};
    if (!run(c, name, slots, &s, &e)) kit_die(name, &e);
    MPI_CHECK(s.pairs == KIT_TEST);
}

static void same(const char *a, const char *b)
{
    char pa[700], pb[700];
    size_t na, nb;
    snprintf(pa, sizeof pa, "%s/%s/pairs.jsonl", root, a);
    snprintf(pb, sizeof pb, "%s/%s/pairs.jsonl", root, b);
    char *ta = testdir_read(pa, &na), *tb = testdir_read(pb, &nb);
    MPI_CHECK(na == nb && na > 1000 && memcmp(ta, tb, na) == 0);
    free(ta);
    free(tb);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct generate_summary s;

    if (!comm_open(&argc, &argv, &world, &e)) kit_die("comm", &e);
    if (!comm_open_self(&self, &e)) kit_die("self", &e);
    bool first = comm_rank(world) == 0;
    log_setup(LOG_ERROR, comm_rank(world));
    if (first) {
        snprintf(root, sizeof root, "%s", testdir_make());
        kit_make(root);
    }
    comm_bcast(world, root, sizeof root, 0);
    if (!first) kit_load(root);

    if (first) run_ok(self, "one", 1);
    run_ok(world, "many", 6);
    if (first) same("one", "many");
#ifdef RADMILL_FAULTS
    /* one rank cannot write a block: all ranks hear it, what is done stays, one rank finishes */
    if (comm_rank(world) == comm_size(world) - 1) fault_arm(FAULT_RENAME, first ? 4 : 1, true);
    struct err failed = {0};
    MPI_CHECK(!run(world, "broken", 6, &s, &failed) && failed.code == ERR_IO);
    fault_disarm_all();
    comm_barrier(world);
    if (first) {
        run_ok(self, "broken", 2);
        same("one", "broken");
    }
#else
    (void)s;
#endif
    comm_barrier(world);
    if (first) testdir_remove();
    comm_close(self);
    comm_close(world);
    return 0;
}
