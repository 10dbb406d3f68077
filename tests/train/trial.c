#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "support/testdir.h"
#include "train/trial.h"

struct comm *trial_comm;
char trial_model[600], trial_shards[600];

int trial_setup(void **state)
{
    struct err e = {0};
    (void)state;
    log_setup(LOG_ERROR, 0);
    snprintf(trial_model, sizeof trial_model, "%s/model", testdir_make());
    snprintf(trial_shards, sizeof trial_shards, "%s", testdir_path("shards"));
    kit_model(trial_model, &kit_small);
    kit_shards(trial_shards);
    return comm_open_self(&trial_comm, &e) ? 0 : -1;
}

int trial_teardown(void **state)
{
    (void)state;
    comm_close(trial_comm);
    testdir_remove();
    return 0;
}

void trial_init(struct trial *x, const char *name)
{
    memset(x, 0, sizeof *x);
    snprintf(x->dir, sizeof x->dir, "%s", testdir_path(name));
    x->t = kit_train(x->dir);
    x->l = kit_lora();
    x->m = kit_model_opts(trial_model);
    x->job = (struct train_job){.train = &x->t,
                                .lora = &x->l,
                                .model = &x->m,
                                .shards_dir = trial_shards,
                                .version = "1",
                                .commit = "abc"};
}

bool trial_go(struct trial *x)
{
    err_clear(&x->e);
    return train_run(&x->job, trial_comm, &x->s, &x->e);
}

void trial_must(struct trial *x)
{
    if (!trial_go(x)) fail_msg("%s", x->e.text);
}

void trial_refused(struct trial *x, enum err_code code, const char *text)
{
    assert_false(trial_go(x));
    if (x->e.code != code || !strstr(x->e.text, text))
        fail_msg("%s error: %s (expected \"%s\")", err_code_name(x->e.code), x->e.text, text);
}

void trial_stop_after(struct trial *x, uint64_t steps)
{
    x->t.stop_after_steps = steps;
    trial_refused(x, ERR_STOPPED, "the same command goes on");
    x->t.stop_after_steps = 0;
}

const char *trial_file(const struct trial *x, const char *name)
{
    static char path[8][800];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", x->dir, name);
    return p;
}

void trial_same(const struct trial *a, const struct trial *b)
{
    size_t na, nb;
    char *pa = testdir_read(trial_file(a, "adapter/adapter_model.safetensors"), &na);
    char *pb = testdir_read(trial_file(b, "adapter/adapter_model.safetensors"), &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
    free(pb);
    free(pa);
}
