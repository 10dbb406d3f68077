/*
 * evaluate/board_impl - what the files of the board share. Everything is the same on all ranks.
 */
#pragma once
#include "evaluate/board.h"
#include "evaluate/eval_run.h"
#include "evaluate/strata.h"

enum { BOARD_ROWS_MAX = 64, BOARD_NAME = 64, BOARD_PARTS_MAX = 2 };

/* What a run's own files say; 0 and "" where they do not. */
struct board_times {
    double train_s, generate_s;
    int train_ranks, generate_ranks;
    char train_device[96], generate_device[96];
};
/* One pairs file. */
struct board_source {
    char name[BOARD_NAME];
    const char *path;
    struct pair *pairs;
    size_t n;
    uint32_t *at; /* [common pairs]: its pair number */
    uint8_t digest[32], key[32];
    bool has_key; /* key: of everything but the seed */
    uint64_t seed;
    struct board_times times;
    double *scores; /* [common][columns] */
};
enum board_kind { BOARD_SYSTEM, BOARD_BASELINE, BOARD_QUOTED };
struct board_row {
    char name[BOARD_NAME], letter[4];
    enum board_kind kind;
    uint32_t source[BOARD_INPUTS_MAX], nsources; /* its runs */
    double *scores;       /* [common][columns], mean over runs; NULL: quoted */
    struct str *baseline; /* [common]: a baseline's answers */
    double *quoted;       /* [values], as tables show them; NaN: not quoted */
    double *sd;           /* [values] between runs, NaN for one; the first part's pairs */
    struct evaluate_loss loss;
    struct board_times times;
    const char *note;                           /* of a quoted row: what it is from */
    const char *quoted_train, *quoted_generate; /* as they stand there */
};
struct board_stratum {
    const char *by, *value;
    size_t pairs;
    struct boot_ci *ci; /* [row][value] */
};
struct board_part {
    const char *title;
    uint32_t *pairs; /* common pair numbers */
    size_t n;
    struct boot_ci *ci;           /* [row][value] */
    struct evaluate_delta *delta; /* [row][value]: row minus the yardstick */
    struct board_stratum *strata;
    size_t nstrata;
};
struct board {
    const struct board_opts *o;
    struct eval_run run; /* its pairs are the common ones, by the first file */
    struct evaluate_summary *summary;
    struct board_source source[BOARD_INPUTS_MAX];
    size_t nsources;
    struct board_row row[BOARD_ROWS_MAX];
    size_t nrows;
    size_t yardstick, focus;
    struct board_part part[BOARD_PARTS_MAX];
    size_t nparts;
    size_t left_out;
    bool by_line; /* matched by line: some file has no ids */
    /* where */
    uint32_t *selected; /* a sample of those that where chose, ascending */
    size_t nselected, nmatching;
};
static inline size_t board_at(const struct board *b, size_t row, size_t value)
{
    return row * b->run.out->set.nvalues + value;
}
/* Does row have this value: scored, or quoted? */
bool board_has(const struct board *b, size_t row, size_t value);
/* A pair's own value: false where it has none (corpus values, a ratio without a case). */
bool board_pair_value(const struct board *b, size_t row, size_t pair, size_t value, double *out);
/* The answer of a row to a pair: of its first run. */
struct str board_answer(const struct board *b, size_t row, size_t pair);
/* The value that stands for all where only one has room: ROUGE-L. */
size_t board_main_value(const struct board *b);
/* "1h42", "16m27", "48 s"; "-" for 0. */
void board_duration(double s, char out[24]);
/* Of a device's description, what a table has room for: "CPU avx512_bf16, 1 thread". */
void board_device(const char *describe, int ranks, char out[96]);
/* How sure is the difference: +1 better, -1 worse than the yardstick by Holm at 0.05, else 0. */
int board_mark(const struct board *b, const struct board_part *p, size_t row, size_t value);
/* Row by name or letter, or SIZE_MAX. */
size_t board_find_row(const struct board *b, struct str name);
/* Value by name, or by its family ("rougeL": rougeL.f), or SIZE_MAX. */
size_t board_find_value(const struct metric_set *set, struct str name);

/* ---- columns of the table, in the capstone's order: those that have values */
struct board_column {
    const char *group; /* "ROUGE-1" */
    const char *head;  /* "P", or "" where a group is one column */
    size_t value;
    int digits;
};
enum { BOARD_COLUMNS_MAX = METRIC_VALUES_MAX };
size_t board_columns(const struct board *b, struct board_column out[BOARD_COLUMNS_MAX]);

/* ---- board_load.c: files, common pairs, rows of systems */
MUST_CHECK bool board_load(struct board *b, const struct board_input *in, size_t n, struct err *e);
/* ---- board_published.c: rows from the CSV */
MUST_CHECK bool board_published(struct board *b, const char *path, struct err *e);
/* The same of text; `name` stands for the file in errors. */
MUST_CHECK bool board_published_parse(struct board *b, struct str text, const char *name,
                                      struct err *e);
/* ---- board_where.c */
MUST_CHECK bool board_where(struct board *b, struct err *e);
/* ---- the files; one rank */
MUST_CHECK bool board_markdown(const struct board *b, struct sbuf *out, struct err *e);
MUST_CHECK bool board_csv(const struct board *b, struct sbuf *out, struct err *e);
MUST_CHECK bool board_latex(const struct board *b, struct sbuf *out, struct err *e);
MUST_CHECK bool board_terminal(const struct board *b, struct sbuf *out, struct err *e);
MUST_CHECK bool board_page(const struct board *b, struct sbuf *out, struct err *e);
struct html;
void board_page_plots(struct html *h, const struct board *b, const struct board_part *p);
void board_page_cases(struct html *h, const struct board *b);
