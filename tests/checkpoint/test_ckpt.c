#include "base/base_test.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "checkpoint/ckpt_format.h"
#include "checkpoint/ckpt_kit.h"

static struct comm *self;
static struct kit kit;
static char dir[1024];

static int ckpt_setup(void **state)
{
    struct err e = {0};
    int rc = live_setup(state);
    log_setup(LOG_ERROR, 0);
    snprintf(dir, sizeof dir, "%s", testdir_path("ckpt"));
    return rc || !comm_open_self(&self, &e);
}

static int ckpt_teardown(void **state)
{
    comm_close(self);
    return live_teardown(state);
}

#define CKPT_TEST(f) cmocka_unit_test_setup_teardown(f, ckpt_setup, ckpt_teardown)

static struct str meta_of(uint64_t step)
{
    static char text[64];
    snprintf(text, sizeof text, "{\"next\": %llu}", (unsigned long long)step);
    return str_of(text);
}

static bool save(uint64_t step, uint32_t keep, struct err *e)
{
    struct kit k;
    kit_fill(&k, step);
    return ckpt_save(self, dir, step, k.items, KIT_ITEMS, meta_of(step), keep, NULL, 0, e);
}

static bool load(uint64_t step, struct err *e)
{
    struct arena a;
    struct str meta;
    kit_clear(&kit);
    arena_init(&a, 1 << 20);
    bool ok = ckpt_load(self, dir, step, kit.items, KIT_ITEMS, &a, &meta, e);
    if (ok) assert_true(str_eq(meta, meta_of(step)));
    arena_free(&a);
    return ok;
}

/* The newest step that loads, with its content checked; 0 when there is none. */
static uint64_t newest(void)
{
    struct err e = {0};
    uint64_t step;
    bool found;
    OK(ckpt_find(self, dir, &step, &found, &e));
    if (!found) return 0;
    OK(load(step, &e));
    assert_true(kit_is(&kit, step));
    return step;
}

static const char *path_of(uint64_t step, const char *name)
{
    static char path[4][1200];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 1200, "%s/step-%08llu/%s", dir, (unsigned long long)step, name);
    return p;
}

static bool is_complete(uint64_t step)
{
    return fs_exists(path_of(step, "COMPLETE"));
}

static void saves_and_loads(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(newest(), 0); /* not even a folder */
    OK(save(7, 2, &e));
    assert_int_equal(newest(), 7);
    OK(save(1234567890123, 2, &e));
    assert_true(newest() == 1234567890123);
    OK(load(7, &e));
    assert_true(kit_is(&kit, 7));
    FAILS(load(8, &e), ERR_FORMAT, "step 8 in ");
    struct stat st;
    assert_int_equal(stat(path_of(7, "arrays.rmck"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void no_items_and_no_meta(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    struct str meta;
    uint64_t step;
    bool found;
    arena_init(&a, 1000);
    OK(ckpt_save(self, dir, 1, NULL, 0, STR(""), 1, NULL, 0, &e));
    OK(ckpt_find(self, dir, &step, &found, &e));
    assert_true(found && step == 1);
    OK(ckpt_load(self, dir, 1, NULL, 0, &a, &meta, &e));
    assert_int_equal(meta.n, 0);
    arena_free(&a);
}

static void keeps_the_newest_and_the_pinned(void **state)
{
    (void)state;
    struct err e = {0};
    const uint64_t pinned[] = {2, 99};
    kit_fill(&kit, 0);
    for (uint64_t step = 1; step <= 6; step++)
        OK(ckpt_save(self, dir, step, kit.items, KIT_ITEMS, STR("{}"), 2, pinned, 2, &e));
    for (uint64_t step = 1; step <= 6; step++)
        assert_int_equal(is_complete(step), step == 2 || step >= 5);
    assert_false(fs_exists(path_of(1, "")) || fs_exists(path_of(3, "")) ||
                 fs_exists(path_of(4, "")));
}

/* A run set back to an older step: what comes later is of another life. */
static void later_steps_go(void **state)
{
    (void)state;
    struct err e = {0};
    OK(save(10, 3, &e));
    OK(save(20, 3, &e));
    OK(save(30, 3, &e));
    OK(save(15, 3, &e));
    assert_true(is_complete(10) && is_complete(15));
    assert_false(fs_exists(path_of(20, "")) || fs_exists(path_of(30, "")));
    assert_int_equal(newest(), 15);
}

static void left_overs_are_cleared(void **state)
{
    (void)state;
    struct err e = {0};
    OK(save(1, 2, &e));
    OK(fs_mkdirs(path_of(2, ""), &e));
    testdir_write(path_of(2, "arrays.rmck"), "half", 4);
    char other[1200];
    snprintf(other, sizeof other, "%s/notes.txt", dir);
    testdir_write(other, "mine", 4);
    assert_int_equal(newest(), 1);
    OK(save(3, 2, &e));
    assert_false(fs_exists(path_of(2, "")));
    assert_true(is_complete(1) && is_complete(3) && fs_exists(other));
}

static void differences_are_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a;
    struct str meta;
    arena_init(&a, 1000);
    OK(save(5, 1, &e));
    kit_clear(&kit);
    struct ckpt_item *items = kit.items;
#define TRY(n) ckpt_load(self, dir, 5, items, n, &a, &meta, &e)
    FAILS(TRY(KIT_ITEMS - 1), ERR_FORMAT, "also has 'moments', which was not expected");
    struct ckpt_item more[KIT_ITEMS + 1];
    memcpy(more, items, sizeof kit.items);
    more[KIT_ITEMS] = (struct ckpt_item){"extra", CKPT_U8, 1, kit.u8};
    items = more;
    FAILS(TRY(KIT_ITEMS + 1), ERR_FORMAT, "the checkpoint has no 'extra'");
    more[1].name = "lora.b";
    FAILS(TRY(KIT_ITEMS), ERR_FORMAT,
          "array 1 is 'lora.a' in the checkpoint, 'lora.b' was expected");
    more[1].name = "lora.a";
    more[1].count = 999;
    FAILS(TRY(KIT_ITEMS), ERR_FORMAT,
          "'lora.a' is f32[1000] in the checkpoint, f32[999] was expected");
    more[1].count = 1000;
    more[3].dtype = CKPT_F32;
    FAILS(TRY(KIT_ITEMS), ERR_FORMAT,
          "'counts' is i32[17] in the checkpoint, f32[17] was expected");
#undef TRY
    arena_free(&a);
}

/* ---- damage */

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    int ch;
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    ch = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(ch ^ 0x10, f);
    fclose(f);
}

/* One flipped bit anywhere, the zeros between arrays included: find falls back to the older one. */
static void every_flipped_byte_is_seen(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    OK(save(1, 2, &e));
    OK(save(2, 2, &e));
    assert_int_equal(stat(path_of(2, "arrays.rmck"), &st), 0);
    for (long at = 0; at < (long)st.st_size; at += at < 700 ? 1 : 37) {
        flip(path_of(2, "arrays.rmck"), at);
        assert_int_equal(newest(), 1);
        FAILS(load(2, &e), ERR_FORMAT, "step 2");
        flip(path_of(2, "arrays.rmck"), at);
    }
    assert_int_equal(newest(), 2);
    for (long at = -1; at >= -16; at--) {
        flip(path_of(2, "COMPLETE"), at);
        assert_int_equal(newest(), 1);
        flip(path_of(2, "COMPLETE"), at);
    }
    assert_int_equal(newest(), 2);
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    struct err e = {0};
    size_t n;
    OK(save(1, 2, &e));
    OK(save(2, 2, &e));
    char *whole = testdir_read(path_of(2, "arrays.rmck"), &n);
    for (size_t cut = 0; cut < n; cut += cut < 600 ? 7 : 501) {
        testdir_write(path_of(2, "arrays.rmck"), whole, cut);
        assert_int_equal(newest(), 1);
    }
    testdir_write(path_of(2, "arrays.rmck"), whole, n);
    assert_int_equal(newest(), 2);
    FILE *f = fopen(path_of(2, "arrays.rmck"), "ab");
    fputc(0, f);
    fclose(f);
    assert_int_equal(newest(), 1);
    unlink(path_of(2, "arrays.rmck"));
    assert_int_equal(newest(), 1);
    free(whole);
}

static void one_step_in_the_folder_of_another(void **state)
{
    (void)state;
    struct err e = {0};
    char cmd[3000];
    OK(save(1, 2, &e));
    snprintf(cmd, sizeof cmd, "cp -r '%s' '%s'", path_of(1, ""), path_of(2, ""));
    assert_int_equal(system(cmd), 0);
    assert_int_equal(newest(), 1);
    FAILS(load(2, &e), ERR_FORMAT, "holds step 1");
}

static void a_disk_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct err e = {0};
    uint64_t step;
    bool found;
    OK(save(1, 2, &e));
    OK(save(2, 2, &e));
    fault_arm(FAULT_READ, 8, true);
    FAILS(ckpt_find(self, dir, &step, &found, &e), ERR_IO, "checkpoints in ");
}

/* ---- faults: the previous one loads, or the new one */

static uint64_t save_step;
static uint32_t save_keep;

static bool save_work(struct err *e)
{
    return save(save_step, save_keep, e);
}

static void reset_to_one(void)
{
    struct err e = {0};
    OK(fs_remove_tree(dir, &e));
    OK(save(1, 2, &e));
    /* Now the folder lists the arrays before the marker: the order of dropping shows. */
    assert_int_equal(rename(path_of(1, "arrays.rmck"), path_of(1, "x")), 0);
    assert_int_equal(rename(path_of(1, "x"), path_of(1, "arrays.rmck")), 0);
}

static void one_or_two(bool ok)
{
    uint64_t step = newest();
    assert_true(step == 2 || (step == 1 && !ok));
    /* The marker is the first to go: nothing half dropped says it is complete. */
    if (!fs_exists(path_of(1, "arrays.rmck"))) assert_false(is_complete(1));
    reset_to_one();
}

static const enum fault_point points[] = {FAULT_MEM,   FAULT_OPEN,   FAULT_READ,   FAULT_WRITE,
                                          FAULT_FSYNC, FAULT_RENAME, FAULT_UNLINK, FAULT_MKDIR};
enum { POINTS = sizeof points / sizeof *points };

static void save_faults(void **state)
{
    (void)state;
    int positions = 0;
    reset_to_one();
    save_step = 2;
    for (save_keep = 1; save_keep <= 2; save_keep++) /* with and without dropping the older one */
        for (int i = 0; i < POINTS; i++)
            for (int forever = 0; forever < 2; forever++)
                positions += sweep(points[i], forever, save_work, one_or_two, false);
    print_message("%d fault positions\n", positions);
    assert_true(positions > 120);
}

static bool resave_work(struct err *e)
{
    struct kit k;
    kit_fill(&k, 1);
    /* Another meta: another file. */
    return ckpt_save(self, dir, 1, k.items, KIT_ITEMS, STR("{\"other\": 1}"), 1, NULL, 0, e);
}

static void still_step_one(bool ok)
{
    struct err e = {0};
    struct arena a;
    struct str meta;
    uint64_t step;
    bool found;
    arena_init(&a, 1000);
    kit_clear(&kit);
    OK(ckpt_find(self, dir, &step, &found, &e));
    assert_true(found && step == 1);
    OK(ckpt_load(self, dir, 1, kit.items, KIT_ITEMS, &a, &meta, &e));
    bool new = str_eqz(meta, "{\"other\": 1}");
    assert_true(kit_is(&kit, 1) && (new || !ok));
    assert_true(new || str_eq(meta, meta_of(1)));
    arena_free(&a);
    /* Not begun anew: the next fault meets what this one left. */
}

/* The only checkpoint is saved over: at no moment is there none. */
static void saving_over_itself_faults(void **state)
{
    (void)state;
    struct err e = {0};
    OK(save(1, 1, &e));
    for (int i = 0; i < POINTS; i++) {
        for (int forever = 0; forever < 2; forever++) {
            sweep(points[i], forever, resave_work, still_step_one, false);
            OK(save(1, 1, &e));
        }
    }
}

static bool load_work(struct err *e)
{
    uint64_t step;
    bool found = false;
    return ckpt_find(self, dir, &step, &found, e) && found && load(step, e);
}

static void loads_again(bool ok)
{
    (void)ok;
    assert_int_equal(newest(), 2);
}

static void load_faults(void **state)
{
    (void)state;
    struct err e = {0};
    OK(save(1, 2, &e));
    OK(save(2, 2, &e));
    for (int i = 0; i < POINTS; i++)
        for (int forever = 0; forever < 2; forever++)
            sweep(points[i], forever, load_work, loads_again, false);
}

/* ---- kill -9 */

static void saver(uint64_t from, int ready)
{
    struct err e = {0};
    for (uint64_t step = from;; step++) {
        if (!save(step, 1 + (uint32_t)(step % 2), &e)) _exit(3);
        if (step == from && write(ready, "x", 1) != 1) _exit(4);
    }
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    unsigned seed = 1;
    uint64_t last = 0;
    int ready[2];
    char x;
    assert_int_equal(pipe(ready), 0);
    for (int turn = 0; turn < 40; turn++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) saver(last + 1, ready[1]);
        assert_int_equal(read(ready[0], &x, 1), 1); /* so that the kill falls into work */
        usleep((useconds_t)(rand_r(&seed) % 2000));
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        uint64_t step = newest();
        assert_true(step > last);
        last = step;
    }
    close(ready[0]);
    close(ready[1]);
    print_message("40 kills, up to step %llu\n", (unsigned long long)last);
}

/* As before, but always the same step saved over itself: the marker of two digests is met. */
static void resaver(void)
{
    struct err e = {0};
    struct kit k;
    char meta[64];
    kit_fill(&k, 1);
    for (unsigned long i = getpid();; i++) {
        snprintf(meta, sizeof meta, "{\"i\": %lu}", i);
        if (!ckpt_save(self, dir, 1, k.items, KIT_ITEMS, str_of(meta), 1, NULL, 0, &e)) _exit(3);
    }
}

static void killed_while_saving_over(void **state)
{
    (void)state;
    struct err e = {0};
    unsigned seed = 2;
    int met = 0;
    OK(save(1, 1, &e));
    for (int turn = 0; turn < 40; turn++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) resaver();
        usleep(1000 + (useconds_t)(rand_r(&seed) % 2000));
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        char *mark = testdir_read(path_of(1, "COMPLETE"), NULL);
        met += strchr(mark, '\n') != strrchr(mark, '\n');
        free(mark);
        struct arena a;
        struct str meta;
        arena_init(&a, 1000);
        uint64_t step;
        bool found;
        OK(ckpt_find(self, dir, &step, &found, &e));
        assert_true(found && step == 1);
        kit_clear(&kit);
        OK(ckpt_load(self, dir, 1, kit.items, KIT_ITEMS, &a, &meta, &e));
        assert_true(kit_is(&kit, 1));
        arena_free(&a);
    }
    print_message("40 kills, %d between two digests\n", met);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CKPT_TEST(saves_and_loads),
        CKPT_TEST(no_items_and_no_meta),
        CKPT_TEST(keeps_the_newest_and_the_pinned),
        CKPT_TEST(later_steps_go),
        CKPT_TEST(left_overs_are_cleared),
        CKPT_TEST(differences_are_named),
        CKPT_TEST(every_flipped_byte_is_seen),
        CKPT_TEST(every_cut_is_seen),
        CKPT_TEST(one_step_in_the_folder_of_another),
        CKPT_TEST(a_disk_that_cannot_be_read_is_an_error),
        CKPT_TEST(save_faults),
        CKPT_TEST(saving_over_itself_faults),
        CKPT_TEST(load_faults),
        CKPT_TEST(killed_at_any_moment),
        CKPT_TEST(killed_while_saving_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
