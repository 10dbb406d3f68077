#include "text/tokenizer.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

static bool has_magic(const char *path, const char *magic, struct err *e)
{
    char head[4] = {0};
    struct fs_file f;

    if (!fs_file_open(path, &f, e)) return false;
    if (f.size_bytes >= sizeof(head) && !fs_file_read(&f, 0, head, sizeof(head), e)) head[0] = 0;
    fs_file_close(&f);
    return e->code == ERR_NONE && memcmp(head, magic, sizeof(head)) == 0;
}

static bool json_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct arena a;
    struct str text;
    const char *slash = strrchr(path, '/');
    char dir[4096];

    arena_init(&a, (size_t)TOK_MAX_FILE + (1 << 16));
    size_t n = slash ? (size_t)(slash - path) : 1;
    memcpy(dir, slash ? path : ".", n);
    dir[n] = 0;
    bool ok = fs_read_file(path, TOK_MAX_FILE, &a, &text, e) && tok_json_read(text, dir, out, e);
    arena_free(&a);
    return ok;
}

bool tokenizer_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct arena a;
    const char *file = path;
    bool ok = false;

    *out = NULL;
    arena_init(&a, 1 << 16);
    if (fs_is_dir(path)) {
        if (!fs_join(&a, path, "tokenizer.json", &file, e)) goto out;
        if (!fs_exists(file)) {
            err_set(e, ERR_IO, "%s: there is no tokenizer.json", path);
            goto out;
        }
    }
    bool gguf = has_magic(file, "GGUF", e);
    if (e->code != ERR_NONE) goto out;
    ok = gguf ? tok_gguf_open(file, out, e) : json_open(file, out, e);
out:
    if (!ok) err_wrap(e, "read the tokenizer");
    arena_free(&a);
    return ok;
}

struct tok_info tokenizer_info(const struct tokenizer *t)
{
    static const char *const kinds[] = {[TOK_BYTE_BPE] = "byte-bpe",
                                        [TOK_SP_BPE] = "sp-bpe",
                                        [TOK_UNIGRAM] = "unigram",
                                        [TOK_WORDPIECE] = "wordpiece"};
    struct tok_info i = {.vocab_size = t->n,
                         .bos = t->bos,
                         .eos = t->eos,
                         .pad = t->pad,
                         .unk = t->unk,
                         .kind = kinds[t->engine],
                         .adds_bos = t->nprefix > 0,
                         .adds_eos = t->nsuffix > 0};

    memcpy(i.digest, t->digest, sizeof(i.digest));
    return i;
}

int32_t tokenizer_id(const struct tokenizer *t, struct str content)
{
    for (uint32_t i = 0; i < t->nadded; i++)
        if (str_eq(t->added[i].content, content)) return (int32_t)t->added[i].id;
    uint32_t id = tok_find_bytes(t, content.p, content.n);
    if (id != TOK_NO_ID) return (int32_t)id;
    for (uint32_t i = 0; i < t->n; i++) /* pieces outside the byte map: rare, so searched */
        if (t->piece[i].content.p && str_eq(t->piece[i].content, content)) return (int32_t)i;
    return -1;
}

struct str tokenizer_piece(const struct tokenizer *t, uint32_t id)
{
    return id < t->n ? t->piece[id].bytes : (struct str){NULL, 0};
}

bool tokenizer_is_special(const struct tokenizer *t, uint32_t id)
{
    return id < t->n && (t->piece[id].flags & TOK_P_SPECIAL);
}
