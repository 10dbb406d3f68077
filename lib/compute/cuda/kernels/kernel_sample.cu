/* Drawing tokens from rows of logits.
 *
 * A row is never sorted. Candidates have a place in the order of choice (larger logits first, then
 * lower ids), 56 bits that differ for each; where the k-th candidate stands, where the weights of
 * those before reach a share, and whom the random number hits are all the same question: the first
 * place up to which a sum reaches a target. It is answered byte by byte of the place, with sums
 * over 256 bins. Weights are whole numbers (2^44 for the most probable), so the order in which they
 * are added up does not show. */
#include "compute/cuda/kernels/kernel.cuh"

constexpr uint32_t BINS = 256, TOP_SHIFT = 48, ID_SHIFT = 16, ID_BITS = 24;
constexpr uint64_t ONE = (uint64_t)1 << 44;
constexpr double HOPELESS = 30; /* nats, at temperature 1: see dev_sample */
static_assert(KERNEL_THREADS == BINS, "a thread a bin");

/* One row; the same for all threads of its block. */
struct row_draw {
    struct kernel_mat m;
    uint32_t row;
    float most, least;
    double temperature;
    bool by_id; /* nothing is cut: the last id comes first, and no logit is compared */
    unsigned long long *bins, *note; /* shared: [BINS], [4]: prefix, sum, count, weight */
};

static __device__ __forceinline__ uint64_t place_of(const struct row_draw &d, float v, uint32_t id)
{
    if (d.by_id) return id;
    uint32_t u = kernel_bits(v + 0.0f); /* -0 is 0 */
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return (uint64_t)u << ID_BITS | ((1u << ID_BITS) - 1 - id);
}

static __device__ __forceinline__ uint64_t weight_of(const struct row_draw &d, float v)
{
    if (v >= d.most) return ONE;
    return (uint64_t)(exp(((double)v - (double)d.most) / d.temperature) * (double)ONE + 0.5);
}

/* f(place, logit) for this thread's candidates at `low` and before. */
template <class F>
static __device__ __forceinline__ void each_candidate(const struct row_draw &d, uint64_t low, F f)
{
    for (uint32_t c = threadIdx.x; c < d.m.cols; c += KERNEL_THREADS) {
        float v = kernel_get(d.m, d.row, c);
        uint64_t place = place_of(d, v, c);
        if (v >= d.least && place >= low) f(place, v);
    }
}

/* How many, or their weight. */
static __device__ uint64_t total_of(const struct row_draw &d, uint64_t low, bool count)
{
    unsigned long long sum = 0;
    each_candidate(d, low, [&](uint64_t, float v) { sum += count ? 1 : weight_of(d, v); });
    unsigned long long *all = &d.note[count ? 2 : 3];
    if (threadIdx.x == 0) *all = 0;
    __syncthreads();
    atomicAdd(all, sum);
    __syncthreads();
    return *all;
}

/* The first place up to which the sum is at least `target`, which is at most the total. */
static __device__ uint64_t reach(const struct row_draw &d, uint64_t low, bool count,
                                 uint64_t target)
{
    uint64_t prefix = 0, above = 0;
    for (int shift = d.by_id ? ID_SHIFT : TOP_SHIFT; shift >= 0; shift -= 8) {
        d.bins[threadIdx.x] = 0;
        __syncthreads();
        each_candidate(d, low, [&](uint64_t place, float v) {
            if (place >> shift >> 8 != prefix) return;
            atomicAdd(&d.bins[place >> shift & (BINS - 1)],
                      (unsigned long long)(count ? 1 : weight_of(d, v)));
        });
        __syncthreads();
        if (threadIdx.x == 0) {
            uint32_t bin = BINS - 1;
            for (; bin > 0 && above + d.bins[bin] < target; bin--)
                above += d.bins[bin];
            d.note[0] = prefix << 8 | bin;
            d.note[1] = above;
        }
        __syncthreads();
        prefix = d.note[0];
        above = d.note[1];
    }
    return prefix;
}

/* The largest value of the row, NaN aside. red: a float for each warp. */
static __device__ float most_of(const struct kernel_mat &m, uint32_t row, float *red)
{
    float most = -INFINITY;
    for (uint32_t c = threadIdx.x; c < m.cols; c += KERNEL_THREADS)
        most = fmaxf(most, kernel_get(m, row, c));
    most = kernel_warp_max(most);
    if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = most;
    __syncthreads();
    for (uint32_t w = 0; w < KERNEL_THREADS / 32; w++)
        most = fmaxf(most, red[w]);
    return most;
}

/* The token that is drawn. */
static __device__ uint32_t draw(struct row_draw &d, const struct dev_draw &how)
{
    uint32_t mask = (1u << ID_BITS) - 1;
    bool cut_p = how.top_p > 0 && how.top_p < 1;
    uint64_t low = 0;
    if (!(how.temperature > 0)) return mask - (uint32_t)(reach(d, low, true, 1) & mask);
    bool cut_k = how.top_k > 0 && how.top_k < total_of(d, low, true);
    if (cut_k) low = reach(d, low, true, how.top_k);
    uint64_t sum = total_of(d, low, false);
    if (cut_p) {
        uint64_t enough = (uint64_t)ceil(how.top_p * (double)sum);
        low = reach(d, low, false, enough < 1 ? 1 : enough < sum ? enough : sum);
        sum = total_of(d, low, false);
    }
    d.by_id = !cut_k && !cut_p;
    uint64_t hit = (uint64_t)(how.u * (double)sum);
    uint32_t id = (uint32_t)(reach(d, low, false, hit < sum ? hit + 1 : sum) & mask);
    return d.by_id ? id : mask - id;
}

static __global__ void __launch_bounds__(KERNEL_THREADS)
    sample_rows(struct kernel_mat logits, const struct dev_draw *draws, int32_t *out)
{
    unsigned long long *bins = (unsigned long long *)kernel_shared();
    float *red = (float *)(bins + BINS + 4);
    for (uint32_t r = blockIdx.x; r < logits.rows; r += gridDim.x) {
        struct dev_draw how = draws[r];
        float most = most_of(logits, r, red);
        float least = (float)((double)most - HOPELESS * how.temperature);
        struct row_draw d = {logits, r, most, least, how.temperature, false, bins, bins + BINS};
        uint32_t id = draw(d, how);
        if (threadIdx.x == 0) out[r] = id < logits.cols ? (int32_t)id : 0; /* all NaN */
    }
}

void kernel_sample(struct kernel_mat logits, const struct dev_draw *draws, int32_t *out,
                   struct gpu_stream *s)
{
    size_t shared = (BINS + 4) * sizeof(uint64_t) + KERNEL_THREADS / 32 * sizeof(float);
    if (logits.cols > DEV_SAMPLE_VOCAB) {
        kernel_refuse(s, "sample_rows", "a vocabulary of more than 2^19 tokens");
        return;
    }
    if (logits.rows > 0)
        KERNEL_LAUNCH(sample_rows, kernel_blocks(logits.rows), KERNEL_THREADS, shared, s, logits,
                      draws, out);
}
