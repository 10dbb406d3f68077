/*
 * evaluate/facts_pair - statements of two texts brought together, and what then differs.
 *
 * The main idea: one to one first, the most alike pair first, so that a text paired with itself
 * gives each statement itself; what is left over may still be covered by a statement that already
 * has a partner (a finding named twice), else it was added or is missing.
 */
#pragma once
#include "evaluate/facts.h"
#include "evaluate/facts_find.h"

struct facts_text {
    struct str text;
    struct scan scan;
    struct mentions m;
    uint32_t *partner; /* of mention i in the other text: index + 1; 0: none */
    uint32_t *cover;   /* a statement of the other text that says the same, when there is no
                          partner: index + 1 */
    bool *twice;       /* says what an earlier statement said */
};

struct flag_list {
    struct facts_flag *v;
    size_t n, cap;
    struct arena *a;
};
MUST_CHECK bool flags_put(struct flag_list *l, struct facts_flag f, struct err *e);

/* Both texts' partner, cover and twice, in the arena. */
MUST_CHECK bool pair_mentions(const struct lex *l, struct facts_text *x, struct facts_text *y,
                              struct arena *a, struct err *e);
/* Bit set of enum facts_kind: how two statements of one finding differ. The union over the
 * statements of a finding decides for sides, zones and levels: "right and left" is "bilateral". */
uint32_t pair_differs(const struct facts_text *x, uint32_t i, const struct facts_text *y,
                      uint32_t j);
/* Of a difference in a finding of this significance: a wrong side matters, whatever has it. */
enum facts_significance pair_significance(enum facts_kind kind, unsigned of_finding);
/* The statement of y nearest to statement i of x by finding and place: index + 1; 0: none. */
uint32_t pair_best(const struct lex *l, const struct facts_text *x, uint32_t i,
                   const struct facts_text *y);
/* Does a statement that a part is normal, or free of disease, deny finding i? Index + 1 in y. */
uint32_t pair_denied(const struct lex *l, const struct facts_text *x, uint32_t i,
                     const struct facts_text *y);
/* Sentences that are alike but for a side, a level, a size, ...; adds to flags what statements did
 * not show. `of_source`: y is the source. */
MUST_CHECK bool pair_sentences(const struct facts_text *x, const struct facts_text *y,
                               bool of_source, struct arena *a, struct flag_list *flags,
                               struct err *e);
/* Recommended examinations and intervals that only one of the texts has, or that differ. Adds to
 * flags; counts nothing. */
MUST_CHECK bool pair_recommendations(const struct facts_text *x, const struct facts_text *y,
                                     struct flag_list *flags, struct err *e);
struct facts_span facts_words(const struct facts_text *t, uint32_t w0, uint32_t w1);
bool facts_time_differs(uint32_t x, uint32_t y);
bool facts_size_differs(double x, double y);
