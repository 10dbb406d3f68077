/*
 * tests/evaluate/facts_kit - the fact check with its own lexicon, for the tests of one program: what
 * check() returns lives until the group's teardown. Include it behind cmocka.h.
 */
#pragma once
#include "base/mem.h"
#include "evaluate/facts.h"

static struct facts *facts;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    arena_init(&arena, (size_t)1 << 30);
    return facts_open(NULL, &facts, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    facts_close(facts);
    arena_free(&arena);
    return mem_live_blocks() == 0 ? 0 : -1;
}

static struct facts_result check(const char *generated, const char *reference, const char *source)
{
    struct facts_result r;
    struct err e = {0};
    if (!facts_check(facts, str_of(generated), str_of(reference), str_of(source), &arena, &r, &e))
        fail_msg("%s", e.text);
    return r;
}
