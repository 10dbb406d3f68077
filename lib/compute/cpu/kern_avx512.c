#include <immintrin.h>

#define KERN_ISA        "avx512"
#define KERN_BYTES      64
#define KERN_TABLE      cpu_kern_avx512
#define ZIP_LANES       16
#define ZIP_VEC         __m512i
#define ZIP_LOAD(p)     _mm512_loadu_si512(p)
#define ZIP_STORE(p, v) _mm512_storeu_si512(p, v)
#define ZIP_LO(a, b)                                                                               \
    _mm512_permutex2var_epi32(                                                                     \
        a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b)
#define ZIP_HI(a, b)                                                                               \
    _mm512_permutex2var_epi32(                                                                     \
        a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b)
#include "compute/cpu/kern_body.h"

#define VEC                __m512
#define VEC_LANES          16
#define VEC_LOAD(p)        _mm512_loadu_ps(p)
#define VEC_STORE(p, v)    _mm512_storeu_ps(p, v)
#define VEC_ZERO()         _mm512_setzero_ps()
#define VEC_SPREAD(u)      _mm512_set1_ps(u)
#define VEC_FMA(acc, a, b) _mm512_fmadd_ps(a, b, acc)
#define TILE               tile_avx512
#define TILE_NAME          "avx512"
#define TILE_UNIT          float
#define TILE_BF16          false
#define TILE_MR            14
#define TILE_KC            288
#include "compute/cpu/tile_body.h"
