#include "shard/shard_file.h"
#include "shard/shard_image.h"

/* ---- our own block: nothing goes to HDF5 before these checks passed */
static bool same_hash(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* The checksums say that something is wrong; say what. */
static bool name_damage(const struct shard_file *f, struct err *e)
{
    for (int c = 0; c < SHARD_COLS; c++) {
        const struct shard_place *p = &f->block.places[c];
        if (p->offset > f->map.n || p->bytes > f->map.n - p->offset ||
            !same_hash(hash_xxh128((const char *)f->map.p + p->offset, p->bytes), p->hash))
            return err_set(e, ERR_FORMAT, "dataset /%s: checksum differs: the file is damaged",
                           shard_columns[c].name);
    }
    return err_set(e, ERR_FORMAT, "HDF5's own structures: checksum differs: the file is damaged");
}

static bool check_block(struct shard_file *f, bool verify_tokens, struct err *e)
{
    struct shard_block *b = &f->block;
    struct hash128 self;

    if (f->map.n < 2 * SHARD_BLOCK_BYTES || memcmp(f->map.p, SHARD_MAGIC, sizeof b->magic) != 0)
        return err_set(e, ERR_FORMAT, "not a token shard");
    memcpy(b, f->map.p, sizeof *b);
    self = b->self;
    b->self = (struct hash128){0, 0};
    if (b->version != SHARD_VERSION)
        return err_set(e, ERR_FORMAT, "shard version %u, this radmill reads %u: run radmill shard",
                       b->version, SHARD_VERSION);
    bool same = same_hash(hash_xxh128(b, sizeof *b), self);
    for (size_t i = sizeof *b; same && i < SHARD_BLOCK_BYTES; i++)
        same = f->map.p[i] == 0;
    if (!same) return err_set(e, ERR_FORMAT, "checksum of the head differs: the file is damaged");
    if (b->file_bytes != f->map.n)
        return err_set(e, ERR_FORMAT, "holds %zu bytes, should hold %llu", f->map.n,
                       (unsigned long long)b->file_bytes);
    uint64_t behind = b->token_offset + b->token_bytes;
    if (b->token_offset < SHARD_BLOCK_BYTES || behind < b->token_offset || behind > f->map.n)
        return err_set(e, ERR_FORMAT, "the tokens lie outside the file");
    const uint8_t *p = f->map.p;
    if (!same_hash(hash_xxh128(p + SHARD_BLOCK_BYTES, b->token_offset - SHARD_BLOCK_BYTES),
                   b->before) ||
        !same_hash(hash_xxh128(p + behind, f->map.n - behind), b->after))
        return name_damage(f, e);
    if (verify_tokens && !same_hash(hash_xxh128(p + b->token_offset, b->token_bytes), b->tokens))
        return name_damage(f, e);
    return true;
}

/* ---- attributes */
static bool get_numbers(hid_t at, const char *name, hid_t type, size_t count, void *p)
{
    hid_t attr = H5Aopen(at, name, H5P_DEFAULT), space = H5I_INVALID_HID, have = H5I_INVALID_HID;
    bool ok = false;

    if (attr >= 0) space = H5Aget_space(attr);
    if (attr >= 0) have = H5Aget_type(attr);
    if (space >= 0 && have >= 0)
        ok = H5Sget_simple_extent_npoints(space) == (hssize_t)count && H5Tequal(have, type) > 0 &&
             H5Aread(attr, type, p) >= 0;
    if (have >= 0) H5Tclose(have);
    if (space >= 0) H5Sclose(space);
    if (attr >= 0) H5Aclose(attr);
    return ok;
}

/* A fixed-length string of at most n - 1 bytes; out is zero-padded. */
static bool get_text(hid_t at, const char *name, char *out, size_t n)
{
    hid_t attr = H5Aopen(at, name, H5P_DEFAULT), type = H5I_INVALID_HID;
    size_t size = 0;
    bool ok = false;

    memset(out, 0, n);
    if (attr >= 0) type = H5Aget_type(attr);
    if (type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0)
        size = H5Tget_size(type);
    if (size > 0 && size <= n) ok = H5Aread(attr, type, out) >= 0 && memchr(out, 0, size) != NULL;
    if (type >= 0) H5Tclose(type);
    if (attr >= 0) H5Aclose(attr);
    return ok;
}

static bool get_digest(hid_t at, const char *name, uint8_t out[32])
{
    char hex[65];
    struct err e = {0};
    return get_text(at, name, hex, sizeof hex) && hash_unhex(str_of(hex), out, 32, &e);
}

static bool get_layout(hid_t file, uint32_t *out)
{
    char name[32];

    if (!get_text(file, "layout", name, sizeof name)) return false;
    for (*out = 0; *out < SHARD_LAYOUTS; ++*out)
        if (strcmp(name, shard_layout_names[*out]) == 0) return true;
    return false;
}

static bool get_head(hid_t file, struct shard_head *h, struct err *e)
{
    const hid_t u64 = H5T_STD_U64LE, u32 = H5T_STD_U32LE, i32 = H5T_STD_I32LE;
    char schema[32];

    if (!get_text(file, "schema", schema, sizeof schema) || strcmp(schema, SHARD_SCHEMA) != 0)
        return err_set(e, ERR_FORMAT, "schema is not %s", SHARD_SCHEMA);
    if (get_text(file, "modality", h->modality, sizeof h->modality) &&
        get_numbers(file, "source", u64, 1, &h->source) &&
        get_numbers(file, "number", u64, 1, &h->number) &&
        get_digest(file, "tokenizer_sha256", h->tokenizer_sha256) &&
        get_digest(file, "template_sha256", h->template_sha256) &&
        get_digest(file, "config_sha256", h->config_sha256) &&
        get_digest(file, "inputs_sha256", h->inputs_sha256) &&
        get_text(file, "template", h->template_name, sizeof h->template_name) &&
        get_text(file, "inputs", h->inputs, sizeof h->inputs) &&
        get_numbers(file, "vocab_size", u32, 1, &h->vocab_size) && get_layout(file, &h->layout) &&
        get_numbers(file, "max_tokens", u32, 1, &h->max_tokens) &&
        get_numbers(file, "max_input_tokens", u32, 1, &h->max_input_tokens) &&
        get_numbers(file, "max_target_tokens", u32, 1, &h->max_target_tokens) &&
        get_numbers(file, "bos", i32, 1, &h->bos) && get_numbers(file, "eos", i32, 1, &h->eos) &&
        get_numbers(file, "pad", i32, 1, &h->pad) &&
        get_numbers(file, "records", u64, 1, &h->records) &&
        get_numbers(file, "dropped", u64, SHARD_DROPS, h->dropped) &&
        get_numbers(file, "cut", u64, 1, &h->cut) &&
        get_numbers(file, "cut_tokens", u64, 1, &h->cut_tokens) &&
        get_numbers(file, "unknown", u64, 1, &h->unknown))
        return true;
    return err_set(e, ERR_FORMAT, "an attribute is missing or of another type");
}

/* ---- datasets */
static hid_t type_of(size_t size)
{
    return size == 2 ? H5T_STD_U16LE : size == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

/* Where a contiguous dataset of the expected form lies. */
static bool get_column(hid_t file, struct shard_file *f, int c, struct err *e)
{
    const struct shard_column_def *def = &shard_columns[c];
    hid_t set = H5Dopen2(file, def->name, H5P_DEFAULT), type = H5I_INVALID_HID;
    hid_t space = H5I_INVALID_HID, plist = H5I_INVALID_HID;
    size_t size = def->size ? def->size : f->head.token_bytes;
    hsize_t dims[2] = {0, 1};
    bool ok = false;

    if (set >= 0) type = H5Dget_type(set);
    if (set >= 0) space = H5Dget_space(set);
    if (set >= 0) plist = H5Dget_create_plist(set);
    if (c == SHARD_COL_IDS && type >= 0) f->head.token_bytes = (uint32_t)(size = H5Tget_size(type));
    if (type >= 0 && space >= 0 && plist >= 0 && (c != SHARD_COL_IDS || size == 2 || size == 4) &&
        H5Tequal(type, type_of(size)) > 0 &&
        H5Sget_simple_extent_ndims(space) == (def->width > 1 ? 2 : 1) &&
        H5Sget_simple_extent_dims(space, dims, NULL) >= 0 && dims[1] == def->width &&
        H5Pget_layout(plist) == H5D_CONTIGUOUS) {
        uint64_t row = (uint64_t)size * def->width, offset = H5Dget_offset(set);
        ok = dims[0] > 0 && offset < f->map.n && dims[0] <= (f->map.n - offset) / row;
        if (ok) f->col[c] = f->map.p + offset;
        f->rows[c] = dims[0];
    }
    if (plist >= 0) H5Pclose(plist);
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    if (set >= 0) H5Dclose(set);
    return ok || err_set(e, ERR_FORMAT, "dataset /%s is missing or of another form", def->name);
}

/* ---- what the numbers say */
uint32_t shard_file_u32(const struct shard_file *f, enum shard_column c, uint64_t i)
{
    uint32_t v;
    memcpy(&v, f->col[c] + i * sizeof v, sizeof v);
    return v;
}

uint64_t shard_file_u64(const struct shard_file *f, enum shard_column c, uint64_t i)
{
    uint64_t v;
    memcpy(&v, f->col[c] + i * sizeof v, sizeof v);
    return v;
}

static bool check_shape(const struct shard_file *f, struct err *e)
{
    uint64_t n = f->samples, tokens = f->rows[SHARD_COL_IDS];

    if (n == 0 || n > SHARD_MAX_SAMPLES)
        return err_set(e, ERR_FORMAT, "%llu samples in one shard", (unsigned long long)n);
    for (int c = 0; c < SHARD_COLS; c++) {
        uint64_t want = n;
        if (c == SHARD_COL_IDS) want = tokens;
        if (c == SHARD_COL_OFFSET) want = n + 1;
        if (c == SHARD_COL_SPLIT) want = SHARD_SPLITS;
        if (f->rows[c] != want)
            return err_set(e, ERR_FORMAT, "dataset /%s has %llu rows, not %llu",
                           shard_columns[c].name, (unsigned long long)f->rows[c],
                           (unsigned long long)want);
    }
    if (f->col[SHARD_COL_IDS] != f->map.p + f->block.token_offset ||
        tokens * f->head.token_bytes != f->block.token_bytes)
        return err_set(e, ERR_FORMAT, "the tokens are not where the head says");
    return true;
}

/* Both parts are there and not too long. A decoder's prompt may be empty, an input may not. */
static bool fits(const struct shard_head *h, uint32_t length, uint32_t target)
{
    if (length == 0 || length > h->max_tokens || target >= length) return false;
    if (h->layout == SHARD_DECODER) return true;
    return target > 0 && target <= h->max_input_tokens && length - target <= h->max_target_tokens;
}

static bool check_samples(const struct shard_file *f, struct err *e)
{
    uint64_t at = 0;

    for (uint64_t i = 0; i < f->samples; i++) {
        uint64_t next = shard_file_u64(f, SHARD_COL_OFFSET, i + 1);
        uint32_t length = shard_file_u32(f, SHARD_COL_LENGTH, i);
        uint32_t target = shard_file_u32(f, SHARD_COL_TARGET, i);
        if (shard_file_u64(f, SHARD_COL_OFFSET, i) != at || next - at != length || next < at ||
            !fits(&f->head, length, target))
            return err_set(e, ERR_FORMAT, "sample %llu: offset, length and target contradict",
                           (unsigned long long)i);
        at = next;
    }
    if (at != f->rows[SHARD_COL_IDS])
        return err_set(e, ERR_FORMAT, "the samples do not add up to the tokens");
    return true;
}

static bool check_splits(struct shard_file *f, struct err *e)
{
    uint64_t at = 0;

    for (uint64_t s = 0; s < SHARD_SPLITS; s++) {
        f->split[s][0] = shard_file_u64(f, SHARD_COL_SPLIT, 2 * s);
        f->split[s][1] = shard_file_u64(f, SHARD_COL_SPLIT, 2 * s + 1);
        if (f->split[s][0] != at || f->split[s][1] > f->samples - at)
            return err_set(e, ERR_FORMAT, "the splits do not tile the samples");
        at += f->split[s][1];
    }
    return at == f->samples || err_set(e, ERR_FORMAT, "the splits do not tile the samples");
}

static bool parse(const char *path, struct shard_file *f, struct err *e)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
    bool ok;

    /* Without locks: shards never change, and locks are missing on some cluster file systems. */
    if (fapl >= 0 && H5Pset_file_locking(fapl, false, true) >= 0)
        file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    ok = file >= 0 || err_set(e, ERR_FORMAT, "HDF5 cannot read it");
    if (ok) ok = get_head(file, &f->head, e);
    for (int c = 0; ok && c < SHARD_COLS; c++)
        ok = get_column(file, f, c, e);
    if (file >= 0) H5Fclose(file);
    if (fapl >= 0) H5Pclose(fapl);
    f->samples = f->rows[SHARD_COL_LENGTH];
    return ok && check_shape(f, e) && check_samples(f, e) && check_splits(f, e);
}

bool shard_file_open(const char *path, bool verify_tokens, struct shard_file *out, struct err *e)
{
    bool ok;

    memset(out, 0, sizeof *out);
    shard_hdf5_setup();
    ok = fs_map_open(path, &out->map, e);
    if (!ok) return false;
    ok = check_block(out, verify_tokens, e) && parse(path, out, e);
    if (ok) return true;
    shard_file_close(out);
    return err_wrap(e, "%s", path);
}

void shard_file_close(struct shard_file *f)
{
    fs_map_close(&f->map);
    memset(f, 0, sizeof *f);
}

/* A token is of the vocabulary where neither it nor (last - it) has the highest bit: no branch a
 * token, and no vocabulary is that large. */
bool shard_file_tokens(const struct shard_file *f, uint64_t from, uint64_t n, uint32_t *out)
{
    const uint8_t *p = f->col[SHARD_COL_IDS] + from * f->head.token_bytes;
    uint32_t last = f->head.vocab_size - 1, bad = last;

    if (f->head.token_bytes == 4) {
        memcpy(out, p, n * 4);
        for (uint64_t i = 0; i < n; i++)
            bad |= (last - out[i]) | out[i];
    } else {
        for (uint64_t i = 0; i < n; i++) {
            uint16_t v;
            memcpy(&v, p + 2 * i, sizeof v);
            out[i] = v;
            bad |= last - v;
        }
    }
    return bad >> 31 == 0;
}

void shard_file_fact(const struct shard_file *f, struct shard_fact *out)
{
    memset(out, 0, sizeof *out);
    out->bytes = f->map.n;
    memcpy(out->sha256, f->block.sha256, sizeof f->block.sha256);
    memcpy(out->dropped, f->head.dropped, sizeof out->dropped);
    out->cut = f->head.cut;
    out->cut_tokens = f->head.cut_tokens;
    out->unknown = f->head.unknown;
    out->records = f->head.records;
    for (int s = 0; s < SHARD_SPLITS; s++) {
        uint64_t first = f->split[s][0], n = f->split[s][1];
        out->samples[s] = n;
        out->tokens[s] = shard_file_u64(f, SHARD_COL_OFFSET, first + n) -
                         shard_file_u64(f, SHARD_COL_OFFSET, first);
        out->targets[s] = out->tokens[s];
        for (uint64_t i = first; i < first + n; i++)
            out->targets[s] -= shard_file_u32(f, SHARD_COL_TARGET, i);
    }
}
