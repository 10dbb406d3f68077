/* Words that reach bash as they are: asked of bash itself. (sbatch is asked in tests/slurm/chain.sh,
 * whose folder has an awkward name.) */
#include "base/base_test.h"

#include "base/rng.h"
#include "slurm/quote.h"
#include "slurm/spawn.h"

enum { WORDS = 400, WORD_MAX = 24 };

static const char *const awkward[] = {
    "",    " ",     "'",  "''", "\"",     "\\",       "$HOME",    "`id`",     "$(id)",
    "a b", "#x",    "~",  "*",  "!",      "a\nb",     "-n",       ";",        "&",
    "|",   "{a,b}", "%j", "\t", "a'b\"c", "\xc3\xa9", "\xff\xfe", "\x01\x7f",
};
enum { AWKWARD = sizeof awkward / sizeof *awkward };

static size_t word(size_t i, char *out)
{
    if (i < AWKWARD) {
        size_t n = strlen(awkward[i]);
        memcpy(out, awkward[i], n);
        return n;
    }
    struct rng_key key = rng_key(7, 1, i);
    size_t n = (size_t)(rng_u64(key, 0) % WORD_MAX);
    for (size_t k = 0; k < n; k++)
        out[k] = (char)(rng_u64(key, k + 1) % 255 + 1); /* any byte but NUL */
    return n;
}

static void bash_gives_them_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf script, want;
    struct spawn_result r;
    /* Restricted and without PATH: should a word come apart, it can do nothing. */
    const char *argv[] = {"env", "-i", "/bin/bash", "-r", "-s", NULL};
    sbuf_init(&script, 1 << 20);
    sbuf_init(&want, 1 << 20);
    for (size_t i = 0; i < WORDS; i++) {
        char w[WORD_MAX + 8];
        struct str s = {w, word(i, w)};
        OK(sbuf_put(&script, STR("printf '%s\\0' "), &e));
        OK(quote_shell(&script, s, &e));
        OK(sbuf_putc(&script, '\n', &e));
        OK(sbuf_put(&want, s, &e));
        OK(sbuf_putc(&want, 0, &e));
    }
    OK(spawn_run(argv, sbuf_str(&script), 60, &r, &e));
    assert_true(r.found);
    assert_int_equal(r.code, 0);
    assert_int_equal(r.out.n, want.n);
    assert_memory_equal(r.out.p, want.p, want.n);
    spawn_free(&r);
    sbuf_free(&want);
    sbuf_free(&script);
}

static void check_sbatch(const char *in, const char *want)
{
    struct err e = {0};
    struct sbuf b;
    sbuf_init(&b, 4096);
    OK(quote_sbatch(&b, "x", str_of(in), &e));
    assert_string_equal(b.p, want);
    sbuf_free(&b);
}

/* What 22.05 was seen to read back: see quote.h. */
static void sbatch_words(void **state)
{
    (void)state;
    struct err e = {0};
    struct sbuf b;
    check_sbatch("gpu", "gpu");
    check_sbatch("a100|h100", "\"a100|h100\"");
    check_sbatch("a b", "\"a b\"");
    check_sbatch("a\"b'c\\d", "\"a\\\"b\\'c\\\\d\"");
    check_sbatch("#x", "\"#x\"");
    sbuf_init(&b, 4096);
    OK(quote_sbatch_file(&b, "x", STR("/a%j b"), ".log", &e));
    assert_string_equal(b.p, "\"/a%%j b.log\"");
    sbuf_clear(&b);
    OK(quote_sbatch_file(&b, "x", STR("/a%j"), "-%a.log", &e));
    assert_string_equal(b.p, "\"/a%%j-%a.log\"");
    FAILS(quote_sbatch_file(&b, "slurm.dir", STR("/a\\b"), "", &e), ERR_CONFIG, "backslash");
    FAILS(quote_sbatch(&b, "slurm.qos", STR("a\n#SBATCH -N9"), &e), ERR_CONFIG, "slurm.qos");
    sbuf_clear(&b);
    OK(quote_comment(&b, STR("a\nrm -rf\x7f"), &e));
    assert_string_equal(b.p, "a?rm -rf?");
    sbuf_free(&b);
}

static void spawn_says(void **state)
{
    (void)state;
    struct err e = {0};
    struct spawn_result r;
    const char *none[] = {"/no/such/program", NULL};
    const char *fails[] = {"bash", "-c", "echo out; echo err >&2; exit 3", NULL};
    const char *dies[] = {"bash", "-c", "kill -9 $$", NULL};
    const char *hangs[] = {"sleep", "600", NULL};
    const char *much[] = {"bash", "-c", "head -c 3000000 /dev/zero", NULL};
    OK(spawn_run(none, STR(""), 60, &r, &e));
    assert_false(r.found);
    spawn_free(&r);
    OK(spawn_run(fails, STR(""), 60, &r, &e));
    assert_int_equal(r.code, 3);
    assert_string_equal(r.out.p, "out\n");
    assert_string_equal(r.err.p, "err\n");
    spawn_free(&r);
    OK(spawn_run(dies, STR(""), 60, &r, &e));
    assert_int_equal(r.code, 137);
    spawn_free(&r);
    FAILS(spawn_run(hangs, STR(""), 0.2, &r, &e), ERR_IO, "sleep did not answer");
    spawn_free(&r);
    OK(spawn_run(much, STR(""), 60, &r, &e));
    assert_true(r.out.n <= SPAWN_OUTPUT_MAX && r.out.n > 0);
    spawn_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bash_gives_them_back),
        TEST(sbatch_words),
        TEST(spawn_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
