/*
 * The same shards and manifest for any number of ranks; errors of one rank reach all; the audit's
 * rounds count the same however the words are dealt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "shard/audit_splits.h"
#include "shard/corpus_kit.h"
#include "support/testdir.h"

static struct comm *c, *self;
static char dir[600];
static struct err e;

static const char *at(const char *name)
{
    static char buf[64][700]; /* as many as the test names */
    static int next;
    char *out = buf[next++ % 64];
    snprintf(out, 700, "%s/%s", dir, name);
    return out;
}

/* Every record of source alpha but the first is nearly the one that stands 5 in front of it; of two in
 * three texts this is known of. */
static struct record_near near[300];
static struct hash128 earlier[300];
static size_t nnear;

static void note_text(size_t s, size_t i, struct record *r, const char *text[SEC_COUNT])
{
    (void)text;
    if (s) return;
    if (i == 31) r->split = SPLIT_NONE;
    earlier[i] = r->hash_norm;
    if (i < 5 || i % 3 == 0) return;
    size_t at = nnear++;
    for (; at > 0 &&
           (near[at - 1].norm.hi > r->hash_norm.hi ||
            (near[at - 1].norm.hi == r->hash_norm.hi && near[at - 1].norm.lo > r->hash_norm.lo));
         at--)
        near[at] = near[at - 1];
    near[at] = (struct record_near){r->hash_norm, earlier[i % 5]};
}

static void same_bytes(void)
{
    static const struct kit_source sources[] = {{"alpha", 300, 32, MODE_OWN, 0},
                                                {"beta", 90, 100, MODE_MEDIQA, 0}};
    uint8_t a[32], b[32];
    struct shard_summary s, alone;

    if (comm_rank(c) == 0) {
        kit_tokenizer(at("tok"), 0);
        kit_corpus(at("corpus"), sources, 2, note_text);
        kit_near(at("corpus"), near, nnear);
        struct shard_opts o = kit_opts(at("alone"));
        KIT(shard_run(at("corpus"), &o, at("tok"), self, &alone, &e), &e);
    }
    comm_barrier(c);
    struct shard_opts o = kit_opts(at("shards"));
    KIT(shard_run(at("corpus"), &o, at("tok"), c, &s, &e), &e);
    KIT(s.files > 5 && s.files_made == s.files, &e);
    KIT(s.near_texts > 0 && s.near_texts < 300 && s.near_seen[SHARD_DEV] > 0, &e);
    if (comm_rank(c) == 0) {
        kit_digest(at("alone"), a);
        kit_digest(at("shards"), b);
        KIT(memcmp(a, b, 32) == 0, &e);
        KIT(memcmp(&s, &alone, sizeof s) == 0, &e);
    }
    comm_bcast(c, &alone, sizeof alone, 0);
    KIT(memcmp(&s, &alone, sizeof s) == 0, &e);
    KIT(shard_run(at("corpus"), &o, at("tok"), c, &s, &e), &e);
    KIT(s.files_made == 0, &e);
}

static void errors_reach_all(void)
{
    struct shard_opts o = kit_opts(at("broken"));
    struct shard_summary s;

    comm_barrier(c);
    if (comm_rank(c) == 0) unlink(at("corpus/records/alpha/b000288.h5"));
    comm_barrier(c);
    KIT(!shard_run(at("corpus"), &o, at("tok"), c, &s, &e), &e);
    KIT(strstr(e.text, "b000288.h5") != NULL, &e);
    KIT(access(at("broken/manifest.json"), F_OK) != 0, &e);
    err_clear(&e);
}

/* 5,000 keys over three splits, dealt by rank, in one round and in many. */
static void audits_agree(void)
{
    struct audit_result want = {0}, have;
    struct rng_key key = rng_key(3, RNG_TEST, 0);

    for (int rounds = 0; rounds < 2; rounds++) {
        struct audit_words w = {0};
        for (uint64_t i = (uint64_t)comm_rank(c); i < 9000; i += (uint64_t)comm_size(c)) {
            uint64_t patient = i % 5000, word = rng_u64(key, patient);
            /* the patients below 100 come again in another split */
            enum shard_split split =
                (enum shard_split)((patient + (i >= 5000 && patient < 100)) % 3);
            KIT(audit_put(&w, word, split, &e), &e);
        }
        KIT(audit_run(c, &w, rounds ? 100 : AUDIT_ROUND, &have, &e), &e);
        audit_free(&w);
        if (rounds == 0) want = have;
        KIT(have.keys == 5000 && have.crossing == 100, &e);
        /* of those: train and dev 34, train and test 33 (test 2 -> train 0 the other way round) */
        KIT(have.seen[SHARD_DEV] == 34 && have.seen[SHARD_TEST] == 33, &e);
        KIT(memcmp(&want, &have, sizeof want) == 0, &e);
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
    errors_reach_all();
    audits_agree();
    comm_barrier(c);
    if (comm_rank(c) == 0) testdir_remove();
    KIT(mem_live_blocks() < 40, &e); /* the kit's own */
    comm_close(self);
    comm_close(c);
    return 0;
}
