/*
 * Chat templates: which of the built-in ones a tokenizer's own template (Jinja, from
 * tokenizer_config.json, chat_template.jinja or GGUF) is. No Jinja is run: a template is known by
 * the SHA-256 of its text, "\n" written out, blanks at its end left out, or it is refused.
 */
#include "base/hash.h"
#include "text/prompt_parse.h"
#include "text/tok_impl.h"

#define MAX_TEMPLATE (1u << 20)

/* What users call it; the digest's first half is enough to tell a handful of texts apart. */
static const struct {
    const char *name, *sha256;
} known[] = {
    /* SmolLM2-Instruct, and the plain form of many ChatML models */
    {"chatml", "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"},
    {"chatml", "153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3"},
    {"llama2-chat", "9780fae5bfea3cfd7be37d328c6edfd296a8869be8131495bbe7eb37e780c88c"},
    /* Meta-Llama-3 Instruct, its later and its first upload */
    {"llama3-chat", "ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122"},
    {"llama3-chat", "b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2"},
    /* Llama-3.1 and Llama-3.2 Instruct */
    {"llama3.1-chat", "99799a835a31e1d33c4a9c7ee8a0de3923b291a95155ed6dc8efcbd0fe1d0238"},
    {"llama3.1-chat", "0cac23ffd2b33ff7b039e17ee143a080053318146fdc788f1d49ed4745aa8683"},
    {"mistral-instruct", "7e995b379ec01747807246483647cd99030abf331653f1119e16d7ac041a3495"},
    {"mistral-instruct", "26a59556925c987317ce5291811ba3b7f32ec4c647c400c6cc7e3a9993007ba7"},
    {"mistral-v0.3-instruct", "a02553c9ff73c03124f9d4c36be30718baf3580cf5e569fb8ea0fde798177564"},
};

static bool digest_of(struct str jinja, uint8_t out[32], struct err *e)
{
    struct sbuf b;
    bool ok = true;

    sbuf_init(&b, MAX_TEMPLATE);
    while (jinja.n > 0 && strchr(" \t\r\n", jinja.p[jinja.n - 1]))
        jinja.n--;
    for (size_t i = 0; ok && i < jinja.n; i++) {
        bool newline = jinja.p[i] == '\\' && i + 1 < jinja.n && jinja.p[i + 1] == 'n';
        ok = sbuf_putc(&b, newline ? '\n' : jinja.p[i], e);
        i += newline;
    }
    sha256_of(sbuf_str(&b), out);
    sbuf_free(&b);
    return ok;
}

const char *prompt_chat_known(const uint8_t sha256[32])
{
    char hex[65];

    hash_hex(sha256, 32, hex);
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(hex, known[i].sha256) == 0) return known[i].name;
    return NULL;
}

bool prompt_chat_name(const struct tokenizer *t, const char **out, struct err *e)
{
    uint8_t digest[32];
    char hex[65];

    *out = "chatml";
    if (!t->chat_template.p)
        return tokenizer_id(t, STR("<|im_start|>")) >= 0 ||
               err_set(e, ERR_CONFIG,
                       "the tokenizer has no chat template: name one of llama2-chat, llama3-chat, "
                       "llama3.1-chat, mistral-instruct, mistral-v0.3-instruct, or use plain");
    if (!digest_of(t->chat_template, digest, e)) return false;
    *out = prompt_chat_known(digest);
    hash_hex(digest, 8, hex);
    return *out ||
           err_set(e, ERR_CONFIG,
                   "the tokenizer's chat template (SHA-256 %s...) is not one that is known: "
                   "name the built-in template that it is like, or write one in a file",
                   hex);
}
