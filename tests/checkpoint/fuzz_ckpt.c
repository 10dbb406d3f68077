/* The head of a checkpoint: what is accepted lies inside the file it claims. The first 72 bytes carry
 * a checksum that a mutation nearly always breaks, so it and the table's are made right again first. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "checkpoint/ckpt_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct ckpt_head *h, struct str head)
{
    uint64_t end = head.n;
    for (size_t i = 0; i < h->n; i++) {
        const struct ckpt_entry *x = &h->entries[i];
        if (x->offset < end || x->offset + x->bytes > h->file_bytes || x->offset % 64 != 0) abort();
        if (x->name.p < head.p || x->name.p + x->name.n > head.p + head.n) abort();
        if (x->bytes != x->count * ckpt_dtype_bytes(x->dtype)) abort();
        end = x->offset + x->bytes;
    }
    if (h->meta.n && (h->meta.p < head.p || h->meta.p + h->meta.n > head.p + head.n)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct arena a;
    struct ckpt_head h;
    uint64_t file_bytes = 0, head_bytes;
    char *p = malloc(size ? size : 1);
    if (!p) abort();
    if (size) memcpy(p, data, size);
    if (size >= CKPT_FIXED_BYTES) {
        struct hash128 body = hash_xxh128(p + CKPT_FIXED_BYTES, size - CKPT_FIXED_BYTES);
        memcpy(p + 48, &body, 16);
        uint64_t sum = hash_xxh64(p, 64, 0);
        memcpy(p + 64, &sum, 8);
        memcpy(&file_bytes, p + 40, 8);
    }
    struct str head = {p, size};
    arena_init(&a, (size_t)64 << 20);
    if (ckpt_head_size(head, &head_bytes, &e) && ckpt_head_parse(head, file_bytes, &a, &h, &e))
        check(&h, head);
    else if (e.code == ERR_NONE)
        abort();
    arena_free(&a);
    free(p);
    if (mem_live_blocks() != 0) abort();
    return 0;
}
