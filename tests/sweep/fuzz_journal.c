/* A worker's journal is any bytes: a line is a record or is skipped. What is read can be written and read again, and
 * the state stands any record. Each line is tried as it is and with a checksum that holds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sweep/sweep_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const ranks[] = {"4", "8", "16"};
static const struct space space = {
    .p =
        {{.key = "lora.rank",
          .kind = SPACE_CHOICE,
          .hi = 2,
          .choices = ranks,
          .n = 3,
          .parent = -1},
         {.key = "train.lr", .log = true, .kind = SPACE_UNIFORM, .lo = 1e-5, .hi = 1, .parent = -1},
         {.key = "lora.dropout", .kind = SPACE_STEPS, .hi = 0.2, .step = 0.05, .parent = -1},
         {.key = "lora.alpha", .kind = SPACE_INTEGERS, .lo = 1, .hi = 64, .step = 1, .when = 6}},
    .n = 4};
enum { TRIALS = 2000 };

static void need(bool ok)
{
    if (!ok) abort();
}

static bool same(const struct sweep_record *a, const struct sweep_record *b)
{
    return a->op == b->op && a->prepare == b->prepare && a->trial == b->trial &&
           a->rung == b->rung && a->attempt == b->attempt && a->time == b->time &&
           a->failure == b->failure && (a->op != SWEEP_OP_FAIL || str_eq(a->text, b->text)) &&
           str_eq(a->seen, b->seen) &&
           (!sweep_journal_has_point(a) || space_equal(&space, &a->point, &b->point));
}

static void try_line(struct str line, struct sweep_state *st)
{
    struct sweep_record r, again;
    struct err e = {0}, e2 = {0}, none = {0};
    json_t *keep = NULL, *keep2 = NULL;
    struct sbuf b;

    if (!sweep_journal_get(&space, line, &r, &keep, &e)) {
        need(e.code != ERR_NONE && !keep);
        return;
    }
    sbuf_init(&b, 4 * SWEEP_LINE_MAX);
    if (sweep_journal_put(&space, &r, &b,
                          &e2)) { /* else: longer than a line may be, escaped anew */
        need(sweep_journal_get(&space, (struct str){b.p, b.n - 1}, &again, &keep2, &none));
        need(same(&r, &again));
        json_decref(keep2);
    } else {
        need(e2.code == ERR_LIMIT);
    }
    sbuf_free(&b);
    if (r.trial < TRIALS) need(sweep_state_apply(st, &r, "worker", &none));
    json_decref(keep);
}

/* The line's JSON with the checksum it should have. */
static void seal(struct str line, struct sbuf *b)
{
    struct err none = {0};
    const char *tab = line.n ? memrchr(line.p, '\t', line.n) : NULL;
    size_t n = tab ? (size_t)(tab - line.p) : line.n;

    sbuf_clear(b);
    need(sbuf_put(b, (struct str){line.p, n}, &none) &&
         sbuf_printf(b, &none, "\t%08x", hash_crc32c(0, b->n ? b->p : "", b->n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, line;
    struct sweep_state st;
    struct rungs rungs;
    struct err none = {0};
    struct sbuf b;

    if (size > SWEEP_LINE_MAX * 4 || size == 0) return 0;
    sbuf_init(&b, 8 * SWEEP_LINE_MAX);
    need(rungs_init(&rungs, 1, 9, 3, &none) && sweep_state_init(&st, &space, &rungs, 3, 2, &none));
    while (str_split(&rest, '\n', &line)) {
        try_line(line, &st);
        seal(line, &b);
        try_line(sbuf_str(&b), &st);
    }
    for (uint64_t k = 0; k < st.ntrials; k++)
        need(sweep_state_reached(&st, k) < 3);
    sweep_state_free(&st);
    sbuf_free(&b);
    return 0;
}
