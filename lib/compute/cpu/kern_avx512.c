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
/* Words 0 of a, 0 of b, 1 of a, ...: which ones word pair i takes. */
#define PAIR_AT(i) ((i) | ((i) + 32) << 16)
#define PAIRS_AT(i)                                                                                \
    _mm512_setr_epi32(PAIR_AT(i), PAIR_AT(i + 1), PAIR_AT(i + 2), PAIR_AT(i + 3), PAIR_AT(i + 4),  \
                      PAIR_AT(i + 5), PAIR_AT(i + 6), PAIR_AT(i + 7), PAIR_AT(i + 8),              \
                      PAIR_AT(i + 9), PAIR_AT(i + 10), PAIR_AT(i + 11), PAIR_AT(i + 12),           \
                      PAIR_AT(i + 13), PAIR_AT(i + 14), PAIR_AT(i + 15))
#define PAIR_LO(a, b) _mm512_permutex2var_epi16(a, PAIRS_AT(0), b)
#define PAIR_HI(a, b) _mm512_permutex2var_epi16(a, PAIRS_AT(16), b)
/* The first n of 16. */
#define VEC_MASK(n)                ((__mmask16)((1U << (n)) - 1U))
#define VEC_LOAD_FIRST(x, n)       (vec_f32) _mm512_maskz_loadu_ps(VEC_MASK(n), x)
#define VEC_STORE_FIRST(y, n, v)   _mm512_mask_storeu_ps(y, VEC_MASK(n), (__m512)(v))
#define VEC_STORE16_FIRST(y, n, v) _mm256_mask_storeu_epi16(y, VEC_MASK(n), (__m256i)(v))
#define VEC_KEEP_FIRST(n, v)       (vec_f32) _mm512_maskz_mov_ps(VEC_MASK(n), (__m512)(v))
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
#define TILE_WIDE
#include "compute/cpu/tile_body.h"
