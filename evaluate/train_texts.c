#include "evaluate/train_texts.h"

#include "base/fs.h"
#include "base/jsonl.h"

enum { LINE_MAX_BYTES = 4 << 20 };

struct row {
    struct str findings, impression;
};
struct rows {
    struct arena *arena;
    struct row *row;
    size_t n;
};

/* A string member; missing and null are empty. */
static bool get_text(const json_t *obj, const char *key, struct str *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);
    *out = STR("");
    if (!v || json_is_null(v)) return true;
    if (!json_is_string(v)) return err_set(e, ERR_FORMAT, "\"%s\" is not a text", key);
    *out = (struct str){json_string_value(v), json_string_length(v)};
    return true;
}

static bool put_row(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    struct rows *r = ctx;
    struct str findings, impression, split;
    (void)index;
    if (!get_text(obj, "split", &split, e) || !get_text(obj, "findings", &findings, e) ||
        !get_text(obj, "reference", &impression, e))
        return false;
    if (impression.n == 0 && !get_text(obj, "impression", &impression, e)) return false;
    if (!json_object_get(obj, "findings") ||
        !(json_object_get(obj, "reference") || json_object_get(obj, "impression")))
        return err_set(e, ERR_FORMAT,
                       "a training report needs \"findings\" and \"reference\" (or "
                       "\"impression\")");
    if (findings.n == 0 || impression.n == 0) return true;
    if (split.n > 0 && !str_eqz(split, "train")) return true;
    struct row *row = &r->row[r->n++];
    return arena_str(r->arena, findings, &row->findings, e) &&
           arena_str(r->arena, impression, &row->impression, e);
}

static bool get_row(void *ctx, size_t i, struct str *findings, struct str *impression,
                    struct err *e)
{
    const struct row *row = (const struct row *)ctx + i;
    (void)e;
    if (findings) *findings = row->findings;
    if (impression) *impression = row->impression;
    return true;
}

bool train_texts_parse(struct str text, const char *name, struct arena *a, struct train_texts *out,
                       struct err *e)
{
    struct rows r = {.arena = a};
    *out = (struct train_texts){.name = name, .get = get_row};
    r.row = arena_alloc(a, (jsonl_count(text) + 1) * sizeof *r.row, e);
    if (!r.row || !jsonl_each(text, name, LINE_MAX_BYTES, put_row, &r, e)) return false;
    out->ctx = r.row;
    out->n = r.n;
    return r.n > 0 || err_set(e, ERR_FORMAT, "%s: no training report in it", name);
}

bool train_texts_read(const char *path, struct arena *a, struct train_texts *out, struct err *e)
{
    struct fs_map map;
    if (!fs_map_open(path, &map, e)) return false;
    bool ok = train_texts_parse((struct str){(const char *)map.p, map.n}, path, a, out, e);
    fs_map_close(&map);
    return ok;
}
