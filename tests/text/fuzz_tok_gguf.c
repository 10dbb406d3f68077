/* Any bytes as the front of a GGUF file. */
#include "fuzz_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct tokenizer *t;
    struct err e = {0};

    if (tok_gguf_parse(text, &t, &e)) {
        use_tokenizer(t, text);
        tokenizer_close(t);
    } else {
        MUST(!t && e.code != ERR_NONE);
    }
    MUST(mem_live_blocks() == 0);
    return 0;
}
