/*
 * A shard in which the columns hold anything: the checksums are made right again behind the change, so
 * that every check behind them is reached. Then the same bytes as a whole file, without that.
 *
 * Input: four bytes of where, then what to put there. HDF5's own structures stay as they were: the
 * checksums in front of them are what protects libhdf5, which is not made for hostile files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shard/corpus_kit.h"
#include "shard/shard_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    uint8_t *p, *work;
    size_t n;
    struct {
        size_t at, n;
    } part[SHARD_COLS];
    size_t total; /* bytes of all columns */
    char dir[64], path[128];
} whole;

static uint32_t length_of(size_t i)
{
    return (uint32_t)(3 + i % 5);
}

static void remove_all(void)
{
    struct err e = {0};
    if (!fs_remove_tree(whole.dir, &e)) fprintf(stderr, "%s\n", e.text);
}

static void start(void)
{
    struct shard_file f;
    struct err e = {0};

    snprintf(whole.dir, sizeof whole.dir, "%s/radmill-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(whole.dir)) abort();
    atexit(remove_all);
    kit_lengths(whole.dir, 40, length_of);
    snprintf(whole.path, sizeof whole.path, "%s/CT/s00-00000-000000000000.h5", whole.dir);
    KIT(shard_file_open(whole.path, true, &f, &e), &e);
    whole.n = f.map.n;
    whole.p = malloc(whole.n);
    whole.work = malloc(whole.n);
    if (!whole.p || !whole.work) abort();
    memcpy(whole.p, f.map.p, whole.n);
    for (int c = 0; c < SHARD_COLS; c++) {
        size_t number = shard_columns[c].size ? shard_columns[c].size : f.head.token_bytes;
        whole.part[c].at = (size_t)(f.col[c] - f.map.p);
        whole.part[c].n = f.rows[c] * number * shard_columns[c].width;
        whole.total += whole.part[c].n;
    }
    shard_file_close(&f);
}

/* Byte `at` of all columns in a row. */
static uint8_t *column_byte(size_t at)
{
    int c = 0;
    at %= whole.total;
    while (at >= whole.part[c].n)
        at -= whole.part[c++].n;
    return whole.work + whole.part[c].at + at;
}

static void mend(uint8_t *p)
{
    struct shard_block b;
    size_t behind;

    memcpy(&b, p, sizeof b);
    behind = b.token_offset + b.token_bytes;
    b.before = hash_xxh128(p + SHARD_BLOCK_BYTES, b.token_offset - SHARD_BLOCK_BYTES);
    b.tokens = hash_xxh128(p + b.token_offset, b.token_bytes);
    b.after = hash_xxh128(p + behind, whole.n - behind);
    b.self = (struct hash128){0, 0};
    b.self = hash_xxh128(&b, sizeof b);
    memcpy(p, &b, sizeof b);
}

/* Whatever opens must be safe to read. */
static void read_all(const void *p, size_t n)
{
    static uint32_t tokens[8192];
    struct shard_file f;
    struct shard_fact fact;
    struct err e = {0};

    KIT(fs_replace(whole.path, (struct str){p, n}, &e), &e);
    if (!shard_file_open(whole.path, true, &f, &e)) {
        if (e.code == ERR_NONE) abort();
        return;
    }
    for (uint64_t i = 0; i < f.samples; i++) {
        uint32_t length = shard_file_u32(&f, SHARD_COL_LENGTH, i);
        if (length > 8192) abort();
        (void)!shard_file_tokens(&f, shard_file_u64(&f, SHARD_COL_OFFSET, i), length, tokens);
    }
    shard_file_fact(&f, &fact);
    if (fact.samples[0] + fact.samples[1] + fact.samples[2] != f.samples) abort();
    shard_file_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t at = 0;

    if (!whole.p) start();
    read_all(data, size);
    if (size < 4) return 0;
    memcpy(&at, data, 4);
    memcpy(whole.work, whole.p, whole.n);
    for (size_t i = 4; i < size && i < 4 + whole.total; i++)
        *column_byte(at + i - 4) = data[i];
    mend(whole.work);
    read_all(whole.work, whole.n);
    return 0;
}
