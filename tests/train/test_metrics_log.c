/* metrics.jsonl and the event file made from it; the event file is read back by a decoder written
 * here from the formats' descriptions, with a bit-by-bit crc32c of its own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/testdir.h"
#include "train/metrics_log.h"
#include "train/tensorboard.h"

static int setup(void **state)
{
    (void)state;
    return testdir_make() ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

/* ---- an independent reader of event files */
static uint32_t crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0U;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

static uint64_t le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static uint64_t unmask(uint64_t m)
{
    uint32_t rot = (uint32_t)m - 0xa282ead8U;
    return rot >> 17 | (uint32_t)(rot << 15);
}

static uint64_t varint(const uint8_t **p)
{
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
        v |= (uint64_t)(**p & 0x7f) << shift;
        if (!(*(*p)++ & 0x80)) return v;
    }
}

struct scalar {
    uint64_t step;
    char tag[64];
    float value;
};
struct events {
    char version[32];
    size_t records, nscalars;
    struct scalar scalars[64];
};

static void read_value(struct events *ev, uint64_t step, const uint8_t *p, const uint8_t *end)
{
    struct scalar *s = &ev->scalars[ev->nscalars++];
    assert_true(ev->nscalars <= 64);
    *s = (struct scalar){.step = step};
    while (p < end) {
        uint64_t key = varint(&p);
        if (key == (1 << 3 | 2)) {
            uint64_t n = varint(&p);
            memcpy(s->tag, p, n);
            p += n;
        } else {
            assert_int_equal(key, 2 << 3 | 5);
            uint32_t bits = (uint32_t)le(p, 4);
            memcpy(&s->value, &bits, 4);
            p += 4;
        }
    }
}

static void read_event(struct events *ev, const uint8_t *p, const uint8_t *end)
{
    uint64_t step = 0;
    while (p < end) {
        uint64_t key = varint(&p);
        if (key == (1 << 3 | 1)) {
            p += 8;
        } else if (key == (2 << 3 | 0)) {
            step = varint(&p);
        } else if (key == (3 << 3 | 2)) {
            uint64_t n = varint(&p);
            memcpy(ev->version, p, n);
            p += n;
        } else {
            assert_int_equal(key, 5 << 3 | 2);
            uint64_t n = varint(&p);
            const uint8_t *stop = p + n;
            while (p < stop) {
                assert_int_equal(varint(&p), 1 << 3 | 2);
                n = varint(&p);
                read_value(ev, step, p, p + n);
                p += n;
            }
        }
    }
    assert_true(p == end);
}

static void read_events(const char *path, struct events *ev)
{
    size_t n, at = 0;
    uint8_t *p = (uint8_t *)testdir_read(path, &n);

    *ev = (struct events){0};
    while (at < n) {
        uint64_t len = le(p + at, 8);
        assert_true(at + 16 + len <= n);
        assert_int_equal(unmask(le(p + at + 8, 4)), crc32c(p + at, 8));
        assert_int_equal(unmask(le(p + at + 12 + len, 4)), crc32c(p + at + 12, len));
        read_event(ev, p + at + 12, p + at + 12 + len);
        at += 16 + len;
        ev->records++;
    }
    free(p);
}

static float scalar_at(const struct events *ev, uint64_t step, const char *tag)
{
    for (size_t i = 0; i < ev->nscalars; i++)
        if (ev->scalars[i].step == step && strcmp(ev->scalars[i].tag, tag) == 0)
            return ev->scalars[i].value;
    fail_msg("no %s at step %d", tag, (int)step);
    return 0;
}

/* ---- tests */
static void put_step(struct metrics_log *m, uint64_t step, double loss)
{
    struct err e = {0};
    struct metrics_step s = {step, 0.125, loss,    2e-4,    0.5,
                             4096, 900,   12345.5, 2000.25, step % 2 ? 0.991 : -1};
    assert_true(metrics_log_step(m, &s, &e));
}

static void open_log(struct metrics_log *m, int rank, uint64_t size)
{
    struct err e = {0};
    static char path[1024], events[1024];
    snprintf(path, sizeof path, "%s", testdir_path("metrics.jsonl"));
    snprintf(events, sizeof events, "%s", testdir_path("events"));
    assert_true(metrics_log_open(m, path, events, rank, size, &e));
}

static void events_say_what_the_lines_say(void **state)
{
    struct metrics_log m;
    struct events ev;
    struct err e = {0};
    uint64_t size;

    (void)state;
    open_log(&m, 0, 0);
    put_step(&m, 1, 2.5);
    put_step(&m, 300, 1.25);
    assert_true(metrics_log_dev(&m, 300, 0.5, 1.5, 777, &e));
    assert_true(metrics_log_dev(&m, 301, 0.5, (double)NAN, 777, &e));
    assert_true(metrics_log_sync(&m, &size, &e));
    assert_int_equal(size, fs_append_size(m.f));
    read_events(m.event_path, &ev);
    assert_string_equal(ev.version, "brain.Event:2");
    assert_int_equal(ev.records, 5);
    assert_int_equal(ev.nscalars, 9 + 8 + 3 + 2); /* null is not a scalar */
    assert_true(scalar_at(&ev, 1, "train/loss") == 2.5F);
    assert_true(scalar_at(&ev, 1, "train/gpu_busy") == 0.991F);
    assert_true(scalar_at(&ev, 300, "train/loss") == 1.25F);
    assert_true(scalar_at(&ev, 300, "train/lr") == 2e-4F);
    assert_true(scalar_at(&ev, 300, "train/tokens_per_s") == 12345.5F);
    assert_true(scalar_at(&ev, 300, "dev/loss") == 1.5F);
    assert_true(scalar_at(&ev, 300, "dev/targets") == 777);
    metrics_log_close(&m);
}

static void going_on_takes_back_later_lines(void **state)
{
    struct metrics_log m;
    struct events ev;
    struct err e = {0};
    uint64_t size;

    (void)state;
    open_log(&m, 0, 0);
    put_step(&m, 1, 3);
    assert_true(metrics_log_sync(&m, &size, &e));
    put_step(&m, 2, 99);
    metrics_log_close(&m);
    open_log(&m, 0, size);
    put_step(&m, 2, 2);
    assert_true(metrics_log_sync(&m, &size, &e));
    read_events(m.event_path, &ev);
    assert_int_equal(ev.records, 3);
    assert_true(scalar_at(&ev, 2, "train/loss") == 2);
    metrics_log_close(&m);
}

static void other_ranks_write_nothing(void **state)
{
    struct metrics_log m;
    struct err e = {0};
    uint64_t size = 5;

    (void)state;
    testdir_remove();
    testdir_make();
    open_log(&m, 1, 0);
    put_step(&m, 1, 3);
    assert_true(metrics_log_sync(&m, &size, &e));
    assert_int_equal(size, 0);
    assert_false(fs_exists(m.path));
    metrics_log_close(&m);
}

static void a_broken_line_is_named(void **state)
{
    struct err e = {0};
    const char *text = "{\"kind\":\"train\",\"step\":1,\"time\":5,\"loss\":1}\n{\"kind\":3}\n";

    (void)state;
    testdir_write(testdir_path("bad.jsonl"), text, strlen(text));
    assert_false(tensorboard_remake(testdir_path("bad.jsonl"), testdir_path("ev"), &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_non_null(strstr(e.text, "line 2"));
    assert_false(fs_exists(testdir_path("ev")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_say_what_the_lines_say),
        cmocka_unit_test(going_on_takes_back_later_lines),
        cmocka_unit_test(other_ranks_write_nothing),
        cmocka_unit_test(a_broken_line_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
