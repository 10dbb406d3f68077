/*
 * bench_unzip ZIP [REPEAT]: CPU seconds to read every entry of a zip by libdeflate alone: the directory
 * walked, each entry inflated, nothing checked and nothing kept. What ingest is measured against.
 */
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "ingest/zip_dir.h"

static uint64_t read_all(struct str file, const struct zip_dir *d)
{
    struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
    char *buf = malloc(1 << 20);
    uint64_t sum = 0;

    for (size_t i = 0; z && buf && i < d->n; i++) {
        const struct zip_entry *x = &d->v[i];
        const char *p = file.p + x->local_offset;
        const char *data = p + 30 + zip_u16(p + 26) + zip_u16(p + 28);
        size_t got = x->size_bytes;
        if (x->method == ZIP_DEFLATED && x->size_bytes <= 1 << 20 &&
            libdeflate_deflate_decompress(z, data, x->packed_bytes, buf, x->size_bytes, &got) != 0)
            got = 0;
        sum += got;
    }
    free(buf);
    libdeflate_free_decompressor(z);
    return sum;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    int repeat = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3;
    struct err e = {0};

    if (argc < 2) {
        fprintf(stderr, "usage: bench_unzip ZIP [REPEAT]\n");
        return 2;
    }
    for (int i = 0; i < repeat; i++) {
        double start = cpu_s();
        struct fs_map map;
        struct zip_dir d;
        struct str file;
        uint64_t bytes;
        if (!fs_map_open(argv[1], &map, &e)) goto failed;
        file = (struct str){(const char *)map.p, map.n};
        if (!zip_dir_read(file, UINT32_MAX, &d, &e)) goto failed;
        bytes = read_all(file, &d);
        printf("{\"cpu_s\": %.3f, \"entries\": %zu, \"bytes\": %llu}\n", cpu_s() - start, d.n,
               (unsigned long long)bytes);
        zip_dir_free(&d);
        fs_map_close(&map);
    }
    return 0;
failed:
    fprintf(stderr, "bench_unzip: %s\n", e.text);
    return 1;
}
