#include "serve/jot.h"

#include <math.h>

#include "base/json.h"
#include "text/utf8.h"

struct jot jot_begin(struct sbuf *b, struct err *e)
{
    return (struct jot){b, e, true};
}

void jot_put(struct jot *j, const char *text)
{
    j->ok = j->ok && sbuf_put(j->b, str_of(text), j->e);
}

void jot_str(struct jot *j, struct str s)
{
    struct sbuf fixed;
    uint64_t bad = 0;

    if (utf8_valid(s)) {
        j->ok = j->ok && json_put_str(j->b, s, false, j->e);
        return;
    }
    sbuf_init(&fixed, 4 * s.n + 4);
    j->ok = j->ok && utf8_repair(s, &fixed, &bad, j->e) &&
            json_put_str(j->b, sbuf_str(&fixed), false, j->e);
    sbuf_free(&fixed);
}

void jot_u64(struct jot *j, uint64_t v)
{
    j->ok = j->ok && sbuf_printf(j->b, j->e, "%llu", (unsigned long long)v);
}

void jot_f64(struct jot *j, double v)
{
    if (!isfinite(v))
        jot_put(j, "null");
    else
        j->ok = j->ok && sbuf_put_f64(j->b, v, j->e);
}

void jot_key(struct jot *j, const char *key)
{
    char last = j->b->n ? j->b->p[j->b->n - 1] : '{';

    if (last != '{' && last != '[') jot_put(j, ",");
    jot_str(j, str_of(key));
    jot_put(j, ":");
}

void jot_pair(struct jot *j, const char *key, const char *text)
{
    jot_key(j, key);
    if (text)
        jot_str(j, str_of(text));
    else
        jot_put(j, "null");
}

void jot_count(struct jot *j, const char *key, uint64_t v)
{
    jot_key(j, key);
    jot_u64(j, v);
}

void jot_real(struct jot *j, const char *key, double v)
{
    jot_key(j, key);
    jot_f64(j, v);
}
