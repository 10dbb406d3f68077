#include "slurm/job_log.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

enum { LINE_MAX_BYTES = 1 << 16 };

/* ---- writing */
static bool put_line(const char *path, json_t *j, struct err *e)
{
    struct fs_append *f = NULL;
    struct sbuf b;
    bool ok = false;

    sbuf_init(&b, LINE_MAX_BYTES);
    if (!j) {
        err_set(e, ERR_NOMEM, "a line of %s", path);
        goto out;
    }
    if (!json_put(&b, j, e) || !fs_append_open(path, &f, e)) goto out;
    ok = fs_append_line(f, sbuf_str(&b), e) && fs_append_sync(f, e);
out:
    fs_append_close(f);
    sbuf_free(&b);
    json_decref(j);
    return ok;
}

static json_t *words_json(const char *words)
{
    struct str rest = str_of(words), w;
    json_t *out = json_array();

    while (out && str_split(&rest, ' ', &w))
        if (w.n) json_array_append_new(out, json_stringn(w.p, w.n));
    return out;
}

bool job_log_put_begin(const char *path, const struct job_log_begin *b, struct err *e)
{
    return put_line(path,
                    json_pack("{s:s, s:I, s:s, s:I, s:o, s:I, s:I}", "event", "begin", "time",
                              (json_int_t)clock_wall_s(), "job", b->job, "restart",
                              (json_int_t)b->restart, "nodes", words_json(b->nodes), "saved",
                              (json_int_t)b->saved, "log", (json_int_t)b->log),
                    e);
}

bool job_log_put_end(const char *path, const struct job_log_end *r, struct err *e)
{
    return put_line(path,
                    json_pack("{s:s, s:I, s:s, s:i, s:i, s:I, s:s, s:s?, s:o}", "event", "end",
                              "time", (json_int_t)clock_wall_s(), "job", r->job, "code", r->code,
                              "exit", r->exit, "saved", (json_int_t)r->saved, "verdict", r->verdict,
                              "error", r->error, "bad", words_json(r->bad)),
                    e);
}

/* ---- reading */
static struct str text_of(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                             : (struct str){"", 0};
}

static uint64_t number_of(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

static void take_begin(struct job_log *out, const json_t *j)
{
    uint64_t saved = number_of(j, "saved");

    out->idle = out->attempts > 0 && saved == out->saved ? out->idle + 1 : 0;
    out->attempts++;
    out->saved = saved;
    out->log = number_of(j, "log");
    out->running = true;
}

static bool take_bad(struct job_log *out, const json_t *j, struct arena *a, struct err *e)
{
    const json_t *bad = json_object_get(j, "bad");

    for (size_t i = 0; i < json_array_size(bad) && out->nbad < JOB_LOG_BAD_MAX; i++) {
        const json_t *v = json_array_get(bad, i);
        struct str name = str_of(json_string_value(v));
        size_t k = 0;
        while (k < out->nbad && !str_eq(out->bad[k], name))
            k++;
        if (name.n == 0 || k < out->nbad) continue;
        if (!arena_str(a, name, &out->bad[out->nbad], e)) return false;
        out->nbad++;
    }
    return true;
}

static bool take_end(struct job_log *out, const json_t *j, struct arena *a, struct err *e)
{
    struct str error = text_of(j, "error");

    out->running = false;
    if (error.n) {
        out->error_saved = number_of(j, "saved");
        if (!arena_str(a, error, &out->error, e)) return false;
    }
    return arena_str(a, text_of(j, "verdict"), &out->verdict, e) && take_bad(out, j, a, e);
}

static bool take(struct job_log *out, struct str line, const char *job, struct str *latest,
                 struct arena *a, struct err *e)
{
    json_t *j = NULL;
    struct err bad = {0};

    if (!json_parse(line, "a line of a journal", &j, &bad)) return true;
    struct str event = text_of(j, "event"), id = text_of(j, "job");
    bool ok = true;
    if (!job && !str_eq(id, *latest)) {
        *out = (struct job_log){0};
        ok = arena_str(a, id, latest, e);
    }
    if (ok && (!job || str_eqz(id, job))) {
        if (str_eqz(event, "begin"))
            take_begin(out, j);
        else if (str_eqz(event, "end"))
            ok = take_end(out, j, a, e);
    }
    json_decref(j);
    return ok;
}

bool job_log_read(const char *path, const char *job, struct arena *a, struct job_log *out,
                  struct err *e)
{
    struct str text;

    *out = (struct job_log){0};
    if (!fs_exists(path)) return true;
    return fs_read_file(path, JOB_LOG_MAX_BYTES, a, &text, e) &&
           job_log_parse(text, job, a, out, e);
}

bool job_log_parse(struct str text, const char *job, struct arena *a, struct job_log *out,
                   struct err *e)
{
    struct str line, latest = {"", 0};

    *out = (struct job_log){0};
    while (str_split(&text, '\n', &line))
        if (line.n && !take(out, line, job, &latest, a, e)) return false;
    return true;
}
