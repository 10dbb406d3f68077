#include "cli/tiny_model.h"

#include "base/fs.h"
#include "base/json.h"
#include "compute/dev.h"
#include "model/model.h"

enum { BYTES = 256, EOS = BYTES, IM_START, IM_END, VOCAB = 320 /* rows, a multiple of 64 */ };
static const char *const specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

/* The byte-level alphabet (GPT-2's bytes_to_unicode): printable Latin-1 stands for itself, the
 * other 68 bytes follow from U+0100 on. */
static uint32_t byte_char(unsigned byte)
{
    uint32_t shift = 0;
    for (unsigned b = 0; b <= byte; b++) {
        bool self = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte) return self ? byte : 256 + shift;
        if (!self) shift++;
    }
    UNREACHABLE();
}

static json_t *vocabulary(void)
{
    json_t *vocab = json_object();
    for (unsigned b = 0; b < BYTES; b++) {
        uint32_t c = byte_char(b);
        char key[3] = {(char)c, 0, 0};
        if (c >= 0x80) {
            key[0] = (char)(0xc0 | c >> 6);
            key[1] = (char)(0x80 | (c & 0x3f));
        }
        json_object_set_new(vocab, key, json_integer(b));
    }
    return vocab;
}

static json_t *added_tokens(void)
{
    json_t *added = json_array();
    for (int i = 0; i < 3; i++)
        json_array_append_new(added, json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", BYTES + i,
                                               "content", specials[i], "single_word", 0, "lstrip",
                                               0, "rstrip", 0, "normalized", 0, "special", 1));
    return added;
}

static json_t *tokenizer_json(void)
{
    return json_pack("{s:s,s:n,s:n,s:o,s:n,s:{s:s,s:b,s:b,s:b},s:n,s:{s:s,s:b,s:b,s:b},"
                     "s:{s:s,s:n,s:n,s:n,s:n,s:b,s:b,s:b,s:o,s:[]}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added_tokens(),
                     "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 1, "post_processor", "decoder", "type",
                     "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model",
                     "type", "BPE", "dropout", "unk_token", "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0,
                     "vocab", vocabulary(), "merges");
}

static bool write_json(const char *dir, const char *name, json_t *j, struct err *e)
{
    struct arena a;
    const char *path;
    bool ok = false;

    arena_init(&a, 8192);
    if (!j)
        err_set(e, ERR_NOMEM, "cannot build %s", name);
    else
        ok = fs_join(&a, dir, name, &path, e) && json_write_file(path, j, e);
    json_decref(j);
    arena_free(&a);
    return ok;
}

static const struct model_spec tiny_llama = {
    .arch = "llama",
    .layers = 4,
    .d = 192,
    .ff = 512,
    .heads = 6,
    .kv_heads = 2,
    .head_dim = 32,
    .vocab = VOCAB,
    .max_positions = 4096,
    .rms_eps = 1e-5F,
    .rope_theta = 1e4,
    .tied = true,
    .bos = -1,
    .pad = -1,
    .eos = {EOS},
    .neos = 1,
};
/* Flan-T5's form; the decoder begins with a token that no text has. */
static const struct model_spec tiny_t5 = {
    .arch = "t5",
    .enc_layers = 2,
    .layers = 4,
    .d = 192,
    .ff = 384,
    .heads = 6,
    .kv_heads = 6,
    .head_dim = 32,
    .vocab = VOCAB,
    .max_positions = 1 << 20,
    .rms_eps = 1e-6F,
    .rope = ROPE_NONE,
    .tied = true,
    .bos = -1,
    .pad = IM_START,
    .eos = {EOS},
    .neos = 1,
    .start = IM_START,
    .act = DEV_GELU_TANH,
    .gated = true,
    .buckets = 32,
    .reach = 128,
};

bool tiny_model_make(const char *dir, const char *arch, uint64_t seed, struct err *e)
{
    const struct model_spec *s = strcmp(arch, "t5") == 0 ? &tiny_t5 : &tiny_llama;
    if (strcmp(arch, s->arch) != 0)
        return err_set(e, ERR_CONFIG, "--arch %.40s is not llama or t5", arch);
    if (!fs_mkdirs(dir, e) || !model_init_random(s, seed, dir, e)) return false;
    /* tokenizer.json last: quickstart takes it for the sign that the folder is whole */
    return write_json(dir, "tokenizer_config.json",
                      json_pack("{s:s,s:s}", "eos_token", specials[0], "tokenizer_class",
                                "PreTrainedTokenizerFast"),
                      e) &&
           write_json(dir, "tokenizer.json", tokenizer_json(), e);
}
