#include "serve/base64.h"

bool base64_put(struct sbuf *b, const void *p, size_t n, struct err *e)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *v = p;

    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t w = (uint32_t)v[i] << 16;
        if (have > 1) w |= (uint32_t)v[i + 1] << 8;
        if (have > 2) w |= v[i + 2];
        char four[4] = {digits[w >> 18], digits[w >> 12 & 63], digits[w >> 6 & 63], digits[w & 63]};
        for (size_t k = have + 1; k < 4; k++)
            four[k] = '=';
        if (!sbuf_put(b, (struct str){four, 4}, e)) return false;
    }
    return true;
}
