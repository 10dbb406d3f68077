#include "base/jsonl.h"

static struct str without_bom(struct str text)
{
    return str_starts(text, STR("\xef\xbb\xbf")) ? str_sub(text, 3, text.n) : text;
}

/* The next line that is not blank; *number counts all lines from 1. */
static bool next_line(struct str *rest, size_t *number, struct str *line)
{
    while (str_split(rest, '\n', line)) {
        ++*number;
        if (str_trim(*line).n > 0) return true;
    }
    return false;
}

size_t jsonl_count(struct str text)
{
    struct str rest = without_bom(text), line;
    size_t number = 0, n = 0;

    while (next_line(&rest, &number, &line))
        n++;
    return n;
}

static bool one_line(struct str line, size_t max_line, size_t index, jsonl_fn fn, void *ctx,
                     struct err *e)
{
    json_t *obj = NULL;
    bool ok;

    if (line.n > max_line)
        return err_set(e, ERR_LIMIT, "%zu bytes in one line, at most %zu are read", line.n,
                       max_line);
    if (!json_parse(line, "JSON", &obj, e)) return false;
    ok = json_is_object(obj) || err_set(e, ERR_FORMAT, "not a JSON object");
    ok = ok && fn(ctx, index, obj, e);
    json_decref(obj);
    return ok;
}

bool jsonl_each(struct str text, const char *name, size_t max_line, jsonl_fn fn, void *ctx,
                struct err *e)
{
    struct str rest = without_bom(text), line;
    size_t number = 0;

    for (size_t i = 0; next_line(&rest, &number, &line); i++)
        if (!one_line(line, max_line, i, fn, ctx, e))
            return err_wrap(e, "%s: line %zu", name, number);
    return true;
}
