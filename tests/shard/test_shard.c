#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stop.h"
#include "shard/corpus_kit.h"
#include "shard/shard_manifest.h"
#include "shard/source_text.h"
#include "support/testdir.h"
#include "text/tokenizer.h"

static struct comm *self;
static char corpus[600], shards[600], tok[600];
static const struct kit_source sources[] = {{"alpha", 300, 64, MODE_OWN, 0},
                                            {"beta", 90, 100, MODE_MEDIQA, 0}};

static int setup(void **state)
{
    struct err e = {0};
    (void)state;
    testdir_make();
    snprintf(corpus, sizeof corpus, "%s", testdir_path("corpus"));
    snprintf(shards, sizeof shards, "%s", testdir_path("shards"));
    snprintf(tok, sizeof tok, "%s", testdir_path("tok"));
    kit_tokenizer(tok, 0);
    return !comm_open_self(&self, &e);
}

static int teardown(void **state)
{
    (void)state;
    comm_close(self);
    testdir_remove();
    return 0;
}

static void edit_texts(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    if (s == 0 && i == 4) text[SEC_IMPRESSION] = "";
    if (s == 0 && i == 5) text[SEC_FINDINGS] = "";
    if (s == 0 && i == 6) text[SEC_IMPRESSION] = " \n ";
    if (s == 0 && i == 7) r->flags |= RECORD_SUPERSEDED;
    if (s == 0 && i == 8) r->split = SPLIT_NONE;
    if (s == 0 && i == 9) r->flags |= RECORD_DUPLICATE;
    if (s == 0 && (i == 1 || i == 3)) r->flags |= RECORD_NEAR_DUPLICATE;
    if (s == 1) r->split = SPLIT_TRAIN;
}

static struct shard_summary run_with(const struct shard_opts *o)
{
    struct shard_summary s;
    struct err e = {0};
    KIT(shard_run(corpus, o, tok, self, &s, &e), &e);
    return s;
}

static bool run_fails(const struct shard_opts *o, struct err *e)
{
    struct shard_summary s;
    *e = (struct err){0};
    return !shard_run(corpus, o, tok, self, &s, e);
}

/* Everything comes through once, in order, and decodes to what went in. */
static void samples_hold_what_the_records_said(void **state)
{
    static const char want[] =
        "Findings: The kidney is enlarged. The spleen is clear. The heart is "
        "obscured.\nImpression: Number 22: clear kidney. No acute process.";
    struct shard_opts o = kit_opts(shards);
    struct shard_set *set = NULL;
    struct tokenizer *t = NULL;
    struct sbuf text;
    struct err e = {0};
    bool found = false, seen[2][300] = {{false}};

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.records, 390);
    assert_int_equal(s.samples[0] + s.samples[1] + s.samples[2], 390);
    assert_true(tokenizer_open(tok, &t, &e));
    sbuf_init(&text, 1 << 16);
    for (int split = 0; split < SHARD_SPLITS; split++) {
        uint64_t tokens = 0;
        assert_true(shard_set_open(shards, split, NULL, 0, true, &set, &e));
        assert_int_equal(shard_set_count(set), s.samples[split]);
        for (size_t i = 0; i < shard_set_count(set); i++) {
            struct sample x;
            assert_true(shard_set_get(set, i, &x, &e));
            assert_int_equal(x.length, shard_set_lengths(set)[i]);
            assert_int_equal(x.target, shard_set_targets(set)[i]);
            assert_int_equal(x.tokens[x.length - 1], shard_set_info(set)->eos);
            tokens += x.length;
            assert_true(x.source < 2 && x.entry < sources[x.source].records);
            assert_false(seen[x.source][x.entry]);
            seen[x.source][x.entry] = true;
            if (x.source || x.entry != 22) continue;
            found = true;
            assert_string_equal(shard_set_modality(set, i), "CT");
            assert_string_equal(shard_set_source(set, i), "alpha");
            assert_int_equal(x.block, 0);
            assert_int_equal(x.row, 22);
            assert_true(tokenizer_decode(t, x.tokens, x.length, true, &text, &e));
            assert_string_equal(text.p, want);
        }
        assert_int_equal(tokens, s.tokens[split]);
        shard_set_close(set);
    }
    assert_true(found);
    sbuf_free(&text);
    tokenizer_close(t);
}

static void each_loss_is_counted_by_its_reason(void **state)
{
    struct shard_opts o = kit_opts(shards);

    (void)state;
    kit_corpus(corpus, sources, 2, edit_texts);
    o.duplicates = SHARD_DUP_HEAD;
    struct shard_summary s = run_with(&o);
    uint64_t samples = s.samples[0] + s.samples[1] + s.samples[2], dropped = 0;
    for (int d = 0; d < SHARD_DROPS; d++)
        dropped += s.dropped[d];
    assert_int_equal(s.records, samples + dropped);
    assert_int_equal(s.dropped[SHARD_DROP_IMPRESSION], 2);
    assert_int_equal(s.dropped[SHARD_DROP_FINDINGS], 1);
    assert_int_equal(s.dropped[SHARD_DROP_SUPERSEDED], 1);
    assert_int_equal(s.dropped[SHARD_DROP_SPLIT], 1);
    assert_int_equal(s.dropped[SHARD_DROP_DUPLICATE], 1);
    assert_int_equal(dropped, 6);

    o.duplicates = SHARD_DUP_NEAR_HEAD;
    s = run_with(&o);
    assert_int_equal(s.dropped[SHARD_DROP_DUPLICATE], 3);
    o.duplicates = SHARD_DUP_HEAD;
    o.min_findings_words = 20;
    o.impression_shorter = true;
    s = run_with(&o);
    assert_true(s.dropped[SHARD_DROP_SHORT] > 50);
    assert_int_equal(s.dropped[SHARD_DROP_NOT_SHORTER], 0);
    o.min_findings_words = 0;
    s = run_with(&o);
    assert_int_equal(s.dropped[SHARD_DROP_SHORT], 0);
    assert_int_equal(s.dropped[SHARD_DROP_NOT_SHORTER], 0);
    o.max_tokens = 160; /* the answer fits, the findings must be cut */
    s = run_with(&o);
    assert_true(s.cut > 200 && s.dropped[SHARD_DROP_LONG] == 0);
    uint64_t had = s.cut;
    o.drop_long = true;
    s = run_with(&o);
    assert_int_equal(s.cut, 0);
    assert_int_equal(s.dropped[SHARD_DROP_LONG], had);
}

/* Encoder-decoder: both parts end in EOS, the input is cut to its limit, an answer never is. */
static void parts_stand_apart(void **state)
{
    struct shard_opts o = kit_opts(shards);
    struct shard_set *set = NULL;
    struct tokenizer *t = NULL;
    struct sbuf text;
    struct err e = {0};
    bool found = false;

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    o.layout = SHARD_ENCODER_DECODER;
    o.max_input_tokens = 100;
    o.max_target_tokens = 46;
    struct shard_summary s = run_with(&o);
    uint64_t samples = s.samples[0] + s.samples[1] + s.samples[2];
    assert_int_equal(samples + s.dropped[SHARD_DROP_LONG], 390);
    assert_true(s.dropped[SHARD_DROP_LONG] > 10 && samples > 10);
    assert_true(s.cut > 10 && s.cut_tokens > s.cut);
    assert_true(tokenizer_open(tok, &t, &e));
    sbuf_init(&text, 1 << 16);
    assert_true(shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e));
    const struct shard_info *info = shard_set_info(set);
    assert_int_equal(info->layout, SHARD_ENCODER_DECODER);
    assert_int_equal(info->max_input_tokens, 100);
    assert_int_equal(info->max_target_tokens, 46);
    for (size_t i = 0; i < shard_set_count(set); i++) {
        struct sample x;
        assert_true(shard_set_get(set, i, &x, &e));
        assert_true(x.target <= 100 && x.length - x.target <= 46);
        assert_int_equal(x.tokens[x.target - 1], info->eos);
        assert_int_equal(x.tokens[x.length - 1], info->eos);
        if (x.source || x.entry != 22) continue;
        found = true;
        sbuf_clear(&text);
        assert_true(tokenizer_decode(t, x.tokens, x.target, true, &text, &e));
        assert_string_equal(text.p, "Findings: The kidney is enlarged. The spleen is clear. The "
                                    "heart is obscured.\nImpression:");
        sbuf_clear(&text);
        assert_true(tokenizer_decode(t, x.tokens + x.target, x.length - x.target, true, &text, &e));
        assert_string_equal(text.p, " Number 22: clear kidney. No acute process.");
    }
    assert_true(found);
    shard_set_close(set);
    sbuf_free(&text);
    tokenizer_close(t);
    /* another layout is another data set, and may not stand beside the first */
    o.layout = SHARD_LAYOUT_AUTO;
    static const char *const mr[] = {"MR"};
    o.modality = (struct opt_strs){mr, 1};
    assert_true(run_fails(&o, &e));
    assert_non_null(strstr(e.text, "layout"));
}

static void edit_hashes(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)s;
    (void)i;
    (void)text;
    r->hash_norm.hi++;
}

/* The whole field of the report a sample came from, cleaned; a corpus made anew is refused. */
static void fields_are_found_again(void **state)
{
    struct shard_opts o = kit_opts(shards);
    struct source_text *texts = NULL;
    struct shard_set *set = NULL;
    struct sbuf text;
    struct err e = {0};
    char command[1100];
    size_t checked = 0;

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    o.max_tokens = 160; /* the prompts are cut, the texts are not */
    run_with(&o);
    sbuf_init(&text, 1 << 16);
    assert_true(source_text_open(corpus, &texts, &e));
    assert_true(shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e));
    for (size_t i = 0; i < shard_set_count(set); i++) {
        struct sample x;
        assert_true(shard_set_get(set, i, &x, &e));
        KIT(source_text_get(texts, &x, PROMPT_CLINICAL, &text, &e), &e);
        assert_string_equal(text.p, "Cough");
        KIT(source_text_get(texts, &x, PROMPT_TECHNIQUE, &text, &e), &e);
        assert_int_equal(text.n, 0);
        KIT(source_text_get(texts, &x, PROMPT_FINDINGS, &text, &e), &e);
        if (x.source || x.entry != 22) continue;
        assert_string_equal(text.p, "The kidney is enlarged. The spleen is clear. The heart is "
                                    "obscured.");
        checked++;
    }
    assert_int_equal(checked, 1);
    source_text_close(texts);
    kit_corpus(corpus, sources, 2, edit_hashes); /* another one */
    assert_true(source_text_open(corpus, &texts, &e));
    struct sample x;
    assert_true(shard_set_get(set, 0, &x, &e));
    assert_false(source_text_get(texts, &x, PROMPT_FINDINGS, &text, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "not the corpus the shards were made from"));
    source_text_close(texts);
    assert_true(source_text_open(corpus, &texts, &e));
    snprintf(command, sizeof command, "find '%s' -name 'b*.h5' -delete", corpus);
    assert_int_equal(system(command), 0);
    e = (struct err){0};
    assert_false(source_text_get(texts, &x, PROMPT_FINDINGS, &text, &e)); /* a block is gone */
    assert_int_not_equal(e.code, ERR_CONFIG);
    source_text_close(texts);
    shard_set_close(set);
    sbuf_free(&text);
}

/* Inputs stand in their order; a field that is absent leaves no heading. */
static void inputs_keep_their_order(void **state)
{
    static const char *const order[] = {"reader", "comparison", "clinical", "technique"};
    struct shard_opts o = kit_opts(shards);
    struct shard_set *set = NULL;
    struct tokenizer *t = NULL;
    struct sample x;
    struct sbuf text;
    struct err e = {0};

    (void)state;
    kit_corpus(corpus, sources, 1, NULL);
    o.input = (struct opt_strs){order, 4};
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.samples[0] + s.samples[1] + s.samples[2], 300);
    assert_true(shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e));
    assert_true(shard_set_get(set, 2, &x, &e));
    assert_int_equal(x.entry, 6); /* CR: 0, 3, 6 */
    assert_true(tokenizer_open(tok, &t, &e));
    sbuf_init(&text, 1 << 16);
    assert_true(tokenizer_decode(t, x.tokens, x.target, true, &text, &e));
    assert_string_equal(text.p, "Reader: 000006\nComparison: None\nClinical information: Cough\n"
                                "Impression:");
    shard_set_close(set);
    sbuf_clear(&text);
    tokenizer_close(t);
    sbuf_free(&text);
    static const char *const one[] = {"technique"};
    o.input = (struct opt_strs){one, 1};
    assert_true(run_fails(&o, &e)); /* no report has any */
    assert_non_null(strstr(e.text, "reports of the chosen modalities gave a sample: "));
    assert_non_null(strstr(e.text, "no-findings "));
}

static void edit_calls(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)s;
    (void)r;
    if (i == 0)
        text[SEC_IMPRESSION] = "Hydronephrosis. Drained well. Seen by Dr. ___ at noon. End.";
    if (i == 1) text[SEC_IMPRESSION] = "Findings were DISCUSSED by phone.";
}

static void calls_can_be_cut_off(void **state)
{
    struct shard_opts o = kit_opts(shards);
    struct kit_source src = {"alpha", 2, 10, MODE_OWN, 0};
    struct shard_set *set = NULL;
    struct tokenizer *t = NULL;
    struct sample x;
    struct sbuf text;
    struct err e = {0};

    (void)state;
    kit_corpus(corpus, &src, 1, edit_calls);
    o.cut_communication = true;
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.dropped[SHARD_DROP_IMPRESSION], 1);
    assert_true(shard_set_open(shards, SHARD_TRAIN, NULL, 0, true, &set, &e));
    assert_true(shard_set_get(set, 0, &x, &e));
    assert_true(tokenizer_open(tok, &t, &e));
    sbuf_init(&text, 1 << 16);
    assert_true(tokenizer_decode(t, x.tokens + x.target, x.length - x.target, true, &text, &e));
    assert_string_equal(str_trim(sbuf_str(&text)).p, "Hydronephrosis. Drained well.");
    sbuf_free(&text);
    tokenizer_close(t);
    shard_set_close(set);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st;
}

static const char *first_file(const char *modality)
{
    struct arena a;
    struct shard_manifest m;
    struct err e = {0};
    const char *out = NULL;

    arena_init(&a, 1 << 20);
    assert_true(shard_manifest_read(shards, &a, &m, &e));
    for (size_t i = 0; i < m.nfiles && !out; i++)
        if (strcmp(m.files[i].modality, modality) == 0) {
            char rel[700];
            snprintf(rel, sizeof rel, "shards/%s", m.files[i].path);
            out = testdir_path(rel);
        }
    arena_free(&a);
    assert_non_null(out);
    return out;
}

static void rerun_makes_nothing(void **state)
{
    struct shard_opts o = kit_opts(shards);
    uint8_t a[32], b[32];

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    struct shard_summary s = run_with(&o);
    assert_true(s.files > 5 && s.files == s.files_made);
    kit_digest(shards, a);
    struct stat before = stat_of(first_file("CR"));
    /* what a killed process leaves behind goes away */
    testdir_write(testdir_path("shards/manifest.json.tmp.4194303.1"), "x", 1);
    testdir_write(testdir_path("shards/CT/s00000-0.h5.tmp.4194303.1"), "x", 1);
    struct shard_summary again = run_with(&o);
    struct stat after = stat_of(first_file("CR"));
    kit_digest(shards, b);
    assert_memory_equal(a, b, 32);
    assert_int_equal(again.files_made, 0);
    assert_int_equal(again.files, s.files);
    assert_memory_equal(again.samples, s.samples, sizeof s.samples);
    assert_memory_equal(again.tokens, s.tokens, sizeof s.tokens);
    assert_memory_equal(again.targets, s.targets, sizeof s.targets);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

/* A damaged file is made anew, with the same bytes; so is a missing one. */
static void damage_is_repaired(void **state)
{
    struct shard_opts o = kit_opts(shards);
    uint8_t a[32], b[32];
    size_t n;

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    run_with(&o);
    kit_digest(shards, a);
    const char *path = first_file("CT");
    char *p = testdir_read(path, &n);
    p[n / 2] ^= 1;
    testdir_write(path, p, n);
    free(p);
    unlink(first_file("MR"));
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.files_made, 2);
    kit_digest(shards, b);
    assert_memory_equal(a, b, 32);
}

static void one_modality_leaves_the_others(void **state)
{
    static const char *const mr[] = {"MR"};
    struct shard_opts o = kit_opts(shards);
    struct err e;

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    struct shard_summary all = run_with(&o);
    struct stat ct = stat_of(first_file("CT")), m = stat_of(first_file("MR"));
    o.modality = (struct opt_strs){mr, 1};
    o.min_findings_words = 20;
    struct shard_summary s = run_with(&o);
    assert_true(s.files_made > 0 && s.files < all.files);
    struct stat ct2 = stat_of(first_file("CT")), m2 = stat_of(first_file("MR"));
    assert_int_equal(ct.st_ino, ct2.st_ino);
    assert_int_equal(ct.st_mtim.tv_nsec, ct2.st_mtim.tv_nsec);
    assert_int_not_equal(m.st_ino, m2.st_ino);
    /* another template may not stand beside the others */
    o.template = "alpaca";
    assert_true(run_fails(&o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.text, "another tokenizer, template"));
    /* the old data set still stands */
    struct shard_set *set = NULL;
    err_clear(&e);
    assert_true(shard_set_open(shards, SHARD_TRAIN, mr, 1, true, &set, &e));
    shard_set_close(set);
}

/* A source that comes behind the old ones leaves the other modalities' shards in place; one that
 * goes would make their source numbers lie. */
static void new_sources_come_behind(void **state)
{
    static const char *const mr[] = {"MR"};
    struct shard_opts o = kit_opts(shards);
    struct shard_manifest m;
    struct arena a;
    struct err e = {0};

    (void)state;
    kit_corpus(corpus, sources, 1, NULL);
    run_with(&o);
    struct stat ct = stat_of(first_file("CT"));
    kit_corpus(corpus, sources, 2, NULL);
    o.modality = (struct opt_strs){mr, 1};
    run_with(&o);
    assert_int_equal(ct.st_ino, stat_of(first_file("CT")).st_ino);
    arena_init(&a, 1 << 20);
    assert_true(shard_manifest_read(shards, &a, &m, &e));
    assert_int_equal(m.nsources, 2);
    assert_int_equal(m.nmodalities, 3);
    assert_non_null(
        strstr(m.modalities[0].options, "max_tokens=1024 shard_size=40 duplicates=keep"));
    arena_free(&a);
    kit_corpus(corpus, sources, 1, NULL);
    assert_true(run_fails(&o, &e));
    assert_non_null(strstr(e.text, "or other sources"));
}

/* Names, inodes and times of all shard files; `count` gets their number. */
static struct stat *all_files(const char *list, size_t *count)
{
    static struct stat st[256];
    char cmd[900], path[700];

    snprintf(cmd, sizeof cmd, "find '%s' -name '*.h5' | sort > '%s'", shards, list);
    assert_int_equal(system(cmd), 0);
    FILE *f = fopen(list, "r");
    for (*count = 0; fgets(path, sizeof path, f); ++*count) {
        path[strcspn(path, "\n")] = 0;
        st[*count] = stat_of(path);
    }
    fclose(f);
    return st;
}

/* What is appended, a dump to a source or a source to the corpus, makes new files beside the old
 * ones; these keep their bytes, inodes and times. */
static void growth_leaves_old_files(void **state)
{
    struct kit_source grown[] = {{"alpha", 256, 64, MODE_OWN, 2}, {"beta", 90, 100, MODE_OWN, 0}};
    struct shard_opts o = kit_opts(shards);
    struct stat before[256];
    size_t had, have;

    (void)state;
    o.shard_size = 1000; /* runs end where dumps do, long before they are full */
    kit_corpus(corpus, grown, 1, NULL);
    struct shard_summary first = run_with(&o);
    assert_int_equal(first.files, 6); /* three modalities of two dumps */
    memcpy(before, all_files(testdir_path("list"), &had), sizeof before);
    assert_int_equal(had, 6);
    grown[0].records += 100;
    kit_corpus(corpus, grown, 2, NULL);
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.files, 12);
    assert_int_equal(s.files_made, 6);
    const struct stat *after = all_files(testdir_path("list"), &have);
    size_t kept = 0;
    for (size_t i = 0; i < had; i++)
        for (size_t k = 0; k < have; k++)
            kept += before[i].st_ino == after[k].st_ino &&
                    before[i].st_mtim.tv_nsec == after[k].st_mtim.tv_nsec &&
                    before[i].st_mtim.tv_sec == after[k].st_mtim.tv_sec;
    assert_int_equal(kept, 6);
    /* all samples are there, and the corpus alone decides the order */
    uint8_t a[32], b[32];
    kit_digest(shards, a);
    char other[700];
    snprintf(other, sizeof other, "%s", testdir_path("afresh"));
    o.dir = other;
    run_with(&o);
    kit_digest(other, b);
    assert_memory_equal(a, b, 32);
}

/* Beyond the first 64 dumps small ones share a shard. */
static void many_dumps_share_files(void **state)
{
    struct kit_source daily[] = {{"alpha", 160, 2, MODE_OWN, 1}};
    struct shard_opts o = kit_opts(shards);

    (void)state;
    o.shard_size = 320;
    kit_corpus(corpus, daily, 1, NULL);
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.samples[0] + s.samples[1] + s.samples[2], 160);
    /* 63 dumps of two records each have files of their own; the 34 records behind them fill runs of
     * at least 20 of a modality, or end with the source */
    assert_int_equal(s.files, 126 + 3);
}

/* A changed block remakes only the shards that read from it. */
static void edit_late(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)r;
    if (s == 1 && i > 80) text[SEC_FINDINGS] = "The spleen has changed since.";
}

static void only_what_changed_is_remade(void **state)
{
    struct shard_opts o = kit_opts(shards);

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    struct shard_summary all = run_with(&o);
    struct stat cr = stat_of(first_file("CR"));
    kit_corpus(corpus, sources, 2, edit_late);
    struct shard_summary s = run_with(&o);
    assert_true(s.files_made > 0 && s.files_made < all.files);
    assert_int_equal(cr.st_ino, stat_of(first_file("CR")).st_ino);
    /* and the files it replaces are gone: tokens of withdrawn text must not linger */
    size_t names = 0;
    char cmd[800];
    snprintf(cmd, sizeof cmd, "find '%s' -name '*.h5' | wc -l", shards);
    FILE *f = popen(cmd, "r");
    assert_int_equal(fscanf(f, "%zu", &names), 1);
    pclose(f);
    assert_int_equal(names, s.files);
}

static void edit_crossing(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)s;
    (void)text;
    if (i == 31) r->split = SPLIT_TEST; /* the patient of record 30, which stays in dev or train */
}

static void crossing_patients_stop_the_run(void **state)
{
    struct shard_opts o = kit_opts(shards);
    struct err e;

    (void)state;
    kit_corpus(corpus, sources, 1, edit_crossing);
    assert_true(run_fails(&o, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_non_null(strstr(e.text, "1 of 150 patients have reports in more than one split"));
    assert_false(fs_exists(testdir_path("shards/manifest.json")));
    assert_null(strstr(e.text, "P15"));
}

static void edit_seen(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)s;
    (void)text;
    if (i == 16 || i == 18 || i == 19) r->hash_norm = (struct hash128){7, 9}; /* dev, test, test */
    if (i == 40) r->hash_norm = (struct hash128){7, 9};                       /* train */
}

static void texts_across_splits_are_counted(void **state)
{
    struct shard_opts o = kit_opts(shards);

    (void)state;
    kit_corpus(corpus, sources, 1, NULL);
    struct shard_summary none = run_with(&o);
    kit_corpus(corpus, sources, 1, edit_seen);
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.seen[SHARD_DEV] - none.seen[SHARD_DEV], 1);
    assert_int_equal(s.seen[SHARD_TEST] - none.seen[SHARD_TEST], 2);
    assert_int_equal(s.seen[SHARD_TRAIN], 0);
}

static void wrong_options_are_named(void **state)
{
    static const char *const xx[] = {"XX"}, *const us[] = {"US"},
                             *const twice[] = {"findings", "findings"};
    struct shard_opts o = kit_opts(shards);
    struct err e;

    (void)state;
    kit_corpus(corpus, sources, 1, NULL);
    o.modality = (struct opt_strs){xx, 1};
    assert_true(run_fails(&o, &e) && strstr(e.text, "'XX' is none of"));
    o.modality = (struct opt_strs){us, 1};
    assert_true(run_fails(&o, &e) &&
                strstr(e.text, "the corpus has no report of the chosen modalities"));
    assert_int_equal(e.code, ERR_CONFIG);
    o = kit_opts(shards);
    o.input = (struct opt_strs){xx, 1};
    assert_true(run_fails(&o, &e) && strstr(e.text, "'XX' is not one of clinical"));
    o.input = (struct opt_strs){twice, 2};
    assert_true(run_fails(&o, &e) && strstr(e.text, "twice"));
    o = kit_opts(NULL);
    assert_true(run_fails(&o, &e) && strstr(e.text, "shards.dir"));
    o = kit_opts(shards);
    stop_request();
    assert_true(run_fails(&o, &e));
    stop_reset();
    assert_int_equal(e.code, ERR_STOPPED);
}

/* u32 tokens when the vocabulary needs them, and another tokenizer makes other files. */
static void large_vocabularies_take_four_bytes(void **state)
{
    struct shard_opts o = kit_opts(shards);
    struct shard_file f;
    struct err e = {0};

    (void)state;
    kit_corpus(corpus, sources, 1, NULL);
    run_with(&o);
    assert_true(shard_file_open(first_file("CR"), true, &f, &e));
    assert_int_equal(f.head.token_bytes, 2);
    shard_file_close(&f);
    kit_tokenizer(tok, 66000);
    struct shard_summary s = run_with(&o);
    assert_int_equal(s.files_made, s.files);
    assert_true(shard_file_open(first_file("CR"), true, &f, &e));
    assert_int_equal(f.head.token_bytes, 4);
    shard_file_close(&f);
}

static void h5py_reads_it(void **state)
{
    struct shard_opts o = kit_opts(shards);
    char cmd[3000];
    const char *python = testdir_python("h5py");

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    o.shard_size = 1000;
    run_with(&o);
    if (!python) skip();
    snprintf(cmd, sizeof cmd, "'%s' '%s/tests/shard/check_shards.py' '%s' >/dev/null", python,
             RADMILL_SOURCE, shards);
    assert_int_equal(system(cmd), 0);
    o.layout = SHARD_ENCODER_DECODER;
    o.max_input_tokens = 100;
    run_with(&o);
    assert_int_equal(system(cmd), 0);
    if (system("command -v h5dump >/dev/null") != 0) return;
    snprintf(cmd, sizeof cmd, "h5dump -d /tokens/ids '%s' >/dev/null", first_file("CR"));
    assert_int_equal(system(cmd), 0);
}

/* A block is known by its SHA-256 the first time and by a faster sum from then on: another whole
 * block in its place, or a flipped byte, is noticed all the same. */
static void blocks_are_known_again(void **state)
{
    struct record_reader *r = NULL;
    struct record_corpus c;
    struct arena a;
    struct err e = {0};
    size_t n, other;

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    arena_init(&a, 1 << 20);
    KIT(record_corpus_open(corpus, &a, &c, &e), &e);
    for (int twice = 0; twice < 2; twice++) {
        KIT(record_block_open(&c.blocks[0], &r, &e), &e);
        record_reader_close(r);
    }
    char *whole = testdir_read(c.blocks[0].path, &n);
    char *second = testdir_read(c.blocks[1].path, &other);
    testdir_write(c.blocks[0].path, second, other);
    assert_false(record_block_open(&c.blocks[0], &r, &e));
    assert_non_null(strstr(e.text, "is not the block the manifest names"));
    whole[n / 2] ^= 4;
    testdir_write(c.blocks[0].path, whole, n);
    err_clear(&e);
    assert_false(record_block_open(&c.blocks[0], &r, &e));
    assert_non_null(strstr(e.text, c.blocks[0].path));
    assert_non_null(strstr(e.text, "checksum differs"));
    whole[n / 2] ^= 4;
    testdir_write(c.blocks[0].path, whole, n);
    err_clear(&e);
    KIT(record_block_open(&c.blocks[0], &r, &e), &e);
    record_reader_close(r);
    free(whole);
    free(second);
    arena_free(&a);
}

static void nothing_is_leaked(void **state)
{
    struct shard_opts o = kit_opts(shards);

    (void)state;
    kit_corpus(corpus, sources, 2, NULL);
    size_t blocks = mem_live_blocks();
    run_with(&o);
    run_with(&o);
    assert_int_equal(mem_live_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_hold_what_the_records_said, setup, teardown),
        cmocka_unit_test_setup_teardown(each_loss_is_counted_by_its_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_stand_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(inputs_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_can_be_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(rerun_makes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_repaired, setup, teardown),
        cmocka_unit_test_setup_teardown(one_modality_leaves_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(new_sources_come_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(growth_leaves_old_files, setup, teardown),
        cmocka_unit_test_setup_teardown(many_dumps_share_files, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_changed_is_remade, setup, teardown),
        cmocka_unit_test_setup_teardown(crossing_patients_stop_the_run, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_across_splits_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_options_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(large_vocabularies_take_four_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(h5py_reads_it, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_are_known_again, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_leaked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
