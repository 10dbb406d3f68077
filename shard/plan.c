#include "shard/plan.h"

#include "base/mem.h"
#include "base/rng.h"
#include "shard/once.h"

/*
 * Packing of one window, best-fit-decreasing: longest sample first (ties: order of the
 * permutation), each into the open bin with the least room that still holds it (ties: the bin
 * that got that room last), else into a new bin. In a bin samples stand in the order in which
 * they came.
 *
 * In two dimensions all is measured in encoder tokens: a decoder token counts for bin_tokens /
 * bin_targets of them, a sample's length is the longer of its two parts (rounded up), a bin's room
 * the smaller of its two rooms (rounded down). So what fits into a room fits in both dimensions.
 * What it gives away is little: one part is the longer in nearly all reports.
 */
enum { WINDOW = 8192, LEVELS = 4, BIN_TOKENS_MAX = 1 << 24, RADIX_BITS = 11 };
#define RADIX_MASK ((1u << RADIX_BITS) - 1)
#define NONE       UINT32_MAX /* no bin */

/* The set of rooms for which there is an open bin: bits, and bits of which words are not zero. */
struct rooms {
    uint64_t *level[LEVELS];
    uint32_t *bin; /* by room: bin that got it last, or NONE */
    size_t n;      /* rooms 0 ... n - 1 */
};

struct packer {
    const uint32_t *lengths, *targets;
    uint32_t *chosen; /* of all samples those of this epoch; NULL: all */
    bool apart;       /* encoder-decoder: two limits */
    uint32_t bin_tokens, bin_targets;
    struct rooms rooms;
    uint64_t *items, *spare; /* of a window: length and position, for sorting */
    uint32_t *samples;       /* of a window: sample number by position */
    uint32_t *bin_of;        /* of a window: bin by position in sorted order */
    uint32_t *room, *below;  /* by bin: its room; the bin that had this room before */
    uint32_t *start;         /* by bin: where its samples begin */
    struct plan_bin *bins;   /* of a window */
};

static bool rooms_init(struct rooms *r, size_t n, struct err *e)
{
    r->n = n;
    for (int l = 0; l < LEVELS; l++) {
        n = (n + 63) / 64;
        r->level[l] = mem_calloc(n, sizeof **r->level, e);
        if (!r->level[l]) return false;
    }
    r->bin = mem_alloc(r->n * sizeof *r->bin, e);
    if (!r->bin) return false;
    memset(r->bin, 0xff, r->n * sizeof *r->bin);
    return true;
}

static void rooms_free(struct rooms *r)
{
    for (int l = 0; l < LEVELS; l++)
        mem_free(r->level[l]);
    mem_free(r->bin);
}

static void rooms_put(struct rooms *r, size_t room)
{
    for (int l = 0; l < LEVELS; l++, room /= 64)
        r->level[l][room / 64] |= (uint64_t)1 << room % 64;
}

static void rooms_drop(struct rooms *r, size_t room)
{
    for (int l = 0; l < LEVELS; l++, room /= 64) {
        r->level[l][room / 64] &= ~((uint64_t)1 << room % 64);
        if (r->level[l][room / 64]) return;
    }
}

/* Least room >= least for which there is a bin, or SIZE_MAX. */
static size_t rooms_find(const struct rooms *r, size_t least)
{
    size_t n = r->n;

    for (int l = 0; l < LEVELS; l++) {
        if (least >= n) return SIZE_MAX;
        uint64_t word = r->level[l][least / 64] & ~(uint64_t)0 << least % 64;
        if (word) {
            least = least / 64 * 64 + (size_t)__builtin_ctzll(word);
            while (l-- > 0)
                least = least * 64 + (size_t)__builtin_ctzll(r->level[l][least]);
            return least;
        }
        least = least / 64 + 1;
        n = (n + 63) / 64;
    }
    return SIZE_MAX;
}

/* ---- one window */
static void bin_push(struct packer *p, uint32_t bin)
{
    uint32_t room = p->room[bin];

    p->below[bin] = p->rooms.bin[room];
    p->rooms.bin[room] = bin;
    rooms_put(&p->rooms, room);
}

static uint32_t bin_pop(struct packer *p, size_t room)
{
    uint32_t bin = p->rooms.bin[room];

    p->rooms.bin[room] = p->below[bin];
    if (p->below[bin] == NONE) rooms_drop(&p->rooms, room);
    return bin;
}

static void bin_add(struct plan_bin *b, uint32_t length, uint32_t target)
{
    b->samples++;
    b->tokens += length;
    b->targets += length - target;
}

/* Tokens that count against bin_tokens: all of a sample, or the encoder's. */
static uint32_t input(const struct packer *p, uint32_t sample)
{
    return p->apart ? p->targets[sample] : p->lengths[sample];
}

static uint32_t answer(const struct packer *p, uint32_t sample)
{
    return p->lengths[sample] - p->targets[sample];
}

/* The room a sample needs. At most bin_tokens, as check_lengths found. */
static uint32_t need(const struct packer *p, uint32_t sample)
{
    uint64_t out;

    if (!p->apart) return p->lengths[sample];
    out = ((uint64_t)answer(p, sample) * p->bin_tokens + p->bin_targets - 1) / p->bin_targets;
    return input(p, sample) > out ? input(p, sample) : (uint32_t)out;
}

static uint32_t room_of(const struct packer *p, const struct plan_bin *b)
{
    if (!p->apart) return p->bin_tokens - b->tokens;
    uint32_t in = p->bin_tokens - (b->tokens - b->targets);
    uint64_t out = (uint64_t)(p->bin_targets - b->targets) * p->bin_tokens / p->bin_targets;
    return in < out ? in : (uint32_t)out;
}

/* Length descending; they stand by position already. Radix sort over the bits in which lengths up
 * to bin_tokens differ, lowest first, each pass keeping the order of equals. */
static void sort_items(struct packer *p, uint32_t n)
{
    for (unsigned bit = 0; bit < 32 && p->bin_tokens >> bit > 0; bit += RADIX_BITS) {
        uint32_t at[1 << RADIX_BITS] = {0}, sum = 0;
        uint64_t *swap = p->items;
        for (uint32_t i = 0; i < n; i++)
            at[p->items[i] >> (32 + bit) & RADIX_MASK]++;
        for (uint32_t d = 0; d <= RADIX_MASK; d++) {
            uint32_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++)
            p->spare[at[p->items[i] >> (32 + bit) & RADIX_MASK]++] = p->items[i];
        p->items = p->spare;
        p->spare = swap;
    }
}

/* Pack p->samples[0 .. n) into p->bins; returns their number. */
static uint32_t pack(struct packer *p, uint32_t n)
{
    uint32_t nbins = 0;

    for (uint32_t i = 0; i < n; i++)
        p->items[i] = (uint64_t)(p->bin_tokens - need(p, p->samples[i])) << 32 | i;
    sort_items(p, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t sample = p->samples[(uint32_t)p->items[i]];
        size_t room = rooms_find(&p->rooms, p->bin_tokens - (uint32_t)(p->items[i] >> 32));
        uint32_t bin;
        if (room != SIZE_MAX) {
            bin = bin_pop(p, room);
        } else {
            bin = nbins++;
            p->bins[bin] = (struct plan_bin){0};
        }
        bin_add(&p->bins[bin], p->lengths[sample], p->targets[sample]);
        p->room[bin] = room_of(p, &p->bins[bin]);
        p->bin_of[i] = bin;
        bin_push(p, bin);
    }
    for (uint32_t b = 0; b < nbins; b++) { /* leave the rooms empty for the next window */
        p->rooms.bin[p->room[b]] = NONE;
        rooms_drop(&p->rooms, p->room[b]);
    }
    return nbins;
}

/* Append the window's bins, permuted, to the plan. */
static void emit(struct packer *p, uint32_t n, uint32_t nbins, struct rng_key key, struct plan *out,
                 uint64_t order)
{
    uint64_t at = order;

    for (uint32_t i = 0; i < nbins; i++) {
        uint32_t bin = (uint32_t)rng_permute(key, i, nbins);
        struct plan_bin *b = &out->bins[out->nbins++];
        *b = p->bins[bin];
        b->first = at;
        p->start[bin] = (uint32_t)(at - order);
        at += b->samples;
    }
    for (uint32_t i = 0; i < n; i++)
        out->order[order + p->start[p->bin_of[i]]++] = p->samples[(uint32_t)p->items[i]];
}

static void packer_free(struct packer *p)
{
    rooms_free(&p->rooms);
    mem_free(p->chosen);
    mem_free(p->items);
    mem_free(p->spare);
    mem_free(p->samples);
    mem_free(p->bin_of);
    mem_free(p->room);
    mem_free(p->below);
    mem_free(p->start);
    mem_free(p->bins);
}

static bool packer_init(struct packer *p, const struct shard_set *s, const struct plan_params *q,
                        struct err *e)
{
    *p = (struct packer){.lengths = shard_set_lengths(s),
                         .targets = shard_set_targets(s),
                         .apart = shard_set_info(s)->layout == SHARD_ENCODER_DECODER,
                         .bin_tokens = q->bin_tokens,
                         .bin_targets = q->bin_targets ? q->bin_targets : q->bin_tokens};
    uint32_t **arrays[] = {&p->samples, &p->bin_of, &p->room, &p->below, &p->start};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = mem_alloc(WINDOW * sizeof **arrays[i], e);
        if (!*arrays[i]) return false;
    }
    p->items = mem_alloc(WINDOW * sizeof *p->items, e);
    if (!p->items) return false;
    p->spare = mem_alloc(WINDOW * sizeof *p->spare, e);
    if (!p->spare) return false;
    p->bins = mem_alloc(WINDOW * sizeof *p->bins, e);
    if (!p->bins) return false;
    return rooms_init(&p->rooms, (size_t)q->bin_tokens + 1, e);
}

/* ---- the plan */
static uint32_t sample_at(const struct packer *p, uint64_t i)
{
    return p->chosen ? p->chosen[i] : (uint32_t)i;
}

static void shuffle(struct packer *p, const struct plan_params *q, struct plan *out)
{
    struct rng_key samples = rng_key(q->seed, RNG_PLAN, q->epoch);

    for (uint64_t from = 0, w = 1; from < out->nsamples; from += WINDOW, w++) {
        uint64_t left = out->nsamples - from;
        uint32_t n = left < WINDOW ? (uint32_t)left : WINDOW;
        struct rng_key bins = rng_key(q->seed, RNG_PLAN, w << 32 | q->epoch);
        for (uint32_t i = 0; i < n; i++)
            p->spare[i] = from + i;
        rng_permute_all(samples, out->nsamples, p->spare, n);
        for (uint32_t i = 0; i < n; i++)
            p->samples[i] = sample_at(p, p->spare[i]);
        emit(p, n, pack(p, n), bins, out, from);
    }
}

/* File order: a bin ends where the next sample does not fit. */
static void in_order(const struct packer *p, struct plan *out)
{
    struct plan_bin *b = NULL;
    uint32_t inputs = 0; /* of b */

    for (uint64_t at = 0; at < out->nsamples; at++) {
        uint32_t i = sample_at(p, at);
        if (!b || input(p, i) > p->bin_tokens - inputs ||
            (p->apart && answer(p, i) > p->bin_targets - b->targets)) {
            b = &out->bins[out->nbins++];
            *b = (struct plan_bin){.first = at};
            inputs = 0;
        }
        bin_add(b, p->lengths[i], p->targets[i]);
        inputs += input(p, i);
        out->order[at] = i;
    }
}

static void digest(struct plan *p, const struct packer *k, const struct shard_set *s,
                   const struct plan_params *q)
{
    const uint64_t params[] = {q->seed,    q->epoch,    q->bin_tokens, q->bins_per_step,
                               q->shuffle, p->nsamples, p->nbins};
    struct sha256 h;

    sha256_init(&h);
    sha256_put(&h, "plan/v1", sizeof "plan/v1");
    sha256_put(&h, shard_set_info(s)->dataset_digest, 32);
    sha256_put(&h, params, sizeof params);
    if (k->apart) sha256_put(&h, &k->bin_targets, sizeof k->bin_targets);
    if (q->once && shard_set_groups_digest(s)) sha256_put(&h, shard_set_groups_digest(s), 32);
    sha256_put(&h, shard_set_lengths(s), shard_set_count(s) * sizeof(uint32_t));
    sha256_put(&h, shard_set_targets(s), shard_set_count(s) * sizeof(uint32_t));
    sha256_put(&h, p->order, p->nsamples * sizeof *p->order);
    for (size_t i = 0; i < p->nbins; i++)
        sha256_put(&h, &p->bins[i].samples, sizeof p->bins[i].samples);
    sha256_end(&h, p->digest);
}

static bool check_params(const struct plan_params *q, struct err *e)
{
    if (q->bin_tokens > 0 && q->bin_tokens <= BIN_TOKENS_MAX && q->bins_per_step > 0 &&
        q->bin_targets <= BIN_TOKENS_MAX)
        return true;
    return err_set(e, ERR_CONFIG, "bins of %u tokens and %u targets, %u a step: out of range",
                   q->bin_tokens, q->bin_targets, q->bins_per_step);
}

static bool check_lengths(const struct packer *p, size_t n, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        if (input(p, i) > p->bin_tokens)
            return err_set(e, ERR_CONFIG,
                           "sample %u has %u %stokens, a bin %u: raise train.bin_tokens or lower "
                           "shards.%s",
                           i, input(p, i), p->apart ? "input " : "", p->bin_tokens,
                           p->apart ? "max_input_tokens" : "max_tokens");
        if (p->apart && answer(p, i) > p->bin_targets)
            return err_set(e, ERR_CONFIG,
                           "sample %u has %u target tokens, a bin %u: raise that or lower "
                           "shards.max_target_tokens",
                           i, answer(p, i), p->bin_targets);
    }
    return true;
}

bool plan_init(struct plan *p, const struct shard_set *s, const struct plan_params *q,
               struct err *e)
{
    struct packer k = {0};
    bool ok = false;

    *p = (struct plan){.nsamples = shard_set_count(s), .bins_per_step = q->bins_per_step};
    if (!check_params(q, e)) goto out;
    p->order = mem_alloc(p->nsamples * sizeof *p->order, e);
    if (!p->order) goto out;
    p->bins = mem_alloc(p->nsamples * sizeof *p->bins, e); /* at most one bin a sample */
    if (!p->bins) goto out;
    if (!packer_init(&k, s, q, e)) goto out;
    if (!check_lengths(&k, p->nsamples, e)) goto out;
    if (q->once && !once_pick(s, q->epoch, &k.chosen, &p->nsamples, e)) goto out;
    if (q->shuffle)
        shuffle(&k, q, p);
    else
        in_order(&k, p);
    p->nsteps = (p->nbins + q->bins_per_step - 1) / q->bins_per_step;
    digest(p, &k, s, q);
    ok = true;
out:
    packer_free(&k);
    if (!ok) plan_free(p);
    return ok;
}

void plan_free(struct plan *p)
{
    mem_free(p->order);
    mem_free(p->bins);
    *p = (struct plan){0};
}

static void step_bins(const struct plan *p, uint64_t step, uint64_t *begin, uint64_t *end)
{
    CHECK(step < p->nsteps);
    *begin = step * p->bins_per_step;
    *end = *begin + p->bins_per_step;
    if (*end > p->nbins) *end = p->nbins;
}

uint64_t plan_step_targets(const struct plan *p, uint64_t step)
{
    uint64_t begin, end, sum = 0;

    step_bins(p, step, &begin, &end);
    for (uint64_t i = begin; i < end; i++)
        sum += p->bins[i].targets;
    return sum;
}

uint64_t plan_step_tokens(const struct plan *p, uint64_t step)
{
    uint64_t begin, end, sum = 0;

    step_bins(p, step, &begin, &end);
    for (uint64_t i = begin; i < end; i++)
        sum += p->bins[i].tokens;
    return sum;
}

void plan_rank_bins(const struct plan *p, uint64_t step, int rank, int size, uint64_t *begin,
                    uint64_t *end)
{
    uint64_t first, last, n;

    CHECK(rank >= 0 && rank < size);
    step_bins(p, step, &first, &last);
    n = last - first;
    *begin = first + n * (uint64_t)rank / (uint64_t)size;
    *end = first + n * ((uint64_t)rank + 1) / (uint64_t)size;
}
