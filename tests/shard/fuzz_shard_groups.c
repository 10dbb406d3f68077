/* A groups file that holds anything: as it is, and with its checksums made right, so that what is behind them is
 * reached. Whatever opens must be safe to search. Input: where in the file, then what stands there. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shard/corpus_kit.h"
#include "shard/shard_file.h"
#include "shard/shard_groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TEXTS = 20,
    PLACES = 64,
    SELF = 128,
    HEAD = 144
}; /* of the first 4,096 bytes, shard_groups.c */
static char dir[64], path[128];
static uint8_t *whole, *work;
static size_t bytes;

static void remove_all(void)
{
    struct err e = {0};
    if (!fs_remove_tree(dir, &e)) fprintf(stderr, "%s\n", e.text);
}

static void start(void)
{
    struct record_near v[TEXTS];
    char name[SHARD_GROUPS_NAME];
    uint8_t sha256[32];
    struct fs_map map;
    struct err e = {0};

    snprintf(dir, sizeof dir, "%s/radmill-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir)) abort();
    atexit(remove_all);
    for (uint64_t i = 0; i < TEXTS; i++)
        v[i] = (struct record_near){{i, 3 * i}, {i % 4, 1000}};
    KIT(shard_groups_write(dir, v, TEXTS, name, sha256, &e), &e);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    KIT(fs_map_open(path, &map, &e), &e);
    bytes = map.n;
    whole = malloc(bytes);
    work = malloc(bytes);
    if (!whole || !work) abort();
    memcpy(whole, map.p, bytes);
    fs_map_close(&map);
}

static void search(const void *p, size_t n)
{
    struct shard_groups g;
    struct err e = {0};

    KIT(fs_replace(path, (struct str){p, n}, &e), &e);
    if (!shard_groups_open(path, &g, &e)) {
        if (e.code == ERR_NONE) abort();
        return;
    }
    for (uint64_t i = 0; i < g.n; i++) {
        struct record_near row = shard_groups_at(&g, i);
        struct hash128 head = shard_groups_of(&g, row.norm);
        if (head.lo != row.head.lo || head.hi != row.head.hi) abort();
    }
    (void)shard_groups_of(&g, (struct hash128){7, 7});
    shard_groups_close(&g);
}

/* Checksums of the columns where they lie now, of all behind the head, of the head. */
static void mend(uint8_t *p)
{
    struct shard_place place;
    struct hash128 self;

    for (int c = 0; c < 2; c++) {
        memcpy(&place, p + PLACES + c * sizeof place, sizeof place);
        if (place.offset > bytes || place.bytes > bytes - place.offset) continue;
        place.hash = hash_xxh128(p + place.offset, place.bytes);
        memcpy(p + PLACES + c * sizeof place, &place, sizeof place);
    }
    sha256_of((struct str){(const char *)p + 4096, bytes - 4096}, p + 32);
    memset(p + SELF, 0, sizeof self);
    self = hash_xxh128(p, HEAD);
    memcpy(p + SELF, &self, sizeof self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t at;

    if (!whole) start();
    search(data, size);
    if (size < 2) return 0;
    memcpy(&at, data, 2);
    memcpy(work, whole, bytes);
    for (size_t i = 2; i < size; i++)
        work[(at + i - 2) % bytes] = data[i];
    search(work, bytes);
    mend(work);
    search(work, bytes);
    return 0;
}
