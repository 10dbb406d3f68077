/*
 * base/rng - random numbers as a function of (seed, stream, index): no state to share or to save.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11), key = seed
 * mixed with the stream, counter = index. The same arguments give the same number on every machine.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Streams in use; a new purpose gets a new number, never a reused one. */
enum rng_stream {
    RNG_LORA_INIT = 1,
    RNG_PLAN = 2,
    RNG_DROPOUT = 3,
    RNG_SAMPLE = 4,
    RNG_BOOTSTRAP = 5,
    RNG_PERMUTE = 6,
    RNG_SYNTH = 7,
    RNG_MODEL_INIT = 8,
    RNG_TEST = 9,
    RNG_SWEEP = 10,
    RNG_JUDGE = 20,
    RNG_LABEL = 21,
    RNG_MISMATCH = 14,
    RNG_DECODE = 22,
    RNG_PERTURB = 26,
};

struct rng_key {
    uint32_t k[2];
};
/* `sub` tells apart uses inside one stream (tensor number, epoch, ...). */
struct rng_key rng_key(uint64_t seed, enum rng_stream stream, uint64_t sub);
/* The bare generator: four words for a key and a counter of four words. */
void rng_philox(struct rng_key k, const uint32_t counter[4], uint32_t out[4]);
/* Four words for the counter {index, 0}. */
void rng_block(struct rng_key k, uint64_t index, uint32_t out[4]);
uint64_t rng_u64(struct rng_key k, uint64_t index);
double rng_unit(struct rng_key k, uint64_t index);                /* [0, 1), 53 bits */
uint64_t rng_below(struct rng_key k, uint64_t index, uint64_t n); /* [0, n), unbiased to 2^-64 */
double rng_normal(struct rng_key k, uint64_t index);              /* mean 0, variance 1 */
/* Position of index in a pseudo-random permutation of [0, n), index < n: a Feistel network of 6
 * rounds over the smallest power of two (256 or more) that holds n, with cycle walking. */
uint64_t rng_permute(struct rng_key k, uint64_t index, uint64_t n);
/* Each v[i] < n becomes its position: the same numbers, several at once where the processor can. */
void rng_permute_all(struct rng_key k, uint64_t n, uint64_t *v, size_t count);
