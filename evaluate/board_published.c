/* Quoted rows: a CSV (RFC 4180, a header row) of numbers that someone published.
 *
 *     name,note,train,generate,device,rouge1.f,rougeL.f,bertscore.f
 *     "Llama 8B, capstone","UChicago MRI, 0-1 as printed",49m,2h53,H100,41,34,68
 *
 * name is needed; note says where it is from. train and generate are shown as they stand. Any other
 * column is a value by its name (evaluate/metric), in the scale of our tables (mostly 0 to 100); an
 * empty field is "not reported". A value that is not computed now is passed over, a name that is no
 * value at all is refused. At most 40 columns and BOARD_ROWS_MAX rows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "evaluate/board_impl.h"

enum { FIELDS_MAX = 40, FIELD_BYTES = 500, FILE_MAX_BYTES = 1 << 20 };
enum {
    FIELD_NAME = -1,
    FIELD_NOTE = -2,
    FIELD_TRAIN = -3,
    FIELD_GENERATE = -4,
    FIELD_DEVICE = -5,
    FIELD_SKIP = -6
};

struct table {
    const char *file;
    size_t line;
    struct str rest;
    struct str field[FIELDS_MAX]; /* in the arena */
    size_t n;
    int column[FIELDS_MAX]; /* of the set's values, or FIELD_... */
    size_t ncolumns;
};

static bool bad(const struct table *t, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s line %zu: %s", t->file, t->line, what);
}

/* One field into p[FIELD_BYTES], its length to *n; *end: a line ended behind it. */
static bool read_field(struct table *t, char *p, size_t *n, bool *end, struct err *e)
{
    struct str r = t->rest;
    bool quoted = r.n > 0 && r.p[0] == '"';
    size_t i = quoted ? 1 : 0;

    for (*n = 0; i < r.n; i++) {
        char c = r.p[i];
        if (quoted && c == '"') {
            if (i + 1 >= r.n || r.p[i + 1] != '"') break;
            i++;
        } else if (!quoted && (c == ',' || c == '\n'))
            break;
        if (*n == FIELD_BYTES) return bad(t, "a field of more than 500 bytes", e);
        p[(*n)++] = c;
    }
    if (quoted && i >= r.n) return bad(t, "a quote is not closed", e);
    if (quoted) i++;
    if (i < r.n && r.p[i] == '\r' && i + 1 < r.n && r.p[i + 1] == '\n') i++;
    if (i < r.n && r.p[i] != ',' && r.p[i] != '\n') return bad(t, "text behind a closing quote", e);
    *end = i >= r.n || r.p[i] == '\n';
    t->rest = str_sub(r, i + (i < r.n), r.n);
    return true;
}

static bool next_line(struct table *t, struct arena *a, bool *any, struct err *e)
{
    bool end = false;

    t->n = 0;
    *any = t->rest.n > 0;
    while (*any && !end) {
        char p[FIELD_BYTES];
        size_t n;
        if (t->n == FIELDS_MAX) return bad(t, "more than 40 columns", e);
        if (!read_field(t, p, &n, &end, e)) return false;
        if (!arena_str(a, str_trim((struct str){p, n}), &t->field[t->n++], e)) return false;
    }
    return true;
}

/* Is it a value of any metric, chosen now or not? */
static bool any_value(struct str name)
{
    for (size_t m = 0; metric_table[m]; m++)
        for (size_t v = 0; v < metric_table[m]->nvalues; v++)
            if (str_eqz(name, metric_table[m]->values[v].name)) return true;
    return false;
}

static bool read_header(const struct board *b, struct table *t, struct err *e)
{
    static const char *const own[] = {"name", "note", "train", "generate", "device"};
    bool named = false;

    t->ncolumns = t->n;
    for (size_t i = 0; i < t->n; i++) {
        size_t v = board_find_value(&b->run.out->set, t->field[i]);
        t->column[i] = v == SIZE_MAX ? FIELD_SKIP : (int)v;
        for (int k = 0; k < 5; k++)
            if (str_eqz(t->field[i], own[k])) t->column[i] = FIELD_NAME - k;
        named |= t->column[i] == FIELD_NAME;
        if (t->column[i] == FIELD_SKIP && !any_value(t->field[i]))
            return err_set(e, ERR_FORMAT,
                           "%s: column %.*s is no value; expected name, note, train, generate, "
                           "device or a value such as rouge1.f, bertscore.f",
                           t->file, STR_ARG(t->field[i]));
    }
    return named || bad(t, "the header row lacks \"name\"", e);
}

static bool put_field(struct board_row *row, struct table *t, size_t i, struct err *e)
{
    struct str s = t->field[i];

    switch (t->column[i]) {
    case FIELD_NAME:
        eval_put_name(row->name, sizeof row->name, s.p);
        return true;
    case FIELD_NOTE:
        row->note = s.p;
        return true;
    case FIELD_TRAIN:
        row->quoted_train = s.p;
        return true;
    case FIELD_GENERATE:
        row->quoted_generate = s.p;
        return true;
    case FIELD_DEVICE:
        eval_put_name(row->times.train_device, sizeof row->times.train_device, s.p);
        return true;
    case FIELD_SKIP:
        return true;
    default:
        break;
    }
    if (s.n == 0) return true;
    double *value = &row->quoted[t->column[i]];
    if (!parse_f64(s, value, e)) return err_wrap(e, "%s line %zu", t->file, t->line);
    if (!isfinite(*value)) return bad(t, "a value is no number", e);
    return true;
}

static bool read_row(struct board *b, struct table *t, struct err *e)
{
    size_t nvalues = b->run.out->set.nvalues;
    struct board_row *row = &b->row[b->nrows];

    if (t->n == 1 && t->field[0].n == 0) return true; /* an empty line */
    if (b->nrows == BOARD_ROWS_MAX) return bad(t, "too many rows", e);
    if (t->n != t->ncolumns)
        return err_set(e, ERR_FORMAT, "%s line %zu: %zu fields, the header has %zu", t->file,
                       t->line, t->n, t->ncolumns);
    *row = (struct board_row){.kind = BOARD_QUOTED, .note = ""};
    row->quoted = arena_alloc(&b->run.arena, nvalues * sizeof *row->quoted, e);
    if (!row->quoted) return false;
    for (size_t v = 0; v < nvalues; v++)
        row->quoted[v] = (double)NAN;
    for (size_t i = 0; i < t->n; i++)
        if (!put_field(row, t, i, e)) return false;
    if (!row->name[0]) return bad(t, "the row has no name", e);
    b->nrows++;
    return true;
}

bool board_published_parse(struct board *b, struct str text, const char *name, struct err *e)
{
    struct table t = {.file = name, .rest = text, .line = 1};
    bool any;

    if (str_starts(text, STR("\xef\xbb\xbf"))) t.rest = str_sub(text, 3, text.n);
    if (!str_is_utf8(text)) return bad(&t, "is not UTF-8", e);
    if (!next_line(&t, &b->run.arena, &any, e)) return false;
    if (!any) return bad(&t, "the file is empty", e);
    if (!read_header(b, &t, e)) return false;
    for (t.line = 2;; t.line++) {
        if (!next_line(&t, &b->run.arena, &any, e)) return false;
        if (!any) return true;
        if (!read_row(b, &t, e)) return false;
    }
}

bool board_published(struct board *b, const char *path, struct err *e)
{
    struct str text;
    return fs_read_file(path, FILE_MAX_BYTES, &b->run.arena, &text, e) &&
           board_published_parse(b, text, path, e);
}
