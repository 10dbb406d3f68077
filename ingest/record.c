#include "ingest/record.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ingest/record_hdf.h"

/*
 * One table drives writer and reader. Every column is an HDF5 dataset, contiguous and unfiltered:
 *
 *     rows      n     one a record            rows + 1  n+1   offsets into a byte column, from 0
 *     rejects   m     one a rejected entry    bytes     T     as many as the last offset says
 */
enum col_rows { ROWS_BYTES, ROWS_RECORDS, ROWS_OFFSETS, ROWS_REJECTS };
enum col_id {
    COL_TEXT,
    COL_TEXT_OFFSET,
    COL_SEC_OFFSET,
    COL_SEC_LENGTH,
    COL_ENTRY,
    COL_OFFSET,
    COL_MEMBER,
    COL_TIME,
    COL_READER,
    COL_PATIENT,
    COL_PATIENT_OFFSET,
    COL_STUDY,
    COL_STUDY_OFFSET,
    COL_HASH_RAW,
    COL_HASH_NORM,
    COL_MODALITY,
    COL_ORIGIN,
    COL_SPLIT,
    COL_MODE,
    COL_STATUS,
    COL_FLAGS,
    COL_REJECT_ENTRY,
    COL_REJECT_OFFSET,
    COL_REJECT_REASON,
    COL_COUNT
};
static const struct {
    const char *name;
    size_t size; /* bytes of one number: 1, 4, 8; little-endian in the file */
    size_t width;
    enum col_rows rows;
} cols[COL_COUNT] = {
    [COL_TEXT] = {"text/bytes", 1, 1, ROWS_BYTES},
    [COL_TEXT_OFFSET] = {"text/offset", 8, 1, ROWS_OFFSETS},
    [COL_SEC_OFFSET] = {"sec/offset", 4, SEC_COUNT, ROWS_RECORDS},
    [COL_SEC_LENGTH] = {"sec/length", 4, SEC_COUNT, ROWS_RECORDS},
    [COL_ENTRY] = {"id/entry", 8, 1, ROWS_RECORDS},
    [COL_OFFSET] = {"id/offset", 8, 1, ROWS_RECORDS},
    [COL_MEMBER] = {"id/member", 8, 1, ROWS_RECORDS},
    [COL_TIME] = {"id/time", 8, 1, ROWS_RECORDS},
    [COL_READER] = {"id/reader", 8, 1, ROWS_RECORDS},
    [COL_PATIENT] = {"id/patient_bytes", 1, 1, ROWS_BYTES},
    [COL_PATIENT_OFFSET] = {"id/patient_offset", 8, 1, ROWS_OFFSETS},
    [COL_STUDY] = {"id/study_bytes", 1, 1, ROWS_BYTES},
    [COL_STUDY_OFFSET] = {"id/study_offset", 8, 1, ROWS_OFFSETS},
    [COL_HASH_RAW] = {"hash/raw", 8, 2, ROWS_RECORDS},
    [COL_HASH_NORM] = {"hash/norm", 8, 2, ROWS_RECORDS},
    [COL_MODALITY] = {"meta/modality", 1, 1, ROWS_RECORDS},
    [COL_ORIGIN] = {"meta/origin", 1, 1, ROWS_RECORDS},
    [COL_SPLIT] = {"meta/split", 1, 1, ROWS_RECORDS},
    [COL_MODE] = {"meta/mode", 1, 1, ROWS_RECORDS},
    [COL_STATUS] = {"meta/status", 1, 1, ROWS_RECORDS},
    [COL_FLAGS] = {"meta/flags", 4, 1, ROWS_RECORDS},
    [COL_REJECT_ENTRY] = {"reject/entry", 8, 1, ROWS_REJECTS},
    [COL_REJECT_OFFSET] = {"reject/offset", 8, 1, ROWS_REJECTS},
    [COL_REJECT_REASON] = {"reject/reason", 1, 1, ROWS_REJECTS},
};
static const char *const groups[] = {"text", "sec", "id", "hash", "meta", "reject"};
#define SCHEMA "records/v1"
#define MAGIC  "RMREC01"

enum {
    MAX_COLUMN_BYTES = 1 << 30, /* text of a block: 4,096 entries of at most max_entry */
    MAX_RECORDS = 1 << 20,
};

/* ---- writer */
struct record_writer {
    char *path;
    struct record_block_info info;
    uint64_t count;
    bool committed;
    struct sbuf col[COL_COUNT];
    char *image; /* of the file, built at commit */
    size_t image_cap, image_bytes;
};

static bool put_bytes(struct record_writer *w, enum col_id c, const void *p, size_t n,
                      struct err *e)
{
    if (n == 0) return true;
    return sbuf_put(&w->col[c], (struct str){p, n}, e);
}

static bool put_u64(struct record_writer *w, enum col_id c, uint64_t v, struct err *e)
{
    return put_bytes(w, c, &v, sizeof v, e);
}

/* Bytes of a string column, then where they end. */
static bool put_text(struct record_writer *w, enum col_id bytes, struct str s, struct err *e)
{
    if (!put_bytes(w, bytes, s.p, s.n, e)) return false;
    return put_u64(w, bytes + 1, w->col[bytes].n, e);
}

bool record_writer_open(const char *path, const char *source, uint64_t first_entry,
                        const uint8_t config_sha256[32], struct record_writer **out, struct err *e)
{
    struct record_writer *w = mem_calloc(1, sizeof *w, e);

    *out = NULL;
    if (!w) return false;
    for (int i = 0; i < COL_COUNT; i++)
        sbuf_init(&w->col[i], MAX_COLUMN_BYTES);
    if (!record_writer_restart(w, path, source, first_entry, config_sha256, e)) {
        record_writer_close(w);
        return false;
    }
    *out = w;
    return true;
}

bool record_writer_restart(struct record_writer *w, const char *path, const char *source,
                           uint64_t first_entry, const uint8_t config_sha256[32], struct err *e)
{
    CHECK(strlen(source) < sizeof w->info.source);
    memset(&w->info, 0, sizeof w->info);
    memcpy(w->info.source, source, strlen(source));
    memcpy(w->info.config_sha256, config_sha256, sizeof w->info.config_sha256);
    w->info.first_entry = first_entry;
    w->count = 0;
    w->committed = false;
    for (int i = 0; i < COL_COUNT; i++)
        sbuf_clear(&w->col[i]);
    mem_free(w->path);
    w->path = mem_strdup(path, e);
    return w->path && put_u64(w, COL_TEXT_OFFSET, 0, e) && put_u64(w, COL_PATIENT_OFFSET, 0, e) &&
           put_u64(w, COL_STUDY_OFFSET, 0, e);
}

static bool put_meta(struct record_writer *w, const struct record *r, struct err *e)
{
    if (!put_bytes(w, COL_MODALITY, &r->modality, 1, e)) return false;
    if (!put_bytes(w, COL_ORIGIN, &r->origin, 1, e)) return false;
    if (!put_bytes(w, COL_SPLIT, &r->split, 1, e)) return false;
    if (!put_bytes(w, COL_MODE, &r->mode, 1, e)) return false;
    if (!put_bytes(w, COL_STATUS, &r->status, 1, e)) return false;
    return put_bytes(w, COL_FLAGS, &r->flags, 4, e);
}

bool record_writer_put(struct record_writer *w, const struct record *r, struct err *e)
{
    uint32_t offset[SEC_COUNT], length[SEC_COUNT];
    uint64_t raw[2] = {r->hash_raw.lo, r->hash_raw.hi};
    uint64_t norm[2] = {r->hash_norm.lo, r->hash_norm.hi};

    CHECK(r->text.n <= UINT32_MAX && !w->committed);
    for (int i = 0; i < SEC_COUNT; i++) {
        offset[i] = r->section[i].offset;
        length[i] = r->section[i].length;
        CHECK((uint64_t)offset[i] + length[i] <= r->text.n);
    }
    if (w->count == MAX_RECORDS)
        return err_set(e, ERR_LIMIT, "a record block holds at most %d records", MAX_RECORDS);
    if (!put_text(w, COL_TEXT, r->text, e)) return false;
    if (!put_bytes(w, COL_SEC_OFFSET, offset, sizeof offset, e)) return false;
    if (!put_bytes(w, COL_SEC_LENGTH, length, sizeof length, e)) return false;
    if (!put_u64(w, COL_ENTRY, r->entry, e)) return false;
    if (!put_u64(w, COL_OFFSET, r->offset, e)) return false;
    if (!put_u64(w, COL_MEMBER, r->member, e)) return false;
    if (!put_u64(w, COL_TIME, r->time, e)) return false;
    if (!put_u64(w, COL_READER, r->reader, e)) return false;
    if (!put_text(w, COL_PATIENT, r->patient, e)) return false;
    if (!put_text(w, COL_STUDY, r->study, e)) return false;
    if (!put_bytes(w, COL_HASH_RAW, raw, sizeof raw, e)) return false;
    if (!put_bytes(w, COL_HASH_NORM, norm, sizeof norm, e)) return false;
    if (!put_meta(w, r, e)) return false;
    w->count++;
    w->info.entries++;
    return true;
}

bool record_writer_reject(struct record_writer *w, uint64_t entry, uint64_t offset,
                          enum record_reject reason, struct err *e)
{
    uint8_t code = (uint8_t)reason;

    if (!put_u64(w, COL_REJECT_ENTRY, entry, e)) return false;
    if (!put_u64(w, COL_REJECT_OFFSET, offset, e)) return false;
    if (!put_bytes(w, COL_REJECT_REASON, &code, 1, e)) return false;
    w->info.entries++;
    return true;
}

void record_writer_ignore(struct record_writer *w, uint64_t entries)
{
    w->info.ignored += entries;
    w->info.entries += entries;
}

void record_writer_last(struct record_writer *w)
{
    w->info.last = true;
}

static bool write_attributes(hid_t file, const struct record_block_info *info, uint64_t count)
{
    uint64_t last = info->last;

    return hdf_attribute(file, "schema", H5T_STD_U8LE, sizeof SCHEMA - 1, SCHEMA) &&
           hdf_attribute(file, "source", H5T_STD_U8LE, strlen(info->source), info->source) &&
           hdf_attribute(file, "config_sha256", H5T_STD_U8LE, 32, info->config_sha256) &&
           hdf_attribute(file, "first_entry", H5T_STD_U64LE, 1, &info->first_entry) &&
           hdf_attribute(file, "entries", H5T_STD_U64LE, 1, &info->entries) &&
           hdf_attribute(file, "ignored", H5T_STD_U64LE, 1, &info->ignored) &&
           hdf_attribute(file, "last", H5T_STD_U64LE, 1, &last) &&
           hdf_attribute(file, "count", H5T_STD_U64LE, 1, &count);
}

/* The finished file with its trailer, in w->image. */
static bool build_image(struct record_writer *w, struct str *out, struct err *e)
{
    struct hdf_data data[COL_COUNT];
    size_t bytes = 0;
    hid_t file;
    bool ok;

    for (int i = 0; i < COL_COUNT; i++) {
        data[i] =
            (struct hdf_data){cols[i].name, cols[i].size, cols[i].width, sbuf_str(&w->col[i])};
        bytes += data[i].bytes.n;
    }
    file = hdf_create(bytes);
    ok = file >= 0 && hdf_groups(file, groups, sizeof groups / sizeof *groups) &&
         hdf_put(file, data, COL_COUNT) && write_attributes(file, &w->info, w->count);
    if (!ok) err_set(e, ERR_LIB, "HDF5 cannot build the block of %zu bytes", bytes);
    ok = ok && hdf_image(file, MAGIC, &w->image, &w->image_cap, out, e);
    if (file >= 0) H5Fclose(file);
    return ok;
}

bool record_writer_commit(struct record_writer *w, struct err *e)
{
    struct str image;

    CHECK(!w->committed);
    hdf_setup();
    if (!build_image(w, &image, e) || !fs_replace(w->path, image, e))
        return err_wrap(e, "write %s", w->path);
    w->image_bytes = image.n;
    w->committed = true;
    return true;
}

void record_writer_sha256(const struct record_writer *w, uint8_t out[32])
{
    CHECK(w->committed);
    sha256_of((struct str){w->image, w->image_bytes}, out);
}

void record_writer_close(struct record_writer *w)
{
    if (!w) return;
    for (int i = 0; i < COL_COUNT; i++)
        sbuf_free(&w->col[i]);
    mem_free(w->image);
    mem_free(w->path);
    mem_free(w);
}

/* ---- reader */
struct record_reader {
    struct record_block_info info;
    uint64_t count, rejects;
    struct arena arena; /* of the image */
    const void *col[COL_COUNT];
    void *own[COL_COUNT]; /* columns that are not where they lie in the image */
    size_t col_bytes[COL_COUNT];
    uint8_t sha256[32];   /* zero where it was not asked for */
    struct hash128 sum;   /* XXH3 of the same, trailer aside */
    const uint16_t *late; /* borrowed from the corpus; NULL: none */
};

static bool read_number(hid_t file, const char *name, uint64_t *out)
{
    size_t got;
    return hdf_get_attribute(file, name, 8, 1, out, &got) && got == 1;
}

static bool read_attributes(hid_t file, struct record_reader *r)
{
    char schema[sizeof SCHEMA] = {0};
    uint64_t last;
    size_t got;

    if (!hdf_get_attribute(file, "schema", 1, sizeof SCHEMA - 1, schema, &got)) return false;
    if (strcmp(schema, SCHEMA) != 0) return false;
    if (!hdf_get_attribute(file, "source", 1, sizeof r->info.source - 1, r->info.source, &got))
        return false;
    if (!hdf_get_attribute(file, "config_sha256", 1, 32, r->info.config_sha256, &got) || got != 32)
        return false;
    if (!read_number(file, "last", &last)) return false;
    r->info.last = last != 0;
    return read_number(file, "first_entry", &r->info.first_entry) &&
           read_number(file, "entries", &r->info.entries) &&
           read_number(file, "ignored", &r->info.ignored) && read_number(file, "count", &r->count);
}

static size_t column_rows(const struct record_reader *r, int c)
{
    return r->col_bytes[c] / (cols[c].size * cols[c].width);
}

static bool check_offsets(const struct record_reader *r, enum col_id bytes)
{
    const uint64_t *at = r->col[bytes + 1];

    if (at[0] != 0 || at[r->count] != r->col_bytes[bytes]) return false;
    for (uint64_t i = 0; i < r->count; i++) {
        if (at[i] > at[i + 1]) return false;
    }
    return true;
}

static bool check_spans(const struct record_reader *r)
{
    const uint64_t *at = r->col[COL_TEXT_OFFSET];
    const uint32_t *offset = r->col[COL_SEC_OFFSET], *length = r->col[COL_SEC_LENGTH];

    for (uint64_t i = 0; i < r->count * SEC_COUNT; i++) {
        uint64_t n = at[i / SEC_COUNT + 1] - at[i / SEC_COUNT];
        if ((uint64_t)offset[i] + length[i] > n || n > UINT32_MAX) return false;
    }
    return true;
}

static bool check_codes(const struct record_reader *r, enum col_id c, unsigned count)
{
    const uint8_t *v = r->col[c];

    for (size_t i = 0; i < column_rows(r, c); i++) {
        if (v[i] >= count) return false;
    }
    return true;
}

/* The file is whole; now believe nothing it says. */
static bool check_block(struct record_reader *r, struct err *e)
{
    r->rejects = column_rows(r, COL_REJECT_ENTRY);
    if (r->count > MAX_RECORDS || r->info.entries != r->count + r->rejects + r->info.ignored)
        return err_set(e, ERR_FORMAT, "record counts contradict each other");
    for (int c = 0; c < COL_COUNT; c++) {
        uint64_t want = cols[c].rows == ROWS_OFFSETS   ? r->count + 1
                        : cols[c].rows == ROWS_REJECTS ? r->rejects
                                                       : r->count;
        if (cols[c].rows != ROWS_BYTES && column_rows(r, c) != want)
            return err_set(e, ERR_FORMAT, "dataset %s has %zu rows, not %llu", cols[c].name,
                           column_rows(r, c), (unsigned long long)want);
    }
    if (!check_offsets(r, COL_TEXT) || !check_offsets(r, COL_PATIENT) ||
        !check_offsets(r, COL_STUDY) || !check_spans(r))
        return err_set(e, ERR_FORMAT, "an offset points outside its text");
    if (!check_codes(r, COL_MODALITY, MOD_COUNT) || !check_codes(r, COL_ORIGIN, ORIGIN_COUNT) ||
        !check_codes(r, COL_SPLIT, SPLIT_COUNT) || !check_codes(r, COL_MODE, MODE_COUNT) ||
        !check_codes(r, COL_STATUS, STATUS_COUNT) ||
        !check_codes(r, COL_REJECT_REASON, REJECT_COUNT))
        return err_set(e, ERR_FORMAT, "a code is out of range");
    return true;
}

static bool read_column(hid_t file, struct str image, struct record_reader *r, int c, struct err *e)
{
    struct hdf_data what = {cols[c].name, cols[c].size, cols[c].width, {0}};
    struct str bytes;

    if (what.size > 1) {
        if (!hdf_get(file, what, image.n, &r->own[c], &r->col_bytes[c], e)) return false;
        r->col[c] = r->own[c];
        return true;
    }
    if (!hdf_view(file, what, image, &bytes, e)) return false;
    r->col[c] = bytes.p;
    r->col_bytes[c] = bytes.n;
    return true;
}

static bool read_block(struct str image, struct record_reader *r, struct err *e)
{
    hid_t file;
    bool ok;

    if (!hdf_check(&image, MAGIC, "record block of schema " SCHEMA, &r->sum, e)) return false;
    file = hdf_open(image);
    ok = file >= 0 && read_attributes(file, r);
    if (!ok) err_set(e, ERR_FORMAT, "not a record block of schema " SCHEMA);
    for (int c = 0; ok && c < COL_COUNT; c++)
        ok = read_column(file, image, r, c, e);
    if (file >= 0) H5Fclose(file);
    return ok && check_block(r, e);
}

/* known: what the file's XXH3 was when its SHA-256 was right; zero: not known. */
static bool reader_open(const char *path, struct hash128 known, struct record_reader **out,
                        struct err *e)
{
    struct record_reader *r = NULL;
    struct str image;
    bool ok = false;

    *out = NULL;
    hdf_setup();
    r = mem_calloc(1, sizeof *r, e);
    if (!r) return false;
    arena_init(&r->arena, (size_t)4 * MAX_COLUMN_BYTES);
    if (!fs_read_file(path, (size_t)2 * MAX_COLUMN_BYTES, &r->arena, &image, e)) goto out;
    ok = read_block(image, r, e);
    if (ok && (r->sum.lo != known.lo || r->sum.hi != known.hi)) sha256_of(image, r->sha256);
    if (!ok) err_wrap(e, "%s", path);
out:
    if (ok)
        *out = r;
    else
        record_reader_close(r);
    return ok;
}

bool record_reader_open(const char *path, struct record_reader **out, struct err *e)
{
    return reader_open(path, (struct hash128){0, 0}, out, e);
}

bool record_block_open(const struct record_block *b, struct record_reader **out, struct err *e)
{
    struct record_reader *r;
    bool known;

    *out = NULL;
    if (!reader_open(b->path, *b->sum, &r, e)) return false;
    known = r->sum.lo == b->sum->lo && r->sum.hi == b->sum->hi;
    if ((!known && memcmp(r->sha256, b->sha256, 32) != 0) || r->count != b->records) {
        record_reader_close(r);
        return err_set(e, ERR_FORMAT, "%s is not the block the manifest names: run radmill ingest",
                       b->path);
    }
    *b->sum = r->sum;
    r->late = b->late;
    *out = r;
    return true;
}

const struct record_block_info *record_reader_info(const struct record_reader *r)
{
    return &r->info;
}

size_t record_reader_count(const struct record_reader *r)
{
    return r->count;
}

static struct str text_at(const struct record_reader *r, enum col_id bytes, size_t i)
{
    const uint64_t *at = r->col[bytes + 1];
    return (struct str){(const char *)r->col[bytes] + at[i], at[i + 1] - at[i]};
}

static struct hash128 hash_at(const struct record_reader *r, enum col_id c, size_t i)
{
    const uint64_t *h = r->col[c];
    return (struct hash128){h[2 * i], h[2 * i + 1]};
}

void record_reader_get(const struct record_reader *r, size_t i, struct record *out)
{
    const uint32_t *offset = r->col[COL_SEC_OFFSET], *length = r->col[COL_SEC_LENGTH];

    CHECK(i < r->count);
    out->text = text_at(r, COL_TEXT, i);
    out->patient = text_at(r, COL_PATIENT, i);
    out->study = text_at(r, COL_STUDY, i);
    for (int s = 0; s < SEC_COUNT; s++)
        out->section[s] =
            (struct record_span){offset[i * SEC_COUNT + s], length[i * SEC_COUNT + s]};
    out->entry = ((const uint64_t *)r->col[COL_ENTRY])[i];
    out->offset = ((const uint64_t *)r->col[COL_OFFSET])[i];
    out->member = ((const uint64_t *)r->col[COL_MEMBER])[i];
    out->time = ((const uint64_t *)r->col[COL_TIME])[i];
    out->reader = ((const uint64_t *)r->col[COL_READER])[i];
    out->modality = ((const uint8_t *)r->col[COL_MODALITY])[i];
    out->origin = ((const uint8_t *)r->col[COL_ORIGIN])[i];
    out->split = ((const uint8_t *)r->col[COL_SPLIT])[i];
    out->mode = ((const uint8_t *)r->col[COL_MODE])[i];
    out->status = ((const uint8_t *)r->col[COL_STATUS])[i];
    out->flags = ((const uint32_t *)r->col[COL_FLAGS])[i] | (r->late ? r->late[i] : 0u);
    out->hash_raw = hash_at(r, COL_HASH_RAW, i);
    out->hash_norm = hash_at(r, COL_HASH_NORM, i);
}

size_t record_reader_rejects(const struct record_reader *r)
{
    return r->rejects;
}

void record_reader_rejected(const struct record_reader *r, size_t i, struct record_rejected *out)
{
    CHECK(i < r->rejects);
    out->entry = ((const uint64_t *)r->col[COL_REJECT_ENTRY])[i];
    out->offset = ((const uint64_t *)r->col[COL_REJECT_OFFSET])[i];
    out->reason = (enum record_reject)((const uint8_t *)r->col[COL_REJECT_REASON])[i];
}

void record_reader_sha256(const struct record_reader *r, uint8_t out[32])
{
    memcpy(out, r->sha256, 32);
}

void record_reader_close(struct record_reader *r)
{
    if (!r) return;
    for (int c = 0; c < COL_COUNT; c++)
        mem_free(r->own[c]);
    arena_free(&r->arena);
    mem_free(r);
}

struct version_pair record_library_version(void)
{
    struct version_pair v;
    unsigned major = 0, minor = 0, release = 0;
    (void)H5get_libversion(&major, &minor, &release);
    snprintf(v.built, sizeof v.built, "%d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
    snprintf(v.found, sizeof v.found, "%u.%u.%u", major, minor, release);
    return v;
}
