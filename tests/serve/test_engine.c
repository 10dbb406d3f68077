/* The engine over a core that counts: answers reach their boxes, forgotten sequences are taken
 * back, a failing core ends everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "serve/engine.h"

/* Sequence with first id k answers k, k + 1, ..., max_new_tokens of them; one each step. */
enum { SLOTS = 256 };
struct toy {
    struct {
        void *tag;
        uint32_t next, left;
        bool live;
    } slot[SLOTS];
    uint64_t steps, cancelled, fail_at;
};

static bool toy_submit(void *ctx, const struct engine_ask *a, void *tag, uint64_t *handle,
                       struct err *e)
{
    struct toy *t = ctx;

    if (a->n > 3) return err_set(e, ERR_LIMIT, "too long");
    for (uint64_t i = 0; i < SLOTS; i++)
        if (!t->slot[i].live) {
            t->slot[i].tag = tag;
            t->slot[i].next = a->ids[0];
            t->slot[i].left = a->max_new_tokens;
            t->slot[i].live = true;
            *handle = i;
            return true;
        }
    return err_set(e, ERR_LIMIT, "full");
}

static void toy_cancel(void *ctx, uint64_t handle)
{
    struct toy *t = ctx;

    t->slot[handle].live = false;
    t->cancelled++;
}

static bool toy_busy(void *ctx)
{
    (void)ctx;
    return true;
}

static bool toy_step(void *ctx, engine_event_fn on_event, void *to, struct err *e)
{
    struct toy *t = ctx;

    if (t->fail_at && t->steps == t->fail_at) return err_set(e, ERR_LIB, "the device is gone");
    t->steps++;
    for (size_t i = 0; i < SLOTS; i++) {
        if (!t->slot[i].live) continue;
        struct engine_token v = {.id = t->slot[i].next++};
        on_event(to, t->slot[i].tag, ENGINE_RUNNING, &v);
        if (--t->slot[i].left) continue;
        t->slot[i].live = false;
        on_event(to, t->slot[i].tag, i % 2 ? ENGINE_EOS : ENGINE_LENGTH, NULL);
    }
    return true;
}

static struct engine *start(struct toy *t)
{
    struct engine_core core = {t, toy_submit, toy_cancel, toy_busy, toy_step};
    struct engine *g;
    struct err e = {0};

    if (!engine_open(&core, &g, &e)) fail_msg("%s", e.text);
    return g;
}

/* Sum of what one sequence answers, or UINT64_MAX when it failed. */
static uint64_t listen_to(struct engine_box *b, uint32_t n)
{
    struct engine_event v;
    uint64_t sum = 0;

    while (n > 0) {
        if (!engine_wait(b, 1000, &v)) continue;
        if (v.end == ENGINE_RUNNING)
            sum += (uint64_t)v.token.id * (v.index + 1);
        else
            n--;
        if (v.end == ENGINE_FAILED) sum = UINT64_MAX - 1000000;
    }
    return sum;
}

static void *client(void *arg)
{
    struct engine *g = arg;
    struct engine_box *b;
    struct err e = {0};
    uint64_t want = 0;
    bool ok = engine_box_open(g, &b, &e);

    for (uint32_t i = 0; ok && i < 4; i++) {
        uint32_t id = 10 * i;
        struct engine_ask a = {.ids = &id, .n = 1, .max_new_tokens = 20 + i};
        ok = engine_submit(b, i, &a, &e);
        for (uint32_t k = 0; k < 20 + i; k++)
            want += (uint64_t)(id + k) * (i + 1);
    }
    ok = ok && listen_to(b, 4) == want;
    engine_box_close(b);
    return ok ? arg : NULL;
}

static void test_many_clients(void **state)
{
    static struct toy t;
    struct engine *g = start(&t);
    pthread_t thread[32];
    void *ok;

    (void)state;
    for (int i = 0; i < 32; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, client, g), 0);
    for (int i = 0; i < 32; i++) {
        pthread_join(thread[i], &ok);
        assert_ptr_equal(ok, g);
    }
    assert_int_equal(engine_load(g).tokens, 32 * (20 + 21 + 22 + 23));
    engine_close(g);
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_forget(void **state)
{
    static struct toy t;
    struct engine *g = start(&t);
    struct engine_box *b;
    struct err e = {0};
    uint32_t id = 1;
    struct engine_ask endless = {.ids = &id, .n = 1, .max_new_tokens = UINT32_MAX};
    struct engine_ask bad = {.ids = &id, .n = 9, .max_new_tokens = 1};
    struct engine_event v;

    (void)state;
    bad.ids = (const uint32_t[9]){0};
    assert_true(engine_box_open(g, &b, &e));
    assert_true(engine_submit(b, 0, &endless, &e));
    assert_true(engine_submit(b, 1, &endless, &e));
    while (!engine_wait(b, 1000, &v) || v.index != 1)
        ;
    engine_cancel(b, 0);
    for (int i = 0; i < 50; i++)
        if (engine_wait(b, 1000, &v)) assert_int_equal(v.index, 1);
    assert_true(engine_submit(b, 2, &bad, &e)); /* refused by the core: an event says so */
    while (!engine_wait(b, 1000, &v) || v.index != 2)
        ;
    assert_int_equal(v.end, ENGINE_FAILED);
    assert_true(engine_alive(g, NULL));
    engine_box_close(b);
    engine_close(g); /* takes the endless ones back */
    assert_int_equal(t.cancelled, 2);
    assert_int_equal(mem_live_blocks(), 0);
}

static bool add_one(void *ctx, struct err *e)
{
    (void)e;
    ++*(int *)ctx;
    return true;
}

static bool fail_once(void *ctx, struct err *e)
{
    ++*(int *)ctx;
    return err_set(e, ERR_NOMEM, "no memory for this call");
}

static void test_failure_and_calls(void **state)
{
    static struct toy t = {.fail_at = 5};
    struct engine *g = start(&t);
    struct engine_box *b;
    struct err e = {0};
    uint32_t id = 1;
    struct engine_ask a = {.ids = &id, .n = 1, .max_new_tokens = 100};
    struct engine_event v;
    int count = 0;

    (void)state;
    assert_true(engine_call(g, add_one, &count, &e));
    /* a call that fails says so, and the engine goes on */
    assert_false(engine_call(g, fail_once, &count, &e));
    assert_true(e.code == ERR_NOMEM && count == 2);
    err_clear(&e);
    assert_true(engine_call(g, add_one, &count, &e) && count == 3);
    count = 1;
    assert_int_equal(count, 1);
    assert_true(engine_box_open(g, &b, &e));
    assert_true(engine_submit(b, 0, &a, &e));
    do
        while (!engine_wait(b, 1000, &v))
            ;
    while (v.end == ENGINE_RUNNING);
    assert_int_equal(v.end, ENGINE_FAILED);
    assert_false(engine_alive(g, &e));
    assert_string_equal(e.text, "the device is gone");
    e = (struct err){0};
    assert_false(engine_submit(b, 1, &a, &e));
    e = (struct err){0};
    assert_false(engine_call(g, add_one, &count, &e));
    assert_int_equal(count, 1);
    engine_box_close(b);
    engine_close(g);
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_failure_and_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
