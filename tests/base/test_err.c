#include "base/base_test.h"

#include <errno.h>

#include "base/fault.h"

static void set_and_wrap(void **state)
{
    (void)state;
    struct err e = {0};
    assert_false(err_set(&e, ERR_FORMAT, "entry %d has no end", 7));
    assert_false(err_wrap(&e, "read %s", "a.zip"));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_string_equal(e.text, "read a.zip: entry 7 has no end");
    err_clear(&e);
    assert_int_equal(e.code, ERR_NONE);
    assert_string_equal(e.text, "");
}

static void system_errors(void **state)
{
    (void)state;
    struct err e = {0};
    errno = ENOENT;
    assert_false(err_sys(&e, "cannot open %s", "x"));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "cannot open x: No such file or directory");
    err_clear(&e);
    errno = ENOMEM;
    err_sys(&e, "cannot map");
    assert_int_equal(e.code, ERR_NOMEM);
}

/* Texts of every length around the limit: NUL-terminated, and "..." exactly when something is lost. */
static void truncation(void **state)
{
    (void)state;
    char text[700];
    for (size_t n = 480; n < 600; n++) {
        struct err e = {0};
        memset(text, 'x', n);
        text[n] = 0;
        err_set(&e, ERR_IO, "%s", text);
        if (n < sizeof e.text) {
            assert_string_equal(e.text, text);
        } else {
            assert_int_equal(strlen(e.text), sizeof e.text - 1);
            assert_memory_equal(e.text + sizeof e.text - 4, "...", 4);
        }
        err_wrap(&e, "context");
        assert_true(strlen(e.text) < sizeof e.text);
        assert_memory_equal(e.text, "context: xxx", 12);
    }
}

static void truncation_of_system_error(void **state)
{
    (void)state;
    struct err e = {0};
    char text[600];
    memset(text, 'y', 485);
    text[485] = 0;
    errno = ENOENT;
    err_sys(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_string_equal(e.text + sizeof e.text - 4, "...");
}

static void truncation_keeps_utf8_whole(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        struct err e = {0};
        char text[800] = "xxxx";
        size_t n = (size_t)shift;
        while (n < 700) {
            memcpy(text + n, "\xf0\x9f\x98\x80", 4);
            n += 4;
        }
        text[n] = 0;
        err_set(&e, ERR_IO, "%s", text);
        size_t len = strlen(e.text);
        assert_string_equal(e.text + len - 3, "...");
        assert_int_equal((len - 3 - (size_t)shift) % 4, 0);
    }
}

static void set_twice(void)
{
    struct err e = {0};
    err_set(&e, ERR_IO, "first");
    err_set(&e, ERR_IO, "second");
}

static void wrap_nothing(void)
{
    struct err e = {0};
    err_wrap(&e, "context");
}

static void broken_promises_abort(void **state)
{
    (void)state;
    assert_true(aborts(set_twice));
    assert_true(aborts(wrap_nothing));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(err_code_name(ERR_NONE), "none");
    assert_string_equal(err_code_name(ERR_CONFIG), "config");
    assert_string_equal(err_code_name(ERR_STOPPED), "stopped");
}

/* ---- fault */

static void fault_counts(void **state)
{
    (void)state;
    fault_arm(FAULT_WRITE, 3, false);
    assert_false(fault_hit(FAULT_WRITE));
    assert_false(fault_hit(FAULT_READ));
    assert_false(fault_hit(FAULT_WRITE));
    assert_false(fault_fired());
    errno = 0;
    assert_true(fault_hit(FAULT_WRITE));
    assert_int_equal(errno, ENOSPC);
    assert_true(fault_fired());
    assert_false(fault_hit(FAULT_WRITE));
    fault_arm(FAULT_MEM, 2, true);
    assert_false(fault_fired());
    assert_false(fault_hit(FAULT_MEM));
    assert_true(fault_hit(FAULT_MEM));
    assert_true(fault_hit(FAULT_MEM));
    fault_disarm_all();
    assert_false(fault_hit(FAULT_MEM));
}

static void fault_specs(void **state)
{
    (void)state;
    struct err e = {0};
    OK(fault_arm_spec("rename:1:forever", &e));
    assert_true(fault_hit(FAULT_RENAME));
    assert_true(fault_hit(FAULT_RENAME));
    OK(fault_arm_spec("fsync:2", &e));
    assert_false(fault_hit(FAULT_FSYNC));
    assert_true(fault_hit(FAULT_FSYNC));
    assert_false(fault_hit(FAULT_FSYNC));
    FAILS(fault_arm_spec("", &e), ERR_CONFIG, "point:n");
    FAILS(fault_arm_spec("write", &e), ERR_CONFIG, "point:n");
    FAILS(fault_arm_spec("write:x", &e), ERR_FORMAT, "count");
    FAILS(fault_arm_spec("write:1:never", &e), ERR_CONFIG, "forever");
    FAILS(fault_arm_spec("write:1:forever:1", &e), ERR_CONFIG, "forever");
    FAILS(fault_arm_spec("wrte:1", &e), ERR_CONFIG, "unknown point 'wrte'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(set_and_wrap),
        TEST(system_errors),
        TEST(truncation),
        TEST(truncation_of_system_error),
        TEST(truncation_keeps_utf8_whole),
        TEST(broken_promises_abort),
        TEST(names),
        TEST(fault_counts),
        TEST(fault_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
