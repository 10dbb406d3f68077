#include "base/base_test.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fs.h"

static struct arena arena;

static int fs_setup(void **state)
{
    arena_init(&arena, 64 << 20);
    return live_setup(state);
}

static int fs_teardown(void **state)
{
    arena_free(&arena);
    fs_set_access(FS_PRIVATE);
    return live_teardown(state);
}

#define FS_TEST(f) cmocka_unit_test_setup_teardown(f, fs_setup, fs_teardown)

static void assert_file(const char *path, const char *want)
{
    size_t n;
    char *p = testdir_read(path, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(p, want, n);
    free(p);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static size_t count_names(const char *dir)
{
    char cmd[1200];
    snprintf(cmd, sizeof cmd, "ls -A '%s' | wc -l", dir);
    FILE *f = popen(cmd, "r");
    size_t n = 0;
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    pclose(f);
    return n;
}

static void replaces_whole_files(void **state)
{
    (void)state;
    struct err e = {0};
    struct str s;
    const char *path = testdir_path("a.txt");
    OK(fs_replace(path, STR("one"), &e));
    OK(fs_replace(path, STR("two two"), &e));
    assert_file(path, "two two");
    OK(fs_read_file(path, 7, &arena, &s, &e));
    assert_true(str_eqz(s, "two two"));
    assert_int_equal(s.p[s.n], 0);
    FAILS(fs_read_file(path, 6, &arena, &s, &e), ERR_LIMIT, "limit of 6");
    FAILS(fs_read_file(testdir_path("none"), 6, &arena, &s, &e), ERR_IO, "No such file");
    FAILS(fs_read_file(testdir_path(""), 6, &arena, &s, &e), ERR_IO, "not a file");
    OK(fs_replace(path, STR(""), &e));
    OK(fs_read_file(path, 0, &arena, &s, &e));
    assert_int_equal(s.n, 0);
    assert_int_equal(count_names(testdir_path(".")), 1);
}

static void leaves_what_is_the_same(void **state)
{
    (void)state;
    static const char *const steps[] = {"", "", "one", "one", "two", "two and more"};
    struct err e = {0};
    struct stat before, after;
    const char *path = testdir_path("kept");
    OK(fs_replace(path, STR("old"), &e));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(stat(path, &before), 0);
        OK(fs_replace_changed(path, str_of(steps[i]), &e));
        assert_int_equal(stat(path, &after), 0);
        assert_file(path, steps[i]);
        assert_int_equal(before.st_ino == after.st_ino, i == 1 || i == 3);
    }
    OK(fs_replace_changed(testdir_path("new"), STR("x"), &e));
    assert_file(testdir_path("new"), "x");
}

/* -o /dev/stdout once put a file of reports in that link's place. */
static void replaces_files_alone(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    struct fs_writer *w;
    const char *file = testdir_path("file"), *link = testdir_path("link");
    const char *pipe = testdir_path("pipe"), *loose = testdir_path("loose");
    OK(fs_replace(file, STR("old"), &e));
    assert_int_equal(symlink("file", link), 0);
    OK(fs_replace(link, STR("new"), &e));
    assert_file(file, "new");
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_int_equal(mkfifo(pipe, 0600), 0);
    FAILS(fs_replace(pipe, STR("x"), &e), ERR_IO, "no regular file");
    assert_true(lstat(pipe, &st) == 0 && S_ISFIFO(st.st_mode));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(pipe, link), 0);
    FAILS(fs_writer_open(link, &w, &e), ERR_IO, "no regular file");
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    FAILS(fs_writer_open(testdir_path("."), &w, &e), ERR_IO, "no regular file");
    assert_int_equal(symlink("nothing", loose), 0);
    FAILS(fs_writer_open(loose, &w, &e), ERR_IO, "leads nowhere");
}

static void streams_of_every_size(void **state)
{
    (void)state;
    struct err e = {0};
    static const size_t sizes[] = {0, 1, 1000, (1 << 20) - 1, 1, 1 << 20, 3 << 20, 17, 500000};
    const char *path = testdir_path("stream");
    unsigned char *all = malloc(8 << 20), *want = all;
    struct fs_writer *w;
    OK(fs_writer_open(path, &w, &e));
    uint64_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            want[k] = (unsigned char)(k * 7 + i);
        OK(fs_writer_put(w, want, sizes[i], &e));
        want += sizes[i];
        total += sizes[i];
        assert_true(fs_writer_bytes(w) == total);
    }
    assert_false(fs_exists(path));
    OK(fs_writer_commit(w, &e));
    fs_writer_close(w);
    size_t n;
    char *got = testdir_read(path, &n);
    assert_int_equal(n, total);
    assert_memory_equal(got, all, n);
    free(got);
    free(all);
    fs_writer_close(NULL);
}

static void uncommitted_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_writer *w;
    const char *path = testdir_path("a");
    OK(fs_replace(path, STR("old"), &e));
    OK(fs_writer_open(path, &w, &e));
    OK(fs_writer_put(w, "new", 3, &e));
    fs_writer_close(w);
    assert_file(path, "old");
    assert_int_equal(count_names(testdir_path(".")), 1);
}

/* Two writers of one name, and what a crashed process with our pid left: names do not meet. */
static void temporary_names_do_not_meet(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_writer *w[3];
    char stale[64];
    for (int i = 0; i < 100; i++) {
        snprintf(stale, sizeof stale, "a.tmp.%d.%d", getpid(), i);
        testdir_write(testdir_path(stale), "stale", 5);
    }
    for (int i = 0; i < 3; i++) {
        OK(fs_writer_open(testdir_path("a"), &w[i], &e));
        OK(fs_writer_put(w[i], &"012"[i], 1, &e));
    }
    for (int i = 0; i < 3; i++) {
        OK(fs_writer_commit(w[i], &e));
        fs_writer_close(w[i]);
    }
    assert_file(testdir_path("a"), "2");
}

static void modes(void **state)
{
    (void)state;
    struct err e = {0};
    mode_t old = umask(0);
    OK(fs_mkdirs(testdir_path("p/q"), &e));
    OK(fs_replace(testdir_path("p/private"), STR("x"), &e));
    assert_int_equal(mode_of(testdir_path("p/q")), 0700);
    assert_int_equal(mode_of(testdir_path("p/private")), 0600);
    umask(077);
    fs_set_access(FS_GROUP_READ);
    struct fs_append *f;
    OK(fs_mkdirs(testdir_path("g/q"), &e));
    OK(fs_replace(testdir_path("g/group"), STR("x"), &e));
    OK(fs_append_open(testdir_path("g/log"), &f, &e));
    fs_append_close(f);
    assert_int_equal(mode_of(testdir_path("g/q")), 0750);
    assert_int_equal(mode_of(testdir_path("g/group")), 0640);
    assert_int_equal(mode_of(testdir_path("g/log")), 0640);
    umask(old);
}

/* ---- fault sweeps: the old file or the new one, whole, and no other name */

static char sweep_path[1024];

static bool replace_work(struct err *e)
{
    return fs_replace(sweep_path, STR("new"), e);
}

static void old_or_new(bool ok)
{
    size_t n;
    char *p = testdir_read(sweep_path, &n);
    bool new = n == 3 && memcmp(p, "new", 3) == 0, old = n == 3 && memcmp(p, "old", 3) == 0;
    free(p);
    assert_true(new || old);
    assert_true(new || !ok);
    assert_int_equal(count_names(testdir_path(".")), 1);
    testdir_write(sweep_path, "old", 3);
}

static void replace_faults(void **state)
{
    (void)state;
    static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_WRITE,
                                              FAULT_FSYNC, FAULT_RENAME, FAULT_UNLINK};
    int positions = 0;
    snprintf(sweep_path, sizeof sweep_path, "%s", testdir_path("swept"));
    testdir_write(sweep_path, "old", 3);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int forever = 0; forever < 2; forever++)
            positions += sweep(points[i], forever, replace_work, old_or_new, false);
    assert_int_equal(positions, 2 * (2 + 2 + 1 + 2 + 1 + 0));
}

static bool big_stream_work(struct err *e)
{
    static char block[700000];
    struct fs_writer *w = NULL;
    bool ok = fs_writer_open(sweep_path, &w, e);
    for (int i = 0; ok && i < 6; i++)
        ok = fs_writer_put(w, block, sizeof block, e);
    ok = ok && fs_writer_commit(w, e);
    fs_writer_close(w);
    return ok;
}

static void whole_or_none(bool ok)
{
    struct stat st;
    assert_int_equal(stat(sweep_path, &st) == 0, ok);
    if (ok) assert_int_equal(st.st_size, 6 * 700000);
    unlink(sweep_path);
    assert_int_equal(count_names(testdir_path(".")), 0);
}

static void stream_faults(void **state)
{
    (void)state;
    snprintf(sweep_path, sizeof sweep_path, "%s", testdir_path("stream"));
    assert_true(sweep(FAULT_WRITE, false, big_stream_work, whole_or_none, false) >= 4);
    assert_true(sweep(FAULT_WRITE, true, big_stream_work, whole_or_none, false) >= 4);
}

static bool read_work(struct err *e)
{
    struct str s, *names;
    size_t n;
    struct arena a;
    struct fs_map m = {NULL, 0};
    uint64_t size;
    arena_init(&a, 1 << 20);
    bool ok = fs_read_file(sweep_path, 100, &a, &s, e) && fs_map_open(sweep_path, &m, e) &&
              fs_list(testdir_path("."), &a, &names, &n, e) &&
              fs_glob(testdir_path("*"), &a, &names, &n, e) && fs_size(sweep_path, &size, e);
    fs_map_close(&m);
    arena_free(&a);
    return ok;
}

static void same_file(bool ok)
{
    (void)ok;
    assert_file(sweep_path, "old");
}

static void read_faults(void **state)
{
    (void)state;
    snprintf(sweep_path, sizeof sweep_path, "%s", testdir_path("swept"));
    testdir_write(sweep_path, "old", 3);
    for (int forever = 0; forever < 2; forever++) {
        assert_int_equal(sweep(FAULT_OPEN, forever, read_work, same_file, false), 3);
        assert_true(sweep(FAULT_READ, forever, read_work, same_file, false) >= 8);
        assert_true(sweep(FAULT_MEM, forever, read_work, same_file, false) >= 3);
    }
}

static bool tree_work(struct err *e)
{
    const char *deep = testdir_path("t/a/b/c"), *file = testdir_path("t/a/f");
    return fs_mkdirs(deep, e) && fs_replace(file, STR("x"), e) &&
           fs_sync_dir(testdir_path("t"), e) && fs_remove_tree(testdir_path("t"), e);
}

static void tree_gone(bool ok)
{
    struct err e = {0};
    if (ok) assert_false(fs_exists(testdir_path("t")));
    OK(fs_remove_tree(testdir_path("t"), &e));
}

static void tree_faults(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        assert_int_equal(sweep(FAULT_MKDIR, forever, tree_work, tree_gone, false), 4);
        assert_int_equal(sweep(FAULT_UNLINK, forever, tree_work, tree_gone, false), 5);
        assert_true(sweep(FAULT_OPEN, forever, tree_work, tree_gone, false) >= 10);
        assert_true(sweep(FAULT_FSYNC, forever, tree_work, tree_gone, false) >= 7);
        assert_true(sweep(FAULT_READ, forever, tree_work, tree_gone, false) >= 10);
    }
}

/* ---- reading at offsets, mapping */

static void reads_at_offsets(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_file f;
    char buf[8] = "";
    testdir_write(testdir_path("f"), "0123456789", 10);
    OK(fs_file_open(testdir_path("f"), &f, &e));
    assert_int_equal(f.size_bytes, 10);
    OK(fs_file_read(&f, 3, buf, 4, &e));
    assert_memory_equal(buf, "3456", 4);
    OK(fs_file_read(&f, 10, buf, 0, &e));
    FAILS(fs_file_read(&f, 8, buf, 4, &e), ERR_FORMAT, "ends early: 4 bytes at offset 8, 2 there");
    FAILS(fs_file_read(&f, 100, buf, 1, &e), ERR_FORMAT, "ends early");
    fs_file_close(&f);
    fs_file_close(&f);
    struct fs_file zeroed = {0};
    fs_file_close(&zeroed);
    FAILS(fs_file_open(testdir_path("none"), &f, &e), ERR_IO, "cannot open");
    FAILS(fs_file_open(testdir_path("."), &f, &e), ERR_IO, "not a file");
}

static void maps_files(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_map m;
    testdir_write(testdir_path("f"), "0123456789", 10);
    testdir_write(testdir_path("empty"), "", 0);
    OK(fs_map_open(testdir_path("f"), &m, &e));
    assert_int_equal(m.n, 10);
    assert_memory_equal(m.p, "0123456789", 10);
    fs_map_close(&m);
    fs_map_close(&m);
    OK(fs_map_open(testdir_path("empty"), &m, &e));
    assert_null(m.p);
    assert_int_equal(m.n, 0);
    FAILS(fs_map_open(testdir_path("none"), &m, &e), ERR_IO, "cannot open");
}

/* ---- append-only files */

static void append_cuts_torn_tail(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_append *f;
    const char *path = testdir_path("log");
    OK(fs_append_open(path, &f, &e));
    OK(fs_append_line(f, STR("one"), &e));
    OK(fs_append_line(f, STR(""), &e));
    OK(fs_append_sync(f, &e));
    assert_int_equal(fs_append_size(f), 5);
    fs_append_close(f);
    assert_file(path, "one\n\n");

    FILE *raw = fopen(path, "ab");
    for (int i = 0; i < 3000; i++)
        fputs("torn ", raw); /* longer than one block of the search */
    fclose(raw);
    OK(fs_append_open(path, &f, &e));
    assert_int_equal(fs_append_size(f), 5);
    OK(fs_append_line(f, STR("two"), &e));
    fs_append_close(f);
    assert_file(path, "one\n\ntwo\n");

    testdir_write(path, "no newline at all", 17);
    OK(fs_append_open(path, &f, &e));
    assert_int_equal(fs_append_size(f), 0);
    fs_append_close(f);
    assert_file(path, "");
    fs_append_close(NULL);
}

static void append_truncates(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_append *f;
    OK(fs_append_open(testdir_path("log"), &f, &e));
    OK(fs_append_line(f, STR("kept"), &e));
    uint64_t mark = fs_append_size(f);
    OK(fs_append_line(f, STR("dropped"), &e));
    OK(fs_append_truncate(f, mark, &e));
    OK(fs_append_line(f, STR("next"), &e));
    fs_append_close(f);
    assert_file(testdir_path("log"), "kept\nnext\n");
}

static void append_recovers_from_a_full_disk(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_append *f;
    OK(fs_append_open(testdir_path("log"), &f, &e));
    OK(fs_append_line(f, STR("one"), &e));
    fault_arm(FAULT_WRITE, 1, true);
    FAILS(fs_append_line(f, STR("two"), &e), ERR_IO, "No space left");
    FAILS(fs_append_line(f, STR("three"), &e), ERR_IO, "No space left"); /* the cut fails */
    fault_disarm_all();
    OK(fs_append_line(f, STR("four"), &e));
    fs_append_close(f);
    assert_file(testdir_path("log"), "one\nfour\n");
}

/* The disk takes half of a line: the next line is not glued to it. */
static void append_cuts_a_short_write(void **state)
{
    (void)state;
    struct err e = {0};
    struct fs_append *f;
    struct rlimit old, tight = {0};
    OK(fs_append_open(testdir_path("log"), &f, &e));
    OK(fs_append_line(f, STR("one"), &e));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = (struct rlimit){7, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    bool ok = fs_append_line(f, STR("two two"), &e);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    FAILS(ok, ERR_IO, "No space left");
    assert_file(testdir_path("log"), "one\ntwo");
    OK(fs_append_line(f, STR("three"), &e));
    assert_file(testdir_path("log"), "one\nthree\n");
    fs_append_close(f);
}

static bool append_work(struct err *e)
{
    struct fs_append *f = NULL;
    bool ok = fs_append_open(sweep_path, &f, e) && fs_append_line(f, STR("two"), e) &&
              fs_append_sync(f, e);
    fs_append_close(f);
    return ok;
}

static void whole_lines_left(bool ok)
{
    size_t n;
    char *p = testdir_read(sweep_path, &n);
    char *torn = strstr(p, "torn");
    assert_true(n >= 4 && memcmp(p, "one\n", 4) == 0);
    if (ok) assert_string_equal(p, "one\ntwo\n");
    if (torn) assert_string_equal(torn, "torn"); /* never glued to another line */
    free(p);
    testdir_write(sweep_path, "one\ntorn", 8);
}

static void append_faults(void **state)
{
    (void)state;
    snprintf(sweep_path, sizeof sweep_path, "%s", testdir_path("log"));
    testdir_write(sweep_path, "one\ntorn", 8);
    for (int forever = 0; forever < 2; forever++) {
        assert_int_equal(sweep(FAULT_OPEN, forever, append_work, whole_lines_left, false), 1);
        assert_int_equal(sweep(FAULT_READ, forever, append_work, whole_lines_left, false), 2);
        assert_int_equal(sweep(FAULT_WRITE, forever, append_work, whole_lines_left, false), 2);
        assert_int_equal(sweep(FAULT_FSYNC, forever, append_work, whole_lines_left, false), 1);
        assert_int_equal(sweep(FAULT_MEM, forever, append_work, whole_lines_left, false), 1);
    }
}

static void line_with_newline(void)
{
    struct err e = {0};
    struct fs_append *f;
    if (fs_append_open(testdir_path("log"), &f, &e)) (void)!fs_append_line(f, STR("a\nb"), &e);
}

static void append_refuses_newlines(void **state)
{
    (void)state;
    assert_true(aborts(line_with_newline));
}

/* ---- folders and names */

static void makes_and_removes_folders(void **state)
{
    (void)state;
    struct err e = {0};
    OK(fs_mkdirs(testdir_path("a//b/c/"), &e));
    OK(fs_mkdirs(testdir_path("a/b"), &e));
    assert_true(fs_is_dir(testdir_path("a/b/c")));
    testdir_write(testdir_path("a/file"), "x", 1);
    FAILS(fs_mkdirs(testdir_path("a/file/d"), &e), ERR_IO, "cannot make the folder");
    FAILS(fs_mkdirs("", &e), ERR_CONFIG, "empty");
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[4999] = 0;
    FAILS(fs_mkdirs(longest, &e), ERR_LIMIT, "too long");
    struct fs_writer *w;
    FAILS(fs_writer_open(longest, &w, &e), ERR_LIMIT, "too long");
    assert_int_equal(symlink("/etc", testdir_path("a/link")), 0);
    OK(fs_remove_tree(testdir_path("a"), &e));
    assert_false(fs_exists(testdir_path("a")));
    assert_true(fs_exists("/etc/passwd"));
    OK(fs_remove_tree(testdir_path("a"), &e));
    OK(fs_remove(testdir_path("a"), &e));
    FAILS(fs_sync_dir(testdir_path("a"), &e), ERR_IO, "cannot open");
}

static void tree_depth_is_limited(void **state)
{
    (void)state;
    struct err e = {0};
    char path[1000];
    int n = snprintf(path, sizeof path, "%s", testdir_path("d"));
    for (int i = 0; i < 40; i++)
        n += snprintf(path + n, sizeof path - (size_t)n, "/d");
    OK(fs_mkdirs(path, &e));
    FAILS(fs_remove_tree(testdir_path("d"), &e), ERR_LIMIT, "too deep");
}

static void lists_sorted_without_temporaries(void **state)
{
    (void)state;
    struct err e = {0};
    struct str *names;
    size_t n;
    static const char *const all[] = {"b",          "a10",       "a9", ".hidden",
                                      "x.tmp.12.3", "y.tmp.1.x", "Z",  "x.tmp.1"};
    static const char *const want[] = {"Z", "a10", "a9", "b", "x.tmp.1", "y.tmp.1.x"};
    for (size_t i = 0; i < 8; i++)
        testdir_write(testdir_path(all[i]), "", 0);
    OK(fs_list(testdir_path("."), &arena, &names, &n, &e));
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(names[i].p, want[i]);
    FAILS(fs_list(testdir_path("none"), &arena, &names, &n, &e), ERR_IO, "cannot open");
    OK(fs_mkdirs(testdir_path("empty"), &e));
    OK(fs_list(testdir_path("empty"), &arena, &names, &n, &e));
    assert_int_equal(n, 0);
}

static void globs(void **state)
{
    (void)state;
    struct err e = {0};
    struct str *paths;
    size_t n;
    testdir_write(testdir_path("b.csv"), "", 0);
    testdir_write(testdir_path("a.csv"), "", 0);
    testdir_write(testdir_path("a.csv.tmp.1.2"), "", 0);
    testdir_write(testdir_path("[x].txt"), "", 0);
    OK(fs_glob(testdir_path("*.csv*"), &arena, &paths, &n, &e));
    assert_int_equal(n, 2);
    assert_true(str_ends(paths[0], STR("/a.csv")) && str_ends(paths[1], STR("/b.csv")));
    OK(fs_glob(testdir_path("[x].txt"), &arena, &paths, &n, &e));
    assert_int_equal(n, 1);
    FAILS(fs_glob(testdir_path("*.none"), &arena, &paths, &n, &e), ERR_IO, "no file matches");
    FAILS(fs_glob(testdir_path("*.csv.*"), &arena, &paths, &n, &e), ERR_IO, "no file matches");
}

static void joins(void **state)
{
    (void)state;
    struct err e = {0};
    const char *p;
    OK(fs_join(&arena, "a/b", "c", &p, &e));
    assert_string_equal(p, "a/b/c");
    OK(fs_join(&arena, "a//", "c", &p, &e));
    assert_string_equal(p, "a/c");
    OK(fs_join(&arena, "/", "c", &p, &e));
    assert_string_equal(p, "/c");
    OK(fs_join(&arena, "", "c", &p, &e));
    assert_string_equal(p, "c");
}

/* A pid that is gone: that of a child already waited for. */
static pid_t gone(void)
{
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

static void collects_temporaries_of_the_dead(void **state)
{
    (void)state;
    struct err e = {0};
    char dead[64], locked[64], mine[64];
    pid_t pid = gone();
    snprintf(dead, sizeof dead, "x.tmp.%d.1", pid);
    snprintf(locked, sizeof locked, "y.tmp.%d.1", pid);
    snprintf(mine, sizeof mine, "z.tmp.%d.1", getpid());
    testdir_write(testdir_path(dead), "", 0);
    testdir_write(testdir_path(locked), "", 0);
    testdir_write(testdir_path(mine), "", 0);
    testdir_write(testdir_path("plain.tmp.csv"), "", 0);
    int handle; /* as if the writer lived on another host */
    OK(fs_lock(testdir_path(locked), &handle, &e));
    OK(fs_gc_tmp(testdir_path("."), &e));
    assert_false(fs_exists(testdir_path(dead)));
    assert_true(fs_exists(testdir_path(locked)) && fs_exists(testdir_path(mine)));
    assert_true(fs_exists(testdir_path("plain.tmp.csv")));
    fs_unlock(handle);
    OK(fs_gc_tmp(testdir_path("."), &e));
    assert_false(fs_exists(testdir_path(locked)));
    FAILS(fs_gc_tmp(testdir_path("none"), &e), ERR_IO, "cannot open");
}

static void writer_killed_leaves_only_a_temporary(void **state)
{
    (void)state;
    struct err e = {0};
    struct str *names;
    size_t n;
    pid_t pid = fork();
    if (pid == 0) {
        struct fs_writer *w;
        if (fs_writer_open(testdir_path("f"), &w, &e) && fs_writer_put(w, "x", 1, &e))
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    OK(fs_list(testdir_path("."), &arena, &names, &n, &e));
    assert_int_equal(n, 0);
    assert_int_equal(count_names(testdir_path(".")), 1);
    OK(fs_gc_tmp(testdir_path("."), &e));
    assert_int_equal(count_names(testdir_path(".")), 0);
}

static void locks_between_processes(void **state)
{
    (void)state;
    struct err e = {0};
    int handle, ready[2], go[2];
    char c = 0;
    const char *path = testdir_path(".lock");
    assert_int_equal(pipe(ready) + pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = fs_lock(path, &handle, &e);
        if (write(ready[1], ok ? "y" : "n", 1) != 1 || read(go[0], &c, 1) != 1) _exit(2);
        _exit(0); /* the lock goes with the process */
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    FAILS(fs_lock(path, &handle, &e), ERR_CONFIG, "another job is using /");
    assert_int_equal(handle, -1);
    assert_int_equal(write(go[1], "x", 1), 1);
    waitpid(pid, NULL, 0);
    OK(fs_lock(path, &handle, &e));
    int second;
    FAILS(fs_lock(path, &second, &e), ERR_CONFIG, "another job"); /* in one process too */
    fs_unlock(handle);
    OK(fs_lock(path, &handle, &e));
    fs_unlock(handle);
    for (int n = 1; n <= 2; n++) {
        fault_arm(FAULT_OPEN, (uint64_t)n, false);
        FAILS(fs_lock(path, &handle, &e), ERR_IO, "lock");
    }
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FS_TEST(replaces_whole_files),
        FS_TEST(leaves_what_is_the_same),
        FS_TEST(replaces_files_alone),
        FS_TEST(streams_of_every_size),
        FS_TEST(uncommitted_leaves_nothing),
        FS_TEST(temporary_names_do_not_meet),
        FS_TEST(modes),
        FS_TEST(replace_faults),
        FS_TEST(stream_faults),
        FS_TEST(read_faults),
        FS_TEST(tree_faults),
        FS_TEST(reads_at_offsets),
        FS_TEST(maps_files),
        FS_TEST(append_cuts_torn_tail),
        FS_TEST(append_truncates),
        FS_TEST(append_recovers_from_a_full_disk),
        FS_TEST(append_cuts_a_short_write),
        FS_TEST(append_faults),
        FS_TEST(append_refuses_newlines),
        FS_TEST(makes_and_removes_folders),
        FS_TEST(tree_depth_is_limited),
        FS_TEST(lists_sorted_without_temporaries),
        FS_TEST(globs),
        FS_TEST(joins),
        FS_TEST(collects_temporaries_of_the_dead),
        FS_TEST(writer_killed_leaves_only_a_temporary),
        FS_TEST(locks_between_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
