#include "shard/shard_writer.h"

#include <hdf5.h>

#include "base/fs.h"
#include "base/mem.h"

#define COLUMN_MAX_BYTES ((size_t)8 << 30)
enum { IMAGE_STEP = 4 << 20, ALIGNMENT = 4096, SUPERBLOCK_EOF = 28, SIGNATURE_BYTES = 8 };

const struct shard_column_def shard_columns[SHARD_COLS] = {
    [SHARD_COL_IDS] = {"tokens/ids", 0, 1},
    [SHARD_COL_OFFSET] = {"tokens/offset", 8, 1},
    [SHARD_COL_TARGET] = {"tokens/target", 4, 1},
    [SHARD_COL_LENGTH] = {"sample/length", 4, 1},
    [SHARD_COL_RECORD] = {"sample/record", 4, 3},
    [SHARD_COL_ENTRY] = {"sample/entry", 8, 1},
    [SHARD_COL_TEXT_HASH] = {"sample/text_hash", 8, 2},
    [SHARD_COL_TARGET_HASH] = {"sample/target_hash", 8, 2},
    [SHARD_COL_PATIENT] = {"sample/patient_key", 8, 1},
    [SHARD_COL_SPLIT] = {"split", 8, 2},
};

void shard_hdf5_setup(void)
{
    static bool done;

    if (done) return;
    done = true;
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void shard_data_init(struct shard_data *d)
{
    *d = (struct shard_data){0};
    for (int c = 0; c < SHARD_COLS; c++)
        sbuf_init(&d->col[c], COLUMN_MAX_BYTES);
}

void shard_data_free(struct shard_data *d)
{
    for (int c = 0; c < SHARD_COLS; c++)
        sbuf_free(&d->col[c]);
    *d = (struct shard_data){0};
}

/*
 * ---- the image: the core driver's memory, which these callbacks own
 *
 * H5Fget_file_image would be shorter, but hands out a superblock whose checksum does not match
 * (it clears the "open for writing" flag and keeps the sum). What the driver holds when the file
 * is closed is right.
 */
struct image {
    char *p;
    size_t n;
};

static void *image_malloc(size_t n, H5FD_file_image_op_t op, void *ctx)
{
    struct image *im = ctx;
    struct err e = {0};

    (void)op;
    CHECK(!im->p);
    im->p = mem_calloc(1, n, &e);
    im->n = im->p ? n : 0;
    return im->p;
}

static void *image_memcpy(void *to, const void *from, size_t n, H5FD_file_image_op_t op, void *ctx)
{
    (void)op;
    (void)ctx;
    return memcpy(to, from, n);
}

/* Zeroed: gaps between datasets must not depend on what the heap held. (HDF5 1.10 does so itself,
 * but nothing promises it.) */
static void *image_realloc(void *p, size_t n, H5FD_file_image_op_t op, void *ctx)
{
    struct image *im = ctx;
    struct err e = {0};

    (void)op;
    CHECK(p == im->p);
    p = mem_realloc(im->p, n, &e);
    if (!p) return NULL;
    im->p = p;
    if (n > im->n) memset(im->p + im->n, 0, n - im->n);
    im->n = n;
    return p;
}

static herr_t image_keep(void *p, H5FD_file_image_op_t op, void *ctx)
{
    (void)p;
    (void)op;
    (void)ctx;
    return 0; /* the writer frees it */
}

static void *ctx_same(void *ctx)
{
    return ctx;
}

static herr_t ctx_keep(void *ctx)
{
    (void)ctx;
    return 0;
}

static hid_t file_create(struct image *im)
{
    H5FD_file_image_callbacks_t calls = {
        image_malloc, image_memcpy, image_realloc, image_keep, ctx_same, ctx_keep, im};
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE);
    hid_t file = H5I_INVALID_HID;

    if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, IMAGE_STEP, 0) >= 0 &&
        H5Pset_file_image_callbacks(fapl, &calls) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V110) >= 0 &&
        H5Pset_alignment(fapl, ALIGNMENT, ALIGNMENT) >= 0 &&
        H5Pset_userblock(fcpl, SHARD_BLOCK_BYTES) >= 0 && H5Pset_obj_track_times(fcpl, 0) >= 0)
        file = H5Fcreate("shard", H5F_ACC_TRUNC, fcpl, fapl);
    if (fcpl >= 0) H5Pclose(fcpl);
    if (fapl >= 0) H5Pclose(fapl);
    return file;
}

/* ---- attributes */
static bool put_attr(hid_t at, const char *name, hid_t type, hsize_t n, const void *p)
{
    hid_t space = H5Screate_simple(1, &n, NULL), attr = H5I_INVALID_HID;
    bool ok = false;

    if (space >= 0) attr = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr >= 0) ok = H5Awrite(attr, type, p) >= 0;
    if (attr >= 0) ok = H5Aclose(attr) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

/* A scalar string of fixed length, as h5dump and h5py show text. */
static bool put_text(hid_t at, const char *name, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1), attr = H5I_INVALID_HID;
    bool ok = false;

    if (space >= 0 && type >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0)
        attr = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr >= 0) ok = H5Awrite(attr, type, text) >= 0;
    if (attr >= 0) ok = H5Aclose(attr) >= 0 && ok;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return ok;
}

static bool put_digest(hid_t at, const char *name, const uint8_t digest[32])
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return put_text(at, name, hex);
}

static bool put_head(hid_t file, const struct shard_head *h)
{
    const hid_t u64 = H5T_STD_U64LE, u32 = H5T_STD_U32LE, i32 = H5T_STD_I32LE;

    return put_text(file, "schema", SHARD_SCHEMA) && put_text(file, "modality", h->modality) &&
           put_attr(file, "source", u64, 1, &h->source) &&
           put_attr(file, "number", u64, 1, &h->number) &&
           put_digest(file, "tokenizer_sha256", h->tokenizer_sha256) &&
           put_digest(file, "template_sha256", h->template_sha256) &&
           put_digest(file, "config_sha256", h->config_sha256) &&
           put_digest(file, "inputs_sha256", h->inputs_sha256) &&
           put_text(file, "template", h->template_name) && put_text(file, "inputs", h->inputs) &&
           put_attr(file, "vocab_size", u32, 1, &h->vocab_size) &&
           put_text(file, "layout", shard_layout_names[h->layout]) &&
           put_attr(file, "max_tokens", u32, 1, &h->max_tokens) &&
           put_attr(file, "max_input_tokens", u32, 1, &h->max_input_tokens) &&
           put_attr(file, "max_target_tokens", u32, 1, &h->max_target_tokens) &&
           put_attr(file, "bos", i32, 1, &h->bos) && put_attr(file, "eos", i32, 1, &h->eos) &&
           put_attr(file, "pad", i32, 1, &h->pad) &&
           put_attr(file, "records", u64, 1, &h->records) &&
           put_attr(file, "dropped", u64, SHARD_DROPS, h->dropped) &&
           put_attr(file, "cut", u64, 1, &h->cut) &&
           put_attr(file, "cut_tokens", u64, 1, &h->cut_tokens) &&
           put_attr(file, "unknown", u64, 1, &h->unknown);
}

/* ---- datasets */
static hid_t type_of(size_t size)
{
    return size == 2 ? H5T_STD_U16LE : size == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

static bool put_column(hid_t file, hid_t dcpl, const struct shard_column_def *def, size_t size,
                       struct str data, haddr_t *offset)
{
    hsize_t dims[2] = {data.n / size / def->width, def->width};
    hid_t space = H5Screate_simple(def->width > 1 ? 2 : 1, dims, NULL), set = H5I_INVALID_HID;
    struct hash128 h = hash_xxh128(data.p, data.n);
    uint64_t sum[2] = {h.lo, h.hi}, count = dims[0];
    bool ok = false;

    if (space >= 0)
        set = H5Dcreate2(file, def->name, type_of(size), space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    if (set >= 0)
        ok = (data.n == 0 ||
              H5Dwrite(set, type_of(size), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.p) >= 0) &&
             put_attr(set, "xxh3_128", H5T_STD_U64LE, 2, sum) &&
             put_attr(set, "count", H5T_STD_U64LE, 1, &count);
    *offset = 0;
    if (set >= 0) {
        *offset = H5Dget_offset(set);
        ok = H5Dclose(set) >= 0 && ok;
    }
    if (space >= 0) H5Sclose(space);
    return ok;
}

static bool put_group(hid_t file, hid_t gcpl, const char *name)
{
    hid_t g = H5Gcreate2(file, name, H5P_DEFAULT, gcpl, H5P_DEFAULT);
    return g >= 0 && H5Gclose(g) >= 0;
}

static bool fill(hid_t file, const struct shard_head *h, const struct shard_data *d,
                 haddr_t offsets[SHARD_COLS])
{
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), gcpl = H5Pcreate(H5P_GROUP_CREATE);
    bool ok = dcpl >= 0 && gcpl >= 0 && H5Pset_obj_track_times(dcpl, 0) >= 0 &&
              H5Pset_obj_track_times(gcpl, 0) >= 0 && H5Pset_layout(dcpl, H5D_CONTIGUOUS) >= 0 &&
              H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY) >= 0 &&
              H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0 && put_group(file, gcpl, "tokens") &&
              put_group(file, gcpl, "sample") && put_head(file, h);

    for (int c = 0; ok && c < SHARD_COLS; c++) {
        size_t size = shard_columns[c].size ? shard_columns[c].size : h->token_bytes;
        ok = put_column(file, dcpl, &shard_columns[c], size, sbuf_str(&d->col[c]), &offsets[c]);
    }
    if (gcpl >= 0) H5Pclose(gcpl);
    if (dcpl >= 0) H5Pclose(dcpl);
    return ok;
}

/* Build the HDF5 file; *n gets its length without the driver's spare room. */
static bool build(const struct shard_head *h, const struct shard_data *d, struct image *im,
                  size_t *n, haddr_t offsets[SHARD_COLS], struct err *e)
{
    hid_t file = file_create(im);
    uint64_t end;
    bool ok = file >= 0 && fill(file, h, d, offsets);

    if (file >= 0) ok = H5Fclose(file) >= 0 && ok;
    if (!ok || im->n < SHARD_BLOCK_BYTES + SUPERBLOCK_EOF + sizeof end)
        return err_set(e, ERR_LIB, "HDF5 cannot build a shard of %llu samples (memory?)",
                       (unsigned long long)d->samples);
    CHECK(memcmp(im->p + SHARD_BLOCK_BYTES, "\x89HDF\r\n\x1a\n\x02", SIGNATURE_BYTES + 1) == 0);
    memcpy(&end, im->p + SHARD_BLOCK_BYTES + SUPERBLOCK_EOF, sizeof end);
    CHECK(end <= im->n);
    for (int c = 0; c < SHARD_COLS; c++)
        CHECK(offsets[c] + d->col[c].n <= end);
    *n = end;
    return true;
}

/* Fill in the first 4,096 bytes. */
static void put_block(char *p, size_t n, const struct shard_data *d,
                      const haddr_t offsets[SHARD_COLS], struct shard_block *b)
{
    struct str all = {p + SHARD_BLOCK_BYTES, n - SHARD_BLOCK_BYTES};
    uint64_t token_offset = offsets[SHARD_COL_IDS], token_bytes = d->col[SHARD_COL_IDS].n;
    uint64_t behind = token_offset + token_bytes;

    memset(b, 0, sizeof *b);
    memcpy(b->magic, SHARD_MAGIC, sizeof b->magic);
    b->version = SHARD_VERSION;
    b->block_bytes = SHARD_BLOCK_BYTES;
    b->file_bytes = n;
    b->token_offset = token_offset;
    b->token_bytes = token_bytes;
    b->before = hash_xxh128(all.p, token_offset - SHARD_BLOCK_BYTES);
    b->tokens = hash_xxh128(p + token_offset, token_bytes);
    b->after = hash_xxh128(p + behind, n - behind);
    sha256_of(all, b->sha256);
    for (int c = 0; c < SHARD_COLS; c++)
        b->places[c] =
            (struct shard_place){offsets[c], d->col[c].n, hash_xxh128(d->col[c].p, d->col[c].n)};
    b->self = hash_xxh128(b, sizeof *b);
    memset(p, 0, SHARD_BLOCK_BYTES);
    memcpy(p, b, sizeof *b);
}

bool shard_writer_write(const char *path, const struct shard_head *h, const struct shard_data *d,
                        struct shard_fact *fact, struct err *e)
{
    struct image im = {NULL, 0};
    struct shard_block b;
    haddr_t offsets[SHARD_COLS] = {0};
    size_t n = 0;
    bool ok = false;

    CHECK(d->samples > 0 && d->samples <= SHARD_MAX_SAMPLES);
    shard_hdf5_setup();
    if (!build(h, d, &im, &n, offsets, e)) goto out;
    put_block(im.p, n, d, offsets, &b);
    if (!fs_replace(path, (struct str){im.p, n}, e)) goto out;
    fact->bytes = n;
    memcpy(fact->sha256, b.sha256, sizeof b.sha256);
    ok = true;
out:
    mem_free(im.p);
    if (!ok) err_wrap(e, "write %s", path);
    return ok;
}
