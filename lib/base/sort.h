/*
 * base/sort - many numbers, sorted without comparing them.
 *
 * A radix sort by eleven bits a pass, lowest first; a pass in which all numbers agree is left out,
 * and numbers that stand in order already are left alone. At a few hundred thousand numbers some
 * ten times as fast as qsort. It needs as much memory again.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Ascending. On failure (memory) the numbers are as they were. */
MUST_CHECK bool sort_u64(uint64_t *v, size_t n, struct err *e);
