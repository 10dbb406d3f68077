/*
 * comm/comm_impl - shared by comm.c and comm_mpi.c; tests may look in.
 */
#pragma once
#include "base/str.h"
#include "comm/comm.h"

enum { COMM_ALARM_TURNS = 32768 }; /* MPI promises tags up to 32767 */
enum comm_reduction { COMM_SUM_U64, COMM_MAX_I64, COMM_MAX_F64 };

struct comm_request {
    _Alignas(16) unsigned char handle[32];
};

/* What takes more than one rank; comm.c deals with one rank itself and splits large counts. */
struct comm_ops {
    void (*barrier)(struct comm *c);
    void (*bcast)(struct comm *c, void *p, size_t n, int root);
    void (*reduce)(struct comm *c, void *v, size_t n, enum comm_reduction op);
    /* Lowest rank with failed != 0, or -1. */
    int (*first_failed)(struct comm *c, bool failed);
    void (*allgather)(struct comm *c, const void *in, size_t n, void *out);
    void (*allgatherv)(struct comm *c, const void *in, const int *counts, const int *at, void *out);
    /* Either of them empty: nothing goes that way, and the other side knows. */
    void (*swap)(struct str out, int to, char *in, size_t n, int from);
    void (*alarm)(struct comm *c);
    bool (*alarmed)(struct comm *c);
    /* *request has room for the transport's handle. */
    void (*post)(const void *p, size_t n, int to, struct comm_request *request);
    bool (*post_done)(struct comm_request *request, bool wait);
    bool (*peek)(int from, bool wait, size_t *n);
    void (*receive)(void *p, size_t n, int from);
    void (*abort)(struct comm *c, int exit_code);
    void (*close)(struct comm *c);
};

struct comm {
    const struct comm_ops *ops; /* NULL: one rank without MPI */
    int rank, size, local_rank, local_size;
    char gpu[64];   /* comm_gpu */
    int alarm_turn; /* which comm_alarm_reset the alarms are of: the tag of their messages */
};

/* Bytes or elements given to one MPI call; MPI's counts are int. Tests make it small. */
extern size_t comm_chunk;
