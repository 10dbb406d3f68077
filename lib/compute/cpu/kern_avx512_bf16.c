/* Only the register tile: the other loops are those of kern_avx512.c. */
#include <immintrin.h>

#define VEC                __m512
#define VEC_LANES          16
#define VEC_LOAD(p)        _mm512_loadu_ps((const void *)(p))
#define VEC_STORE(p, v)    _mm512_storeu_ps(p, v)
#define VEC_ZERO()         _mm512_setzero_ps()
#define VEC_SPREAD(u)      (__m512bh) _mm512_set1_epi32(u)
#define VEC_FMA(acc, a, b) _mm512_dpbf16_ps(acc, a, (__m512bh)(b))
#define TILE_A             __m512bh
#define TILE               tile_avx512_bf16
#define TILE_NAME          "avx512_bf16"
#define TILE_UNIT          int32_t
#define TILE_BF16          true
#define TILE_MR            14
#define TILE_KC            288
#define TILE_WIDE
#include "compute/cpu/tile_body.h"
