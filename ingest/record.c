#include "ingest/record.h"

#include <hdf5.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

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

/* Behind the HDF5 file, where HDF5 does not look: so that no damaged byte ever reaches HDF5, which
 * does not survive all of them. */
struct trailer {
    char magic[8];
    uint64_t lo, hi; /* xxh3-128 of all in front */
};
#define TRAILER_MAGIC "RMREC01"

enum {
    MAX_COLUMN_BYTES = 1 << 30, /* text of a block: 4,096 entries of at most max_entry */
    MAX_RECORDS = 1 << 20,
};

/* Once a process: HDF5's own atexit clean-up crashes after a failed write, and its error stack
 * would print to stderr. */
static void library_setup(void)
{
    static bool done;
    if (done) return;
    done = true;
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static hid_t memory_type(size_t size)
{
    if (size == 1) return H5T_NATIVE_UINT8;
    return size == 4 ? H5T_NATIVE_UINT32 : H5T_NATIVE_UINT64;
}

static hid_t file_type(size_t size)
{
    if (size == 1) return H5T_STD_U8LE;
    return size == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

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

static bool write_column(hid_t file, hid_t dcpl, int c, struct str data)
{
    hsize_t dims[2] = {data.n / cols[c].size / cols[c].width, cols[c].width};
    hid_t space = H5Screate_simple(cols[c].width > 1 ? 2 : 1, dims, NULL);
    hid_t set = H5Dcreate2(file, cols[c].name, file_type(cols[c].size), space, H5P_DEFAULT, dcpl,
                           H5P_DEFAULT);
    bool ok = space >= 0 && set >= 0;

    if (ok && data.n > 0)
        ok = H5Dwrite(set, memory_type(cols[c].size), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.p) >= 0;
    if (set >= 0) ok = H5Dclose(set) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

static bool write_attribute(hid_t file, const char *name, hid_t type, hsize_t n, const void *p)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t attr = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = space >= 0 && attr >= 0 && H5Awrite(attr, type, p) >= 0;

    if (attr >= 0) ok = H5Aclose(attr) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

static bool write_attributes(hid_t file, const struct record_block_info *info, uint64_t count)
{
    uint64_t last = info->last;

    return write_attribute(file, "schema", H5T_STD_U8LE, sizeof SCHEMA - 1, SCHEMA) &&
           write_attribute(file, "source", H5T_STD_U8LE, strlen(info->source), info->source) &&
           write_attribute(file, "config_sha256", H5T_STD_U8LE, 32, info->config_sha256) &&
           write_attribute(file, "first_entry", H5T_STD_U64LE, 1, &info->first_entry) &&
           write_attribute(file, "entries", H5T_STD_U64LE, 1, &info->entries) &&
           write_attribute(file, "ignored", H5T_STD_U64LE, 1, &info->ignored) &&
           write_attribute(file, "last", H5T_STD_U64LE, 1, &last) &&
           write_attribute(file, "count", H5T_STD_U64LE, 1, &count);
}

/* A file in memory, without a time anywhere. The oldest format, on purpose: H5Fget_file_image
 * clears a flag in a newer superblock and leaves its checksum as it was (seen with 1.10.8). */
static hid_t create_in_memory(size_t increment)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE);
    hid_t file = H5I_INVALID_HID;

    if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, increment, 0) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) >= 0 &&
        H5Pset_obj_track_times(fcpl, 0) >= 0)
        file = H5Fcreate("radmill-block", H5F_ACC_TRUNC, fcpl, fapl);
    if (fapl >= 0) H5Pclose(fapl);
    if (fcpl >= 0) H5Pclose(fcpl);
    return file;
}

static bool create_groups(hid_t file)
{
    hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE);
    bool ok = gcpl >= 0 && H5Pset_obj_track_times(gcpl, 0) >= 0;

    for (size_t i = 0; ok && i < sizeof groups / sizeof *groups; i++) {
        hid_t g = H5Gcreate2(file, groups[i], H5P_DEFAULT, gcpl, H5P_DEFAULT);
        ok = g >= 0 && H5Gclose(g) >= 0;
    }
    if (gcpl >= 0) H5Pclose(gcpl);
    return ok;
}

static bool fill_file(hid_t file, const struct record_writer *w, const struct str data[])
{
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = dcpl >= 0 && H5Pset_obj_track_times(dcpl, 0) >= 0 &&
              H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0 && create_groups(file);

    for (int i = 0; ok && i < COL_COUNT; i++)
        ok = write_column(file, dcpl, i, data[i]);
    ok = ok && write_attributes(file, &w->info, w->count);
    if (dcpl >= 0) H5Pclose(dcpl);
    return ok;
}

/* The finished file with its trailer, in w->image. */
static bool build_image(struct record_writer *w, struct str *out, struct err *e)
{
    struct str data[COL_COUNT];
    struct trailer t = {.magic = TRAILER_MAGIC};
    struct hash128 hash;
    size_t bytes = 0;
    hid_t file;
    ssize_t size;
    bool ok = false;

    for (int i = 0; i < COL_COUNT; i++) {
        data[i] = sbuf_str(&w->col[i]);
        bytes += data[i].n;
    }
    file = create_in_memory(bytes + (64 << 10));
    if (file < 0 || !fill_file(file, w, data) || H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ||
        (size = H5Fget_file_image(file, NULL, 0)) <= 0) {
        err_set(e, ERR_LIB, "HDF5 cannot build the block of %zu bytes", bytes);
        goto out;
    }
    if (!mem_grow((void **)&w->image, &w->image_cap, (size_t)size + sizeof t, 1, e)) goto out;
    if (H5Fget_file_image(file, w->image, (size_t)size) != size) {
        err_set(e, ERR_LIB, "HDF5 cannot hand out the block of %zd bytes", size);
        goto out;
    }
    hash = hash_xxh128(w->image, (size_t)size);
    t.lo = hash.lo;
    t.hi = hash.hi;
    memcpy(w->image + size, &t, sizeof t);
    *out = (struct str){w->image, (size_t)size + sizeof t};
    ok = true;
out:
    if (file >= 0) H5Fclose(file);
    return ok;
}

bool record_writer_commit(struct record_writer *w, struct err *e)
{
    struct str image;

    CHECK(!w->committed);
    library_setup();
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
    void *col[COL_COUNT];
    size_t col_bytes[COL_COUNT];
    uint8_t sha256[32];
};

/* Exactly n bytes of fixed type, n == 0: at most max bytes, *got of them. */
static bool read_attribute(hid_t file, const char *name, size_t size, size_t max, void *p,
                           size_t *got)
{
    hid_t attr = H5Aopen(file, name, H5P_DEFAULT);
    hid_t space = attr >= 0 ? H5Aget_space(attr) : H5I_INVALID_HID;
    hid_t type = attr >= 0 ? H5Aget_type(attr) : H5I_INVALID_HID;
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    bool ok = n >= 0 && (size_t)n <= max && type >= 0 && H5Tget_class(type) == H5T_INTEGER &&
              H5Aread(attr, memory_type(size), p) >= 0;

    if (ok) *got = (size_t)n;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (attr >= 0) H5Aclose(attr);
    return ok;
}

static bool read_number(hid_t file, const char *name, uint64_t *out)
{
    size_t got;
    return read_attribute(file, name, 8, 1, out, &got) && got == 1;
}

static bool read_attributes(hid_t file, struct record_reader *r)
{
    char schema[sizeof SCHEMA] = {0};
    uint64_t last;
    size_t got;

    if (!read_attribute(file, "schema", 1, sizeof SCHEMA - 1, schema, &got)) return false;
    if (strcmp(schema, SCHEMA) != 0) return false;
    if (!read_attribute(file, "source", 1, sizeof r->info.source - 1, r->info.source, &got))
        return false;
    if (!read_attribute(file, "config_sha256", 1, 32, r->info.config_sha256, &got) || got != 32)
        return false;
    if (!read_number(file, "last", &last)) return false;
    r->info.last = last != 0;
    return read_number(file, "first_entry", &r->info.first_entry) &&
           read_number(file, "entries", &r->info.entries) &&
           read_number(file, "ignored", &r->info.ignored) && read_number(file, "count", &r->count);
}

/* Read one column; no dataset can be larger than the file that holds it. */
static bool read_column(hid_t file, int c, size_t file_bytes, struct record_reader *r,
                        struct err *e)
{
    hid_t set = H5Dopen2(file, cols[c].name, H5P_DEFAULT);
    hid_t space = set >= 0 ? H5Dget_space(set) : H5I_INVALID_HID;
    hid_t type = set >= 0 ? H5Dget_type(set) : H5I_INVALID_HID;
    hsize_t dims[2] = {0, 1};
    bool ok = false;

    if (type < 0 || space < 0 || H5Sget_simple_extent_ndims(space) != (cols[c].width > 1 ? 2 : 1) ||
        H5Sget_simple_extent_dims(space, dims, NULL) < 0 || dims[1] != cols[c].width ||
        H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) != cols[c].size ||
        dims[0] > file_bytes / (cols[c].size * cols[c].width)) {
        err_set(e, ERR_FORMAT, "dataset %s is missing or of another shape", cols[c].name);
        goto out;
    }
    r->col_bytes[c] = dims[0] * cols[c].size * cols[c].width;
    r->col[c] = mem_alloc(r->col_bytes[c], e);
    if (!r->col[c]) goto out;
    ok = r->col_bytes[c] == 0 ||
         H5Dread(set, memory_type(cols[c].size), H5S_ALL, H5S_ALL, H5P_DEFAULT, r->col[c]) >= 0;
    if (!ok) err_set(e, ERR_FORMAT, "dataset %s cannot be read", cols[c].name);
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    return ok;
}

static hid_t open_image(struct str image)
{
    /* HDF5 copies the image; it only lacks the const. */
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t file = H5I_INVALID_HID;

    if (fapl >= 0 && H5Pset_fapl_core(fapl, 64 << 10, 0) >= 0 &&
        H5Pset_file_image(fapl, (void *)image.p, image.n) >= 0)
        file = H5Fopen("radmill-block", H5F_ACC_RDONLY, fapl);
    if (fapl >= 0) H5Pclose(fapl);
    return file;
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

/* Cut the trailer off, once it says that all in front of it is as it was written. */
static bool check_trailer(struct str *image, struct err *e)
{
    struct trailer t;
    struct hash128 h;

    if (image->n < sizeof t) return err_set(e, ERR_FORMAT, "not a record block: too short");
    image->n -= sizeof t;
    memcpy(&t, image->p + image->n, sizeof t);
    if (memcmp(t.magic, TRAILER_MAGIC, sizeof t.magic) != 0)
        return err_set(e, ERR_FORMAT, "not a record block of schema " SCHEMA ", or cut off");
    h = hash_xxh128(image->p, image->n);
    if (h.lo != t.lo || h.hi != t.hi)
        return err_set(e, ERR_FORMAT, "checksum differs: the file is damaged");
    return true;
}

static bool read_block(struct str image, struct record_reader *r, struct err *e)
{
    hid_t file;
    bool ok;

    if (!check_trailer(&image, e)) return false;
    file = open_image(image);
    ok = file >= 0 && read_attributes(file, r);

    if (!ok) err_set(e, ERR_FORMAT, "not a record block of schema " SCHEMA);
    for (int c = 0; ok && c < COL_COUNT; c++)
        ok = read_column(file, c, image.n, r, e);
    if (file >= 0) H5Fclose(file);
    return ok && check_block(r, e);
}

/* ---- flags alone */
/* Where the flags of a whole file stand: contiguous, n of them. */
static bool find_flags(const char *path, uint64_t *at, uint64_t *n)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = file >= 0 ? H5Dopen2(file, cols[COL_FLAGS].name, H5P_DEFAULT) : H5I_INVALID_HID;
    hid_t space = set >= 0 ? H5Dget_space(set) : H5I_INVALID_HID;
    hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    haddr_t offset = set >= 0 ? H5Dget_offset(set) : HADDR_UNDEF;
    bool ok = count >= 0 && (count == 0 || offset != HADDR_UNDEF);

    *at = offset;
    *n = (uint64_t)count;
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    if (file >= 0) H5Fclose(file);
    return ok;
}

static bool patch_flags(const char *from, struct str body, uint32_t mask, uint32_t *flags, size_t n,
                        struct err *e)
{
    char *image = (char *)body.p; /* ours: record_set_flags allocated it */
    size_t bytes = body.n;
    uint64_t at, count;

    if (!find_flags(from, &at, &count) || count != n || (n > 0 && at > bytes) ||
        (n > 0 && bytes - at < 4 * n))
        return err_set(e, ERR_FORMAT, "dataset %s is not where %zu flags can be",
                       cols[COL_FLAGS].name, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t old;
        memcpy(&old, image + at + 4 * i, sizeof old);
        flags[i] = (old & ~mask) | (flags[i] & mask);
        memcpy(image + at + 4 * i, &flags[i], sizeof old);
    }
    return true;
}

bool record_set_flags(const char *from, const char *to, uint32_t mask, uint32_t *flags, size_t n,
                      uint8_t sha256[32], struct err *e)
{
    struct fs_file file = {.fd = -1};
    struct trailer t = {.magic = TRAILER_MAGIC};
    char *image = NULL;
    struct str body;
    struct hash128 h;
    bool ok = false;

    library_setup();
    if (!fs_file_open(from, &file, e)) return false;
    image = mem_alloc(file.size_bytes, e);
    if (!image || !fs_file_read(&file, 0, image, file.size_bytes, e)) goto out;
    body = (struct str){image, file.size_bytes};
    if (!check_trailer(&body, e) || !patch_flags(from, body, mask, flags, n, e)) {
        err_wrap(e, "%s", from);
        goto out;
    }
    h = hash_xxh128(image, body.n);
    t.lo = h.lo;
    t.hi = h.hi;
    memcpy(image + body.n, &t, sizeof t);
    body.n += sizeof t;
    if (!fs_replace(to, body, e)) goto out;
    sha256_of(body, sha256);
    ok = true;
out:
    fs_file_close(&file);
    mem_free(image);
    return ok;
}

bool record_reader_open(const char *path, struct record_reader **out, struct err *e)
{
    struct record_reader *r = NULL;
    struct arena a;
    struct str image;
    bool ok = false;

    *out = NULL;
    library_setup();
    arena_init(&a, (size_t)4 * MAX_COLUMN_BYTES);
    r = mem_calloc(1, sizeof *r, e);
    if (!r) goto out;
    if (!fs_read_file(path, (size_t)2 * MAX_COLUMN_BYTES, &a, &image, e)) goto out;
    sha256_of(image, r->sha256);
    ok = read_block(image, r, e);
    if (!ok) err_wrap(e, "%s", path);
out:
    arena_free(&a);
    if (ok)
        *out = r;
    else
        record_reader_close(r);
    return ok;
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
    out->flags = ((const uint32_t *)r->col[COL_FLAGS])[i];
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
        mem_free(r->col[c]);
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
