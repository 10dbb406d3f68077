#include "train/metrics_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "train/tensorboard.h"

enum { LINE_BYTES = 1024 };

bool metrics_log_open(struct metrics_log *m, const char *path, const char *event_path, int rank,
                      uint64_t size_bytes, struct err *e)
{
    *m = (struct metrics_log){.path = path, .event_path = event_path};
    if (rank != 0) return true;
    if (!fs_append_open(path, &m->f, e)) return false;
    uint64_t size = fs_append_size(m->f);
    if (size < size_bytes) {
        log_warn("metrics_short", "file=%s size_bytes=%" PRIu64 " expected_bytes=%" PRIu64, path,
                 size, size_bytes);
        return true;
    }
    return size == size_bytes || fs_append_truncate(m->f, size_bytes, e);
}

void metrics_log_close(struct metrics_log *m)
{
    fs_append_close(m->f);
    *m = (struct metrics_log){0};
}

static bool put_line(struct metrics_log *m, struct sbuf *b, bool made, struct err *e)
{
    bool ok = made && fs_append_line(m->f, sbuf_str(b), e);
    sbuf_free(b);
    return ok;
}

bool metrics_log_step(struct metrics_log *m, const struct metrics_step *s, struct err *e)
{
    struct sbuf b;

    if (!m->f) return true;
    sbuf_init(&b, LINE_BYTES);
    bool made = sbuf_printf(&b, e,
                            "{\"kind\":\"train\",\"step\":%" PRIu64 ",\"time\":%" PRId64
                            ",\"epoch\":%.6f,\"loss\":%.9g,\"lr\":%.9g,\"grad_norm\":%.9g"
                            ",\"tokens\":%" PRIu64 ",\"targets\":%" PRIu64
                            ",\"tokens_per_s\":%.1f,\"targets_per_s\":%.1f",
                            s->step, clock_wall_s(), s->epoch, s->loss, s->lr, s->grad_norm,
                            s->tokens, s->targets, s->tokens_per_s, s->targets_per_s);
    if (s->gpu_busy >= 0) made = made && sbuf_printf(&b, e, ",\"gpu_busy\":%.4f", s->gpu_busy);
    made = made && sbuf_put(&b, STR("}"), e);
    return put_line(m, &b, made, e);
}

bool metrics_log_dev(struct metrics_log *m, uint64_t step, double epoch, double loss,
                     uint64_t targets, struct err *e)
{
    struct sbuf b;
    char value[32] = "null";

    if (!m->f) return true;
    if (isfinite(loss)) snprintf(value, sizeof value, "%.9g", loss);
    sbuf_init(&b, LINE_BYTES);
    bool made = sbuf_printf(&b, e,
                            "{\"kind\":\"dev\",\"step\":%" PRIu64 ",\"time\":%" PRId64
                            ",\"epoch\":%.6f,\"loss\":%s,\"targets\":%" PRIu64 "}",
                            step, clock_wall_s(), epoch, value, targets);
    return put_line(m, &b, made, e);
}

bool metrics_log_sync(struct metrics_log *m, uint64_t *size_bytes, struct err *e)
{
    *size_bytes = 0;
    if (!m->f) return true;
    if (!fs_append_sync(m->f, e)) return false;
    *size_bytes = fs_append_size(m->f);
    return tensorboard_remake(m->path, m->event_path, e);
}
