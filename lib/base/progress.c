#include "base/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pulse.h"

#define SHOW_EVERY_S   0.1
#define LOG_EVERY_S    30.0
#define STATUS_EVERY_S 2.0
#define WINDOW_S       60.0

void progress_start(struct progress *p, int rank, const char *stage, const char *unit,
                    uint64_t total, const char *run_dir)
{
    *p = (struct progress){.stage = stage, .unit = unit, .total = total};
    if (rank != 0) return;
    p->active = true;
    p->tty = log_is_live();
    p->start_s = p->last_show_s = clock_mono_s();
    p->last_status_s = p->start_s - STATUS_EVERY_S;
    if (!run_dir) return;
    int n = snprintf(p->status_path, sizeof p->status_path, "%s/status.json", run_dir);
    if (n < (int)sizeof p->status_path) return;
    p->status_path[0] = 0;
    log_warn("progress.status", "error=\"path of the run folder too long for status.json\"");
}

/* Units a second since then; negative: nothing can be said. */
static double rate_since(const struct progress *p, double then, uint64_t count, double now)
{
    bool known = p->begun && p->done > p->first && p->done >= count && now > then;
    return known ? (double)(p->done - count) / (now - then) : -1.0;
}

/* Over the last one to two minutes. */
static double rate_of(const struct progress *p, double now)
{
    return rate_since(p, p->window[0].s, p->window[0].done, now);
}

/* Seconds to go; negative: unknown. */
static double eta_of(const struct progress *p, double rate)
{
    if (p->total == 0 || rate <= 0.0) return -1.0;
    return p->done >= p->total ? 0.0 : (double)(p->total - p->done) / rate;
}

static bool put_status(struct sbuf *b, const struct progress *p, const char *state, double now,
                       struct err *e)
{
    char updated[21];
    double rate = rate_of(p, now), eta = eta_of(p, rate);
    clock_iso8601(clock_wall_s(), updated);
    if (!sbuf_put(b, STR("{\"stage\": "), e) || !json_put_str(b, str_of(p->stage), false, e) ||
        !sbuf_printf(b, e, ", \"state\": \"%s\", \"done\": %llu, \"total\": %llu, \"unit\": ",
                     state, (unsigned long long)p->done, (unsigned long long)p->total) ||
        !json_put_str(b, str_of(p->unit), false, e))
        return false;
    if (rate >= 0.0 ? !sbuf_printf(b, e, ", \"rate\": %.6g", rate)
                    : !sbuf_put(b, STR(", \"rate\": null"), e))
        return false;
    if (eta >= 0.0 ? !sbuf_printf(b, e, ", \"eta_s\": %.0f", eta)
                   : !sbuf_put(b, STR(", \"eta_s\": null"), e))
        return false;
    if (p->has_saved && !sbuf_printf(b, e, ", \"saved\": %llu", (unsigned long long)p->saved))
        return false;
    return sbuf_put(b, STR(", \"detail\": "), e) && json_put_str(b, str_of(p->detail), false, e) &&
           sbuf_printf(b, e, ", \"elapsed_s\": %.0f, \"pid\": %ld, \"updated\": \"%s\"}\n",
                       now - p->start_s, (long)getpid(), updated);
}

static void write_status(struct progress *p, const char *state, double now)
{
    struct err e = {0};
    struct sbuf b;
    if (!p->status_path[0]) return;
    p->last_status_s = now;
    sbuf_init(&b, 4096);
    bool ok = put_status(&b, p, state, now, &e) && fs_replace(p->status_path, sbuf_str(&b), &e);
    sbuf_free(&b);
    if (ok) return;
    log_warn("progress.status", "error=%s", e.text);
    p->status_path[0] = 0; /* said once: the work matters more than its report */
}

static void put_duration(double s, char *out, size_t size)
{
    unsigned long long t = s < 1e9 ? (unsigned long long)(s + 0.5) : 1000000000u;
    if (t >= 3600)
        snprintf(out, size, "%lluh%02llum", t / 3600, t / 60 % 60);
    else
        snprintf(out, size, "%llum%02llus", t / 60, t % 60);
}

static void show_live(const struct progress *p, double now)
{
    char line[256], eta[32] = "?", total[48] = "", pace[32] = "";
    double rate = rate_of(p, now), left = eta_of(p, rate);
    if (left >= 0.0) put_duration(left, eta, sizeof eta);
    if (rate >= 0.0) snprintf(pace, sizeof pace, " %.4g/s,", rate);
    if (p->total)
        snprintf(total, sizeof total, "/%llu (%.1f%%)", (unsigned long long)p->total,
                 100.0 * (double)p->done / (double)p->total);
    snprintf(line, sizeof line, "%s %llu%s %s,%s eta %s %.100s", p->stage,
             (unsigned long long)p->done, total, p->unit, pace, eta, p->detail);
    log_live(line);
}

/* "rate=12.5", or nothing. */
static const char *put_rate(double rate, char *out, size_t size)
{
    out[0] = 0;
    if (rate >= 0.0) snprintf(out, size, "rate=%.4g", rate);
    return out;
}

static void show_log(const struct progress *p, double now)
{
    char event[96], pace[32], left[32] = "";
    double rate = rate_of(p, now), eta = eta_of(p, rate);
    if (eta >= 0.0) snprintf(left, sizeof left, "eta_s=%.0f", eta);
    snprintf(event, sizeof event, "%s.progress", p->stage);
    log_info(event, "done=%llu total=%llu unit=%s %s %s %s", (unsigned long long)p->done,
             (unsigned long long)p->total, p->unit, put_rate(rate, pace, sizeof pace), left,
             p->detail);
}

static void take_count(struct progress *p, uint64_t done, double now)
{
    p->done = done;
    if (!p->begun) {
        p->begun = true;
        p->first = done;
        p->first_s = now;
        for (int i = 0; i < 2; i++) {
            p->window[i].s = now;
            p->window[i].done = done;
        }
    } else if (now - p->window[1].s >= WINDOW_S) {
        p->window[0] = p->window[1];
        p->window[1].s = now;
        p->window[1].done = done;
    }
}

void progress_update(struct progress *p, uint64_t done, const char *detail)
{
    if (p->unit) pulse_at(p->unit, done); /* on every rank */
    if (!p->active) return;
    double now = clock_mono_s();
    take_count(p, done, now);
    snprintf(p->detail, sizeof p->detail, "%s", detail ? detail : "");
    if (now - p->last_show_s >= (p->tty ? SHOW_EVERY_S : LOG_EVERY_S)) {
        p->last_show_s = now;
        if (p->tty)
            show_live(p, now);
        else
            show_log(p, now);
    }
    if (now - p->last_status_s >= STATUS_EVERY_S) write_status(p, "running", now);
}

void progress_saved(struct progress *p, uint64_t saved)
{
    if (!p->active) return;
    p->has_saved = true;
    p->saved = saved;
    write_status(p, "running", clock_mono_s());
}

void progress_end(struct progress *p, const char *state)
{
    if (!p->active) return;
    char event[96], pace[32];
    double now = clock_mono_s(), rate = rate_since(p, p->first_s, p->first, now);
    if (p->tty) log_live(NULL);
    snprintf(event, sizeof event, "%s.%s", p->stage, state);
    log_info(event, "done=%llu unit=%s s=%.1f %s %s", (unsigned long long)p->done, p->unit,
             now - p->start_s, put_rate(rate, pace, sizeof pace), p->detail);
    write_status(p, state, now);
    p->active = false;
}
