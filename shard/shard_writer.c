#include "shard/shard_writer.h"

#include "base/fs.h"
#include "base/mem.h"
#include "shard/shard_image.h"

#define COLUMN_MAX_BYTES ((size_t)8 << 30)

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

/* ---- attributes */
static bool put_digest(hid_t at, const char *name, const uint8_t digest[32])
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return shard_image_text(at, name, hex);
}

static bool put_head(hid_t file, const struct shard_head *h)
{
    const hid_t u64 = H5T_STD_U64LE, u32 = H5T_STD_U32LE, i32 = H5T_STD_I32LE;

    return shard_image_text(file, "schema", SHARD_SCHEMA) &&
           shard_image_text(file, "modality", h->modality) &&
           shard_image_numbers(file, "source", u64, 1, &h->source) &&
           shard_image_numbers(file, "number", u64, 1, &h->number) &&
           put_digest(file, "tokenizer_sha256", h->tokenizer_sha256) &&
           put_digest(file, "template_sha256", h->template_sha256) &&
           put_digest(file, "config_sha256", h->config_sha256) &&
           put_digest(file, "inputs_sha256", h->inputs_sha256) &&
           shard_image_text(file, "template", h->template_name) &&
           shard_image_text(file, "inputs", h->inputs) &&
           shard_image_numbers(file, "vocab_size", u32, 1, &h->vocab_size) &&
           shard_image_text(file, "layout", shard_layout_names[h->layout]) &&
           shard_image_numbers(file, "max_tokens", u32, 1, &h->max_tokens) &&
           shard_image_numbers(file, "max_input_tokens", u32, 1, &h->max_input_tokens) &&
           shard_image_numbers(file, "max_target_tokens", u32, 1, &h->max_target_tokens) &&
           shard_image_numbers(file, "bos", i32, 1, &h->bos) &&
           shard_image_numbers(file, "eos", i32, 1, &h->eos) &&
           shard_image_numbers(file, "pad", i32, 1, &h->pad) &&
           shard_image_numbers(file, "records", u64, 1, &h->records) &&
           shard_image_numbers(file, "dropped", u64, SHARD_DROPS, h->dropped) &&
           shard_image_numbers(file, "cut", u64, 1, &h->cut) &&
           shard_image_numbers(file, "cut_tokens", u64, 1, &h->cut_tokens) &&
           shard_image_numbers(file, "unknown", u64, 1, &h->unknown);
}

/* ---- datasets */
static bool fill(struct shard_image *im, const struct shard_head *h, const struct shard_data *d,
                 struct shard_place places[SHARD_COLS])
{
    bool ok =
        shard_image_group(im, "tokens") && shard_image_group(im, "sample") && put_head(im->file, h);

    for (int c = 0; ok && c < SHARD_COLS; c++) {
        size_t size = shard_columns[c].size ? shard_columns[c].size : h->token_bytes;
        struct str data = sbuf_str(&d->col[c]);
        struct shard_image_column column = {shard_columns[c].name, size, shard_columns[c].width,
                                            data, hash_xxh128(data.p, data.n)};
        ok = shard_image_column(im, &column, &places[c].offset);
        places[c].bytes = data.n;
        places[c].hash = column.hash;
    }
    return ok;
}

/* Build the HDF5 file; *n gets its length. */
static bool build(const struct shard_head *h, const struct shard_data *d, struct shard_image *im,
                  size_t *n, struct shard_place places[SHARD_COLS], struct err *e)
{
    size_t bytes = 0;

    for (int c = 0; c < SHARD_COLS; c++)
        bytes += d->col[c].n;
    bool ok = shard_image_create(im, bytes) && fill(im, h, d, places);
    if (!shard_image_close(im, ok, n))
        return err_set(e, ERR_LIB, "HDF5 cannot build a shard of %llu samples (memory?)",
                       (unsigned long long)d->samples);
    for (int c = 0; c < SHARD_COLS; c++)
        CHECK(places[c].offset + places[c].bytes <= *n);
    return true;
}

/* Fill in the first 4,096 bytes. */
static void put_block(char *p, size_t n, const struct shard_place places[SHARD_COLS],
                      struct shard_block *b)
{
    struct str all = {p + SHARD_BLOCK_BYTES, n - SHARD_BLOCK_BYTES};
    const struct shard_place *ids = &places[SHARD_COL_IDS];
    uint64_t behind = ids->offset + ids->bytes;

    memset(b, 0, sizeof *b);
    memcpy(b->magic, SHARD_MAGIC, sizeof b->magic);
    b->version = SHARD_VERSION;
    b->block_bytes = SHARD_BLOCK_BYTES;
    b->file_bytes = n;
    b->token_offset = ids->offset;
    b->token_bytes = ids->bytes;
    b->before = hash_xxh128(all.p, ids->offset - SHARD_BLOCK_BYTES);
    b->tokens = ids->hash;
    b->after = hash_xxh128(p + behind, n - behind);
    sha256_of(all, b->sha256);
    memcpy(b->places, places, sizeof b->places);
    b->self = hash_xxh128(b, sizeof *b);
    memset(p, 0, SHARD_BLOCK_BYTES);
    memcpy(p, b, sizeof *b);
}

bool shard_writer_write(const char *path, const struct shard_head *h, const struct shard_data *d,
                        struct shard_fact *fact, struct err *e)
{
    struct shard_place places[SHARD_COLS] = {{0}};
    struct shard_image im = {0};
    struct shard_block b;
    size_t n = 0;
    bool ok = false;

    CHECK(d->samples > 0 && d->samples <= SHARD_MAX_SAMPLES);
    if (!build(h, d, &im, &n, places, e)) goto out;
    put_block(im.p, n, places, &b);
    if (!fs_replace(path, (struct str){im.p, n}, e)) goto out;
    fact->bytes = n;
    memcpy(fact->sha256, b.sha256, sizeof b.sha256);
    ok = true;
out:
    mem_free(im.p);
    if (!ok) err_wrap(e, "write %s", path);
    return ok;
}
