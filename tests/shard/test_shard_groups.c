/* Texts that are nearly one: the table beside the shards, and the policy "weight" over it, against a brute-force
 * reference that knows only the records and the pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "shard/corpus_kit.h"
#include "shard/plan.h"
#include "shard/shard_groups.h"
#include "shard/shard_manifest.h"
#include "support/testdir.h"

enum { MAX_TEXTS = 1000 };
static struct comm *self;
static char corpus[600], shards[600], tok[600];
static const struct kit_source sources[] = {{"alpha", 300, 64, MODE_OWN, 0},
                                            {"beta", 150, 100, MODE_MEDIQA, 0}};

/* All texts of the corpus, each once, in its order; and which are nearly which. */
static struct hash128 texts[MAX_TEXTS];
static size_t ntexts;
static struct record_near near[MAX_TEXTS];
static size_t nnear;

static int setup(void **state)
{
    struct err e = {0};
    (void)state;
    testdir_make();
    snprintf(corpus, sizeof corpus, "%s", testdir_path("corpus"));
    snprintf(shards, sizeof shards, "%s", testdir_path("shards"));
    snprintf(tok, sizeof tok, "%s", testdir_path("tok"));
    kit_tokenizer(tok, 0);
    ntexts = nnear = 0;
    return !comm_open_self(&self, &e);
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    testdir_remove();
    return 0;
}

static bool same(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static int by_norm(const void *a, const void *b)
{
    const struct record_near *x = a, *y = b;
    if (x->norm.hi != y->norm.hi) return x->norm.hi < y->norm.hi ? -1 : 1;
    return (x->norm.lo > y->norm.lo) - (x->norm.lo < y->norm.lo);
}

static void take_text(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    size_t k = 0;
    if (s == 0 && i == 7) r->split = SPLIT_NONE; /* can become no sample */
    if (s == 0 && i == 8) text[SEC_IMPRESSION] = "";
    while (k < ntexts && !same(texts[k], r->hash_norm))
        k++;
    if (k == ntexts) texts[ntexts++] = r->hash_norm;
}

/* Texts k and up to `step` - 1 behind it are one group, but for every third. */
static void make_pairs(size_t step)
{
    nnear = 0;
    for (size_t k = 0; k < ntexts; k++)
        if (k % step && k % 3) near[nnear++] = (struct record_near){texts[k], texts[k - k % step]};
    qsort(near, nnear, sizeof *near, by_norm);
}

static void make_corpus(size_t step)
{
    kit_corpus(corpus, sources, 2, take_text);
    make_pairs(step);
    kit_near(corpus, near, nnear);
}

static struct shard_summary run(void)
{
    struct shard_opts o = kit_opts(shards);
    struct shard_summary s;
    struct err e = {0};
    KIT(shard_run(corpus, &o, tok, self, &s, &e), &e);
    return s;
}

/* The only groups file; its name below the folder. */
static const char *the_file(void)
{
    static char found[700];
    struct arena a;
    struct str *names;
    struct err e = {0};
    size_t n, files = 0;

    arena_init(&a, 1 << 20);
    KIT(fs_list(shards, &a, &names, &n, &e), &e);
    for (size_t i = 0; i < n; i++)
        if (str_starts(names[i], STR("groups-")) && ++files)
            snprintf(found, sizeof found, "%s/%s", shards, names[i].p);
    arena_free(&a);
    return files == 1 ? found : NULL;
}

static struct shard_set *open_set(enum shard_split split)
{
    struct shard_set *set = NULL;
    struct err e = {0};
    KIT(shard_set_open(shards, split, NULL, 0, true, &set, &e), &e);
    return set;
}

/* ---- the reference: loops over pairs and samples */
static struct hash128 group_of(struct hash128 text)
{
    for (size_t i = 0; i < nnear; i++)
        if (same(near[i].norm, text)) return near[i].head;
    return text;
}

static struct hash128 sample_group(struct shard_set *set, size_t i)
{
    struct sample x;
    struct err e = {0};
    KIT(shard_set_get(set, i, &x, &e), &e);
    return group_of(x.text_hash);
}

/* Is sample i the one of its group that epoch e sees? */
static bool chosen(const struct hash128 *groups, size_t n, size_t i, uint32_t epoch)
{
    size_t members = 0, place = 0;
    for (size_t k = 0; k < n; k++) {
        if (!same(groups[k], groups[i])) continue;
        place += k < i;
        members++;
    }
    return (epoch + groups[i].lo) % members == place;
}

/* Every epoch one of each group, another each time, whatever the shuffle: as the reference has it. */
static void one_of_a_group_an_epoch(void **state)
{
    static struct hash128 groups[MAX_TEXTS];
    static unsigned seen[MAX_TEXTS];
    struct plan_params q = {.seed = 3, .bin_tokens = 4096, .bins_per_step = 4, .once = true};
    struct err e = {0};
    size_t largest = 0;

    (void)state;
    make_corpus(5);
    run();
    struct shard_set *set = open_set(SHARD_TRAIN);
    size_t n = shard_set_count(set);
    assert_true(n > 300 && n < MAX_TEXTS);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < n; i++)
        groups[i] = sample_group(set, i);
    for (q.epoch = 0; q.epoch < 24; q.epoch++) {
        static bool in_plan[MAX_TEXTS];
        struct plan p = {0};
        q.shuffle = q.epoch % 2;
        KIT(plan_init(&p, set, &q, &e), &e);
        memset(in_plan, 0, sizeof in_plan);
        for (size_t i = 0; i < p.nsamples; i++) {
            in_plan[p.order[i]] = true;
            seen[p.order[i]]++;
        }
        for (size_t i = 0; i < n; i++)
            if (in_plan[i] != chosen(groups, n, i, q.epoch))
                fail_msg("epoch %u: sample %zu", q.epoch, i);
        plan_free(&p);
    }
    for (size_t i = 0; i < n; i++) { /* in turn */
        size_t members = 0;
        for (size_t k = 0; k < n; k++)
            members += same(groups[k], groups[i]);
        if (members > largest) largest = members;
        if (24 % members == 0) assert_int_equal(seen[i], 24 / members);
    }
    assert_true(largest >= 4);
    shard_set_close(set);
}

/* Texts that can become no sample do not stand in the table; all others do. */
static void it_holds_what_can_become_samples(void **state)
{
    struct shard_groups g;
    struct err e = {0};
    size_t want = 0;

    (void)state;
    make_corpus(5);
    struct shard_summary s = run();
    KIT(shard_groups_open(the_file(), &g, &e), &e);
    for (size_t i = 0; i < nnear; i++) {
        bool gone = same(near[i].norm, texts[7]) || same(near[i].norm, texts[8]);
        /* those two texts are dictated once: source beta has others */
        assert_true(same(shard_groups_of(&g, near[i].norm), gone ? near[i].norm : near[i].head));
        want += !gone;
    }
    assert_int_equal(g.n, want);
    assert_true(want < nnear);
    assert_int_equal(s.near_texts, want);
    for (size_t i = 0; i < ntexts; i++)
        if (same(group_of(texts[i]), texts[i]))
            assert_true(same(shard_groups_of(&g, texts[i]), texts[i]));
    shard_groups_close(&g);
}

/* Samples of dev and test whose group stands in train, by loops. */
static void crossing_groups_are_counted(void **state)
{
    static struct hash128 groups[MAX_TEXTS];
    uint64_t want[SHARD_SPLITS] = {0};

    (void)state;
    make_corpus(5);
    struct shard_summary s = run();
    struct shard_set *train = open_set(SHARD_TRAIN);
    size_t n = shard_set_count(train);
    for (size_t k = 0; k < n; k++)
        groups[k] = sample_group(train, k);
    for (int split = SHARD_DEV; split <= SHARD_TEST; split++) {
        struct shard_set *set = open_set((enum shard_split)split);
        for (size_t i = 0; i < shard_set_count(set); i++) {
            struct hash128 group = sample_group(set, i);
            bool in = false;
            for (size_t k = 0; k < n && !in; k++)
                in = same(group, groups[k]);
            want[split] += in;
        }
        shard_set_close(set);
    }
    shard_set_close(train);
    assert_true(want[SHARD_DEV] > 0 && want[SHARD_TEST] > 0);
    assert_memory_equal(s.near_seen, want, sizeof want);
    assert_true(s.near_seen[SHARD_DEV] >= s.seen[SHARD_DEV]);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st;
}

/* Other groups: another table in the place of the old one, and no shard is touched. */
static void shards_are_left_alone(void **state)
{
    static const char *const mr[] = {"MR"};
    struct shard_opts o = kit_opts(shards);
    struct plan_params q = {.seed = 3, .bin_tokens = 4096, .bins_per_step = 4, .shuffle = true};
    struct plan keep[2], weigh[2];
    struct shard_summary s;
    struct err e = {0};
    char first[700];

    (void)state;
    make_corpus(5);
    run();
    snprintf(first, sizeof first, "%s", the_file());
    struct stat before = stat_of(first);
    for (int round = 0; round < 2; round++) {
        struct shard_set *set = open_set(SHARD_TRAIN);
        q.once = false;
        KIT(plan_init(&keep[round], set, &q, &e), &e);
        q.once = true;
        KIT(plan_init(&weigh[round], set, &q, &e), &e);
        shard_set_close(set);
        if (round) break;
        assert_int_equal(run().files_made, 0);
        o.modality = (struct opt_strs){mr, 1};
        KIT(shard_run(corpus, &o, tok, self, &s, &e), &e);
        struct stat after = stat_of(the_file());
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        make_pairs(2);
        kit_near(corpus, near, nnear);
        assert_int_equal(run().files_made, 0);
        assert_string_not_equal(the_file(), first);
    }
    assert_memory_equal(keep[0].digest, keep[1].digest, 32);
    assert_memory_not_equal(weigh[0].digest, weigh[1].digest, 32);
    for (int i = 0; i < 2; i++) {
        plan_free(&keep[i]);
        plan_free(&weigh[i]);
    }
    /* nobody looked for near-duplicates: no table */
    kit_corpus(corpus, sources, 2, take_text);
    assert_int_equal(run().files_made, 0);
    assert_null(the_file());
    assert_int_equal(access(first, F_OK), -1);
}

static void edit(const char *path, size_t at, char bits)
{
    size_t n;
    char *p = testdir_read(path, &n);
    p[at] ^= bits;
    testdir_write(path, p, n);
    free(p);
}

static void refuse(const char *want)
{
    struct shard_set *set = NULL;
    struct err e = {0};

    assert_false(shard_set_open(shards, SHARD_TRAIN, NULL, 0, false, &set, &e));
    assert_null(set);
    if (!strstr(e.text, "groups-") || !strstr(e.text, want))
        fail_msg("'%s' not in '%s'", want, e.text);
}

/* One flipped bit anywhere is named by file and dataset; the next run mends it. */
static void damage_is_named_and_mended(void **state)
{
    uint8_t a[32], b[32];
    char path[700];
    size_t n;

    (void)state;
    make_corpus(5);
    run();
    kit_digest(shards, a);
    snprintf(path, sizeof path, "%s", the_file());
    free(testdir_read(path, &n));
    for (size_t at = 0; at < n; at += at < 200 ? 1 : 211) {
        edit(path, at, (char)(1 << at % 7));
        refuse(path);
        edit(path, at, (char)(1 << at % 7));
    }
    struct shard_groups g;
    struct err e = {0};
    KIT(shard_groups_open(path, &g, &e), &e);
    size_t text = (size_t)(g.text - g.map.p), head = (size_t)(g.head - g.map.p);
    shard_groups_close(&g);
    edit(path, head + 9, 1);
    refuse("dataset /group/head: checksum differs");
    edit(path, text + 9, 1);
    refuse("dataset /group/text: checksum differs");
    edit(path, head + 9, 1);
    edit(path, text + 9, 1);
    edit(path, SHARD_BLOCK_BYTES + 30, 1);
    refuse("HDF5's own structures");
    run();
    kit_digest(shards, b);
    assert_memory_equal(a, b, 32);
    unlink(path);
    refuse("is not there: run radmill shard");
    run();
    kit_digest(shards, b);
    assert_memory_equal(a, b, 32);
    /* another whole table under its name */
    char name[SHARD_GROUPS_NAME];
    uint8_t sha[32];
    KIT(shard_groups_write(testdir_path("."), near, 3, name, sha, &e), &e);
    char *p = testdir_read(testdir_path(name), &n);
    testdir_write(path, p, n);
    free(p);
    refuse("is not the file the manifest names");
}

static void h5py_reads_it(void **state)
{
    const char *python = testdir_python("h5py");
    char cmd[3000];

    (void)state;
    make_corpus(5);
    run();
    if (system("command -v h5dump >/dev/null") == 0) {
        snprintf(cmd, sizeof cmd, "h5dump '%s' | grep -q 'DATASET \"head\"'", the_file());
        assert_int_equal(system(cmd), 0);
    } else {
        printf("SKIP: no h5dump\n");
    }
    if (!python) skip();
    snprintf(cmd, sizeof cmd, "'%s' '%s/tests/shard/check_shards.py' '%s' >/dev/null", python,
             RADMILL_SOURCE, shards);
    assert_int_equal(system(cmd), 0);
}

static void nothing_is_leaked(void **state)
{
    size_t blocks = mem_live_blocks();
    (void)state;
    make_corpus(5);
    run();
    struct shard_set *set = open_set(SHARD_TRAIN);
    shard_set_close(set);
    assert_int_equal(mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_a_group_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(it_holds_what_can_become_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(crossing_groups_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(shards_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_named_and_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(h5py_reads_it, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_leaked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
