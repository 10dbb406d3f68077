/* Fuzz target: the CSV of quoted rows. Any bytes are rows or an error with a message. */
#include <stdio.h>
#include <stdlib.h>

#include "evaluate/board_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"rouge"};
    const struct opt_strs metrics = {names, 1};
    struct board *b = calloc(1, sizeof *b);
    struct evaluate_summary *s = calloc(1, sizeof *s);
    struct err e = {0};

    b->run.out = s;
    arena_init(&b->run.arena, 64 << 20);
    if (!metric_set_init(&s->set, &metrics, &e)) abort();
    bool ok = board_published_parse(b, (struct str){(const char *)data, size}, "x.csv", &e);
    if (ok != (e.code == ERR_NONE) || b->nrows > BOARD_ROWS_MAX) abort();
    for (size_t i = 0; ok && i < b->nrows; i++)
        if (!b->row[i].name[0]) abort();
    arena_free(&b->run.arena);
    free(s);
    free(b);
    return 0;
}
