/* The report's bytes are the same on 1, 2, 3 and 4 ranks: each count writes its own and all compare
 * with what one rank alone writes; an error on the reading side reaches every rank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "evaluate/evaluate.h"
#include "support/testdir.h"

static void require(bool ok, const char *what, const struct err *e)
{
    if (ok) return;
    fprintf(stderr, "mpi_evaluate: %s: %s\n", what, e ? e->text : "");
    abort();
}

/* 203 synthetic pairs: no rank count divides them. */
static void write_pairs(const char *path)
{
    static const char *const words[] = {"no",   "acute", "disease",  "small",
                                        "left", "right", "effusion", "edema"};
    struct rng_key key = rng_key(5, RNG_TEST, 0);
    FILE *f = fopen(path, "w");
    require(f != NULL, path, NULL);
    uint64_t at = 0;
    for (int i = 0; i < 203; i++) {
        fprintf(f, "{\"id\": \"s:0:%d\", \"group\": \"g%d\", \"findings\": \"A b. C d. E.\"", i,
                i / 3);
        for (int side = 0; side < 2; side++) {
            fprintf(f, ", \"%s\": \"", side ? "reference" : "prediction");
            for (uint64_t n = 1 + rng_below(key, at++, 9); n > 0; n--)
                fprintf(f, "%s%s", words[rng_below(key, at++, 8)], n % 4 ? " " : ".\\n");
            fputc('"', f);
        }
        fprintf(f, "}\n");
    }
    fclose(f);
}

/* threads: as many as differ between the runs that must agree. */
/* Training reports for knn, many of them alike: ties must fall the same way on every rank. */
static void write_train(const char *path)
{
    static const char *const findings[] = {"A b.", "C d. E.", "E e e", "b d", "no"};
    FILE *f = fopen(path, "w");
    require(f != NULL, path, NULL);
    for (size_t i = 0; i < 60; i++)
        fprintf(f, "{\"findings\": \"%s\", \"impression\": \"acute %zu edema\"}\n", findings[i % 5],
                i);
    fclose(f);
}

static char *report(const char *dir, const char *pairs, struct comm *c, uint32_t threads)
{
    static const char *const names[] = {"constant", "lead2", "knn"}, *const metrics[] = {"rouge",
                                                                                         "bleu"};
    static struct evaluate_summary s;
    char path[600], train[600];
    struct err e = {0};
    snprintf(train, sizeof train, "%s/../train.jsonl", dir);
    struct evaluate_opts o = {.dir = dir,
                              .train_pairs = train,
                              .metrics = {metrics, 1},
                              .bootstrap = 501,
                              .seed = 7,
                              .baselines = {names, 3},
                              .strata = true,
                              .threads = threads};
    require(evaluate_run(&o, pairs, NULL, 0, c, &s, &e), "run", &e);
    require(s.pairs == 203 && s.clustered && s.ncompared == 3 && s.nstrata > 2, "summary", NULL);
    snprintf(path, sizeof path, "%s/report.json", dir);
    return comm_rank(c) == 0 ? testdir_read(path, NULL) : NULL;
}

int main(int argc, char **argv)
{
    struct comm *c, *self;
    struct err e = {0};
    char dir[512] = "", pairs[600], sub[600];

    require(comm_open(&argc, &argv, &c, &e), "open", &e);
    require(comm_open_self(&self, &e), "self", &e);
    log_setup(LOG_ERROR, comm_rank(c));
    if (comm_rank(c) == 0) {
        snprintf(dir, sizeof dir, "%s", testdir_make());
        write_pairs(testdir_path("pairs.jsonl"));
        write_train(testdir_path("train.jsonl"));
    }
    comm_bcast(c, dir, sizeof dir, 0);
    snprintf(pairs, sizeof pairs, "%s/pairs.jsonl", dir);
    snprintf(sub, sizeof sub, "%s/all", dir);
    char *all = report(sub, pairs, c, 2);
    if (comm_rank(c) == 0) {
        snprintf(sub, sizeof sub, "%s/one", dir);
        char *one = report(sub, pairs, self, 1);
        require(strcmp(all, one) == 0, "ranks change the report", NULL);
        free(one);
    }
    free(all);

    static struct evaluate_summary s;
    static const char *const names[] = {"rouge"};
    struct evaluate_opts o = {.dir = dir, .metrics = {names, 1}, .bootstrap = 100};
    require(!evaluate_run(&o, "/nowhere/pairs.jsonl", NULL, 0, c, &s, &e) && e.code == ERR_IO,
            "a missing file is an error on every rank", &e);
    comm_barrier(c);
    if (comm_rank(c) == 0) testdir_remove();
    comm_close(self);
    comm_close(c);
    return 0;
}
