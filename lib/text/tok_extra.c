/*
 * Tokens added to a vocabulary that is not a tokenizer.json: added_tokens.json ({"[PAD]":
 * 32000}) and the added_tokens_decoder of tokenizer_config.json; and whether that file has BOS
 * and EOS added.
 */
#include "base/fs.h"
#include "base/json.h"
#include "text/tok_impl.h"

#define MAX_CONFIG (16u << 20)

static bool read_one(const char *dir, const char *name, json_t **out, struct err *e)
{
    struct arena a;
    const char *path;
    bool ok;

    arena_init(&a, 1 << 16);
    ok = fs_join(&a, dir, name, &path, e);
    if (ok && fs_exists(path)) ok = json_read_file(path, MAX_CONFIG, out, e);
    if (ok && *out && !json_is_object(*out)) ok = err_set(e, ERR_FORMAT, "%s: not an object", path);
    arena_free(&a);
    return ok;
}

/* The id that a key of added_tokens_decoder is. */
static bool key_id(const char *key, uint64_t *out, struct err *e)
{
    if (!parse_u64(str_of(key), out, e)) return err_wrap(e, "added_tokens_decoder");
    return *out < TOK_MAX_IDS || err_set(e, ERR_LIMIT, "an added token's id is %llu, too large",
                                         (unsigned long long)*out);
}

bool tok_extra_open(const char *dir, struct tok_extra *x, struct err *e)
{
    const char *key;
    json_t *v;
    uint64_t id;
    uint32_t id32;

    *x = (struct tok_extra){0};
    if (!dir) return true;
    if (!read_one(dir, "tokenizer_config.json", &x->config, e)) return false;
    if (!read_one(dir, "added_tokens.json", &x->added, e)) return false;
    json_object_foreach(json_object_get(x->config, "added_tokens_decoder"), key, v)
    {
        if (!key_id(key, &id, e)) return false;
        if (id >= x->ids) x->ids = id + 1;
        x->count++;
    }
    json_object_foreach(x->added, key, v)
    {
        if (!tok_json_id(v, &id32, e)) return err_wrap(e, "added_tokens.json");
        if (id32 >= x->ids) x->ids = (uint64_t)id32 + 1;
        x->count++;
    }
    return true;
}

void tok_extra_close(struct tok_extra *x)
{
    json_decref(x->config);
    json_decref(x->added);
    *x = (struct tok_extra){0};
}

/* One that is there already (from the vocabulary itself) is left as it is. */
static bool add(struct tokenizer *t, const struct tok_added *a, struct err *e)
{
    return (a->id < t->n && (t->piece[a->id].flags & TOK_P_ADDED)) || tok_def_added(t, a, e);
}

bool tok_extra_add(struct tokenizer *t, const struct tok_extra *x, struct err *e)
{
    const char *key;
    json_t *v;
    uint64_t id;

    json_object_foreach(json_object_get(x->config, "added_tokens_decoder"), key, v)
    {
        struct tok_added a = {0};
        if (!key_id(key, &id, e) || !json_get_str(v, "content", &a.content, e) ||
            !tok_json_flag(v, "special", false, &a.special, e) ||
            !tok_json_flag(v, "single_word", false, &a.single_word, e) ||
            !tok_json_flag(v, "lstrip", false, &a.lstrip, e) ||
            !tok_json_flag(v, "rstrip", false, &a.rstrip, e) ||
            !tok_json_flag(v, "normalized", !a.special, &a.normalized, e))
            return err_wrap(e, "added_tokens_decoder");
        a.id = (uint32_t)id;
        if (!add(t, &a, e)) return false;
    }
    json_object_foreach(x->added, key, v)
    {
        struct tok_added a = {.content = str_of(key), .special = true};
        if (!tok_json_id(v, &a.id, e) || !add(t, &a, e)) return err_wrap(e, "added_tokens.json");
    }
    return true;
}

bool tok_extra_template(struct tokenizer *t, const struct tok_extra *x, bool bos, bool eos,
                        struct err *e)
{
    uint32_t first = (uint32_t)t->bos, last = (uint32_t)t->eos;

    if (!tok_json_flag(x->config, "add_bos_token", bos, &bos, e) ||
        !tok_json_flag(x->config, "add_eos_token", eos, &eos, e))
        return false;
    return (!bos || t->bos < 0 || tok_def_prefix(t, &first, 1, e)) &&
           (!eos || t->eos < 0 || tok_def_suffix(t, &last, 1, e));
}
