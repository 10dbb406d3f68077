/*
 * train/memory_plan - what one rank takes on its device, known before the first step.
 *
 * All of it is allocated at the start for the largest bin of the whole run, so that training does
 * not run out of memory in the middle: either the table fits, or the run does not start.
 *
 * Where it does not fit with all activations kept, blocks are made again in the backward pass
 * (struct recompute), which changes no bits: of the ways that fit, the one that multiplies the
 * fewest weights again. What fits is told by train.memory_gib and by the memory that a GPU has
 * free; a processor's device does not know, so there only train.memory_gib counts.
 */
#pragma once
#include "model/decoder.h"

enum memory_part {
    MEMORY_WEIGHTS,     /* frozen base */
    MEMORY_ADAPTER,     /* masters and working copies */
    MEMORY_OPTIMIZER,   /* gradient, moments, exact sum */
    MEMORY_ACTIVATIONS, /* forward, backward, loss, for the largest bin */
    MEMORY_DEVICE,      /* what the device keeps for itself: workspaces of products */
    MEMORY_PARTS
};
extern const char *const memory_part_names[MEMORY_PARTS + 1];

struct memory_plan {
    uint64_t bytes[MEMORY_PARTS];
};
uint64_t memory_plan_total(const struct memory_plan *p);
/* Log the table; above limit_gib (0: none) is ERR_LIMIT with what to change. */
MUST_CHECK bool memory_plan_check(const struct memory_plan *p, double limit_gib, struct err *e);
/* Sets the activations' part, and *again: what was asked for, or for auto (asked NULL) the cheapest
 * that fits limit_gib (0: none) and what the device has left (0: not known); the smallest of all
 * where nothing fits, for the checks below to refuse. The other parts are set before. */
struct memory_question {
    const struct model_spec *spec;
    enum dev_dtype dtype;
    const struct lora_opts *lora;
    bool folded;           /* the adapter is (lora_folded) */
    uint32_t tokens, rows; /* of the largest bin */
    double limit_gib;
    uint64_t left;
    const enum recompute_kind *asked;
};
MUST_CHECK bool memory_plan_recompute(struct memory_plan *p, const struct memory_question *q,
                                      struct recompute *again, struct err *e);
/* What is still to be taken (optimizer, activations) against what the device has left; 0: not
 * known. */
MUST_CHECK bool memory_plan_fits(const struct memory_plan *p, uint64_t left, struct err *e);
