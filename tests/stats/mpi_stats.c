/* The same page and tables for any number of ranks; rounds of groups count alike; errors reach
 * all. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "shard/corpus_kit.h"
#include "stats/stat_group.h"
#include "stats/stats.h"
#include "support/testdir.h"

static struct comm *c, *self;
static char dir[600];
static struct err e;

static const char *at(const char *name)
{
    static char buf[16][700];
    static int next;
    char *out = buf[next++ % 16];
    snprintf(out, 700, "%s/%s", dir, name);
    return out;
}

static void same_bytes(void)
{
    static const struct kit_source sources[] = {{"alpha", 300, 32, MODE_OWN, 0},
                                                {"beta", 90, 100, MODE_MEDIQA, 0}};
    struct stats_opts o = {
        .phrases = 20, .min_patients = 3, .phrase_reports = 1000, .tokens = true};
    struct stats_job j = {.stats = &o, .version = "test"};
    struct stats_summary s;
    uint8_t a[32], b[32];

    if (comm_rank(c) == 0) {
        kit_corpus(at("corpus"), sources, 2, NULL);
        kit_tokenizer(at("tok"), 0);
    }
    comm_barrier(c);
    j.corpus_dir = at("corpus");
    j.tokenizer = at("tok");
    o.dir = at("many");
    KIT(stats_run(&j, c, &s, &e), &e);
    KIT(s.reports == 390 && s.pairs == 390 && s.patients == 195 && s.files == 13, &e);
    if (comm_rank(c) == 0) {
        o.dir = at("one");
        KIT(stats_run(&j, self, &s, &e), &e);
        kit_digest(at("one"), a);
        kit_digest(at("many"), b);
        KIT(memcmp(a, b, 32) == 0, &e);
    }
    comm_barrier(c);
    if (comm_rank(c) == 0) unlink(at("corpus/records/alpha/b000288.h5"));
    comm_barrier(c);
    o.dir = at("broken");
    KIT(!stats_run(&j, c, &s, &e), &e);
    KIT(strstr(e.text, "b000288.h5") != NULL && access(at("broken"), F_OK) != 0, &e);
    err_clear(&e);
}

struct sum {
    uint64_t groups, items, order;
};

static void add(void *ctx, const struct stat_item *v, size_t n)
{
    struct sum *s = ctx;
    for (size_t i = 1; i < n; i++)
        KIT(v[i].key == v[0].key && v[i].who >= v[i - 1].who, &e);
    KIT(v[0].key >= s->order, &e);
    s->order = v[0].key;
    s->groups++;
    s->items += n;
}

/* 9,000 items of 5,000 keys, dealt by rank, in one round and in many. */
static void groups_agree(void)
{
    struct rng_key key = rng_key(3, RNG_TEST, 0);

    for (int rounds = 0; rounds < 2; rounds++) {
        struct stat_items w = {0};
        struct sum s = {0};
        for (uint64_t i = (uint64_t)comm_rank(c); i < 9000; i += (uint64_t)comm_size(c))
            KIT(stat_items_put(&w, (struct stat_item){rng_u64(key, i % 5000), i, i}, &e), &e);
        KIT(stat_group(c, &w, rounds ? 100 : STAT_ROUND, add, &s, &e), &e);
        KIT(s.groups == 5000 && s.items == 9000, &e);
        stat_items_free(&w);
    }
}

int main(int argc, char **argv)
{
    KIT(comm_open(&argc, &argv, &c, &e), &e);
    KIT(comm_open_self(&self, &e), &e);
    log_setup(LOG_ERROR, comm_rank(c));
    if (comm_rank(c) == 0) snprintf(dir, sizeof dir, "%s", testdir_make());
    comm_bcast(c, dir, sizeof dir, 0);
    same_bytes();
    groups_agree();
    comm_barrier(c);
    if (comm_rank(c) == 0) testdir_remove();
    KIT(mem_live_blocks() < 40, &e); /* the kit's own */
    comm_close(self);
    comm_close(c);
    return 0;
}
