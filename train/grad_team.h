/*
 * train/grad_team - how gradients get from rank to rank: from GPU to GPU (NCCL), or staged, through
 * host memory and MPI. The sums are whole numbers, so both give the same bits.
 *
 *     staged   every device; pinned memory where the device has it; two ranks may share a GPU
 *     nccl     device "cuda", one rank a GPU, the same libnccl.so.2 on every node
 *     auto     nccl where that holds and joining works, else staged, which is said with its reason
 *
 * The main idea: nobody waits where nobody can tell it that waiting is in vain. A rank that joins
 * or adds up looks by turns at the GPU and at comm_alarmed; one that fails raises the alarm, all
 * meet in comm_agree, and the job ends with the one reason. A rank that hangs is comm/hang's
 * affair.
 */
#pragma once
#include "comm/comm.h"
#include "compute/dev.h"

enum grad_sum { GRAD_SUM_AUTO, GRAD_SUM_NCCL, GRAD_SUM_STAGED };
extern const char *const grad_sum_names[];

/* Join, or not; the device is then in a team of all ranks (dev_team_size), until dev_team_close.
 * text[size] gets what was chosen: "nccl 2.28.9", "staged", "none" with one rank. Before memory is
 * planned: NCCL takes some. Collective: an error of one rank becomes everyone's. */
MUST_CHECK bool grad_team_open(struct dev *d, struct comm *c, enum grad_sum how, char *text,
                               size_t size, struct err *e);
/* count I64 at the start of b become their sum over all ranks; on failure the device has left the
 * team. Collective, likewise. */
MUST_CHECK bool grad_team_sum(struct dev *d, struct comm *c, struct dev_buf *b, uint64_t count,
                              struct err *e);
