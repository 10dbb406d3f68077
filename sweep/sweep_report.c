#include "sweep/sweep_report.h"

#include <inttypes.h>
#include <math.h>

#include "base/fs.h"
#include "base/json.h"
#include "sweep/report_page.h"
#include "sweep/sweep_facts.h"

enum { FACTS_BYTES = 256 << 20 };

/* JSON inside HTML: no text of it may look like the end of its element. */
static bool put_facts(struct fs_writer *w, struct str facts, struct err *e)
{
    while (facts.n > 0) {
        const char *at = memchr(facts.p, '<', facts.n);
        size_t n = at ? (size_t)(at - facts.p) : facts.n;
        if (!fs_writer_put(w, facts.p, n, e)) return false;
        if (at && !fs_writer_put(w, "\\u003c", 6, e)) return false;
        facts = str_sub(facts, n + (at != NULL), facts.n);
    }
    return true;
}

static bool write_page(const struct sweep *s, const char *path, struct err *e)
{
    static const struct str place = STR_INIT("@FACTS@");
    struct str page = {report_page, report_page_bytes};
    size_t at = str_find(page, place, 0);
    struct fs_writer *w = NULL;
    struct sbuf facts;
    bool ok = false;

    CHECK(at != SIZE_MAX);
    sbuf_init(&facts, FACTS_BYTES);
    if (!sweep_facts(s, &facts, e)) goto out;
    if (!fs_writer_open(path, &w, e)) goto out;
    ok = fs_writer_put(w, page.p, at, e) && put_facts(w, sbuf_str(&facts), e) &&
         fs_writer_put(w, page.p + at + place.n, page.n - at - place.n, e) &&
         fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    sbuf_free(&facts);
    return ok;
}

/* ---- CSV (RFC 4180, LF) */

static bool put_cell(struct sbuf *b, struct str s, struct err *e)
{
    if (!sbuf_put(b, STR(",\""), e)) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == '"' && !sbuf_putc(b, '"', e)) || !sbuf_putc(b, s.p[i], e)) return false;
    return sbuf_putc(b, '"', e);
}

static bool put_number(struct sbuf *b, double v, struct err *e)
{
    return sbuf_putc(b, ',', e) && (!isfinite(v) || sbuf_put_f64(b, v, e));
}

static bool put_row(const struct sweep *s, uint64_t k, struct sbuf *b, struct err *e)
{
    const struct sweep_trial *t = &s->state.trial[k];
    int rung = sweep_state_reached(&s->state, k);
    struct sweep_result r = {.value = {(double)NAN, (double)NAN, (double)NAN},
                             .train_loss = (double)NAN};
    struct sbuf text;
    bool ok;

    if (rung >= 0) r = sweep_state_unit(&s->state, k, (uint32_t)rung)->r;
    sbuf_init(&text, SWEEP_LINE_MAX);
    ok = sbuf_printf(b, e, "%" PRIu64 ",%s,%d,%" PRIu64 ",%" PRIu64, k, sweep_trial_state(s, k),
                     rung, r.step, r.total_steps);
    for (int m = 0; ok && m < SWEEP_METRICS; m++)
        ok = put_number(b, r.value[m], e);
    ok = ok && put_number(b, r.train_loss, e) && put_number(b, sweep_trial_gpu_s(s, k), e) &&
         sbuf_printf(b, e, ",%" PRIu64, r.memory_bytes);
    for (size_t d = 0; ok && d < s->space.n; d++) {
        sbuf_clear(&text);
        ok = (!(t->point.on >> d & 1) || space_put_text(&s->space.p[d], t->point.v[d], &text, e)) &&
             put_cell(b, sbuf_str(&text), e);
    }
    ok = ok && put_cell(b, str_of(t->error), e) && sbuf_putc(b, '\n', e);
    sbuf_free(&text);
    return ok;
}

static bool write_table(const struct sweep *s, const char *path, struct err *e)
{
    struct sbuf b;
    bool ok;

    sbuf_init(&b, FACTS_BYTES);
    ok = sbuf_put(&b, STR("trial,state,rung,step,total_steps"), e);
    for (int m = 0; ok && m < SWEEP_METRICS; m++)
        ok = sbuf_printf(&b, e, ",%s", sweep_metric_names[m]);
    ok = ok && sbuf_put(&b, STR(",train_loss,gpu_s,memory_bytes"), e);
    for (size_t d = 0; ok && d < s->space.n; d++)
        ok = put_cell(&b, str_of(s->space.p[d].key), e);
    ok = ok && sbuf_put(&b, STR(",error\n"), e);
    for (uint64_t k = 0; ok && k < s->state.ntrials; k++)
        if (s->state.trial[k].known) ok = put_row(s, k, &b, e);
    ok = ok && fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    return ok;
}

bool sweep_report(const struct sweep *s, const char *html, const char *csv, struct err *e)
{
    return write_table(s, csv, e) && write_page(s, html, e);
}
