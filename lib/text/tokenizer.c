#include "text/tokenizer.h"

#include "base/arena.h"
#include "base/fs.h"
#include "base/mem.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Folder of path, NUL-terminated, in the arena. */
static bool dir_name(struct arena *a, const char *path, const char **out, struct err *e)
{
    size_t n = (size_t)(base_name(path) - path);
    struct str s = n == 0 ? STR(".") : (struct str){path, n > 1 ? n - 1 : 1};

    if (!arena_str(a, s, &s, e)) return false;
    *out = s.p;
    return true;
}

/* name or name.gz in dir; *out stays NULL where there is neither. */
static bool look_for(struct arena *a, const char *dir, const char *name, const char **out,
                     struct err *e)
{
    struct sbuf gz;
    bool ok;

    *out = NULL;
    sbuf_init(&gz, 200);
    ok = fs_join(a, dir, name, out, e);
    if (ok && !fs_exists(*out))
        ok = sbuf_printf(&gz, e, "%s.gz", name) && fs_join(a, dir, gz.p, out, e);
    if (ok && !fs_exists(*out)) *out = NULL;
    sbuf_free(&gz);
    return ok;
}

/* The tokenizer of a model folder. */
static bool find_file(struct arena *a, const char *dir, const char **out, struct err *e)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "spiece.model",
                                        "vocab.json", "vocab.txt"};
    struct str *all;
    size_t n;
    const char *gguf = NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!look_for(a, dir, names[i], out, e)) return false;
        if (*out) return true;
    }
    if (!fs_list(dir, a, &all, &n, e)) return false;
    for (size_t i = 0; i < n; i++) {
        if (!str_ends(all[i], STR(".gguf"))) continue;
        if (gguf) return err_set(e, ERR_IO, "%s: more than one .gguf file: name one", dir);
        gguf = all[i].p;
    }
    if (gguf) return fs_join(a, dir, gguf, out, e);
    return err_set(e, ERR_IO,
                   "%s: there is no tokenizer.json, tokenizer.model, spiece.model, vocab.json, "
                   "vocab.txt or .gguf file",
                   dir);
}

static bool is_gguf(const char *path, bool *out, struct err *e)
{
    char head[4] = {0};
    struct fs_file f;
    bool ok = true;

    if (!fs_file_open(path, &f, e)) return false;
    if (f.size_bytes >= sizeof(head)) ok = fs_file_read(&f, 0, head, sizeof(head), e);
    fs_file_close(&f);
    *out = memcmp(head, "GGUF", sizeof(head)) == 0;
    return ok;
}

static bool open_merges(struct arena *a, struct str vocab, const char *dir, struct tokenizer **out,
                        struct err *e)
{
    const char *path;
    struct sbuf merges;
    bool ok = false;

    sbuf_init(&merges, TOK_MAX_FILE);
    if (!look_for(a, dir, "merges.txt", &path, e)) goto out;
    if (!path) {
        err_set(e, ERR_IO, "there is no merges.txt beside it");
        goto out;
    }
    ok = tok_file_read(path, &merges, e) && tok_merges_read(vocab, sbuf_str(&merges), dir, out, e);
out:
    sbuf_free(&merges);
    return ok;
}

/* Which kind a file is: by its name, or JSON by its first character. */
static bool open_text(struct arena *a, const char *path, struct tokenizer **out, struct err *e)
{
    struct str name = str_of(base_name(path));
    const char *dir;
    struct sbuf text;
    bool ok = false;

    sbuf_init(&text, TOK_MAX_FILE);
    if (!dir_name(a, path, &dir, e) || !tok_file_read(path, &text, e)) goto out;
    struct str s = sbuf_str(&text), trimmed = str_trim(s);
    if (str_starts(name, STR("vocab.json")))
        ok = open_merges(a, s, dir, out, e);
    else if (str_starts(name, STR("vocab.txt")))
        ok = tok_vocab_read(s, dir, out, e);
    else if (str_starts(trimmed, STR("{")))
        ok = tok_json_read(s, dir, out, e);
    else if (str_find(name, STR(".model"), 0) != SIZE_MAX)
        ok = tok_sp_read(s, dir, out, e);
    else
        err_set(e, ERR_FORMAT,
                "no tokenizer file that is known: tokenizer.json, *.model, vocab.json, vocab.txt, "
                "GGUF");
out:
    sbuf_free(&text);
    return ok || err_wrap(e, "%s", path);
}

bool tokenizer_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct arena a;
    const char *file = path;
    bool ok = false, gguf = false;

    *out = NULL;
    arena_init(&a, 1 << 20);
    if (fs_is_dir(path) && !find_file(&a, path, &file, e)) goto out;
    if (!is_gguf(file, &gguf, e)) goto out;
    ok = gguf ? tok_gguf_open(file, out, e) : open_text(&a, file, out, e);
out:
    if (!ok) err_wrap(e, "read the tokenizer");
    arena_free(&a);
    return ok;
}

void tokenizer_set_lower(struct tokenizer *t, bool lower)
{
    if (t->norm == TOK_NORM_BERT) t->bert_lower = t->bert_strip = lower;
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
