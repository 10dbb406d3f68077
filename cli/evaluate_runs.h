/*
 * cli/evaluate_runs - `radmill evaluate RUN1 RUN2 ...`: one table over systems.
 */
#pragma once
#include "cli/config.h"

/* Is the word a CONFIG.yaml, and no run? By its ending. */
bool evaluate_is_config(const char *word);
/* The positionals from `first` on are runs, NAME=RUN or RUN. */
MUST_CHECK bool evaluate_runs(struct cmd_call *call, const struct config *c, int first);
