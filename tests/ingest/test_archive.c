/* ingest/archive: streams of members, and what is wrong with some of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ingest/archive.h"
#include "ingest/zipmake.h"
#include "support/testdir.h"

static const struct archive_limits limits = {1 << 28, 1000, 100000};
static struct err e;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static void shell(const char *command)
{
    char cmd[2000];
    snprintf(cmd, sizeof cmd, "cd '%s' && %s", testdir_path(""), command);
    assert_int_equal(system(cmd), 0);
}

/* "name=text|name=text"; "?" for a name that cannot be read, "" for a file that is no archive. */
static bool render(const char *path, const struct archive_limits *l, char *out, size_t cap)
{
    struct archive_stream *s = NULL;
    struct archive_member m;
    bool more, ok = archive_stream_open(path, l, &s, &e);
    out[0] = 0;
    while (ok && (ok = archive_stream_next(s, &m, &more, &e)) && more) {
        size_t got = 1;
        snprintf(out + strlen(out), cap - strlen(out), "%s%.*s=", out[0] ? "|" : "",
                 m.named ? (int)m.name.n : 1, m.named ? m.name.p : "?");
        while (ok && got > 0) {
            char buf[1000];
            ok = archive_stream_read(s, buf, sizeof buf, &got, &e);
            if (ok)
                snprintf(out + strlen(out), cap - strlen(out), "%.*s", got < 9 ? (int)got : 9, buf);
        }
    }
    archive_stream_close(s);
    return ok;
}

static void expect(const char *name, const char *want)
{
    char got[4096];
    if (!render(testdir_path(name), &limits, got, sizeof got)) fail_msg("%s", e.text);
    assert_string_equal(got, want);
}

static void expect_error(const char *name, const struct archive_limits *l, enum err_code code,
                         const char *part)
{
    static char got[1 << 20];
    assert_false(render(testdir_path(name), l, got, sizeof got));
    assert_int_equal(e.code, code);
    if (!strstr(e.text, part)) fail_msg("%s", e.text);
    err_clear(&e);
}

static void test_kinds(void **state)
{
    (void)state;
    shell("mkdir d && printf one > d/a && printf two > d/b && ln -s /etc/passwd d/l && "
          "tar cf t.tar d/a d/l d/b && gzip -k t.tar && xz -k t.tar && bzip2 -k t.tar && "
          "printf alone > x && gzip -k x && : > empty");
    expect("t.tar", "d/a=one|d/b=two"); /* a link is no member */
    expect("t.tar.gz", "d/a=one|d/b=two");
    expect("t.tar.xz", "d/a=one|d/b=two");
    expect("t.tar.bz2", "d/a=one|d/b=two");
    expect("x", "=alone");
    expect("x.gz", "=alone");
    expect("empty", "");
    shell("(cat x.gz; printf ' two' | gzip; head -c 600 /dev/zero) > y.gz");
    expect("y.gz", "=alone two");
}

/* Names are data: nothing is written, and the locale is nothing to them. */
static void test_names(void **state)
{
    struct zipmake z;
    (void)state;
    zipmake_init(&z);
    zipmake_add(&z, "caf\xc3\xa9", "x", 1, (struct zipmake_how){.stored = true, .utf8 = true});
    zipmake_end(&z, false, NULL);
    testdir_write(testdir_path("u.zip"), z.p, z.n);
    zipmake_free(&z);
    shell("printf x > f && tar cf t.tar --transform 's|f|../../etc/x.txt|' f && "
          "tar cf u.tar --format=pax --transform 's|f|caf\303\251|' f");
    expect("t.tar", "../../etc/x.txt=x");
    expect("u.tar", "caf\xc3\xa9=x");
    expect("u.zip", "caf\xc3\xa9=x"); /* in the C locale of this test */
}

/* No flipped bit of packed data gets through, and no cut. What a format does not protect (a name in
 * its header, padding) may come through with all data right. */
static void flip(const char *name, size_t from, size_t step)
{
    static char want[1 << 16], got[1 << 16];
    const char *path = testdir_path(name);
    size_t n, caught = 0;
    char *p = testdir_read(path, &n);
    assert_true(render(path, &limits, want, sizeof want));
    for (size_t i = from; i < n; i += step) {
        p[i] ^= 0x04;
        testdir_write(path, p, n);
        p[i] ^= 0x04;
        if (render(path, &limits, got, sizeof got)) {
            assert_string_equal(got, want);
            continue;
        }
        assert_true(e.code == ERR_FORMAT || e.code == ERR_LIMIT || e.code == ERR_NOMEM);
        err_clear(&e);
        caught++;
    }
    assert_true(caught > 10);
    free(p);
}

static void test_damage(void **state)
{
    size_t n;
    char *p;
    (void)state;
    /* Padding of 400 blocks: the tar ends long before its packing does. */
    shell("seq 1 3000 > f && tar cf t.tar -b 400 --mtime=@0 f && gzip -nk t.tar && xz -k t.tar && "
          "bzip2 -k t.tar");
    flip("t.tar.gz", 10, 97);
    flip("t.tar.bz2", 20, 97); /* in front of that it would be no bzip2 file */
    flip("t.tar.xz", 20, 97);
    p = testdir_read(testdir_path("t.tar.gz"), &n);
    for (size_t i = 10; i < n; i += 97) {
        testdir_write(testdir_path("cut.gz"), p, i);
        expect_error("cut.gz", &limits, ERR_FORMAT, "copy the file again");
    }
    free(p);
    expect_error("none", &limits, ERR_IO, "none");
}

static void test_limits(void **state)
{
    struct archive_limits total = limits, members = limits, ratio = limits;
    (void)state;
    shell("yes | head -c 80000000 | gzip > bomb.gz && printf x > a && printf y > b && "
          "tar cf t.tar a b");
    total.max_total = 1 << 20;
    members.max_members = 1;
    ratio.max_ratio = 100;
    expect_error("bomb.gz", &total, ERR_LIMIT, "max_total");
    expect_error("bomb.gz", &ratio, ERR_LIMIT, "max_ratio");
    expect_error("t.tar", &members, ERR_LIMIT, "max_entries");
}

static void test_no_memory(void **state)
{
    char got[100];
    (void)state;
    shell("printf x > a && tar cf t.tar a");
    for (uint64_t n = 1;; n++) {
        bool ok, fired;
        fault_arm(FAULT_MEM, n, false);
        ok = render(testdir_path("t.tar"), &limits, got, sizeof got);
        fired = fault_fired();
        fault_disarm_all();
        assert_true(ok != fired);
        if (!fired) break;
        assert_int_equal(e.code, ERR_NOMEM);
        err_clear(&e);
        assert_int_equal(mem_live_blocks(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
