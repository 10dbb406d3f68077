/* Checkpoints on 1 to 4 ranks: all load equal state; a rank that fails is everybody's error. */
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "checkpoint/ckpt_kit.h"
#include "comm/mpi_check.h"

static struct comm *c;
static int rank, size;
static char dir[256];

static bool load(uint64_t step, struct kit *k, struct err *e)
{
    struct arena a;
    struct str meta;
    kit_clear(k);
    arena_init(&a, 4096);
    bool ok = ckpt_load(c, dir, step, k->items, KIT_ITEMS, &a, &meta, e);
    if (ok) MPI_CHECK(c, str_eqz(meta, "{\"x\": 1}"));
    arena_free(&a);
    return ok;
}

static bool save(uint64_t step, struct err *e)
{
    struct kit k;
    kit_fill(&k, step);
    return ckpt_save(c, dir, step, k.items, KIT_ITEMS, STR("{\"x\": 1}"), 2, NULL, 0, e);
}

static void round_trip(void)
{
    struct err e = {0};
    struct kit k;
    uint64_t step = 9;
    bool found = true;
    MPI_CHECK(c, ckpt_find(c, dir, &step, &found, &e) && !found);
    MPI_CHECK(c, save(5, &e) && save(6, &e));
    MPI_CHECK(c, ckpt_find(c, dir, &step, &found, &e) && found && step == 6);
    MPI_CHECK(c, load(6, &k, &e) && kit_is(&k, 6));
    MPI_CHECK(c, load(5, &k, &e) && kit_is(&k, 5));
}

/* Rank 0's disk is full: every rank hears of it, the old one loads. */
static void full_disk(void)
{
    static const enum fault_point points[] = {FAULT_MKDIR, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME,
                                              FAULT_MEM};
    struct kit k;
    uint64_t step;
    bool found;
    for (int i = 0; i < 5; i++) {
        struct err e = {0};
        if (rank == 0) fault_arm(points[i], 1, true);
        bool ok = save(7, &e);
        fault_disarm_all();
        MPI_CHECK(c, !ok && e.rank == 0 && strstr(e.text, "checkpoint of step 7"));
        e = (struct err){0};
        MPI_CHECK(c, ckpt_find(c, dir, &step, &found, &e) && found && step == 6);
        MPI_CHECK(c, load(6, &k, &e) && kit_is(&k, 6));
    }
}

/* Each rank in turn runs out of memory, at each of its allocations. */
static void loading_fails_on_one_rank(void)
{
    size_t live = mem_live_blocks();
    struct kit k;
    for (int bad = 0; bad < size; bad++) {
        for (uint64_t n = 1;; n++) {
            struct err e = {0};
            if (rank == bad) fault_arm(FAULT_MEM, n, false);
            bool ok = load(6, &k, &e);
            uint64_t fired = rank == bad && fault_fired();
            fault_disarm_all();
            comm_sum_u64(c, &fired, 1);
            MPI_CHECK(c, ok == !fired);
            MPI_CHECK(c, ok || (e.code == ERR_NOMEM && e.rank == bad));
            MPI_CHECK(c, mem_live_blocks() == live);
            if (!fired) break;
        }
    }
}

/* A rank whose own items differ: all learn which one. */
static void items_differ_on_one_rank(void)
{
    struct kit k;
    for (int bad = 0; bad < size; bad++) {
        struct err e = {0};
        struct arena a;
        struct str meta;
        kit_clear(&k);
        if (rank == bad) k.items[4].count = 4;
        arena_init(&a, 4096);
        bool ok = ckpt_load(c, dir, 6, k.items, KIT_ITEMS, &a, &meta, &e);
        arena_free(&a);
        MPI_CHECK(c, !ok && e.code == ERR_FORMAT && e.rank == bad);
        MPI_CHECK(c, strstr(e.text, "'sums' is i64[5] in the checkpoint, i64[4] was expected"));
    }
}

int main(int argc, char **argv)
{
    struct err e = {0};
    if (!comm_open(&argc, &argv, &c, &e)) return 1;
    rank = comm_rank(c);
    size = comm_size(c);
    log_setup(LOG_ERROR, rank);
    snprintf(dir, sizeof dir, "/tmp/radmill-ckpt-XXXXXX");
    bool ok = rank != 0 || mkdtemp(dir);
    comm_bcast(c, dir, sizeof dir, 0);
    MPI_CHECK(c, ok);
    round_trip();
    full_disk();
    loading_fails_on_one_rank();
    items_differ_on_one_rank();
    comm_barrier(c);
    if (rank == 0) MPI_CHECK(c, fs_remove_tree(dir, &e));
    comm_close(c);
    if (mem_live_blocks() != 0) {
        fprintf(stderr, "rank %d: %zu blocks leaked\n", rank, mem_live_blocks());
        return 1;
    }
    return 0;
}
