/*
 * evaluate/board - one table over systems: runs of ours, anyone's pairs files, quoted rows, and
 * baselines, with intervals, tests, strata, plots and cases.
 *
 *     dir/comparison.md, .csv, .tex   the tables
 *     dir/comparison.html             everything on one page; written last
 *
 * The main idea: the pairs that all files share (by id; line by line where there are none) are
 * scored once by every metric of evaluate/metric, and every number of the page is made of those
 * rows by evaluate/bootstrap. So all systems are compared on the same reports, resampled in the
 * same way, and each difference to the row that is chosen as the yardstick has an interval and a p,
 * by Holm over rows x headline values.
 *
 *  - A row is a system. Runs whose provenance differs only in the seed are one row: means over the
 *    runs, and the standard deviation between them.
 *  - Times are what the runs' own files say (summary.json, pairs.meta.json); they name the device.
 *  - Reports of sources that are external tests (never trained on) are a part of their own.
 *  - Quoted rows come from a CSV (board_published.c); they have no interval and no test.
 *  - Report text is on the page only where it is asked for, and that is noted in dir/audit.jsonl
 *    first. Without it a case is the number of its pair, nothing else.
 *
 * The files' bytes depend on the pairs files, their provenance and the options alone, not on ranks
 * or threads, nor on where the folders lie. Everything is Collective.
 */
#pragma once
#include "evaluate/evaluate.h"

enum { BOARD_INPUTS_MAX = 32 };

/* A folder (generate.dir, or one that holds it as pairs/) or a pairs file. */
struct board_input {
    const char *name; /* NULL: what its provenance or folder says */
    const char *path;
};
struct board_opts {
    const char *yardstick;    /* row to compare with, by name or letter; NULL: the first */
    const char *focus;        /* row whose worst and best cases are shown; NULL: the first */
    const char *published;    /* CSV of quoted rows, or NULL */
    struct opt_strs external; /* sources that are external tests */
    const char *where;        /* pairs to list: 'A.rougeL > B.rougeL' (board_where.c), or NULL */
    uint64_t sample;          /* of them, at most */
    uint32_t cases;           /* worst and best a metric */
    bool show_text;
};
struct board_summary {
    size_t rows, pairs, left_out; /* left out: pairs of some file that others lack */
    size_t selected;              /* by where */
    struct sbuf table;            /* the table for a terminal; sbuf_free it */
};
MUST_CHECK bool board_run(const struct evaluate_opts *o, const struct board_opts *b,
                          const struct board_input *in, size_t n, struct comm *c,
                          struct board_summary *out, struct err *e);
