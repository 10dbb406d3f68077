/* Ten steps of 7 bins on this many ranks give the bits of ten steps on one. RADMILL_TEST_FILTER=brief: two, once
 * (tests/gpu/acceptance on the stand-in, which is slow). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "support/testdir.h"
#include "train/kit.h"

enum { BINS = 7 };
static uint64_t steps = 10;
static const uint32_t cuts[BINS + 1] = {0, 6, 7, 15, 20, 24, 33, 40};

#define MPI_CHECK(cond) ((cond) ? (void)0 : broken(__LINE__, #cond))
static struct comm *world;

static void broken(int line, const char *what)
{
    fprintf(stderr, "rank %d: mpi_step.c:%d: %s\n", comm_rank(world), line, what);
    comm_abort(world, 1);
}

/* Masters after all steps; the mean loss of the last. */
static float *train(struct comm *c, const char *dir, double dropout, bool redo, double *loss,
                    uint64_t *count)
{
    struct kit k;
    struct step s;
    struct err e = {0};
    struct lora_opts l = kit_lora();
    struct step_opts o = {.beta1 = 0.9,
                          .beta2 = 0.99,
                          .eps = 1e-8,
                          .weight_decay = 0.01,
                          .clip = 0.5,
                          .seed = 5,
                          .bins_per_step = BINS,
                          .decay_vectors = true};
    struct kit_bins bins = {.cuts = cuts, .nbins = BINS};
    struct step_source src = {&bins, kit_get};
    uint64_t p = (uint64_t)comm_size(c), r = (uint64_t)comm_rank(c);

    l.dropout = dropout;
    kit_open(&k, dir, test_device(), &kit_small, &l, KIT_BIN_TOKENS);
    if (!step_init(&s, &o, k.m, k.l, k.w, c, &e)) kit_die("step", &e);
    if (redo)
        for (size_t i = 0; i < s.sync.nslices; i++)
            s.sync.slices[i].shift = 100;
    for (uint64_t n = 1; n <= steps; n++) {
        struct step_job job = {.number = n,
                               .begin = BINS * r / p,
                               .end = BINS * (r + 1) / p,
                               .rows = kit_rows(0, KIT_SAMPLES),
                               .lr = 5e-3};
        struct step_flags flags = {.stop = n == 4 && r == p - 1};
        struct step_result res;
        if (!step_run(&s, &src, &job, &flags, &res, &e)) kit_die("run", &e);
        MPI_CHECK(flags.stop == (n == 4)); /* one rank's wish is known to all */
        /* A has no gradient while B is zero, so its shift is found wrong only in step 2. */
        MPI_CHECK(res.tries == (redo && n <= 2 ? 2 : 1));
        *loss = res.loss;
    }
    float *out = malloc(s.count * sizeof *out);
    if (!out || !step_get(&s, out, NULL, NULL, &e)) kit_die("get", &e);
    *count = s.count;
    step_free(&s);
    kit_close(&k);
    return out;
}

static void compare(struct comm *self, const char *dir, double dropout, bool redo)
{
    uint64_t n;
    double want_loss, loss;
    float *want = train(self, dir, dropout, redo, &want_loss, &n);
    float *got = train(world, dir, dropout, redo, &loss, &n);

    MPI_CHECK(loss == want_loss);
    MPI_CHECK(memcmp(got, want, n * sizeof *want) == 0);
    free(got);
    free(want);
}

static bool bad_source(void *ctx, uint64_t bin, struct decoder_batch *out, struct err *e)
{
    if (bin >= BINS - 1) return err_set(e, ERR_IO, "bin %d is lost", (int)bin);
    return kit_get(ctx, bin, out, e);
}

/* An error on the last rank is everyone's error, and nobody hangs. */
static void check_errors(const char *dir)
{
    struct kit k;
    struct step s;
    struct err e = {0};
    struct lora_opts l = kit_lora();
    struct step_opts o = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .bins_per_step = BINS};
    struct kit_bins bins = {.cuts = cuts, .nbins = BINS};
    struct step_source src = {&bins, bad_source};
    uint64_t p = (uint64_t)comm_size(world), r = (uint64_t)comm_rank(world);
    struct step_job job = {
        .number = 1, .begin = BINS * r / p, .end = BINS * (r + 1) / p, .rows = 9, .lr = 1e-3};
    struct step_flags flags = {0};
    struct step_result res;

    kit_open(&k, dir, test_device(), &kit_small, &l, KIT_BIN_TOKENS);
    if (!step_init(&s, &o, k.m, k.l, k.w, world, &e)) kit_die("step", &e);
    MPI_CHECK(!step_run(&s, &src, &job, &flags, &res, &e));
    MPI_CHECK(e.code == ERR_IO && strcmp(e.text, "bin 6 is lost") == 0);
    step_free(&s);
    kit_close(&k);
}

/* Asked on one rank while bins remain: all ranks leave the step. */
static void check_abandoned(const char *dir)
{
    struct kit k;
    struct step s;
    struct err e = {0};
    struct lora_opts l = kit_lora();
    struct step_opts o = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .bins_per_step = BINS};
    struct kit_bins bins = {.cuts = cuts, .nbins = BINS};
    struct step_source src = {&bins, kit_get};
    uint64_t p = (uint64_t)comm_size(world), r = (uint64_t)comm_rank(world);
    struct step_job job = {
        .number = 1, .begin = BINS * r / p, .end = BINS * (r + 1) / p, .rows = 9, .lr = 1e-3};
    struct step_flags flags = {0};
    struct step_result res;

    kit_open(&k, dir, test_device(), &kit_small, &l, KIT_BIN_TOKENS);
    if (!step_init(&s, &o, k.m, k.l, k.w, world, &e)) kit_die("step", &e);
    if (r == p - 1) stop_request();
    MPI_CHECK(step_run(&s, &src, &job, &flags, &res, &e));
    MPI_CHECK(res.abandoned);
    stop_reset();
    MPI_CHECK(step_run(&s, &src, &job, &flags, &res, &e));
    MPI_CHECK(!res.abandoned);
    step_free(&s);
    kit_close(&k);
}

int main(int argc, char **argv)
{
    struct comm *self;
    struct err e = {0};
    char model[600];
    const char *filter = getenv("RADMILL_TEST_FILTER");

    if (!comm_open(&argc, &argv, &world, &e)) kit_die("comm", &e);
    if (!comm_open_self(&self, &e)) kit_die("self", &e);
    snprintf(model, sizeof model, "%s/model",
             testdir_make()); /* each rank its own copy, made from one seed */
    bool brief = filter && strcmp(filter, "brief") == 0;
    if (brief) steps = 2;
    test_device_rank(comm_local_rank(world));
    compare(self, model, 0.25, true);
    if (!brief) {
        compare(self, model, 0, false);
        compare(self, model, 0, true);
        compare(self, model, 0.25, false);
        check_abandoned(model);
    }
    check_errors(model);
    testdir_remove();
    comm_close(self);
    comm_close(world);
    return 0;
}
