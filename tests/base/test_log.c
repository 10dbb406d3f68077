#include "base/base_test.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"

/* Runs f with stderr going to a file and returns what it wrote; the caller frees it. */
static char *stderr_of(void (*f)(void))
{
    const char *path = testdir_path("stderr");
    fflush(stderr);
    int saved = dup(2);
    assert_non_null(freopen(path, "wb", stderr));
    f();
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    return testdir_read(path, NULL);
}

static void assert_logged(void (*f)(void), const char *want)
{
    char *got = stderr_of(f);
    assert_string_equal(got, want);
    free(got);
}

static void some_lines(void)
{
    log_info("ingest.done", "reports=%d s=%.1f", 3049, 1.2);
    log_debug("unseen", "x=1");
    log_warn("plain", "%s", "no key");
    log_error("empty", "text=%s", "");
    log_info("bare", "%s", "");
}

static void lines_are_as_designed(void **state)
{
    (void)state;
    log_setup(LOG_INFO, 0);
    assert_logged(some_lines, "info ingest.done reports=3049 s=1.2\n"
                              "warn plain no key\n"
                              "error empty text=\"\"\n"
                              "info bare\n");
}

static void odd_values(void)
{
    log_info("q", "a=%s b=%d c=%s", "two words", 1, "say \"hi\"");
    log_info("q", "path=%s", "/tmp/x\ny\tz\x01\x1b[31m\\");
    log_info("q", "a=\"%s\" b=\"fixed text\"", "in quotes");
    log_info("q", "utf8=%s eq=%s", "Z\xc3\xbcrich", "a=b");
}

static void values_are_quoted_and_escaped(void **state)
{
    (void)state;
    log_setup(LOG_INFO, 0);
    assert_logged(odd_values, "info q a=\"two words\" b=1 c=\"say \\\"hi\\\"\"\n"
                              "info q path=\"/tmp/x\\ny\\tz\\x01\\x1b[31m\\\\\"\n"
                              "info q a=\"in quotes\" b=\"fixed text\"\n"
                              "info q utf8=Z\xc3\xbcrich eq=a=b\n");
}

static void long_value(void)
{
    char text[10000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    log_info("long", "v=%s", text);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    log_setup(LOG_INFO, 0);
    char *got = stderr_of(long_value);
    size_t n = strlen(got);
    assert_true(n > 4000 && n < 4200);
    assert_int_equal(got[n - 1], '\n');
    assert_null(strchr(got, '\n') + 1 < got + n ? "two lines" : NULL);
    free(got);
}

static void other_ranks_are_silent(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, 3);
    assert_logged(some_lines, "error empty text=\"\"\n");
    log_setup(LOG_WARN, 0);
    assert_logged(some_lines, "warn plain no key\nerror empty text=\"\"\n");
    log_setup(LOG_INFO, 0);
}

static void file_gets_all(void **state)
{
    (void)state;
    struct err e = {0};
    log_setup(LOG_ERROR, 2);
    clock_freeze(86400);
    OK(log_open_file(testdir_path("rank2.log"), &e));
    free(stderr_of(some_lines));
    log_close();
    log_close();
    clock_freeze(-1);
    free(stderr_of(some_lines)); /* goes nowhere */
    char *got = testdir_read(testdir_path("rank2.log"), NULL);
    assert_string_equal(got, "1970-01-02T00:00:00Z rank=2 info ingest.done reports=3049 s=1.2\n"
                             "1970-01-02T00:00:00Z rank=2 debug unseen x=1\n"
                             "1970-01-02T00:00:00Z rank=2 warn plain no key\n"
                             "1970-01-02T00:00:00Z rank=2 error empty text=\"\"\n"
                             "1970-01-02T00:00:00Z rank=2 info bare\n");
    free(got);
    log_setup(LOG_INFO, 0);
    FAILS(log_open_file(testdir_path("none/x.log"), &e), ERR_IO, "cannot");
}

static void two_lines(void)
{
    log_debug("one", "n=1");
    log_debug("two", "n=2");
}

static void a_full_disk_is_said_once(void **state)
{
    (void)state;
    struct err e = {0};
    log_setup(LOG_ERROR, 0);
    OK(log_open_file(testdir_path("full.log"), &e));
    fault_arm(FAULT_WRITE, 1, true);
    char *got = stderr_of(two_lines);
    fault_disarm_all();
    log_close();
    assert_true(strstr(got, "warn log.failed error=\"cannot write") == got);
    assert_int_equal(strlen(strchr(got, '\n')), 1);
    free(got);
    log_setup(LOG_INFO, 0);
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("thread", "id=%d i=%d text=%s", *(int *)arg, i, "some words");
    return NULL;
}

static void threads_chatter(void)
{
    pthread_t t[3];
    int id[3] = {0, 1, 2};
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, chatter, &id[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    struct err e = {0};
    OK(log_open_file(testdir_path("t.log"), &e));
    char *got = stderr_of(threads_chatter);
    log_close();
    int lines = 0;
    for (char *line = strtok(got, "\n"); line; line = strtok(NULL, "\n"), lines++)
        assert_true(strncmp(line, "info thread id=", 15) == 0 &&
                    strcmp(line + strlen(line) - 17, "text=\"some words\"") == 0);
    assert_int_equal(lines, 600);
    free(got);
    got = testdir_read(testdir_path("t.log"), NULL);
    lines = 0;
    for (char *p = got; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 600);
    free(got);
}

static void live_lines(void)
{
    log_live("50%");
    log_info("event", "n=1");
    log_live(NULL);
}

static void no_live_line_without_a_terminal(void **state)
{
    (void)state;
    assert_logged(live_lines, "info event n=1\n");
}

/* A terminal of our own: what a person would see. */
static void the_live_line_stays_below(void **state)
{
    (void)state;
    char got[1000];
    size_t n = 0;
    ssize_t put;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct progress p;
        int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
        dup2(slave, 2);
        log_setup(LOG_INFO, 0);
        clock_freeze(0);
        progress_start(&p, 0, "ingest", "reports", 200, NULL);
        progress_update(&p, 0, NULL);
        clock_freeze(10);
        progress_update(&p, 50, "loss=1.5");
        progress_update(&p, 51, NULL); /* too soon to show */
        log_warn("odd", "entry=3");
        progress_end(&p, "done");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    while (n < sizeof got - 1 && (put = read(master, got + n, sizeof got - 1 - n)) > 0) {
        n += (size_t)put;
        got[n] = 0;
        if (strstr(got, "ingest.done")) break;
    }
    close(master);
    got[n] = 0;
    assert_string_equal(got, "\r\x1b[K"
                             "ingest 50/200 (25.0%) reports, 5/s, eta 0m30s loss=1.5"
                             "\r\x1b[K"
                             "warn odd entry=3\r\n"
                             "ingest 50/200 (25.0%) reports, 5/s, eta 0m30s loss=1.5"
                             "\r\x1b[K"
                             "info ingest.done done=51 unit=reports s=10.0 rate=5.1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_as_designed),
        TEST(values_are_quoted_and_escaped),
        TEST(long_lines_are_cut),
        TEST(other_ranks_are_silent),
        TEST(file_gets_all),
        TEST(a_full_disk_is_said_once),
        TEST(threads_do_not_mix_lines),
        TEST(no_live_line_without_a_terminal),
        TEST(the_live_line_stays_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
