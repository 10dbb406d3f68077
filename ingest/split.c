#include "ingest/split.h"

#include "base/arena.h"
#include "base/mem.h"
#include "ingest/csv_list.h"

enum { ARENA_BYTES = 1 << 30, MAX_ID = 64 };

/* Open addressing over row numbers + 1; 0 is free. */
struct table {
    uint32_t *slot;
    size_t mask;
};
struct split {
    struct split_rules rules;
    struct split_row *rows;
    size_t nrows, cap;
    struct table studies, patients;
    bool per_image; /* the list has a row an image */
    struct arena arena;
    uint8_t digest[32];
};

struct str split_digits(struct str id, char letter)
{
    if (id.n < 2 || id.p[0] != letter) return id;
    for (size_t i = 1; i < id.n; i++) {
        if (id.p[i] < '0' || id.p[i] > '9') return id;
    }
    return str_sub(id, 1, id.n);
}

static struct str key_of(const struct split_row *row, bool patient)
{
    return patient ? row->patient : row->study;
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *find_slot(const struct split *s, bool patient, struct str key)
{
    const struct table *t = patient ? &s->patients : &s->studies;
    size_t at = hash_xxh64(key.p, key.n, 0) & t->mask;

    while (t->slot[at] && !str_eq(key_of(&s->rows[t->slot[at] - 1], patient), key))
        at = (at + 1) & t->mask;
    return &t->slot[at];
}

static const struct split_row *find_row(const struct split *s, bool patient, struct str key)
{
    uint32_t i = s->nrows && key.n ? *find_slot(s, patient, key) : 0;
    return i ? &s->rows[i - 1] : NULL;
}

int split_code(struct str name)
{
    if (str_eqz(name, "validate") || str_eqz(name, "val") || str_eqz(name, "valid"))
        return SPLIT_DEV;
    return record_split_of(name);
}

/* ---- the list */
/* Columns study_id, subject_id, split, dicom_id. */
static bool put_row(void *ctx, const struct str *cells, uint64_t line, struct err *e)
{
    struct split *s = ctx;
    struct split_row out = {.line = line};
    struct str study = cells[0], patient = cells[1];
    int code = split_code(cells[2]);

    if (code < 0) return err_set(e, ERR_FORMAT, "split is not train, dev or test");
    if (study.n == 0 || study.n > MAX_ID || patient.n > MAX_ID)
        return err_set(e, ERR_FORMAT, "an id is empty or longer than %d bytes", MAX_ID);
    if (s->rules.mimic_ids) {
        study = split_digits(study, 's');
        patient = split_digits(patient, 'p');
    }
    s->per_image = s->per_image || cells[3].n > 0;
    out.split = (enum record_split)code;
    if (!arena_str(&s->arena, study, &out.study, e)) return false;
    if (!arena_str(&s->arena, patient, &out.patient, e)) return false;
    if (!mem_grow((void **)&s->rows, &s->cap, s->nrows + 1, sizeof *s->rows, e)) return false;
    s->rows[s->nrows++] = out;
    return true;
}

static bool table_init(struct table *t, size_t n, struct err *e)
{
    size_t size = 16;

    while (size < 2 * n)
        size *= 2;
    t->mask = size - 1;
    t->slot = mem_calloc(size, sizeof *t->slot, e);
    return t->slot != NULL;
}

/* A study's last row wins; a patient or study in two splits is refused. Of the rows of one study's
 * images the first is kept. */
static bool index_rows(struct split *s, struct err *e)
{
    size_t kept = 0;

    if (s->nrows >= UINT32_MAX) return err_set(e, ERR_LIMIT, "more than 2^32 - 2 rows");
    if (!table_init(&s->studies, s->nrows, e)) return false;
    if (!table_init(&s->patients, s->nrows, e)) return false;
    for (size_t i = 0; i < s->nrows; i++) {
        const struct split_row *row = &s->rows[i];
        uint32_t *study = find_slot(s, false, row->study);
        uint32_t *patient = row->patient.n ? find_slot(s, true, row->patient) : NULL;
        const struct split_row *other = NULL;
        if (*study && s->rows[*study - 1].split != row->split) other = &s->rows[*study - 1];
        if (patient && *patient && s->rows[*patient - 1].split != row->split)
            other = &s->rows[*patient - 1];
        if (other)
            return err_set(e, ERR_FORMAT,
                           "lines %llu and %llu put one patient or study into two splits",
                           (unsigned long long)other->line, (unsigned long long)row->line);
        if (s->per_image && *study) continue;
        s->rows[kept++] = *row; /* the slots found above hold the row's own keys, or are free */
        *study = (uint32_t)kept;
        if (patient) *patient = (uint32_t)kept;
    }
    s->nrows = kept;
    return true;
}

static bool read_list(struct split *s, struct err *e)
{
    static const struct csv_list_column columns[] = {
        {"study_id", NULL, false},
        {"subject_id", "patient_id", true},
        {"split", NULL, false},
        {"dicom_id", NULL, true},
    };

    if (!csv_list_read(s->rules.list_path, columns, 4, put_row, s, e)) return false;
    return index_rows(s, e) || err_wrap(e, "%s", s->rules.list_path);
}

static void put_str(struct sha256 *h, struct str t)
{
    uint64_t n = t.n;
    sha256_put(h, &n, sizeof n);
    sha256_put(h, t.p, t.n);
}

static void make_digest(struct split *s)
{
    struct sha256 h;
    uint8_t kind[3] = {(uint8_t)s->rules.kind, (uint8_t)s->rules.unlisted, s->rules.mimic_ids};
    double share[2] = {s->rules.dev, s->rules.test};

    sha256_init(&h);
    sha256_put(&h, kind, sizeof kind);
    sha256_put(&h, share, sizeof share);
    put_str(&h, str_of(s->rules.salt));
    for (size_t i = 0; i < s->nrows; i++) {
        uint8_t code = (uint8_t)s->rows[i].split;
        put_str(&h, s->rows[i].study);
        put_str(&h, s->rows[i].patient);
        sha256_put(&h, &code, 1);
    }
    sha256_end(&h, s->digest);
}

bool split_open(const struct split_rules *rules, struct split **out, struct err *e)
{
    struct split *s = mem_calloc(1, sizeof *s, e);
    bool ok = false;

    *out = NULL;
    if (!s) return false;
    s->rules = *rules;
    arena_init(&s->arena, (size_t)4 * ARENA_BYTES);
    if (rules->kind == SPLIT_BY_LIST && !read_list(s, e)) goto out;
    make_digest(s);
    ok = true;
out:
    if (ok)
        *out = s;
    else
        split_close(s);
    return ok;
}

static enum record_split split_by_hash(const struct split *s, struct str patient, struct str study,
                                       bool *weak)
{
    struct str key = patient.n ? patient : study;
    struct sha256 h;
    uint8_t out[32];
    uint64_t v = 0;
    double u;

    *weak = patient.n == 0;
    sha256_init(&h);
    sha256_put(&h, s->rules.salt, strlen(s->rules.salt));
    sha256_put(&h, key.p, key.n);
    sha256_end(&h, out);
    for (int i = 0; i < 8; i++)
        v = v << 8 | out[i];
    u = (double)(v >> 11) * 0x1p-53; /* as many bits as a double holds */
    if (u >= 1.0 - s->rules.test) return SPLIT_TEST;
    return u >= 1.0 - s->rules.test - s->rules.dev ? SPLIT_DEV : SPLIT_TRAIN;
}

enum record_split split_of(const struct split *s, struct str patient, struct str study, bool *weak)
{
    const struct split_row *row;

    *weak = false;
    if (s->rules.kind == SPLIT_ALL_TRAIN) return SPLIT_TRAIN;
    if (s->rules.kind == SPLIT_ALL_DEV) return SPLIT_DEV;
    if (s->rules.kind == SPLIT_ALL_TEST) return SPLIT_TEST;
    if (s->rules.kind == SPLIT_BY_LIST) {
        row = find_row(s, false, study);
        if (row) return row->split;
        if (s->rules.unlisted == SPLIT_UNLISTED_EXACT) return SPLIT_NONE;
        row = find_row(s, true, patient);
        if (row) return row->split;
        if (s->rules.unlisted == SPLIT_UNLISTED_NONE) return SPLIT_NONE;
    }
    return split_by_hash(s, patient, study, weak);
}

const struct split_row *split_rows(const struct split *s, size_t *n)
{
    *n = s->nrows;
    return s->rows;
}

void split_digest(const struct split *s, uint8_t out[32])
{
    memcpy(out, s->digest, 32);
}

void split_close(struct split *s)
{
    if (!s) return;
    mem_free(s->rows);
    mem_free(s->studies.slot);
    mem_free(s->patients.slot);
    arena_free(&s->arena);
    mem_free(s);
}
