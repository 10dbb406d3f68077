/* Any bytes as a SentencePiece model (s), vocab.json with merges.txt (m, parted by NUL), vocab.txt (v)
 * or gzip (z); the first byte says which. */
#include "fuzz_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(char kind, struct str text, struct tokenizer **t, struct err *e)
{
    size_t nul = str_find(text, (struct str){"", 1}, 0);

    if (kind == 's') return tok_sp_read(text, NULL, t, e);
    if (kind == 'v') return tok_vocab_read(text, NULL, t, e);
    if (nul == SIZE_MAX) nul = text.n;
    return tok_merges_read(str_sub(text, 0, nul), str_sub(text, nul + 1, text.n), NULL, t, e);
}

static void unpack(struct str text)
{
    struct sbuf out;
    struct err e = {0};

    sbuf_init(&out, 1 << 20);
    bool ok = tok_gunzip(text, &out, &e);
    MUST(ok == (e.code == ERR_NONE));
    sbuf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    struct err e = {0};

    if (size == 0) return 0;
    struct str text = {(const char *)data + 1, size - 1};
    if (data[0] == 'z') {
        unpack(text);
    } else if (parse((char)data[0], text, &t, &e)) {
        use_tokenizer(t, text);
        tokenizer_close(t);
    } else {
        MUST(!t && e.code != ERR_NONE);
    }
    MUST(mem_live_blocks() == 0);
    return 0;
}
