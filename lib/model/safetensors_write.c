#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/safetensors.h"

#define MAX_HEADER_BYTES (100u << 20)

struct safetensors_writer {
    struct fs_writer *file;
    uint64_t promised, put;
};

static bool put_entry(struct sbuf *b, const struct safetensor *t, uint64_t *at, struct err *e)
{
    uint64_t bytes = dtype_bytes(t->dtype);
    if (!sbuf_putc(b, ',', e) || !json_put_str(b, str_of(t->name), false, e) ||
        !sbuf_printf(b, e, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype)))
        return false;
    for (uint32_t i = 0; i < t->ndims; i++) {
        CHECK(!__builtin_mul_overflow(bytes, t->dims[i], &bytes));
        if (!sbuf_printf(b, e, "%s%llu", i ? "," : "", (unsigned long long)t->dims[i]))
            return false;
    }
    uint64_t end = *at + bytes;
    if (!sbuf_printf(b, e, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*at,
                     (unsigned long long)end))
        return false;
    *at = end;
    return true;
}

/* Padded with blanks so that the data starts on a multiple of 8. */
static bool make_header(struct sbuf *b, const struct safetensor *list, size_t n, uint64_t *bytes,
                        struct err *e)
{
    *bytes = 0;
    if (!sbuf_put(b, STR("{\"__metadata__\":{\"format\":\"pt\"}"), e)) return false;
    for (size_t i = 0; i < n; i++) {
        if (!put_entry(b, &list[i], bytes, e)) return false;
    }
    if (!sbuf_putc(b, '}', e)) return false;
    while (b->n % 8) {
        if (!sbuf_putc(b, ' ', e)) return false;
    }
    return true;
}

bool safetensors_writer_open(const char *path, const struct safetensor *list, size_t n,
                             struct safetensors_writer **out, struct err *e)
{
    struct safetensors_writer *w = mem_calloc(1, sizeof *w, e);
    struct sbuf head;
    uint8_t len[8];
    bool ok = false;

    sbuf_init(&head, MAX_HEADER_BYTES);
    if (!w) goto out;
    if (!make_header(&head, list, n, &w->promised, e)) goto out;
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)((uint64_t)head.n >> (8 * i));
    if (!fs_writer_open(path, &w->file, e)) goto out;
    if (!fs_writer_put(w->file, len, sizeof len, e)) goto out;
    if (!fs_writer_put(w->file, head.p, head.n, e)) goto out;
    *out = w;
    ok = true;
out:
    sbuf_free(&head);
    if (!ok) safetensors_writer_close(w);
    return ok;
}

bool safetensors_writer_put(struct safetensors_writer *w, const void *p, size_t n, struct err *e)
{
    w->put += n;
    CHECK(w->put <= w->promised);
    return fs_writer_put(w->file, p, n, e);
}

bool safetensors_writer_commit(struct safetensors_writer *w, struct err *e)
{
    CHECK(w->put == w->promised);
    return fs_writer_commit(w->file, e);
}

void safetensors_writer_close(struct safetensors_writer *w)
{
    if (!w) return;
    fs_writer_close(w->file);
    mem_free(w);
}
