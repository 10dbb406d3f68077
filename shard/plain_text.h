/*
 * shard/plain_text - byte loops over text that every sample goes through, eight bytes or one step a
 * byte without a branch.
 *
 * What they come to is defined elsewhere or in a line: plain_clean is clean_own (text/clean) for
 * text in which nothing is to be cleaned but blanks and line breaks, which nearly all findings are,
 * and says where it is not; the tests compare them.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* clean_own of s into out, replacing what it held; *plain false: s has something that only
 * clean_own knows (marks, lists, characters beyond ASCII), and out is empty. */
MUST_CHECK bool plain_clean(struct str s, struct sbuf *out, bool *plain, struct err *e);
/* Lower case (ASCII), one blank between words, into out, replacing what it held. */
MUST_CHECK bool plain_fold(struct str s, struct sbuf *out, struct err *e);
/* Words: runs of bytes above the blank. */
size_t plain_words(struct str s);
