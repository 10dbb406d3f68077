/*
 * sweep/sweep_store - the folder through which workers on any number of machines share a sweep.
 * No server, no lock, no data base; what it needs of the file system is O_EXCL-like link(2),
 * rename(2) and fsync, atomic on NFSv3 and later, Lustre, GPFS, BeeGFS.
 *
 *     sweep.json              what the sweep is; made by whoever is first, never changed
 *     worker/NAME.json        a worker's card: which process on which machine, which SLURM job
 *     log/NAME.jsonl          a worker's journal (sweep_journal): one writer, many readers
 *     claim/K/TRIAL.RUNG.ATTEMPT    a second name of the claiming worker's card
 *     claim/prepare/N.ATTEMPT       the same for what comes before all trials
 *     trials/00012/           a trial's run folder
 *
 * The main idea: a claim is link(card, claim): exactly one worker's link succeeds, and the claim
 * says who holds it. Claims are never removed; trying again means the next attempt's name, so there
 * is no lock to break and nothing to mistake. Every log has one writer, so no line is ever torn by
 * another; a worker killed while writing leaves a half line that no one reads.
 *
 * A worker that sees old folders or files (NFS caches attributes for seconds) chooses a little
 * worse; it never gets what another holds.
 *
 * Limits: 10^4 trials, 10^3 workers by design; a file has at most 65,000 names on ext4, so a worker
 * claims at most 60,000 times. Not thread-safe.
 */
#pragma once
#include "base/arena.h"
#include "base/fs.h"
#include "sweep/sweep_journal.h"

struct sweep_unit { /* what is claimed */
    bool prepare;
    uint64_t trial; /* or the number of the preparation */
    uint32_t rung;  /* 0 for preparations */
    uint32_t attempt;
};
/* Does a scheduler still know the job of a worker that has been silent for the lease? */
enum sweep_job { SWEEP_JOB_UNKNOWN, SWEEP_JOB_THERE, SWEEP_JOB_GONE };
struct sweep_jobs {
    void *ctx;
    enum sweep_job (*ask)(void *ctx, const char *job); /* NULL: nobody to ask */
};

struct sweep_store;
/* Make the folder; the first of all callers writes `text` into sweep.json. *stands is what is there
 * then, whoever wrote it, in the arena. */
MUST_CHECK bool sweep_store_make(const char *dir, struct str text, struct arena *a,
                                 struct str *stands, struct err *e);
/* To read: status, report, and as the first half of joining. */
MUST_CHECK bool sweep_store_open(const char *dir, struct sweep_store **out, struct err *e);
/* Become a worker. job: "1234_5" of SLURM, or NULL. */
MUST_CHECK bool sweep_store_join(struct sweep_store *s, const char *job, struct err *e);
void sweep_store_close(struct sweep_store *s);
const char *sweep_store_name(const struct sweep_store *s); /* of this worker */

/* Append to this worker's journal, on disk when it returns. */
MUST_CHECK bool sweep_store_put(struct sweep_store *s, const struct space *space,
                                const struct sweep_record *r, struct err *e);
/* Hand over what all journals hold that was not handed over before, in no particular order. */
typedef bool (*sweep_store_fn)(void *ctx, const struct sweep_record *r, const char *worker,
                               struct err *e);
MUST_CHECK bool sweep_store_read(struct sweep_store *s, const struct space *space,
                                 sweep_store_fn fn, void *ctx, struct err *e);
/* Damage met so far: lines that do not hold, with the first file's name ("" when none). */
struct sweep_damage {
    uint64_t lines;
    uint64_t torn; /* journals that end in half a line (being written, or its worker was killed) */
    char first[256];
    uint64_t first_offset;
};
struct sweep_damage sweep_store_damage(const struct sweep_store *s);

MUST_CHECK bool sweep_store_claim(struct sweep_store *s, const struct sweep_unit *u, bool *won,
                                  struct err *e);
/* Is the worker that holds this claim gone? At once when its process was of this machine and is no
 * more; else when neither its card nor `sign` (a file its work touches; may be NULL) changed for
 * lease_s on the file server's clock and no scheduler says it is there. A claim that nobody has is
 * gone too. */
MUST_CHECK bool sweep_store_gone(struct sweep_store *s, const struct sweep_unit *u,
                                 const char *sign, double lease_s, const struct sweep_jobs *jobs,
                                 bool *gone, struct err *e);
/* Tell others that this worker lives (its card's time). */
MUST_CHECK bool sweep_store_touch(struct sweep_store *s, struct err *e);
