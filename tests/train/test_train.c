/* The whole run in one process: going on, refusing, pausing, ending early, failing anywhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/stop.h"
#include "checkpoint/ckpt.h"
#include "support/testdir.h"
#include "train/trial.h"

static size_t lines(const struct trial *x, const char *with)
{
    size_t n, count = 0;
    char *text = testdir_read(trial_file(x, "metrics.jsonl"), &n);
    for (char *p = text; (p = strstr(p, with)); p++)
        count++;
    free(text);
    return count;
}

/* The run that others are compared with. */
static struct trial whole;

static void a_run_leaves_what_it_promises(void **state)
{
    struct err e = {0};
    json_t *j, *part;
    struct str s;
    uint64_t n = 0;

    (void)state;
    trial_init(&whole, "whole");
    trial_must(&whole);
    assert_true(whole.s.finished && !whole.s.paused && !whole.s.early_stopped);
    assert_int_equal(whole.s.steps, 6);
    assert_int_equal(whole.s.total_steps, 6);
    assert_int_equal(whole.s.samples, 200);
    assert_true(whole.s.dev_loss > 1 && whole.s.best_dev_loss <= whole.s.dev_loss);
    assert_int_equal(lines(&whole, "\"train\""), 6);
    assert_int_equal(lines(&whole, "\"dev\""), 3);
    assert_int_equal(lines(&whole, "gpu_busy"), test_device_is_cuda() ? 6 : 0);
    assert_true(test_device_is_cuda() ? whole.s.gpu_busy > 0 : whole.s.gpu_busy < 0);
    if (test_device_is_cuda()) {
        double used = (double)whole.s.memory_used, plan = (double)whole.s.memory_bytes;
        assert_true(fabs(used - plan) <= 0.03 * used);
    }
    assert_true(fs_exists(trial_file(&whole, "tensorboard/events.out.tfevents.radmill")));
    assert_true(fs_exists(trial_file(&whole, "summary.json")));
    assert_true(fs_exists(trial_file(&whole, "adapter/adapter_config.json")));
    assert_true(json_read_file(trial_file(&whole, "adapter/radmill.json"), 1 << 20, &j, &e));
    assert_true(json_get_str(j, "commit", &s, &e) && str_eqz(s, "abc"));
    assert_true(json_get_str(j, "config", &s, &e) && str_find(s, STR("seed: 1"), 0) < s.n);
    assert_true(json_get_obj(j, "training", &part, &e) && json_get_u64(part, "step", &n, &e));
    assert_int_equal(n, whole.s.best_step);
    json_decref(j);
}

static bool holds(const struct trial *x, const char *name, const char *text)
{
    size_t n;
    char *p = testdir_read(trial_file(x, name), &n);
    bool found = str_find((struct str){p, n}, str_of(text), 0) != SIZE_MAX;
    free(p);
    return found;
}

static void a_finished_run_says_so_again(void **state)
{
    struct trial x = whole;
    struct err e = {0};

    (void)state;
    x.job.train = &x.t;
    x.t.dir = x.dir;
    assert_true(fs_remove_tree(trial_file(&x, "adapter"), &e));
    trial_must(&x);
    assert_true(x.s.finished);
    assert_int_equal(x.s.steps, 6);
    assert_int_equal(lines(&x, "\"train\""), 6);
    assert_true(fs_exists(trial_file(&x, "adapter/adapter_model.safetensors")));
    assert_true(x.s.gpu_busy < 0);     /* of no step */
    x.job.commit = "of another build"; /* which did not make what is there */
    assert_true(fs_replace(trial_file(&x, "summary.json"), STR("as it was"), &e));
    trial_must(&x);
    assert_true(x.s.finished);
    assert_true(holds(&x, "summary.json", "as it was"));
    assert_false(holds(&x, "adapter/radmill.json", "of another build"));
}

static void stopping_anywhere_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t k = 1; k < 6; k += 2) {
        struct trial x;
        char name[32];
        snprintf(name, sizeof name, "stop%d", (int)k);
        trial_init(&x, name);
        trial_stop_after(&x, k);
        assert_int_equal(x.s.steps, k);
        trial_must(&x);
        assert_true(x.s.finished);
        assert_int_equal(lines(&x, "\"train\""), 6);
        assert_int_equal(lines(&x, "\"dev\""), 3);
        trial_same(&x, &whole);
    }
}

/* Trained elements and tensors of kit_small with kit_lora. */
enum { COUNT = 3712, SHIFTS = 28 };

/* Shifts decide the rounding of the first step after going on: coarse ones put into the checkpoint must
 * show in the adapter. */
static void shifts_come_from_the_checkpoint(void **state)
{
    static float params[COUNT], m[COUNT], v[COUNT];
    int32_t shifts[SHIFTS];
    struct ckpt_item items[] = {{"params", CKPT_F32, COUNT, params},
                                {"m", CKPT_F32, COUNT, m},
                                {"v", CKPT_F32, COUNT, v},
                                {"shifts", CKPT_I32, SHIFTS, shifts}};
    struct trial x;
    struct err e = {0};
    struct arena a;
    struct str meta;
    size_t nx, nw;

    (void)state;
    arena_init(&a, 1 << 16);
    trial_init(&x, "shifts");
    trial_stop_after(&x, 2);
    const char *dir = trial_file(&x, "checkpoints");
    assert_true(ckpt_load(trial_comm, dir, 2, items, 4, &a, &meta, &e));
    for (int i = 0; i < SHIFTS; i++) {
        assert_in_range(shifts[i], 40, 80); /* 2^-40 and finer: gradients here are below 1 */
        shifts[i] = 12;
    }
    assert_true(ckpt_save(trial_comm, dir, 2, items, 4, meta, 2, NULL, 0, &e));
    trial_must(&x);
    char *px = testdir_read(trial_file(&x, "adapter/adapter_model.safetensors"), &nx);
    char *pw = testdir_read(trial_file(&whole, "adapter/adapter_model.safetensors"), &nw);
    assert_true(nx == nw && memcmp(px, pw, nx) != 0);
    free(pw);
    free(px);
    arena_free(&a);
}

static void a_request_to_stop_is_heard_between_bins(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "asked");
    stop_request();
    trial_refused(&x, ERR_STOPPED, "after step 0 of 6");
    stop_reset();
    trial_stop_after(&x, 3);
    stop_request();
    trial_refused(&x, ERR_STOPPED, "after step 3 of 6"); /* already saved: nothing new to save */
    stop_reset();
    trial_must(&x);
    trial_same(&x, &whole);
    assert_int_equal(lines(&x, "\"train\""), 6);
}

/* A checkpoint as it is left by a stop inside the evaluation that was due. */
static void owe_evaluation(const char *dir, uint64_t metrics_bytes)
{
    static float arrays[3][COUNT];
    int32_t shifts[SHIFTS];
    struct ckpt_item items[] = {{"params", CKPT_F32, COUNT, arrays[0]},
                                {"m", CKPT_F32, COUNT, arrays[1]},
                                {"v", CKPT_F32, COUNT, arrays[2]},
                                {"shifts", CKPT_I32, SHIFTS, shifts}};
    struct err e = {0};
    struct arena a;
    struct str meta;
    struct sbuf text;
    json_t *j,
        *none = json_pack("{s:i, s:i, s:i, s:b}", "step", 0, "fixed", 0, "rows", 0, "finite", 0);

    arena_init(&a, 1 << 16);
    sbuf_init(&text, 1 << 16);
    assert_true(ckpt_load(trial_comm, dir, 2, items, 4, &a, &meta, &e));
    assert_true(json_parse(meta, "meta", &j, &e));
    assert_int_equal(json_integer_value(json_object_get(j, "evaluations")), 1);
    json_object_set_new(j, "eval_owed", json_true());
    json_object_set_new(j, "evaluations", json_integer(0));
    json_object_set_new(j, "metrics_bytes", json_integer((json_int_t)metrics_bytes));
    json_object_set(j, "last", none);
    json_object_set(j, "best", none);
    assert_true(json_put(&text, j, &e));
    assert_true(ckpt_save(trial_comm, dir, 2, items, 4, sbuf_str(&text), 2, NULL, 0, &e));
    json_decref(none);
    json_decref(j);
    sbuf_free(&text);
    arena_free(&a);
}

static void an_evaluation_owed_is_made_up_first(void **state)
{
    struct trial x;
    size_t n;

    (void)state;
    trial_init(&x, "owed");
    trial_stop_after(&x, 2);
    char *text = testdir_read(trial_file(&x, "metrics.jsonl"), &n);
    uint64_t before = (uint64_t)(strstr(text, "{\"kind\":\"dev\"") - text);
    free(text);
    owe_evaluation(trial_file(&x, "checkpoints"), before);
    stop_request(); /* heard in the evaluation, which stays owed */
    trial_refused(&x, ERR_STOPPED, "after step 2 of 6");
    stop_reset();
    assert_int_equal(lines(&x, "\"dev\""), 0);
    trial_must(&x);
    assert_int_equal(lines(&x, "\"dev\""), 3);
    assert_true(x.s.best_step == whole.s.best_step && x.s.best_dev_loss == whole.s.best_dev_loss);
    trial_same(&x, &whole);
}

static void a_pause_scores_and_leaves_no_trace(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "pause");
    x.job.pause_at_step = 3; /* between two evaluations */
    trial_must(&x);
    assert_true(x.s.paused && !x.s.finished);
    assert_int_equal(x.s.steps, 3);
    double at3 = x.s.dev_loss;
    assert_true(isfinite(at3) && at3 != x.s.best_dev_loss);
    trial_must(&x); /* again at the same place: the same score, no step */
    assert_true(x.s.paused && x.s.dev_loss == at3);
    x.job.pause_at_step = 4;
    trial_must(&x);
    assert_int_equal(x.s.steps, 4);
    x.job.pause_at_step = 0;
    trial_must(&x);
    assert_true(x.s.finished);
    assert_int_equal(lines(&x, "\"dev\""), 3);
    trial_same(&x, &whole);
}

/* A rate far too high: soon no evaluation is better than the best. */
static void init_early(struct trial *x, const char *name)
{
    trial_init(x, name);
    x->t.lr = 0.9;
    x->t.max_steps = 200;
    x->t.epochs = 100;
    x->t.patience = 2;
}

static void early_stopping_keeps_the_best(void **state)
{
    struct trial x, y, z;
    struct err e = {0};
    json_t *j, *part;
    uint64_t n = 0;
    size_t nx, nz;

    (void)state;
    init_early(&x, "early");
    trial_must(&x);
    assert_true(x.s.finished && x.s.early_stopped);
    assert_true(x.s.steps < 200);
    assert_int_equal(x.s.steps, x.s.best_step + 4); /* two evaluations of two steps */
    assert_true(json_read_file(trial_file(&x, "adapter/radmill.json"), 1 << 20, &j, &e));
    assert_true(json_get_obj(j, "training", &part, &e) && json_get_u64(part, "step", &n, &e));
    assert_int_equal(n, x.s.best_step);
    json_decref(j);

    y = x; /* a run that stopped early stays so */
    y.job.train = &y.t;
    y.t.dir = y.dir;
    trial_must(&y);
    assert_true(y.s.early_stopped && y.s.steps == x.s.steps);

    init_early(&z, "early-last");
    z.t.export = TRAIN_EXPORT_LAST;
    trial_must(&z);
    assert_int_equal(z.s.steps, x.s.steps);
    char *best = testdir_read(trial_file(&x, "adapter/adapter_model.safetensors"), &nx);
    char *last = testdir_read(trial_file(&z, "adapter/adapter_model.safetensors"), &nz);
    assert_true(nx == nz && memcmp(best, last, nx) != 0);
    free(last);
    free(best);
}

static void contradictions_are_refused_before_any_work(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "never");
    x.t.tokens_per_step = 100;
    trial_refused(&x, ERR_CONFIG, "64 or 128 would be");
    trial_init(&x, "never");
    x.t.eval_every = (struct opt_every){5, OPT_MINUTES};
    x.t.patience = 1;
    trial_refused(&x, ERR_CONFIG, "clock");
    x.t.patience = 0;
    x.t.export = TRAIN_EXPORT_BEST;
    trial_refused(&x, ERR_CONFIG, "clock");
    x.t.eval_every = (struct opt_every){0, OPT_NEVER};
    trial_refused(&x, ERR_CONFIG, "train.export: best needs train.eval_every");
    trial_init(&x, "never");
    x.t.eval_every = (struct opt_every){0.5, OPT_STEPS};
    trial_refused(&x, ERR_CONFIG, "train.eval_every: 0.5 is not a distance");
    trial_init(&x, "never");
    x.t.dir = NULL;
    trial_refused(&x, ERR_CONFIG, "train.dir");
    assert_false(fs_exists(testdir_path("never")));
}

static void a_dry_run_plans_and_writes_nothing(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "dry");
    x.job.dry_run = true;
    x.t.eval_every = (struct opt_every){0.25, OPT_EPOCHS};
    trial_must(&x);
    assert_int_equal(x.s.total_steps, 6);
    assert_int_equal(x.s.steps, 0);
    assert_true(x.s.memory_bytes > 100000);
    assert_false(fs_exists(x.dir));
    x.t.memory_gib = 1e-5;
    trial_refused(&x, ERR_LIMIT, "train.memory_gib");
}

/* Whatever is made again, whoever decides it, also when going on: the same adapter. */
static void what_is_made_again_changes_nothing(void **state)
{
    static const char *const names[] = {"auto", "none", "selective", "full"};
    const struct kit_shape deep = {4, 32, 48, 4, 2, 64, 7};
    static struct trial none;
    const char *model = testdir_path("deep");
    double gib[4];
    struct trial x;

    (void)state;
    kit_model(model, &deep);
    for (int i = TRAIN_RECOMPUTE_NONE; i <= TRAIN_RECOMPUTE_FULL; i++) {
        trial_init(&x, names[i]);
        x.m.base = model;
        x.t.recompute = i;
        trial_must(&x);
        if (i == TRAIN_RECOMPUTE_NONE) none = x;
        trial_same(&x, &none);
        assert_string_equal(x.s.recompute, names[i]);
        assert_int_equal(x.s.recompute_blocks, i > TRAIN_RECOMPUTE_NONE ? 3 : 0);
        gib[i] = (double)x.s.memory_bytes / (1 << 30);
    }
    double most = gib[TRAIN_RECOMPUTE_FULL] * 1.0000001;
    assert_true(most < gib[TRAIN_RECOMPUTE_NONE]);
    trial_init(&x, "auto");
    x.m.base = model;
    x.t.memory_gib = most;
    trial_stop_after(&x, 2);
    assert_int_equal(x.s.recompute_blocks, 3);
    x.t.recompute = TRAIN_RECOMPUTE_SELECTIVE;
    x.t.memory_gib = 0;
    trial_stop_after(&x, 2);
    x.t.recompute = TRAIN_RECOMPUTE_AUTO;
    trial_must(&x);
    assert_string_equal(x.s.recompute, "none");
    trial_same(&x, &none);
    trial_init(&x, "refused");
    x.m.base = model;
    x.t.recompute = TRAIN_RECOMPUTE_NONE;
    x.t.memory_gib = most;
    trial_refused(&x, ERR_LIMIT, "train.recompute");
}

static void another_configuration_or_base_is_refused(void **state)
{
    struct trial x;
    char other[700];

    (void)state;
    trial_init(&x, "other");
    trial_stop_after(&x, 2);
    x.t.lr = 0.02;
    trial_refused(&x, ERR_CONFIG, "train.lr");
    x.t.lr = 0.01;
    x.t.keep = 5; /* free to change */
    snprintf(other, sizeof other, "%s-other", trial_model);
    kit_model(other, &(struct kit_shape){2, 32, 48, 4, 2, 64, 8});
    x.m.base = other;
    trial_refused(&x, ERR_CONFIG, "another base model");
    x.m.base = trial_model;
    trial_must(&x);
    trial_same(&x, &whole);
}

/* longrope with its short factors ends at the border; with the long ones it is another base. */
static void samples_beyond_a_border_are_refused(void **state)
{
    struct trial x;
    struct model_spec s;
    char base[700], path[800], cmd[1600];

    (void)state;
    trial_init(&x, "border");
    snprintf(base, sizeof base, "%s-longrope", trial_model);
    snprintf(cmd, sizeof cmd, "cp -r '%s' '%s'", trial_model, base);
    assert_int_equal(system(cmd), 0);
    snprintf(path, sizeof path, "%s/config.json", base);
    assert_true(model_spec_read(path, &s, &x.e));
    s.rope = ROPE_LONGROPE;
    s.rope_original = 16; /* the longest sample has 18 tokens */
    s.rope_factor = s.max_positions / s.rope_original;
    s.rope_attention = 1.25;
    for (uint32_t i = 0; i < s.head_dim / 2; i++) {
        s.rope_short[i] = 1;
        s.rope_long[i] = 1 + (float)i;
    }
    assert_true(model_spec_write(&s, "float32", path, &x.e));
    x.m.base = base;
    trial_refused(&x, ERR_CONFIG, "a sequence of 18 tokens is beyond the 16 that");
    x.m.context = 32;
    trial_stop_after(&x, 2);
    for (uint32_t i = 0; i < s.head_dim / 2; i++)
        s.rope_long[i] = 2 + (float)i;
    assert_true(model_spec_write(&s, "float32", path, &x.e));
    trial_refused(&x, ERR_CONFIG, "another base model");
}

static void another_dataset_is_refused(void **state)
{
    struct trial x;
    char other[700];

    (void)state;
    trial_init(&x, "dataset");
    trial_stop_after(&x, 2);
    snprintf(other, sizeof other, "%s-other", trial_shards);
    kit_shards_of(other, 180, SHARD_DECODER);
    x.job.shards_dir = other;
    trial_refused(&x, ERR_CONFIG, "another dataset");
}

static void another_tokenizer_is_refused(void **state)
{
    struct trial x;
    const uint8_t digest[32] = {1, 2, 3};

    (void)state;
    trial_init(&x, "tokenizer");
    x.job.tokenizer_digest = digest;
    trial_refused(&x, ERR_CONFIG, "tokenizer");
}

static void a_second_job_is_refused(void **state)
{
    struct trial x;
    struct err e = {0};
    int lock;

    (void)state;
    trial_init(&x, "busy");
    trial_stop_after(&x, 1);
    assert_true(fs_lock(trial_file(&x, ".lock"), &lock, &e));
    trial_refused(&x, ERR_CONFIG, "another job is using");
    fs_unlock(lock);
    trial_must(&x);
    trial_same(&x, &whole);
}

static void divergence_leaves_the_checkpoints(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "diverged");
    x.l.alpha = 1e25; /* once B is not zero, products of queries and keys overflow */
    x.t.save_every = (struct opt_every){1, OPT_STEPS};
    x.t.eval_every = (struct opt_every){0, OPT_NEVER};
    trial_refused(&x, ERR_DIVERGED, "not a finite number");
    assert_non_null(strstr(x.e.text, "step 2"));
    assert_true(fs_exists(trial_file(&x, "checkpoints/step-00000001/COMPLETE")));
}

static void what_never_began_may_be_tried_otherwise(void **state)
{
    struct trial x;

    (void)state;
    trial_init(&x, "retry");
    x.t.memory_gib = 1e-5;
    trial_refused(&x, ERR_LIMIT, "train.memory_gib");
    x.t.lr = 0.005;
    x.t.memory_gib = 0;
    trial_stop_after(&x, 3); /* now it has begun */
    x.t.lr = 0.01;
    trial_refused(&x, ERR_CONFIG, "train.lr");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_leaves_what_it_promises),
        cmocka_unit_test(a_finished_run_says_so_again),
        cmocka_unit_test(stopping_anywhere_changes_nothing),
        cmocka_unit_test(shifts_come_from_the_checkpoint),
        cmocka_unit_test(a_request_to_stop_is_heard_between_bins),
        cmocka_unit_test(an_evaluation_owed_is_made_up_first),
        cmocka_unit_test(a_pause_scores_and_leaves_no_trace),
        cmocka_unit_test(early_stopping_keeps_the_best),
        cmocka_unit_test(contradictions_are_refused_before_any_work),
        cmocka_unit_test(a_dry_run_plans_and_writes_nothing),
        cmocka_unit_test(what_is_made_again_changes_nothing),
        cmocka_unit_test(another_configuration_or_base_is_refused),
        cmocka_unit_test(another_dataset_is_refused),
        cmocka_unit_test(samples_beyond_a_border_are_refused),
        cmocka_unit_test(another_tokenizer_is_refused),
        cmocka_unit_test(a_second_job_is_refused),
        cmocka_unit_test(divergence_leaves_the_checkpoints),
        cmocka_unit_test(what_never_began_may_be_tried_otherwise),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
