/*
 * tests/comm/mpi_check - what MPI tests share: a failed check says rank, file and line and ends the
 * whole job (a cmocka assert on one rank would leave the others waiting in a collective).
 */
#pragma once
#include <stdio.h>

#include "comm/comm.h"

#define MPI_CHECK(c, cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "rank %d of %d: %s:%d: %s\n", comm_rank(c), comm_size(c), __FILE__,    \
                    __LINE__, #cond);                                                              \
            comm_abort(c, 1);                                                                      \
        }                                                                                          \
    } while (0)
