/*
 * ingest/dumps - the order of a source's dumps, remembered.
 *
 * A file of a source has a number: its place among the files of the source when it first came, kept
 * in manifest.json beside its digest. Known files (by digest, whatever their name is now) keep
 * their number; new ones get the next, in the order of the pattern. So a dump whose name sorts
 * before the old ones stands behind them in the corpus, and old blocks keep their names; the corpus
 * depends on the order in which dumps came, which is what growing means. The generation counts the
 * runs that brought new files. A number whose file is gone stays unused while later ones are there.
 *
 * A group of loose files (ingest/source) is one file here: further messages in a folder make
 * another group of the one they fall into. Packing each delivery keeps the old ones as they are.
 */
#pragma once
#include "ingest/source.h"

/* Digests of the files are known; files are put in the order of their numbers. A manifest that
 * cannot be read is no order: files are numbered anew, a warning says so. */
MUST_CHECK bool dumps_number(struct source_set *set, struct err *e);
