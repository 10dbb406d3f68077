#include "text/uniclass.h"

uint32_t uniclass(uint32_t code_point)
{
    uint32_t page = code_point >> 8;
    uint32_t lo = page < UNICLASS_PAGES ? uniclass_pages[page] : uniclass_pages[UNICLASS_PAGES];
    uint32_t hi = page < UNICLASS_PAGES ? uniclass_pages[page + 1] : uniclass_run_count - 1;

    while (lo < hi) { /* last run that begins at or before code_point */
        uint32_t mid = lo + (hi - lo + 1) / 2;
        if (uniclass_runs[mid] >> 8 <= code_point)
            lo = mid;
        else
            hi = mid - 1;
    }
    return uniclass_runs[lo] & 0xFF;
}
