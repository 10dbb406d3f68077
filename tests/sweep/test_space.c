#include "sweep_kit.h"

#include <math.h>

static struct arena arena;
static struct space sp;

static bool parse(const char *yaml, struct err *e)
{
    struct opt_doc doc;
    struct sweep_opts o;
    arena_free(&arena);
    arena_init(&arena, 16 << 20);
    if (!opt_doc_parse(str_of(yaml), "dir/space.yaml", NULL, 0, NULL, &arena, &doc, e))
        return false;
    return opt_bind(&doc, "sweep", sweep_table, &o, e) && space_parse(o.params, &arena, &sp, e);
}

static const char all_kinds[] =
    "sweep:\n"
    "  params:\n"
    "    train.lr: {log_uniform: [1.0e-5, 1.0e-3]}\n"
    "    lora.rank: [4, 8, 16]\n"
    "    lora.dropout: {steps: [0.0, 0.2, 0.05]}\n"
    "    train.epochs: {integers: [1, 4]}\n"
    "    train.warmup: {uniform: [0.0, 0.1], points: 3}\n"
    "    train.seed: {log_integers: [1, 1000]}\n"
    "    shards.input: [[findings], [clinical, findings], [\"a b\"]]\n"
    "    lora.alpha: {choice: [8, 16], when: {lora.rank: [4, 8]}}\n"
    "    lora.targets: {choice: [all-linear, [q_proj]], when: {lora.alpha: 16}}\n";

static void test_random_points(void **state)
{
    struct err e = {0};
    unsigned ranks[3] = {0}, off = 0, off2 = 0;
    double lowest = 1, highest = 0;
    (void)state;

    OK(parse(all_kinds, &e));
    assert_int_equal(sp.n, 9);
    for (uint64_t k = 0; k < 3000; k++) {
        struct space_point p, q;
        space_random(&sp, 7, k, &p);
        space_random(&sp, 7, k, &q);
        assert_true(space_equal(&sp, &p, &q));
        assert_true(p.v[0] >= 1e-5 && p.v[0] <= 1e-3);
        lowest = fmin(lowest, p.v[0]);
        highest = fmax(highest, p.v[0]);
        ranks[(int)p.v[1]]++;
        assert_true(fabs(p.v[2] / 0.05 - nearbyint(p.v[2] / 0.05)) < 1e-9);
        assert_true(p.v[3] >= 1 && p.v[3] <= 4 && floor(p.v[3]) == p.v[3]);
        bool alpha = p.v[1] < 2;
        assert_int_equal(p.on >> 7 & 1, alpha);
        assert_int_equal(p.on >> 8 & 1, alpha && p.v[7] == 1);
        off += !alpha;
        off2 += alpha && p.v[7] == 0;
    }
    assert_true(lowest < 1.05e-5 && highest > 0.95e-3);
    for (int i = 0; i < 3; i++)
        assert_in_range(ranks[i], 900, 1100);
    assert_in_range(off, 900, 1100);
    assert_in_range(off2, 900, 1100);
    arena_free(&arena);
}

static void test_texts_come_back(void **state)
{
    struct err e = {0};
    struct sbuf b;
    (void)state;

    OK(parse(all_kinds, &e));
    sbuf_init(&b, 4096);
    for (uint64_t k = 0; k < 500; k++) {
        struct space_point p;
        space_random(&sp, 3, k, &p);
        for (size_t d = 0; d < sp.n; d++) {
            double v;
            if (!(p.on >> d & 1)) continue;
            sbuf_clear(&b);
            OK(space_put_text(&sp.p[d], p.v[d], &b, &e));
            OK(space_get_text(&sp.p[d], sbuf_str(&b), &v, &e));
            assert_true(v == p.v[d]);
        }
    }
    double v;
    FAILS(space_get_text(&sp.p[1], STR("5"), &v, &e), ERR_FORMAT, "no such choice");
    FAILS(space_get_text(&sp.p[2], STR("0.07"), &v, &e), ERR_FORMAT, "no such value");
    FAILS(space_get_text(&sp.p[0], STR("1"), &v, &e), ERR_FORMAT, "no such value");
    FAILS(space_get_text(&sp.p[0], STR("nan"), &v, &e), ERR_FORMAT, "");
    const char **sets;
    size_t n;
    struct space_point p = {.v = {1e-4, 0, 0.15, 2, 0.05, 10, 1, 1, 1}};
    space_settle(&sp, &p);
    OK(space_sets(&sp, &p, &arena, &sets, &n, &e));
    assert_int_equal(n, 9);
    static const char *const want[] = {"train.lr=0.0001",
                                       "lora.rank=4",
                                       "lora.dropout=0.15",
                                       "train.epochs=2",
                                       "train.warmup=0.05",
                                       "train.seed=10",
                                       "shards.input=[clinical, findings]",
                                       "lora.alpha=16",
                                       "lora.targets=[q_proj]"};
    for (size_t i = 0; i < n; i++)
        assert_string_equal(sets[i], want[i]);
    sbuf_free(&b);
    arena_free(&arena);
}

static void test_grid(void **state)
{
    struct err e = {0};
    struct space_point *g;
    size_t n;
    (void)state;

    OK(parse("sweep: {params: {a.x: [1, 2], a.y: {choice: [p, q, r], when: {a.x: [2]}}, a.z: "
             "{uniform: [0, 1], points: 3}}}",
             &e));
    OK(space_grid(&sp, &arena, &g, &n, &e));
    assert_int_equal(n, 3 + 9);
    assert_true(g[0].v[2] == 0 && g[1].v[2] == 0.5 && g[2].v[2] == 1);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(space_equal(&sp, &g[i], &g[k]));
    OK(parse("sweep: {params: {a.x: {log_uniform: [1.0e-4, 1.0e-2], points: 3}, a.n: {integers: "
             "[1, 3]}}}",
             &e));
    OK(space_grid(&sp, &arena, &g, &n, &e));
    assert_int_equal(n, 9);
    assert_true(g[0].v[0] == 1e-4 && g[3].v[0] == 1e-3 && g[6].v[0] == 1e-2);
    OK(parse("sweep: {params: {a.x: {integers: [1, 1000], points: 1000}, a.y: {integers: [1, "
             "1000], points: 1000}}}",
             &e));
    FAILS(space_grid(&sp, &arena, &g, &n, &e), ERR_LIMIT, "more than 100000 points");
    arena_free(&arena);
}

static void test_bad_spaces(void **state)
{
    static const struct {
        const char *params, *says;
    } bad[] = {
        {"{}", "empty"},
        {"{a.b: 3}", "wants a list of values or a range"},
        {"{a.b: []}", "list of values"},
        {"{a.b: [1, 1]}", "the same choice twice"},
        {"{a.b: {uniform: [1]}}", "wants [from, to]"},
        {"{a.b: {uniform: [2, 1]}}", "must be below"},
        {"{a.b: {uniform: [x, 1]}}", "is not a number"},
        {"{a.b: {log_uniform: [0, 1]}}", "numbers above 0"},
        {"{a.b: {integers: [0.5, 2]}}", "whole numbers"},
        {"{a.b: {steps: [0, 1, 0]}}", "above 0"},
        {"{a.b: {steps: [0, 1]}}", "[from, to, step]"},
        {"{a.b: {range: [0, 1]}}", "wants choice, uniform"},
        {"{a.b: {choice: [1], uniform: [0, 1]}}", "two kinds"},
        {"{a.b: {when: {a.c: 1}}}", "names no choice further up"},
        {"{a.c: [1, 2], a.b: {choice: [1, 2], when: {a.c: 3}}}", "never has"},
        {"{a.c: [1, 2], a.b: {when: {a.c: 1}}}", "has no values"},
        {"{a.b: {choice: [1], points: 1}}", "from 2 to 1000"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        char text[512];
        snprintf(text, sizeof text, "sweep: {params: %s}", bad[i].params);
        FAILS(parse(text, &e), ERR_CONFIG, bad[i].says);
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_random_points), TEST(test_texts_come_back),
                                       TEST(test_grid), TEST(test_bad_spaces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
