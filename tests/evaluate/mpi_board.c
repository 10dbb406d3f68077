/* The comparison's bytes are the same on 1, 2, 3 and 4 ranks; an error reaches every rank. */
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
#include "evaluate/board.h"
#include "support/testdir.h"

static void require(bool ok, const char *what, const struct err *e)
{
    if (ok) return;
    fprintf(stderr, "mpi_board: %s: %s\n", what, e ? e->text : "");
    abort();
}

/* 61 synthetic pairs from number `from` on: no rank count divides what two files share. */
static void write_pairs(const char *path, int from, uint64_t seed)
{
    static const char *const words[] = {"no",   "acute", "disease",  "small",
                                        "left", "right", "effusion", "edema"};
    struct rng_key key = rng_key(seed, RNG_TEST, 0), refs = rng_key(9, RNG_TEST, 1);
    FILE *f = fopen(path, "w");
    require(f != NULL, path, NULL);
    uint64_t at = 0;
    for (int i = from; i < from + 61; i++) {
        fprintf(f, "{\"id\": \"s:0:%d\", \"group\": \"g%d\", \"findings\": \"A b. C d. E.\"", i,
                i / 3);
        fprintf(f, ", \"source\": \"%s\", \"reference\": \"%s %s %s.\", \"prediction\": \"",
                i % 4 ? "in" : "out", words[rng_below(refs, (uint64_t)i, 8)],
                words[rng_below(refs, (uint64_t)i + 100, 8)], i % 2 ? "seen" : "clear");
        for (uint64_t n = 1 + rng_below(key, at++, 6); n > 0; n--)
            fprintf(f, "%s ", words[rng_below(key, at++, 8)]);
        fprintf(f, "\"}\n");
    }
    fclose(f);
}

static char *compare(const char *dir, const char *root, struct comm *c, uint32_t threads,
                     const char *name)
{
    static const char *const names[] = {"constant", "lead2"}, *const metrics[] = {"rouge", "bleu"};
    static const char *const external[] = {"out"};
    char path[3][600];
    struct err e = {0};
    const struct evaluate_opts o = {.dir = dir,
                                    .metrics = {metrics, 2},
                                    .bootstrap = 101,
                                    .seed = 7,
                                    .baselines = {names, 2},
                                    .strata = true,
                                    .threads = threads,
                                    .device = "cpu"};
    const struct board_opts b = {.external = {external, 1},
                                 .where = "A.rouge1 > B.rouge1",
                                 .sample = 5,
                                 .cases = 3,
                                 .show_text = true};
    struct board_summary s;
    snprintf(path[0], 600, "%s/a.jsonl", root);
    snprintf(path[1], 600, "%s/b.jsonl", root);
    const struct board_input in[] = {{NULL, path[0]}, {NULL, path[1]}};
    require(board_run(&o, &b, in, 2, c, &s, &e), "run", &e);
    require(s.rows == 4 && s.pairs == 59 && s.left_out == 2, "summary", NULL);
    sbuf_free(&s.table);
    snprintf(path[2], 600, "%s/%s", dir, name);
    return comm_rank(c) == 0 ? testdir_read(path[2], NULL) : NULL;
}

int main(int argc, char **argv)
{
    static const char *const files[] = {"comparison.html", "comparison.csv"};
    struct comm *c, *self;
    struct err e = {0};
    char dir[512] = "", sub[600];

    require(comm_open(&argc, &argv, &c, &e), "open", &e);
    require(comm_open_self(&self, &e), "self", &e);
    log_setup(LOG_ERROR, comm_rank(c));
    if (comm_rank(c) == 0) {
        snprintf(dir, sizeof dir, "%s", testdir_make());
        write_pairs(testdir_path("a.jsonl"), 0, 5);
        write_pairs(testdir_path("b.jsonl"), 2, 6);
    }
    comm_bcast(c, dir, sizeof dir, 0);
    comm_barrier(c);
    for (int i = 0; i < 2; i++) {
        snprintf(sub, sizeof sub, "%s/all", dir);
        char *all = compare(sub, dir, c, 2, files[i]);
        if (comm_rank(c) == 0) {
            snprintf(sub, sizeof sub, "%s/one", dir);
            char *one = compare(sub, dir, self, 1, files[i]);
            require(strcmp(all, one) == 0, "ranks change the comparison", NULL);
            free(one);
        }
        free(all);
    }
    struct board_summary s;
    const struct board_opts b = {.cases = 1};
    static const char *const metrics[] = {"rouge"};
    const struct evaluate_opts o = {.dir = dir, .metrics = {metrics, 1}, .bootstrap = 100};
    const struct board_input in = {NULL, "/nowhere"};
    require(!board_run(&o, &b, &in, 1, c, &s, &e) && e.code == ERR_CONFIG,
            "a missing run is an error on every rank", &e);
    sbuf_free(&s.table);
    comm_barrier(c);
    if (comm_rank(c) == 0) testdir_remove();
    comm_close(self);
    comm_close(c);
    return 0;
}
