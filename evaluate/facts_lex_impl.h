/*
 * evaluate/facts_lex, inside: building the tables. Included by facts_lex*.c alone.
 */
#pragma once
#include "evaluate/facts_lex.h"

/* One line of a file, cut at its tabs. */
typedef bool lex_line_fn(struct lex *l, const struct str *col, struct err *e);
lex_line_fn lex_line_plural, lex_line_word, lex_line_anatomy, lex_line_finding, lex_line_compose;

/* The file as it was when the program was built. */
struct str lex_builtin(const char *name);
/* The concepts "abnormal:PART"; after all files that name parts. */
MUST_CHECK bool lex_add_parts(struct lex *l, struct err *e);

uint64_t lex_key(struct str word);
uint64_t lex_plural_key(const struct lex *l, uint32_t value);
struct lex_slot *lex_slot_at(const struct lex_table *t, uint64_t key);
MUST_CHECK bool lex_table_put(struct lex_table *t, uint64_t key, uint32_t value, struct err *e);
/* The node one word on, made where it is missing; 0 on failure. */
MUST_CHECK uint32_t lex_grow_node(struct lex *l, uint32_t node, uint32_t word, struct err *e);
