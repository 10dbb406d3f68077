#include "evaluate/sentences.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

bool sentence_next(struct str *rest, struct str *sentence)
{
    bool letters = false;
    struct str text = str_trim(*rest);
    size_t end = 0;
    for (; end < text.n; end++) {
        char c = text.p[end];
        if (c == '\n') break;
        if (is_letter(c)) letters = true;
        if (c != '.' && c != '!' && c != '?') continue;
        if (letters && (end + 1 == text.n || is_blank(text.p[end + 1]))) break;
    }
    size_t next = end < text.n ? end + 1 : end;
    *sentence = str_trim(str_sub(text, 0, next));
    *rest = str_sub(text, next, text.n);
    return sentence->n > 0;
}
