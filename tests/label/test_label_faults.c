/* A rating and its server under failing allocations and files: nothing leaks, no half judgement and no
 * secret stays behind, what was answered "kept" is there after a restart, and what failed can be said
 * again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/stop.h"
#include "label/label_server.h"
#include "support/testdir.h"

#ifdef RADMILL_FAULTS
enum { REPORTS = 6 };
static char dir[200], pairs[200], socket_path[100];
static struct label_system systems[1] = {{"alpha", pairs}};
static const char *const raters[] = {"r1"};
static struct label_opts opts;

static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_READ, FAULT_WRITE,
                                          FAULT_FSYNC, FAULT_RENAME, FAULT_MKDIR};
enum { POINTS = sizeof points / sizeof *points };

static void clean(void)
{
    struct err e = {0};
    assert_true(fs_remove_tree(dir, &e));
}

/* Open, judge all; how many judgements were said to be kept. False: the rating could not be opened. */
static bool judge_all(size_t *kept, bool twice, struct err *e)
{
    struct rating *r;
    size_t done, all;

    *kept = 0;
    if (!rating_open(&opts, "test", &r, e)) return false;
    rating_count(r, 0, &done, &all);
    for (size_t i = 0; i < all; i++) {
        json_t *body = json_pack("{s:i, s:[]}", "overall", 3, "errors");
        for (int turn = 0; turn < 1 + twice; turn++) {
            struct err mine = {0};
            bool refused;
            if (rating_put(r, 0, i, body, &refused, &mine)) {
                ++*kept;
                break;
            }
            assert_true(!refused && mine.code != ERR_NONE && mine.text[0]);
        }
        json_decref(body);
    }
    rating_close(r);
    return true;
}

static void judging(void **state)
{
    size_t live = mem_live_blocks();

    (void)state;
    for (size_t p = 0; p < POINTS; p++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n++) {
            struct err e = {0};
            struct rating *r;
            size_t kept, done, all;
            clean();
            fault_arm(points[p], n, false);
            bool opened = judge_all(&kept, true, &e);
            fired = fault_fired();
            fault_disarm_all();
            assert_true(opened || (e.code != ERR_NONE && e.text[0]));
            /* said once more where it failed, so all of them are there; a restart finds them */
            if (opened) assert_int_equal(kept, REPORTS);
            e = (struct err){0};
            if (!rating_open(&opts, "test", &r, &e)) fail_msg("%s", e.text);
            rating_count(r, 0, &done, &all);
            rating_close(r);
            assert_int_equal(all, REPORTS);
            assert_int_equal(done, kept);
            assert_int_equal(mem_live_blocks(), live);
            assert_true(n < 5000);
        }
    }
}

/* ---- the server */
struct run {
    pthread_t thread;
    atomic_bool ended;
    bool ok;
    struct err e;
};

static void *serve(void *arg)
{
    const struct label_job job = {.label = &opts, .tool = "test"};
    struct run *r = arg;

    r->ok = label_serve(&job, &r->e);
    atomic_store(&r->ended, true);
    return NULL;
}

static void serving(void **state)
{
    size_t live = mem_live_blocks(), opened = 0;
    struct timespec t = {0, 2000000};
    char note[300];

    (void)state;
    snprintf(note, sizeof note, "%s/connect.txt", dir);
    for (size_t p = 0; p < POINTS; p++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n += 1 + n / 6) {
            struct run r = {.ok = false};
            clean();
            stop_reset();
            fault_arm(points[p], n, n % 2 == 0);
            assert_int_equal(pthread_create(&r.thread, NULL, serve, &r), 0);
            while (access(note, F_OK) != 0 && !atomic_load(&r.ended))
                (void)nanosleep(&t, NULL);
            fired = fault_fired();
            fault_disarm_all();
            opened += !atomic_load(&r.ended);
            stop_request();
            assert_int_equal(pthread_join(r.thread, NULL), 0);
            stop_reset();
            assert_true(r.ok || (r.e.code != ERR_NONE && r.e.text[0] && fired));
            assert_true(access(note, F_OK) != 0 && access(socket_path, F_OK) != 0);
            DIR *d = opendir(dir);
            for (struct dirent *x; d && (x = readdir(d));)
                assert_true(!strstr(x->d_name, ".tmp") && strcmp(x->d_name, "token") != 0);
            if (d) closedir(d);
            assert_int_equal(mem_live_blocks(), live);
            assert_true(n < 5000);
        }
    }
    assert_true(opened >= POINTS); /* where no fault fired */
}

static int make(void **state)
{
    char text[2000];
    size_t n = 0;
    const char *root = testdir_make();

    (void)state;
    json_set_alloc_funcs(malloc, free); /* jansson may not be let down */
    snprintf(dir, sizeof dir, "%s", testdir_path("rating"));
    snprintf(pairs, sizeof pairs, "%s", testdir_path("a.jsonl"));
    snprintf(socket_path, sizeof socket_path, "%.80s/s", root);
    for (int i = 0; i < REPORTS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "{\"id\": \"s:0:%d\", \"prediction\": \"said %d\", \"reference\": "
                              "\"ref\", \"findings\": \"found\", \"group\": \"g%d\"}\n",
                              i, i, i);
    testdir_write(pairs, text, n);
    opts = (struct label_opts){.dir = dir,
                               .systems = {systems, 1},
                               .raters = {raters, 1},
                               .reports = REPORTS,
                               .socket = socket_path,
                               .seed = 1,
                               .idle_min = 5};
    return 0;
}

static int drop(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judging),
        cmocka_unit_test(serving),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
#else
int main(void)
{
    puts("SKIP: this build has no fault points");
    return 77;
}
#endif
