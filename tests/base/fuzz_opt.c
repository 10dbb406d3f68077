/* The options parser: no crash, no leak; what binds can be dumped, read again, and is the same. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const char *name, *path;
    uint32_t limit;
};
struct stage {
    struct opt_list sources;
    struct opt_strs words;
    struct opt_every every;
    const struct opt_node *raw;
    const char *text;
    double lr;
    bool on;
};
static const struct opt source_table[] = {
    OPT_STRING(struct source, name, NULL, ""),
    OPT_PATH(struct source, path, NULL, ""),
    OPT_U32(struct source, limit, 16, 0, 4294967295.0, ""),
    OPT_END,
};
static const struct opt table[] = {
    OPT_LIST(struct stage, sources, struct source, source_table, ""),
    OPT_STRS(struct stage, words, "[a, b]", ""),
    OPT_EVERY(struct stage, every, "10 min", ""),
    OPT_NODE(struct stage, raw, ""),
    OPT_STRING(struct stage, text, "", ""),
    OPT_F64(struct stage, lr, 2e-4, -1e9, 1e9, ""),
    OPT_BOOL(struct stage, on, true, ""),
    OPT_END,
};

static const char *env(const char *name)
{
    return strcmp(name, "HOME") == 0 ? "/home/x" : NULL;
}

static void come_back(const struct stage *in, struct arena *a)
{
    struct err e = {0};
    struct stage out;
    struct opt_doc d;
    struct sbuf b, again, keys;
    sbuf_init(&b, (size_t)16 << 20);
    sbuf_init(&again, (size_t)16 << 20);
    sbuf_init(&keys, (size_t)16 << 20);
    /* A dump longer than what may be read back (a scalar of 64 KiB grows by escapes) is no bug. */
    if (opt_dump("s", table, in, &b, &e) &&
        opt_doc_parse(sbuf_str(&b), "dump", NULL, 0, NULL, a, &d, &e)) {
        if (!opt_bind(&d, "s", table, &out, &e)) abort();
        if (!opt_dump("s", table, &out, &again, &e)) abort();
        if (!str_eq(sbuf_str(&b), sbuf_str(&again))) abort();
        if (!opt_diff(sbuf_str(&b), sbuf_str(&again), a, &keys, &e) || keys.n) abort();
    } else if (e.code != ERR_LIMIT && !strstr(e.text, "longer than") &&
               !strstr(e.text, "more than")) {
        abort();
    }
    sbuf_free(&b);
    sbuf_free(&again);
    sbuf_free(&keys);
}

/* The text up to the first NUL is the file; what follows, up to the next, one --set. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct arena a;
    struct opt_doc d;
    struct stage s;
    const char *text = (const char *)data;
    const char *end = size ? memchr(text, 0, size) : NULL;
    size_t n = end ? (size_t)(end - text) : size, nsets = 0;
    char set[1024];
    const char *sets[1] = {set};
    if (end && size - n - 1 < sizeof set) {
        memcpy(set, end + 1, size - n - 1);
        set[size - n - 1] = 0;
        nsets = 1;
    }
    arena_init(&a, (size_t)128 << 20);
    if (opt_doc_parse((struct str){text, n}, "fuzz", sets, nsets, env, &a, &d, &e) &&
        opt_bind(&d, "s", table, &s, &e))
        come_back(&s, &a);
    else if (e.code == ERR_NONE || !e.text[0])
        abort();
    arena_free(&a);
    if (mem_live_blocks() != 0) abort();
    return 0;
}
