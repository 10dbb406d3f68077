#include "train/grad_team.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/hang.h"

/* Sockets of many nodes find each other in seconds; behind a firewall never. */
enum { JOIN_S = 120, LOOK_NS = 20000, TEXT_BYTES = 128, WHY_BYTES = 320 };

const char *const grad_sum_names[] = {"auto", "nccl", "staged", NULL};

/* ---- waiting */
/* Until the device is through (true), this rank has failed (false with the reason), another one has
 * (false without). limit_s 0: no limit. While its own GPU has not come to the sum, a rank does not
 * count as one that waits: if it stands still there, it is the one that hangs. */
static bool wait_for(struct dev *d, struct comm *c, double limit_s, struct err *e)
{
    enum dev_team_state now = DEV_TEAM_BEHIND;
    double start = clock_mono_s();
    bool ok = true, alarmed = false, waits = false;

    while (now != DEV_TEAM_OVER && !alarmed) {
        ok = dev_team_poll(d, &now, e);
        if (now != DEV_TEAM_BEHIND && !waits) hang_wait_begin(); /* once, as on all ranks */
        if (now != DEV_TEAM_BEHIND) waits = true;
        if (ok && now != DEV_TEAM_OVER && limit_s > 0 && clock_mono_s() - start > limit_s)
            ok = err_set(e, ERR_LIB, "not all ranks have joined after %.0f s", limit_s);
        if (!ok) break;
        alarmed = comm_alarmed(c);
        if (now != DEV_TEAM_OVER && !alarmed)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    hang_wait_end();
    return ok && now == DEV_TEAM_OVER;
}

/* After wait_for, or after not getting that far: all learn whether all are through. The rank that
 * knows the reason says it. */
static bool meet(struct comm *c, bool through, struct err *e)
{
    bool failed = e->code != ERR_NONE;
    int64_t left = !through;

    if (failed) comm_alarm(c);
    if (!comm_agree(c, !failed, e)) return false;
    comm_max_i64(c, &left, 1);
    return !left || err_set(e, ERR_LIB, "a sum over GPUs was given up");
}

/* ---- joining */
struct word {
    char text[TEXT_BYTES]; /* version, or why none */
    bool there;
};

/* May all ranks be in one team? Else why not, the same on all ranks. */
static bool all_can(struct dev *d, struct comm *c, char *version, char *why, struct err *e)
{
    struct word mine = {0}, *all = mem_calloc((size_t)comm_size(c), sizeof mine, e);
    int rank = 0;

    why[0] = '\0';
    if (!comm_agree(c, all != NULL, e)) {
        mem_free(all);
        return false;
    }
    mine.there = dev_team_there(d, mine.text, sizeof mine.text);
    comm_allgather(c, &mine, sizeof mine, all);
    while (rank < comm_size(c) && all[rank].there && strcmp(all[rank].text, all[0].text) == 0)
        rank++;
    if (rank < comm_size(c) && !all[rank].there)
        snprintf(why, WHY_BYTES, "rank %d: %s", rank, all[rank].text);
    else if (rank < comm_size(c))
        snprintf(why, WHY_BYTES, "rank %d has NCCL %s, rank 0 has %s", rank, all[rank].text,
                 all[0].text);
    memcpy(version, all[0].text, TEXT_BYTES);
    mem_free(all);
    if (!why[0] && !comm_check_units(c, dev_unit(d), false, e)) {
        err_clear(e);
        snprintf(why, WHY_BYTES, "ranks share a GPU, NCCL takes one rank a GPU");
    }
    return true;
}

static bool join(struct dev *d, struct comm *c, struct err *e)
{
    char id[DEV_TEAM_ID] = "";
    bool ok = comm_rank(c) != 0 || dev_team_id(d, id, e);

    if (!comm_agree(c, ok, e)) return false;
    comm_bcast(c, id, sizeof id, 0);
    comm_alarm_reset(c);
    bool through = dev_team_open(d, id, comm_rank(c), comm_size(c), e) && wait_for(d, c, JOIN_S, e);
    if (meet(c, through, e)) return true;
    dev_team_close(d);
    return false;
}

bool grad_team_open(struct dev *d, struct comm *c, enum grad_sum how, char *text, size_t size,
                    struct err *e)
{
    char version[TEXT_BYTES], why[WHY_BYTES] = "";
    int64_t gpu = dev_unit(d)[0] != '\0';

    snprintf(text, size, "%s", comm_size(c) == 1 ? "none" : "staged");
    if (comm_size(c) == 1 || how == GRAD_SUM_STAGED) return true;
    comm_max_i64(c, &gpu, 1);
    if (!gpu && how == GRAD_SUM_AUTO) return true; /* processors: nothing to say */
    if (!all_can(d, c, version, why, e)) return false;
    if (!why[0] && !join(d, c, e)) {
        if (how == GRAD_SUM_NCCL) return err_wrap(e, "train.gradient_sum: nccl");
        snprintf(why, sizeof why, "%.300s", e->text);
        err_clear(e);
    }
    if (why[0] && how == GRAD_SUM_NCCL)
        return err_set(e, ERR_CONFIG, "train.gradient_sum: nccl: %s; auto or staged go on without",
                       why);
    if (why[0])
        log_warn("gradient_sum", "how=staged why=\"%s\"", why);
    else
        snprintf(text, size, "nccl %.63s", version);
    return true;
}

bool grad_team_sum(struct dev *d, struct comm *c, struct dev_buf *b, uint64_t count, struct err *e)
{
    static uint64_t sums; /* of this process, for the hang watch */

    comm_alarm_reset(c);
    pulse_at("sum over GPUs", ++sums);
    bool through = dev_team_sum_i64(d, b, 0, (size_t)count, e) && wait_for(d, c, 0, e);
    if (meet(c, through, e)) return true;
    dev_team_close(d); /* whoever frees memory now would wait for the sum */
    return false;
}
