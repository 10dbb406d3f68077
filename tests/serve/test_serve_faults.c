/* A whole server under failing allocations and files, while it opens and while it answers: nothing
 * leaks, no half file and no secret stays behind, and either it goes on with the same answers or it
 * ends with an error that says why. libmicrohttpd's and jansson's own allocations are not swept. */
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
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "generate/gen_kit.h"
#include "label/factlabel.h"
#include "serve/serve.h"
#include "support/testdir.h"

#ifdef RADMILL_FAULTS
enum { REPLY_BYTES = 1 << 20, REQUESTS = 8 };
static char root[80], base[400], adapter[400], dir[400], socket_path[100], kept[400], grades[400];
static struct serve_adapter adapters[1] = {{"first", adapter}};
static struct serve_opts opts;
static struct model_opts model;

/* ---- one server */
struct run {
    pthread_t thread;
    atomic_bool ended;
    bool ok;
    struct err e;
};

static void *serve(void *arg)
{
    static const char *const inputs[] = {"findings"};
    struct run *r = arg;
    const struct serve_job job = {.serve = &opts,
                                  .model = &model,
                                  .template = "plain",
                                  .input = {inputs, 1},
                                  .adapter = NULL,
                                  .options = STR("{}"),
                                  .version = "test",
                                  .commit = "test"};

    r->ok = serve_run(&job, &r->e);
    atomic_store(&r->ended, true);
    return NULL;
}

static void pause_briefly(void)
{
    struct timespec t = {0, 2000000};
    (void)nanosleep(&t, NULL);
}

/* True when it serves, false when it ended instead. */
static bool start(struct run *r)
{
    char note[500];

    memset(r, 0, sizeof *r);
    stop_reset();
    snprintf(note, sizeof note, "%s/connect.txt", dir);
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
    while (access(note, F_OK) != 0 && !atomic_load(&r->ended))
        pause_briefly();
    return !atomic_load(&r->ended);
}

static void finish(struct run *r)
{
    stop_request();
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    stop_reset();
}

/* ---- requests over its socket; *body from malloc. 0: no whole answer. */
static int ask(const char *method, const char *path, const char *body, char **reply)
{
    static char head[4096];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), status = 0;
    struct timeval longest = {120, 0};
    size_t n = 0;
    ssize_t got;
    char *text = malloc(REPLY_BYTES);

    assert_true(fd >= 0 && text);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", socket_path);
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
             method, path, strlen(body), body);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        send(fd, head, strlen(head), MSG_NOSIGNAL) == (ssize_t)strlen(head))
        while (n + 1 < REPLY_BYTES && (got = recv(fd, text + n, REPLY_BYTES - 1 - n, 0)) > 0)
            n += (size_t)got;
    close(fd);
    text[n] = 0;
    if (sscanf(text, "HTTP/1.1 %d", &status) != 1) status = 0;
    if (reply)
        *reply = text;
    else
        free(text);
    return status;
}

static const struct {
    const char *method, *path, *body;
} requests[REQUESTS] = {
    {"GET", "/radmill/info", ""},
    {"POST", "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":3,\"logprobs\":1}"},
    {"POST", "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":3,\"stream\":true}"},
    {"POST", "/radmill/impression",
     "{\"findings\":\"Small effusion.\",\"max_tokens\":3,\"logprobs\":true}"},
    {"POST", "/radmill/check",
     "{\"generated\":\"Large effusion.\",\"findings\":\"No effusion.\",\"reference\":\"None.\"}"},
    {"POST", "/radmill/rating",
     "{\"generated\":\"Effusion.\",\"findings\":\"x\",\"overall\":2,\"rater\":\"r1\"}"},
    {"POST", "/radmill/form", "findings=Small+effusion.&adapter=first&adapter=base"},
    {"GET", "/metrics", ""},
};

static void ask_all(void)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        char *reply;
        int status = ask(requests[i].method, requests[i].path, requests[i].body, &reply);
        assert_true(status == 0 || status == 200 || status >= 400);
        if (status == 200 && strcmp(requests[i].path, "/radmill/check") == 0)
            assert_non_null(strstr(reply, "\"bleu\"")); /* whole, or an error */
        free(reply);
    }
}

/* The text of a completion: what must not change. malloc'ed. */
static char *answer(void)
{
    char *reply, *from, *to;

    assert_int_equal(ask(requests[1].method, requests[1].path, requests[1].body, &reply), 200);
    from = strstr(reply, "\"choices\"");
    to = from ? strstr(from, "\"usage\"") : NULL;
    assert_true(from && to);
    *to = 0;
    memmove(reply, from, strlen(from) + 1);
    return reply;
}

/* ---- what must be left */
static void look_around(const struct run *r, size_t live)
{
    DIR *d = opendir(dir);
    struct factlabel *v;
    struct arena a;
    struct err e = {0};
    size_t n;

    if (!r->ok) assert_true(r->e.code != ERR_NONE && r->e.text[0]);
    for (struct dirent *x; d && (x = readdir(d));) {
        assert_null(strstr(x->d_name, ".tmp"));
        assert_true(strcmp(x->d_name, "connect.txt") != 0 && strcmp(x->d_name, "token") != 0);
    }
    if (d) closedir(d);
    assert_true(access(socket_path, F_OK) != 0);
    arena_init(&a, 1 << 20);
    if (access(grades, F_OK) == 0 && !factlabel_read(grades, &a, &v, &n, &e))
        fail_msg("half a grade: %s", e.text);
    arena_free(&a);
    assert_int_equal(mem_live_blocks(), live);
}

static void clean(void)
{
    struct err e = {0};

    assert_true(fs_remove_tree(dir, &e) && fs_remove_tree(kept, &e));
    (void)unlink(grades);
}

static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_READ, FAULT_WRITE,
                                          FAULT_FSYNC, FAULT_RENAME, FAULT_MKDIR};
enum { POINTS = sizeof points / sizeof *points };

/* Dense at first, then further apart. */
static uint64_t next(uint64_t n)
{
    return n + 1 + n / 6;
}

static void opening(void **state)
{
    size_t live = mem_live_blocks();

    (void)state;
    for (size_t p = 0; p < POINTS; p++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n = next(n)) {
            struct run r;
            clean();
            fault_arm(points[p], n, n % 2 == 0); /* every other time for good */
            bool serving = start(&r);
            fired = fault_fired();
            fault_disarm_all();
            if (serving) ask_all();
            finish(&r);
            if (serving && !r.ok) fail_msg("point %zu hit %d: %s", p, (int)n, r.e.text);
            if (!serving && !fired) fail_msg("%s", r.e.text);
            look_around(&r, live);
            assert_true(n < 100000);
        }
    }
}

static void answering(void **state)
{
    size_t live = mem_live_blocks(), ended = 0, went_on = 0;
    struct run r;
    char *want;

    (void)state;
    clean();
    assert_true(start(&r));
    want = answer();
    finish(&r);
    for (size_t p = 0; p < POINTS; p++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n = next(n)) {
            clean();
            assert_true(start(&r));
            fault_arm(points[p], n, false);
            ask_all();
            fired = fault_fired();
            fault_disarm_all();
            if (ask("GET", "/health", "", NULL) == 200) {
                char *got = answer();
                assert_string_equal(got, want);
                free(got);
                for (size_t i = 0; i < REQUESTS; i++)
                    assert_int_equal(
                        ask(requests[i].method, requests[i].path, requests[i].body, NULL), 200);
                went_on++;
            } else {
                ended++;
            }
            finish(&r);
            look_around(&r, live);
            assert_true(n < 100000);
        }
    }
    print_message("went on %zu times, ended with an error %zu times\n", went_on, ended);
    assert_true(went_on > ended);
    free(want);
}

/* The model has 256 positions; serve.max_len may say more. */
static void no_position_beyond_the_models_last(void **state)
{
    const uint32_t before = opts.max_len;
    struct run r;
    char *reply;

    (void)state;
    clean();
    opts.max_len = 400;
    assert_true(start(&r));
    assert_int_equal(
        ask("POST", "/v1/completions", "{\"prompt\":\"x\",\"max_tokens\":300}", &reply), 200);
    assert_non_null(strstr(reply, "\"completion_tokens\":255"));
    free(reply);
    finish(&r);
    opts.max_len = before;
}

/* A grade is acknowledged when it is on the disk. */
static void a_grade_is_synced(void **state)
{
    struct run r;

    (void)state;
    clean();
    assert_true(start(&r));
    fault_arm(FAULT_FSYNC, 1, true);
    int status = ask(
        "POST", "/radmill/rating",
        "{\"generated\":\"Effusion.\",\"findings\":\"x\",\"overall\":2,\"rater\":\"r1\"}", NULL);
    assert_true(fault_fired());
    fault_disarm_all();
    assert_int_equal(status, 500);
    finish(&r);
}

/* Spans are of the field they name, also where the two fields meet. */
static void evidence_names_its_field(void **state)
{
    struct run r;
    char *reply;

    (void)state;
    clean();
    assert_true(start(&r));
    assert_int_equal(
        ask("POST", "/radmill/check",
            "{\"generated\":\"No pneumonia. No effusion.\",\"findings\":\"Small effusion.\","
            "\"clinical\":\"Pneumonia.\"}",
            &reply),
        200);
    assert_non_null(strstr(reply, "\"generated\":[3,12],\"clinical\":[0,9]}"));
    assert_non_null(strstr(reply, "\"generated\":[17,25],\"findings\":[6,14]}"));
    free(reply);
    finish(&r);
}

static int make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", testdir_make());
    kit_make(root);
    json_set_alloc_funcs(malloc, free); /* jansson may not be let down */
    snprintf(base, sizeof base, "%s/model", root);
    snprintf(adapter, sizeof adapter, "%s/adapter", root);
    snprintf(dir, sizeof dir, "%s/serve", root);
    snprintf(socket_path, sizeof socket_path, "%s/s", root);
    snprintf(kept, sizeof kept, "%s/kept", root);
    snprintf(grades, sizeof grades, "%s/grades.jsonl", root);
    model = (struct model_opts){.base = base, .name = "base", .device = "cpu", .threads = 1};
    opts = (struct serve_opts){.dir = dir,
                               .address = "127.0.0.1",
                               .socket = socket_path,
                               .adapters = {adapters, 1},
                               .chat = "auto",
                               .history = kept,
                               .ratings = grades,
                               .slots = 4,
                               .max_len = 200,
                               .max_new_tokens = 8,
                               .prefill_rows = 64,
                               .max_body_kb = 64,
                               .max_requests = 16,
                               .max_connections = 16,
                               .receive_s = 30,
                               .idle_min = 5,
                               .drain_s = 5};
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
        cmocka_unit_test(opening),
        cmocka_unit_test(answering),
        cmocka_unit_test(no_position_beyond_the_models_last),
        cmocka_unit_test(a_grade_is_synced),
        cmocka_unit_test(evidence_names_its_field),
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
