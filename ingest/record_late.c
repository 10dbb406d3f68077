#include "ingest/record_late.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ingest/record_hdf.h"

#define SCHEMA "late/v1"
#define MAGIC  "RMLATE1"
enum { NEAR_NORM = 1, NEAR_HEAD, COLS, MAX_BYTES = 1 << 30 };

static const struct hdf_data columns[COLS] = {
    {"flags", 2, 1, {0}},
    [NEAR_NORM] = {"near/norm", 8, 2, {0}},
    [NEAR_HEAD] = {"near/head", 8, 2, {0}},
};
static const char *const groups[] = {"near"};

/* ---- writing */
static bool build(const struct record_late *late, const uint64_t *norm, char **image, size_t *cap,
                  struct str *out, struct err *e)
{
    size_t near_bytes = late->nnear * 2 * sizeof *norm;
    struct hdf_data data[COLS];
    hid_t file = hdf_create(late->n * sizeof *late->flags + 2 * near_bytes);
    bool ok;

    memcpy(data, columns, sizeof data);
    data[0].bytes = (struct str){(const char *)late->flags, late->n * sizeof *late->flags};
    data[NEAR_NORM].bytes = (struct str){(const char *)norm, near_bytes};
    data[NEAR_HEAD].bytes = (struct str){(const char *)(norm + 2 * late->nnear), near_bytes};
    ok = file >= 0 && hdf_groups(file, groups, 1) && hdf_put(file, data, COLS) &&
         hdf_attribute(file, "schema", H5T_STD_U8LE, sizeof SCHEMA - 1, SCHEMA);
    if (!ok) err_set(e, ERR_LIB, "HDF5 cannot build the late file");
    ok = ok && hdf_image(file, MAGIC, image, cap, out, e);
    if (file >= 0) H5Fclose(file);
    return ok;
}

bool record_late_write(const char *dir, const struct record_late *late, char name[RECORD_LATE_NAME],
                       uint8_t sha256[32], struct err *e)
{
    uint64_t *norm = mem_alloc((late->nnear + 1) * 4 * sizeof *norm, e);
    char *image = NULL, key[13];
    size_t cap = 0;
    struct str bytes;
    const char *path;
    struct arena a;
    bool ok = false;

    arena_init(&a, 64 << 10);
    if (!norm) goto out;
    for (size_t i = 0; i < late->nnear; i++) {
        memcpy(norm + 2 * i, &late->near[i].norm, 16);
        memcpy(norm + 2 * (late->nnear + i), &late->near[i].head, 16);
    }
    if (!build(late, norm, &image, &cap, &bytes, e)) goto out;
    sha256_of(bytes, sha256);
    hash_hex(sha256, 6, key);
    (void)snprintf(name, RECORD_LATE_NAME, "late-%s.h5", key);
    ok = fs_join(&a, dir, name, &path, e) && fs_replace_changed(path, bytes, e);
out:
    arena_free(&a);
    mem_free(image);
    mem_free(norm);
    return ok;
}

/* ---- reading */
static bool take(void *const col[COLS], const size_t bytes[COLS], size_t n, struct arena *a,
                 struct record_late *out, struct err *e)
{
    const uint64_t *norm = col[NEAR_NORM], *head = col[NEAR_HEAD];

    out->n = bytes[0] / sizeof *out->flags;
    out->nnear = bytes[NEAR_NORM] / 16;
    if (out->n != n || bytes[NEAR_HEAD] != bytes[NEAR_NORM])
        return err_set(e, ERR_FORMAT, "it has %zu records and the manifest %zu", out->n, n);
    out->flags = arena_alloc(a, (n + 1) * sizeof *out->flags, e);
    if (!out->flags) return false;
    out->near = arena_alloc(a, (out->nnear + 1) * sizeof *out->near, e);
    if (!out->near) return false;
    memcpy(out->flags, col[0], bytes[0]);
    for (size_t i = 0; i < n; i++) {
        if (out->flags[i] & ~RECORD_LATE) return err_set(e, ERR_FORMAT, "a flag is out of range");
    }
    for (size_t i = 0; i < out->nnear; i++)
        out->near[i] =
            (struct record_near){{norm[2 * i], norm[2 * i + 1]}, {head[2 * i], head[2 * i + 1]}};
    return true;
}

static bool read_image(struct str image, size_t n, struct arena *a, struct record_late *out,
                       struct err *e)
{
    char schema[sizeof SCHEMA] = {0};
    void *col[COLS] = {NULL};
    size_t bytes[COLS] = {0}, got;
    struct hash128 sum;
    hid_t file;
    bool ok;

    if (!hdf_check(&image, MAGIC, "late file", &sum, e)) return false;
    file = hdf_open(image);
    ok = file >= 0 && hdf_get_attribute(file, "schema", 1, sizeof SCHEMA - 1, schema, &got) &&
         strcmp(schema, SCHEMA) == 0;
    if (!ok) err_set(e, ERR_FORMAT, "not a late file of schema " SCHEMA);
    for (int c = 0; ok && c < COLS; c++)
        ok = hdf_get(file, columns[c], image.n, &col[c], &bytes[c], e);
    if (file >= 0) H5Fclose(file);
    ok = ok && take(col, bytes, n, a, out, e);
    for (int c = 0; c < COLS; c++)
        mem_free(col[c]);
    return ok;
}

bool record_late_read(const char *path, const uint8_t sha256[32], size_t n, struct arena *a,
                      struct record_late *out, struct err *e)
{
    uint8_t digest[32];
    struct str image;
    struct arena file;
    bool ok;

    arena_init(&file, (size_t)2 * MAX_BYTES);
    ok = fs_read_file(path, MAX_BYTES, &file, &image, e);
    if (ok) {
        sha256_of(image, digest);
        ok = memcmp(digest, sha256, 32) == 0 ||
             err_set(e, ERR_FORMAT, "the file is damaged, or not the one the manifest names");
        ok = ok && read_image(image, n, a, out, e);
        if (!ok) err_wrap(e, "%s", path);
    }
    arena_free(&file);
    return ok;
}
