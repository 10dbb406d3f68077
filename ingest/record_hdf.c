#include "ingest/record_hdf.h"

#include "base/mem.h"

struct trailer {
    char magic[8];
    uint64_t lo, hi; /* xxh3-128 of all in front */
};

void hdf_setup(void)
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
    if (size == 2) return H5T_NATIVE_UINT16;
    return size == 4 ? H5T_NATIVE_UINT32 : H5T_NATIVE_UINT64;
}

static hid_t file_type(size_t size)
{
    if (size == 1) return H5T_STD_U8LE;
    if (size == 2) return H5T_STD_U16LE;
    return size == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

/* ---- writing */
/* Without a time anywhere. The oldest format, on purpose: H5Fget_file_image clears a flag in a
 * newer superblock and leaves its checksum as it was (seen with 1.10.8). */
hid_t hdf_create(size_t bytes)
{
    hid_t fapl, fcpl, file = H5I_INVALID_HID;

    hdf_setup();
    fapl = H5Pcreate(H5P_FILE_ACCESS);
    fcpl = H5Pcreate(H5P_FILE_CREATE);
    if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, bytes + (64 << 10), 0) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) >= 0 &&
        H5Pset_obj_track_times(fcpl, 0) >= 0)
        file = H5Fcreate("radmill-block", H5F_ACC_TRUNC, fcpl, fapl);
    if (fapl >= 0) H5Pclose(fapl);
    if (fcpl >= 0) H5Pclose(fcpl);
    return file;
}

bool hdf_groups(hid_t file, const char *const *names, size_t n)
{
    hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE);
    bool ok = gcpl >= 0 && H5Pset_obj_track_times(gcpl, 0) >= 0;

    for (size_t i = 0; ok && i < n; i++) {
        hid_t g = H5Gcreate2(file, names[i], H5P_DEFAULT, gcpl, H5P_DEFAULT);
        ok = g >= 0 && H5Gclose(g) >= 0;
    }
    if (gcpl >= 0) H5Pclose(gcpl);
    return ok;
}

static bool put_one(hid_t file, hid_t dcpl, const struct hdf_data *d)
{
    hsize_t dims[2] = {d->bytes.n / d->size / d->width, d->width};
    hid_t space = H5Screate_simple(d->width > 1 ? 2 : 1, dims, NULL);
    hid_t set =
        H5Dcreate2(file, d->name, file_type(d->size), space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    bool ok = space >= 0 && set >= 0;

    if (ok && d->bytes.n > 0)
        ok = H5Dwrite(set, memory_type(d->size), H5S_ALL, H5S_ALL, H5P_DEFAULT, d->bytes.p) >= 0;
    if (set >= 0) ok = H5Dclose(set) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

bool hdf_put(hid_t file, const struct hdf_data *data, size_t n)
{
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = dcpl >= 0 && H5Pset_obj_track_times(dcpl, 0) >= 0 &&
              H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0;

    for (size_t i = 0; ok && i < n; i++)
        ok = put_one(file, dcpl, &data[i]);
    if (dcpl >= 0) H5Pclose(dcpl);
    return ok;
}

bool hdf_attribute(hid_t file, const char *name, hid_t type, hsize_t n, const void *p)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t attr = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = space >= 0 && attr >= 0 && H5Awrite(attr, type, p) >= 0;

    if (attr >= 0) ok = H5Aclose(attr) >= 0 && ok;
    if (space >= 0) H5Sclose(space);
    return ok;
}

static void put_trailer(char *image, size_t n, const char *magic)
{
    struct hash128 h = hash_xxh128(image, n);
    struct trailer t = {.lo = h.lo, .hi = h.hi};

    CHECK(strlen(magic) < sizeof t.magic);
    memcpy(t.magic, magic, strlen(magic));
    memcpy(image + n, &t, sizeof t);
}

bool hdf_image(hid_t file, const char *magic, char **image, size_t *cap, struct str *out,
               struct err *e)
{
    ssize_t size;

    if (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 || (size = H5Fget_file_image(file, NULL, 0)) <= 0)
        return err_set(e, ERR_LIB, "HDF5 cannot build the file");
    if (!mem_grow((void **)image, cap, (size_t)size + sizeof(struct trailer), 1, e)) return false;
    if (H5Fget_file_image(file, *image, (size_t)size) != size)
        return err_set(e, ERR_LIB, "HDF5 cannot hand out the file of %zd bytes", size);
    put_trailer(*image, (size_t)size, magic);
    *out = (struct str){*image, (size_t)size + sizeof(struct trailer)};
    return true;
}

/* ---- reading */
bool hdf_check(struct str *image, const char *magic, const char *what, struct hash128 *sum,
               struct err *e)
{
    struct trailer t;
    struct hash128 h;

    if (image->n < sizeof t) return err_set(e, ERR_FORMAT, "not a %s: too short", what);
    image->n -= sizeof t;
    memcpy(&t, image->p + image->n, sizeof t);
    if (strncmp(t.magic, magic, sizeof t.magic) != 0)
        return err_set(e, ERR_FORMAT, "not a %s, or cut off", what);
    h = hash_xxh128(image->p, image->n);
    if (h.lo != t.lo || h.hi != t.hi)
        return err_set(e, ERR_FORMAT, "checksum differs: the file is damaged");
    *sum = h;
    return true;
}

/* HDF5 would copy the image twice, into the property list and into the file. It is told that it
 * did: a file that is only read is not written to, and what these hand out is the caller's. */
static void *lend(size_t n, H5FD_file_image_op_t op, void *image)
{
    (void)n;
    (void)op;
    return image;
}

static void *copied(void *to, const void *from, size_t n, H5FD_file_image_op_t op, void *image)
{
    (void)op;
    (void)image;
    if (to != from) memcpy(to, from, n);
    return to;
}

static void *same_size(void *p, size_t n, H5FD_file_image_op_t op, void *image)
{
    (void)n;
    (void)op;
    (void)image;
    return p;
}

static herr_t keep(void *p, H5FD_file_image_op_t op, void *image)
{
    (void)p;
    (void)op;
    (void)image;
    return 0;
}

static void *same_image(void *image)
{
    return image;
}

static herr_t keep_image(void *image)
{
    (void)image;
    return 0;
}

hid_t hdf_open(struct str image)
{
    hid_t fapl, file = H5I_INVALID_HID;
    void *p = (void *)(uintptr_t)image.p; /* it only lacks the const */
    H5FD_file_image_callbacks_t calls = {lend, copied, same_size, keep, same_image, keep_image, p};

    hdf_setup();
    fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (fapl >= 0 && H5Pset_fapl_core(fapl, 64 << 10, 0) >= 0 &&
        H5Pset_file_image_callbacks(fapl, &calls) >= 0 && H5Pset_file_image(fapl, p, image.n) >= 0)
        file = H5Fopen("radmill-block", H5F_ACC_RDONLY, fapl);
    if (fapl >= 0) H5Pclose(fapl);
    return file;
}

bool hdf_get_attribute(hid_t file, const char *name, size_t size, size_t max, void *p, size_t *got)
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

/* Of the shape and type that was asked for? */
static bool is_like(hid_t space, hid_t type, struct hdf_data d, hsize_t dims[2], size_t file_bytes)
{
    return type >= 0 && space >= 0 && H5Sget_simple_extent_ndims(space) == (d.width > 1 ? 2 : 1) &&
           H5Sget_simple_extent_dims(space, dims, NULL) >= 0 && dims[1] == d.width &&
           H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == d.size &&
           dims[0] <= file_bytes / (d.size * d.width);
}

bool hdf_get(hid_t file, struct hdf_data d, size_t file_bytes, void **out, size_t *bytes,
             struct err *e)
{
    hid_t set = H5Dopen2(file, d.name, H5P_DEFAULT);
    hid_t space = set >= 0 ? H5Dget_space(set) : H5I_INVALID_HID;
    hid_t type = set >= 0 ? H5Dget_type(set) : H5I_INVALID_HID;
    hsize_t dims[2] = {0, 1};
    bool ok = false;

    if (!is_like(space, type, d, dims, file_bytes)) {
        err_set(e, ERR_FORMAT, "dataset %s is missing or of another shape", d.name);
        goto out;
    }
    *bytes = dims[0] * d.size * d.width;
    *out = mem_alloc(*bytes, e);
    if (!*out) goto out;
    ok = *bytes == 0 || H5Dread(set, memory_type(d.size), H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) >= 0;
    if (!ok) err_set(e, ERR_FORMAT, "dataset %s cannot be read", d.name);
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    return ok;
}

bool hdf_view(hid_t file, struct hdf_data d, struct str image, struct str *out, struct err *e)
{
    hid_t set = H5Dopen2(file, d.name, H5P_DEFAULT);
    hid_t space = set >= 0 ? H5Dget_space(set) : H5I_INVALID_HID;
    hid_t type = set >= 0 ? H5Dget_type(set) : H5I_INVALID_HID;
    hsize_t dims[2] = {0, 1};
    haddr_t at;
    bool ok = false;

    CHECK(d.size == 1); /* wider numbers may stand at odd places */
    *out = (struct str){"", 0};
    if (!is_like(space, type, d, dims, image.n)) {
        err_set(e, ERR_FORMAT, "dataset %s is missing or of another shape", d.name);
        goto out;
    }
    at = H5Dget_offset(set); /* undefined, the largest of all, where it does not lie in one piece */
    ok = dims[0] == 0 || (at < image.n && dims[0] <= image.n - at);
    if (!ok) err_set(e, ERR_FORMAT, "dataset %s does not lie in the file in one piece", d.name);
    if (ok && dims[0] > 0) *out = (struct str){image.p + at, dims[0]};
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    return ok;
}
