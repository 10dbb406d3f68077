/*
 * tests/support/testdir - a fresh folder for each test, gone afterwards; golden data beside the
 * checkout; a visible skip.
 *
 * Include after <cmocka.h> and its four headers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Make a fresh folder below $TMPDIR or /tmp; the path stays valid until testdir_remove. */
const char *testdir_make(void);
void testdir_remove(void);
/* Both as the set-up and the tear-down of a group of tests. */
int testdir_setup(void **state);
int testdir_teardown(void **state);
/* "<testdir>/name", one of 16 rotating buffers. */
const char *testdir_path(const char *name);
/* Path below ../shared, or NULL after printing why the test is skipped. */
const char *testdir_shared(const char *name);
/* A Python ($RADMILL_PYTHON, else python3) that imports these modules ("peft, torch"), or NULL after
 * printing why the test is skipped. */
const char *testdir_python(const char *modules);
/* Write a file (test aborts on failure); read one whole into malloc'ed, NUL-terminated memory. */
void testdir_write(const char *path, const void *p, size_t n);
char *testdir_read(const char *path, size_t *n);
/* The bytes of a .gz file, malloc'ed and NUL-terminated. */
char *testdir_gunzip(const char *path, size_t *n);
/* Folder of the encoder all-MiniLM-L6-v2: $RADMILL_MINILM, or where tests/run puts it; NULL after
 * printing why the test is skipped. */
const char *testdir_minilm(void);
