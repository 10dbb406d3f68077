/*
 * judge/folds - whole patients into k parts of about the same size.
 *
 * Largest group first, each to the smallest part so far; groups of one size in an order that is a
 * function of the seed. So no patient is on both sides of a validation.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* out[i] < k is the part of thing i, whose group is group[i] < ngroups. */
MUST_CHECK bool folds_make(const uint32_t *group, size_t n, size_t ngroups, uint32_t k,
                           uint64_t seed, uint32_t *out, struct err *e);
