/*
 * generate/gen_answers - one rank's blocks through the model: prompts in, finished block files out.
 */
#pragma once
#include "base/progress.h"
#include "generate/decode.h"
#include "generate/gen_blocks.h"
#include "generate/gen_inputs.h"
#include "generate/gen_seen.h"

struct gen_work {
    const struct generate_opts *opts;
    const struct gen_inputs *in;
    const struct gen_blocks *blocks;
    const struct gen_seen *seen;
    const uint32_t *todo; /* blocks of this rank, ascending */
    size_t ntodo;
    uint64_t mine, all;        /* pairs of these blocks; of all ranks' */
    struct progress *progress; /* rank 0's share stands for the whole */
    struct decode_stats stats; /* set */
    uint64_t made, ended;      /* added to: pairs in blocks written */
};
/* The decoding engine of a run: its memory is planned with it. */
struct decode_opts gen_decode_opts(const struct generate_opts *o, const struct gen_inputs *in);
/* Device bytes of a run at its peak: the base, the adapter and the engine. Exact for a base alone
 * and for a merged adapter. One that is applied takes more, which is not in it: rows of padding of
 * a step's activations, its narrow products, DoRA's, and those of an encoder. */
uint64_t gen_planned_bytes(const struct generate_opts *o, const struct gen_inputs *in);
/* Answer and write all blocks. When it fails or is stopped, the blocks finished so far stay. */
MUST_CHECK bool gen_answers(struct gen_work *w, struct err *e);
