/* train_run on this many ranks gives the adapter of one rank, byte for byte: at once, and when stopped
 * after a step in the middle of an epoch and continued on another number of ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "support/testdir.h"
#include "train/kit.h"

#define MPI_CHECK(cond) ((cond) ? (void)0 : broken(__LINE__, #cond))
static struct comm *world, *self;
static char model[600], shards[600];

static void broken(int line, const char *what)
{
    fprintf(stderr, "rank %d: mpi_train.c:%d: %s\n", comm_rank(world), line, what);
    comm_abort(world, 1);
}

static enum err_code train(struct comm *c, const char *dir, uint64_t stop_after, double dropout)
{
    struct train_opts t = kit_train(dir);
    struct lora_opts l = kit_lora();
    struct model_opts m = kit_model_opts(model);
    struct train_job job = {.train = &t, .lora = &l, .model = &m, .shards_dir = shards};
    struct train_summary s;
    struct err e = {0};

    t.stop_after_steps = stop_after;
    l.dropout = dropout;
    if (train_run(&job, c, &s, &e)) return ERR_NONE;
    if (e.code != ERR_STOPPED) kit_die(dir, &e);
    return e.code;
}

static char *adapter(const char *dir, size_t *n)
{
    char path[700];
    snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", dir);
    return testdir_read(path, n);
}

/* Only rank 0 looks; the others wait in the next collective call. */
static void same(const char *a, const char *b)
{
    size_t na, nb;
    char *pa = adapter(a, &na), *pb = adapter(b, &nb);
    MPI_CHECK(na == nb && na > 1000 && memcmp(pa, pb, na) == 0);
    free(pb);
    free(pa);
}

static void compare(const char *root, const char *tag, double dropout)
{
    char one[600], many[600], up[600], down[600];
    bool first = comm_rank(world) == 0;

    snprintf(one, sizeof one, "%s/%s-one", root, tag);
    snprintf(many, sizeof many, "%s/%s-many", root, tag);
    snprintf(up, sizeof up, "%s/%s-up", root, tag);
    snprintf(down, sizeof down, "%s/%s-down", root, tag);
    if (first) MPI_CHECK(train(self, one, 0, dropout) == ERR_NONE);
    MPI_CHECK(train(world, many, 0, dropout) == ERR_NONE);

    if (first) MPI_CHECK(train(self, up, 2, dropout) == ERR_STOPPED);
    comm_barrier(world);
    MPI_CHECK(train(world, up, 0, dropout) == ERR_NONE);

    MPI_CHECK(train(world, down, 4, dropout) == ERR_STOPPED);
    if (!first) return;
    MPI_CHECK(train(self, down, 0, dropout) == ERR_NONE);
    same(one, many);
    same(one, up);
    same(one, down);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    char dir[512] = "";

    if (!comm_open(&argc, &argv, &world, &e)) kit_die("comm", &e);
    if (!comm_open_self(&self, &e)) kit_die("self", &e);
    log_setup(LOG_ERROR, comm_rank(world));
    if (comm_rank(world) == 0) snprintf(dir, sizeof dir, "%s", testdir_make());
    comm_bcast(world, dir, sizeof dir, 0);
    snprintf(model, sizeof model, "%s/model", dir);
    snprintf(shards, sizeof shards, "%s/shards", dir);
    if (comm_rank(world) == 0) {
        kit_model(model, &kit_small);
        kit_shards(shards);
    }
    comm_barrier(world);
    compare(dir, "plain", 0);
    compare(dir, "dropout", 0.25);
    comm_barrier(world);
    if (comm_rank(world) == 0) testdir_remove();
    comm_close(self);
    comm_close(world);
    return 0;
}
