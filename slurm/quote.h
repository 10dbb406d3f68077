/*
 * slurm/quote - words that reach bash and sbatch as they are, whatever they hold.
 *
 * bash: single quotes, so nothing is expanded. #SBATCH lines: sbatch reads quotes and backslashes
 * much as a shell, ends at a line break or an unquoted #, and expands % in file names.
 */
#pragma once
#include "base/str.h"

/* Append s as one word of bash. Plain words stay bare. */
MUST_CHECK bool quote_shell(struct sbuf *b, struct str s, struct err *e);
/* Append s as the value of an #SBATCH option. Control characters are ERR_CONFIG naming `what`. */
MUST_CHECK bool quote_sbatch(struct sbuf *b, const char *what, struct str s, struct err *e);
/* The same for a file name: % doubled, a backslash is ERR_CONFIG. `pattern` follows as it is. */
MUST_CHECK bool quote_sbatch_file(struct sbuf *b, const char *what, struct str s,
                                  const char *pattern, struct err *e);
/* Append s as part of a comment: control characters become '?'. */
MUST_CHECK bool quote_comment(struct sbuf *b, struct str s, struct err *e);
/* A line of options given word for word: ERR_CONFIG naming `what` when it is more than a line. */
MUST_CHECK bool quote_check_line(const char *what, struct str s, struct err *e);
