#include "shard/shard_image.h"

#include "base/mem.h"

enum { MARGIN = 256 << 10, ALIGNMENT = 4096, SUPERBLOCK_EOF = 28, SIGNATURE_BYTES = 8 };

void shard_hdf5_setup(void)
{
    static bool done;

    if (done) return;
    done = true;
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/*
 * ---- the core driver's memory, which these callbacks own
 *
 * H5Fget_file_image would be shorter, but hands out a superblock whose checksum does not match
 * (it clears the "open for writing" flag and keeps the sum). What the driver holds when the file
 * is closed is right.
 */
static void *image_malloc(size_t n, H5FD_file_image_op_t op, void *ctx)
{
    struct shard_image *im = ctx;
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
    struct shard_image *im = ctx;
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
    return 0; /* the caller frees it */
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

/* ---- the file */
static hid_t create(struct shard_image *im, size_t bytes)
{
    H5FD_file_image_callbacks_t calls = {
        image_malloc, image_memcpy, image_realloc, image_keep, ctx_same, ctx_keep, im};
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE);
    hid_t file = H5I_INVALID_HID;

    /* The driver grows in steps of what the file will need: once. */
    if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, bytes + MARGIN, 0) >= 0 &&
        H5Pset_file_image_callbacks(fapl, &calls) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V110) >= 0 &&
        H5Pset_alignment(fapl, ALIGNMENT, ALIGNMENT) >= 0 &&
        H5Pset_userblock(fcpl, SHARD_IMAGE_BLOCK) >= 0 && H5Pset_obj_track_times(fcpl, 0) >= 0)
        file = H5Fcreate("shard", H5F_ACC_TRUNC, fcpl, fapl);
    if (fcpl >= 0) H5Pclose(fcpl);
    if (fapl >= 0) H5Pclose(fapl);
    return file;
}

bool shard_image_create(struct shard_image *im, size_t bytes)
{
    shard_hdf5_setup();
    *im = (struct shard_image){.dcpl = H5I_INVALID_HID, .gcpl = H5I_INVALID_HID};
    im->file = create(im, bytes);
    im->dcpl = H5Pcreate(H5P_DATASET_CREATE);
    im->gcpl = H5Pcreate(H5P_GROUP_CREATE);
    return im->file >= 0 && im->dcpl >= 0 && im->gcpl >= 0 &&
           H5Pset_obj_track_times(im->dcpl, 0) >= 0 && H5Pset_obj_track_times(im->gcpl, 0) >= 0 &&
           H5Pset_layout(im->dcpl, H5D_CONTIGUOUS) >= 0 &&
           H5Pset_alloc_time(im->dcpl, H5D_ALLOC_TIME_EARLY) >= 0 &&
           H5Pset_fill_time(im->dcpl, H5D_FILL_TIME_NEVER) >= 0;
}

static bool check_end(const struct shard_image *im, size_t *n)
{
    uint64_t end;

    if (im->n < SHARD_IMAGE_BLOCK + SUPERBLOCK_EOF + sizeof end) return false;
    CHECK(memcmp(im->p + SHARD_IMAGE_BLOCK, "\x89HDF\r\n\x1a\n\x02", SIGNATURE_BYTES + 1) == 0);
    memcpy(&end, im->p + SHARD_IMAGE_BLOCK + SUPERBLOCK_EOF, sizeof end);
    CHECK(end <= im->n);
    *n = end;
    return true;
}

bool shard_image_close(struct shard_image *im, bool ok, size_t *n)
{
    if (im->gcpl >= 0) H5Pclose(im->gcpl);
    if (im->dcpl >= 0) H5Pclose(im->dcpl);
    if (im->file >= 0) ok = H5Fclose(im->file) >= 0 && ok;
    if (ok && check_end(im, n)) return true;
    mem_free(im->p);
    im->p = NULL;
    return false;
}

/* ---- what is in it */
bool shard_image_group(struct shard_image *im, const char *name)
{
    hid_t g = H5Gcreate2(im->file, name, H5P_DEFAULT, im->gcpl, H5P_DEFAULT);
    return g >= 0 && H5Gclose(g) >= 0;
}

bool shard_image_numbers(hid_t at, const char *name, hid_t type, hsize_t n, const void *p)
{
    hid_t space = H5Screate_simple(1, &n, NULL), attr = H5I_INVALID_HID;
    bool ok = false;

    if (space >= 0) attr = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr >= 0) ok = H5Awrite(attr, type, p) >= 0;
    if (attr >= 0) ok = H5Aclose(attr) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

bool shard_image_text(hid_t at, const char *name, const char *text)
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

static hid_t type_of(size_t size)
{
    return size == 2 ? H5T_STD_U16LE : size == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

bool shard_image_column(struct shard_image *im, const struct shard_image_column *c,
                        uint64_t *offset)
{
    hsize_t dims[2] = {c->data.n / c->size / c->width, c->width};
    hid_t space = H5Screate_simple(c->width > 1 ? 2 : 1, dims, NULL), set = H5I_INVALID_HID;
    hid_t type = type_of(c->size);
    uint64_t sum[2] = {c->hash.lo, c->hash.hi}, count = dims[0];
    bool ok = false;

    if (space >= 0)
        set = H5Dcreate2(im->file, c->name, type, space, H5P_DEFAULT, im->dcpl, H5P_DEFAULT);
    if (set >= 0)
        ok = (c->data.n == 0 ||
              H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, c->data.p) >= 0) &&
             shard_image_numbers(set, "xxh3_128", H5T_STD_U64LE, 2, sum) &&
             shard_image_numbers(set, "count", H5T_STD_U64LE, 1, &count);
    *offset = 0;
    if (set >= 0) {
        *offset = H5Dget_offset(set);
        ok = H5Dclose(set) >= 0 && ok;
    }
    if (space >= 0) H5Sclose(space);
    return ok;
}
