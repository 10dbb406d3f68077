/*
 * comm/comm - ranks: who am I, which part is mine, agree on errors, exact reductions.
 *
 * comm_mpi.c uses MPI (FUNNELED: only the main thread calls comm_*), comm_self.c is one rank
 * without any MPI; the same code runs on both. No rank leaves between two collectives: keep the
 * local result, then comm_agree. Functions marked Collective must be called by all ranks in the
 * same order with matching arguments. A rank that waits for more than 0.2 ms sleeps between two
 * looks, so that a core that waits is free for others; it wakes late by a thirtieth of its wait, at
 * most 4 ms. An MPI failure itself aborts the job with its reason: Open MPI cannot go on.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/version.h"

struct comm;

/* Start (argc, argv as main's), once in a process. Works without a launcher too, as one rank; but
 * SLURM_NTASKS > 1 without one (srun without PMIx, a batch script that forgot srun) is ERR_CONFIG
 * with the cure. These few launcher variables are read here, and the one that lets Open MPI 4 start
 * alone is set, although getenv belongs to cli: they are MPI's business and no option of ours.
 * Collective. */
MUST_CHECK bool comm_open(int *argc, char ***argv, struct comm **out, struct err *e);
void comm_close(struct comm *c); /* Collective */
/* A communicator of this process alone (tests, tools). */
MUST_CHECK bool comm_open_self(struct comm **out, struct err *e);
/* End the job at once, from any rank. */
__attribute__((noreturn)) void comm_abort(struct comm *c, int exit_code);

int comm_rank(const struct comm *c);
int comm_size(const struct comm *c);
/* Among the ranks of this node: the launcher's word (OMPI_COMM_WORLD_LOCAL_RANK, else SLURM_LOCALID
 * where SLURM_PROCID is this rank: under mpirun it is 0 everywhere), else MPI's shared-memory
 * split, which sees one rank a node where each has a container with a host name of its own. */
int comm_local_rank(const struct comm *c);
int comm_local_size(const struct comm *c);
/* The GPU of this rank. Where CUDA_VISIBLE_DEVICES lists several and the node has several ranks,
 * comm_open leaves entry local_rank % count alone in it, before anything asks CUDA; a list of one
 * (--gpus-per-task) stays. Empty: no list. */
const char *comm_gpu(const struct comm *c);
/* Each rank names the hardware it computes on (dev_unit; "" never counts). Two ranks on one GPU
 * halve each other's speed and memory, most often by mistake: ERR_CONFIG on all ranks, unless
 * `shared` says that it is meant. Collective. */
enum { COMM_UNIT_BYTES = 48 };
MUST_CHECK bool comm_check_units(struct comm *c, const char *unit, bool shared, struct err *e);
const char *comm_library(void);         /* "Open MPI v4.1.4, ..." or "none" */
struct version_pair comm_version(void); /* of the MPI standard, e.g. "3.1" */

/* Contiguous share of n items: [begin, end); the first n % size ranks get one more. */
struct comm_range {
    uint64_t begin, end;
};
struct comm_range comm_share(const struct comm *c, uint64_t n);
/* Contiguous shares balanced by cost[n] (prefix sums): every rank computes the same cut. */
struct comm_range comm_share_cost(const struct comm *c, const uint64_t *cost, uint64_t n);
/* The same of any rank of so many. done[size]: the cost of what each has done before, which gets so
 * much less; NULL: nothing. */
struct comm_range comm_share_cost_of(int rank, int size, const uint64_t *cost, uint64_t n,
                                     const uint64_t *done);

/* All ranks learn whether all were ok. If not, every e holds the lowest failing rank's error.
 * Cost a few us. Collective. */
MUST_CHECK bool comm_agree(struct comm *c, bool ok, struct err *e);

void comm_barrier(struct comm *c);                            /* Collective */
void comm_bcast(struct comm *c, void *p, size_t n, int root); /* Collective */
/* In place; integer sums wrap, so they are exact in any order. Collective. */
void comm_sum_i64(struct comm *c, int64_t *v, size_t n);
void comm_sum_u64(struct comm *c, uint64_t *v, size_t n);
void comm_max_i64(struct comm *c, int64_t *v, size_t n);
void comm_max_f64(struct comm *c, double *v, size_t n); /* no NaN: it would depend on the order */
/* A rank that waits for others outside of MPI (a sum from GPU to GPU) asks now and then whether one
 * of them has failed. comm_alarm_reset: something new is waited for, older alarms are over; all
 * ranks call it in the same order. comm_alarm tells all other ranks, wherever they are;
 * comm_alarmed looks. comm_agree then says what it was. None of them waits. */
void comm_alarm_reset(struct comm *c);
void comm_alarm(struct comm *c);
bool comm_alarmed(struct comm *c);
/* Every rank's n bytes, in rank order, into out[size * n]. Collective. */
void comm_allgather(struct comm *c, const void *in, size_t n, void *out);
/* Every rank's own number of bytes, joined in rank order. *out is mem_alloc'ed (the caller frees it
 * with mem_free), counts[size] may be NULL. Collective. */
MUST_CHECK bool comm_allgatherv(struct comm *c, const void *in, size_t n, void **out, size_t *total,
                                size_t *counts, struct err *e);
/* Each rank's own bytes for every rank: in holds them one rank after the other, counts[size] says
 * how many. *out: those for this rank, in rank order; mem_alloc'ed. Collective. */
MUST_CHECK bool comm_exchange(struct comm *c, const void *in, const size_t *counts, void **out,
                              size_t *total, struct err *e);

/* From one rank to another, outside of the collectives; messages of one pair of ranks arrive in
 * their order. A post does not wait: its bytes are the caller's, and stay as they are until it is
 * done. At most COMM_POST_BYTES at a time. A waiting rank computes nothing, so post in time, and
 * call comm_post_done now and then: some transports move bytes only while the sender is in here. */
enum { COMM_POST_BYTES = 1 << 30 };
struct comm_post;
struct comm_post *comm_post_open(struct comm *c, const void *p, size_t n, int to);
bool comm_post_done(struct comm *c, struct comm_post *p); /* NULL is done */
/* Waits until it is done. */
void comm_post_close(struct comm *c, struct comm_post *p);
/* Is there a message from this rank? Then its bytes are *n. */
bool comm_peek(struct comm *c, int from, size_t *n);
/* Wait for one; then comm_receive takes it, exactly n bytes. */
size_t comm_await(struct comm *c, int from);
void comm_receive(struct comm *c, void *p, size_t n, int from);

#ifdef __clang_analyzer__
/* The analyser does not look into comm.c: it would follow paths on which our own failure is agreed
 * to be none. */
static inline bool comm_agree_seen(struct comm *c, bool ok, struct err *e)
{
    return (comm_agree)(c, ok, e) && ok;
}
#define comm_agree(c, ok, e) comm_agree_seen(c, ok, e)
#endif
