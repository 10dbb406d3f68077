#include "text/unifold.h"

#include <string.h>

/* Unicode 3.12: Hangul syllables decompose by arithmetic. */
enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7 };
enum { V_COUNT = 21, T_COUNT = 28, S_COUNT = 11172 };

size_t unifold(uint32_t code_point, uint32_t out[UNIFOLD_MAX])
{
    size_t lo = 0, hi = unifold_run_count;

    out[0] = code_point;
    if (code_point - S_BASE < S_COUNT) {
        uint32_t s = code_point - S_BASE, t = s % T_COUNT;
        out[0] = L_BASE + s / (V_COUNT * T_COUNT);
        out[1] = V_BASE + s / T_COUNT % V_COUNT;
        out[2] = T_BASE + t;
        return t ? 3 : 2;
    }
    for (size_t i = 0; i < unifold_many_count && unifold_many[i][0] <= code_point; i++) {
        if (unifold_many[i][0] != code_point) continue;
        memcpy(out, unifold_many[i] + 1, UNIFOLD_MAX * sizeof(*out));
        return out[2] ? 3 : 2;
    }
    while (lo < hi) { /* first run that begins behind code_point */
        size_t mid = lo + (hi - lo) / 2;
        if (unifold_runs[mid].first <= code_point)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0) return 1;
    const struct unifold_run *r = &unifold_runs[lo - 1];
    uint32_t d = code_point - r->first;
    if (d / r->step < r->count && d % r->step == 0) out[0] = r->to + d;
    return 1;
}
