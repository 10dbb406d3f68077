/* Only the register tile: the other loops are those of kern_avx512.c. */
#include <immintrin.h>

/* vcvtneps2bf16 would make subnormal numbers 0. */
static inline __m256i round_bf16(__m512 v)
{
    __m512i u = _mm512_castps_si512(v),
            odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd);
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

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
#define VEC_STORE16(p, v) _mm256_storeu_si256((void *)(p), round_bf16(v))
#include "compute/cpu/tile_body.h"
