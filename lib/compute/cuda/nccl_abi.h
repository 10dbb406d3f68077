/*
 * compute/cuda/nccl_abi - the part of NCCL's binary interface that gpu_nccl.c uses, written down so
 * that nothing of NCCL is needed to build. NCCL 2.14 and later; a config of 2.14 is understood by
 * every later one, which sets the rest to its defaults (parseCommConfig in NCCL's src/init.cc).
 * tests/compute/nccl_abi.c compares all of it with nccl.h where there is one.
 */
#pragma once
#include <stddef.h>

enum { NCCL_SUCCESS = 0, NCCL_IN_PROGRESS = 7 }; /* ncclResult_t */
enum { NCCL_INT64 = 4, NCCL_SUM = 0 };           /* ncclDataType_t, ncclRedOp_t */
enum { NCCL_OLDEST = 21400 };                    /* 2.14.0 */
#define NCCL_MAGIC 0xcafebeefu

struct nccl_comm; /* ncclComm_t points to one */
struct nccl_unique_id {
    char internal[128];
};
struct nccl_config {
    size_t size;
    unsigned magic, version;
    int blocking;
};

typedef int nccl_get_version_fn(int *version);
typedef int nccl_get_unique_id_fn(struct nccl_unique_id *id);
typedef int nccl_comm_init_fn(struct nccl_comm **out, int size, struct nccl_unique_id id, int rank,
                              struct nccl_config *config);
typedef int nccl_comm_fn(struct nccl_comm *c); /* Finalize, Destroy, Abort */
typedef int nccl_async_error_fn(struct nccl_comm *c, int *error);
typedef int nccl_all_reduce_fn(const void *from, void *to, size_t n, int type, int op,
                               struct nccl_comm *c, void *stream);
typedef const char *nccl_error_string_fn(int error);
typedef const char *nccl_last_error_fn(struct nccl_comm *c);
