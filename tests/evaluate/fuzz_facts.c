/* The fact check takes any three texts, parted by the byte 0x01: it answers with spans within them
 * and a score in its range, or refuses a text that is too long. A text compared with itself has no
 * flag. */
#include <stdint.h>
#include <stdlib.h>

#include "evaluate/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct facts *facts;

static void need(bool ok)
{
    if (!ok) abort();
}

static void need_span(struct facts_span s, struct str text)
{
    need(s.to == 0 || (s.from < s.to && s.to <= text.n));
}

static void check(struct str generated, struct str reference, struct str source, bool same)
{
    struct facts_result r;
    struct err e = {0};
    struct arena a;
    arena_init(&a, (size_t)1 << 30);
    if (facts_check(facts, generated, reference, source, &a, &r, &e)) {
        need(r.score >= 0 && r.score <= 100 && !(r.support < 0) && !(r.support > 1));
        need(!same || r.nflags == 0);
        for (size_t i = 0; i < r.nflags; i++) {
            need(r.flags[i].kind < FACTS_KINDS && r.flags[i].concept);
            need_span(r.flags[i].generated, generated);
            need_span(r.flags[i].reference, reference);
            need_span(r.flags[i].source, source);
        }
    } else {
        need(e.code == ERR_LIMIT);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, text[3] = {{"", 0}, {"", 0}, {"", 0}};
    struct err e = {0};
    if (!facts) need(facts_open(NULL, &facts, &e));
    for (int i = 0; i < 3; i++)
        if (!str_split(&rest, 1, &text[i])) break;
    check(text[0], text[1], text[2], false);
    check(text[0], text[0], text[0], true);
    return 0;
}
