/* Every format, and the markup they carry, on any bytes: the first byte says which. It ends, nothing
 * leaks, and how the stream is cut into pieces changes nothing. */
#include <stdlib.h>

#include "base/mem.h"
#include "ingest/formatrun.h"
#include "ingest/markup.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct format *format_by(char c)
{
    switch (c) {
    case 'c':
        return &format_csv;
    case 't':
        return &format_tsv;
    case 'j':
        return &format_jsonl;
    case 'h':
        return &format_hl7;
    case 'f':
        return &format_fhir;
    case 'o':
        return &format_openi;
    case 'x':
        return &format_text;
    default:
        return NULL;
    }
}

static void run(const struct format *f, struct str bytes, size_t piece, struct sbuf *out)
{
    struct ingest_source_opts source = {0};
    struct err e = {0};

    sbuf_init(out, 64 << 20);
    if (!formatrun(f, &source, STR("a/b.txt"), bytes, piece, out, &e) && !e.text[0]) abort();
    if (e.code == ERR_NOMEM) abort();
}

static void markup(char c, struct str bytes)
{
    struct sbuf out;
    struct err e = {0};
    bool ok, good;

    sbuf_init(&out, 64 << 20);
    if (c == 'm')
        good = markup_html(bytes, &out, &e);
    else if (c == 'r')
        good = markup_rtf(bytes, &out, &e);
    else
        good = markup_base64(bytes, &out, &ok, &e);
    if (!good) abort();
    if ((c == 'm' || c == 'r') && utf8_valid(bytes) && out.n && !utf8_valid(sbuf_str(&out)))
        abort();
    sbuf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size ? size - 1 : 0};
    const struct format *f = size ? format_by((char)data[0]) : NULL;
    struct sbuf whole, pieces;

    if (f) {
        run(f, bytes, 1 << 20, &whole);
        run(f, bytes, size < 20000 ? 3 : 1000, &pieces);
        if (!str_eq(sbuf_str(&whole), sbuf_str(&pieces))) abort();
        sbuf_free(&whole);
        sbuf_free(&pieces);
    } else if (size) {
        markup((char)data[0], bytes);
    }
    if (mem_live_blocks() != 0) abort();
    return 0;
}
