/*
 * serve/ratings - grades that readers give to answers on the page, kept only where serve.ratings
 * names a file: label/factlabel, a line a grade, appended and on disk before the reader is told.
 *
 * The main idea: what is kept is an ordinary label file, so that `radmill label stats` and `radmill
 * judge` read it as they read a rating's. The same report has the same id ("page:" and a digest of
 * its texts), so that grades of several answers to it, and of several readers, belong together.
 * Unlike `radmill label` this is not blind: the page shows which model wrote what. The file holds
 * report text and is 0600.
 *
 * Thread-safe after opening.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "label/factlabel.h"

struct ratings;
MUST_CHECK bool ratings_open(const char *path, struct ratings **out, struct err *e);
void ratings_close(struct ratings *r);
/* Fill id and subject in from the texts and keep it. *refused with *e set: the label is not what a
 * label file takes (empty reference, over long), and nothing was kept. */
MUST_CHECK bool ratings_add(struct ratings *r, struct factlabel *l, bool *refused, struct err *e);
