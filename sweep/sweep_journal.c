#include "sweep/sweep_journal.h"

#include <math.h>

#include "base/hash.h"

enum { CRC_DIGITS = 8 };

const char *const sweep_failure_names[SWEEP_FAILURES + 1] = {"out-of-memory", "diverged", "code",
                                                             "node",          "lost",     NULL};
const char *const sweep_metric_names[SWEEP_METRICS + 1] = {"dev_loss", "dev_bits_per_byte",
                                                           "rougeL", NULL};
static const char *const ops[SWEEP_OPS + 1] = {"start", "report", "fail", "release", "stop", NULL};

bool sweep_journal_has_point(const struct sweep_record *r)
{
    return !r->prepare && (r->op == SWEEP_OP_START || r->op == SWEEP_OP_REPORT);
}

/* ---- writing */

static bool put_number(struct sbuf *b, const char *key, double v, struct err *e)
{
    if (!isfinite(v)) return true;
    return sbuf_printf(b, e, ",\"%s\":", key) && sbuf_put_f64(b, v, e);
}

static bool put_point(const struct space *s, const struct space_point *p, struct sbuf *b,
                      struct err *e)
{
    struct sbuf text;
    bool first = true, ok = false;

    sbuf_init(&text, SWEEP_LINE_MAX);
    if (!sbuf_put(b, STR(",\"params\":{"), e)) goto out;
    for (size_t d = 0; d < s->n; d++) {
        if (!(p->on >> d & 1)) continue;
        sbuf_clear(&text);
        if (!first && !sbuf_putc(b, ',', e)) goto out;
        first = false;
        if (!json_put_str(b, str_of(s->p[d].key), false, e) || !sbuf_putc(b, ':', e)) goto out;
        if (!space_put_text(&s->p[d], p->v[d], &text, e)) goto out;
        if (!json_put_str(b, sbuf_str(&text), false, e)) goto out;
    }
    ok = sbuf_putc(b, '}', e);
out:
    sbuf_free(&text);
    return ok;
}

static bool put_result(const struct sweep_result *r, struct sbuf *b, struct err *e)
{
    for (int i = 0; i < SWEEP_METRICS; i++)
        if (!put_number(b, sweep_metric_names[i], r->value[i], e)) return false;
    return put_number(b, "train_loss", r->train_loss, e) &&
           sbuf_printf(b, e, ",\"step\":%llu,\"total_steps\":%llu,\"tokens\":%llu,\"memory\":%llu",
                       (unsigned long long)r->step, (unsigned long long)r->total_steps,
                       (unsigned long long)r->tokens, (unsigned long long)r->memory_bytes);
}

static bool put_body(const struct space *s, const struct sweep_record *r, struct sbuf *b,
                     struct err *e)
{
    if (!sbuf_printf(b, e, "{\"op\":\"%s\",\"%s\":%llu,\"rung\":%u,\"attempt\":%u,\"time\":%lld",
                     ops[r->op], r->prepare ? "prepare" : "trial", (unsigned long long)r->trial,
                     r->rung, r->attempt, (long long)r->time))
        return false;
    if (sweep_journal_has_point(r) && !put_point(s, &r->point, b, e)) return false;
    if (r->seen.n > 0 &&
        (!sbuf_put(b, STR(",\"seen\":"), e) || !json_put_str(b, r->seen, false, e)))
        return false;
    if (r->op == SWEEP_OP_REPORT && !put_result(&r->r, b, e)) return false;
    if (r->op != SWEEP_OP_START && !put_number(b, "gpu_s", r->r.gpu_s, e)) return false;
    if (r->op == SWEEP_OP_FAIL &&
        (!sbuf_printf(b, e, ",\"class\":\"%s\",\"error\":", sweep_failure_names[r->failure]) ||
         !json_put_str(b, r->text, false, e)))
        return false;
    return sbuf_putc(b, '}', e);
}

bool sweep_journal_put(const struct space *s, const struct sweep_record *r, struct sbuf *b,
                       struct err *e)
{
    size_t from = b->n;

    if (!put_body(s, r, b, e)) return false;
    if (b->n - from > SWEEP_LINE_MAX - CRC_DIGITS - 2)
        return err_set(e, ERR_LIMIT, "a journal record of %zu bytes", b->n - from);
    return sbuf_printf(b, e, "\t%08x\n", hash_crc32c(0, b->p + from, b->n - from));
}

/* ---- reading */

bool sweep_journal_check(struct str line, struct str *json)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t want = 0;

    if (line.n < CRC_DIGITS + 3 || line.n > SWEEP_LINE_MAX) return false;
    size_t n = line.n - CRC_DIGITS - 1;
    if (line.p[n] != '\t') return false;
    for (size_t i = n + 1; i < line.n; i++) {
        const char *at = memchr(digits, line.p[i], 16);
        if (!at) return false;
        want = want << 4 | (uint32_t)(at - digits);
    }
    *json = (struct str){line.p, n};
    return hash_crc32c(0, line.p, n) == want;
}

static double number_or_nan(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static uint64_t whole_or_zero(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

static bool get_point(const struct space *s, const json_t *j, struct space_point *out,
                      struct err *e)
{
    json_t *params;
    uint32_t given = 0;

    *out = (struct space_point){.on = 0};
    if (!json_get_obj(j, "params", &params, e)) return false;
    for (size_t d = 0; d < s->n; d++) {
        const json_t *v = json_object_get(params, s->p[d].key);
        if (!v) continue;
        struct str text = {json_string_value(v), json_string_length(v)};
        if (!json_is_string(v) || !space_get_text(&s->p[d], text, &out->v[d], e))
            return e->code ? false : err_set(e, ERR_FORMAT, "params of another space");
        given |= 1U << d;
    }
    space_settle(s, out);
    if (out->on == given && json_object_size(params) == (size_t)__builtin_popcount(given))
        return true;
    return err_set(e, ERR_FORMAT, "params of another space");
}

static int word_in(const char *const *names, struct str s)
{
    for (int i = 0; names[i]; i++)
        if (str_eqz(s, names[i])) return i;
    return -1;
}

static void get_result(const json_t *j, struct sweep_result *r)
{
    for (int i = 0; i < SWEEP_METRICS; i++)
        r->value[i] = number_or_nan(j, sweep_metric_names[i]);
    r->train_loss = number_or_nan(j, "train_loss");
    r->step = whole_or_zero(j, "step");
    r->total_steps = whole_or_zero(j, "total_steps");
    r->tokens = whole_or_zero(j, "tokens");
    r->memory_bytes = whole_or_zero(j, "memory");
    double gpu_s = number_or_nan(j, "gpu_s");
    r->gpu_s = gpu_s >= 0 ? gpu_s : 0;
}

static bool get_fail(const json_t *j, struct sweep_record *out, struct err *e)
{
    struct str name;

    if (!json_get_str(j, "class", &name, e) || !json_get_str(j, "error", &out->text, e))
        return false;
    int f = word_in(sweep_failure_names, name);
    if (f < 0) return err_set(e, ERR_FORMAT, "a failure of no known class");
    out->failure = (enum sweep_failure)f;
    return true;
}

static bool get_body(const struct space *s, const json_t *j, struct sweep_record *out,
                     struct err *e)
{
    uint64_t rung, attempt, time;
    struct str op;

    *out = (struct sweep_record){.prepare = json_object_get(j, "prepare") != NULL};
    if (!json_get_str(j, "op", &op, e) ||
        !json_get_u64(j, out->prepare ? "prepare" : "trial", &out->trial, e) ||
        !json_get_u64(j, "rung", &rung, e) || !json_get_u64(j, "attempt", &attempt, e) ||
        !json_get_u64(j, "time", &time, e))
        return false;
    int k = word_in(ops, op);
    if (k < 0 || rung > 1000 || attempt > 100000 || out->trial > 10000000 || time > INT64_MAX)
        return err_set(e, ERR_FORMAT, "a record of no known kind");
    out->op = (enum sweep_op)k;
    out->rung = (uint32_t)rung;
    out->attempt = (uint32_t)attempt;
    out->time = (int64_t)time;
    get_result(j, &out->r);
    const json_t *seen = json_object_get(j, "seen");
    if (json_is_string(seen))
        out->seen = (struct str){json_string_value(seen), json_string_length(seen)};
    if (out->op == SWEEP_OP_FAIL) return get_fail(j, out, e);
    return !sweep_journal_has_point(out) || get_point(s, j, &out->point, e);
}

bool sweep_journal_get(const struct space *s, struct str line, struct sweep_record *out,
                       json_t **keep, struct err *e)
{
    struct str json;

    *keep = NULL;
    if (!sweep_journal_check(line, &json))
        return err_set(e, ERR_FORMAT, "the checksum of a record does not hold");
    if (!json_parse(json, "a journal record", keep, e)) return false;
    if (get_body(s, *keep, out, e)) return true;
    json_decref(*keep);
    *keep = NULL;
    return false;
}
