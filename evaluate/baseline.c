#include "evaluate/baseline.h"

#include "evaluate/sentences.h"

const struct str baseline_constant = STR_INIT("No acute cardiopulmonary abnormality.");

struct str baseline_lead(struct str text, size_t sentences)
{
    struct str rest = text = str_trim(text), s;
    size_t end = 0;
    for (size_t i = 0; i < sentences && sentence_next(&rest, &s); i++)
        end = (size_t)(s.p + s.n - text.p);
    return str_sub(text, 0, end);
}
