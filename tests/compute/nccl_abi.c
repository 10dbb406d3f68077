/* Compiled, never run: compute/cuda/nccl_abi.h says what nccl.h says. */
#include <nccl.h>

#include "compute/cuda/nccl_abi.h"

#define SAME(ours, theirs) _Static_assert((long long)(ours) == (long long)(theirs), #theirs)
SAME(NCCL_SUCCESS, ncclSuccess);
SAME(NCCL_IN_PROGRESS, ncclInProgress);
SAME(NCCL_INT64, ncclInt64);
SAME(NCCL_SUM, ncclSum);
SAME(NCCL_OLDEST, NCCL_VERSION(2, 14, 0));
SAME(sizeof(struct nccl_unique_id), sizeof(ncclUniqueId));
SAME(offsetof(struct nccl_config, size), offsetof(ncclConfig_t, size));
SAME(offsetof(struct nccl_config, magic), offsetof(ncclConfig_t, magic));
SAME(offsetof(struct nccl_config, version), offsetof(ncclConfig_t, version));
SAME(offsetof(struct nccl_config, blocking), offsetof(ncclConfig_t, blocking));
SAME(sizeof(ncclResult_t), sizeof(int));
SAME(sizeof(ncclDataType_t), sizeof(int));
SAME(sizeof(ncclRedOp_t), sizeof(int));

/* The parameters, one by one: a function of ours called with theirs would not compile else. */
int nccl_abi_calls(void);
int nccl_abi_calls(void)
{
    static const ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    _Static_assert(sizeof config.magic == sizeof(unsigned), "magic");
    ncclResult_t (*init)(ncclComm_t *, int, ncclUniqueId, int, ncclConfig_t *) =
        ncclCommInitRankConfig;
    ncclResult_t (*sum)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                        cudaStream_t) = ncclAllReduce;
    ncclResult_t (*async_error)(ncclComm_t, ncclResult_t *) = ncclCommGetAsyncError;
    ncclResult_t (*end[3])(ncclComm_t) = {ncclCommFinalize, ncclCommDestroy, ncclCommAbort};
    const char *(*text)(ncclResult_t) = ncclGetErrorString;
    const char *(*last)(ncclComm_t) = ncclGetLastError;
    return config.magic == NCCL_MAGIC && init && sum && async_error && end[0] && text && last;
}
