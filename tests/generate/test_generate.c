/* A generate run on one rank: the pairs, what is refused, and what is left after a kill or a fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "gen_kit.h"
#include "generate/pairs.h"
#include "shard/shard_reader.h"
#include "support/testdir.h"

static struct comm *self;
static const char *dir;
static char *want; /* pairs.jsonl of an undisturbed run */

static char *pairs_of(const char *out)
{
    char path[700];
    snprintf(path, sizeof path, "%s/pairs.jsonl", out);
    return testdir_read(path, NULL);
}

static bool run(struct kit_job *k, struct generate_summary *s, struct err *e)
{
    *e = (struct err){0};
    return generate_run(&k->job, self, s, e);
}

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    struct kit_job k;
    struct generate_summary s;
    log_setup(LOG_ERROR, 0);
    dir = testdir_make();
    kit_make(dir);
    if (!comm_open_self(&self, &e)) return -1;
    const char *out = testdir_path("first");
    kit_job(&k, dir, out);
    if (!run(&k, &s, &e)) kit_die("first run", &e);
    want = pairs_of(out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(want);
    comm_close(self);
    testdir_remove();
    return mem_live_blocks() == 0 ? 0 : -1;
}

static void the_pairs(void **state)
{
    (void)state;
    struct arena a;
    struct pair *p;
    struct err e = {0};
    size_t n, different = 0;
    arena_init(&a, 16 << 20);
    assert_true(pairs_parse(str_of(want), "want", &a, &p, &n, &e));
    assert_int_equal(n, KIT_TEST);
    for (uint32_t i = 0; i < n; i++) {
        char id[32], group[17];
        snprintf(id, sizeof id, "kit:%u:%u", i / 10, i % 10);
        snprintf(group, sizeof group, "abc%013x", i / 2);
        assert_true(str_eqz(p[i].id, id) && str_eqz(p[i].group, group));
        assert_true(str_eqz(p[i].source, "kit") && str_eqz(p[i].split, "test"));
        assert_true(str_eqz(p[i].modality, i % 3 ? "CT" : "MR"));
        assert_true(str_eqz(p[i].reference, kit_reference(i)));
        assert_int_equal(p[i].seen, i % 5 == 0);
        different += !str_eq(p[i].prediction, p[0].prediction);
    }
    assert_true(different > KIT_TEST / 2);
    arena_free(&a);
    struct stat st;
    assert_int_equal(stat(testdir_path("first/pairs.jsonl"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(fs_exists(testdir_path("first/parts")));
    json_t *meta, *measured;
    uint64_t count;
    assert_true(json_read_file(testdir_path("first/pairs.meta.json"), 1 << 20, &meta, &e));
    assert_true(json_get_u64(meta, "pairs", &count, &e) && count == KIT_TEST);
    assert_true(json_get_obj(meta, "measured", &measured, &e));
    assert_true(json_get_u64(measured, "new_tokens", &count, &e));
    assert_true(count > KIT_TEST && count <= KIT_TEST * 12);
    /* what was planned is what was taken */
    uint64_t planned;
    assert_true(json_get_u64(measured, "planned_bytes", &planned, &e));
    assert_true(json_get_u64(measured, "peak_bytes", &count, &e) && count == planned);
    json_decref(meta);
    assert_true(json_read_file(testdir_path("first/status.json"), 1 << 16, &meta, &e));
    assert_true(json_get_u64(meta, "total", &count, &e) && count == KIT_TEST);
    assert_true(json_get_u64(meta, "done", &count, &e) && count == KIT_TEST);
    json_decref(meta);
}

/* Fields that were asked for stand in the pairs; others do not, and another choice is another run. */
static void fields_of_the_reports(void **state)
{
    (void)state;
    static const char *const both[] = {"findings", "clinical"}, *const wrong[] = {"impression"};
    const char *out = testdir_path("fields");
    struct kit_job k;
    struct generate_summary s;
    struct pair *p;
    struct arena a;
    struct err e;
    size_t n;

    assert_null(strstr(want, "\"findings\""));
    kit_job(&k, dir, out);
    k.job.corpus_dir = "kit-corpus";
    k.opts.fields = (struct opt_strs){both, 2};
    assert_true(run(&k, &s, &e));
    char *text = pairs_of(out);
    arena_init(&a, 16 << 20);
    assert_true(pairs_parse(str_of(text), "fields", &a, &p, &n, &e));
    assert_int_equal(n, KIT_TEST);
    for (uint32_t i = 0; i < n; i++) {
        char findings[64], clinical[64] = "";
        snprintf(findings, sizeof findings, "findings of %u:%u.", i / 10, i % 10);
        if (i % 2 == 0) snprintf(clinical, sizeof clinical, "clinical of %u:%u.", i / 10, i % 10);
        assert_true(str_eqz(p[i].findings, findings) && str_eqz(p[i].clinical, clinical));
    }
    arena_free(&a);
    free(text);
    k.opts.fields.n = 1; /* findings alone */
    assert_false(run(&k, &s, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "fields"));
    out = testdir_path("wrong-field");
    kit_job(&k, dir, out);
    k.opts.fields = (struct opt_strs){wrong, 1};
    assert_false(run(&k, &s, &e));
    assert_non_null(strstr(e.text, "'impression' is not findings or clinical"));
    /* reports are opened for fields alone, and where there are any: the pairs are the same */
    static const char *const corpora[] = {NULL, "another-corpus"};
    for (int i = 0; i < 2; i++) {
        kit_job(&k, dir, testdir_path(i ? "no-fields" : "no-corpus"));
        k.job.corpus_dir = corpora[i];
        if (i == 0) k.opts.fields = (struct opt_strs){both, 2};
        if (!run(&k, &s, &e)) fail_msg("%s", e.text);
        text = pairs_of(k.opts.dir);
        assert_string_equal(text, want);
        free(text);
    }
}

static void any_batching(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{1, 3}, {64, 1000}, {7, 1}};
    for (size_t i = 0; i < 3; i++) {
        struct kit_job k;
        struct generate_summary s;
        struct err e;
        char name[32];
        snprintf(name, sizeof name, "batch%zu", i);
        const char *out = testdir_path(name);
        kit_job(&k, dir, out);
        k.opts.slots = shapes[i][0];
        k.opts.prefill_rows = shapes[i][1];
        if (!run(&k, &s, &e)) fail_msg("%s", e.text);
        char *got = pairs_of(out);
        assert_string_equal(got, want);
        free(got);
        assert_true(s.pairs == KIT_TEST && s.made == KIT_TEST && s.new_tokens > 0);
    }
}

/* A whole file is left alone; the first reports alone; an adapter changes the answers. */
static void again_limit_adapter(void **state)
{
    (void)state;
    struct kit_job k;
    struct generate_summary s;
    struct err e;
    char path[700];
    kit_job(&k, dir, testdir_path("first"));
    k.opts.slots = 3; /* may change: speed alone */
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    assert_true(s.made == 0 && s.pairs == KIT_TEST);
    kit_job(&k, dir, testdir_path("limit"));
    k.opts.limit = 33;
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    char *got = pairs_of(testdir_path("limit"));
    assert_true(s.pairs == 33 && strncmp(got, want, strlen(got)) == 0 && want[strlen(got)] == '{');
    free(got);
    kit_job(&k, dir, testdir_path("adapted"));
    snprintf(path, sizeof path, "%s/adapter", dir);
    k.job.adapter = path;
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    got = pairs_of(testdir_path("adapted"));
    assert_true(strcmp(got, want) != 0);
    free(got);
}

static char *made_with(struct kit_job *k, const char *name, uint32_t slots)
{
    struct generate_summary s;
    struct err e;
    char out[32];
    snprintf(out, sizeof out, "%s%u", name, slots);
    k->opts.dir = testdir_path(out);
    k->opts.slots = slots;
    if (!run(k, &s, &e)) fail_msg("%s: %s", name, e.text);
    assert_int_equal(s.made, KIT_TEST);
    return pairs_of(k->opts.dir);
}

/* Drawn, searched and cut answers, too, are the same in any batch; and not those of greedy. */
static void ways_to_decode(void **state)
{
    (void)state;
    static const char *const stop[] = {"e", "a"};
    for (int way = 0; way < 4; way++) {
        static const char *const names[] = {"drawn", "seeded", "beams", "stop"};
        struct kit_job k;
        kit_job(&k, dir, NULL);
        k.opts.temperature = way < 2 ? 1.2 : 0;
        k.opts.top_k = way < 2 ? 30 : 0;
        k.opts.top_p = 0.9;
        k.opts.seed = way == 1 ? 8 : 7;
        k.opts.beams = way == 2 ? 3 : 1;
        k.opts.length_penalty = 1;
        if (way == 3) k.opts.stop = (struct opt_strs){stop, 2};
        char *few = made_with(&k, names[way], 3), *many = made_with(&k, names[way], 16);
        assert_string_equal(few, many);
        assert_true(strcmp(few, want) != 0);
        if (way == 1) { /* another seed, other answers */
            char *drawn = pairs_of(testdir_path("drawn3"));
            assert_true(strcmp(few, drawn) != 0);
            free(drawn);
        }
        free(many);
        free(few);
    }
    struct pair *p;
    struct arena a;
    struct err e = {0};
    size_t n;
    char *cut = pairs_of(testdir_path("stop3"));
    arena_init(&a, 16 << 20);
    assert_true(pairs_parse(str_of(cut), "stop", &a, &p, &n, &e));
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < p[i].prediction.n; c++)
            assert_true(p[i].prediction.p[c] != 'e' && p[i].prediction.p[c] != 'a');
    arena_free(&a);
    free(cut);
}

/* An instruction computed once or every time; an adapter beside the weights or in them (f32). */
static void same_text_otherwise(void **state)
{
    (void)state;
    char path[700];
    struct kit_job k;
    kit_job(&k, dir, NULL);
    k.opts.share_nothing = true;
    char *alone = made_with(&k, "unshared", 4);
    assert_string_equal(alone, want);
    free(alone);
    kit_job(&k, dir, NULL);
    snprintf(path, sizeof path, "%s/adapter", dir);
    k.job.adapter = path;
    char *applied = made_with(&k, "applied", 4);
    k.opts.adapter_use = GENERATE_MERGED;
    char *merged = made_with(&k, "merged", 4);
    struct pair *p, *q;
    struct arena a;
    struct err e = {0};
    size_t n;
    arena_init(&a, 16 << 20);
    assert_true(pairs_parse(str_of(applied), "applied", &a, &p, &n, &e));
    assert_true(pairs_parse(str_of(merged), "merged", &a, &q, &n, &e));
    for (size_t i = 0; i < n; i++)
        assert_true(str_eq(p[i].prediction, q[i].prediction));
    assert_true(strcmp(applied, want) != 0);
    arena_free(&a);
    free(merged);
    free(applied);
}

static void refused(struct kit_job *k, enum err_code code, const char *text)
{
    struct generate_summary s;
    struct err e;
    assert_false(run(k, &s, &e));
    if (e.code != code || !strstr(e.text, text)) fail_msg("%d %s", e.code, e.text);
}

static void beams_do_not_draw(void)
{
    struct kit_job k;
    kit_job(&k, dir, testdir_path("draw"));
    k.opts.beams = 2;
    k.opts.temperature = 0.1;
    refused(&k, ERR_CONFIG, "set one of them");
    k.opts.temperature = 0;
    k.opts.beams = k.opts.slots + 1;
    refused(&k, ERR_CONFIG, "generate.slots must be as many");
}

static void refusals(void **state)
{
    (void)state;
    beams_do_not_draw();
    struct kit_job k;
    kit_job(&k, dir, testdir_path("first"));
    k.opts.max_new_tokens = 13;
    refused(&k, ERR_CONFIG, "generate.max_new_tokens");
    kit_job(&k, dir, testdir_path("first"));
    kit_dataset[0] ^= 1;
    refused(&k, ERR_CONFIG, "shards changed");
    kit_dataset[0] ^= 1;
    kit_tokenizer[0] ^= 1;
    refused(&k, ERR_CONFIG, "another tokenizer");
    kit_tokenizer[0] ^= 1;
    kit_job(&k, dir, testdir_path("other"));
    k.opts.split = SHARD_DEV;
    refused(&k, ERR_CONFIG, "dev is empty");
    kit_job(&k, dir, NULL);
    refused(&k, ERR_CONFIG, "generate.dir is missing");
    kit_job(&k, dir, testdir_path("other"));
    k.job.adapter = "/nowhere";
    refused(&k, ERR_IO, "/nowhere");
}

/* dynamic's angles are those of model.context, whoever shares a batch; a prompt beyond what they are
 * made for is refused before any work. */
static void stretched(void **state)
{
    (void)state;
    struct kit_job k;
    struct generate_summary s;
    struct err e = {0};
    struct model_spec spec;
    char base[600], cmd[1400], path[700], *alone, *together;
    snprintf(base, sizeof base, "%s/stretched", dir);
    snprintf(cmd, sizeof cmd, "cp -r '%s/model' '%s'", dir, base);
    assert_int_equal(system(cmd), 0);
    snprintf(path, sizeof path, "%s/config.json", base);
    if (!model_spec_read(path, &spec, &e)) fail_msg("%s", e.text);
    spec.rope = ROPE_DYNAMIC;
    spec.rope_factor = 4;
    spec.max_positions = 8;
    if (!model_spec_write(&spec, "float32", path, &e)) fail_msg("%s", e.text);
    for (uint32_t slots = 1; slots <= 64; slots += 63) {
        kit_job(&k, dir, testdir_path(slots == 1 ? "alone" : "together"));
        k.model.base = base;
        k.opts.slots = slots;
        refused(&k, ERR_CONFIG, "is beyond the 8 that the model's rope_type dynamic is set for");
        k.model.context = 200;
        if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    }
    alone = pairs_of(testdir_path("alone"));
    together = pairs_of(testdir_path("together"));
    assert_string_equal(alone, together);
    assert_string_not_equal(alone, want);
    k.model.context = 100; /* other angles: not the same run */
    refused(&k, ERR_CONFIG, "model.context");
    free(alone);
    free(together);
}

/* A run that stopped before its first block binds nobody; one with a block does, and what is there
 * is not mixed with what other inputs make. */
static void begun_or_not(void **state)
{
    (void)state;
    struct kit_job k;
    kit_job(&k, dir, testdir_path("begun"));
    stop_request();
    refused(&k, ERR_STOPPED, "stopped");
    stop_reset();
    assert_false(fs_exists(testdir_path("begun/run.yaml")));
    assert_false(fs_exists(testdir_path("begun/parts")));
#ifdef RADMILL_FAULTS
    k.opts.max_new_tokens = 7;
    k.opts.slots = 1;
    fault_arm(FAULT_RENAME, 6, true);
    refused(&k, ERR_IO, "block-");
    fault_disarm_all();
    assert_true(fs_exists(testdir_path("begun/parts/block-0000000.jsonl")));
    kit_dataset[0] ^= 1;
    refused(&k, ERR_CONFIG, "shards changed");
    kit_dataset[0] ^= 1;
    k.opts.max_new_tokens = 8;
    refused(&k, ERR_CONFIG, "generate.max_new_tokens");
    assert_true(fs_exists(testdir_path("begun/parts/block-0000000.jsonl")));
#endif
}

/* Which references stand in the pairs of a run as seen in training: 1, 0, -1. */
static void expect_seen(const char *name, size_t trained_on, bool known)
{
    struct kit_job k;
    struct generate_summary s;
    struct arena a;
    struct pair *p;
    struct err e;
    size_t n;
    kit_job(&k, dir, testdir_path(name));
    k.opts.max_new_tokens = 1;
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    assert_int_equal(e.code, ERR_NONE); /* none is left of a split that is not there */
    /* a run that is over at once has its rates, too */
    assert_true(s.wall_s > 0 && fabs(s.reports_per_s * s.wall_s - KIT_TEST) < 1e-6);
    assert_true(fabs(s.new_tokens_per_s * s.wall_s - (double)s.new_tokens) < 1e-6);
    char *got = pairs_of(k.opts.dir);
    arena_init(&a, 16 << 20);
    assert_true(pairs_parse(str_of(got), name, &a, &p, &n, &e));
    assert_int_equal(n, KIT_TEST);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i].seen, known ? i % 5 == 0 && i / 5 < trained_on : -1);
    arena_free(&a);
    free(got);
}

/* However many training targets there are, each is known and no other; where there is no train
 * split nothing is known; one that cannot be read is an error. */
static void references_seen_in_training(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 7, 8, 16, 17, 64, KIT_TEST};
    struct kit_job k;
    char name[32];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        kit_train = counts[i];
        snprintf(name, sizeof name, "seen%zu", kit_train);
        expect_seen(name, kit_train, true);
    }
    kit_train = KIT_TRAIN;
    kit_train_fails = ERR_CONFIG;
    expect_seen("unknown", 0, false);
    kit_job(&k, dir, testdir_path("broken"));
    kit_train_fails = ERR_FORMAT;
    refused(&k, ERR_FORMAT, "not this train split");
    kit_train_fails = ERR_NONE;
    assert_false(fs_exists(testdir_path("broken/pairs.jsonl")));
}

/* A sample that cannot be read ends the run: of the training targets, before anything is answered;
 * of the prompts, with the blocks before it kept, and the next run makes the rest. */
static void samples_that_cannot_be_read(void **state)
{
    (void)state;
    struct kit_job k;
    struct generate_summary s;
    struct err e;
    kit_job(&k, dir, testdir_path("unread"));
    kit_unreadable = 3;
    refused(&k, ERR_FORMAT, "sample 3 of train");
    kit_unreadable = KIT_TEST - 1; /* there is none of train */
    refused(&k, ERR_FORMAT, "sample 99 of test");
    assert_false(fs_exists(testdir_path("unread/pairs.jsonl")));
    kit_unreadable = SIZE_MAX;
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    char *got = pairs_of(k.opts.dir);
    assert_string_equal(got, want);
    free(got);
}

/* ---- kill -9 at every point where a file may be half there: before and after each rename, before
 * each fsync. These take the place of libc's in this program. */

static uint64_t kill_at; /* point that kills; 0: none */

static void point(void)
{
    if (kill_at > 0 && --kill_at == 0) (void)raise(SIGKILL);
}

int rename(const char *from, const char *to)
{
    point();
    int rc = renameat(AT_FDCWD, from, AT_FDCWD, to);
    point();
    return rc;
}

int fsync(int fd)
{
    point();
    return fdatasync(fd);
}

/* A child makes the pairs and dies at point n; false: it lived to the end. */
static bool killed_at(struct kit_job *k, uint64_t n)
{
    struct generate_summary s;
    struct err e;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        kill_at = n;
        _exit(run(k, &s, &e) ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* After every kill what is there is used and the rest is made: nothing lost, nothing twice. */
static void killed_anywhere(void **state)
{
    (void)state;
    uint64_t n = 1, used = 0;
    for (bool dead = true; dead; n++) {
        struct kit_job k;
        struct generate_summary s;
        struct err e;
        char name[32];
        snprintf(name, sizeof name, "kill%llu", (unsigned long long)n);
        kit_job(&k, dir, testdir_path(name));
        k.opts.limit = 70; /* three blocks, the last not full */
        dead = killed_at(&k, n);
        if (!run(&k, &s, &e)) fail_msg("after point %llu: %s", (unsigned long long)n, e.text);
        used += s.made < 70;
        char *got = pairs_of(k.opts.dir);
        assert_true(s.pairs == 70 && strncmp(got, want, strlen(got)) == 0);
        assert_int_equal(want[strlen(got)], '{');
        assert_false(fs_exists(testdir_path("kill1/parts")));
        free(got);
    }
    assert_true(n > 21 && used > 5);
}

/* One folder, killed again and again a little later. */
static void killed_twenty_times(void **state)
{
    (void)state;
    struct kit_job k;
    struct generate_summary s;
    struct err e;
    kit_job(&k, dir, testdir_path("often"));
    for (uint64_t i = 0; i < 20; i++)
        assert_true(killed_at(&k, 1 + i % 9));
    if (!run(&k, &s, &e)) fail_msg("%s", e.text);
    char *got = pairs_of(k.opts.dir);
    assert_string_equal(got, want);
    free(got);
}

static void fault_sweep(void **state)
{
    (void)state;
#ifdef RADMILL_FAULTS
    static const enum fault_point points[] = {FAULT_OPEN,   FAULT_WRITE,  FAULT_FSYNC,
                                              FAULT_RENAME, FAULT_UNLINK, FAULT_MKDIR};
    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        size_t live = mem_live_blocks();
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct kit_job k;
            struct generate_summary s;
            struct err e;
            const char *out = testdir_path("swept");
            assert_true(fs_remove_tree(out, &(struct err){0}));
            kit_job(&k, dir, out);
            k.opts.limit = 40;
            k.opts.max_new_tokens = 2;
            fault_arm(points[p], n, false);
            bool ok = run(&k, &s, &e);
            done = !fault_fired();
            fault_disarm_all();
            assert_int_equal(mem_live_blocks(), live);
            if (!ok && done) fail_msg("%s", e.text);
            /* whatever failed, the next run brings it to its end */
            if (!ok && !run(&k, &s, &e)) fail_msg("point %zu hit %d: %s", p, (int)n, e.text);
            char *got = pairs_of(out);
            size_t lines = 0;
            for (char *c = got; *c; c++)
                lines += *c == '\n';
            assert_int_equal(lines, 40);
            free(got);
            assert_true(n < 500);
        }
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pairs),
        cmocka_unit_test(fields_of_the_reports),
        cmocka_unit_test(any_batching),
        cmocka_unit_test(again_limit_adapter),
        cmocka_unit_test(ways_to_decode),
        cmocka_unit_test(same_text_otherwise),
        cmocka_unit_test(refusals),
        cmocka_unit_test(begun_or_not),
        cmocka_unit_test(stretched),
        cmocka_unit_test(references_seen_in_training),
        cmocka_unit_test(samples_that_cannot_be_read),
        cmocka_unit_test(killed_anywhere),
        cmocka_unit_test(killed_twenty_times),
        cmocka_unit_test(fault_sweep),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
