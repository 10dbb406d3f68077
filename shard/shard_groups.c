#include "shard/shard_groups.h"

#include <stdio.h>

#include "base/mem.h"
#include "shard/shard_file.h"
#include "shard/shard_image.h"

#define SCHEMA "groups/v1"
enum { VERSION = 1, KEY_BYTES = 6, ROW = 16, TEXT = 0, HEAD = 1, COLUMNS = 2 };
static const char *const column_names[COLUMNS] = {"group/text", "group/head"};

/* The first 4,096 bytes, little-endian. */
struct block {
    char magic[8];
    uint32_t version, block_bytes;
    uint64_t file_bytes, texts;
    uint8_t sha256[32]; /* [4096, end) */
    struct shard_place places[COLUMNS];
    struct hash128 self; /* of this block with self zeroed */
};
_Static_assert(sizeof(struct block) == 144, "no padding: it is written as it is");

static int compare(struct hash128 a, struct hash128 b)
{
    if (a.hi != b.hi) return a.hi < b.hi ? -1 : 1;
    return (a.lo > b.lo) - (a.lo < b.lo);
}

/* ---- writing */
static void key_of(const struct record_near *v, size_t n, char name[SHARD_GROUPS_NAME])
{
    uint8_t digest[32];
    char key[2 * KEY_BYTES + 1];
    struct sha256 h;

    _Static_assert(sizeof *v == 2 * ROW, "no padding: its bytes are hashed");
    sha256_init(&h);
    sha256_put(&h, SCHEMA, sizeof SCHEMA);
    sha256_put(&h, v, n * sizeof *v);
    sha256_end(&h, digest);
    hash_hex(digest, KEY_BYTES, key);
    snprintf(name, SHARD_GROUPS_NAME, "groups-%s.h5", key);
}

static bool fill(struct shard_image *im, const char *const data[COLUMNS], struct block *b)
{
    uint64_t n = b->texts;
    bool ok = shard_image_group(im, "group") && shard_image_text(im->file, "schema", SCHEMA) &&
              shard_image_numbers(im->file, "texts", H5T_STD_U64LE, 1, &n);

    for (int c = 0; ok && c < COLUMNS; c++) {
        struct shard_image_column column = {column_names[c],
                                            sizeof(uint64_t),
                                            2,
                                            {data[c], n * ROW},
                                            hash_xxh128(data[c], n * ROW)};
        ok = shard_image_column(im, &column, &b->places[c].offset);
        b->places[c].bytes = column.data.n;
        b->places[c].hash = column.hash;
    }
    return ok;
}

static void put_block(char *p, size_t n, struct block *b)
{
    memcpy(b->magic, SHARD_GROUPS_MAGIC, sizeof b->magic);
    b->version = VERSION;
    b->block_bytes = SHARD_IMAGE_BLOCK;
    b->file_bytes = n;
    sha256_of((struct str){p + SHARD_IMAGE_BLOCK, n - SHARD_IMAGE_BLOCK}, b->sha256);
    b->self = hash_xxh128(b, sizeof *b);
    memset(p, 0, SHARD_IMAGE_BLOCK);
    memcpy(p, b, sizeof *b);
}

static bool write_file(const char *path, const char *const data[COLUMNS], size_t n,
                       uint8_t sha256[32], struct err *e)
{
    struct block b = {.texts = n};
    struct shard_image im;
    size_t bytes = 0;
    bool ok = shard_image_create(&im, n * sizeof(struct record_near)) && fill(&im, data, &b);

    if (!shard_image_close(&im, ok, &bytes))
        return err_set(e, ERR_LIB, "HDF5 cannot build a table of %zu texts (memory?)", n);
    put_block(im.p, bytes, &b);
    struct str file = {im.p, bytes};
    ok = fs_replace_changed(path, file, e);
    memcpy(sha256, b.sha256, sizeof b.sha256);
    mem_free(im.p);
    return ok;
}

bool shard_groups_write(const char *dir, const struct record_near *v, size_t n,
                        char name[SHARD_GROUPS_NAME], uint8_t sha256[32], struct err *e)
{
    struct arena a;
    const char *path;
    char *data[COLUMNS] = {NULL};
    bool ok = false;

    CHECK(n > 0);
    arena_init(&a, 1 << 16);
    key_of(v, n, name);
    if (!fs_join(&a, dir, name, &path, e)) goto out;
    for (int c = 0; c < COLUMNS; c++) {
        data[c] = mem_alloc(n * ROW, e);
        if (!data[c]) goto out;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(data[TEXT] + i * ROW, &v[i].norm, ROW);
        memcpy(data[HEAD] + i * ROW, &v[i].head, ROW);
    }
    ok = write_file(path, (const char *const *)data, n, sha256, e) || err_wrap(e, "write %s", path);
out:
    mem_free(data[TEXT]);
    mem_free(data[HEAD]);
    arena_free(&a);
    return ok;
}

/* ---- reading: our own block says where all lies; HDF5 is not asked */
static bool damaged(const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: checksum differs: the file is damaged: run radmill shard",
                   what);
}

/* The block's own promises; the bytes it names lie in the file. */
static bool check_block(const struct fs_map *m, struct block *b, struct err *e)
{
    struct hash128 self;

    if (m->n < SHARD_IMAGE_BLOCK || memcmp(m->p, SHARD_GROUPS_MAGIC, sizeof b->magic) != 0)
        return err_set(e, ERR_FORMAT, "not a table of text groups");
    memcpy(b, m->p, sizeof *b);
    self = b->self;
    b->self = (struct hash128){0, 0};
    if (b->version != VERSION)
        return err_set(e, ERR_FORMAT, "version %u, this radmill reads %d: run radmill shard",
                       b->version, VERSION);
    if (compare(hash_xxh128(b, sizeof *b), self) != 0) return damaged("the head", e);
    for (size_t i = sizeof *b; i < SHARD_IMAGE_BLOCK; i++)
        if (m->p[i]) return damaged("the head", e);
    if (b->file_bytes != m->n)
        return err_set(e, ERR_FORMAT, "holds %zu bytes, should hold %llu", m->n,
                       (unsigned long long)b->file_bytes);
    for (int c = 0; c < COLUMNS; c++)
        if (b->texts > m->n / ROW || b->places[c].bytes != b->texts * ROW ||
            b->places[c].offset < SHARD_IMAGE_BLOCK || b->places[c].offset > m->n ||
            b->places[c].bytes > m->n - b->places[c].offset)
            return err_set(e, ERR_FORMAT, "/%s lies outside the file", column_names[c]);
    return true;
}

static bool check_rest(const struct fs_map *m, const struct block *b, struct err *e)
{
    const char *p = (const char *)m->p;
    uint8_t digest[32];

    sha256_of((struct str){p + SHARD_IMAGE_BLOCK, m->n - SHARD_IMAGE_BLOCK}, digest);
    if (memcmp(digest, b->sha256, sizeof digest) == 0) return true;
    for (int c = 0; c < COLUMNS; c++) {
        const struct shard_place *at = &b->places[c];
        if (compare(hash_xxh128(p + at->offset, at->bytes), at->hash) != 0)
            return err_set(e, ERR_FORMAT,
                           "dataset /%s: checksum differs: the file is damaged: run radmill shard",
                           column_names[c]);
    }
    return damaged("HDF5's own structures", e);
}

static bool check_order(const struct shard_groups *g, struct err *e)
{
    for (uint64_t i = 1; i < g->n; i++)
        if (compare(shard_groups_at(g, i - 1).norm, shard_groups_at(g, i).norm) >= 0)
            return err_set(e, ERR_FORMAT, "row %llu is out of order", (unsigned long long)i);
    return true;
}

bool shard_groups_open(const char *path, struct shard_groups *out, struct err *e)
{
    struct block b;

    memset(out, 0, sizeof *out);
    if (!fs_map_open(path, &out->map, e)) return false;
    if (check_block(&out->map, &b, e) && check_rest(&out->map, &b, e)) {
        out->text = out->map.p + b.places[TEXT].offset;
        out->head = out->map.p + b.places[HEAD].offset;
        out->n = b.texts;
        memcpy(out->sha256, b.sha256, sizeof out->sha256);
        if (check_order(out, e)) return true;
    }
    shard_groups_close(out);
    return err_wrap(e, "%s", path);
}

void shard_groups_close(struct shard_groups *g)
{
    fs_map_close(&g->map);
    memset(g, 0, sizeof *g);
}

static struct hash128 hash_at(const uint8_t *column, uint64_t i)
{
    struct hash128 h;
    memcpy(&h, column + i * ROW, ROW);
    return h;
}

struct record_near shard_groups_at(const struct shard_groups *g, uint64_t i)
{
    return (struct record_near){hash_at(g->text, i), hash_at(g->head, i)};
}

struct hash128 shard_groups_of(const struct shard_groups *g, struct hash128 text)
{
    uint64_t low = 0, high = g->n;

    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (compare(hash_at(g->text, mid), text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == g->n || compare(hash_at(g->text, low), text) != 0) return text;
    return hash_at(g->head, low);
}
