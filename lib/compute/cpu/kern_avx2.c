#include <immintrin.h>

#define KERN_ISA        "avx2"
#define KERN_BYTES      32
#define KERN_TABLE      cpu_kern_avx2
#define ZIP_LANES       8
#define ZIP_VEC         __m256i
#define ZIP_LOAD(p)     _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define ZIP_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define ZIP_LO(a, b)                                                                               \
    _mm256_permute2x128_si256(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b), 0x20)
#define ZIP_HI(a, b)                                                                               \
    _mm256_permute2x128_si256(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b), 0x31)
#include "compute/cpu/kern_body.h"

#define VEC                __m256
#define VEC_LANES          8
#define VEC_LOAD(p)        _mm256_loadu_ps((const float *)(const void *)(p))
#define VEC_STORE(p, v)    _mm256_storeu_ps(p, v)
#define VEC_ZERO()         _mm256_setzero_ps()
#define VEC_SPREAD(u)      _mm256_set1_ps(u)
#define VEC_FMA(acc, a, b) _mm256_fmadd_ps(a, b, acc)
#define TILE               tile_avx2
#define TILE_NAME          "avx2"
#define TILE_UNIT          float
#define TILE_BF16          false
#define TILE_MR            6
#define TILE_KC            384
#include "compute/cpu/tile_body.h"
