/*
 * JSON lines: an object a report, as nested as it likes (ingest/json_stream.h).
 *
 * An object is flattened to values by path: {"report": {"findings": "x"}} has report.findings; the
 * elements of an array share a path, and strings of one path are joined by line breaks. What a path
 * holds is learned once: a path the configuration names, else a usual name (ingest/roles.h) that is
 * the whole path or, below, its last part; of several the more usual name wins, then the earlier.
 * An object that holds an array of reports ({"results": [...]}) is rejected: its elements, told by
 * patients or studies that differ, would run together.
 */
#include "base/mem.h"
#include "ingest/format.h"
#include "ingest/json_stream.h"
#include "ingest/roles.h"

enum { MAX_PATH = 512, MAX_PATHS = 512, MAX_VALUE = 32, MAX_NUMBER = 64 };

/* A path seen before, and what it holds: role -1, nothing of ours. */
struct known {
    char *path;
    size_t n;
    int role, rank; /* lower rank: a better name for the role */
};
struct jsonl_reader {
    struct json_stream *json;
    const struct ingest_columns *asked;
    struct known known[MAX_PATHS];
    size_t nknown;
    struct sbuf value[MAX_PATHS];           /* of this object, by known path */
    bool set[MAX_PATHS], differ[MAX_PATHS]; /* differ: objects of an array are of two reports */
    unsigned array;                         /* objects within arrays around the value at hand */
    struct sbuf cell[ROLE_COUNT], joined;
    uint64_t objects;
};

static bool owns(struct str name, struct str last)
{
    (void)name;
    return format_ends(last, ".jsonl") || format_ends(last, ".ndjson") ||
           format_ends(last, ".json");
}

static bool looks(struct str head)
{
    while (head.n > 0 && memchr(" \t\r\n[", head.p[0], 5))
        head = str_sub(head, 1, head.n);
    if (head.n < 2 || head.p[0] != '{') return false;
    head = str_trim(str_sub(head, 1, head.n));
    return head.n > 0 && head.p[0] == '"';
}

/* ---- what a path holds */
static bool is_asked(const struct jsonl_reader *r, struct str path, struct known *out)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        for (size_t i = 0; i < r->asked->role[role].n; i++) {
            if (!role_same_name(path, str_of(r->asked->role[role].v[i]))) continue;
            out->role = role;
            out->rank = -ROLE_MAX_JOINED + (int)i; /* all that are asked for are joined */
            return true;
        }
    }
    return false;
}

/* A part of a path that only says that a report follows. */
static bool is_wrapper(struct str part)
{
    static const char *const names[] = {"report", "study",    "exam",  "data",
                                        "record", "sections", "result"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (role_same_name(part, str_of(names[i]))) return true;
    }
    return false;
}

static void guess(const struct jsonl_reader *r, struct str path, struct known *out)
{
    size_t dot = path.n;
    struct str last, front;

    while (dot > 0 && path.p[dot - 1] != '.')
        dot--;
    last = str_sub(path, dot, path.n);
    front = str_sub(path, 0, dot ? dot - 1 : 0);
    for (int role = 0; role < ROLE_COUNT; role++) {
        int whole = role_usual((enum ingest_role)role, path);
        int part = role_usual((enum ingest_role)role, last);
        int rank = whole >= 0 ? 2 * whole : part >= 0 ? 2 * part + 1 : -1;
        /* "patient.id" is no report's id, and "device.status" no report's status. */
        bool odd = whole < 0 && dot > 0 && !is_wrapper(front) &&
                   (role == ROLE_ID || role == ROLE_STATUS || role == ROLE_CODE ||
                    role == ROLE_TEXT || role == ROLE_TIME || role == ROLE_DESCRIPTION);
        if (rank < 0 || odd || r->asked->role[role].n > 0) continue;
        out->role = role;
        out->rank = rank;
        return;
    }
}

/* Index among the known paths, or MAX_PATHS: there are too many to know. */
static bool find_path(struct jsonl_reader *r, struct str path, size_t *out, struct err *e)
{
    struct known *k;

    for (*out = 0; *out < r->nknown; (*out)++) {
        k = &r->known[*out];
        if (k->n == path.n && memcmp(k->path, path.p, path.n) == 0) return true;
    }
    if (r->nknown == MAX_PATHS) return true;
    k = &r->known[r->nknown];
    k->path = mem_alloc(path.n + 1, e);
    if (!k->path) return false;
    memcpy(k->path, path.p, path.n);
    k->n = path.n;
    k->role = -1;
    if (!is_asked(r, path, k)) guess(r, path, k);
    sbuf_init(&r->value[r->nknown], r->joined.max_bytes);
    *out = r->nknown++;
    return true;
}

/* ---- one object */
static bool tells_reports(int role)
{
    return role == ROLE_STUDY || role == ROLE_PATIENT;
}

static bool put_value(struct jsonl_reader *r, struct str path, struct str value, struct err *e)
{
    struct sbuf *b;
    size_t i;

    if (value.n == 0) return true;
    if (!find_path(r, path, &i, e)) return false;
    if (i == MAX_PATHS || r->known[i].role < 0) return true;
    b = &r->value[i];
    if (r->array > 0 && r->set[i] && tells_reports(r->known[i].role)) {
        r->differ[i] |= !str_eq(sbuf_str(b), value);
        return true;
    }
    r->set[i] = true;
    return (b->n == 0 || sbuf_putc(b, '\n', e)) && sbuf_put(b, value, e);
}

/* Depth is bounded by base/json's limit on nesting. */
static bool flatten(struct jsonl_reader *r, const json_t *v, char path[MAX_PATH], size_t n,
                    struct err *e)
{
    char number[MAX_NUMBER];
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            r->array += json_is_object(child);
            if (!flatten(r, child, path, n, e)) return false;
            r->array -= json_is_object(child);
        }
        return true;
    }
    if (!json_is_object(v))
        return put_value(r, (struct str){path, n}, json_stream_text(v, number, sizeof number), e);
    json_object_foreach((json_t *)v, key, child)
    {
        size_t len = strlen(key), at = n + (n > 0);
        if (at + len >= MAX_PATH) continue; /* no name of ours is so long */
        if (n > 0) path[n] = '.';
        memcpy(path + at, key, len);
        if (!flatten(r, child, path, at + len, e)) return false;
    }
    return true;
}

/* The role's values: the best name's, or all where all are wanted. *several: they are of several
 * reports. */
static bool fill_cell(struct jsonl_reader *r, int role, struct str *out, bool *several,
                      struct err *e)
{
    struct sbuf *cell = &r->cell[role];
    size_t best = MAX_PATHS;
    bool all = r->asked->role[role].n > 0 || role == ROLE_CLINICAL;

    *out = STR("");
    sbuf_clear(cell);
    for (size_t i = 0; i < r->nknown; i++) {
        if (!r->set[i] || r->known[i].role != role) continue;
        if (best == MAX_PATHS || r->known[i].rank < r->known[best].rank) best = i;
        if (!all) continue;
        *several |= r->differ[i];
        if (cell->n > 0 && !sbuf_putc(cell, '\n', e)) return false;
        if (!sbuf_put(cell, sbuf_str(&r->value[i]), e)) return false;
    }
    if (all && cell->n > 0)
        *out = sbuf_str(cell);
    else if (best < MAX_PATHS)
        *out = sbuf_str(&r->value[best]);
    if (!all && best < MAX_PATHS) *several |= r->differ[best];
    return true;
}

static bool take_object(struct jsonl_reader *r, const json_t *root, struct format_item *out,
                        struct err *e)
{
    struct str cell[ROLE_COUNT];
    char path[MAX_PATH];
    bool several = false;

    r->array = 0;
    for (size_t i = 0; i < r->nknown; i++) {
        r->set[i] = r->differ[i] = false;
        sbuf_clear(&r->value[i]);
    }
    if (!flatten(r, root, path, 0, e)) return false;
    for (int role = 0; role < ROLE_COUNT; role++) {
        if (!fill_cell(r, role, &cell[role], &several, e)) return false;
    }
    r->objects++;
    if (several) {
        out->kind = ITEM_REJECT;
        out->reason = REJECT_FORMAT;
        return true;
    }
    return role_report(cell, &r->joined, &out->in, e);
}

/* ---- the format */
static void shut(void *reader)
{
    struct jsonl_reader *r = reader;

    if (!r) return;
    for (size_t i = 0; i < r->nknown; i++) {
        mem_free(r->known[i].path);
        sbuf_free(&r->value[i]);
    }
    for (int i = 0; i < ROLE_COUNT; i++)
        sbuf_free(&r->cell[i]);
    sbuf_free(&r->joined);
    json_stream_close(r->json);
    mem_free(r);
}

static bool open_jsonl(const struct format_input *in, void **out, struct err *e)
{
    struct jsonl_reader *r = mem_calloc(1, sizeof *r, e);
    size_t max = (size_t)MAX_VALUE * in->max_entry + MAX_PATH;

    *out = NULL;
    if (!r) return false;
    r->asked = &in->source->columns;
    for (int i = 0; i < ROLE_COUNT; i++)
        sbuf_init(&r->cell[i], 2 * max);
    sbuf_init(&r->joined, 4 * max);
    if (!json_stream_open(in->in, (enum charset_as)in->source->encoding, max, &r->json, e)) {
        shut(r);
        return false;
    }
    *out = r;
    return true;
}

/* A file in which no key is known to hold text was not understood. */
static bool check_keys(const struct jsonl_reader *r, struct err *e)
{
    for (size_t i = 0; i < r->nknown; i++) {
        int role = r->known[i].role;
        if (role == ROLE_TEXT || role == ROLE_FINDINGS || role == ROLE_IMPRESSION) return true;
    }
    return r->objects == 0 ||
           err_set(e, ERR_CONFIG,
                   "none of the %zu keys is known as report text, findings or impression: name "
                   "them under columns, as a path (a.b.c)",
                   r->nknown);
}

static bool next(void *reader, struct format_item *out, bool *more, struct err *e)
{
    struct jsonl_reader *r = reader;
    struct json_item item;

    if (!json_stream_next(r->json, &item, more, e)) return false;
    *out = (struct format_item){.kind = ITEM_REPORT, .line = item.line};
    out->in.offset = item.offset;
    if (!*more) return check_keys(r, e);
    if (item.root) return take_object(r, item.root, out, e);
    out->kind = ITEM_REJECT;
    out->reason = item.too_long ? REJECT_TOO_LARGE : item.cut ? REJECT_TRUNCATED : REJECT_FORMAT;
    return true;
}

const struct format format_jsonl = {
    .owns = owns, .looks = looks, .open = open_jsonl, .next = next, .close = shut};
