/*
 * ingest/trial - corpus.limit: a run on a share of the patients, to see what the whole will cost.
 *
 * How many reports there are must be known first: of a zip the directory tells, a stream is read
 * once for its rows. Patients are taken whole, by a hash of their id, so the number of reports is
 * about the limit, and a larger limit only adds patients.
 */
#pragma once
#include "comm/comm.h"
#include "ingest/source.h"

/* Count the reports of all sources and set the limit. Collective. */
MUST_CHECK bool trial_set(struct source_set *set, struct comm *c, uint64_t *total, struct err *e);
