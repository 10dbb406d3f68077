/* For any processor: the vectors of gcc and clang, four lanes wide; multiply and add are rounded
 * apart. */
#define KERN_ISA   "generic"
#define KERN_BYTES 16
#define KERN_TABLE cpu_kern_generic
#include "compute/cpu/kern_body.h"

typedef float vec4 __attribute__((vector_size(16)));

static inline vec4 vec4_load(const void *p)
{
    vec4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec4_store(float *p, vec4 v)
{
    memcpy(p, &v, sizeof v);
}

#define VEC                vec4
#define VEC_LANES          4
#define VEC_LOAD(p)        vec4_load(p)
#define VEC_STORE(p, v)    vec4_store(p, v)
#define VEC_ZERO()         ((vec4){0, 0, 0, 0})
#define VEC_SPREAD(u)      ((vec4){u, u, u, u})
#define VEC_FMA(acc, a, b) ((acc) + (a) * (b))
#define TILE               tile_generic
#define TILE_NAME          "generic"
#define TILE_UNIT          float
#define TILE_BF16          false
#define TILE_MR            6
#define TILE_KC            384
#include "compute/cpu/tile_body.h"
