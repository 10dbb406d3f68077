#include "evaluate/baseline.h"

const struct str baseline_constant = STR_INIT("No acute cardiopulmonary abnormality.");

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

struct str baseline_lead(struct str text, size_t sentences)
{
    bool letters = false;
    text = str_trim(text);
    for (size_t i = 0; i < text.n && sentences > 0; i++) {
        char c = text.p[i];
        if (is_letter(c)) letters = true;
        if (c != '.' && c != '!' && c != '?') continue;
        if (!letters || (i + 1 < text.n && !is_blank(text.p[i + 1]))) continue;
        letters = false;
        if (--sentences == 0) return str_sub(text, 0, i + 1);
    }
    return text;
}
