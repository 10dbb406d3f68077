/*
 * cli/inspect_shards - `radmill inspect` of token shards: a folder, one file, one sample, a plan.
 *
 * Counts, digests and token ids; words only with --show-text and --tokenizer, noted in the audit
 * log.
 */
#pragma once
#include "cli/cmd.h"

MUST_CHECK bool inspect_shards(struct cmd_call *call, const char *dir);
MUST_CHECK bool inspect_shard_file(struct cmd_call *call, const char *path);
/* shard/shard_groups */
MUST_CHECK bool inspect_groups_file(struct cmd_call *call, const char *path);
/* By its first bytes. */
bool inspect_is_shard_file(const char *path);
bool inspect_is_groups_file(const char *path);
