/*
 * cli/inspect_sample - random reports of a corpus on the terminal, and its labels as a table: to
 * see whether sections and modalities are right.
 */
#pragma once
#include "cli/cmd.h"

/* radmill inspect CONFIG.yaml [--sample N] [--modality LIST] [--from ORIGIN] [--labels FILE].
 * Report text shown and tables written are noted in the corpus' audit log first. */
MUST_CHECK bool inspect_sample(struct cmd_call *call);
