#include "ingest/formatrun.h"

#include <stdlib.h>

struct pieces {
    struct str rest;
    size_t piece;
};

static bool read_piece(void *ctx, char *buf, size_t cap, size_t *got, struct err *e)
{
    struct pieces *p = ctx;
    size_t n = p->piece < cap ? p->piece : cap;
    (void)e;
    *got = n < p->rest.n ? n : p->rest.n;
    if (*got) memcpy(buf, p->rest.p, *got);
    p->rest = str_sub(p->rest, *got, p->rest.n);
    return true;
}

static void put(struct sbuf *out, const char *front, const char *a, struct str s)
{
    struct err e = {0};
    if (!sbuf_printf(out, &e, "%s%s", front, a) || !sbuf_put(out, s, &e)) abort();
}

static void put_item(struct sbuf *out, const struct format_item *item)
{
    static const char *const status[] = {"-", "P", "F", "A", "C", "X"};
    const struct report_input *in = &item->in;
    struct err e = {0};

    if (!out) return;
    if (!sbuf_printf(out, &e, "%llu", (unsigned long long)item->line)) abort();
    if (item->kind == ITEM_IGNORE) put(out, "", "-", STR(""));
    if (item->kind == ITEM_REJECT) put(out, "!", record_reject_names[item->reason], STR(""));
    if (item->kind == ITEM_REPORT) {
        put(out, "", ":", in->patient);
        put(out, "", "/", in->study);
        put(out, " ", status[in->status], STR(""));
        if (in->time && !sbuf_printf(out, &e, " t=%llu", (unsigned long long)in->time)) abort();
        if (in->column.n)
            put(out, " ",
                "column"
                "=",
                in->column);
        if (in->code.n)
            put(out, " ",
                "code"
                "=",
                in->code);
        if (in->description.n)
            put(out, " ",
                "description"
                "=",
                in->description);
        if (in->reader.n)
            put(out, " ",
                "reader"
                "=",
                in->reader);
        if (in->text.n) put(out, " ", "{", in->text);
        if (in->text.n) put(out, "", "}", STR(""));
        for (int i = 0; i < SEC_COUNT; i++) {
            if (in->section[i].n == 0 || i == SEC_EXAMINATION) continue;
            put(out, " ", record_section_names[i], STR("["));
            put(out, "", "", in->section[i]);
            put(out, "", "]", STR(""));
        }
    }
    put(out, "", "\n", STR(""));
}

bool formatrun(const struct format *f, const struct ingest_source_opts *source, struct str name,
               struct str bytes, size_t piece, struct sbuf *out, struct err *e)
{
    struct pieces p = {bytes, piece};
    struct format_input in = {{read_piece, &p}, source, 4000};
    struct format_scratch scratch;
    struct format_item item = {.kind = ITEM_IGNORE};
    void *reader = NULL;
    bool more = true, ok;

    if (f->one) {
        format_scratch_init(&scratch, 4000);
        ok = f->one(&scratch, source, name, bytes, &item, e);
        if (ok) put_item(out, &item);
        format_scratch_free(&scratch);
        return ok;
    }
    ok = f->open(&in, &reader, e);
    while (ok && more) {
        ok = f->next(reader, &item, &more, e);
        if (ok && more) put_item(out, &item);
    }
    f->close(reader);
    return ok;
}
