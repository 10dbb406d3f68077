/* json_parse and json_put: no crash, and what was parsed comes back the same. */
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void come_back(const json_t *j)
{
    struct err e = {0};
    struct sbuf b;
    json_t *back = NULL;
    sbuf_init(&b, (size_t)64 << 20);
    if (!json_put(&b, j, &e) || !json_parse(sbuf_str(&b), "again", &back, &e)) abort();
    if (!json_equal(j, back)) abort();
    json_decref(back);
    sbuf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    json_t *j = NULL;
    struct sbuf b;
    if (json_parse((struct str){(const char *)data, size}, "fuzz", &j, &e)) {
        come_back(j);
    } else if (j || !e.text[0]) {
        abort();
    }
    json_decref(j);
    err_clear(&e);
    sbuf_init(&b, (size_t)16 << 20);
    (void)!json_put_str(&b, (struct str){(const char *)data, size}, size % 2, &e);
    sbuf_free(&b);
    if (mem_live_blocks() != 0) abort();
    return 0;
}
