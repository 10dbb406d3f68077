/*
 * The small files beside tokenizer.json: which tokens begin, end and pad a text. tokenizer.json
 * itself does not say. Each is looked up in tokenizer_config.json, then special_tokens_map.json,
 * then config.json (ids); none of the files has to be there.
 */
#include "base/fs.h"
#include "base/json.h"
#include "text/tok_impl.h"
#include "text/utf8.h"

#define MAX_CONFIG (16u << 20)
#define MAX_CHAT   (1u << 20)

struct want {
    const char *token, *id_key;
    int32_t *id;
    bool must; /* a content that is no token is an error; for the others it means none */
};

/* "x" or {"content": "x"}; empty when there is none. */
static struct str token_text(const json_t *j)
{
    if (json_is_object(j)) j = json_object_get(j, "content");
    return (struct str){json_string_value(j), json_string_length(j)};
}

static bool from_names(struct tokenizer *t, const json_t *root, const struct want *w, size_t n,
                       struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct str s = token_text(json_object_get(root, w[i].token));
        if (*w[i].id >= 0 || s.n == 0) continue;
        *w[i].id = tokenizer_id(t, s);
        if (*w[i].id < 0 && w[i].must)
            return err_set(e, ERR_FORMAT, "%s is not a token of the vocabulary", w[i].token);
    }
    return true;
}

static bool from_ids(struct tokenizer *t, const json_t *root, const struct want *w, size_t n,
                     struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_object_get(root, w[i].id_key);
        if (json_is_array(j)) j = json_array_get(j, 0); /* several ends of text: the first */
        if (*w[i].id >= 0 || !json_is_integer(j)) continue;
        json_int_t id = json_integer_value(j);
        if (id >= 0 && id < (json_int_t)t->n && t->piece[id].content.p)
            *w[i].id = (int32_t)id;
        else if (w[i].must && id >= 0)
            return err_set(e, ERR_FORMAT, "%s is not an id of the vocabulary", w[i].id_key);
    }
    return true;
}

/* One template, or the one named "default" of several; NULL for none. */
static const json_t *chat_text(const json_t *chat)
{
    for (size_t i = 0; i < json_array_size(chat); i++) {
        const json_t *row = json_array_get(chat, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        if (name && strcmp(name, "default") == 0) chat = json_object_get(row, "template");
    }
    return json_is_string(chat) ? chat : NULL;
}

/* chat_template.jinja, where newer folders keep it; it counts before tokenizer_config.json's. */
static bool read_jinja(struct tokenizer *t, const char *dir, struct err *e)
{
    struct arena a;
    struct str text;
    const char *path;

    arena_init(&a, MAX_CHAT + (1 << 16));
    bool ok = fs_join(&a, dir, "chat_template.jinja", &path, e);
    if (ok && fs_exists(path))
        ok = fs_read_file(path, MAX_CHAT, &a, &text, e) &&
             (utf8_valid(text) || err_set(e, ERR_FORMAT, "%s: not UTF-8", path)) &&
             arena_str(&t->arena, text, &t->chat_template, e);
    arena_free(&a);
    return ok;
}

static bool read_one(struct tokenizer *t, const char *dir, const char *name, bool ids,
                     const struct want *w, size_t n, struct err *e)
{
    struct arena a;
    const char *path;
    json_t *root = NULL;
    bool ok = false;

    arena_init(&a, 1 << 16);
    if (!fs_join(&a, dir, name, &path, e)) goto out;
    ok = true;
    if (!fs_exists(path)) goto out;
    ok = json_read_file(path, MAX_CONFIG, &root, e);
    if (!ok) goto out;
    ok = ids ? from_ids(t, root, w, n, e) : from_names(t, root, w, n, e);
    const json_t *chat = chat_text(json_object_get(root, "chat_template"));
    if (ok && chat && !t->chat_template.p) {
        struct str s = {json_string_value(chat), json_string_length(chat)};
        ok = arena_str(&t->arena, s, &t->chat_template, e);
    }
    if (!ok) err_wrap(e, "%s", path);
out:
    json_decref(root);
    arena_free(&a);
    return ok;
}

bool tok_config_read(struct tokenizer *t, const char *dir, struct err *e)
{
    const struct want w[] = {{"bos_token", "bos_token_id", &t->bos, true},
                             {"eos_token", "eos_token_id", &t->eos, true},
                             {"pad_token", "pad_token_id", &t->pad, false},
                             {"unk_token", "unk_token_id", &t->unk, false}};
    size_t n = sizeof(w) / sizeof(*w);

    return read_jinja(t, dir, e) && read_one(t, dir, "tokenizer_config.json", false, w, n, e) &&
           read_one(t, dir, "special_tokens_map.json", false, w, n, e) &&
           read_one(t, dir, "config.json", true, w, n, e);
}
