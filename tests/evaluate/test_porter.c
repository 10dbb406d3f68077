/* Stems against NLTK 3.8 (shared golden file), and the rules that golden words do not reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/porter.h"
#include "support/testdir.h"

static void stem(const char *word, char *out, size_t cap)
{
    size_t n = strlen(word);
    assert_true(n < cap);
    memcpy(out, word, n);
    /* rouge-score leaves words of up to three letters alone; the golden file follows it. */
    if (n > 3) n = porter_stem(out, n);
    out[n] = 0;
}

static void golden(void **state)
{
    (void)state;
    const char *path = testdir_shared("data/metrics/golden_porter.tsv");
    if (!path) skip();
    char *text = testdir_read(path, NULL), out[512];
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = 0;
        stem(line, out, sizeof out);
        if (strcmp(out, tab + 1) != 0) fail_msg("%s: %s, not %s", line, out, tab + 1);
    }
    assert_true(n > 1700);
    free(text);
}

/* Made with NLTK 3.10's PorterStemmer (see tests/support/golden/porter_extra.py). */
static void extra(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
#include "support/golden/porter_extra.inc"
    };
    char out[64];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        stem(pairs[i][0], out, sizeof out);
        if (strcmp(out, pairs[i][1]) != 0)
            fail_msg("%s: %s, not %s", pairs[i][0], out, pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(extra)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
